#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The engine is freestanding: its library must leave nothing undefined but memcpy, memmove, memset
# and memcmp. Symbols that a sanitizer, the stack protector or coverage adds do not count.
set -eu
lib=$1
defined=$(mktemp)
trap 'rm -f "$defined"' EXIT
nm "$lib" | awk 'NF == 3 && $2 ~ /[A-TV-Z]/ { print $3 }' | sort -u >"$defined"
bad=$(nm "$lib" | awk 'NF == 2 && $1 == "U" { print $2 }' | sort -u |
	grep -vxF -f "$defined" |
	grep -vxE 'mem(cpy|move|set|cmp)|__mem(cpy|move|set)_chk|__(asan|ubsan|sanitizer|sancov|llvm|gcov|stack_chk|start___|stop___)[a-z_0-9]*|_GLOBAL_OFFSET_TABLE_' ||
	true)
if [ -n "$bad" ]; then
	echo "undefined symbols in $lib:"
	echo "$bad"
	exit 1
fi
