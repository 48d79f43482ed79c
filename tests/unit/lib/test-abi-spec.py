#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Compare the three descriptions of the data-plane ABI: C header, YNL spec, policy tables.

Usage: test-abi-spec.py HEADER SPEC POLICY.  The numbers come from the compiler (what the header
means), the policy bounds from the preprocessed table; the spec has to agree in every name, number,
order, type and bound.
"""
import re
import subprocess
import sys
import tempfile

import yaml

HEADER, SPEC, POLICY = sys.argv[1:4]
UAPI = HEADER[:HEADER.rindex("/linux/")]
failures = 0


def check(ok, text):
    global failures
    if not ok:
        failures += 1
        print("FAIL:", text)


def c_name(prefix, name):
    return (prefix + name).upper().replace("-", "_")


def header_enums(text):
    """enum name -> names in order, without the _UNSPEC and _MAX bookkeeping."""
    enums = {}
    for m in re.finditer(r"enum (\w+) \{(.*?)\n\};", text, re.S):
        body = re.sub(r"/\*.*?\*/", "", m.group(2), flags=re.S)
        names = [i.split("=")[0].strip() for i in body.split(",") if i.strip()]
        bookkeeping = {n[2:] for n in names if n.startswith("__")}
        enums[m.group(1)] = [n for n in names if not n.startswith("__") and n not in bookkeeping
                             and not n.endswith("_UNSPEC")]
    return enums


def c_values(expressions):
    """What the compiler says each expression is."""
    with tempfile.TemporaryDirectory() as d:
        src = d + "/v.c"
        with open(src, "w", encoding="ascii") as f:
            f.write("#include <stdio.h>\n#include <stdint.h>\n#include <net/if.h>\n"
                    "#include <linux/nexus_quic_dco.h>\nint main(void){\n")
            f.writelines(f'printf("%lld\\n", (long long)({e}));\n' for e in expressions)
            f.write("return 0;}\n")
        subprocess.run(["cc", "-I", UAPI, src, "-o", d + "/v"], check=True)
        out = subprocess.run([d + "/v"], check=True, capture_output=True, text=True).stdout
    return dict(zip(expressions, map(int, out.split())))


def policy_tables():
    """table name -> {attribute: text of its initialiser}, macros expanded."""
    out = subprocess.run(["cc", "-E", "-P", "-I", UAPI, POLICY], check=True, capture_output=True,
                         text=True).stdout
    tables = {}
    for m in re.finditer(r"static const struct nxa_policy (\w+)\[\] = \{(.*?)\n?\};", out, re.S):
        tables[m.group(1)] = {e.group(1): e.group(2) for e in re.finditer(
            r'\[[^\]]+\] = \{ \.name = "(\w+)",(.*?)\s\}(?=,)', m.group(2) + ",", re.S)}
    return tables


header = open(HEADER, encoding="utf-8").read()
spec = yaml.safe_load(open(SPEC, encoding="utf-8"))
enums = header_enums(header)
tables = policy_tables()
all_names = [n for names in enums.values() for n in names]
consts = re.findall(r"#define (NQD_\w+)\s+(?:0x[0-9a-f]+|\d+)\b", header)
values = c_values(all_names + consts)


def check_entries(enum, prefix, entries, start, what, flags=False):
    """Entries of the spec against an enum of the header: names, order, numbers."""
    names = [c_name(prefix, e["name"]) for e in entries]
    check(names == enums[enum], f"{what}: {names} is not {enums[enum]}")
    value = start
    for name, entry in zip(names, entries):
        value = entry.get("value", value)
        number = 1 << value if flags else value
        check(values.get(name) == number, f"{what}: {name} is {values.get(name)}, spec {number}")
        value += 1


def policy_bounds(text):
    limits = []
    for key in ("min", "max"):
        m = re.search(rf"\.{key} = \((.*?)\)(?=,|$|\s*\.)", text + ",", re.S)
        limits.append(m.group(1) if m else "0")
    return limits


limits = c_values(sorted({e for t in tables.values() for text in t.values()
                          for e in policy_bounds(text)}))


def check_attribute(attr, name, text):
    kind = re.search(r"\.type = NXA_(\w+)", text).group(1).lower()
    check(attr["type"] == kind, f"{name}: type {attr['type']}, policy {kind}")
    check(attr.get("multi-attr", False) == (".repeats = 1" in text or ".repeats = true" in text),
          f"{name}: multi-attr differs from the policy")
    if kind == "nest":
        nest = re.search(r"\.nest = &\(nqd_(\w+)_set\)", text).group(1)
        check(attr["nested-attributes"] == nest, f"{name}: nest {nest}")
    low, high = [limits[e] for e in policy_bounds(text)]
    checks = attr.get("checks", {})
    exact = checks.get("exact-len")
    spec_low = exact if exact is not None else checks.get("min", checks.get("min-len", 0))
    spec_high = exact if exact is not None else checks.get("max", checks.get("max-len", 0))
    check((low, high) == (spec_low, spec_high),
          f"{name}: bounds {low}..{high}, spec {spec_low}..{spec_high}")


check(spec["name"] == re.search(r'NQD_GENL_NAME\s+"(\w+)"', header).group(1), "family name")
check(spec["version"] == values["NQD_GENL_VERSION"], "version")
check(spec["mcast-groups"]["list"][0]["name"] ==
      re.search(r'NQD_MCGRP_EVENTS\s+"(\w+)"', header).group(1), "multicast group")

spec_consts = {c_name("nqd-", d["name"]): d["value"] for d in spec["definitions"]
               if d["type"] == "const"}
for const in consts:
    if const != "NQD_GENL_VERSION":
        check(spec_consts.get(const) == values[const], f"constant {const}")

for d in spec["definitions"]:
    if d["type"] in ("enum", "flags"):
        check_entries("nqd_" + d["name"].replace("-", "_"), d["name-prefix"], d["entries"],
                      d.get("value-start", 0), d["name"], d["type"] == "flags")

ops = spec["operations"]
check_entries("nqd_cmd", ops["name-prefix"], ops["list"], 1, "operations")
top = {a["name"] for a in spec["attribute-sets"][0]["attributes"]}
for op in ops["list"]:
    for part in ("do", "dump"):
        for direction in op.get(part, {}).values():
            check(set(direction["attributes"]) <= top, f"{op['name']}: attributes of {part}")

described = {"nqd_cmd", *("nqd_" + d["name"].replace("-", "_") for d in spec["definitions"])}
for s in spec["attribute-sets"]:
    enum = "nqd_attr" if s["name"] == "top" else f"nqd_{s['name']}_attr"
    described.add(enum)
    check_entries(enum, s["name-prefix"], s["attributes"], 1, s["name"])
    table = tables.get(s["name"], {})
    check(list(table) == enums[enum], f"{s['name']}: policy table has {list(table)}")
    for attr in s["attributes"]:
        name = c_name(s["name-prefix"], attr["name"])
        if name in table:
            check_attribute(attr, name, table[name])
check(set(enums) <= described, f"not in the spec: {sorted(set(enums) - described)}")

print(f"{len(all_names)} numbers, {len(consts)} constants compared, {failures} differences")
sys.exit(1 if failures else 0)
