# SPDX-License-Identifier: GPL-2.0-or-later
# Floods of first flights from addresses that nobody has: a namespace "flood" behind the router with the
# flooder in it. Sourced after nexus.sh.

NX_FLOODER=$NX_BUILD/tests/system/flooder
# 256 sites (IPv4 /24), and 32768 of them.
NX_FLOOD_FEW=10.99.0.0/16 NX_FLOOD_MANY=10.128.0.0/9

# flood_up: answers to these addresses are lost in the namespace they came from.
flood_up() {
	local prefix
	net_link flood f0 9 || return
	for prefix in $NX_FLOOD_FEW $NX_FLOOD_MANY; do
		ip -n "$(ns_name router)" route add "$prefix" via 10.77.9.2 || return
	done
}

# flood_start PIDVAR LOG OPTIONS...: the flooder, sending to the server. It stands for other machines, so it
# takes what the others on this one leave.
flood_start() {
	local pid_name=$1 log=$2
	shift 2
	bg_ns "$pid_name" flood "$log" nice -n 19 "$NX_FLOODER" -t 10.77.2.2:443 "$@"
	wait_until 60 grep -q ready "$log"
}

# flood_sent LOG: "DATAGRAMS SECONDS" of a flooder that has ended.
flood_sent() {
	tail -n 1 "$1"
}

# Datagrams that the server's sockets had no room for.
socket_drops() {
	in_ns server cat /proc/net/udp | awk '$2 ~ /:01BB$/ { n += $NF } END { print n + 0 }'
}

# Does nothing wait in them?
socket_empty() {
	[ "$(in_ns server cat /proc/net/udp | awk '$2 ~ /:01BB$/ && $5 !~ /:00000000$/' | wc -l)" = 0 ]
}

# CPU time of a process in nanoseconds.
cpu_ns() {
	local ns
	read -r ns _ <"/proc/$1/schedstat" && echo "$ns"
}

# weigh_more PID N: N steps of nice(1) for its session. The kernel wants a pause between two of them.
weigh_more() {
	local nice
	read -r _ _ nice <"/proc/$1/autogroup" && wait_until 2 set_weight "$1" $((nice - $2))
}

set_weight() {
	echo "$2" >"/proc/$1/autogroup"
}

# rss_kib PID
rss_kib() {
	awk '/^VmRSS:/ { print $2 }' "/proc/$1/status"
}

# flood_judged: "DECIDED BUDGET ACCEPTED INITIALS", what became of all first flights so far. Pieces of flights
# are not decided about, garbage is no Initial.
flood_judged() {
	bus server --json=short call $NX_BUS_NAME "$(tunnel_path server)" $NX_BUS_NAME.Tunnel GetStatistics |
		jq -r '.data[0] | map_values(.data) |
			[([to_entries[] | select(.key | startswith("hs-rejected-")) | .value] | add) +
			 .["hs-authenticated"], .["hs-rejected-budget"], .["hs-authenticated"],
			 .["hs-initials"]] |
			map(tostring) | join(" ")'
}
