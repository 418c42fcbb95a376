"""Deadlines, shields, background coroutines, periodic tasks."""

import time

from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from twisted.internet.selectreactor import SelectReactor
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pkgregd.clockwork import (
    FIRST_PAUSE_SECONDS,
    FORGIVING_RUNS,
    MAX_PAUSE_SECONDS,
    SLOW_SECONDS,
    PeriodicTask,
    Shortcut,
    acquired,
    go_by_steady_time,
    shielded,
    start,
    steady_seconds,
    with_deadline,
)
from pkgregd.errors import Unavailable


class SteadyTimeTests(SynchronousTestCase):
    """Reactors whose appointments nobody moves."""

    def test_appointments(self):
        """They are kept by the steady clock."""
        reactor = SelectReactor()
        self.addCleanup(reactor.disconnectAll)
        go_by_steady_time(reactor)
        earliest = steady_seconds() + 5
        call = reactor.callLater(5, int)
        self.assertLessEqual(earliest, call.getTime())
        self.assertLessEqual(call.getTime(), steady_seconds() + 5)
        self.assertLess(call.getTime(), time.time() / 2)


class StartTests(SynchronousTestCase):
    """Coroutines that nobody awaits."""

    def test_result(self):
        """A result is passed on."""

        async def work():
            return 5

        self.assertEqual(self.successResultOf(start(work(), "working")), 5)

    def test_failure_is_logged(self):
        """A failure is logged and goes no further."""

        async def work():
            raise ValueError("no")

        self.assertIsNone(self.successResultOf(start(work(), "working")))
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)


class ShieldTests(SynchronousTestCase):
    """What must finish, finishes."""

    def setUp(self):
        """Begin something that waits."""
        self.held = Deferred()
        self.done = []

        async def work():
            self.done.append(await self.held)
            return "result"

        self.waiting = ensureDeferred(shielded(work()))

    def test_passes_results_and_errors(self):
        """Without a cancel nothing is different."""
        self.held.callback(1)
        self.assertEqual(self.successResultOf(self.waiting), "result")

        async def fail():
            raise ValueError("no")

        self.failureResultOf(ensureDeferred(shielded(fail())), ValueError)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_cancel_ends_the_wait_only(self):
        """The caller goes at once, the work goes on."""
        self.waiting.cancel()
        self.failureResultOf(self.waiting, CancelledError)
        self.assertEqual(self.done, [])
        self.held.callback(1)
        self.assertEqual(self.done, [1])

    def test_an_abandoned_failure_is_logged(self):
        """Nobody waits for it, so the log has to hear of it."""
        self.waiting.cancel()
        self.failureResultOf(self.waiting, CancelledError)
        self.held.errback(ValueError("late"))
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_an_abandoned_failure_that_is_expected(self):
        """It is no bug, and so no error of the log."""

        async def fail(held):
            await held

        held = Deferred()
        waiting = ensureDeferred(shielded(fail(held), (Unavailable,)))
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        held.errback(Unavailable("later"))
        self.assertEqual(self.flushLoggedErrors(), [])


class AcquiredTests(SynchronousTestCase):
    """What has to be given back, is."""

    def setUp(self):
        """Begin to wait for a thing."""
        self.given_back = []
        self.coming = Deferred()
        self.waiting = ensureDeferred(acquired(self.coming, self.given_back.append))

    def test_passes_results_and_errors(self):
        """Whoever waits has it, and gives it back himself."""
        self.coming.callback("thing")
        self.assertEqual(self.successResultOf(self.waiting), "thing")
        failing = Deferred()
        waiting = ensureDeferred(acquired(failing, self.given_back.append))
        failing.errback(ValueError("no"))
        self.failureResultOf(waiting, ValueError)
        self.assertEqual(self.given_back, [])

    def test_a_thing_that_nobody_waits_for(self):
        """It is given back when it comes."""
        self.waiting.cancel()
        self.failureResultOf(self.waiting, CancelledError)
        self.assertEqual(self.given_back, [])
        self.coming.callback("thing")
        self.assertEqual(self.given_back, ["thing"])

    def test_a_thing_that_never_comes(self):
        """Then nothing is given back, and nobody is told."""
        self.waiting.cancel()
        self.failureResultOf(self.waiting, CancelledError)
        self.coming.errback(ValueError("no"))
        self.assertEqual((self.given_back, self.flushLoggedErrors()), ([], []))


class DeadlineTests(SynchronousTestCase):
    """Waits that end."""

    def wait(self, deferred):
        """Wait two seconds at most."""
        return ensureDeferred(with_deadline(self.clock, 2, deferred, lambda: Unavailable("late")))

    def setUp(self):
        """Stop the clock."""
        self.clock = Clock()

    def test_in_time(self):
        """A result in time is passed on, and no timer stays."""
        held = Deferred()
        waiting = self.wait(held)
        held.callback(5)
        self.assertEqual(self.successResultOf(waiting), 5)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_too_late(self):
        """The Deferred is cancelled and the caller's error is raised."""
        cancelled = []
        waiting = self.wait(Deferred(lambda _: cancelled.append(True)))
        self.clock.advance(2)
        self.failureResultOf(waiting, Unavailable)
        self.assertEqual(cancelled, [True])

    def test_its_own_error(self):
        """An error before the deadline stays what it is."""
        held = Deferred()
        waiting = self.wait(held)
        held.errback(ValueError("own"))
        self.failureResultOf(waiting, ValueError)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_cancelled_from_outside(self):
        """Somebody else's cancel is a cancel."""
        waiting = self.wait(Deferred())
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class PeriodicTaskTests(SynchronousTestCase):
    """Work that comes back."""

    def setUp(self):
        """Start a task of ten seconds."""
        self.clock = Clock()
        self.runs = 0
        self.held = None
        self.error = None

        async def run():
            self.runs += 1
            if self.error is not None:
                raise self.error
            if self.held is not None:
                await self.held

        self.task = PeriodicTask(self.clock, 10, run, "running")
        self.task.startService()

    def test_comes_back(self):
        """The first run comes after one interval."""
        self.assertEqual(self.runs, 0)
        self.clock.pump([10, 10, 10])
        self.assertEqual(self.runs, 3)

    def test_survives_a_failure(self):
        """A failed run is logged, and the next one comes."""
        self.error = ValueError("no")
        self.clock.pump([10, 10])
        self.assertEqual(self.runs, 2)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 2)

    def test_never_overlaps(self):
        """A long run delays the next one."""
        self.held = Deferred()
        self.clock.pump([10, 10, 10])
        self.assertEqual(self.runs, 1)
        self.held.callback(None)
        self.clock.advance(10)
        self.assertEqual(self.runs, 2)

    def test_stopping_waits(self):
        """Stopping is done when the run in progress is."""
        self.held = Deferred()
        self.clock.advance(10)
        stopped = self.task.stopService()
        self.assertNoResult(stopped)
        self.held.callback(None)
        self.successResultOf(stopped)
        self.clock.advance(100)
        self.assertEqual(self.runs, 1)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class ShortcutTests(SynchronousTestCase):
    """Short work on the reactor thread."""

    def setUp(self) -> None:
        """Make a shortcut whose time the test moves."""
        self.clock = Clock()
        self.shortcut = Shortcut(self.clock.seconds)

    def work(self, seconds: float) -> None:
        """Do work that takes so long."""
        self.shortcut.run(lambda: self.clock.advance(seconds))

    def test_open_while_work_is_short(self) -> None:
        """Short work is done and its result passed on."""
        self.assertEqual(self.shortcut.run(lambda: 7), 7)
        self.work(SLOW_SECONDS / 2)
        self.assertTrue(self.shortcut.is_open)

    def test_slow_work_closes_it(self) -> None:
        """After slow work it is closed for a while, for longer each time, until work is short again."""
        for pause_seconds in (FIRST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2, FIRST_PAUSE_SECONDS * 4):
            self.work(SLOW_SECONDS * 2)
            self.clock.advance(pause_seconds * 0.99)
            self.assertFalse(self.shortcut.is_open)
            self.clock.advance(pause_seconds * 0.02)
            self.assertTrue(self.shortcut.is_open)
        self.work(0)
        self.work(SLOW_SECONDS * 2)
        self.clock.advance(FIRST_PAUSE_SECONDS * 1.01)
        self.assertTrue(self.shortcut.is_open)

    def test_an_accident_is_forgiven(self) -> None:
        """Slow work among much that is short does not close it; the next slow one does."""
        for _ in range(FORGIVING_RUNS):
            self.work(0)
        self.work(SLOW_SECONDS * 2)
        self.assertTrue(self.shortcut.is_open)
        self.work(0)
        self.work(SLOW_SECONDS * 2)
        self.assertFalse(self.shortcut.is_open)

    def test_the_pause_is_bounded(self) -> None:
        """However often work is slow, it is tried again."""
        for _ in range(20):
            self.work(SLOW_SECONDS * 2)
            self.clock.advance(MAX_PAUSE_SECONDS)
            self.assertTrue(self.shortcut.is_open)

    def test_work_that_fails(self) -> None:
        """What it raises is passed on, and its time counts."""

        def fail() -> None:
            self.clock.advance(SLOW_SECONDS * 2)
            raise KeyError("x")

        self.assertRaises(KeyError, self.shortcut.run, fail)
        self.assertFalse(self.shortcut.is_open)
