#!/bin/sh
# First process of the lab's guests: mounts what programs expect, loads the modules, then keeps the
# agent running. With `lab.shell` on the kernel's command line, also a shell on the console.
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
hostname "$(sed -n 's/.*lab\.name=\([^ ]*\).*/\1/p' /proc/cmdline)"
if grep -q 'lab\.shell' /proc/cmdline; then
    (while :; do cd /root; setsid cttyhack sh; done) &
fi
while :; do
    guest-agent serve
    sleep 1
done
