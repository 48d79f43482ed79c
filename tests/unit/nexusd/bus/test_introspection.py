#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The vtables, what sd-bus answers live, and the committed XML are the same interfaces."""
import os
import subprocess
import unittest
import xml.etree.ElementTree as ET

from buslib import NAME, PATH, BusTest

EMITS = "org.freedesktop.DBus.Property.EmitsChangedSignal"


def interfaces(text):
    """{interface: sorted list of members}, every attribute that matters in it."""
    found = {}
    for i in ET.fromstring(text).findall("interface"):
        if not i.get("name").startswith(NAME):
            continue
        members = []
        for m in i:
            args = [(a.get("name"), a.get("type"),
                     a.get("direction") or ("out" if m.tag == "signal" else "in"))
                    for a in m.findall("arg")]
            emits = [a.get("value") for a in m.findall("annotation") if a.get("name") == EMITS]
            others = [a.get("name") for a in m.findall("annotation") if a.get("name") != EMITS]
            members.append((m.tag, m.get("name"), m.get("type") or "", m.get("access") or "",
                            args, emits, others))
        found[i.get("name")] = sorted(members, key=str)
    return found


class Introspection(BusTest):
    maxDiff = None

    def live(self, path):
        p = self.bus.busctl("introspect", "--xml-interface", NAME, path)
        self.assertEqual(p.returncode, 0, p.stderr)
        return interfaces(p.stdout)

    def test_same(self):
        with open(os.environ["DBUS_XML"], encoding="utf-8") as f:
            committed = interfaces(f.read())
        self.assertEqual(len(committed), 3)
        dumped = subprocess.run([os.environ["FAKE_NEXUSD"], "--introspect"], check=True, text=True,
                                stdout=subprocess.PIPE, timeout=60).stdout
        self.assertEqual(interfaces(dumped), committed)
        live = {}
        for path in (PATH, PATH + "/tunnel/office", PATH + "/tunnel/public/peer/_37"):
            live.update(self.live(path))
        self.assertEqual(live, committed)


if __name__ == "__main__":
    unittest.main()
