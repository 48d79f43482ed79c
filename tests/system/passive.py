#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What everybody on the path sees of QUIC handshakes, without any key.

passive.py ja4 CAPTURE...            JA4 of the first ClientHello of each capture
passive.py compare CAPTURE CAPTURE   two handshakes (ours, the cover's) field by field; fails if one
                                     of those differs that are meant to be equal
"""
import hashlib
import subprocess
import sys

FIELDS = ["ip.src", "udp.length", "quic.header_form", "quic.long.packet_type", "quic.dcil",
          "quic.scil", "quic.version", "quic.length", "tls.handshake.type",
          "tls.handshake.ciphersuite", "tls.handshake.extensions_key_share_group",
          "tls.handshake.extension.type", "tls.handshake.sig_hash_alg",
          "tls.handshake.extensions_alpn_str", "tls.handshake.extensions_server_name",
          "tls.handshake.extensions.supported_version"]
LETTERS = {0: "Initial", 1: "0-RTT", 2: "Handshake", 3: "Retry"}
# Meant to be equal today; the others wait for a profile of the cover.
EQUAL = ["QUIC version", "client connection IDs", "client's first datagrams", "ServerHello cipher",
         "ServerHello group"]


def number(text):
    return int(text, 0)


def datagrams(path):
    command = ["tshark", "-r", path, "-Y", "quic", "-T", "fields", "-E", "occurrence=a"]
    for field in FIELDS:
        command += ["-e", field]
    out = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    for line in out.stdout.decode().splitlines():
        columns = line.split("\t")
        columns += [""] * (len(FIELDS) - len(columns))
        yield {name: [v for v in value.split(",") if v] for name, value in zip(FIELDS, columns)}


def is_grease(value):
    return value & 0x0f0f == 0x0a0a and value >> 8 == value & 0xff


def short_hash(text):
    return hashlib.sha256(text.encode()).hexdigest()[:12] if text else "0" * 12


def ja4(path):
    for d in datagrams(path):
        if "1" not in d["tls.handshake.type"]:
            continue
        ciphers = [number(c) for c in d["tls.handshake.ciphersuite"]]
        ciphers = sorted(f"{c:04x}" for c in ciphers if not is_grease(c))
        types = [number(e) for e in d["tls.handshake.extension.type"]]
        types = [e for e in types if not is_grease(e)]
        algorithms = [f"{number(a):04x}" for a in d["tls.handshake.sig_hash_alg"]]
        versions = [number(v) for v in d["tls.handshake.extensions.supported_version"]]
        alpn = d["tls.handshake.extensions_alpn_str"]
        version = "13" if 0x0304 in versions else "12"
        listed = ",".join(sorted(f"{e:04x}" for e in types if e not in (0, 16)))
        return (f"q{version}{'d' if 0 in types else 'i'}{len(ciphers):02}{len(types):02}"
                f"{alpn[0][0] + alpn[0][-1] if alpn else '00'}_{short_hash(','.join(ciphers))}_"
                f"{short_hash(listed + '_' + ','.join(algorithms))}")
    sys.exit(f"{path}: no ClientHello in one datagram")


def packets(d):
    names = [LETTERS[number(t)] for t in d["quic.long.packet_type"]]
    if len(d["quic.header_form"]) > len(names) or not names:
        names.append("1-RTT")
    return "+".join(names)


def flight(part):
    return ", ".join(f"{number(d['udp.length'][0]) - 8} {packets(d)}" for d in part) or "none"


def sums(part):
    count, size = {}, {}
    for d in part:
        for kind, length in zip(d["quic.long.packet_type"], d["quic.length"]):
            name = LETTERS[number(kind)]
            count[name] = count.get(name, 0) + 1
            size[name] = size.get(name, 0) + number(length)
    return ", ".join(f"{count[n]} {n} of {size[n]} bytes" for n in sorted(count))


def shape(path):
    all_of_it = list(datagrams(path))
    if not all_of_it:
        sys.exit(f"{path}: no QUIC in it")
    client = all_of_it[0]["ip.src"]
    runs = []
    for d in all_of_it:
        if runs and runs[-1][0]["ip.src"] == d["ip.src"]:
            runs[-1].append(d)
        else:
            runs.append([d])
    first, answer = runs[0], runs[1] if len(runs) > 1 else []
    hello = next((d for d in answer if "2" in d["tls.handshake.type"]), None)
    if not hello:
        sys.exit(f"{path}: no ServerHello in the first answer")
    from_server = [d for d in all_of_it if d["ip.src"] != client]
    return {
        "QUIC version": ",".join(sorted({v for d in all_of_it for v in d["quic.version"]})),
        "client connection IDs": f"{first[0]['quic.dcil'][0]}/{first[0]['quic.scil'][0]}",
        "client's first datagrams": flight(first),
        "ServerHello cipher": hello["tls.handshake.ciphersuite"][0],
        "ServerHello group": hello["tls.handshake.extensions_key_share_group"][0],
        "server connection ID": hello["quic.scil"][0],
        "server's first flight": flight(answer),
        "server's long packets": sums(from_server),
        "client's second flight": flight(runs[2]) if len(runs) > 2 else "none",
    }


def compare(ours, cover):
    a, b = shape(ours), shape(cover)
    wrong = 0
    for name in a:
        same = a[name] == b[name]
        wrong += not same and name in EQUAL
        mark = "equal" if same else "WRONG" if name in EQUAL else "differs"
        print(f"{name}: {mark}\n    ours  {a[name]}\n    cover {b[name]}")
    return wrong


if sys.argv[1:2] == ["ja4"]:
    for capture in sys.argv[2:]:
        print(ja4(capture), capture.rsplit("/", 1)[-1])
elif sys.argv[1:2] == ["compare"] and len(sys.argv) == 4:
    sys.exit(compare(sys.argv[2], sys.argv[3]) > 0)
else:
    sys.exit(__doc__)
