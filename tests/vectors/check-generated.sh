#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Is the committed table what the generator makes today?
set -eu
"$1" | cmp - "$2"
