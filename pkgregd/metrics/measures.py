"""The measures of a process, and the page that is made of them."""

from __future__ import annotations

import platform
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from zope.interface import implementer

from pkgregd.clockwork import with_deadline
from pkgregd.errors import Unavailable
from pkgregd.interfaces import IMetrics
from pkgregd.metrics import process
from pkgregd.metrics.names import LAG_BOUNDS, REQUEST_BOUNDS, S3_BOUNDS, VERB_BOUNDS, Names
from pkgregd.metrics.notes import Timing
from pkgregd.metrics.workers import folder
from pkgregd.values import Gauge, Outcome, Tally

log = Logger()

TICK_SECONDS = 0.25
"""How often the reactor's lateness is measured."""

TICKS_PER_TURN = 4
"""After so many ticks what was noted is handed on, and gauges are read."""

TURNS_PER_LOOK = 5
"""After so many turns the system is asked about the process."""

RENDER_SECONDS = 10.0
METHODS = frozenset({"GET", "HEAD", "PUT", "POST", "PATCH", "DELETE"})
STATUS_CLASSES = ("", "1xx", "2xx", "3xx", "4xx", "5xx")


class _Requests:
    """Those of one table, method and class of statuses."""

    __slots__ = ("received_bytes", "sent_bytes", "timing")

    def __init__(self) -> None:
        self.timing = Timing(REQUEST_BOUNDS)
        self.received_bytes = 0
        self.sent_bytes = 0


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
        self._requests: dict[tuple[str, str, int], _Requests] = {}
        self._refusals: Counter[tuple[str, str, str]] = Counter()
        self._verbs: dict[tuple[str, Outcome], Timing] = {}
        self._events: Counter[tuple[str, str]] = Counter()
        self._s3: dict[tuple[str, str], Timing] = {}
        self._tallies: Counter[Tally] = Counter()
        self._lag = Timing(LAG_BOUNDS)
        self._watched: list[tuple[Gauge, Callable[[], float]]] = []
        self._tick: IDelayedCall | None = None
        self._ticks = 0
        self._due_at = 0.0
        self._cpu_seconds = 0.0
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
        found = self._requests.get(key)
        if found is None:
            if method not in METHODS:
                key = (table, "other", status // 100)
            found = self._requests.setdefault(key, _Requests())
        found.timing.add(seconds)
        found.received_bytes += received_bytes
        found.sent_bytes += sent_bytes
        if refusal is not None:
            self._refusals[table, refusal, "known" if is_known else "anonymous"] += 1

    def verb_ended(self, verb: str, seconds: float, outcome: Outcome) -> None:
        """See IMeasures."""
        found = self._verbs.get((verb, outcome))
        if found is None:
            found = self._verbs[verb, outcome] = Timing(VERB_BOUNDS)
        found.add(seconds)

    def event_happened(self, name: str, format: str) -> None:
        """See IMeasures."""
        self._events[name, format] += 1

    def s3_answered(self, kind: str, outcome: str, seconds: float) -> None:
        """See IMeasures."""
        found = self._s3.get((kind, outcome))
        if found is None:
            found = self._s3[kind, outcome] = Timing(S3_BOUNDS)
        found.add(seconds)

    def count(self, tally: Tally) -> None:
        """See IMeasures."""
        self._tallies[tally] += 1

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
        self.hand_on()

    def _wait(self) -> None:
        self._due_at = self._now() + TICK_SECONDS
        self._tick = self._reactor.callLater(TICK_SECONDS, self._on_time)

    def _on_time(self) -> None:
        self._lag.add(max(0.0, self._now() - self._due_at))
        self._ticks += 1
        try:
            if self._ticks % TICKS_PER_TURN == 0:
                self.hand_on()
            if self._ticks % (TICKS_PER_TURN * TURNS_PER_LOOK) == 0:
                self._look()
        except Exception:  # such as a full disk below the folder: measuring must not end for it, nor anything else
            log.failure("measures cannot be handed on", event="metrics.failed")
        self._wait()

    def hand_on(self) -> None:
        """Add what was noted to what can be read, and read the gauges."""
        names = self._names
        for (table, method, status_class), requests in self._requests.items():
            count = requests.timing.hand_on(names.request_seconds.labels(table, method))
            if count:
                names.requests.labels(table, method, STATUS_CLASSES[status_class]).inc(count)
                names.received_bytes.labels(table).inc(requests.received_bytes)
                names.sent_bytes.labels(table).inc(requests.sent_bytes)
                requests.received_bytes = requests.sent_bytes = 0
        for (verb, outcome), timing in self._verbs.items():
            count = timing.hand_on(names.verb_seconds.labels(verb))
            if count:
                names.verbs.labels(verb, outcome.value).inc(count)
        for (kind, answer), timing in self._s3.items():
            count = timing.hand_on(names.s3_seconds.labels(kind))
            if count:
                names.s3_requests.labels(kind, answer).inc(count)
        self._lag.hand_on(names.lag_seconds)
        self._hand_on_counts()
        sums: Counter[Gauge] = Counter()
        for gauge, read in self._watched:
            sums[gauge] += read()  # type: ignore[assignment]  # a Counter adds up floats as well
        for gauge, value in sums.items():
            names.gauges[gauge].set(value)

    def _hand_on_counts(self) -> None:
        names = self._names
        for refusal, count in self._refusals.items():
            names.refusals.labels(*refusal).inc(count)
        for event, count in self._events.items():
            names.events.labels(*event).inc(count)
        for tally, count in self._tallies.items():
            names.tallies[tally].inc(count)
        for counted in (self._refusals, self._events, self._tallies):
            counted.clear()

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
            self._rendering = [waiting]
            self.hand_on()
            deferToThreadPool(self._reactor, self._reactor.getThreadPool(), self._write).addBoth(self._rendered)
        else:
            self._rendering.append(waiting)
        return await with_deadline(self._reactor, RENDER_SECONDS, waiting, _too_slow)

    def _rendered(self, result: Any) -> None:
        waiting, self._rendering = self._rendering or [], None
        for each in waiting:
            if not each.called:
                each.callback(result)

    def _write(self) -> bytes:
        """Make the page, on a thread."""
        registry = self._registry
        if self._folder is not None:
            registry = CollectorRegistry()
            MultiProcessCollector(registry, str(self._folder))
        return generate_latest(registry)


def _too_slow() -> Exception:
    return Unavailable("the measures cannot be gathered in time")
