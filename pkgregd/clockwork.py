"""
Time and concurrency: deadlines, shields, background coroutines, periodic tasks.
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Generic, TypeVar

from twisted.application.service import Service
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

T = TypeVar("T")
log = Logger()


def utc_now() -> datetime.datetime:
    """Return the present time, aware."""
    return datetime.datetime.now(datetime.UTC)


def go_by_steady_time(reactor: Any) -> None:
    """
    Have what a reactor has to do at some time go by a clock that nobody sets, before there is any of it.

    Twisted goes by the time of day. Were that set back by a day, no deadline, poll or renewal would come for a day.
    """
    reactor.seconds = steady_seconds


def steady_seconds() -> float:
    """Return seconds that nobody sets, and that pass while the host sleeps as well: leases end meanwhile."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def start(coroutine: Coroutine[Deferred[Any], Any, T], what: str) -> Deferred[T | None]:
    """
    Run a coroutine that nobody awaits; log its failure.

    Args:
        what: names it in the log.

    Returns:
        Fires with its result, or None after a failure was logged.
    """

    def failed(failure: Failure) -> None:
        log.failure("{what} failed", failure, what=what, event="background.failed")

    return ensureDeferred(coroutine).addErrback(failed)


async def shielded(coroutine: Coroutine[Deferred[Any], Any, T], expected: tuple[type[Exception], ...] = ()) -> T:
    """
    Await a coroutine that must finish once begun.

    Cancelling the awaiting side raises CancelledError there at once, while the
    coroutine goes on; a failure it has after that is logged.

    Args:
        expected: failures that are no bugs: where they are logged, it is in one line.
    """
    abandoned = False

    def settle(result: T | Failure) -> None:
        if not waiter.called:
            waiter.callback(result)
        elif abandoned and isinstance(result, Failure):
            if result.check(*expected):
                log.info("abandoned work failed: {reason}", reason=str(result.value), event="shielded.refused")
            else:
                log.failure("abandoned work failed", result, event="shielded.failed")

    def on_cancel(_: Deferred[T]) -> None:
        nonlocal abandoned
        abandoned = True

    waiter: Deferred[T] = Deferred(on_cancel)
    ensureDeferred(coroutine).addBoth(settle)
    return await waiter


async def acquired(coming: Deferred[T], give_back: Callable[[T], object]) -> T:
    """
    Await a thing that has to be given back, such as an open file.

    Cancelling the awaiting side raises CancelledError there at once; the thing is then given back when it comes.
    """
    abandoned = False

    def settle(result: T | Failure) -> None:
        if not abandoned:
            waiter.callback(result)
        elif not isinstance(result, Failure):
            give_back(result)

    def on_cancel(_: Deferred[T]) -> None:
        nonlocal abandoned
        abandoned = True

    waiter: Deferred[T] = Deferred(on_cancel)
    coming.addBoth(settle)
    return await waiter


async def with_deadline(
    clock: IReactorTime, seconds: float, awaitable: Deferred[T], error: Callable[[], Exception]
) -> T:
    """
    Await a Deferred at most so long.

    Args:
        seconds: then the Deferred is cancelled.
        error: makes what is raised instead of CancelledError.
    """
    expired = False

    def expire() -> None:
        nonlocal expired
        expired = True
        awaitable.cancel()

    call = clock.callLater(seconds, expire)
    try:
        return await awaitable
    except Exception:
        if expired:
            raise error() from None
        raise
    finally:
        if call.active():
            call.cancel()


GATHER_SECONDS = 0.05
MAX_GATHERED = 256


class Gathering(Generic[T]):
    """
    Hands things over together, a moment after the first of them came.

    Args:
        clock: tells when the moment is over.
        deliver: gets what was gathered, in order; never nothing.
    """

    def __init__(self, clock: IReactorTime, deliver: Callable[[Sequence[T]], object]) -> None:
        self._clock = clock
        self._deliver = deliver
        self._gathered: list[T] = []
        self._call: IDelayedCall | None = None

    def add(self, thing: T) -> None:
        """Take one thing."""
        self._gathered.append(thing)
        if len(self._gathered) >= MAX_GATHERED:
            self.flush()
        elif self._call is None:
            self._call = self._clock.callLater(GATHER_SECONDS, self.flush)

    def flush(self) -> None:
        """Hand over what is there."""
        call, self._call = self._call, None
        if call is not None and call.active():
            call.cancel()
        if self._gathered:
            gathered, self._gathered = self._gathered, []
            self._deliver(gathered)


SLOW_SECONDS = 0.01
FIRST_PAUSE_SECONDS = 1.0
MAX_PAUSE_SECONDS = 64.0
FORGIVING_RUNS = 64
"""After so many short ones in a row a slow one is taken for an accident: a core or a lock was wanted elsewhere."""


class Shortcut:
    """
    Lets short blocking work be done on the reactor thread, for as long as it is short.

    A look into a file that is in memory takes microseconds, and a thread several times as long to take it over and
    hand the result back. A disk that has to be waited for must not stop the reactor, though: work that took longer than
    SLOW_SECONDS, more often than once in FORGIVING_RUNS, closes the shortcut for a pause, which doubles each time until
    the work is short again.

    Args:
        now: seconds that never go back, fine enough for microseconds.
    """

    def __init__(self, now: Callable[[], float] = time.perf_counter) -> None:
        self._now = now
        self._closed_until = float("-inf")
        self._pause_seconds = FIRST_PAUSE_SECONDS
        self._short_runs = 0

    @property
    def is_open(self) -> bool:
        """Whether the work may be done here; else it belongs on a thread."""
        return self._now() >= self._closed_until

    def run(self, work: Callable[[], T]) -> T:
        """Do the work, and learn from how long it took; what it raises is passed on."""
        began_at = self._now()
        try:
            return work()
        finally:
            ended_at = self._now()
            if ended_at - began_at <= SLOW_SECONDS:
                self._short_runs += 1
                self._pause_seconds = FIRST_PAUSE_SECONDS
            else:
                if self._short_runs < FORGIVING_RUNS:
                    self._closed_until = ended_at + self._pause_seconds
                    self._pause_seconds = min(MAX_PAUSE_SECONDS, self._pause_seconds * 2)
                self._short_runs = 0


class PeriodicTask(Service):
    """
    Run a coroutine function every so often while the service runs.

    A run that fails is logged and the next one still comes; runs never overlap;
    stopping waits for the run in progress.
    """

    def __init__(
        self, clock: IReactorTime, interval_seconds: float, task: Callable[[], Awaitable[object]], what: str
    ) -> None:
        self._interval_seconds = interval_seconds
        self._running: Deferred[object] | None = None
        self._task = task
        self._what = what
        self._loop = LoopingCall(self._run)
        self._loop.clock = clock

    def _run(self) -> Deferred[object]:
        async def run() -> object:
            return await self._task()

        self._running = start(run(), self._what)
        return self._running

    def startService(self) -> None:
        """Begin; the first run comes after one interval."""
        super().startService()
        self._loop.start(self._interval_seconds, now=False)

    def stopService(self) -> Deferred[object] | None:
        """Stop; fires when no run is in progress."""
        super().stopService()
        if self._loop.running:
            self._loop.stop()
        return self._running
