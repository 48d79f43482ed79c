# SPDX-License-Identifier: GPL-2.0-or-later
# Programs of CMocka cases in a guest. Sourced after guest.sh.

# cases PROGRAM [ARG...]: every case of a test program becomes a result; sets cases_skipped.
cases() {
	local name=${1##*/} line output status number=0
	cases_skipped=0
	output=$(CMOCKA_MESSAGE_OUTPUT=TAP "$@" 2>&1)
	status=$?
	while IFS= read -r line; do
		# What is skipped is "not ok 3 # SKIP name".
		[[ $line =~ ^(not\ )?ok\ [0-9]+\ (-|\#\ SKIP)\ (.*)$ ]] || continue
		number=$((number + 1))
		case ${BASH_REMATCH[2]}${BASH_REMATCH[1]} in
		-) tap_ok "$name: ${BASH_REMATCH[3]}" ;;
		-*) tap_fail "$name: ${BASH_REMATCH[3]}" "$output" ;;
		# It belongs to the other data plane, or wants a debug kernel: nothing that is missing here.
		*)
			cases_skipped=$((cases_skipped + 1))
			echo "# $name: ${BASH_REMATCH[3]} is not for this data plane or kernel"
			;;
		esac
	done <<<"$output"
	[ "$number" -gt 0 ] || tap_fail "$name: no case was run" "$output"
	check_equal "$name" "$status" 0
}
