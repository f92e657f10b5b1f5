#!/bin/sh
# First process of the lab's guests: mounts what programs expect, loads the modules, then keeps the
# agent running. With `lab.shell` on the kernel's command line, also a shell on the console; with `lab.system`, a
# system takes over that the host has laid out, with systemd as its first process.
export PATH=/usr/bin HOME=/root TERM=linux
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev 2>/dev/null
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /tmp
mount -t tmpfs tmpfs /run
for module in $(cat /etc/modules); do
    insmod "$module" || echo "init: $module not loaded"
done
ip link set lo up
# Guests of the lab talk to each other only; nothing is configured behind a test's back.
for conf in all default; do
    echo 0 > /proc/sys/net/ipv6/conf/$conf/accept_ra
    echo 0 > /proc/sys/net/ipv6/conf/$conf/autoconf
    echo 0 > /proc/sys/net/ipv6/conf/$conf/accept_dad
done
# An address is answered for only on its own interface, though several are on one network.
echo 1 > /proc/sys/net/ipv4/conf/all/arp_ignore
echo 2 > /proc/sys/net/ipv4/conf/all/arp_announce
if grep -q 'lab\.system' /proc/cmdline; then
    for module in $(cat /etc/modules.system); do
        insmod "$module" || echo "init: $module not loaded"
    done
    mkdir /tree /put /new /over
    # Neither changes while this runs.
    share() { mount -t 9p -o ro,trans=virtio,version=9p2000.L,cache=loose,msize=512000 "$1" "$2"; }
    share tree /tree
    share put /put
    mount -t tmpfs -o size=75% tmpfs /over
    mkdir /over/up /over/work
    mount -t overlay -o lowerdir=/put:/tree,upperdir=/over/up,workdir=/over/work overlay /new
    for dir in dev proc sys run tmp root var/log etc; do
        mkdir -p "/new/$dir"
    done
    # A merged system: packages that are only unpacked do not make these.
    for dir in bin sbin lib lib64; do
        [ -e "/new/$dir" ] || ln -s "usr/$dir" "/new/$dir"
    done
    [ -L /new/var/run ] || rmdir /new/var/run 2>/dev/null
    ln -sfn ../run /new/var/run
    umount /tmp /run
    exec switch_root /new /usr/lib/systemd/systemd
fi
hostname "$(sed -n 's/.*lab\.name=\([^ ]*\).*/\1/p' /proc/cmdline)"
if grep -q 'lab\.shell' /proc/cmdline; then
    (while :; do cd /root; setsid cttyhack sh; done) &
fi
while :; do
    guest-agent serve
    sleep 1
done
