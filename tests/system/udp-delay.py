#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""udp-delay.py ADDRESS PORT TO-ADDRESS TO-PORT MILLISECONDS

A path with a delay: what comes to ADDRESS PORT goes on to TO-ADDRESS TO-PORT that much later, and the
answers come back as late. For one client at a time; loses nothing. Says "ready" when it is.
"""
import collections
import select
import socket
import sys
import time

SO_RCVBUFFORCE = 33
PER_TURN = 64


def new_socket():
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
    s.setblocking(False)
    return s


def main():
    near, far = new_socket(), new_socket()
    near.bind((sys.argv[1], int(sys.argv[2])))
    far.connect((sys.argv[3], int(sys.argv[4])))
    delay = int(sys.argv[5]) / 1000
    client = None
    # (due, socket, data): all have the same delay, so they are in order.
    waiting = collections.deque()
    print("ready", flush=True)
    while True:
        timeout = max(waiting[0][0] - time.monotonic(), 0) if waiting else None
        readable = select.select([near, far], [], [], timeout)[0]
        for s in readable:
            for _ in range(PER_TURN):
                try:
                    data, sender = s.recvfrom(65536)
                except (BlockingIOError, ConnectionRefusedError):
                    break
                if s is near:
                    client = sender
                waiting.append((time.monotonic() + delay, s, data))
        while waiting and waiting[0][0] <= time.monotonic():
            _, s, data = waiting.popleft()
            try:
                if s is near:
                    far.send(data)
                else:
                    near.sendto(data, client)
            except (BlockingIOError, ConnectionRefusedError):
                pass


main()
