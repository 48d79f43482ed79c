#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""find-secrets.py KEYLOG NAME=FILE... -- LABEL=PID|LABEL=PATH...

Looks for secrets in the memory of processes and in files, and prints "LABEL NAME" for every one found
(NAME-hex, NAME-base64 for its text forms). The secrets are the 1-RTT traffic secrets of the last
connection of the key log with the keys, IVs and header-protection keys derived from them (RFC 9001
section 5.1), and the keys in the base64 files NAME=FILE. Used by secrets.test; needs ptrace rights.
"""
import base64
import hashlib
import hmac
import sys


def expand_label(secret, label, length, digest):
    """HKDF-Expand-Label of RFC 8446 with an empty context."""
    name = b"tls13 " + label
    info = length.to_bytes(2, "big") + bytes([len(name)]) + name + b"\0"
    out = block = b""
    counter = 1
    while len(out) < length:
        block = hmac.new(secret, block + info + bytes([counter]), digest).digest()
        out += block
        counter += 1
    return out[:length]


def derived(name, secret):
    """The secret itself and all that QUIC makes of it, for the cipher its length tells."""
    digest = hashlib.sha384 if len(secret) == 48 else hashlib.sha256
    found = {name: secret}
    for label in (b"quic iv", b"quic ku"):
        length = 12 if label == b"quic iv" else len(secret)
        found[f"{name}-{label.decode()[5:]}"] = expand_label(secret, label, length, digest)
    # A 32-byte secret goes with 16-byte (AES-128) or 32-byte (ChaCha20) keys.
    for length in (32,) if len(secret) == 48 else (16, 32):
        for label in (b"quic key", b"quic hp"):
            found[f"{name}-{label.decode()[5:]}{length * 8}"] = expand_label(
                secret, label, length, digest
            )
    return found


def keylog_secrets(path):
    latest = {}
    with open(path, encoding="ascii") as keylog:
        for line in keylog:
            kind, _, secret = line.split()
            if kind in ("CLIENT_TRAFFIC_SECRET_0", "SERVER_TRAFFIC_SECRET_0"):
                latest[kind.split("_")[0].lower()] = bytes.fromhex(secret)
    found = {}
    for side, secret in latest.items():
        found.update(derived(side, secret))
    return found


def memory(pid):
    """The readable memory of a process, mapping by mapping."""
    with open(f"/proc/{pid}/maps", encoding="ascii") as maps, open(f"/proc/{pid}/mem", "rb", 0) as mem:
        for line in maps:
            span, perms = line.split()[:2]
            if "r" not in perms or line.rstrip().endswith(("[vvar]", "[vsyscall]")):
                continue
            start, end = (int(x, 16) for x in span.split("-"))
            mem.seek(start)
            parts = []
            while start < end:
                try:
                    part = mem.read(min(end - start, 1 << 24))
                except OSError:
                    break
                if not part:
                    break
                parts.append(part)
                start += len(part)
            yield b"".join(parts)


def content(target):
    if target.isdigit():
        return memory(target)
    with open(target, "rb") as file:
        return [file.read()]


def main():
    split = sys.argv.index("--")
    secrets = keylog_secrets(sys.argv[1])
    for item in sys.argv[2:split]:
        name, path = item.split("=", 1)
        with open(path, encoding="ascii") as file:
            secrets[name] = base64.b64decode(file.read().strip())
    needles = []
    for name, secret in secrets.items():
        # X25519 fixes bits of the first and the last byte of a private key.
        raw = secret[1:-1] if name.endswith("-private") else secret
        needles += [
            (name, raw),
            (f"{name}-hex", secret.hex().encode()),
            (f"{name}-base64", base64.b64encode(secret).rstrip(b"=")[:-1]),
        ]
    for item in sys.argv[split + 1 :]:
        label, target = item.split("=", 1)
        found = set()
        for data in content(target):
            found |= {name for name, needle in needles if needle in data}
        for name in sorted(found):
            print(label, name)


if __name__ == "__main__":
    main()
