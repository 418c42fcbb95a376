"""The measures of a process, and the page that is made of them."""

from __future__ import annotations

import fcntl
import platform
import time
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from zope.interface import implementer

from pkgregd.clockwork import start, with_deadline
from pkgregd.errors import Unavailable
from pkgregd.interfaces import IMetrics
from pkgregd.metrics import process
from pkgregd.metrics.names import S3_BOUNDS, VERB_BOUNDS, Names
from pkgregd.metrics.notes import Notes, Requests, Timing
from pkgregd.metrics.workers import folder, locked
from pkgregd.values import Gauge, Outcome, Tally

T = TypeVar("T")
log = Logger()

TICK_SECONDS = 0.25
"""How often the reactor's lateness is measured."""

TICKS_PER_TURN = 4
"""After so many ticks what was noted is handed on, and gauges are read."""

TURNS_PER_LOOK = 5
"""After so many turns the system is asked about the process."""

RENDER_SECONDS = 10.0
LATE_SECONDS = 1.0
"""From what lateness of the reactor on the log says so: everybody has waited so long."""

WARNING_SECONDS = 60.0
"""How often the log says that there is no room for what was noted."""

METHODS = frozenset({"GET", "HEAD", "PUT", "POST", "PATCH", "DELETE"})


@implementer(IMetrics)
class Measures:
    """
    See IMetrics.

    Args:
        reactor: provides IReactorTime, IReactorThreads.
        release: version of pkgregd.
        now: seconds that never go back, for the reactor's lateness.
    """

    def __init__(self, reactor: Any, release: str, now: Callable[[], float] = time.monotonic) -> None:
        self._reactor = reactor
        self._now = now
        self._folder = folder()
        self._registry = CollectorRegistry()
        self._names = Names(None if self._folder else self._registry)
        self._notes = Notes()
        self._watched: list[tuple[Gauge, Callable[[], float]]] = []
        self._tick: IDelayedCall | None = None
        self._ticks = 0
        self._due_at = 0.0
        self._cpu_seconds = 0.0
        self._warned_at = -WARNING_SECONDS
        self._rendering: list[Deferred[bytes]] | None = None
        self._names.build.labels(release, platform.python_version()).set(1)

    # ------------------------------------------------------------------ what happens

    def request_ended(
        self,
        table: str,
        method: str,
        status: int,
        seconds: float,
        received_bytes: int,
        sent_bytes: int,
        refusal: str | None = None,
        is_known: bool = False,
    ) -> None:
        """See IMeasures."""
        key = (table, method, status // 100)
        found = self._notes.requests.get(key)
        if found is None:
            if method not in METHODS:
                key = (table, "other", status // 100)
            found = self._notes.requests.setdefault(key, Requests())
        found.timing.add(seconds)
        found.received_bytes += received_bytes
        found.sent_bytes += sent_bytes
        if refusal is not None:
            self._notes.refusals[table, refusal, "known" if is_known else "anonymous"] += 1

    def verb_ended(self, verb: str, seconds: float, outcome: Outcome) -> None:
        """See IMeasures."""
        found = self._notes.verbs.get((verb, outcome))
        if found is None:
            found = self._notes.verbs[verb, outcome] = Timing(VERB_BOUNDS)
        found.add(seconds)

    def event_happened(self, name: str, format: str) -> None:
        """See IMeasures."""
        self._notes.events[name, format] += 1

    def s3_answered(self, kind: str, outcome: str, seconds: float) -> None:
        """See IMeasures."""
        found = self._notes.s3.get((kind, outcome))
        if found is None:
            found = self._notes.s3[kind, outcome] = Timing(S3_BOUNDS)
        found.add(seconds)

    def count(self, tally: Tally) -> None:
        """See IMeasures."""
        self._notes.tallies[tally] += 1

    def watch(self, gauge: Gauge, read: Callable[[], float]) -> None:
        """See IMeasures."""
        self._watched.append((gauge, read))

    # ------------------------------------------------------------------ once in a while

    def start(self) -> None:
        """See IMetrics."""
        self._names.started_at.set(process.started_at())
        self._names.max_files.set(process.max_files())
        self._look()
        self._wait()

    def stop(self) -> None:
        """See IMetrics."""
        tick, self._tick = self._tick, None
        if tick is not None and tick.active():
            tick.cancel()
        self._keep(self._take_notes())

    def _wait(self) -> None:
        self._due_at = self._now() + TICK_SECONDS
        self._tick = self._reactor.callLater(TICK_SECONDS, self._on_time)

    def _on_time(self) -> None:
        late_seconds = max(0.0, self._now() - self._due_at)
        self._notes.lag.add(late_seconds)
        if late_seconds >= LATE_SECONDS:
            log.warn("nothing was done for {seconds:.1f} s", seconds=late_seconds, event="reactor.late")
        self._ticks += 1
        if self._ticks % TICKS_PER_TURN == 0:
            start(self._hand_on(), "handing on what was measured")
        if self._ticks % (TICKS_PER_TURN * TURNS_PER_LOOK) == 0:
            start(self._look_again(), "looking at the process")
        self._wait()

    def _take_notes(self) -> Notes:
        """Begin new notes, and return the old ones with what the gauges say."""
        sums: dict[Gauge, float] = {}
        for gauge, read in self._watched:
            sums[gauge] = sums.get(gauge, 0.0) + read()
        notes, self._notes = self._notes, Notes()
        notes.gauges = sums
        return notes

    async def _hand_on(self) -> None:
        notes = self._take_notes()
        await self._on_thread(partial(self._keep, notes))

    def _keep(self, notes: Notes) -> None:
        """Hand notes on, on any thread. What there is no room for is lost: a full disk ends nothing else."""
        try:
            notes.hand_on(self._names)
        except OSError as error:
            self._reactor.callFromThread(self._warn, str(error))

    def _warn(self, reason: str) -> None:
        now = self._now()
        if now - self._warned_at >= WARNING_SECONDS:
            self._warned_at = now
            log.warn("some of what was measured is lost: {reason}", reason=reason, event="metrics.lost")

    async def _look_again(self) -> None:
        await self._on_thread(self._look)

    def _on_thread(self, work: Callable[[], T]) -> Deferred[T]:
        found: Deferred[T] = deferToThreadPool(self._reactor, self._reactor.getThreadPool(), work)
        return found

    def _look(self) -> None:
        self._names.resident_bytes.set(process.resident_bytes())
        self._names.open_files.set(process.open_files())
        cpu_seconds = process.cpu_seconds()
        self._names.cpu_seconds.inc(cpu_seconds - self._cpu_seconds)
        self._cpu_seconds = cpu_seconds

    # ------------------------------------------------------------------ the page

    async def render(self) -> bytes:
        """See IMetrics."""
        waiting: Deferred[bytes] = Deferred()
        if self._rendering is None:
            notes = self._take_notes()
            self._rendering = [waiting]
            self._on_thread(partial(self._write, notes)).addBoth(self._rendered)
        else:
            self._rendering.append(waiting)
        return await with_deadline(self._reactor, RENDER_SECONDS, waiting, _too_slow)

    def _rendered(self, result: Any) -> None:
        waiting, self._rendering = self._rendering or [], None
        for each in waiting:
            if not each.called:
                each.callback(result)

    def _write(self, notes: Notes) -> bytes:
        """Make the page, on a thread."""
        self._keep(notes)
        registry = self._registry
        if self._folder is not None:
            registry = CollectorRegistry()
            MultiProcessCollector(registry, str(self._folder))
            with locked(self._folder, fcntl.LOCK_SH):
                return generate_latest(registry)
        return generate_latest(registry)


def _too_slow() -> Exception:
    return Unavailable("the measures cannot be gathered in time")
