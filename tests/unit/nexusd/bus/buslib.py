# SPDX-License-Identifier: GPL-2.0-or-later
"""A private system bus with the real policy file, a fake nexusd on it, and nexusctl calls.

Used by the test_*.py files beside it. The environment names the programs: FAKE_NEXUSD, NEXUSCTL,
DBUS_POLICY, DBUS_XML (meson sets them). Run as root the bus applies Nexus' own policy on top of a
deny-by-default one like the distribution's system.conf.
"""
import os
import shutil
import subprocess
import tempfile
import unittest

NAME = "org.nexusvpn.Nexus1"
PATH = "/org/nexusvpn/Nexus1"
NOBODY = 65534
TIMEOUT = 60

BUS_CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
 <listen>unix:path={dir}/socket</listen>
 <auth>EXTERNAL</auth>
 <policy context="default">
  <allow user="*"/>
  <deny own="*"/>
  <deny send_type="method_call"/>
  <allow send_type="signal"/>
  <allow send_requested_reply="true" send_type="method_return"/>
  <allow send_requested_reply="true" send_type="error"/>
  <allow receive_type="method_call"/>
  <allow receive_type="method_return"/>
  <allow receive_type="error"/>
  <allow receive_type="signal"/>
  <allow send_destination="org.freedesktop.DBus"/>
 </policy>
 {extra}
 <include>{policy}</include>
</busconfig>
"""

# Without root the own uid stands in for it.
OWN_POLICY = '<policy user="{uid}"><allow own="{name}"/></policy>'


class Bus:
    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="nexus-bus-")
        os.chmod(self.dir, 0o755)
        extra = "" if os.getuid() == 0 else OWN_POLICY.format(uid=os.getuid(), name=NAME)
        config = os.path.join(self.dir, "bus.conf")
        with open(config, "w") as f:
            f.write(BUS_CONFIG.format(dir=self.dir, extra=extra,
                                      policy=os.path.abspath(os.environ["DBUS_POLICY"])))
        # A copy that other users reach, wherever the build folder lies.
        self.nexusctl = shutil.copy(os.environ["NEXUSCTL"], self.dir)
        self.address = f"unix:path={self.dir}/socket"
        self.env = dict(os.environ, DBUS_SYSTEM_BUS_ADDRESS=self.address, LC_ALL="C", TZ="UTC")
        self.daemon = subprocess.Popen(
            ["dbus-daemon", f"--config-file={config}", "--nofork", "--nopidfile",
             "--print-address"], stdout=subprocess.PIPE)
        if not self.daemon.stdout.readline():
            raise RuntimeError("dbus-daemon did not start")

    def close(self):
        self.daemon.kill()
        self.daemon.wait()
        self.daemon.stdout.close()
        shutil.rmtree(self.dir)

    def run(self, *argv, uid=None, stdin=""):
        user = {} if uid is None else {"user": uid, "group": uid, "extra_groups": []}
        return subprocess.run(argv, env=self.env, input=stdin, text=True, timeout=TIMEOUT,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, **user)

    def busctl(self, *argv, uid=None):
        return self.run("busctl", f"--address={self.address}", "--auto-start=no", *argv, uid=uid)


class Daemon:
    """fake-nexusd; returns when it has its name."""

    def __init__(self, bus, *argv):
        self.bus = bus
        # Subscribed before the start, so that the name cannot be missed.
        waiter = subprocess.Popen(
            ["dbus-monitor", "--address", bus.address,
             f"type='signal',member='NameOwnerChanged',arg0='{NAME}'"],
            env=bus.env, stdout=subprocess.PIPE, text=True)
        for line in waiter.stdout:
            if "member=NameLost" in line:  # it has become a monitor
                break
        self.process = subprocess.Popen([os.environ["FAKE_NEXUSD"], *argv], env=bus.env,
                                        stdin=subprocess.PIPE)
        for line in waiter.stdout:
            if "member=NameOwnerChanged" in line:
                break
        waiter.kill()
        waiter.wait()
        waiter.stdout.close()

    def close(self):
        """Ends it; the exit status is the sanitizers' verdict too."""
        self.process.stdin.close()
        return self.process.wait(timeout=TIMEOUT)


class BusTest(unittest.TestCase):
    daemon_arguments = ()

    def setUp(self):
        self.bus = Bus()
        self.addCleanup(self.bus.close)
        self.daemon = Daemon(self.bus, *self.daemon_arguments)
        self.addCleanup(self.stop_daemon)

    def stop_daemon(self):
        if self.daemon:
            self.assertEqual(self.daemon.close(), 0)
            self.daemon = None

    def ctl(self, *argv, code=0, **kwargs):
        p = self.bus.run(self.bus.nexusctl, *argv, **kwargs)
        self.assertEqual(p.returncode, code, p.stdout + p.stderr)
        return p
