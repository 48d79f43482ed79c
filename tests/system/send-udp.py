#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""send-udp.py HOST PORT [SOURCE-PORT]: every line of hexadecimal digits on stdin becomes one UDP payload."""
import socket
import sys

with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
    if len(sys.argv) > 3:
        sock.bind(("", int(sys.argv[3])))
    sock.connect((sys.argv[1], int(sys.argv[2])))
    for line in sys.stdin:
        sock.send(bytes.fromhex(line.strip().replace(":", "")))
