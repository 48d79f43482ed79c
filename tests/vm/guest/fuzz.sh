# SPDX-License-Identifier: GPL-2.0-or-later
# Runs the module's fuzzers (tests/fuzz/kmod). Sourced after guest.sh.

fuzzers=/nexus/build-fuzz/tests/fuzz/kmod

# fuzz_ready FUZZER: it is built, and the module counts what it executes; or the end.
fuzz_ready() {
	[ -x "$fuzzers/$1" ] || { tap_skip "fuzzer" "build-fuzz has no $1"; exit 0; }
	must "module loads" modprobe nexus_quic_dco coverage
}

# fuzz WHAT FUZZER CORPUS SECONDS [NAME=VALUE]
fuzz() {
	local what=$1 corpus=/nexus/tests/fuzz/corpus/$3 log=/tmp/fuzz.log units
	mkdir -p "/tmp/found-$2"
	FUZZER_LAST=/nexus-lab/last-input FUZZER_COVERED=/tmp/covered-$2 env "${@:5}" "$fuzzers/$2" -max_total_time="$4" -print_final_stats=1 \
		-artifact_prefix=/tmp/ -max_len=8192 -print_funcs=0 -timeout=60 "/tmp/found-$2" "$corpus" >$log 2>&1
	check_equal "$what: the kernel stands it" $? 0
	units=$(awk '/stat::number_of_executed_units/ { print $2 }' $log)
	check_number "$what: $units inputs" "${units:-0}" -ge 100
	check_number "$what: of them new" "$(awk '/stat::new_units_added/ { print $2 }' $log)" -ge 5
	grep -aE 'ERROR|INITED|DONE|new_units|packet-fuzzer: |: (No|Cannot|Invalid|Device|Operation|Resource|Bad) ' $log | sed 's/^/# /'
}

# atomic_faults_ready: the fuzzer says when, and how many, allocations fail that may not sleep, whoever's.
atomic_faults_ready() {
	local kind dir
	for kind in failslab fail_page_alloc; do
		dir=/sys/kernel/debug/$kind
		echo Y >$dir/ignore-gfp-wait && echo 0 >$dir/verbose && echo 1 >$dir/interval && echo -1 >$dir/times || return
	done
	echo 0 >/sys/kernel/debug/fail_page_alloc/min-order
}

# fuzz_reaches FUZZER FUNCTION...: the last run has, of the module.
fuzz_reaches() {
	local name places=/tmp/covered-$1
	python3 /nexus/tests/fuzz/kmod/covered-functions "$places" >/tmp/functions
	check_equal "$1 tells what it has reached" $? 0
	echo "# $(wc -l </tmp/functions) functions of the module, $(wc -l <"$places") places"
	shift
	for name; do
		check "$name is reached" grep -qx "[0-9]* $name" /tmp/functions
	done
}
