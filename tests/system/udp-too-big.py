#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""udp-too-big.py ADDRESS BYTES: a UDP sender that must not be fragmented.

Sends one datagram whose IP packet has BYTES and prints the MTU that the answer, ICMP Packet Too Big,
gives it; ends with 1 if none comes within two seconds.
"""
import ipaddress
import socket
import struct
import sys

IP_MTU_DISCOVER, IP_PMTUDISC_DO, IP_RECVERR = 10, 2, 11
IPV6_MTU_DISCOVER, IPV6_RECVERR = 23, 25
# ee_errno, ee_origin, ee_type, ee_code, ee_pad, ee_info
EXTENDED_ERROR = struct.Struct("IBBBBI")


def main():
    address, size = sys.argv[1], int(sys.argv[2])
    six = ipaddress.ip_address(address).version == 6
    with socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM) as s:
        level = socket.IPPROTO_IPV6 if six else socket.IPPROTO_IP
        s.setsockopt(level, IPV6_MTU_DISCOVER if six else IP_MTU_DISCOVER, IP_PMTUDISC_DO)
        s.setsockopt(level, IPV6_RECVERR if six else IP_RECVERR, 1)
        s.settimeout(2)
        s.connect((address, 9))
        try:
            s.send(bytes(size - (48 if six else 28)))
            # The error of the datagram is an error of the next read.
            s.recv(1)
        except TimeoutError:
            return 1
        except OSError:
            pass
        _, ancillary, _, _ = s.recvmsg(1, 512, socket.MSG_ERRQUEUE)
    for _, _, data in ancillary:
        print(EXTENDED_ERROR.unpack_from(data)[5])
        return 0
    return 1


sys.exit(main())
