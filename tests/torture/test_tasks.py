"""Daemons that share a catalog, each with its share of the tasks: killed, stopped, halted, and tasks that fail."""

from __future__ import annotations

import itertools
import json
import pathlib
import signal
import sys
from typing import TYPE_CHECKING, Any

from twisted.trial.unittest import SynchronousTestCase

from tests.support import patient
from tests.support.catalogs import SQLITE_URL, query
from tests.support.daemon import Daemon, wait_until
from tests.support.patient import TICK_SECONDS, Line
from tests.support.postgresql import server

if TYPE_CHECKING:
    _Base = SynchronousTestCase
else:
    _Base = object

SETTINGS = "[tasks]\npoll_seconds = 0.1\nlease_seconds = {lease_seconds}\n"
SHORT_LEASE, LONG_LEASE = 6, 600
"""The short one is to be waited for, and yet long enough for a daemon on a busy machine."""

PERIODS = 6

ADD_BROKEN = (
    "INSERT INTO tasks (kind, key, due_at, lease_number, attempts, is_wanted_again, bookmark, created_at)"
    " VALUES ('broken', '7', 0, 7, 7, false, '', 0)"
)
"""One that is due, and was tried as often as a task is but for once."""

_numbers = itertools.count(1)


class TwoDaemonsContract(_Base):
    """Two daemons over one catalog; mixed in before SynchronousTestCase."""

    def shared_url(self, first: Daemon) -> str:
        """Return the URL of the catalog that both are to use."""
        raise NotImplementedError

    def begin(self, lease_seconds: float) -> None:
        """Start both, and have the patient task done."""
        self.folder = pathlib.Path(self.mktemp()).absolute()
        self.folder.mkdir(parents=True)
        program = [sys.executable, "-m", "tests.support.patient", str(self.folder)]
        settings = SETTINGS.format(lease_seconds=lease_seconds)
        self.daemons = [Daemon(settings, program=program) for _ in range(2)]
        for daemon in self.daemons:
            self.addCleanup(daemon.close)
        url = self.shared_url(self.daemons[0])
        for daemon in self.daemons:
            text = daemon.config.read_text().replace(f'"{daemon.catalog_url}"', f'"{url}"')
            daemon.config.write_text(text)
        self.daemons[0].cli("migrate")
        for daemon in self.daemons:
            daemon.start()

    def lines(self, kind: str = "patient") -> list[Line]:
        """What the turns of a kind wrote so far."""
        return [line for line in patient.read(self.folder) if line.kind == kind]

    def words(self) -> list[str]:
        """What the patient turns wrote, in short."""
        return [line.word for line in self.lines()]

    def wait_for(self, *words: str) -> None:
        """Wait until the patient turns have written this."""
        wait_until(lambda: self.words() == list(words), f"{words}, but {self.words()}")

    def holder(self) -> Daemon:
        """Return the daemon whose turn was the last to begin."""
        pid = [line for line in self.lines() if line.word == "begin"][-1].pid
        return next(each for each in self.daemons if each.pid == pid)

    def other(self, daemon: Daemon) -> Daemon:
        """Return the other one."""
        return next(each for each in self.daemons if each is not daemon)

    def let_go(self, daemon: Daemon) -> None:
        """Let the patient turn of a daemon come to its end."""
        (self.folder / f"go-{daemon.process.pid}").touch()

    def task(self, kind: str, *options: str) -> dict[str, Any]:
        """Return a task as the operator sees it."""
        (row,) = json.loads(self.daemons[0].cli("task", "list", "--kind", kind, *options, "--json"))
        assert isinstance(row, dict)
        return row

    def wait_until_nobody_has(self, kind: str) -> None:
        """Wait until a task is in nobody's hands."""
        wait_until(
            lambda: self.query(f"SELECT lessee FROM tasks WHERE kind = '{kind}'") == [(None,)],  # noqa: S608
            f"the end of {kind}",
        )

    # --------------------------------------------------------------- deaths

    def test_who_is_killed_is_made_up_for(self) -> None:
        """The other one takes the task when the lease has run out, ends it, and it is done once."""
        self.begin(SHORT_LEASE)
        self.daemons[0].cli("task", "run", "patient")
        self.wait_for("begin")
        dies = self.holder()
        lives = self.other(dies)
        row = self.task("patient")
        self.assertEqual((row["state"], row["lessee"].rpartition(":")[2]), ("running", str(dies.process.pid)))
        dies.kill9()
        self.wait_for("begin", "begin")
        self.assertIs(self.holder(), lives)
        self.assertEqual(self.task("patient")["attempts"], 2)
        self.let_go(lives)
        self.wait_for("begin", "begin", "end")
        self.wait_until_nobody_has("patient")
        row = self.task("patient")
        self.assertEqual((row["state"], row["attempts"]), ("waiting", 0))
        dies.start()
        self.assertEqual(self.words(), ["begin", "begin", "end"])

    def test_who_is_halted_comes_back_to_nothing(self) -> None:
        """A process that stood still for longer than its lease has lost the task, and cannot end it."""
        self.begin(SHORT_LEASE)
        self.daemons[0].cli("task", "run", "patient")
        self.wait_for("begin")
        halted = self.holder()
        other = self.other(halted)
        halted.process.send_signal(signal.SIGSTOP)
        try:
            self.wait_for("begin", "begin")
        finally:
            halted.process.send_signal(signal.SIGCONT)
        self.wait_for("begin", "begin", "cut")
        self.assertEqual(self.lines()[-1].pid, halted.process.pid)
        self.assertEqual(self.task("patient")["lessee"].rpartition(":")[2], str(other.process.pid))
        self.let_go(other)
        self.wait_for("begin", "begin", "cut", "end")
        self.wait_until_nobody_has("patient")

    # --------------------------------------------------------------- periods

    def test_once_each_period(self) -> None:
        """Whoever does it, and while one daemon comes and goes, no period has two turns, and the work goes on."""
        self.begin(SHORT_LEASE)

        def count() -> int:
            return len(self.lines("tick"))

        for periods in range(1, PERIODS):
            wait_until(lambda: count() >= periods, f"turn {periods}")  # noqa: B023 - done with before the next one
            if periods == PERIODS // 3:
                self.daemons[1].stop()
            elif periods == PERIODS // 2:
                self.daemons[1].start()
        times = [line.time for line in self.lines("tick")]
        gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
        self.assertGreaterEqual(min(gaps), TICK_SECONDS)

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        """Execute SQL on the catalog; returns the rows, if there are any."""
        raise NotImplementedError


class SqliteTests(TwoDaemonsContract, SynchronousTestCase):
    """Over one file."""

    def shared_url(self, first: Daemon) -> str:
        """See TwoDaemonsContract."""
        return f"sqlite:{self.folder / SQLITE_URL.partition(':')[2]}"

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        """See TwoDaemonsContract."""
        return query(SQLITE_URL, self.folder, statement)

    # on one database, for the sake of time: contracts show the rest for both

    def test_who_stops_gives_it_back(self) -> None:
        """At once, however long the lease is, and with how far it came."""
        self.begin(LONG_LEASE)
        self.daemons[0].cli("task", "run", "patient")
        self.wait_for("begin")
        stops = self.holder()
        pid = stops.process.pid
        stops.stop()
        self.wait_for("begin", "over", "begin")
        self.assertEqual(self.lines()[-1].bookmark, f"from-{pid}")
        self.assertEqual(self.task("patient")["attempts"], 1)

    def test_what_fails_for_good_is_seen(self) -> None:
        """After its last try it stays in the list, with the reason, until an operator has it begin anew."""
        self.begin(SHORT_LEASE)
        self.query(ADD_BROKEN)
        wait_until(lambda: len(self.lines("broken")) == 1, "the last try")
        self.wait_until_nobody_has("broken")
        row = self.task("broken", "--state", "failed")
        self.assertEqual((row["key"], row["error"], row["attempts"]), ("7", "nothing works today", 8))
        self.daemons[1].cli("task", "retry", str(row["id"]))
        wait_until(lambda: len(self.lines("broken")) == 2, "another try")
        self.wait_until_nobody_has("broken")
        row = self.task("broken")
        self.assertEqual((row["state"], row["attempts"]), ("waiting", 1))
        told = self.daemons[0].cli("audit")
        self.assertIn('"action":"retry_task"', told)


class PostgresTests(TwoDaemonsContract, SynchronousTestCase):
    """Over one server, whose clock counts."""

    def shared_url(self, first: Daemon) -> str:
        """See TwoDaemonsContract."""
        name = f"tasks_{next(_numbers)}"
        server().administer(f"CREATE DATABASE {name}")
        self.addCleanup(server().administer, f"DROP DATABASE {name} WITH (FORCE)")
        self.url = server().url(name)
        return self.url

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        """See TwoDaemonsContract."""
        return query(self.url, self.folder, statement)
