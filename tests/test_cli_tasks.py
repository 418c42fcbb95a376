"""`task list`, `task run` and `task retry`."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Coroutine
from typing import Any, TypeVar

from twisted.internet.defer import ensureDeferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pkgregd import cli
from pkgregd.blobs.memory import MemoryBlobStore
from pkgregd.catalog.memory import MemoryCatalog
from pkgregd.clockwork import utc_now
from pkgregd.commands.instance import Instance, Outcome
from pkgregd.config import parse
from pkgregd.errors import InvalidRequest, NotFound, PkgregdError
from pkgregd.interfaces import MAX_TASK_ATTEMPTS
from pkgregd.values import PeriodicPlan, TaskLease

T = TypeVar("T")


class TaskCommandTests(SynchronousTestCase):
    """Over a catalog in memory."""

    def setUp(self) -> None:
        """Have a periodic task, and two that are to be done once."""
        self.clock = Clock()
        self.clock.advance(1_800_000_000)
        self.catalog = MemoryCatalog(self.clock.seconds)
        self.instance = Instance(parse("", pathlib.Path("/")), utc_now, lambda: self.catalog, MemoryBlobStore)
        self.get(self.catalog.plan_tasks([PeriodicPlan("sweep", 3600)]))
        for key in ("7", "8\n9"):
            self.get(self.catalog.enqueue_task("derive", key))

    def get(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Return a result."""
        return self.successResultOf(ensureDeferred(coroutine))

    def answer(self, words: str) -> Outcome:
        """Run a subcommand."""
        arguments = cli.parse_arguments(["--config", "x.toml", *words.split()])
        outcome = self.get(arguments.run(self.instance, arguments))
        assert isinstance(outcome, Outcome)
        return outcome

    def refused(self, words: str, error: type[PkgregdError]) -> str:
        """Run a subcommand that refuses; returns why."""
        arguments = cli.parse_arguments(["--config", "x.toml", *words.split()])
        return str(self.failureResultOf(ensureDeferred(arguments.run(self.instance, arguments)), error).value)

    def take(self) -> TaskLease:
        """Take one that is due."""
        lease = self.get(self.catalog.lease_task(["derive", "sweep"], "host:7", 60))
        assert lease is not None
        return lease

    def fail_for_good(self) -> None:
        """Let the first one fail as often as it may."""
        for _ in range(MAX_TASK_ATTEMPTS):
            lease = self.get(self.catalog.lease_task(["derive"], "host:7", 60))
            assert lease is not None
            self.assertEqual(lease.key, "7")
            self.get(self.catalog.fail_task(lease, "no luck", -1, ""))

    def test_lists_what_there_is(self) -> None:
        """A line for each, whatever is in it; who does it, and until when."""
        self.take()
        lines = self.answer("task list").text.splitlines()
        self.assertEqual(lines[0].split()[:5], ["id", "kind", "key", "state", "due_at"])
        self.assertEqual([line.split()[1] for line in lines[1:]], ["sweep", "derive", "derive"])
        self.assertIn("2027-01-15T09:00:00Z", lines[1])
        self.assertIn("host:7", lines[2])

    def test_lists_some_of_it(self) -> None:
        """By state and kind; as JSON with all that is known."""
        self.take()
        (row,) = json.loads(json.dumps(self.answer("task list --state waiting --kind derive").data))
        self.assertEqual((row["key"], row["attempts"], row["interval_seconds"]), ("8\n9", 0, None))
        self.assertEqual(self.answer("task list --state failed").data, [])

    def test_long_lists(self) -> None:
        """They are read in pieces."""
        for number in range(600):
            self.get(self.catalog.enqueue_task("derive", f"k{number}"))
        self.assertEqual(len(self.answer("task list --kind derive").text.splitlines()), 603)

    def test_what_failed_is_seen_and_tried_again(self) -> None:
        """With the reason, and what to do; then it is due, and nothing but that is refused."""
        self.fail_for_good()
        outcome = self.answer("task list --state failed")
        self.assertIn("no luck", outcome.text)
        self.assertEqual(outcome.notes, ("1 failed: see `pkgregd task retry`",))
        self.answer("task retry 2")
        lease = self.take()
        self.assertEqual(lease.attempt, 1)

    def test_what_cannot_be_tried_again(self) -> None:
        """What runs, and what there is not; each says why."""
        lease = self.take()
        self.assertIn("wait until", self.refused(f"task retry {lease.task_id}", InvalidRequest))
        self.assertIn("there is no task 99", self.refused("task retry 99", NotFound))
        self.assertIn("there is no task 0", self.refused("task retry 0", NotFound))

    def test_done_before_its_time(self) -> None:
        """A kind that is not due for an hour."""
        outcome = self.answer("task run sweep")
        self.assertEqual((outcome.text, outcome.data), ("1", {"kind": "sweep", "tasks": 1}))
        kinds = [self.take().kind for _ in range(3)]
        self.assertIn("sweep", kinds)
        self.assertIn("task list", self.refused("task run sweeep", NotFound))

    def test_words_that_mean_nothing(self) -> None:
        """Status 2, as for all arguments."""
        for words in (
            "task run Sweep",
            "task list --kind x\udcff",
            "task list --state done",
            "task retry x",
            "task retry -1",
            "task run",
            "task retry " + "9" * 30,
        ):
            with self.assertRaises(SystemExit) as caught:
                cli.parse_arguments(["--config", "x.toml", *words.split()])
            self.assertEqual(caught.exception.code, 2)
