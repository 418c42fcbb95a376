"""What clients get of files whose bytes are damaged, and that publishing them again mends them."""

from __future__ import annotations

import hashlib
import json
import pathlib
import subprocess
from typing import ClassVar

from tests.support.clients import ClientTestCase
from tests.support.daemon import Daemon, clean_environment, script
from tests.support.packages import make_wheel, wheel_name


def damage(daemon: Daemon, data: bytes, found: bytes | None) -> None:
    """Change stored bytes behind the daemon's back."""
    hex_digits = hashlib.sha256(data).hexdigest()
    path = daemon.folder / "blobs" / "sha256" / hex_digits[:2] / hex_digits[2:4] / hex_digits
    path.unlink()
    if found is not None:
        path.write_bytes(found)


class DamageCase(ClientTestCase):
    """A daemon with a folder, whatever the others have."""

    settings: ClassVar[str] = "[formats.generic]\nduplicates_allowed = false\n[scrub]\ninterval_days = 0\n"

    def make_daemon(self) -> Daemon:
        """Make one."""
        return Daemon(self.settings, blobs='url = "file:blobs"')

    def headers(self) -> dict[str, str]:
        """Read as a member."""
        return {"PRIVATE-TOKEN": self.daemon.world.writer}

    def status(self, *arguments: str) -> int:
        """Run a command of the operator that may find something; returns its status."""
        done = subprocess.run(
            [script("pkgregd"), "--config", str(self.daemon.config), *arguments],
            env=clean_environment(self.daemon.folder),
            capture_output=True,
            timeout=60,
            check=False,
        )
        return done.returncode

    def assert_damaged(self, path: str, code: str = "blob_damaged") -> None:
        """Fail unless a file is refused, also in pieces, as what it is."""
        for more in ({}, {"Range": "bytes=0-0"}):
            status, headers, body = self.daemon.get(path, {**self.headers(), **more})
            self.assertEqual((status, json.loads(body)["error_code"]), (503, code))
            self.assertNotIn("ETag", headers)
            self.assertNotIn("Retry-After", headers)
        status, headers, body = self.daemon.get(path, self.headers(), "HEAD")
        self.assertEqual((status, headers["ETag"], body), (503, None, b""))

    def check_end(self) -> None:
        """Damage that nobody knew of is logged with where it was found; nothing else is."""
        text = self.daemon.log_text()
        self.assertEqual(text.count("Traceback"), text.count("BlobMissing: "))
        self.daemon.stop()


class GenericTests(DamageCase):
    """curl and generic files, which may not be replaced."""

    client = "curl"

    def publish(self, path: str, data: bytes) -> None:
        """Upload with curl."""
        file = pathlib.Path(self.mktemp())
        file.write_bytes(data)
        where = f"{self.daemon.http_url}{path}"
        digest = f"X-Checksum-SHA256: {hashlib.sha256(data).hexdigest()}"
        headers = ("-H", f"PRIVATE-TOKEN: {self.daemon.world.writer}", "-H", digest)
        subprocess.run(
            [self.program, "--silent", "--show-error", "--fail", *headers, "--upload-file", str(file), where],
            check=True,
            capture_output=True,
            timeout=60,
        )

    def test_the_same_upload_mends(self) -> None:
        """Missing, cut, and changed bytes are refused once that is known, and served again after the same upload."""
        base = self.daemon.packages_path("generic", self.daemon.world.private_id)
        self.publish(f"{base}/whole/1.0/a.bin", b"whole")  # a store without a file is one that is not mounted
        for number, found in enumerate((None, b"short", b"changed" * 1000)):
            path, data = f"{base}/damaged/1.{number}/a.bin", b"correct" * 1000 + b"%d" % number
            found = found if found is None or len(found) < len(data) - 1 else found + b"%d" % number
            self.publish(path, data)
            damage(self.daemon, data, found)
            if found is None or len(found) != len(data):
                self.assertEqual(self.daemon.get(path, self.headers())[0], 503)
            self.assertEqual(self.status("fsck", "--repair", "--verify"), 1)
            self.assert_damaged(path)
            self.publish(path, data)
            self.assertEqual(self.daemon.get(path, self.headers())[::2], (200, data))
            self.assertEqual(self.status("fsck", "--verify"), 0)

    def test_before_it_is_known(self) -> None:
        """The same upload mends bytes of which nobody knew that they are damaged."""
        path = self.daemon.packages_path("generic", self.daemon.world.private_id) + "/unknown/1.0/a.bin"
        data = b"whole" * 1000
        for found in (None, b"short", b"other" * 1000):
            self.publish(path, data)
            damage(self.daemon, data, found)
            self.publish(path, data)
            self.assertEqual(self.daemon.get(path, self.headers())[::2], (200, data))


class TwineTests(DamageCase):
    """twine and Python files."""

    client = "twine"

    def test_the_same_upload_mends(self) -> None:
        """A wheel whose bytes are gone is there again after twine has sent it again."""
        wheel, name = make_wheel("damaged", "1.0"), wheel_name("damaged", "1.0")
        folder = pathlib.Path(self.mktemp())
        folder.mkdir()
        (folder / name).write_bytes(wheel)
        base = self.daemon.packages_path("pypi", self.daemon.world.private_id)

        where, token = ("--repository-url", self.daemon.http_url + base), self.daemon.world.writer

        def publish() -> None:
            subprocess.run(
                [self.program, "upload", "--non-interactive", *where, "-u", "wendy", "-p", token, str(folder / name)],
                env=clean_environment(folder),
                check=True,
                capture_output=True,
                timeout=120,
            )

        publish()
        path = f"{base}/files/{hashlib.sha256(wheel).hexdigest()}/{name}"
        self.assertEqual(self.daemon.get(path, self.headers())[::2], (200, wheel))
        damage(self.daemon, wheel, wheel[:-1] + b"x")
        self.assertEqual(self.status("scrub"), 1)
        self.assert_damaged(path)
        publish()
        self.assertEqual(self.daemon.get(path, self.headers())[::2], (200, wheel))
        self.assertEqual(self.status("scrub"), 0)
