"""
What was noted and not yet handed on.

A number of prometheus_client takes a lock and, where processes share a folder, writes to a file: a request would cost
ten microseconds. So what happens is noted in plain numbers, and these are handed on once a second, on a thread.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from typing import Any

from pkgregd.metrics.names import LAG_BOUNDS, REQUEST_BOUNDS, Names
from pkgregd.values import Gauge, Outcome, Tally

STATUS_CLASSES = ("", "1xx", "2xx", "3xx", "4xx", "5xx")


class Timing:
    """
    How often something took how long.

    Args:
        bounds: upper ends of the classes, in seconds; what takes longer than the last is in one more.
    """

    __slots__ = ("_bounds", "_counts", "_seconds")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._seconds = 0.0

    def add(self, seconds: float) -> None:
        """Note one."""
        self._counts[bisect_left(self._bounds, seconds)] += 1
        self._seconds += seconds

    def hand_on(self, histogram: Any) -> int:
        """Add everything to one histogram of prometheus_client; returns how many there were."""
        # Private names, which a test pins: observe() would have to be called for each.
        for bucket, count in zip(histogram._buckets, self._counts, strict=True):
            if count:
                bucket.inc(count)
        histogram._sum.inc(self._seconds)
        return sum(self._counts)


class Requests:
    """Those of one table, method and class of statuses."""

    __slots__ = ("received_bytes", "sent_bytes", "timing")

    def __init__(self) -> None:
        self.timing = Timing(REQUEST_BOUNDS)
        self.received_bytes = 0
        self.sent_bytes = 0


class Notes:
    """
    What happened in a second or so.

    Attributes:
        requests: by table, method and the first digit of the status.
        refusals: by table, code and caller.
        verbs: by name and outcome; events: by name and format; s3: by kind and outcome.
        tallies, lag: the counts, and how late the reactor was.
        gauges: as they were at the end.
    """

    __slots__ = ("events", "gauges", "lag", "refusals", "requests", "s3", "tallies", "verbs")

    def __init__(self) -> None:
        self.requests: dict[tuple[str, str, int], Requests] = {}
        self.refusals: Counter[tuple[str, str, str]] = Counter()
        self.verbs: dict[tuple[str, Outcome], Timing] = {}
        self.events: Counter[tuple[str, str]] = Counter()
        self.s3: dict[tuple[str, str], Timing] = {}
        self.tallies: Counter[Tally] = Counter()
        self.lag = Timing(LAG_BOUNDS)
        self.gauges: dict[Gauge, float] = {}

    def hand_on(self, names: Names) -> None:
        """
        Add everything to what can be read, on any thread.

        Raises:
            OSError: there is no room for a number that is new.
        """
        for gauge, value in self.gauges.items():
            names.gauges[gauge].set(value)
        self.lag.hand_on(names.lag_seconds)
        for (table, method, status_class), requests in self.requests.items():
            count = requests.timing.hand_on(names.request_seconds.labels(table, method))
            names.requests.labels(table, method, STATUS_CLASSES[status_class]).inc(count)
            names.received_bytes.labels(table).inc(requests.received_bytes)
            names.sent_bytes.labels(table).inc(requests.sent_bytes)
        for (verb, outcome), timing in self.verbs.items():
            names.verbs.labels(verb, outcome.value).inc(timing.hand_on(names.verb_seconds.labels(verb)))
        for (kind, answer), timing in self.s3.items():
            names.s3_requests.labels(kind, answer).inc(timing.hand_on(names.s3_seconds.labels(kind)))
        for refusal, count in self.refusals.items():
            names.refusals.labels(*refusal).inc(count)
        for event, count in self.events.items():
            names.events.labels(*event).inc(count)
        for tally, count in self.tallies.items():
            names.tallies[tally].inc(count)
