"""Rate limits that two daemons share: whether they hold, what they cost, and what one caller's flood costs another."""

from __future__ import annotations

import itertools
import pathlib
import random
import time
from collections.abc import Iterator
from functools import partial

from bench.daemons import Pkgregd
from bench.fleet import PKGREGD, Fleet
from bench.flood import Crowd, start_crowd
from bench.journal import ANSWER, Journal, Row
from bench.load import Call, Outcome, run
from bench.settings import CHECKOUT, SMALL_BYTES
from pkgregd.interfaces import IDueTimes
from pkgregd.registry.limits import GCRA, LocalDueTimes
from pkgregd.shared.duetimes import open_due_times
from pkgregd.values import Rate

LIMIT = Rate(200, 1)
FLOOD_SECONDS = 10.0
CONNECTIONS = 2
"""Of the caller that floods, at each daemon."""

QUIET_CALLS = 600
QUIET_PAUSE_SECONDS = 0.01
"""Between two requests of the caller that keeps within the limit."""

ADMITS = 50_000

QUIET, BUSY = "file, 100 a second", "the same while another caller floods"


class Limits:
    """One caller floods both daemons with four connections; another one asks for a small file now and then."""

    name = "limits"
    title = f"A limit of {LIMIT.requests} a second, shared by two daemons"
    peers = ()

    def __init__(self, fleet: Fleet, journal: Journal) -> None:
        self._fleet = fleet
        self._journal = journal
        self._daemons: list[Pkgregd] = []

    def prepare(self) -> None:
        """Start the daemons and upload the file."""
        state = pathlib.Path("limits-of-all").absolute()
        rule = (
            f'[rate_limiting]\nshared_state = "{state}"\n[[rate_limits]]\nprefix = "/api/v4/projects/:id/packages/"\n'
            f'authenticated = "{LIMIT.requests}/{LIMIT.seconds}s"\n'
        )
        for number in (1, 2):
            daemon = self._fleet.start(Pkgregd(f"{PKGREGD} {number}", CHECKOUT, rule))
            run(daemon.port, [daemon.upload_file("bench", "limits", [random.randbytes(SMALL_BYTES)])])
            self._daemons.append(daemon)
        for metric in ("median_seconds", "p99_seconds"):
            self._journal.compare(_row(BUSY), _row(QUIET), metric=metric)

    def repeat(self, number: int) -> None:
        """Measure everything once."""
        self._tell_costs(number)
        quiet = self._daemons[0]
        call = quiet.download_file("bench", "limits")
        ask = partial(_ask_now_and_then, quiet.port, call)
        self._journal.measure(_row(QUIET), quiet.pid, QUIET_CALLS, ask)
        crowds = [self._flood(daemon) for daemon in self._daemons]
        self._journal.measure(_row(BUSY), quiet.pid, QUIET_CALLS, ask)
        self._tell_admissions(number, crowds)

    def _flood(self, daemon: Pkgregd) -> Crowd:
        path = daemon.file_path("bench", "limits")
        return start_crowd(daemon.port, path, {"PRIVATE-TOKEN": daemon.other_secret}, FLOOD_SECONDS, CONNECTIONS)

    def _tell_admissions(self, number: int, crowds: list[Crowd]) -> None:
        """Compare what was admitted with the burst and the rate together."""
        answers = [crowd.answers() for crowd in crowds]
        ended_at = max(crowd.ended_at for crowd in crowds)
        seconds = ended_at - min(crowd.began_at for crowd in crowds)
        admitted, refused = (sum(found[status] for found in answers) for status in (200, 429))
        observed = (admitted - LIMIT.requests) / seconds
        configured = LIMIT.requests / LIMIT.seconds
        self._journal.notes.append(
            f"limits, repetition {number + 1}: {configured:.0f} a second configured behind a burst of as many, "
            f"{observed:.1f} observed ({observed / configured - 1:+.1%}) over {seconds:.1f} s at both daemons; "
            f"{refused / seconds:.0f} refused a second"
        )

    def _tell_costs(self, number: int) -> None:
        file = pathlib.Path("limits-cost").absolute()
        shared = open_due_times(file)
        try:
            costs = [f"{_microseconds(store):.1f} µs {where}" for where, store in
                     (("in memory", LocalDueTimes()), ("in a shared file", shared))]  # fmt: skip
        finally:
            shared.close()
        self._journal.notes.append(f"limits, repetition {number + 1}: one request is counted in {' and '.join(costs)}")


def _row(work: str) -> Row:
    return Row(Limits.name, work, PKGREGD, ANSWER)


def _ask_now_and_then(port: int, call: Call) -> Outcome:
    def calls() -> Iterator[Call]:
        for _ in range(QUIET_CALLS):
            time.sleep(QUIET_PAUSE_SECONDS)
            yield call

    return run(port, calls())


def _microseconds(store: IDueTimes) -> float:
    limiter = GCRA(Rate(10**6, 1), time.monotonic, store)
    started_at = time.perf_counter()
    for key in itertools.islice(itertools.cycle(map(str, range(100))), ADMITS):
        limiter.admit(key)
    return (time.perf_counter() - started_at) / ADMITS * 1e6
