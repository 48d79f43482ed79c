# SPDX-License-Identifier: GPL-2.0-or-later
# Shell ground for every script under tests/: where the tree is, messages, waiting for conditions.
# Sourced by bash scripts that run with `set -u`; promises not to change any shell option.

NX_TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
NX_LOGS=${NX_LOGS:-$NX_TOP/build/test-logs}
NX_BUILD=${NX_BUILD:-$NX_TOP/build}

if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
	nx_bold=$'\e[1m' nx_red=$'\e[31m' nx_green=$'\e[32m' nx_yellow=$'\e[33m' nx_off=$'\e[0m'
else
	nx_bold='' nx_red='' nx_green='' nx_yellow='' nx_off=''
fi

die() {
	printf '%s%s%s\n' "$nx_red" "$*" "$nx_off" >&2
	exit 1
}

# A pipe nobody writes to: reading it with a timeout is how the polling below passes time.
exec {nx_pause_fd}<> <(:)

# wait_until SECONDS COMMAND...: runs COMMAND until it succeeds; fails when SECONDS have passed.
wait_until() {
	local deadline=$((SECONDS + $1)) nothing
	shift
	until "$@" 2>/dev/null; do
		[ "$SECONDS" -lt "$deadline" ] || return 1
		read -rt 0.05 -u "$nx_pause_fd" nothing
	done
	return 0
}

# Milliseconds since some fixed moment.
now_ms() {
	local up
	read -r up _ </proc/uptime
	echo $((10#${up/./} * 10))
}

process_gone() {
	! kill -0 "$1" 2>/dev/null
}

# stop_process PID [SIGNAL]: ends one process of ours and waits for it; insists after five seconds.
stop_process() {
	kill "-${2:-TERM}" "$1" 2>/dev/null || return 0
	wait_until 5 process_gone "$1" || kill -KILL "$1" 2>/dev/null
	wait "$1" 2>/dev/null
	return 0
}
