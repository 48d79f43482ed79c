#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""nexusctl against the fake nexusd: what it prints, its exit codes, its JSON."""
import base64
import json
import os
import subprocess
import unittest

from buslib import Bus, BusTest


class Keys(unittest.TestCase):
    """Without any bus: the address leads nowhere."""

    def ctl(self, *argv, stdin="", code=0):
        env = dict(os.environ, DBUS_SYSTEM_BUS_ADDRESS="unix:path=/nonexistent/socket")
        p = subprocess.run([os.environ["NEXUSCTL"], *argv], input=stdin, text=True, env=env,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
        self.assertEqual(p.returncode, code, p.stdout + p.stderr)
        return p

    def test_genkey(self):
        keys = {self.ctl("genkey").stdout for _ in range(8)}
        self.assertEqual(len(keys), 8)
        for key in keys:
            self.assertEqual(len(key), 45)
            raw = base64.b64decode(key, validate=False)
            self.assertEqual((raw[0] & 7, raw[31] & 0xc0), (0, 0x40))

    def test_genpsk_and_gensid(self):
        self.assertEqual(len(base64.b64decode(self.ctl("genpsk").stdout)), 32)
        self.assertRegex(self.ctl("gensid").stdout, r"\A[0-9a-f]{16}\n\Z")
        self.assertNotEqual(self.ctl("gensid").stdout, self.ctl("gensid").stdout)

    def test_pubkey(self):
        # RFC 7748 5.2 (one iteration; not clamped) and 6.1 (Bob)
        for private, public in (
                ("09" + 31 * "00",
                 "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079"),
                ("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb",
                 "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f")):
            text = base64.b64encode(bytes.fromhex(private)).decode()
            for stdin in (text, text + "\n", "  " + text + "\r\n"):
                found = self.ctl("pubkey", stdin=stdin).stdout
                self.assertEqual(base64.b64decode(found).hex(), public)

    def test_pubkey_refuses(self):
        key = self.ctl("genkey").stdout.strip()
        for stdin in ("", "\n", key[:-1], key + "A", key + "\n" + key, "?" + key[1:],
                      key[:20] + "\0" + key[21:], "A" * 100000):
            p = self.ctl("pubkey", stdin=stdin, code=1)
            self.assertEqual(p.stdout, "")
            self.assertIn("not a private key", p.stderr)

    def test_usage(self):
        for argv in (["nonsense"], ["genkey", "x"], ["pubkey", "x"], ["up"], ["down"],
                     ["up", "a", "b"], ["up", "a", "--timeout"], ["up", "a", "--timeout", "0"],
                     ["up", "a", "--timeout", "1x"], ["up", "a", "--timeout", "99999999999999999999"],
                     ["status", "a", "b"], ["status", "--nonsense"], ["status", "--interval", "-1"],
                     ["cover", "a", "b"], ["cover", "--nonsense"],
                     ["reload", "x"], ["list", "x"], ["monitor", "x"], [""]):
            self.assertIn("Usage", self.ctl(*argv, code=2).stderr)
        self.assertIn("genkey", self.ctl("--help").stdout)
        self.assertIn("--timeout", self.ctl("up", "--help").stdout)
        self.assertRegex(self.ctl("--version").stdout, r"\Anexusctl \d")

    def test_full_disk(self):
        with open("/dev/full", "w") as full:
            for command in ("genkey", "gensid", "--help"):
                p = subprocess.run([os.environ["NEXUSCTL"], command], stdout=full,
                                   stderr=subprocess.PIPE, timeout=60)
                self.assertEqual(p.returncode, 1, command)

    def test_no_bus(self):
        for argv in (["status"], [], ["list"], ["up", "office"], ["down", "office"], ["reload"],
                     ["monitor"], ["cover"]):
            self.assertIn("system bus", self.ctl(*argv, code=3).stderr)


class NotRunning(unittest.TestCase):
    def test_says_what_to_do(self):
        bus = Bus()
        self.addCleanup(bus.close)
        for argv in (["status"], ["status", "--json"], ["list"], ["up", "office", "--wait"],
                     ["down", "office"], ["reload"], ["monitor"]):
            p = bus.run(os.environ["NEXUSCTL"], *argv)
            self.assertEqual(p.returncode, 3, p.stderr)
            self.assertIn("nexusd is not running", p.stderr)
            self.assertIn("systemctl start nexusd", p.stderr)
            self.assertEqual(p.stdout, "")


class UpDown(BusTest):
    def state(self, name):
        for line in self.ctl("list").stdout.splitlines():
            if line.split()[0] == name:
                return line.split()[-1]
        return None

    def test_wait(self):
        self.ctl("up", "office", "--wait")
        self.assertEqual(self.state("office"), "connected")
        self.ctl("up", "office", "--wait")
        self.assertIn("already", self.ctl("up", "office").stdout)
        self.ctl("down", "office", "--wait")
        self.assertEqual(self.state("office"), "disconnected")
        self.ctl("down", "office", "--wait")
        self.assertIn("not connected", self.ctl("down", "office").stdout)

    def test_name_that_is_escaped(self):
        self.ctl("up", "my-vpn_2", "--wait")
        self.assertEqual(self.state("my-vpn_2"), "connected")

    def test_server(self):
        self.ctl("down", "public", "--wait")
        self.ctl("up", "public", "--wait")
        self.assertEqual(self.state("public"), "listening")

    def test_no_such_tunnel(self):
        for argv in (["up", "nowhere"], ["down", "nowhere"], ["status", "nowhere"],
                     ["cover", "nowhere"], ["cover", "--json", "nowhere"],
                     ["status", "--json", "nowhere"], ["up", ""], ["up", "a/b \u00e4"]):
            p = self.ctl(*argv, code=4)
            self.assertIn("no tunnel", p.stderr)
            self.assertEqual(p.stdout, "")

    def test_refused(self):
        p = self.ctl("up", "refused", "--wait", code=6)
        self.assertIn("the server did not know this key", p.stderr)
        # It still tries; asking again says the same at once.
        self.assertEqual(self.state("refused"), "reconnecting")
        self.ctl("up", "refused", "--wait", code=6)

    def test_timeout(self):
        p = self.ctl("up", "silent", "--timeout", "1", code=5)
        self.assertIn("still connecting", p.stderr)

    def test_broken(self):
        self.assertIn("no such file", self.ctl("up", "broken", code=1).stderr)
        self.assertIn("kernel module", self.ctl("up", "planeless", "--wait", code=1).stderr)

    def test_daemon_goes_away(self):
        with subprocess.Popen([os.environ["NEXUSCTL"], "monitor"], env=self.bus.env, text=True,
                              stdout=subprocess.PIPE) as monitor:
            self.assertIn("nexusd is running", monitor.stdout.readline())
            with subprocess.Popen([os.environ["NEXUSCTL"], "up", "silent", "--wait"],
                                  env=self.bus.env, text=True, stderr=subprocess.PIPE) as up:
                self.assertIn("silent: disconnected -> connecting", monitor.stdout.readline())
                self.stop_daemon()
                self.assertEqual(up.wait(timeout=60), 3)
                self.assertIn("went away", up.stderr.read())
            self.assertIn("nexusd stopped", monitor.stdout.readline())
            monitor.terminate()

    def test_monitor(self):
        with subprocess.Popen([os.environ["NEXUSCTL"], "monitor"], env=self.bus.env, text=True,
                              stdout=subprocess.PIPE) as monitor:
            self.assertIn("nexusd is running", monitor.stdout.readline())
            self.ctl("up", "my-vpn_2", "--wait")
            for line in monitor.stdout:
                if "my-vpn_2: connecting -> connected" in line:
                    break
            else:
                self.fail("the monitor ended")
            self.assertRegex(line, r"\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+0000 ")
            monitor.terminate()

    def test_reload(self):
        self.ctl("reload")
        self.assertEqual(self.state("extra"), "disconnected")
        self.ctl("reload")
        self.assertIsNone(self.state("extra"))


class Cover(BusTest):
    def test_text(self):
        text = self.ctl("cover").stdout
        self.assertRegex(text, r"(?m)\Afresh: no address of the cover is known yet\n"
                         r"  Nothing is learnt of the cover yet: .*\n"
                         r"public: cover 192\.0\.2\.80:443 \(alive\)\n"
                         r"  learnt      2023-11-14 22:13:20 \(\d+ d \d\d h ago\)\n"
                         r"  profile     connection ID 4 bytes\n"
                         r"              first \? flight\n"
                         r"  differences session tickets: none\n\Z")
        self.assertEqual(self.ctl("cover", "public").stdout, text[text.index("public:"):])

    def test_json(self):
        root = json.loads(self.ctl("cover", "--json").stdout)
        self.assertEqual(root, {"schema": 1, "tunnels": [
            {"name": "fresh", "cover_address": "", "cover_state": "", "learnt": 0, "profile": [],
             "differences": []},
            {"name": "public", "cover_address": "192.0.2.80:443", "cover_state": "alive",
             "learnt": 1700000000, "profile": ["connection ID 4 bytes", "first \x01 flight"],
             "differences": ["session tickets: none"]}]})
        one = json.loads(self.ctl("cover", "public", "--json").stdout)
        self.assertEqual(one["tunnels"], root["tunnels"][1:])

    def test_client(self):
        p = self.ctl("cover", "office", code=1)
        self.assertIn("no server", p.stderr)
        self.assertEqual(p.stdout, "")


class BadConfig(BusTest):
    daemon_arguments = ("--bad-config",)

    def test_reload(self):
        p = self.ctl("reload", code=1)
        self.assertIn("nexus.conf:7: mtu: 70000", p.stderr)


class Status(BusTest):
    def test_json(self):
        self.ctl("up", "office", "--wait")
        root = json.loads(self.ctl("status", "--json").stdout)
        self.assertEqual(set(root), {"schema", "version", "config_file", "dco_mode", "data_planes",
                                     "tunnels"})
        self.assertEqual(root["schema"], 1)
        self.assertEqual(root["dco_mode"], "preferred")
        dp = root["data_planes"]["nexus-dp"]
        self.assertEqual(dp["ciphers"], ["aes-128-gcm", "chacha20-poly1305"])
        self.assertEqual((dp["available"], dp["udp_gso"], dp["udp_gro"], dp["abi_version"]),
                         (True, True, False, 1))
        self.assertEqual(root["data_planes"]["nexus_quic_dco"],
                         {"available": False, "reason": "the kernel module is not loaded"})
        names = [t["name"] for t in root["tunnels"]]
        self.assertEqual(names, sorted(names))
        self.assertEqual(len(names), 8)
        tunnel_keys = {"name", "role", "state", "state_reason", "state_text", "data_plane",
                       "data_plane_reason", "interface", "endpoint", "local_endpoint", "addresses",
                       "routes", "dns", "dns_domains", "revoked_users", "mtu", "cipher", "congestion",
                       "key_exchange",
                       "preshared_key", "post_quantum", "connected_since",
                       "last_handshake",
                       "cover_address", "cover_state", "cover_learnt", "statistics", "rates", "peers"}
        for t in root["tunnels"]:
            self.assertEqual(set(t), tunnel_keys)
        office = root["tunnels"][names.index("office")]
        self.assertEqual((office["state"], office["mtu"], office["addresses"], office["cipher"]),
                         ("connected", 1400, ["10.66.0.2/32"], "aes-128-gcm"))
        self.assertEqual((office["key_exchange"], office["post_quantum"], office["preshared_key"]),
                         ("X25519MLKEM768", True, False))
        public = root["tunnels"][names.index("public")]
        self.assertEqual((public["key_exchange"], public["post_quantum"], public["preshared_key"]),
                         ("", None, False))
        self.assertEqual(office["statistics"]["srtt_us"], 12345)
        self.assertEqual(office["statistics"]["aead_open_failures"], 2**64 - 1)
        self.assertIsNone(office["rates"])
        self.assertIsNone(root["tunnels"][names.index("silent")]["statistics"])
        peers = root["tunnels"][names.index("public")]["peers"]
        self.assertEqual([p["user"] for p in peers], ['alice "a" \x01', "bob"])
        self.assertEqual(peers[1]["addresses"], ["fd66::2/128"])
        self.assertEqual([(p["key_exchange"], p["post_quantum"], p["preshared_key"]) for p in peers],
                         [("X25519MLKEM768", True, True), ("X25519", False, True)])
        self.assertEqual(set(peers[0]), {"user", "endpoint", "addresses", "cipher", "key_exchange",
                                         "preshared_key", "post_quantum",
                                         "connected_since", "last_handshake", "old_server_key",
                                         "statistics"})
        self.assertEqual((peers[0]["connected_since"], peers[0]["last_handshake"]),
                         (1700000000, 1700003600))
        self.assertEqual([p["old_server_key"] for p in peers], [True, False])

    def test_json_of_one(self):
        root = json.loads(self.ctl("status", "--json", "public", "--interval", "1").stdout)
        self.assertEqual([t["name"] for t in root["tunnels"]], ["public"])
        rates = root["tunnels"][0]["rates"]
        # One more million bytes in at least a millisecond.
        self.assertGreater(rates["tx_bits_per_s"], 0)
        self.assertLessEqual(rates["tx_bits_per_s"], 8e9)
        self.assertGreaterEqual(rates["interval_us"], 1000)

    def test_text(self):
        self.ctl("up", "office", "--wait")
        text = self.ctl("status", "--interval", "1").stdout
        for words in ("office: client, connected since 2023-11-14 22:13:20", "nexus0, MTU 1400",
                      "192.0.2.7:443", "RTT 12.3 ms (min 11.0), cwnd 147.5 kB", "loss 0.50 %",
                      "nexus-dp (the kernel module is not loaded)", "source-prefix-drops 3",
                      "4 done, 2 refused (clock), 1 broken off",
                      "bit/s", "public: server, listening", "2 connected",
                      "key exchange post-quantum (X25519MLKEM768)\n", "  keys         ",
                      'alice "a" ? from 192.0.2.7:443, 10.66.0.2/32',
                      "post-quantum (X25519MLKEM768), preshared key",
                      "classical (X25519), preshared key, keys "):
            self.assertIn(words, text)
        self.assertNotIn("\x01", text)
        one = self.ctl("status", "office", "--interval", "0").stdout
        self.assertNotIn("bit/s", one)
        self.assertNotIn("public", one)

    def test_bare_command(self):
        self.assertIn("office: client, disconnected", self.ctl().stdout)

    def test_list(self):
        self.assertIn(["public", "server", "listening"],
                      [line.split() for line in self.ctl("list").stdout.splitlines()])


if __name__ == "__main__":
    unittest.main()
