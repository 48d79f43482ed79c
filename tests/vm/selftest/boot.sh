#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# append: rdinit=/nothing init=/nothing
# module: none
# seconds: 40
# A kernel that finds no init: it does not come to this.
exit 1
