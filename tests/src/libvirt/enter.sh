#!/bin/sh
# Makes the root directory of a libvirt of the lab's own, and keeps libvirtd running in it.
# usage: enter.sh TREE WORK PATH...   in mount and process namespaces of its own
#
# TREE has libvirt's programs, WORK/put what is laid over them; every PATH of the host is there under its own name,
# read-only unless it is written +PATH.
# As first process of its namespace this waits for whatever daemons leave behind, and ends it all with itself.
set -eu
umask 022
tree=$1 work=$2
shift 2
root=$work/root
# The process id that the host knows: its /proc is still the one in sight.
read -r pid _ < /proc/self/stat
mount -t tmpfs -o mode=0755 tmpfs "$root"
for dir in usr var/lib var/log/libvirt/qemu var/cache var/tmp run tmp dev proc sys host; do
    mkdir -p "$root/$dir"
done
chmod 1777 "$root/tmp" "$root/var/tmp"
mount -t overlay -o "ro,lowerdir=$work/put/usr:$tree/usr" overlay "$root/usr"
for dir in bin sbin lib lib64; do
    ln -s "usr/$dir" "$root/$dir"
done
ln -s ../run "$root/var/run"
cp -a "$tree/etc" "$root/etc"
mount --rbind / "$root/host"
# No /dev/kvm: where it is there and does not work, libvirt asks QEMU anew at every step whether it might.
mount -t tmpfs -o mode=0755 tmpfs "$root/dev"
mkdir "$root/dev/pts" "$root/dev/shm"
for device in null zero full random urandom tty; do
    : > "$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
done
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
mount --rbind /sys "$root/sys"
mount -t proc proc "$root/proc"
for path; do
    place=$root${path#+}
    # What is there already came with a directory above it.
    [ ! -e "$place" ] || continue
    if [ -d "${path#+}" ]; then
        mkdir -p "$place"
    else
        mkdir -p "${place%/*}"
        : > "$place"
    fi
    mount --bind "${path#+}" "$place"
    [ "$path" != "${path#+}" ] || mount -o remount,bind,ro "$place"
done
cp -a "$work/put/etc/." "$root/etc"
cp -a "$work/put/lab" "$root/lab"
echo "$pid" > "$work/pid.new"
mv "$work/pid.new" "$work/pid"
# Ends with the daemon, unless a new one was asked for.
while chroot "$root" /usr/sbin/libvirtd; [ -e "$work/again" ]; do
    rm "$work/again"
done
