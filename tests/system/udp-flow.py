#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""udp-flow.py send ADDRESS PORT RATE BYTES SECONDS | udp-flow.py receive PORT

A flow of numbered UDP packets, and what became of it. The receiver ends when the sender says how many
there were (or has said nothing for 10 seconds) and prints "sent received missing duplicates late".
"""
import socket
import struct
import sys
import time

END = 2**64 - 1
SO_RCVBUFFORCE = 33


def send(address, port, rate, size, seconds):
    s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    s.connect((address, port))
    pad = bytes(size - 16)
    start = time.monotonic()
    n = 0
    while n < rate * seconds:
        due = min(int((time.monotonic() - start) * rate) + 1, rate * seconds)
        while n < due:
            s.send(struct.pack(">QQ", n, 0) + pad)
            n += 1
        time.sleep(0.001)
    for _ in range(10):
        time.sleep(0.1)
        s.send(struct.pack(">QQ", END, n))


def receive(port):
    s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 16 << 20)
    s.bind(("::", port))
    print("ready", flush=True)
    seen = set()
    total = highest = duplicates = late = 0
    s.settimeout(60)
    while True:
        try:
            packet = s.recv(65536)
        except socket.timeout:
            break
        s.settimeout(10)
        number, count = struct.unpack(">QQ", packet[:16])
        if number == END:
            total = count
            break
        duplicates += number in seen
        late += number < highest
        highest = max(highest, number)
        seen.add(number)
    print(total, len(seen), total - len(seen), duplicates, late, flush=True)


def main():
    if sys.argv[1] == "send":
        send(sys.argv[2], *map(int, sys.argv[3:7]))
    else:
        receive(int(sys.argv[2]))


main()
