#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# module: tests/vm/selftest
# seconds: 60
# fault.sh NAME: a script that is content with a kernel that is not.
. /nexus/tests/vm/guest/guest.sh
insmod "/lib/modules/$(uname -r)/updates/lab_selftest.ko" "fault=$1"
tap_ok "$1"
