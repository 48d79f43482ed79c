#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The manual pages are well-formed and complete: every setting, command, option, D-Bus member and error.
# usage: test-man.sh MAN-FOLDER SOURCE-FOLDER NEXUSCTL NEXUSD. Skipped (77) without mandoc and man.
set -eu
man=$1 source=$2 nexusctl=$3 nexusd=$4
status=0

# need PAGE WORD...: each word stands in the page, whatever its font.
need()
{
	page=$1
	shift
	text=$(sed 's/\\f[BIR]//g; s/\\-/-/g; s/\\(dq/"/g' "$man/$page")
	for word in "$@"; do
		case $text in
		*"$word"*) ;;
		*) echo "$page says nothing about $word"; status=1 ;;
		esac
	done
}

# Settings: the first string of each row of the tables in config.c.
need nexus.conf.5 dco_mode tunnel \
	$(sed -n 's/^\t{ "\([a-z_]*\)",.*/\1/p' "$source/nexusd/config.c")
need nexusctl.1 $("$nexusctl" --help | sed -n 's/^  \([a-z]\{1,\}\) .*/\1/p')
need nexusd.8 $("$nexusd" --help | sed -n 's/^  \(--[a-z-]*\).*/\1/p')
need org.nexusvpn.Nexus1.5 \
	$(sed -n 's/.*<\(method\|property\|signal\) name="\([A-Za-z]*\)".*/\2/p' \
		"$source/dbus/org.nexusvpn.Nexus1.xml") \
	$(sed -n 's/^#define NX_BUS_ERROR_.*\.Error\(\.[A-Za-z]*\)"$/\1/p' "$source/nexusd/bus.h") \
	$(sed -n 's/^\tNQD_A_STATS_\([A-Z0-9_]*\),.*/\1/p' \
		"$source/kmod/uapi/linux/nexus_quic_dco.h" | grep -v UNSPEC |
		tr 'A-Z_' 'a-z-')

if command -v mandoc >/dev/null; then
	for page in "$man"/*.[1-8]; do
		mandoc -T lint -W warning "$page" || status=1
	done
elif command -v man >/dev/null && command -v groff >/dev/null; then
	for page in "$man"/*.[1-8]; do
		complaints=$(LC_ALL=C.UTF-8 MANROFFSEQ=t MANWIDTH=100 \
			man --warnings -E UTF-8 -l -Tutf8 -Z "$page" 2>&1 >/dev/null)
		[ -z "$complaints" ] || { echo "$page: $complaints"; status=1; }
	done
else
	[ $status -ne 0 ] || { echo "neither mandoc nor man: the markup is not checked"; exit 77; }
fi
exit $status
