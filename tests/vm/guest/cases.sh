# SPDX-License-Identifier: GPL-2.0-or-later
# Programs of CMocka cases in a guest. Sourced after guest.sh.

# cases PROGRAM [ARG...]: every case of a test program becomes a result.
cases() {
	local name=${1##*/} line output status number=0
	output=$(CMOCKA_MESSAGE_OUTPUT=TAP "$@" 2>&1)
	status=$?
	while IFS= read -r line; do
		case $line in
		'ok '*'# SKIP'*) number=$((number + 1)); line=${line#ok * - }; tap_skip "$name: ${line%% #*}" "the other data plane" ;;
		'ok '*) number=$((number + 1)); tap_ok "$name: ${line#ok * - }" ;;
		'not ok '*) number=$((number + 1)); tap_fail "$name: ${line#not ok * - }" "$output" ;;
		esac
	done <<<"$output"
	[ "$number" -gt 0 ] || tap_fail "$name: no case was run" "$output"
	check_equal "$name" "$status" 0
}
