"""Whatever several daemons do with tasks in whatever order, each turn belongs to one, and no task is lost."""

from __future__ import annotations

import pathlib
import shutil
import tempfile
from collections.abc import Awaitable, Callable
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from twisted.internet.defer import ensureDeferred
from twisted.trial.unittest import SynchronousTestCase

from pkgregd.catalog.memory import MemoryCatalog
from pkgregd.catalog.sql import SqlCatalog
from pkgregd.catalog.sqlite import SqliteDatabase, SqliteSettings
from pkgregd.interfaces import MAX_TASK_ATTEMPTS, ICatalog
from pkgregd.testing.catalog_contract import START_SECONDS
from pkgregd.values import ANONYMOUS, PeriodicPlan, TaskLease, TaskState
from tests.catalog.support import ThreadedClock, migrated_file

PERIODIC, ONCE = ("sweep", "scrub"), ("derive",)
KINDS = (*PERIODIC, *ONCE)
LEASE_SECONDS = 60

lessees = st.sampled_from(("one:1", "two:1", "two:2"))
some_kinds = st.lists(st.sampled_from(KINDS), unique=True)
delays = st.sampled_from((0, 10, 1000))
bookmarks = st.sampled_from(("", "a", "b"))
positions = st.integers(0, 5)


class TaskMachine(RuleBasedStateMachine):
    """
    Does everything to both catalogs, compares what they answer, and knows who may do what.

    Attributes:
        given: every lease that was ever given, with the time at which it ends, None once it was given up.
        wanted: keys of what was asked for and not done since.
    """

    @initialize()
    def open(self) -> None:
        """Open both."""
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="tasks-"))
        self.reactor = ThreadedClock()
        self.reactor.advance(START_SECONDS)
        path = migrated_file(self.folder / "catalog.sqlite3")
        database = SqliteDatabase(self.reactor, path, SqliteSettings(reader_threads=1))
        self.catalogs: tuple[ICatalog, ...] = (MemoryCatalog(self.reactor.seconds), SqlCatalog(database))
        self.given: list[tuple[TaskLease, float | None]] = []
        self.wanted: set[str] = set()

    def teardown(self) -> None:
        """Close both."""
        if hasattr(self, "catalogs"):
            self.both(lambda catalog: catalog.close())
            shutil.rmtree(self.folder)

    def both(self, verb: Callable[[ICatalog], Awaitable[Any]]) -> Any:
        """Run a verb on both, compare, and return the answer."""

        async def run(catalog: ICatalog) -> Any:
            return await verb(catalog)

        answers: list[Any] = []
        for catalog in self.catalogs:
            deferred = ensureDeferred(run(catalog))
            self.reactor.wait(deferred)
            deferred.addCallback(answers.append)
        assert answers[0] == answers[1], answers
        return answers[0]

    @rule(seconds=st.sampled_from((1, LEASE_SECONDS // 2, LEASE_SECONDS + 1, 3600)))
    def wait(self, seconds: int) -> None:
        """Let time pass."""
        self.reactor.advance(seconds)

    @rule(interval=st.sampled_from((30, 600)))
    def plan(self, interval: int) -> None:
        """A daemon starts."""
        self.both(lambda catalog: catalog.plan_tasks([PeriodicPlan(kind, interval) for kind in PERIODIC]))

    @rule(key=st.sampled_from(("x", "y")))
    def enqueue(self, key: str) -> None:
        """Ask for something."""
        self.both(lambda catalog: catalog.enqueue_task("derive", key))
        self.wanted.add(key)

    @rule(kinds=some_kinds, lessee=lessees)
    def lease(self, kinds: list[str], lessee: str) -> None:
        """Take a task: one that nobody has."""
        lease = self.both(lambda catalog: catalog.lease_task(kinds, lessee, LEASE_SECONDS))
        if lease is None:
            return
        assert lease.kind in kinds
        now = self.reactor.seconds()
        others = [end for held, end in self.given if held.task_id == lease.task_id and end is not None]
        assert all(end <= now for end in others), (lease, others)
        assert all(held.number < lease.number for held, _ in self.given if held.task_id == lease.task_id)
        assert lease.attempt <= MAX_TASK_ATTEMPTS or lease.kind in PERIODIC
        self.given.append((lease, now + LEASE_SECONDS))
        if lease.kind in ONCE:
            self.wanted.discard(lease.key)

    def use(
        self, position: int, verb: Callable[[ICatalog, TaskLease], Awaitable[bool]], *, ends: bool
    ) -> TaskLease | None:
        """
        Do something with a lease that was given at some time: it is good unless it was used up or followed.

        Returns:
            The lease, None if it was not good any more.
        """
        lease, end = self.given[-1 - position % len(self.given)]
        numbers = [held.number for held, _ in self.given if held.task_id == lease.task_id]
        is_good = end is not None and lease.number == max(numbers)
        answer = self.both(lambda catalog: verb(catalog, lease))
        if answer:
            assert is_good, lease
            index = self.given.index((lease, end))
            self.given[index] = (lease, None if ends else self.reactor.seconds() + LEASE_SECONDS)
        elif is_good:
            # it ran out so often that nobody is to take it again
            assert lease.attempt >= MAX_TASK_ATTEMPTS, lease
        return lease if answer else None

    @rule(position=positions, bookmark=bookmarks)
    def renew(self, position: int, bookmark: str) -> None:
        """Go on."""
        if self.given:
            self.use(position, lambda catalog, lease: catalog.renew_task(lease, LEASE_SECONDS, bookmark), ends=False)

    @rule(position=positions, bookmark=bookmarks)
    def finish(self, position: int, bookmark: str) -> None:
        """Be done."""
        if self.given:
            self.use(position, lambda catalog, lease: catalog.finish_task(lease, bookmark), ends=True)

    @rule(position=positions, delay=delays)
    def fail(self, position: int, delay: int) -> None:
        """Fail."""
        if self.given:
            lease = self.use(
                position, lambda catalog, lease: catalog.fail_task(lease, "no", delay, lease.bookmark), ends=True
            )
            if lease is not None and lease.kind in ONCE:
                self.wanted.add(lease.key)

    @rule(kinds=some_kinds)
    def fail_for_good(self, kinds: list[str]) -> None:
        """Fail as often as one can."""
        for _ in range(MAX_TASK_ATTEMPTS):
            self.lease(kinds, "one:1")
            self.fail(0, 0)

    @rule(position=positions, bookmark=bookmarks)
    def release(self, position: int, bookmark: str) -> None:
        """Give it back."""
        if self.given:
            self.use(position, lambda catalog, lease: catalog.release_task(lease, bookmark), ends=True)

    @rule(kind=st.sampled_from(KINDS))
    def run(self, kind: str) -> None:
        """An operator cannot wait."""
        self.both(lambda catalog: catalog.run_tasks(kind, ANONYMOUS))

    @rule(task_id=st.integers(0, 5))
    def retry(self, task_id: int) -> None:
        """An operator has something begin anew."""
        self.both(lambda catalog: catalog.retry_task(task_id, ANONYMOUS))

    @invariant()
    def look(self) -> None:
        """Both say the same of everything, and what is wanted is there."""
        if not hasattr(self, "catalogs"):
            return
        for state in (None, *TaskState):
            listed = self.both(lambda catalog, state=state: catalog.list_tasks(0, 20, state))
            assert all(state in (None, record.state) for record in listed)
            if state is None:
                assert self.wanted <= {record.key for record in listed}, self.wanted
                assert len({(record.kind, record.key) for record in listed}) == len(listed)


class TaskMachineTests(SynchronousTestCase):
    """The machine, run."""

    def test_each_turn_belongs_to_one(self) -> None:
        """No sequence of verbs lets two have a task, or loses one."""
        run_state_machine_as_test(
            TaskMachine,
            settings=settings(
                max_examples=40,
                stateful_step_count=40,
                deadline=None,
                database=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
