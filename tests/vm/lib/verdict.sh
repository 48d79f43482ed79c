# SPDX-License-Identifier: GPL-2.0-or-later
# Decides what a run was worth. The script's TAP is passed on as it comes, without its plan; what the
# lab itself finds is added as one more result, and a plan for all of it ends the output.

# A line of the kernel's log that must not be there. KUnit's results appear there too. Words, for the module names
# what it refuses, and there is an NQD_A_DEBUG.
log_faults='\bBUG:|\bWARNING:|KASAN|KCSAN|KFENCE|UBSAN|Oops|Kernel panic|general protection fault|kmemleak: [0-9]|INFO: |possible .*deadlock|suspicious RCU|refcount_t|leaked reference|unreferenced object|list_(add|del) corruption|unregister_netdevice: waiting|blocked for more than|detected stall|\] +not ok '

# script_started: the kernel came up.
script_started() { grep -qa 'nexus-lab: the script starts' "$run_log"; }

# log_findings FILE: from the start of the script on. What a kernel has to complain about before that is its
# own: 6.1 as User-Mode Linux walks its address space without a lock when it forks for the first time.
log_findings() {
	tr -d '\r\0' <"$1" | sed '1,/nexus-lab: the script starts/d' | grep -aE -- "$log_faults"
}

# died_halted: User-Mode Linux turns its timer off only after it has halted. A tick that comes in between is handled
# where there is no kernel any more: it panics, has no console to say so, and aborts. Its log ends with the halt.
died_halted() {
	[ "$kernel_name" = uml ] && [[ $(tr -d '\r\0' <"$run_log" | tail -n 1) = *'reboot: System halted' ]]
}

# judge STATUS-FILE: reads what the guest printed; boot_guest's status is in the file by then. Sets
# nothing, returns 0 if all is well.
judge() {
	local status_file=$1 line status count=0 failed=0 planned='' ended='' problems=()
	while IFS= read -r line; do
		line=${line%$'\r'}
		case $line in
		'ok '*) count=$((count + 1)) ;;
		'not ok '*) count=$((count + 1)) failed=$((failed + 1)) ;;
		'1..'*) planned=${line#1..}; continue ;;
		'nexus-lab: exit '*) ended=${line##* }; continue ;;
		'nexus-lab: '*) problems+=("${line#nexus-lab: }"); continue ;;
		esac
		printf '%s\n' "$line"
	done
	status=$(cat "$status_file" 2>/dev/null)
	[ "$status" != 134 ] || ! died_halted || status=0
	case $status in
	0) [ -n "$ended" ] || problems+=("the guest ended before the script did") ;;
	124|137) problems+=("the guest was stopped after $test_seconds s") ;;
	*) problems+=("the guest failed with status $status") ;;
	esac
	if [ -z "$planned" ]; then
		problems+=("the script printed no plan")
	elif [ "$planned" != "$count" ]; then
		problems+=("the script planned $planned results and printed $count")
	fi
	[ "$count" -gt 0 ] || problems+=("the script printed no result")
	[ "${ended:-0}" = 0 ] || [ $failed -gt 0 ] || problems+=("the script failed with status $ended")
	local findings
	findings=$(log_findings "$run_log")
	[ -z "$findings" ] || problems+=("the kernel's log has faults")
	count=$((count + 1))
	if [ ${#problems[@]} = 0 ]; then
		echo "ok $count - $kernel_version: nothing wrong"
	else
		failed=$((failed + 1))
		echo "not ok $count - $kernel_version: $(printf '%s; ' "${problems[@]}" | sed 's/; $//')"
		log_excerpt "$findings"
	fi
	echo "1..$count"
	[ $failed = 0 ]
}

# log_excerpt FINDINGS: the log from the first finding on, or its end.
log_excerpt() {
	if [ -n "$1" ]; then
		tr -d '\r\0' <"$run_log" | sed '1,/nexus-lab: the script starts/d' | grep -aF -A 60 -- "${1%%$'\n'*}" | head -n 60
	else
		tr -d '\r\0' <"$run_log" | tail -n 25
	fi | sed 's/^/# /'
}
