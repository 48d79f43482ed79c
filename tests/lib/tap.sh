# SPDX-License-Identifier: GPL-2.0-or-later
# Results of a system test, in the lines of TAP that tests/run reads:
#	ok N - name, not ok N - name, ok N - name # SKIP why

tap_count=0 tap_failed=0
# The commands run in the test's own shell, so that they may set variables.
tap_output=$(mktemp)

tap_ok() {
	tap_count=$((tap_count + 1))
	echo "ok $tap_count - $1"
}

tap_fail() {
	tap_count=$((tap_count + 1)) tap_failed=$((tap_failed + 1))
	echo "not ok $tap_count - $1"
	[ -z "${2:-}" ] || printf '%s\n' "$2" | tail -n 25 | sed 's/^/# /'
}

tap_skip() {
	tap_count=$((tap_count + 1))
	echo "ok $tap_count - $1 # SKIP $2"
}

# check NAME COMMAND...: passes if the command succeeds.
check() {
	local name=$1
	shift
	if "$@" >"$tap_output" 2>&1; then
		tap_ok "$name"
	else
		tap_fail "$name" "failed with $?: $*
$(cat "$tap_output")"
		return 1
	fi
}

# check_not NAME COMMAND...: passes if the command fails.
check_not() {
	local name=$1
	shift
	if "$@" >"$tap_output" 2>&1; then
		tap_fail "$name" "succeeded, but should not have: $*
$(cat "$tap_output")"
		return 1
	fi
	tap_ok "$name"
}

# check_equal NAME VALUE EXPECTED
check_equal() {
	if [ "$2" = "$3" ]; then
		tap_ok "$1"
	else
		tap_fail "$1" "expected '$3', got '$2'"
		return 1
	fi
}

# check_number NAME VALUE -gt|-ge|-eq|-lt|-le LIMIT
check_number() {
	if [ "$2" "$3" "$4" ] 2>/dev/null; then
		tap_ok "$1"
	else
		tap_fail "$1" "not true: '$2' $3 '$4'"
		return 1
	fi
}

# A step without which the rest of the test has no meaning.
must() {
	check "$@" || exit 1
}
