"""`make run`: the script behind it, twice over the same folder."""

from __future__ import annotations

import http.client
import os
import pathlib
import signal
import stat
import subprocess
import sys
import tomllib

from twisted.trial.unittest import SynchronousTestCase

from tests.support.daemon import ROOT, clean_environment, free_ports, wait_until


class RunTests(SynchronousTestCase):
    """From an empty folder to a daemon that serves."""

    def setUp(self) -> None:
        """Choose a folder with a space in its name."""
        super().setUp()
        self.var = pathlib.Path(self.mktemp()).absolute() / "a var"

    def start(self, port: int) -> subprocess.Popen[str]:
        """Start the script and wait until the daemon is ready."""
        settings = {"BIN": str(pathlib.Path(sys.executable).parent), "PORT": str(port), "VAR": str(self.var)}
        process = subprocess.Popen(
            ["sh", str(ROOT / "scripts" / "run.sh")],
            cwd=ROOT,
            env=clean_environment(ROOT, settings),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)

        def is_ready() -> bool:
            self.assertIsNone(process.poll(), "it has ended")
            try:
                return self.status(port, "/-/readyz") == 200
            except OSError:
                return False

        wait_until(is_ready, "readiness", 60)
        return process

    def stop(self, process: subprocess.Popen[str]) -> str:
        """Stop it as Ctrl-C does; returns what it has written."""
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=60)
        return output

    def status(self, port: int, path: str, method: str = "GET", body: bytes | None = None) -> int:
        """Send a request with the root token, if there is one yet; returns the status."""
        token_file = self.var / "root-token"
        headers = {"PRIVATE-TOKEN": token_file.read_text().strip()} if token_file.exists() else {}
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        try:
            connection.request(method, path, body, headers)
            return connection.getresponse().status
        finally:
            connection.close()

    def test_first_run_and_second_run(self) -> None:
        """The first run makes everything, private to its user; the second finds it again, on another port."""
        first_port, second_port = free_ports(2)
        process = self.start(first_port)
        path = "/api/v4/projects/demo%2Fpackages/packages/generic/run/1.0/run.txt"
        self.assertEqual(self.status(first_port, path, "PUT", b"hello"), 201)
        output = self.stop(process)
        self.assertIn(f"http://127.0.0.1:{first_port}/api/v4/projects/", output)
        for name, mode in (("", 0o700), ("root-token", 0o600), ("pkgregd.toml", 0o600)):
            self.assertEqual(stat.S_IMODE(os.stat(self.var / name).st_mode), mode, name)
        token = (self.var / "root-token").read_text()

        process = self.start(second_port)
        self.assertEqual(self.status(second_port, path), 200)
        output = self.stop(process)
        self.assertIn(f"http://127.0.0.1:{second_port}/api/v4/projects/", output)
        self.assertNotIn(str(first_port), output)
        self.assertEqual((self.var / "root-token").read_text(), token)
        config = tomllib.loads((self.var / "pkgregd.toml").read_text())
        self.assertEqual(config["http"]["external_url"], f"http://127.0.0.1:{second_port}")
