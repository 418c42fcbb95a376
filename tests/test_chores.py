"""What a daemon does beside its requests."""

from __future__ import annotations

import json
import pathlib
import re
import sys
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

import pkgregd
from tests.support.cases import DaemonTestCase
from tests.support.catalogs import POSTGRESQL, SQLITE
from tests.support.daemon import Daemon, wait_until

MANUAL = pathlib.Path(pkgregd.__file__).parent / "web" / "pages" / "operating.md"


class TaskTests(DaemonTestCase):
    """The tasks that come with the daemon."""

    settings = "[tasks]\npoll_seconds = 0.1\n[audit]\nkeep_days = 1\n[formats.maven]\nkeep_builds = 1\n"

    def tasks(self) -> dict[str, dict[str, Any]]:
        """What there is, by kind."""
        return {row["kind"]: row for row in json.loads(self.daemon.cli("task", "list", "--json"))}

    def test_the_manual_tells_of_each(self) -> None:
        """Its table and the list of a new registry name the same kinds; none is due at once."""
        wait_until(lambda: bool(self.tasks()), "planning")
        rows = self.tasks()
        table = MANUAL.read_text("utf-8").partition("| kind |")[2].partition("\n\n")[0]
        self.assertEqual(set(rows), set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)))
        self.assertEqual({row["state"] for row in rows.values()}, {"waiting"})

    def test_each_can_be_done(self) -> None:
        """Asked for by the operator each is done at once, and well."""
        self.daemon.query("UPDATE audit_entries SET happened_at = 0 WHERE id = 1")
        wait_until(lambda: bool(self.tasks()), "planning")
        for kind in self.tasks():
            self.daemon.cli("task", "run", kind)
        wait_until(
            lambda: self.daemon.query("SELECT id FROM tasks WHERE finished_at IS NULL") == [], "the end of all tasks"
        )
        for row in self.tasks().values():
            self.assertEqual((row["state"], row["error"], row["attempts"]), ("waiting", None, 0))
        self.assertEqual(self.daemon.query("SELECT id FROM audit_entries WHERE happened_at = 0"), [])
        self.assertIn("sweep removed 0 blobs", self.daemon.log_text())


class ClockTests(SynchronousTestCase):
    """A host whose clock is set."""

    def turn_after_setting_it_back(self, engine: str) -> tuple[Any, Any]:
        """Set it back by a day and make a task due; returns when the task was planned, and when it was done."""
        folder = pathlib.Path(self.mktemp()).absolute()
        folder.mkdir(parents=True)
        program = [sys.executable, "-m", "tests.support.shifted", str(folder)]
        daemon = Daemon("[tasks]\npoll_seconds = 0.1\n", program=program, engine=engine)
        self.addCleanup(daemon.close)
        daemon.start()
        wait_until(lambda: bool(daemon.query("SELECT id FROM tasks")), "planning")
        (folder / "shift").write_text("-86400")
        before = daemon.query("UPDATE tasks SET due_at = 0 WHERE kind = 'sweep' RETURNING created_at")
        wait_until(lambda: daemon.query("SELECT id FROM tasks WHERE finished_at IS NOT NULL") != [], "the turn")
        after = daemon.query("SELECT finished_at FROM tasks WHERE kind = 'sweep'")
        return before, after

    def test_set_back_by_a_day(self) -> None:
        """The daemon goes on to look for tasks, and writes the new time."""
        before, after = self.turn_after_setting_it_back(SQLITE)
        self.assertLess(after, before)

    def test_set_back_beside_a_server(self) -> None:
        """It does so where the time of tasks is that of a server of the database, whose clock nobody has set."""
        before, after = self.turn_after_setting_it_back(POSTGRESQL)
        self.assertGreater(after, before)
