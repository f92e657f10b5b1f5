# Makes a host of the lab's guest: run by its agent, once, after it is up.
# The modules that ordinary guests do without; the file system of the machine that runs the lab, read-only, and over
# it memory; in it this guest's own devices, processes and runtime directory.
set -eu
for module in $(cat /etc/modules.system /etc/modules.nested); do
    insmod "$module" || echo "furnish: $module not loaded" >&2
done
mkdir -p /share /over "$1"
# What it has must not change while this runs, as what the lab has built and fetched does not.
mount -t 9p -o ro,trans=virtio,version=9p2000.L,cache=loose,msize=512000 host /share
mount -t tmpfs -o size=75% over /over
mkdir /over/up /over/work
mount -t overlay -o lowerdir=/share,upperdir=/over/up,workdir=/over/work overlay "$1"
for dir in dev proc sys run; do
    mount -o rbind "/$dir" "$1/$dir"
done
