# SPDX-License-Identifier: GPL-2.0-or-later
# The network of the demo, the system tests and the benchmarks, in namespaces of its own:
#
#	client eth0 ── c0 router s0 ── eth0 server		client2 eth0 ── d0 router (on request)
#	10.77.1.2      .1.1   .2.1     10.77.2.2		10.77.3.2       10.77.3.1
#	fd77:1::2      1::1   2::1     fd77:2::2		fd77:3::2       fd77:3::1
#
# A script that calls private_world() first runs in its own mount and PID namespace: whatever it
# starts or mounts, and every network namespace, is gone when it ends, however it ends.

# One clear sentence if this machine cannot hold the network.
check_machine() {
	[ "$(id -u)" = 0 ] || die "Root is needed for network namespaces: run this with sudo."
	[ -c /dev/net/tun ] && { true <>/dev/net/tun; } 2>/dev/null ||
		die "This machine has no usable /dev/net/tun (load the module with: modprobe tun)."
	unshare --net --mount --pid --fork true 2>/dev/null ||
		die "This machine does not allow network namespaces (a container without CAP_SYS_ADMIN?)."
}

# private_world "$@": runs the calling script again, from its start, inside fresh namespaces.
private_world() {
	if [ -n "${NX_RUN:-}" ]; then
		mkdir -p /run/netns && mount -t tmpfs -o mode=755 nexus-netns /run/netns
		return
	fi
	check_machine
	NX_RUN=$$ exec unshare --mount --pid --fork --kill-child --mount-proc -- \
		"$(readlink -f "$0")" "$@"
}

ns_name() {
	echo "nexus-$NX_RUN-$1"
}

# in_ns END COMMAND...
in_ns() {
	local name=$1
	shift
	nsenter --net="/run/netns/$(ns_name "$name")" -- "$@"
}

# bg_ns PIDVAR END LOG COMMAND...: in the background; the process itself is $PIDVAR.
bg_ns() {
	local -n pid_var=$1
	local name=$2 log=$3
	shift 3
	nsenter --net="/run/netns/$(ns_name "$name")" -- "$@" >"$log" 2>&1 </dev/null &
	pid_var=$!
}

set_sysctl() {
	in_ns "$1" sh -c "echo $3 >/proc/sys/net/$2"
}

# net_link END ROUTER-DEVICE SUBNET: a veth pair between END and the router.
net_link() {
	local end router n=$3
	end=$(ns_name "$1") router=$(ns_name router)
	ip netns add "$end" || return
	ip -n "$end" link set lo up
	ip -n "$router" link add "$2" type veth peer name eth0 netns "$end" || return
	ip -n "$router" address add "10.77.$n.1/24" dev "$2"
	ip -n "$router" address add "fd77:$n::1/64" dev "$2" nodad
	ip -n "$router" link set "$2" up
	ip -n "$end" address add "10.77.$n.2/24" dev eth0
	ip -n "$end" address add "fd77:$n::2/64" dev eth0 nodad
	ip -n "$end" link set eth0 up
	ip -n "$end" route add default via "10.77.$n.1"
	ip -n "$end" route add default via "fd77:$n::1"
}

# net_up [client2]: the network, up and answering.
net_up() {
	ip netns add "$(ns_name router)" || return
	ip -n "$(ns_name router)" link set lo up
	set_sysctl router ipv4/ip_forward 1
	set_sysctl router ipv6/conf/all/forwarding 1
	net_link client c0 1 && net_link server s0 2 || return
	[ "${1:-}" != client2 ] || net_link client2 d0 3 || return
	wait_until 10 in_ns client ping -c1 -W1 10.77.2.2 >/dev/null &&
		wait_until 10 in_ns client ping -c1 -W1 fd77:2::2 >/dev/null
}

# Every datagram passes the router's devices one by one, as on a wire: no UDP segmentation, no GRO.
net_single_packets() {
	local end dev
	for end in client:eth0 server:eth0 router:c0 router:s0 "$@"; do
		dev=${end#*:}
		in_ns "${end%%:*}" ethtool -K "$dev" tso off gso off gro off \
			tx-udp-segmentation off >/dev/null || return
	done
}
