#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The unit is valid and exposes no more than 3.0; users and folders can be made from the files here.
# usage: test-units.sh UNIT SOURCE-FOLDER NEXUSD. Skipped (77) without systemd-analyze.
set -eu
unit=$1 source=$2 nexusd=$(realpath "$3")

command -v systemd-analyze >/dev/null || { echo "no systemd-analyze"; exit 77; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

# The binary need not be installed; the manual pages are checked by their own test.
sed "s,^ExecStart=[^ ]*nexusd,ExecStart=$nexusd," "$unit" >"$dir/nexusd.service"
grep -q "^ExecStart=$nexusd\$" "$dir/nexusd.service"
systemd-analyze verify --man=no "$dir/nexusd.service" 2>"$dir/complaints" || :
# The exit status speaks for all units. Other units of this machine are none of our business, nor is a machine without procps.
if grep nexusd "$dir/complaints" | grep -v "Command kill is not executable"; then
	echo "systemd-analyze verify complains"
	exit 1
fi

# names SYSCALL-OR-GROUP...: the system calls behind them.
names() {
	local name
	for name; do
		case $name in
		@*) names $(systemd-analyze syscall-filter --no-pager "$name" | grep -v '^ *#' | grep '^ ') ;;
		*) echo "$name" ;;
		esac
	done
}
# What the monitor does for its children must pass the filter of the unit.
touch "$dir/allowed"
sed -n 's/^SystemCallFilter=//p' "$unit" >"$dir/filters"
while read -r line; do
	case $line in
	~*) names ${line#?} | sort -u | comm -23 "$dir/allowed" - >"$dir/left" ;;
	*) names $line | sort -u - "$dir/allowed" >"$dir/left" ;;
	esac
	mv "$dir/left" "$dir/allowed"
done <"$dir/filters"
for call in capset openat2 prctl prlimit64 seccomp setgroups setpriority setresgid setresuid; do
	grep -qx "$call" "$dir/allowed" || { echo "the unit does not allow $call()"; exit 1; }
done
exposed=0
systemd-analyze security --offline=yes --threshold=30 "$dir/nexusd.service" >"$dir/exposure" ||
	exposed=$?
tail -n 1 "$dir/exposure"
if [ "$exposed" -ne 0 ]; then
	grep '^✗' "$dir/exposure"
	echo "more than 3.0"
	exit 1
fi

if [ "$(id -u)" -ne 0 ]; then
	echo "not root: sysusers and tmpfiles are not tried"
	exit 0
fi
mkdir -p "$dir/root/etc"
systemd-sysusers --root="$dir/root" "$source/nexus.sysusers"
for user in nexus nexus-hsd nexus-dp; do
	grep -q "^$user:" "$dir/root/etc/passwd"
	grep -q "^$user:" "$dir/root/etc/group"
done
systemd-tmpfiles --root="$dir/root" --create "$source/nexus.tmpfiles"
gid=$(sed -n 's/^nexus:[^:]*:\([0-9]*\):.*/\1/p' "$dir/root/etc/group")
found=$(stat -c '%a %u %g' "$dir/root/etc/nexus")
[ "$found" = "750 0 $gid" ] || { echo "/etc/nexus is $found"; exit 1; }
