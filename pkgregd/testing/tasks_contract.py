"""What every catalog does with tasks, as tests beside those of CatalogContract."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.defer import ensureDeferred, gatherResults

from pkgregd.interfaces import MAX_ERROR_CHARACTERS, MAX_TASK_ATTEMPTS
from pkgregd.values import ANONYMOUS, AuditAction, PeriodicPlan, TaskLease, TaskRecord, TaskState

if TYPE_CHECKING:
    from pkgregd.testing.catalog_contract import CatalogContract as _Base
else:
    _Base = object

KINDS = ("sweep", "scrub", "derive")
LEASE_SECONDS = 600.0
HOUR_SECONDS = 3600.0


class TasksContract(_Base):
    """Who does what, and what becomes of it; mixed in before CatalogContract."""

    def pass_time(self, seconds: float) -> None:
        """Let time pass for tasks; where the database has a clock of its own, everything in it becomes older."""
        self.clock.advance(seconds)

    def take_task(self, *kinds: str, lessee: str = "one:1") -> TaskLease:
        """Take a task; fail if none is due."""
        lease = self.get(self.catalog.lease_task(kinds or KINDS, lessee, LEASE_SECONDS))
        assert lease is not None, "nothing is due"
        return lease

    def assert_none_due(self) -> None:
        """Fail if there is something to do."""
        self.assertIsNone(self.get(self.catalog.lease_task(KINDS, "one:1", LEASE_SECONDS)))

    def all_tasks(self, state: TaskState | None = None, kind: str | None = None) -> list[TaskRecord]:
        """All tasks."""
        return list(self.get(self.catalog.list_tasks(0, 100, state, kind)))

    def plan_task(self, kind: str, interval_seconds: float = HOUR_SECONDS) -> None:
        """Have a periodic task."""
        self.get(self.catalog.plan_tasks([PeriodicPlan(kind, interval_seconds)]))

    def fail_once(self, delay_seconds: float = 60.0) -> TaskLease:
        """Take a task, and fail at it."""
        lease = self.take_task()
        self.assertTrue(self.get(self.catalog.fail_task(lease, "no luck", delay_seconds, "there")))
        return lease

    # --------------------------------------------------------------- once

    def test_done_once_and_gone(self) -> None:
        """What is asked for is due at once, taken by one, and gone when it is done."""
        task_id = self.get(self.catalog.enqueue_task("derive", "7"))
        lease = self.take_task(lessee="host:2")
        self.assertEqual(lease, TaskLease(task_id, "derive", "7", 1, 1))
        (record,) = self.all_tasks()
        self.assertEqual((record.state, record.lessee, record.attempts), (TaskState.RUNNING, "host:2", 1))
        self.assert_none_due()
        self.assertTrue(self.get(self.catalog.finish_task(lease)))
        self.assertEqual(self.all_tasks(), [])
        self.assertFalse(self.get(self.catalog.finish_task(lease)))

    def test_asked_for_twice_is_one(self) -> None:
        """One task of a kind and key waits, whoever asks; other keys are others."""
        first = self.get(self.catalog.enqueue_task("derive", "7"))
        self.assertEqual(self.get(self.catalog.enqueue_task("derive", "7")), first)
        self.assertNotEqual(self.get(self.catalog.enqueue_task("derive", "8")), first)
        self.assertEqual([record.key for record in self.all_tasks()], ["7", "8"])

    def test_asked_for_while_it_runs_comes_again(self) -> None:
        """Whoever does it may have passed over what is new."""
        self.get(self.catalog.enqueue_task("derive", "7"))
        lease = self.take_task()
        self.get(self.catalog.enqueue_task("derive", "7"))
        self.assert_none_due()
        self.assertTrue(self.get(self.catalog.finish_task(lease)))
        again = self.take_task()
        self.assertEqual((again.task_id, again.number, again.attempt), (lease.task_id, 2, 1))
        self.assertTrue(self.get(self.catalog.finish_task(again)))
        self.assertEqual(self.all_tasks(), [])

    def test_the_oldest_comes_first(self) -> None:
        """What has been due for longest, of the kinds that can be done."""
        for key in "ab":
            self.get(self.catalog.enqueue_task("derive", key))
            self.pass_time(1)
        self.get(self.catalog.enqueue_task("scrub"))
        self.assertIsNone(self.get(self.catalog.lease_task(["sweep"], "one:1", LEASE_SECONDS)))
        self.assertIsNone(self.get(self.catalog.lease_task([], "one:1", LEASE_SECONDS)))
        self.assertEqual(self.take_task("scrub", "sweep").kind, "scrub")
        self.assertEqual([self.take_task().key, self.take_task().key], ["a", "b"])

    def test_each_goes_to_one(self) -> None:
        """However many ask at once, no task is taken twice, and none is left."""
        for key in range(5):
            self.get(self.catalog.enqueue_task("derive", str(key)))

        async def ask(number: int) -> list[TaskLease]:
            taken = []
            while (lease := await self.catalog.lease_task(KINDS, f"{number}", LEASE_SECONDS)) is not None:
                taken.append(lease)
            return taken

        asking = gatherResults([ensureDeferred(ask(number)) for number in range(8)])
        self.wait(asking)  # type: ignore[arg-type]  # Deferred is invariant
        keys = [lease.key for leases in self.successResultOf(asking) for lease in leases]
        self.assertEqual(sorted(keys), list("01234"))

    # --------------------------------------------------------------- leases

    def test_a_lease_that_ends_is_taken_by_another(self) -> None:
        """And whoever had it can neither go on nor end the task."""
        self.get(self.catalog.enqueue_task("derive"))
        lost = self.take_task(lessee="dies:1")
        self.pass_time(LEASE_SECONDS - 60)
        self.assert_none_due()
        self.pass_time(120)
        held = self.take_task(lessee="lives:1")
        self.assertEqual((held.task_id, held.number, held.attempt), (lost.task_id, lost.number + 1, 2))
        self.assertFalse(self.get(self.catalog.renew_task(lost, LEASE_SECONDS, "x")))
        self.assertFalse(self.get(self.catalog.finish_task(lost)))
        self.assertFalse(self.get(self.catalog.fail_task(lost, "late", 1, "x")))
        self.assertFalse(self.get(self.catalog.release_task(lost, "x")))
        self.assertEqual(self.all_tasks()[0].lessee, "lives:1")
        self.assertTrue(self.get(self.catalog.finish_task(held)))

    def test_a_lease_that_ended_is_good_until_somebody_takes_the_task(self) -> None:
        """Nobody has begun it anew, so nothing is done twice."""
        self.get(self.catalog.enqueue_task("derive"))
        lease = self.take_task()
        self.pass_time(LEASE_SECONDS * 2)
        self.assertTrue(self.get(self.catalog.renew_task(lease, LEASE_SECONDS, "")))
        self.assert_none_due()
        self.assertTrue(self.get(self.catalog.finish_task(lease)))

    def test_a_renewed_lease_lasts(self) -> None:
        """From when it was renewed; how far it came is there for whoever comes next."""
        self.get(self.catalog.enqueue_task("derive"))
        lease = self.take_task()
        for bookmark in ("a", "b"):
            self.pass_time(LEASE_SECONDS - 60)
            self.assert_none_due()
            self.assertTrue(self.get(self.catalog.renew_task(lease, LEASE_SECONDS, bookmark)))
        self.pass_time(LEASE_SECONDS + 60)
        self.assertEqual(self.take_task().bookmark, "b")

    def test_given_back_it_is_due_at_once(self) -> None:
        """A daemon that stops is no failure of the task."""
        self.get(self.catalog.enqueue_task("derive"))
        for _ in range(MAX_TASK_ATTEMPTS + 2):
            lease = self.take_task()
            self.assertEqual(lease.attempt, 1)
            self.assertTrue(self.get(self.catalog.release_task(lease, "here")))
        self.assertFalse(self.get(self.catalog.release_task(lease, "there")))
        self.assertEqual(self.take_task().bookmark, "here")

    # --------------------------------------------------------------- failures

    def test_a_failure_is_tried_again_later(self) -> None:
        """When whoever failed said; why stays until it is done."""
        self.get(self.catalog.enqueue_task("derive"))
        self.fail_once(delay_seconds=600)
        (record,) = self.all_tasks(TaskState.WAITING)
        self.assertEqual((record.error, record.attempts), ("no luck", 1))
        self.get(self.catalog.enqueue_task("derive"))
        self.assert_none_due()
        self.pass_time(660)
        again = self.take_task()
        self.assertEqual((again.attempt, again.bookmark), (2, "there"))

    def test_after_too_many_it_is_left_alone(self) -> None:
        """It is there to be seen, until somebody has it begin anew."""
        task_id = self.get(self.catalog.enqueue_task("derive", "7"))
        for _ in range(MAX_TASK_ATTEMPTS):
            self.fail_once()
            self.pass_time(120)
        self.assert_none_due()
        (record,) = self.all_tasks(TaskState.FAILED)
        self.assertEqual((record.id, record.due_at, record.error), (task_id, None, "no luck"))
        self.assertTrue(self.get(self.catalog.retry_task(task_id, ANONYMOUS)))
        self.assertEqual(self.take_task().attempt, 1)

    def test_asked_for_again_what_failed_begins_anew(self) -> None:
        """Whoever asks now knows nothing of what went wrong then."""
        self.get(self.catalog.enqueue_task("derive"))
        for _ in range(MAX_TASK_ATTEMPTS):
            self.fail_once()
            self.pass_time(120)
        self.get(self.catalog.enqueue_task("derive"))
        self.assertEqual(self.take_task().attempt, 1)

    def test_asked_for_at_its_last_try_it_begins_anew(self) -> None:
        """Whether somebody asks a moment before it fails for good or a moment after is all the same."""
        self.plan_task("sweep")
        self.get(self.catalog.enqueue_task("derive"))
        for kind in ("derive", "sweep"):
            for attempt in range(MAX_TASK_ATTEMPTS):
                self.pass_time(HOUR_SECONDS + 60)
                lease = self.take_task(kind)
                if attempt == MAX_TASK_ATTEMPTS - 1:
                    self.get(self.catalog.run_tasks(kind, ANONYMOUS))
                self.assertTrue(self.get(self.catalog.fail_task(lease, "no luck", 60, "")))
            self.pass_time(120)
            self.assertEqual(self.take_task(kind).attempt, 1)

    def test_who_dies_of_it_counts(self) -> None:
        """A task that ends every daemon that takes it is not taken for ever."""
        self.get(self.catalog.enqueue_task("derive", "poison"))
        for _ in range(MAX_TASK_ATTEMPTS):
            self.take_task()
            self.pass_time(LEASE_SECONDS + 60)
        self.assert_none_due()
        (record,) = self.all_tasks(TaskState.FAILED)
        assert record.error is not None
        self.assertIn("before it was done", record.error)

    def test_long_reasons_are_cut(self) -> None:
        """No more is kept than anybody reads."""
        self.get(self.catalog.enqueue_task("derive"))
        self.get(self.catalog.fail_task(self.take_task(), "x" * 100_000, 1, ""))
        self.assertEqual(self.all_tasks()[0].error, "x" * MAX_ERROR_CHARACTERS)

    # --------------------------------------------------------------- again and again

    def test_once_each_period(self) -> None:
        """Planned as often as there are daemons, it is due once, and again an interval after it was done."""
        for _ in range(3):
            self.plan_task("sweep")
        self.assert_none_due()
        self.pass_time(HOUR_SECONDS + 60)
        lease = self.take_task()
        self.assertTrue(self.get(self.catalog.finish_task(lease, "so far")))
        self.plan_task("sweep")
        self.pass_time(HOUR_SECONDS - 60)
        self.assert_none_due()
        self.pass_time(120)
        again = self.take_task()
        self.assertEqual((again.task_id, again.attempt, again.bookmark), (lease.task_id, 1, "so far"))

    def test_another_interval(self) -> None:
        """A shorter one holds at once, a longer one from the next turn on."""
        self.plan_task("sweep")
        self.plan_task("sweep", 60)
        self.pass_time(120)
        lease = self.take_task()
        self.plan_task("sweep", HOUR_SECONDS)
        self.assertTrue(self.get(self.catalog.finish_task(lease)))
        self.pass_time(120)
        self.assert_none_due()
        (record,) = self.all_tasks(kind="sweep")
        self.assertEqual(record.interval_seconds, HOUR_SECONDS)

    def test_a_clock_that_is_set_back(self) -> None:
        """What is due, or leased, far in the future was planned by a wrong clock: it is due after its interval."""
        self.plan_task("sweep")
        self.pass_time(-1000 * HOUR_SECONDS)
        self.plan_task("sweep")
        self.pass_time(HOUR_SECONDS + 60)
        lease = self.take_task()
        self.pass_time(-1000 * HOUR_SECONDS)
        self.plan_task("sweep")
        self.assertTrue(self.get(self.catalog.renew_task(lease, LEASE_SECONDS, "")))
        self.pass_time(-1000 * HOUR_SECONDS)
        self.plan_task("sweep")
        self.pass_time(HOUR_SECONDS + 60)
        self.assertEqual(self.take_task().attempt, 2)

    def test_a_periodic_one_never_fails_for_good(self) -> None:
        """What fails is tried again before its period, then once each period; that it fails can be seen."""
        self.plan_task("sweep")
        self.pass_time(HOUR_SECONDS + 60)
        for _ in range(MAX_TASK_ATTEMPTS):
            self.fail_once()
            self.pass_time(120)
        self.assert_none_due()
        self.pass_time(HOUR_SECONDS)
        self.assertEqual(self.fail_once().attempt, MAX_TASK_ATTEMPTS + 1)
        self.assert_none_due()
        (record,) = self.all_tasks(TaskState.WAITING)
        self.assertEqual(record.error, "no luck")
        self.pass_time(HOUR_SECONDS + 60)
        self.assertTrue(self.get(self.catalog.finish_task(self.take_task())))
        self.assertEqual((self.all_tasks()[0].attempts, self.all_tasks()[0].error), (0, None))

    def test_no_delay_beyond_the_period(self) -> None:
        """A periodic one is due after its interval at the latest."""
        self.plan_task("sweep", 60)
        self.pass_time(120)
        self.fail_once(delay_seconds=HOUR_SECONDS)
        self.pass_time(120)
        self.take_task()

    # --------------------------------------------------------------- by hand

    def test_before_its_time(self) -> None:
        """An operator has a kind done now; one that runs comes again."""
        self.plan_task("sweep")
        self.get(self.catalog.enqueue_task("derive", "7"))
        running = self.take_task()
        self.assertEqual(self.get(self.catalog.run_tasks("sweep", ANONYMOUS)), 1)
        self.assertEqual(self.get(self.catalog.run_tasks("derive", ANONYMOUS)), 1)
        self.assertEqual(self.get(self.catalog.run_tasks("nothing", ANONYMOUS)), 0)
        self.assertEqual(self.take_task().kind, "sweep")
        self.assert_none_due()
        self.assertTrue(self.get(self.catalog.finish_task(running)))
        self.assertEqual(self.take_task().kind, "derive")

    def test_what_cannot_be_tried_again(self) -> None:
        """What runs, and what is not there; neither is told."""
        task_id = self.get(self.catalog.enqueue_task("derive"))
        self.take_task()
        for number in (task_id, task_id + 1, 0, 2**63):
            self.assertFalse(self.get(self.catalog.retry_task(number, ANONYMOUS)))
        self.assertEqual(self.get(self.catalog.run_tasks("nothing", ANONYMOUS)), 0)
        told = [entry.told.action for entry in self.get(self.catalog.follow_trail(0, 100))]
        self.assertNotIn(AuditAction.RETRY_TASK, told)
        self.assertNotIn(AuditAction.RUN_TASKS, told)

    def test_tasks_are_listed(self) -> None:
        """By state, by kind, and a piece at a time."""
        self.plan_task("sweep")
        for key in "ab":
            self.get(self.catalog.enqueue_task("derive", key))
        self.take_task()
        self.assertEqual([record.kind for record in self.all_tasks()], ["sweep", "derive", "derive"])
        self.assertEqual([record.key for record in self.all_tasks(TaskState.RUNNING)], ["a"])
        self.assertEqual([record.key for record in self.all_tasks(TaskState.WAITING, "derive")], ["b"])
        self.assertEqual(self.all_tasks(TaskState.FAILED), [])
        first, second = (record.id for record in self.all_tasks()[:2])
        self.assertEqual([record.id for record in self.get(self.catalog.list_tasks(first, 1))], [second])
        self.assertEqual(self.get(self.catalog.list_tasks(2**63, 9)), ())
