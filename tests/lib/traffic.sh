# SPDX-License-Identifier: GPL-2.0-or-later
# Traffic and captures for the demo, the system tests and the benchmarks.

port_listens() {
	[ -n "$(in_ns "$1" ss -Htln "sport = :$2")" ]
}

# iperf_server END PORT: serves until the script ends.
iperf_server() {
	local pid
	bg_ns pid "$1" "$T/iperf3-server-$1-$2.log" iperf3 -s -p "$2"
	wait_until 5 port_listens "$1" "$2"
}

# iperf END RESULT-FILE ADDRESS [iperf3 options...]: one run, its JSON in the file.
iperf() {
	local end=$1 result=$2 address=$3
	shift 3
	in_ns "$end" iperf3 -J -c "$address" "$@" >"$result" 2>&1 </dev/null
}

# iperf_mbits RESULT-FILE: what arrived, both directions together.
iperf_mbits() {
	jq -r '.end | if .sum.lost_percent? != null
		then .sum.bits_per_second * (1 - .sum.lost_percent / 100)
		else .sum_received.bits_per_second + (.sum_received_bidir_reverse.bits_per_second // 0)
		end / 1e6 | floor' "$1"
}

# capture_start PIDVAR FILE [filter]: what passes the router on the client's side.
capture_start() {
	# That of an earlier capture would look like one that has begun.
	rm -f "$2"
	bg_ns "$1" router "$2.log" dumpcap -q -i c0 -B 64 -s 0 -w "$2" -f "${3:+($3) or udp port 9}"
	wait_until 10 test -s "$2"
}

# capture_stop PID FILE: when all that was sent until now is in the file. A packet to the discard port
# tells.
capture_stop() {
	in_ns client bash -c 'echo nexus-capture-end >/dev/udp/10.77.1.1/9'
	wait_until 5 grep -aq nexus-capture-end "$2"
	stop_process "$1" INT
}

# decode CAPTURE KEYLOG [tshark options...]: tshark without its notices.
decode() {
	local file=$1 keylog=$2
	shift 2
	tshark -r "$file" -o "tls.keylog_file:$keylog" "$@" 2>/dev/null
}

# count_udp END PORT: from now on, count_sent and count_received tell the UDP packets that END sends from
# and receives at the port, count_answers those it receives from that port of others.
count_udp() {
	in_ns "$1" nft -f - <<-END
		table inet nexus_count {
			counter sent { }
			counter received { }
			counter answers { }
			chain output {
				type filter hook output priority 0;
				udp sport $2 counter name sent
			}
			chain input {
				type filter hook input priority 0;
				udp dport $2 counter name received
				udp sport $2 counter name answers
			}
		}
	END
}

nft_counter() {
	in_ns "$1" nft -j list counter inet nexus_count "$2" |
		jq '.nftables[] | .counter // empty | .packets'
}

count_sent() { nft_counter "$1" sent; }
count_received() { nft_counter "$1" received; }
count_answers() { nft_counter "$1" answers; }

# cut_network / mend_network: the router drops, and no longer drops, everything it forwards.
cut_network() {
	in_ns router nft -f - <<-END
		table inet nexus_cut {
			chain forward {
				type filter hook forward priority 0; policy drop;
			}
		}
	END
}

mend_network() {
	in_ns router nft delete table inet nexus_cut
}

# delay_line MS DEVICES...: IPv4 packets that arrive at these devices of the router go on MS milliseconds later.
delay_line() {
	local dev ms=$1
	shift
	set_sysctl router ipv4/conf/all/rp_filter 0
	change_line "$ms" || return
	for dev in "$@"; do
		in_ns router ip rule add iif "$dev" lookup 100 || return
	done
}

# change_line MS [options of delay-line...]: another line where the one of delay_line was. What is on its way is lost.
change_line() {
	local ms=$1
	shift
	[ -z "${line_pid:-}" ] || stop_process "$line_pid"
	rm -f "$T/delay-line.log"
	bg_ns line_pid router "$T/delay-line.log" "$NX_BUILD/tests/system/delay-line" "$@" line0 "$ms"
	wait_until 5 grep -q ready "$T/delay-line.log" || return
	in_ns router ip link set line0 up txqueuelen 4000 && in_ns router ip route add default dev line0 table 100 || return
	set_sysctl router ipv4/conf/line0/rp_filter 0
}

# line_told: ends the line; sets line_passed, line_lost, line_doubled, line_late: packets in both directions.
line_told() {
	stop_process "$line_pid"
	read -r line_passed line_lost line_doubled line_late < <(tail -n 1 "$T/delay-line.log")
}

# slow_device DEVICE MBITS BYTES: the router sends so fast there, with a queue of so many bytes.
slow_device() {
	in_ns router tc qdisc replace dev "$1" root tbf rate "$2mbit" burst 3000 limit "$3"
}

# rx_bytes END DEVICE
rx_bytes() {
	in_ns "$1" ip -s -j link show dev "$2" | jq '.[0].stats64.rx.bytes'
}

# received_more END DEVICE BYTES: has the device received more than that?
received_more() {
	[ "$(rx_bytes "$1" "$2")" -gt "$3" ]
}

# pings END ADDRESS [options]: do ten quick pings all come back?
pings() {
	local end=$1 address=$2
	shift 2
	in_ns "$end" ping -q -c 10 -i 0.05 -W 2 "$@" "$address" | grep ' 0% packet loss'
}

# lost_pings END ADDRESS [options]: does no ping come back?
lost_pings() {
	local end=$1 address=$2
	shift 2
	! in_ns "$end" ping -q -c 4 -i 0.2 -W 1 "$@" "$address" >/dev/null
}
