"""A daemon under something that does what systemd does: it is told how the daemon does, and holds its port."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys

from tests.support.daemon import ROOT, clean_environment, script, wait_until
from tests.torture.test_workers import ServingCase, is_alive

BECOME = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ["LISTEN_PID"] = os.environ["WATCHDOG_PID"] = str(os.getpid())
os.execv(sys.argv[2], sys.argv[2:])
"""
"""Becomes the daemon, with the socket where systemd puts it."""


class SystemdCase(ServingCase):
    """A daemon of a test that plays systemd."""

    def setUp(self) -> None:
        """Open the socket that it is told by."""
        self.told: list[str] = []

    def run_under(self, workers: int, http: str = "") -> None:
        """Start a daemon, stop it, and have the test hold its port and start it from now on."""
        daemon = self.start(workers, http)
        daemon.stop()
        self.ear = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.ear.close)
        address = f"\0pkgregd-test-{os.getpid()}-{daemon.port}"
        self.ear.bind(address)
        self.ear.setblocking(False)
        self.held = socket.create_server(("127.0.0.1", daemon.port), backlog=512)
        self.addCleanup(self.held.close)
        self.environment = {
            "PYTHONPATH": str(ROOT),
            "NOTIFY_SOCKET": "@" + address[1:],
            "WATCHDOG_USEC": "500000",
            "LISTEN_FDS": "1",
            "LISTEN_FDNAMES": "pkgregd.socket",
        }

    def exec_daemon(self) -> None:
        """Start it, and wait until it says that it is ready."""
        self.told.clear()
        twistd = [script("twistd"), "--nodaemon", "--pidfile=", "pkgregd", "--config", str(self.daemon.config)]
        with (self.daemon.folder / "daemon.log").open("ab") as log:
            self.daemon._process = subprocess.Popen(
                [sys.executable, "-c", BECOME, str(self.held.fileno()), *twistd],
                cwd=self.daemon.folder,
                env=clean_environment(self.daemon.folder, self.environment),
                pass_fds=[self.held.fileno()],
                stdout=log,
                stderr=log,
            )
        self.wait_for_word("READY=1")

    def hear(self) -> list[str]:
        """Return all that was told so far, message by message."""
        while True:
            try:
                self.told.append(self.ear.recv(4096).decode())
            except BlockingIOError:
                return self.told

    def wait_for_word(self, word: str) -> None:
        """Wait until something was told."""
        try:
            wait_until(lambda: any(word in message for message in self.hear()), word, 90)
        except TimeoutError as error:
            self.fail(f"{error}: {self.told}\n{self.daemon.log_text()[-4000:]}")


class SystemdTests(SystemdCase):
    """What systemd hears, and what it holds."""

    def check_messages(self, workers: int) -> None:
        """Start, reload and stop."""
        self.run_under(workers)
        self.exec_daemon()
        self.wait_for_word("WATCHDOG=1")
        self.told.clear()
        self.daemon.process.send_signal(signal.SIGHUP)
        self.wait_for_word("READY=1")
        words = [message.partition("\n")[0] for message in self.told if "WATCHDOG" not in message]
        self.assertEqual(words, ["RELOADING=1", "READY=1"])
        [reloading] = [message for message in self.told if "RELOADING" in message]
        self.assertRegex(reloading, r"\nMONOTONIC_USEC=\d+$")
        process = self.daemon.process
        self.daemon.stop()
        self.wait_for_word("STOPPING=1")
        self.assertFalse(is_alive(process.pid))

    def test_what_systemd_hears(self) -> None:
        """Readiness, signs of life, reloads and the stop."""
        self.check_messages(1)

    def test_what_systemd_hears_of_workers(self) -> None:
        """The same of a supervisor."""
        self.check_messages(2)

    def check_restarts(self, workers: int) -> None:
        """Restart it while clients connect to the socket that the test holds."""
        self.run_under(workers)
        self.exec_daemon()
        with self.load() as load:
            for _ in range(2):
                self.daemon.stop()
                self.exec_daemon()
                load.more(50)
        self.assertEqual(load.failures, [])

    def test_a_restart_loses_no_connection(self) -> None:
        """Connections wait in the socket while there is no daemon."""
        self.check_restarts(1)

    def test_a_restart_of_workers_loses_no_connection(self) -> None:
        """The same with workers."""
        self.check_restarts(2)

    def test_an_endpoint_of_systemds(self) -> None:
        """Twisted's own description of an inherited socket works with workers, over a reload, too."""
        self.run_under(2)
        text = self.daemon.config.read_text()
        plain = f"tcp:{self.daemon.port}:interface=127.0.0.1"
        self.daemon.config.write_text(text.replace(plain, "systemd:domain=INET:index=0"))
        self.exec_daemon()
        self.assertEqual(self.daemon.get(self.path, self.token)[0], 200)
        self.hup("process#info] reloaded")
        self.assertEqual(self.daemon.get(self.path, self.token)[0], 200)
