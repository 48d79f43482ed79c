#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""relay-probe.py ADDRESS PORT kinds|order|flows N|burst N: talks to an echo through the relay.

kinds: datagrams of every form and size, also such as travel in fragments, one at a time, come back byte
for byte. order: runs of long and of short headers come back complete and in order. flows N: how many of N sources are answered;
they stay open until stdin ends. burst N: one datagram of 1200 bytes from each of N sources, as fast
as they can be sent; prints how many were answered and the milliseconds that sending took. Sockets are connected: an answer from another address is none.
"""
import os
import socket
import sys
import time


def connect():
    family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.connect((sys.argv[1], int(sys.argv[2])))
    sock.settimeout(5)
    return sock


def kinds():
    heads = [bytes.fromhex(h) for h in (
        "", "c00000000114", "c00000000108", "d00000000114", "e00000000114", "f00000000114",
        "ff1a2a3a4a14", "c000000000ff", "c06b3343cf14", "40", "5f", "00", "7f")]
    with connect() as sock:
        for head in heads:
            for size in (1, 2, 5, 19, 20, 21, 24, 25, 64, 600, 1199, 1200, 1452, 1900, 4000):
                data = (head + os.urandom(size))[:size]
                sock.send(data)
                try:
                    same = sock.recv(65536) == data
                except TimeoutError:
                    sys.exit(f"{head.hex()} of {size} bytes did not come back")
                if not same:
                    sys.exit(f"{head.hex()} of {size} bytes came back altered")


def order():
    with connect() as sock:
        for first in (0xc0, 0x40):
            run = [bytes([first, n]) + os.urandom(100 + n) for n in range(50)]
            for data in run:
                sock.send(data)
            if [sock.recv(65536) for _ in run] != run:
                sys.exit(f"a run of {first:#x} is not the same")


def flows(n):
    socks = [connect() for _ in range(n)]
    answered = 0
    for sock in socks:
        sock.settimeout(0.2)
        sock.send(b"\xc0 anybody?")
    for sock in socks:
        try:
            answered += sock.recv(100) == b"\xc0 anybody?"
        except OSError:
            pass
    print(answered, flush=True)
    sys.stdin.read()


def burst(n):
    socks = [connect() for _ in range(n)]
    flight = b"\xc0" + os.urandom(1199)
    start = time.monotonic()
    for sock in socks:
        sock.send(flight)
    took = time.monotonic() - start
    answered = 0
    for sock in socks:
        try:
            answered += sock.recv(2000) == flight
        except OSError:
            # Nothing more is under way when one has waited that long.
            for other in socks:
                other.settimeout(0.01)
    print(answered, round(took * 1000), flush=True)


{"kinds": kinds, "order": order, "flows": lambda: flows(int(sys.argv[4])),
 "burst": lambda: burst(int(sys.argv[4]))}[sys.argv[3]]()
