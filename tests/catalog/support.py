"""Catalogs with real threads, or a real server, driven without a reactor."""

from __future__ import annotations

import contextlib
import functools
import pathlib
import queue
import select
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable
from typing import Any

import psycopg2
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from pkgregd.catalog.postgresql_schema import migrate_server
from pkgregd.catalog.schema import migrate_file
from pkgregd.catalog.tables import metadata
from tests.support.postgresql import server

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


class PollingClock(Clock):
    """A clock that also watches sockets, and serves them when a test waits."""

    def __init__(self) -> None:
        super().__init__()
        self._readers: set[Any] = set()
        self._writers: set[Any] = set()

    @property
    def nameResolver(self) -> PollingClock:
        """See IReactorPluggableNameResolver."""
        return self

    def resolveHostName(self, receiver: Any, host: str) -> None:
        """Find two names, the one at two addresses; answer that there is no `missing`, and never find another."""
        if host == "twofold":
            receiver.addressResolved(IPv6Address("TCP", "::1", 0))
        if host in ("localhost", "twofold"):
            receiver.addressResolved(IPv4Address("TCP", "127.0.0.1", 0))
        if host in ("localhost", "twofold", "missing"):
            receiver.resolutionComplete()

    def addReader(self, reader: Any) -> None:
        """See IReactorFDSet."""
        self._readers.add(reader)

    def removeReader(self, reader: Any) -> None:
        """See IReactorFDSet."""
        self._readers.discard(reader)

    def addWriter(self, writer: Any) -> None:
        """See IReactorFDSet."""
        self._writers.add(writer)

    def removeWriter(self, writer: Any) -> None:
        """See IReactorFDSet."""
        self._writers.discard(writer)

    def run_until(self, is_done: Callable[[], bool]) -> None:
        """Serve sockets, and calls that are due, until a condition holds."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while True:
            self.advance(0)
            if is_done():
                return
            if time.monotonic() > deadline:
                raise AssertionError("nothing happened in time")
            self._serve(0.0 if self._has_due_calls() else 0.2)

    def wait(self, deferred: Deferred[Any]) -> None:
        """Serve until a Deferred has a result that is not another Deferred."""
        self.run_until(lambda: deferred.called and not deferred.paused)

    def _has_due_calls(self) -> bool:
        return any(call.getTime() <= self.seconds() for call in self.getDelayedCalls())

    def _serve(self, seconds: float) -> None:
        readers = [each for each in self._readers if each.fileno() >= 0]
        writers = [each for each in self._writers if each.fileno() >= 0]
        readable, writable, _ = select.select(readers, writers, [], seconds)
        for each in readable:
            if each in self._readers:
                each.doRead()
        for each in writable:
            if each in self._writers:
                each.doWrite()


@functools.cache
def migrated_database() -> str:
    """Make a database of our schema on the tests' own server, once a process; returns its URL."""
    url = server().url()
    migrate_server(url)
    return url


def emptied_database() -> str:
    """Return the URL of a database of our schema without a row, whose numbers begin again."""
    url = migrated_database()
    tables = ", ".join(table.name for table in metadata.sorted_tables)
    with contextlib.closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {tables} RESTART IDENTITY CASCADE")
        connection.commit()
    return url


def make_tasks_older(url: str, seconds: float) -> None:
    """Let time pass for the tasks of a database, whose server has a clock of its own."""
    times = ", ".join(f"{name} = {name} - %(gone)s" for name in ("due_at", "created_at", "started_at", "finished_at"))
    with contextlib.closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute("UPDATE tasks SET " + times, {"gone": int(seconds * 1_000_000)})  # noqa: S608
        connection.commit()
