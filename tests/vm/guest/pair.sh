# SPDX-License-Identifier: GPL-2.0-or-later
# Two namespaces, a and b, joined by a veth pair, and a session between two data planes with keys made
# by hand (tests/unit/dp/dp-pair). Outside: 10.9.0.1 and .2, fd09::1 and ::2. Inside, on nxp0:
# 10.8.0.1 and .2, fd08::1 and ::2. Sourced after guest.sh.

nexus_dp=/nexus/build/nexusd/dataplane/nexus-dp

in_a() { ip netns exec a "$@"; }
in_b() { ip netns exec b "$@"; }

pair_links() {
	local n
	for n in a b; do
		ip netns add $n && ip -n $n link set lo up || return
	done
	ip link add va netns a type veth peer name vb netns b || return
	ip -n a addr add 10.9.0.1/24 dev va && ip -n b addr add 10.9.0.2/24 dev vb &&
		ip -n a addr add fd09::1/64 dev va nodad && ip -n b addr add fd09::2/64 dev vb nodad &&
		ip -n a link set va up && ip -n b link set vb up
}

pair_ready() { grep -q ready /tmp/pair.out; }

# pair_start PLANES [CIPHER [PATH-MTU [4|6 [KEYS [SESSIONS]]]]]: devices nxp0 in both, up, with
# addresses.
pair_start() {
	local planes=$1 cipher=${2:-0x1301} mtu=${3:-1452} sessions=${6:-1} a=10.9.0.1 b=10.9.0.2
	[ "${4:-4}" = 4 ] || a=fd09::1 b=fd09::2
	rm -f /tmp/pair.in /tmp/pair.out /tmp/pair.err
	mkfifo /tmp/pair.in
	/nexus/build/tests/unit/dp/dp-pair "$planes" a $a b $b "$cipher" "$mtu" "${5:--}" "$sessions" \
		</tmp/pair.in >/tmp/pair.out 2>/tmp/pair.err &
	pair_pid=$!
	exec 9>/tmp/pair.in
	wait_until $((60 + sessions / 100)) pair_ready || { cat /tmp/pair.err; return 1; }
	ip -n a link set nxp0 up mtu 1390 && ip -n b link set nxp0 up mtu 1390 &&
		ip -n a addr add 10.8.0.1/24 dev nxp0 && ip -n b addr add 10.8.0.2/24 dev nxp0 &&
		ip -n a addr add fd08::1/64 dev nxp0 nodad && ip -n b addr add fd08::2/64 dev nxp0 nodad
}

# pair_tell LINE: a command to dp-pair, which has been obeyed when this returns; pair_us: it took so long.
pair_tell() {
	local before answers=/tmp/pair.out answer
	before=$(wc -l <$answers)
	echo "$1" >&9
	wait_until 60 pair_answered "$before" || return
	read -r answer pair_us < <(tail -n 1 $answers)
	[ "$answer" = done ]
}

pair_answered() { [ "$(wc -l </tmp/pair.out)" -gt "$1" ]; }

# pair_stop: the counters are in /tmp/pair.out then.
pair_stop() {
	exec 9>&-
	wait "$pair_pid"
	ip -n a link del nxp0 2>/dev/null
	ip -n b link del nxp0 2>/dev/null
	true
}

# pair_count END NAME: a counter, as pair_stop left it.
pair_count() {
	awk -v e="$1" -v n="$2" '$1 == e && $2 == n { v = $3 } END { print v + 0 }' /tmp/pair.out
}

# transfer ARGUMENTS...: iperf3 from a to b, which ends by itself. The result is in /tmp/iperf.json. $transfer_by: words before
# the command of who receives.
transfer() {
	local server status
	# Not by in_b, whose process would be a shell: the server would outlive it, and be busy next time.
	ip netns exec b ${transfer_by:-} iperf3 -s -1 >/dev/null 2>&1 &
	server=$!
	wait_until 60 listens && in_a timeout 120 iperf3 -J "$@" >/tmp/iperf.json
	status=$?
	kill $server 2>/dev/null
	wait $server 2>/dev/null
	[ $status = 0 ] || head -c 2000 /tmp/iperf.json
	return $status
}

# received: bytes of the last transfer that came through.
received() { jq -r '(.end.sum_received.bytes // .end.sum.bytes // 0) | floor' /tmp/iperf.json; }

listens() { in_b ss -Hltn 'sport = 5201' 2>/dev/null | grep -q . || in_b grep -q ':1451 .* 0A ' /proc/net/tcp6; }
