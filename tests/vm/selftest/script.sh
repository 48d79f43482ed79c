#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# module: none
# seconds: 40
# script.sh NAME: a script that goes wrong in this way.
case $1 in
not-ok) printf 'ok 1 - a\nnot ok 2 - b\n1..2\n' ;;
no-plan) echo 'ok 1 - a' ;;
no-result) echo '1..0' ;;
short) printf '1..2\nok 1 - a\n' ;;
long) printf '1..1\nok 1 - a\nok 2 - b\n' ;;
status) printf 'ok 1 - a\n1..1\n'; exit 3 ;;
hang) echo 'ok 1 - a'; echo 1..1; tail -f /dev/null ;;
power-off) printf 'ok 1 - a\n1..1\n'; poweroff -f ;;
log) printf 'ok 1 - a\n1..1\n'; echo 'WARNING: something in the log' >/dev/kmsg ;;
esac
