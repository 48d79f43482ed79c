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

# iperf_mbits RESULT-FILE: what arrived.
iperf_mbits() {
	jq -r '(.end.sum_received // .end.sum) | .bits_per_second / 1e6 | floor' "$1"
}

# capture_start PIDVAR END DEVICE FILE [filter]
capture_start() {
	bg_ns "$1" "$2" "$4.log" dumpcap -q -i "$3" -B 64 -s 0 -w "$4" -f "${5:-udp}"
	wait_until 10 test -s "$4"
}

capture_stop() {
	stop_process "$1" INT
}

# decode CAPTURE KEYLOG [tshark options...]: tshark without its notices.
decode() {
	local file=$1 keylog=$2
	shift 2
	tshark -r "$file" -o "tls.keylog_file:$keylog" "$@" 2>/dev/null
}
