#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""relay-cover.py ADDRESS PORT: a cover that sends every datagram back as it came."""
import socket
import sys

family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
with socket.socket(family, socket.SOCK_DGRAM) as sock:
    # SO_RCVBUFFORCE: room for a burst of strangers
    sock.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)
    sock.bind((sys.argv[1], int(sys.argv[2])))
    print("ready", flush=True)
    while True:
        data, client = sock.recvfrom(65536)
        sock.sendto(data, client)
