"""The table of hostile uploads over the socket of a real daemon: each is a 4xx that says why, and leaves no trace."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter

from tests.formats.test_pypi import B, form
from tests.support.blobs import ON_DISK
from tests.support.cases import DaemonTestCase
from tests.support.daemon import wait_until
from tests.support.hostile_archives import Hostile, good_uploads, hostile_uploads
from tests.support.rawhttp import Answer, RawConnection
from tests.support.stored import staged_files, stored_blobs

MIB = 1 << 20
GROWTH_BYTES = 192 * MIB
"""What reading hostile archives may cost; the greatest directories and names have bounds of 16 MiB each."""


class HostilePackageTests(DaemonTestCase):
    """One daemon, and one upload after the other."""

    blobs = ON_DISK

    def upload(self, hostile: Hostile) -> Answer:
        """Post it as a developer."""
        body = form(hostile.fields, hostile.file_name, hostile.make())
        headers = {
            "PRIVATE-TOKEN": self.daemon.world.writer,
            "Content-Type": f"multipart/form-data; boundary={B}",
            "Content-Length": str(len(body)),
        }
        path = self.daemon.packages_path("pypi", self.daemon.world.private_id)
        with RawConnection(self.daemon.port) as connection:
            return connection.request("POST", path, headers, [body])

    def names(self) -> list[str]:
        """Read the names that the index lists."""
        path = self.daemon.packages_path("pypi", self.daemon.world.private_id) + "/simple/"
        headers = {"PRIVATE-TOKEN": self.daemon.world.writer, "Accept": "application/vnd.pypi.simple.v1+json"}
        return [project["name"] for project in json.loads(self.daemon.get(path, headers)[2])["projects"]]

    def test_table(self) -> None:
        """All get a 4xx with a message; then nothing is listed, stored or staged, and a good one is still taken."""
        counts: Counter[str] = Counter()
        slowest: tuple[float, str] = (0.0, "")
        before_bytes = self.daemon.resident_bytes()
        self.daemon.reset_peak()
        for hostile in hostile_uploads():
            started_at = time.monotonic()
            answer = self.upload(hostile)
            slowest = max(slowest, (time.monotonic() - started_at, str(hostile)))
            self.assertIn(answer.status, range(400, 500), f"{hostile}: {answer.body!r}")
            message = json.loads(answer.body)["message"]
            self.assertTrue(message.isprintable(), f"{hostile}: {message!a}")
            self.assertGreater(len(message), len("400 Bad Request - "), hostile)
            counts[hostile.threat] += 1
        grown_bytes = self.daemon.peak_bytes() - before_bytes
        table = "".join(f"\n  {threat}  {counts[threat]:4}" for threat in sorted(counts))
        sys.stdout.write(
            f"\n  refused uploads by threat{table}\n  all {counts.total():5}\n"
            f"  memory grew by {grown_bytes / MIB:.0f} MiB\n"
            f"  the slowest, its making included, took {slowest[0]:.2f} s: {slowest[1]} "
        )
        self.assertGreater(counts.total(), 400)
        self.assertLess(grown_bytes, GROWTH_BYTES)
        self.assertEqual(self.names(), [])
        wait_until(lambda: not stored_blobs(self.daemon.folder), "removal of refused blobs")
        self.assertEqual(staged_files(self.daemon.folder), set())
        self.assertNotIn("Traceback", self.daemon.log_text())
        self.assertEqual([self.upload(good).status for good in good_uploads()], [201] * 3)
        self.assertEqual(self.names(), ["demo"])
