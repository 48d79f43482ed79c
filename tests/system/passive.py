#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What everybody on the path sees of QUIC handshakes, without any key.

passive.py ja4 CAPTURE...              JA4 of the first ClientHello of each capture
passive.py compare OURS COVER...       a handshake of ours and several of the cover, field by field
passive.py silence OURS COVER          what is repeated when nobody answers the server's first flight
passive.py allowed                     the differences of the server that are allowed, line by line

compare and silence fail if a field differs that is not named in ALLOWED. A cover differs from itself
from one time to the next (the length of an ECDSA signature, luck): a field is equal if the cover had it
in one of its captures; the length of a Handshake packet, and of the Initial that makes room for it, may
be as far outside of what was seen as that is wide, and is exact where the cover's is always the same.
"""
import hashlib
import subprocess
import sys

FIELDS = ["frame.time_epoch", "ip.src", "udp.length", "quic.header_form", "quic.long.packet_type", "quic.dcil",
          "quic.scil", "quic.version", "quic.length", "quic.frame_type", "quic.packet_number", "tls.handshake.type",
          "tls.handshake.ciphersuite", "tls.handshake.extensions_key_share_group",
          "tls.handshake.extension.type", "tls.handshake.sig_hash_alg",
          "tls.handshake.extensions_alpn_str", "tls.handshake.extensions_server_name",
          "tls.handshake.extensions.supported_version"]
LETTERS = {0: "Initial", 1: "0-RTT", 2: "Handshake", 3: "Retry"}
# What may differ, and why. The first word of `nexusctl cover` about it, if it is the server's.
ALLOWED = {
    "after the client's Finished": ("the sizes are those of the capsules and of the tunnel",
                                    "after the client's Finished"),
    "client's second flight": ("the client asks for addresses, not for a page", None),
}
PAUSE_S = 0.06


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


def size(d):
    return number(d["udp.length"][0]) - 8


def coalescing(part):
    return ", ".join(packets(d) for d in part) or "none"


def sizes(part):
    return [size(d) for d in part]


def flight(part):
    return ", ".join(f"{size(d)} {packets(d)}" for d in part) or "none"


def long_packets(part, letter):
    """The lengths of these packets, one after the other."""
    return [number(length) for d in part
            for kind, length in zip(d["quic.long.packet_type"], d["quic.length"])
            if LETTERS[number(kind)] == letter]


def initial_frames(part):
    """Only those of Initials can be read without keys."""
    names = {0: "PADDING", 1: "PING", 2: "ACK", 3: "ACK", 6: "CRYPTO", 28: "CONNECTION_CLOSE"}
    return ", ".join("+".join(names.get(number(f), f) for f in d["quic.frame_type"])
                     for d in part if d["quic.frame_type"])


def runs_of(path):
    """The datagrams, cut wherever the direction changes."""
    runs = []
    for d in datagrams(path):
        if runs and runs[-1][0]["ip.src"] == d["ip.src"]:
            runs[-1].append(d)
        else:
            runs.append([d])
    if len(runs) < 2:
        sys.exit(f"{path}: no handshake in it")
    return runs


def shape(path):
    runs = runs_of(path)
    first, answer = runs[0], runs[1]
    hello = next((d for d in answer if "2" in d["tls.handshake.type"]), None)
    if not hello:
        sys.exit(f"{path}: no ServerHello in the first answer")
    number_zero = all(number(n) == 0 for n in answer[0]["quic.packet_number"][:1])
    return {
        "QUIC version": ",".join(sorted({v for run in runs for d in run
                                         for v in d["quic.version"]})),
        "client connection IDs": f"{first[0]['quic.dcil'][0]}/{first[0]['quic.scil'][0]}",
        "client's first datagrams": flight(first),
        "ServerHello cipher": hello["tls.handshake.ciphersuite"][0],
        "ServerHello group": hello["tls.handshake.extensions_key_share_group"][0],
        "server connection ID": hello["quic.scil"][0],
        "first flight: coalescing": coalescing(answer),
        "first flight: datagrams": sizes(answer),
        "first flight: Initial packets": long_packets(answer, "Initial"),
        "first flight: Handshake packets": long_packets(answer, "Handshake"),
        "first flight: frames of Initial": initial_frames(answer),
        "first flight: packet numbers": "from 0" if number_zero else "from a random one",
        "after the client's Finished": flight(runs[3]) if len(runs) > 3 else "none",
        "client's second flight": flight(runs[2]) if len(runs) > 2 else "none",
    }


def spread(lists):
    """How far the cover's numbers of one place are apart, at most."""
    columns = zip(*[s for s in lists if len(s) == len(lists[0])]) if lists else []
    return max((max(c) - min(c) for c in columns), default=0)


def near(ours, seen, width):
    """Lists of numbers: each not farther from what was seen than that."""
    seen = [s for s in seen if len(s) == len(ours)]
    for i, n in enumerate(ours):
        column = [s[i] for s in seen]
        if not column:
            return False
        if not min(column) - width <= n <= max(column) + width:
            return False
    return True


def show(name, ours, seen, equal):
    """One field of the table; 1 if it is wrong."""
    wrong = not equal and name not in ALLOWED
    mark = "equal" if equal else "WRONG" if wrong else f"differs ({ALLOWED[name][0]})"
    print(f"{name}: {mark}\n    ours  {ours}")
    for value in sorted({str(v) for v in seen}):
        print(f"    cover {value}")
    return wrong


def compare(ours, covers):
    a, others = shape(ours), [shape(c) for c in covers]
    # What fills a datagram depends on what else is in it: there only flights of the same kind count.
    like = [o for o in others if o["first flight: coalescing"] == a["first flight: coalescing"]]
    width = spread([o["first flight: Handshake packets"] for o in others])
    wrong = 0
    for name in a:
        if name == "first flight: Handshake packets":
            seen = [o[name] for o in others]
            equal = near(a[name], seen, width)
        elif name == "first flight: Initial packets":
            seen = [o[name] for o in like]
            equal = near(a[name], seen, width)
        else:
            seen = [o[name] for o in others]
            equal = a[name] in seen
        wrong += show(name, a[name], seen, equal)
    return wrong


def repeats(path):
    """What the server sends after the first pause: milliseconds since its first datagram, and what."""
    client, found, start, last = None, [], None, None
    for d in datagrams(path):
        at = float(d["frame.time_epoch"][0])
        client = client or d["ip.src"]
        if d["ip.src"] == client:
            continue
        start = start or at
        if found or (last and at - last > PAUSE_S):
            found.append((round((at - start) * 1000), f"{size(d)} {packets(d)} "
                          f"({initial_frames([d])})"))
        last = at
    if start is None:
        sys.exit(f"{path}: no answer in it")
    return found


def silence(ours, cover):
    a, b = repeats(ours), repeats(cover)
    equal = len(a) == len(b) and all(x[1] == y[1] and abs(x[0] - y[0]) <= max(50, y[0] / 5)
                                     for x, y in zip(a, b))
    return show("unanswered first flight", a, [b], equal)


if sys.argv[1:2] == ["ja4"]:
    for capture in sys.argv[2:]:
        print(ja4(capture), capture.rsplit("/", 1)[-1])
elif sys.argv[1:2] == ["compare"] and len(sys.argv) >= 4:
    sys.exit(compare(sys.argv[2], sys.argv[3:]) > 0)
elif sys.argv[1:2] == ["silence"] and len(sys.argv) == 4:
    sys.exit(silence(sys.argv[2], sys.argv[3]) > 0)
elif sys.argv[1:2] == ["allowed"]:
    for reason, line in ALLOWED.values():
        if line:
            print(line)
else:
    sys.exit(__doc__)
