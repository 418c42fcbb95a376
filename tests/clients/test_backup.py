"""Backup and restore as the manual tells it: its own commands, on both databases, while uploads go on."""

from __future__ import annotations

import http.client
import json
import os
import pathlib
import shutil
import stat
import subprocess
import sys
import threading
from collections.abc import Callable

from twisted.trial.unittest import SynchronousTestCase

from tests.support.canary import look_at_text
from tests.support.daemon import Daemon, clean_environment, script, wait_until
from tests.support.manual import shell_of
from tests.support.packages import make_wheel, small_form, wheel_name
from tests.support.postgresql import programs, server

COMMAND_SECONDS = 120.0


class Uploads:
    """
    Publishes one small file after the other, from a thread.

    Attributes:
        acknowledged: paths that were answered with 201, in order.
    """

    def __init__(self, put: Callable[[str, bytes], int]) -> None:
        self.acknowledged: list[str] = []
        self.failures: list[int] = []
        self._put = put
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        number = 0
        while not self._is_over.is_set():
            number += 1
            name = f"file-{number}.bin"
            status = self._put(name, name.encode() * 100)
            if status == 201:
                self.acknowledged.append(name)
            else:
                self.failures.append(status)

    def end(self) -> None:
        """Stop."""
        self._is_over.set()
        self._thread.join()


class BackupCase:
    """The page, from a registry at work to one that was restored."""

    def setUp(self) -> None:
        """Run a registry with some packages."""
        super().setUp()  # type: ignore[misc]
        self.daemon, self.restored = self.make_daemon("old"), self.make_daemon("new")
        self.daemon.cli("migrate")
        self.daemon.cli("seed")
        self.daemon.start()
        self.token = (self.daemon.folder / "root-token").read_text().strip()
        for name in ("hello", "world"):
            for version in ("1.0", "1.1"):
                self.assertEqual(self.post_wheel(name, version), 201)
        self.backup = pathlib.Path(self.mktemp()).absolute()

    def make_daemon(self, which: str) -> Daemon:
        """Make a daemon with a folder of files and no database."""
        daemon = Daemon(blobs='url = "file:blobs"')
        self.addCleanup(daemon.close)
        for file in daemon.folder.glob("pkgregd.sqlite3*"):
            file.unlink()
        text = daemon.config.read_text()
        daemon.config.write_text(text.replace(f'url = "{daemon.catalog_url}"', f'url = "{self.make_url(which)}"'))
        return daemon

    def make_url(self, which: str) -> str:
        """Return the URL of a database that is empty, or not there."""
        raise NotImplementedError

    def headers(self) -> dict[str, str]:
        """Act as the administrator."""
        return {"PRIVATE-TOKEN": self.token}

    def generic_path(self, name: str) -> str:
        """Return where a generic file is."""
        return f"{self.daemon.packages_path('generic', '1')}/busy/1.0/{name}"

    def put(self, name: str, data: bytes) -> int:
        """Publish a generic file."""
        connection = http.client.HTTPConnection("127.0.0.1", self.daemon.port, timeout=60)
        try:
            connection.request("PUT", self.generic_path(name), data, self.headers())
            return connection.getresponse().status
        finally:
            connection.close()

    def post_wheel(self, name: str, version: str) -> int:
        """Publish a wheel."""
        form = small_form(name, version, make_wheel(name, version))
        connection = http.client.HTTPConnection("127.0.0.1", self.daemon.port, timeout=60)
        try:
            path = self.daemon.packages_path("pypi", "1")
            connection.request("POST", path, b"".join(form), {**self.headers(), **form.headers})
            return connection.getresponse().status
        finally:
            connection.close()

    def run_page(self, *parts: str) -> None:
        """Run the shell of those sections of the page, as the daemon serves it."""
        status, _, served = self.daemon.get("/help/backup.md")
        self.assertEqual(status, 200)
        sections = {text.partition("\n")[0]: text for text in served.decode().split("\n## ")}
        text = "\n".join(shell_of(sections[part]) for part in parts)
        self.assertNotEqual(text, "")
        environment = {
            **clean_environment(self.daemon.folder),
            "PATH": f"{pathlib.Path(sys.executable).parent}:{programs()}:{os.environ['PATH']}",
            "CONFIG": str(self.daemon.config),
            "BLOBS": str(self.daemon.folder / "blobs"),
            "BACKUP": str(self.backup),
            "NEW_CONFIG": str(self.restored.config),
            "NEW_BLOBS": str(self.restored.folder / "blobs"),
        }
        done = subprocess.run(
            ["bash", "-euxo", "pipefail", "-c", text],
            env=environment,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        look_at_text((done.stdout + done.stderr).encode(), "what the commands of the page print")

    def status(self, *arguments: str) -> tuple[int, str]:
        """Run `pkgregd` on the restored registry; returns its status and what it wrote."""
        done = subprocess.run(
            [script("pkgregd"), "--config", str(self.restored.config), *arguments],
            env={**clean_environment(self.restored.folder), "PATH": f"{programs()}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    def shown(self, daemon: Daemon) -> dict[str, bytes]:
        """Return what a daemon shows of what was there before the backup, by path."""
        pages = ("pypi/simple/hello/", "pypi/simple/world/", "pypi/simple/")
        paths = [f"/api/v4/projects/1/packages{page}" for page in ("?package_name=hello", "?package_name=world")]
        paths += [f"/api/v4/projects/1/packages/{page}" for page in pages]
        shown = {path: daemon.get(path, self.headers()) for path in paths}
        self.assertEqual({answer[0] for answer in shown.values()}, {200})
        return {path: answer[2].replace(daemon.url.encode(), b"URL") for path, answer in shown.items()}

    def test_while_uploads_go_on(self) -> None:
        """What was acknowledged before is there after, whole, and shown byte for byte as it was."""
        uploads = Uploads(self.put)
        try:
            wait_until(lambda: len(uploads.acknowledged) > 20, "uploads")
            before = list(uploads.acknowledged)
            self.run_page("Back up")
            after = len(uploads.acknowledged)
            wait_until(lambda: len(uploads.acknowledged) > after, "uploads after the backup")
        finally:
            uploads.end()
        self.assertEqual(uploads.failures, [])
        self.assertGreater(after, len(before))
        self.assertEqual(stat.S_IMODE((self.backup / "catalog").stat().st_mode), 0o600)
        self.assertEqual(sorted(path.name for path in self.backup.iterdir()), ["blobs", "catalog"])
        shown = self.shown(self.daemon)
        self.run_page("Restore")
        self.restored.start()
        self.assertEqual(self.shown(self.restored), shown)
        for name in before:
            status, _, data = self.restored.get(self.generic_path(name), self.headers())
            self.assertEqual((status, data), (200, name.encode() * 100), name)
        for name in ("hello", "world"):
            path = f"/api/v4/projects/1/packages/pypi/simple/{name}/"
            self.assertIn(wheel_name(name, "1.1").encode(), self.restored.get(path, self.headers())[2])
        status, out = self.status("sweep", "--grace", "1s")
        self.assertEqual(status, 0, out)
        status, out = self.status("fsck", "--verify", "--grace", "1s")
        self.assertEqual(status, 0, out)

    def test_an_older_catalog_over_newer_blobs(self) -> None:
        """The catalog of before and the blobs of after: what is not known goes with the sweep, and all is well."""
        self.run_page("Back up")
        for number in range(10):
            self.assertEqual(self.put(f"later-{number}", b"later %d" % number), 201)
        shutil.copytree(self.daemon.folder / "blobs" / "sha256", self.backup / "blobs" / "sha256", dirs_exist_ok=True)
        self.run_page("Restore")
        status, out = self.status("fsck", "--json", "--grace", "1s")
        self.assertEqual((status, json.loads(out)["found"]), (1, {"unknown_object": 10}))
        status, out = self.status("sweep", "--grace", "1s", "--json")
        self.assertEqual((status, json.loads(out)["removed"]), (0, 10))
        status, out = self.status("fsck", "--verify", "--grace", "1s")
        self.assertEqual(status, 0, out)

    def test_nothing_is_overwritten(self) -> None:
        """Neither a copy nor a database is, and what is no copy is not restored."""
        self.run_page("Back up")
        copied = (self.backup / "catalog").read_bytes()
        for config, command in (
            (self.daemon.config, ("backup", str(self.backup / "catalog"))),
            (self.daemon.config, ("restore", str(self.backup / "catalog"))),
            (self.restored.config, ("restore", str(self.backup / "elsewhere"))),
            (self.restored.config, ("restore", str(self.daemon.folder / "daemon.log"))),
        ):
            done = subprocess.run(
                [script("pkgregd"), "--config", str(config), *command],
                env={**clean_environment(self.daemon.folder), "PATH": f"{programs()}:{os.environ['PATH']}"},
                capture_output=True,
                text=True,
                timeout=COMMAND_SECONDS,
                check=False,
            )
            self.assertEqual((done.returncode, done.stdout, done.stderr.count("\n")), (1, "", 1), done.stderr)
        self.assertEqual((self.backup / "catalog").read_bytes(), copied)
        self.assertEqual(self.daemon.get("/-/readyz")[0], 200)
        self.run_page("Restore")


class SqliteTests(BackupCase, SynchronousTestCase):
    """SQLite."""

    def make_url(self, which: str) -> str:
        """Return the usual file."""
        return "sqlite:pkgregd.sqlite3"


class PostgresTests(BackupCase, SynchronousTestCase):
    """PostgreSQL, by pg_dump and pg_restore."""

    def make_url(self, which: str) -> str:
        """Make an empty database."""
        name = f"backup_{which}"
        server().administer(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        server().administer(f"CREATE DATABASE {name}")
        return server().url(name)
