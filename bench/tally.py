"""What a few requests cost that come here and there between others."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Protocol

from bench.journal import Sample, sample_of
from bench.load import Call, Outcome, run
from bench.meter import Cost, Meter, Usage

SETTLE_SECONDS = 0.02


class Server(Protocol):
    """A server that runs."""

    @property
    def pid(self) -> int:
        """Its first process."""

    @property
    def port(self) -> int:
        """Where it speaks plain HTTP."""


class Tally:
    """
    Adds up what some of a server's requests cost.

    Args:
        server: the one that is asked.
        others: processes that work for it and are not below its own.
    """

    def __init__(self, server: Server, others: Sequence[int] = ()) -> None:
        self._server = server
        self._meter = Meter(server.pid, *others)
        self._used = Usage(0.0, 0.0)
        self._wall_seconds = 0.0
        self._latencies: list[float] = []

    def add(self, calls: Sequence[Call]) -> None:
        """Send some, one after the other over a new connection, and wait until the server is quiet."""
        before = self._meter.usage()
        outcome = run(self._server.port, calls)
        time.sleep(SETTLE_SECONDS)
        self._used = self._used.and_also(self._meter.usage().since(before))
        self._wall_seconds += outcome.wall_seconds
        self._latencies += outcome.latencies

    def sample(self) -> Sample:
        """Return what all of them cost, for each request."""
        outcome = Outcome(self._wall_seconds, self._latencies, 0)
        return sample_of(Cost(self._used, self._wall_seconds, 0, 0), outcome, outcome.count)
