"""Sweeps without grace beside publishes and deletions of equal bytes: nothing that was acknowledged is lost."""

from __future__ import annotations

import http.client
import json
import os
import random
import subprocess
import sys
import threading
import time
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.support.daemon import ROOT, Daemon, clean_environment
from tests.support.seaweedfs import s3_blobs

SECONDS = float(os.environ.get("PKGREGD_TORTURE_SWEEP_SECONDS", "6"))
MAX_SECONDS = 90.0
WRITERS = 6
PUBLISHES = 30
"""Of each writer, at least, however slow the machine is."""

CONTENTS = [bytes([number]) * 20_000 for number in range(3)]
"""So few that each is published and deleted by everybody all the time."""


class Writer(threading.Thread):
    """
    Publishes, reads and deletes packages of its own.

    Attributes:
        kept: the bytes of each path that was acknowledged and not deleted.
        troubles: whatever was not as it should be.
    """

    def __init__(self, number: int, daemon: Daemon, token: str) -> None:
        super().__init__()
        self.kept: dict[str, bytes] = {}
        self.troubles: list[str] = []
        self.published = 0
        self._number = number
        self._daemon = daemon
        self._token = token
        self._began_at = time.monotonic()
        self._random = random.Random(number)
        self._project = daemon.world.private_id

    def run(self) -> None:
        """Go on until the time is up."""
        try:
            self._connection = http.client.HTTPConnection("127.0.0.1", self._daemon.port, timeout=60)
            while not self._is_over():
                self._turn()
            self._connection.close()
        except Exception as error:  # told by the test
            self.troubles.append(repr(error))

    def _is_over(self) -> bool:
        took_seconds = time.monotonic() - self._began_at
        return took_seconds >= MAX_SECONDS or (took_seconds >= SECONDS and self.published >= PUBLISHES)

    def _ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        self._connection.request(method, path, body, {"PRIVATE-TOKEN": self._token})
        answer = self._connection.getresponse()
        return answer.status, answer.read()

    def _turn(self) -> None:
        self.published += 1
        name = f"p{self._number}-{self.published}"
        content = self._random.choice(CONTENTS)
        path = f"{self._daemon.packages_path('generic', self._project)}/{name}/1.0/f.bin"
        status, body = self._ask("PUT", path, content)
        if status != 201:
            self.troubles.append(f"PUT {status} {body!r}")
            return
        status, body = self._ask("GET", path)
        if (status, body) != (200, content):
            self.troubles.append(f"GET {status} {body[:200]!r}")
        if self._is_over():
            self.kept[path] = content
        else:
            self._delete_package(name)

    def _delete_package(self, name: str) -> None:
        packages = f"/api/v4/projects/{self._project}/packages"
        _, listed = self._ask("GET", f"{packages}?package_name={name}")
        (found,) = (package["id"] for package in json.loads(listed) if package["name"] == name)
        status, body = self._ask("DELETE", f"{packages}/{found}")
        if status != 204:
            self.troubles.append(f"DELETE {status} {body!r}")


class SweepCase:
    """Two sweepers in processes of their own, and the daemon."""

    def blobs(self) -> str:
        """Return where the blobs are."""
        raise NotImplementedError

    def test_nothing_is_lost(self) -> None:
        """Each file can be read right after it was published and in the end; what nobody needs is removed."""
        test: Any = self
        daemon = Daemon(blobs=self.blobs())
        test.addCleanup(daemon.close)
        daemon.start()
        daemon.cli("user", "add", "mona")
        daemon.cli("member", "add", "mona", "acme", "--role", "maintainer")
        token = daemon.cli("token", "add", "--kind", "personal", "--user", "mona", "--scope", "api")
        sweepers = [
            subprocess.Popen(
                [sys.executable, "-m", "tests.support.sweeping", str(daemon.config)],
                cwd=ROOT,
                env=clean_environment(daemon.folder),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            for _ in range(2)
        ]
        writers = [Writer(number, daemon, token) for number in range(WRITERS)]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        ended = [sweeper.communicate(b"", timeout=60) for sweeper in sweepers]
        test.assertEqual([sweeper.returncode for sweeper in sweepers], [0, 0], ended)
        test.assertEqual([trouble for writer in writers for trouble in writer.troubles], [])
        removed = sum(json.loads(out)["removed"] for out, _ in ended)
        published = sum(writer.published for writer in writers)
        test.assertGreater(removed, len(CONTENTS), (removed, published))
        for writer in writers:
            for path, content in writer.kept.items():
                status, _, body = daemon.get(path, {"PRIVATE-TOKEN": token})
                test.assertEqual((status, body), (200, content))
        daemon.cli("fsck", "--verify")
        test.assertNotIn("Traceback", daemon.log_text())


class SweepOfFilesTests(SweepCase, SynchronousTestCase):
    """In a folder."""

    def blobs(self) -> str:
        """Return the keys of a folder."""
        return 'url = "file:blobs"'


class SweepOfBucketTests(SweepCase, SynchronousTestCase):
    """In a bucket."""

    def blobs(self) -> str:
        """Return the keys of a bucket of its own."""
        return s3_blobs()
