"""
Doing tasks: what concerns the whole registry is done by one of all daemons.

A daemon looks from time to time whether something is due, takes as much as it has room for, and renews its leases while
it works. Whatever ends a turn early, be it a stop, a deadline or a lost lease: work that keeps a bookmark goes on from
there the next time, here or elsewhere.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from attrs import frozen
from twisted.internet.defer import CancelledError, Deferred, DeferredList, ensureDeferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger, LogLevel

from pkgregd.clockwork import PeriodicTask, start, with_deadline
from pkgregd.errors import PkgregdError, Unavailable
from pkgregd.interfaces import MAX_TASK_ATTEMPTS, IMeasures, ITaskCatalog
from pkgregd.secrecy import without_secrets
from pkgregd.unmeasured import UNMEASURED
from pkgregd.values import PeriodicPlan, Tally, TaskLease

log = Logger()

RETRY_SECONDS = 10.0
MAX_RETRY_SECONDS = 3600.0
"""How long a task waits after its first failure, twice as long after each further one, and at most."""

MAX_POLL_SECONDS = 60.0
"""How long a daemon that cannot reach the catalog waits at most before it looks again."""

PLAN_SECONDS = 3600.0
"""How often a daemon makes sure that periodic tasks are planned: clocks are set back, and databases from backups."""

STOP_SECONDS = 5.0
"""How long work may go on that was told to end, before it is cut off at whatever it waits for."""

TELL_AGAIN_SECONDS = 1.0
"""When what became of a task is told again, if the catalog could not be reached."""


@frozen
class TaskSettings:
    """
    How a daemon goes about it.

    Attributes:
        concurrency: turns that run at once.
        poll_seconds: how often it looks, on the average; they shall not all look at once.
        lease_seconds: how long a task stays with a daemon that says nothing.
    """

    concurrency: int = 4
    poll_seconds: float = 5.0
    lease_seconds: float = 60.0


DEFAULT_SETTINGS = TaskSettings()


class Turn:
    """
    One go at a task, as the work sees it.

    Attributes:
        key: what it is about; empty for the whole registry.
        bookmark: where the last turn ended. What the work writes here is kept for the next one, whatever becomes of
            this one: as far as the work came, and empty when it came to the end.
        was_cut_short: whether the work was told that it is over. It then ends, and somebody else goes on.
    """

    def __init__(self, key: str = "", bookmark: str = "", is_stopping: Callable[[], bool] = lambda: False) -> None:
        self.key = key
        self.bookmark = bookmark
        self.was_cut_short = False
        self._is_stopping = is_stopping

    def is_over(self) -> bool:
        """Whether the work is to end before it is done; asked as often as it can."""
        self.was_cut_short = self.was_cut_short or self._is_stopping()
        return self.was_cut_short


@frozen
class TaskKind:
    """
    Something that can be done.

    Attributes:
        name: of the kind, the same in all versions that run side by side.
        work: does it. It may be cut off at any await, and be begun by somebody else then: doing it twice is fine.
        interval_seconds: how often; None for what is asked for.
        deadline_seconds: how long a turn may take.
    """

    name: str
    work: Callable[[Turn], Awaitable[object]]
    interval_seconds: float | None = None
    deadline_seconds: float = 3600.0


class TaskRunner:
    """
    Does tasks, one daemon's share of them.

    Args:
        kinds: what it can do; it leaves others alone.
        lessee: names this process, for those who look on.
        is_stopping: whether the daemon is about to end: then nothing is begun, and what runs is told to end.
        spread: picks a time between two.
        measures: told of each turn that fails.
    """

    def __init__(
        self,
        clock: IReactorTime,
        catalog: ITaskCatalog,
        kinds: Sequence[TaskKind],
        lessee: str,
        settings: TaskSettings = DEFAULT_SETTINGS,
        is_stopping: Callable[[], bool] = lambda: False,
        spread: Callable[[float, float], float] = random.uniform,
        measures: IMeasures = UNMEASURED,
    ) -> None:
        self._measures = measures
        self._clock = clock
        self._catalog = catalog
        self._kinds = {kind.name: kind for kind in kinds}
        self._plans = [
            PeriodicPlan(kind.name, kind.interval_seconds) for kind in kinds if kind.interval_seconds is not None
        ]
        self._planned_until = float("-inf")
        self._lessee = lessee
        self._settings = settings
        self._is_stopping_by = is_stopping
        self._spread = spread
        self._is_stopped = False
        self._call: IDelayedCall | None = None
        self._is_looking = False
        self._is_woken = False
        self._looking: Deferred[None] | None = None
        self._failures = 0
        self._running: set[Deferred[None]] = set()
        self._work: set[Deferred[object]] = set()

    def start(self) -> None:
        """Begin to look, once the reactor runs."""
        self._call = self._clock.callLater(0, self.wake)

    async def enqueue(self, kind: str, key: str = "") -> int:
        """Have something done by whoever has time first, here at once; returns the number of the task."""
        task_id = await self._catalog.enqueue_task(kind, key)
        self.wake()
        return task_id

    def wake(self) -> None:
        """Look now."""
        self._is_woken = True
        if self._is_looking or self._is_stopping():
            return
        call, self._call = self._call, None
        if call is not None and call.active():
            call.cancel()
        self._is_looking = True
        self._looking = start(self._look(), "looking for tasks")

    def _is_stopping(self) -> bool:
        return self._is_stopped or self._is_stopping_by()

    async def _look(self) -> None:
        """Take what is due, as far as there is room, and come back later."""
        pause = self._settings.poll_seconds
        try:
            while self._is_woken:
                self._is_woken = False
                await self._take_all()
            self._failures = 0
        except PkgregdError as error:
            pause = min(MAX_POLL_SECONDS, pause * 2**self._failures)
            self._failures = min(self._failures + 1, 10)
            log.warn("tasks cannot be looked for: {reason}", reason=str(error), event="task.no_catalog")
        finally:
            self._is_looking = False
            if not self._is_stopping():
                self._call = self._clock.callLater(self._spread(pause / 2, pause * 1.5), self.wake)

    async def _take_all(self) -> None:
        now = self._clock.seconds()
        if not now < self._planned_until <= now + PLAN_SECONDS:
            await self._catalog.plan_tasks(self._plans)
            self._planned_until = now + PLAN_SECONDS
        while len(self._running) < self._settings.concurrency and not self._is_stopping():
            hold = _Hold(self._clock, self._catalog, self._settings.lease_seconds)
            lease = await self._catalog.lease_task(list(self._kinds), self._lessee, self._settings.lease_seconds)
            if lease is None:
                return
            if self._is_stopping():
                await self._tell(hold, partial(self._catalog.release_task, lease, lease.bookmark))
                return
            doing = start(self._do(lease, hold), f"task {lease.kind}")
            if not doing.called:
                self._running.add(doing)
                doing.addBoth(self._ended, doing)

    def _ended(self, result: None, doing: Deferred[None]) -> None:
        self._running.discard(doing)
        self.wake()

    # ------------------------------------------------------------------ one turn

    async def _do(self, lease: TaskLease, hold: _Hold) -> None:
        turn, kind = Turn(lease.key, lease.bookmark, self._is_stopping), self._kinds[lease.kind]
        began_at = self._clock.seconds()
        reason = None
        work = ensureDeferred(_begun(kind, turn))
        self._work.add(work)
        hold.keep(lease, turn, work)
        try:
            slow = f"it took longer than {kind.deadline_seconds:g} s"
            await with_deadline(self._clock, kind.deadline_seconds, work, lambda: Unavailable(slow))
        except CancelledError:
            if self._is_stopping():
                turn.was_cut_short = True
            else:
                reason = "it was cut off"
        except PkgregdError as error:
            reason = without_secrets(str(error)) or type(error).__name__
        except Exception as error:
            log.failure("task {kind} failed", kind=kind.name, event="task.bug")
            reason = f"an error of pkgregd ({type(error).__name__}); see the log"
        finally:
            self._work.discard(work)
            hold.let_go()
        if hold.is_lost or reason is not None:
            self._measures.count(Tally.TASK_FAILURES)
        if hold.is_lost:
            log.warn("task {kind} was lost to another daemon", kind=kind.name, key=lease.key, event="task.lost")
        elif reason is not None:
            await self._fail(lease, hold, turn, reason)
        elif turn.was_cut_short:
            await self._tell(hold, lambda: self._catalog.release_task(lease, turn.bookmark))
        elif await self._tell(hold, lambda: self._catalog.finish_task(lease, turn.bookmark)):
            log.info(
                "task {kind} done in {seconds:.1f} s",
                kind=kind.name,
                key=lease.key,
                seconds=self._clock.seconds() - began_at,
                event="task.done",
            )

    async def _fail(self, lease: TaskLease, hold: _Hold, turn: Turn, reason: str) -> None:
        longest = min(MAX_RETRY_SECONDS, RETRY_SECONDS * 2 ** min(lease.attempt - 1, 20))
        delay = self._spread(longest / 2, longest)
        is_over = lease.attempt >= MAX_TASK_ATTEMPTS and self._kinds[lease.kind].interval_seconds is None
        log.emit(
            LogLevel.error if is_over else LogLevel.warn,
            "task {kind} failed: {reason} (attempt {attempt})",
            kind=lease.kind,
            key=lease.key,
            reason=reason,
            attempt=lease.attempt,
            event="task.failed",
        )
        await self._tell(hold, lambda: self._catalog.fail_task(lease, reason, delay, turn.bookmark))

    async def _tell(self, hold: _Hold, tell: Callable[[], Awaitable[bool]]) -> bool:
        """Tell the catalog what became of a task, for as long as it is ours; whether that counted."""
        while True:
            try:
                return await tell()
            except PkgregdError as error:
                if self._is_stopping() or self._clock.seconds() + TELL_AGAIN_SECONDS >= hold.ends_at:
                    log.warn("what became of a task is not known: {reason}", reason=str(error), event="task.untold")
                    return False
            await deferLater(self._clock, TELL_AGAIN_SECONDS)

    # ------------------------------------------------------------------ the end

    async def stop(self) -> None:
        """Begin nothing any more, have what runs end, and give back what is not done."""
        self._is_stopped = True
        if self._call is not None and self._call.active():
            self._call.cancel()
        cut = self._clock.callLater(STOP_SECONDS, self._cut_off)
        try:
            if self._looking is not None:
                await self._looking
            await DeferredList(list(self._running))
        finally:
            if cut.active():
                cut.cancel()

    def _cut_off(self) -> None:
        for work in list(self._work):
            work.cancel()


async def _begun(kind: TaskKind, turn: Turn) -> object:
    return await kind.work(turn)


class _Hold:
    """
    Keeps a lease, from before it is asked for.

    Attributes:
        ends_at: when somebody else may take the task, by our clock and at the earliest.
        is_lost: whether somebody else has it, or may have it.
    """

    def __init__(self, clock: IReactorTime, catalog: ITaskCatalog, seconds: float) -> None:
        self._clock = clock
        self._catalog = catalog
        self._seconds = seconds
        self._renewing: PeriodicTask | None = None
        self._end: IDelayedCall | None = None
        self.ends_at = clock.seconds() + seconds
        self.is_lost = False

    def keep(self, lease: TaskLease, turn: Turn, work: Deferred[object]) -> None:
        """Renew the lease until let_go(); work whose lease is lost is cut off."""

        def lose() -> None:
            self.is_lost = True
            work.cancel()

        async def renew() -> None:
            ends_at = self._clock.seconds() + self._seconds
            try:
                is_held = await self._catalog.renew_task(lease, self._seconds, turn.bookmark)
            except PkgregdError as error:
                log.warn("a lease cannot be renewed: {reason}", reason=str(error), event="task.not_renewed")
                return
            if self._end is None or not self._end.active():
                return
            if is_held:
                self.ends_at = ends_at
                self._end.reset(max(0.0, ends_at - self._clock.seconds()))
            else:
                self._end.cancel()
                lose()

        if work.called:
            return
        self._end = self._clock.callLater(max(0.0, self.ends_at - self._clock.seconds()), lose)
        self._renewing = PeriodicTask(self._clock, self._seconds / 3, renew, "renewing a lease")
        self._renewing.startService()

    def let_go(self) -> None:
        """Renew no more."""
        if self._renewing is not None:
            self._renewing.stopService()
        if self._end is not None and self._end.active():
            self._end.cancel()
