"""The generic cell rate algorithm, and the memory of one process for it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from zope.interface import implementer

from pkgregd.interfaces import IDueTimes, IRateLimiter
from pkgregd.values import TOLERANCE, Rate, Verdict, pushed

MAX_KEYS = 100_000
"""How many callers are remembered in memory; the longest unseen are forgotten first."""


@implementer(IDueTimes)
class LocalDueTimes:
    """Due times in the memory of this process."""

    def __init__(self, max_keys: int = MAX_KEYS) -> None:
        self._max_keys = max_keys
        self._due_at: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        """How many callers are remembered."""
        return len(self._due_at)

    def push(self, key: str, now: float, by_seconds: float, most_seconds: float) -> float:
        """See IDueTimes."""
        known_at = self._due_at.get(key)
        due_at, fits = pushed(now if known_at is None else known_at, now, by_seconds, most_seconds)
        if not fits or (known_at is None and by_seconds <= 0):
            return due_at
        self._due_at[key] = due_at
        self._due_at.move_to_end(key)
        if len(self._due_at) > self._max_keys:
            self._due_at.popitem(last=False)
        return due_at


@implementer(IRateLimiter)
class GCRA:
    """
    The generic cell rate algorithm: as exact as a leaky bucket, one number per caller.

    Args:
        rate: so many requests in so many seconds; all of them may come at once.
        clock: seconds that never go back, those of all who share the due times.
        due_times: where callers are remembered.
        name: see Verdict.
        family: tells this limiter's callers apart from those of others with the same due times.
    """

    def __init__(
        self, rate: Rate, clock: Callable[[], float], due_times: IDueTimes, name: str = "", family: str = ""
    ) -> None:
        self._rate = rate
        self._step_seconds = rate.seconds / rate.requests
        self._burst_seconds = rate.seconds
        self._clock = clock
        self._due_times = due_times
        self._name = name
        self._family = family

    def admit(self, key: str, cost: float = 1.0) -> Verdict:
        """See IRateLimiter."""
        key = f"{self._family} {key}"
        now = self._clock()
        by_seconds = self._step_seconds * cost
        due_seconds = self._due_times.push(key, now, by_seconds, self._burst_seconds) - now
        return self._judge(key, due_seconds, by_seconds)

    def foretell(self, key: str, cost: float = 1.0) -> Verdict:
        """
        Say what admit() would, and count nothing.

        Args:
            key: that of a verdict.
        """
        now = self._clock()
        by_seconds = self._step_seconds * cost
        due_seconds = self._due_times.push(key, now, 0.0, self._burst_seconds) - now + by_seconds
        return self._judge(key, due_seconds, by_seconds)

    def empty_seconds(self, verdict: Verdict) -> float:
        """Say how long nothing of weight 1 can be admitted behind a verdict; 0 or less if it can at once."""
        return verdict.reset_seconds - self._burst_seconds + self._step_seconds * (1 - TOLERANCE)

    def _judge(self, key: str, due_seconds: float, by_seconds: float) -> Verdict:
        """Make the verdict on a request, with which the due time would be so far away."""
        wait_seconds = due_seconds - self._burst_seconds
        retry_after_seconds = None
        if wait_seconds > by_seconds * TOLERANCE:
            retry_after_seconds = wait_seconds
            due_seconds -= by_seconds  # which was not remembered
        remaining = max(0, int((self._burst_seconds - due_seconds) / self._step_seconds + TOLERANCE))
        return Verdict(self._name, self._rate, remaining, due_seconds, retry_after_seconds, key)
