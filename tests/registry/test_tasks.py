"""What a daemon does with tasks, and what it leaves to others when it ends, fails, or is cut off from the catalog."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from itertools import pairwise
from typing import Any

from attrs import evolve
from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pkgregd.catalog.memory import MemoryCatalog
from pkgregd.errors import Unavailable
from pkgregd.interfaces import MAX_TASK_ATTEMPTS
from pkgregd.registry.tasks import (
    MAX_RETRY_SECONDS,
    PLAN_SECONDS,
    RETRY_SECONDS,
    STOP_SECONDS,
    TaskKind,
    TaskRunner,
    TaskSettings,
    Turn,
)
from pkgregd.testing.measures import KeptMeasures
from pkgregd.values import Tally, TaskRecord, TaskState

SETTINGS = TaskSettings(concurrency=2, poll_seconds=4.0, lease_seconds=60.0)
LONGEST_LOOK = SETTINGS.poll_seconds * 1.5
HOUR = 3600.0


def latest(least: float, most: float) -> float:
    """Pick a time between two."""
    return most


class AwayCatalog(MemoryCatalog):
    """
    A catalog that can be out of reach.

    Attributes:
        is_away: whether it is.
        held: if there is one, the next lease waits for it.
    """

    is_away = False
    held: Deferred[None] | None = None

    async def lease_task(self, *arguments: Any) -> Any:
        """See ITaskCatalog."""
        self._demand()
        lease = await super().lease_task(*arguments)
        held, self.held = self.held, None
        if held is not None:
            await held
        return lease

    async def plan_tasks(self, *arguments: Any) -> Any:
        """See ITaskCatalog."""
        self._demand()
        return await super().plan_tasks(*arguments)

    async def renew_task(self, *arguments: Any) -> Any:
        """See ITaskCatalog."""
        self._demand()
        return await super().renew_task(*arguments)

    async def finish_task(self, *arguments: Any) -> Any:
        """See ITaskCatalog."""
        self._demand()
        return await super().finish_task(*arguments)

    def _demand(self) -> None:
        if self.is_away:
            raise Unavailable("the database went away")


class RunnerCase(SynchronousTestCase):
    """Daemons over a catalog in memory."""

    def setUp(self) -> None:
        """Make the catalog."""
        self.clock = Clock()
        self.clock.advance(1_800_000_000)
        self.catalog = AwayCatalog(self.clock.seconds)
        self.turns: list[Turn] = []
        self.waits: list[Deferred[None]] = []
        self.ends: list[str] = []
        self.is_stopping = False

    async def wait(self, turn: Turn) -> None:
        """Work until the test says that it is done, and tell how that came."""
        self.turns.append(turn)
        self.waits.append(Deferred())
        try:
            await self.waits[-1]
        except CancelledError:
            self.ends.append("cut off")
            raise
        self.ends.append("done")

    def begin(
        self,
        *kinds: TaskKind,
        lessee: str = "one:1",
        spread: Callable[[float, float], float] = lambda least, most: most,
    ) -> TaskRunner:
        """Start a daemon that can do these."""
        runner = TaskRunner(
            self.clock, self.catalog, kinds, lessee, SETTINGS, is_stopping=lambda: self.is_stopping, spread=spread
        )
        runner.start()
        self.clock.advance(0)
        return runner

    def get(self, awaitable: Awaitable[Any]) -> Any:
        """Return the result."""

        async def get() -> Any:
            return await awaitable

        return self.successResultOf(ensureDeferred(get()))

    def enqueue(self, key: str = "") -> None:
        """Have something done by anybody."""
        self.get(self.catalog.enqueue_task("derive", key))

    def look(self) -> None:
        """Let every daemon look."""
        self.clock.advance(LONGEST_LOOK)

    def task(self) -> TaskRecord:
        """Return the only task."""
        (record,) = self.get(self.catalog.list_tasks(0, 10))
        assert isinstance(record, TaskRecord)
        return record

    def tasks(self) -> int:
        """How many there are."""
        return len(self.get(self.catalog.list_tasks(0, 100)))


class WorkTests(RunnerCase):
    """Work that comes to its end."""

    def test_what_is_asked_for_is_done(self) -> None:
        """With its key, once, and it is gone."""
        self.begin(TaskKind("derive", self.wait))
        self.enqueue("7")
        self.assertEqual(self.turns, [])
        self.look()
        self.assertEqual([turn.key for turn in self.turns], ["7"])
        self.waits[0].callback(None)
        self.assertEqual(self.tasks(), 0)

    def test_what_this_process_asks_for_is_done_at_once(self) -> None:
        """Nobody waits for the next look."""
        runner = self.begin(TaskKind("derive", self.wait))
        self.get(runner.enqueue("derive", "7"))
        self.assertEqual(len(self.turns), 1)

    def test_asked_for_while_it_looks(self) -> None:
        """It looks again: what is new may have come behind what it saw."""
        runner = self.begin(TaskKind("derive", self.wait))
        held: Deferred[None] = Deferred()
        self.catalog.held = held
        runner.wake()
        self.get(runner.enqueue("derive", "7"))
        self.assertEqual(self.turns, [])
        held.callback(None)
        self.assertEqual(len(self.turns), 1)

    def test_no_more_than_there_is_room_for(self) -> None:
        """As many at once as the settings say; the next one begins when one is done."""
        self.begin(TaskKind("derive", self.wait))
        for key in "abc":
            self.enqueue(key)
        self.look()
        self.assertEqual([turn.key for turn in self.turns], ["a", "b"])
        self.waits[1].callback(None)
        self.assertEqual([turn.key for turn in self.turns], ["a", "b", "c"])

    def test_what_it_cannot_do_is_left_to_others(self) -> None:
        """A daemon of another version may know it."""
        self.begin(TaskKind("other", self.wait))
        self.enqueue()
        self.look()
        self.assertEqual(self.task().state, TaskState.WAITING)

    def test_of_several_daemons_one_does_it_each_period(self) -> None:
        """Each period once, whoever it is, and with the bookmark of the last turn."""
        seen = []

        async def work(turn: Turn) -> None:
            seen.append((self.clock.seconds(), turn.bookmark))
            turn.bookmark = str(len(seen))

        for number in range(3):
            self.begin(TaskKind("sweep", work, HOUR), lessee=f"{number}")
        begun_at = self.clock.seconds()
        self.clock.pump([2.0] * int((5 * HOUR + 120) / 2))
        times = [time for time, _ in seen]
        self.assertEqual([bookmark for _, bookmark in seen], ["", "1", "2", "3", "4"])
        self.assertGreaterEqual(times[0] - begun_at, HOUR - LONGEST_LOOK * 3)
        for last, time in pairwise(times):
            self.assertGreaterEqual(time - last, HOUR)
            self.assertLess(time - last, HOUR + 2 * LONGEST_LOOK)

    def test_they_do_not_all_look_at_once(self) -> None:
        """When a daemon looks is picked anew each time."""
        asked = []

        def spread(least: float, most: float) -> float:
            asked.append((least, most))
            return most

        self.begin(TaskKind("derive", self.wait), spread=spread)
        self.assertEqual(asked, [(2.0, 6.0)])


class LeaseTests(RunnerCase):
    """Leases that last, and such that do not."""

    def setUp(self) -> None:
        """Have somebody work."""
        super().setUp()
        self.runner = self.begin(TaskKind("derive", self.wait))
        self.enqueue()
        self.look()

    def test_work_may_take_longer_than_a_lease(self) -> None:
        """It is renewed, so nobody else takes it; how far it came is kept."""
        self.turns[0].bookmark = "here"
        self.clock.pump([10.0] * 30)
        other = self.get(self.catalog.lease_task(["derive"], "other", 1))
        self.assertIsNone(other)
        self.waits[0].callback(None)
        self.assertEqual(self.tasks(), 0)

    def test_who_lost_it_is_cut_off(self) -> None:
        """Somebody else has the task: this one stops at whatever it waits for, and says nothing of it."""
        # as after a stop of the process for longer than the lease
        self.catalog.is_away = True
        self.clock.pump([1.0] * 59)
        self.assertEqual(self.ends, [])
        self.clock.pump([1.0] * 2)
        self.assertEqual(self.ends, ["cut off"])
        self.catalog.is_away = False
        taken = self.get(self.catalog.lease_task(["derive"], "other", 60))
        self.assertEqual(taken.attempt, 2)

    def test_who_hears_that_it_is_lost_is_cut_off(self) -> None:
        """The catalog says so before our own clock does."""
        self.clock.advance(19)
        # the clock of the database went on meanwhile
        (row,) = self.catalog._task_rows.values()
        self.catalog._task_rows[row.id] = evolve(row, due_at=0)
        other = self.get(self.catalog.lease_task(["derive"], "other", 600))
        self.assertEqual(other.number, 2)
        self.clock.advance(2)
        self.assertEqual(self.ends, ["cut off"])
        self.assertEqual(self.task().lessee, "other")

    def test_a_short_absence_of_the_catalog_is_survived(self) -> None:
        """A renewal that fails is made up for by the next one."""
        self.catalog.is_away = True
        self.clock.pump([1.0] * 30)
        self.catalog.is_away = False
        self.clock.pump([1.0] * 100)
        self.assertEqual(self.ends, [])

    def test_told_as_soon_as_it_can_be(self) -> None:
        """The catalog is away when the work is done: it is told for as long as the lease lasts."""
        self.catalog.is_away = True
        self.waits[0].callback(None)
        self.assertEqual(self.tasks(), 1)
        self.clock.pump([1.0] * 5)
        self.catalog.is_away = False
        self.clock.advance(1)
        self.assertEqual(self.tasks(), 0)

    def test_not_told_for_ever(self) -> None:
        """When the lease is over somebody else does it again."""
        self.catalog.is_away = True
        self.waits[0].callback(None)
        self.clock.pump([1.0] * 90)
        self.catalog.is_away = False
        self.assertEqual(self.task().state, TaskState.RUNNING)
        self.clock.pump([1.0] * 60)
        self.assertEqual(len(self.turns), 2)


class FailureTests(RunnerCase):
    """Work that fails."""

    def test_tried_again_later_each_time(self) -> None:
        """Twice as long after each failure, up to the last one; then it is left alone, with the reason."""
        tried_at = []

        async def work(turn: Turn) -> None:
            tried_at.append(self.clock.seconds())
            raise Unavailable("the bucket is away")

        self.begin(TaskKind("derive", work))
        self.enqueue()
        self.clock.pump([1.0] * 4 * 3600)
        pauses = [time - last for last, time in pairwise(tried_at)]
        self.assertEqual(len(tried_at), MAX_TASK_ATTEMPTS)
        for number, pause in enumerate(pauses):
            longest = min(MAX_RETRY_SECONDS, RETRY_SECONDS * 2**number)
            self.assertGreaterEqual(pause, longest)
            self.assertLessEqual(pause, longest + LONGEST_LOOK + 1)
        self.assertEqual((self.task().state, self.task().error), (TaskState.FAILED, "the bucket is away"))

    def test_each_failure_is_counted(self) -> None:
        """For those who are told by a number that somebody has to look."""

        async def work(turn: Turn) -> None:
            raise Unavailable("the bucket is away")

        measures = KeptMeasures()
        TaskRunner(self.clock, self.catalog, [TaskKind("derive", work)], "one:1", SETTINGS, measures=measures).start()
        self.enqueue()
        self.clock.pump([1.0] * 4 * 3600)
        self.assertEqual(measures.tallies[Tally.TASK_FAILURES], MAX_TASK_ATTEMPTS)

    def test_a_bug_is_logged(self) -> None:
        """With its traceback there, and without its text where operators look."""

        async def work(turn: Turn) -> None:
            raise ValueError("a detail")

        self.begin(TaskKind("derive", work))
        self.enqueue()
        self.look()
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        error = self.task().error
        assert error is not None
        self.assertIn("ValueError", error)
        self.assertNotIn("detail", error)

    def test_no_turn_goes_on_for_ever(self) -> None:
        """It is cut off at the deadline of its kind, and counts as failed."""
        self.begin(TaskKind("derive", self.wait, deadline_seconds=300))
        self.enqueue()
        self.look()
        self.clock.pump([10.0] * 31)
        self.assertEqual(self.ends, ["cut off"])
        self.assertEqual(self.task().error, "it took longer than 300 s")

    def test_cut_off_by_nobody_it_counts_as_failed(self) -> None:
        """Else it would be taken again at once, for ever."""
        self.begin(TaskKind("derive", self.wait))
        self.enqueue()
        self.look()
        self.waits[0].errback(CancelledError())
        self.assertEqual((self.task().attempts, self.task().error), (1, "it was cut off"))

    def test_an_absent_catalog_is_asked_less_often(self) -> None:
        """But it is asked, and what was planned meanwhile is planned then."""
        self.catalog.is_away = True
        self.begin(TaskKind("sweep", self.wait, HOUR))
        self.clock.pump([1.0] * 600)
        self.assertEqual(self.tasks(), 0)
        self.catalog.is_away = False
        self.clock.pump([1.0] * 91)
        self.assertEqual(self.task().kind, "sweep")

    def test_what_is_planned_is_planned_again(self) -> None:
        """After a while, should it have gone: the database may have come from a backup."""
        self.begin(TaskKind("sweep", self.wait, 10 * HOUR))
        self.assertEqual(self.tasks(), 1)
        self.catalog._task_rows.clear()
        self.clock.pump([2.0] * int(PLAN_SECONDS / 2 - 10))
        self.assertEqual(self.tasks(), 0)
        self.clock.pump([2.0] * 20)
        self.assertEqual(self.tasks(), 1)


class StopTests(RunnerCase):
    """A daemon that ends."""

    def stop(self, runner: TaskRunner) -> Deferred[None]:
        """Tell it to."""
        return ensureDeferred(runner.stop())

    def test_idle(self) -> None:
        """It ends at once and leaves no timer."""
        self.successResultOf(self.stop(self.begin(TaskKind("derive", self.wait))))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_work_that_asks_ends_by_itself(self) -> None:
        """Its task is given back as if it had not been taken, with how far it came."""

        async def work(turn: Turn) -> None:
            await self.wait(turn)
            if turn.is_over():
                turn.bookmark = "here"

        runner = self.begin(TaskKind("derive", work))
        self.enqueue()
        self.look()
        stopping = self.stop(runner)
        self.assertNoResult(stopping)
        self.waits[0].callback(None)
        self.successResultOf(stopping)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        taken = self.get(self.catalog.lease_task(["derive"], "other", 60))
        self.assertEqual((taken.attempt, taken.bookmark), (1, "here"))

    def test_work_that_does_not_ask_is_cut_off(self) -> None:
        """After a while, at whatever it waits for."""
        runner = self.begin(TaskKind("derive", self.wait))
        self.enqueue()
        self.look()
        stopping = self.stop(runner)
        self.clock.advance(STOP_SECONDS)
        self.successResultOf(stopping)
        self.assertEqual(self.ends, ["cut off"])
        self.assertEqual((self.task().state, self.task().attempts), (TaskState.WAITING, 0))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_work_that_comes_to_its_end_meanwhile_is_done(self) -> None:
        """Nobody has to do it again."""
        runner = self.begin(TaskKind("derive", self.wait))
        self.enqueue()
        self.look()
        stopping = self.stop(runner)
        self.waits[0].callback(None)
        self.successResultOf(stopping)
        self.assertEqual(self.tasks(), 0)

    def test_what_is_taken_meanwhile_is_given_back(self) -> None:
        """The answer of the catalog came after the word to stop."""
        runner = self.begin(TaskKind("derive", self.wait))
        held: Deferred[None] = Deferred()
        self.catalog.held = held
        self.enqueue()
        self.look()
        stopping = self.stop(runner)
        self.assertEqual(self.task().state, TaskState.RUNNING)
        held.callback(None)
        self.successResultOf(stopping)
        self.assertEqual(self.turns, [])
        self.assertEqual((self.task().state, self.task().attempts), (TaskState.WAITING, 0))

    def test_a_daemon_that_drains_begins_nothing(self) -> None:
        """And work that asks ends, while requests may still go on."""
        self.begin(TaskKind("derive", self.wait))
        self.enqueue("a")
        self.look()
        self.is_stopping = True
        self.assertTrue(self.turns[0].is_over())
        self.enqueue("b")
        self.look()
        self.assertEqual(len(self.turns), 1)

    def test_without_a_catalog(self) -> None:
        """What cannot be told any more is left to the end of the lease."""
        runner = self.begin(TaskKind("derive", self.wait))
        self.enqueue()
        self.look()
        self.catalog.is_away = True
        stopping = self.stop(runner)
        self.waits[0].callback(None)
        self.successResultOf(stopping)
        self.assertEqual(self.task().state, TaskState.RUNNING)
