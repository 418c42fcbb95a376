"""
What was noted and not yet handed on.

A number of prometheus_client takes a lock and, where processes share a folder, writes to a file: a request would cost
ten microseconds. So what happens is noted in plain numbers, and these are handed on once a second.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Any


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
        """Add everything to one histogram of prometheus_client, and begin anew; returns how many there were."""
        counts, seconds = self._counts, self._seconds
        total = sum(counts)
        if total:
            self._counts, self._seconds = [0] * len(counts), 0.0
            # Private names, which a test pins: observe() would have to be called for each.
            for bucket, count in zip(histogram._buckets, counts, strict=True):
                if count:
                    bucket.inc(count)
            histogram._sum.inc(seconds)
        return total
