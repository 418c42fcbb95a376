"""A SQLite catalog with real threads, driven without a reactor."""

from __future__ import annotations

import contextlib
import pathlib
import queue
import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from pkgregd.catalog.schema import migrate_file

DEADLINE_SECONDS = 30.0
"""How long a test waits for a thread before it fails."""


class ThreadedClock(Clock):
    """A clock that also takes calls from threads, and runs them when a test waits."""

    def __init__(self) -> None:
        super().__init__()
        self._calls: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()

    def callFromThread(self, function: Callable[..., object], *args: Any) -> None:
        """Keep a call for the test's thread."""
        self._calls.put(lambda: function(*args))

    def wait_for_call(self) -> None:
        """Wait until a thread has made a call, without running it."""
        self._calls.put(self._calls.get(timeout=DEADLINE_SECONDS))

    def run_until(self, is_done: Callable[[], bool]) -> None:
        """Run calls as they come until a condition holds."""
        while not is_done():
            self._calls.get(timeout=DEADLINE_SECONDS)()

    def wait(self, deferred: Deferred[Any]) -> None:
        """Run calls as they come until a Deferred has a result that is not another Deferred."""
        self.run_until(lambda: deferred.called and not deferred.paused)


_template: bytes | None = None


def migrated_file(path: pathlib.Path) -> pathlib.Path:
    """Make an empty database of our schema; only the first one of a process is really migrated."""
    global _template
    if _template is None:
        with tempfile.TemporaryDirectory() as folder:
            fresh = migrate_and_settle(pathlib.Path(folder) / "fresh.sqlite3")
            _template = fresh.read_bytes()
    path.write_bytes(_template)
    return path


def migrate_and_settle(path: pathlib.Path) -> pathlib.Path:
    """Migrate, and bring everything from the write-ahead log into the file."""
    migrate_file(path)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    return path


def make_folder(add_cleanup: Callable[..., None]) -> pathlib.Path:
    """Make a folder that goes when the test ends."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="catalog-"))
    add_cleanup(shutil.rmtree, folder, ignore_errors=True)
    return folder
