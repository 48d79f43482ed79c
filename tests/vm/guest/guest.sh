# SPDX-License-Identifier: GPL-2.0-or-later
# What every script that runs in a guest sources first: results in TAP with the plan at the end, marks in
# the kernel's log, KUnit, faults on purpose. $nexus_kernel is the kernel's label (uml, 6.1 ... dbg).
set -u
. /nexus-lab/settings
. /nexus/tests/lib/common.sh
. /nexus/tests/lib/tap.sh

finish() {
	local status=$?
	[ "$status" = 0 ] || [ "$tap_failed" -gt 0 ] || tap_fail "ran to its end"
	rm -f "$tap_output"
	echo "1..$tap_count"
	exit $((tap_failed > 0))
}
trap finish EXIT

# note TEXT: in the kernel's log, to find one's way there.
note() {
	echo "nexus-lab: $*" >/dev/kmsg
}

# kunit_results SUITE: its cases become results of this script. The module that holds the suite is
# loaded. A suite without a case fails: KUnit itself is content with that.
kunit_results() {
	local file=/sys/kernel/debug/kunit/$1/results line cases=0
	[ -r "$file" ] || { tap_fail "$1: there is no such KUnit suite"; return 1; }
	while IFS= read -r line; do
		# Cases are indented, the suite itself is not; parameters of a case are indented twice.
		[[ $line =~ ^\ {4}(not\ )?ok\ [0-9]+\ (-\ )?(.*)$ ]] || continue
		cases=$((cases + 1))
		case $line in
		*'# SKIP'*) tap_skip "$1: ${BASH_REMATCH[3]%% #*}" "${line#*# SKIP}" ;;
		*'not ok '*) tap_fail "$1: ${BASH_REMATCH[3]}" "$(cat "$file")" ;;
		*) tap_ok "$1: ${BASH_REMATCH[3]}" ;;
		esac
	done <"$file"
	[ $cases -gt 0 ] || tap_fail "$1: no case was run" "$(cat "$file")"
}

# faults_ready: from now on "echo N >/proc/thread-self/fail-nth" makes the N-th of what can fail in that task fail
# (allocations of whatever kind, copies from and to it), and only that; nothing is said about it in the log. Debug
# kernels only.
faults_ready() {
	local fault
	for fault in /sys/kernel/debug/{failslab,fail_page_alloc,fail_usercopy}; do
		echo 0 >"$fault/verbose" || return
		[ ! -e "$fault/ignore-gfp-wait" ] || echo N >"$fault/ignore-gfp-wait" || return
		[ ! -e "$fault/min-order" ] || echo 0 >"$fault/min-order" || return
	done
}
