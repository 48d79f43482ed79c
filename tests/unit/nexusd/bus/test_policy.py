#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The shipped bus policy and nexusd's own check, with a caller who is nobody. Needs root."""
import os
import sys
import unittest

from buslib import NAME, NOBODY, PATH, Bus, BusTest

TUNNEL = PATH + "/tunnel/office"


class Policy(BusTest):
    def call(self, *argv, uid=NOBODY):
        return self.bus.busctl("call", NAME, *argv, uid=uid)

    def assert_denied(self, *argv):
        p = self.call(*argv)
        self.assertNotEqual(p.returncode, 0)
        self.assertIn("Access denied", p.stderr)

    def test_everybody_reads(self):
        self.assertEqual(self.ctl("list", uid=NOBODY).stdout, self.ctl("list").stdout)
        self.ctl("status", "--json", uid=NOBODY)
        self.assertEqual(self.bus.busctl("get-property", NAME, TUNNEL, NAME + ".Tunnel", "State",
                                         uid=NOBODY).stdout, 's "disconnected"\n')
        for argv in ((PATH, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects"),
                     (PATH, "org.freedesktop.DBus.Introspectable", "Introspect"),
                     (PATH, "org.freedesktop.DBus.Peer", "Ping"),
                     (PATH, NAME + ".Manager", "ListTunnels"),
                     (PATH, NAME + ".Manager", "GetTunnel", "s", "office"),
                     (PATH + "/tunnel/public", NAME + ".Tunnel", "GetStatistics"),
                     (PATH + "/tunnel/public", NAME + ".Tunnel", "GetCoverProfile"),
                     (PATH + "/tunnel/public/peer/_37", NAME + ".Peer", "GetStatistics")):
            p = self.call(*argv)
            self.assertEqual(p.returncode, 0, p.stderr)
        self.assertIn("tunnel/public/peer/_37", self.bus.busctl("tree", NAME, uid=NOBODY).stdout)

    def test_nobody_changes(self):
        self.assert_denied(TUNNEL, NAME + ".Tunnel", "Connect")
        self.assert_denied(TUNNEL, NAME + ".Tunnel", "Disconnect")
        self.assert_denied(PATH + "/tunnel/public/peer/_37", NAME + ".Peer", "Disconnect")
        self.assert_denied(PATH, NAME + ".Manager", "Reload")
        for argv in (["up", "office"], ["up", "office", "--wait"], ["down", "public"], ["reload"]):
            p = self.ctl(*argv, uid=NOBODY, code=7)
            self.assertIn("Access denied", p.stderr)
            self.assertIn("as root", p.stderr)
        text = self.ctl("list").stdout
        self.assertIn("office", text)
        self.assertNotIn("connected\n", text.replace("disconnected", ""))
        self.assertIn("/tunnel/public/peer/_37", self.bus.busctl("tree", NAME).stdout)

    def test_root_changes(self):
        self.ctl("up", "office", "--wait")
        p = self.call(PATH + "/tunnel/public/peer/_37", NAME + ".Peer", "Disconnect", uid=0)
        self.assertEqual(p.returncode, 0, p.stderr)
        self.assertNotIn("/tunnel/public/peer/_37", self.bus.busctl("tree", NAME).stdout)

    def test_unknown_interface_is_stopped_by_the_bus(self):
        p = self.call(PATH, "org.example.Other", "Method")
        self.assertIn("denied", p.stderr.lower())


class Ownership(unittest.TestCase):
    def test_nobody_cannot_own(self):
        bus = Bus()
        self.addCleanup(bus.close)
        request = ("call", "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
                   "RequestName", "su", NAME, "0")
        p = bus.busctl(*request, uid=NOBODY)
        self.assertNotEqual(p.returncode, 0)
        self.assertIn("denied", p.stderr.lower() + "not allowed" * ("not allowed" in p.stderr))
        self.assertEqual(bus.busctl(*request).stdout, "u 1\n")


if __name__ == "__main__":
    if os.getuid() != 0:
        print("not root: other users cannot be played")
        sys.exit(77)
    unittest.main()
