"""The stream of the audit trail from a real daemon, and `pkgregd audit` beside it."""

from __future__ import annotations

import http.client
import json
import subprocess
import time
from collections.abc import Iterator
from typing import Any

from tests.support.cases import DaemonTestCase
from tests.support.daemon import Daemon, clean_environment, script


class StreamTests(DaemonTestCase):
    """`/-/audit.ndjson`."""

    def make_daemon(self) -> Daemon:
        """Make one with an administrator."""
        daemon = super().make_daemon()
        daemon.cli("user", "add", "root", "--admin")
        self.__class__.secret = daemon.cli(
            "token", "add", "--kind", "personal", "--user", "root", "--scope", "read_api"
        )
        return daemon

    secret: str

    def open(self, query: str) -> http.client.HTTPResponse:
        """Begin to read."""
        connection = http.client.HTTPConnection("127.0.0.1", self.daemon.port, timeout=20)
        self.addCleanup(connection.close)
        connection.request("GET", f"/-/audit.ndjson{query}", headers={"PRIVATE-TOKEN": self.secret})
        reply = connection.getresponse()
        self.assertEqual(reply.status, 200)
        return reply

    def lines(self, reply: http.client.HTTPResponse) -> Iterator[dict[str, Any]]:
        """Read line by line, as they come."""
        while line := reply.readline():
            yield json.loads(line)

    def test_follows_what_another_process_does(self) -> None:
        """The operator's change is there within a second or so; a second reader goes on where the first ended."""
        known = list(self.lines(self.open("")))
        self.assertEqual(known[0]["action"], "add_group")
        self.assertTrue(known[0]["principal"]["name"].startswith("operator:"))
        following = self.lines(self.open(f"?after={known[-1]['id']}&follow=true"))
        self.daemon.cli("user", "add", "newcomer")
        began_at = time.monotonic()
        entry = next(following)
        self.assertLess(time.monotonic() - began_at, 10)
        self.assertEqual((entry["id"], entry["subject"]), (known[-1]["id"] + 1, "newcomer"))
        self.assertEqual(list(self.lines(self.open(f"?after={known[-1]['id']}"))), [entry])
        self.assertEqual(list(map(json.loads, self.daemon.cli("audit").splitlines())), [*known, entry])

    def test_the_command_follows(self) -> None:
        """It prints what is there at once, and ends quietly with its reader."""
        process = subprocess.Popen(
            [script("pkgregd"), "--config", str(self.daemon.config), "audit", "--follow"],
            env=clean_environment(self.daemon.folder),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert process.stdout is not None
        assert process.stderr is not None
        self.assertEqual(json.loads(process.stdout.readline())["id"], 1)
        process.stdout.close()
        self.daemon.cli("user", "add", "another")
        self.assertEqual(process.wait(30), 0)
        self.assertEqual(process.stderr.read(), b"")
        process.stderr.close()

    def test_zy_ends_with_the_daemon(self) -> None:
        """A drain ends it after a whole line, in good order, at once."""
        reply = self.open("?follow=true")
        following = self.lines(reply)
        next(following)
        began_at = time.monotonic()
        self.daemon.stop()
        self.assertLess(time.monotonic() - began_at, 15)
        list(following)
        self.assertTrue(reply.isclosed())
        self.daemon.start()
