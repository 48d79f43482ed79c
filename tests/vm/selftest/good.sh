#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# module: tests/vm/selftest
# Everything a script may expect of a guest.
. /nexus/tests/vm/guest/guest.sh
check "module loads" modprobe lab_selftest
check_equal "argument with a blank" "${1:-}" 'a b'
check "network namespace" ip netns add lab
check "veth" ip link add v0 type veth peer name v1 netns lab
ip address add 10.0.0.1/24 dev v0 && ip link set v0 up
ip -n lab address add 10.0.0.2/24 dev v1 && ip -n lab link set v1 up
check "ping" wait_until 10 ping -c1 -W1 10.0.0.2
check "netem" tc -n lab qdisc add dev v1 root netem delay 1ms
check "TUN" test -c /dev/net/tun
check "writable root" touch /root/file
check "writable tree" touch /nexus/tests/vm/selftest/written
if [ "$nexus_kernel" = uml ] || [ "$nexus_kernel" = dbg ]; then
	check "KUnit" test -d /sys/kernel/debug/kunit
	check "kmemleak" test -e /sys/kernel/debug/kmemleak
	check "fault injection" test -w /proc/self/fail-nth
	check "failslab" test -d /sys/kernel/debug/failslab
fi
