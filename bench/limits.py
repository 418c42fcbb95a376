"""Rate limits that two daemons share: whether they hold, what they cost, and what one caller's flood costs another."""

from __future__ import annotations

import pathlib
import random
import time
from collections.abc import Iterator, Sequence
from functools import partial

from attrs import frozen

from bench.contender import contending, microseconds
from bench.daemons import Pkgregd
from bench.fleet import PKGREGD, Fleet
from bench.flood import Crowd, start_crowd
from bench.journal import ANSWER, Journal, Row
from bench.load import Call, Outcome, make_call, run
from bench.settings import CHECKOUT, SMALL_BYTES
from pkgregd.registry.gcra import LocalDueTimes
from pkgregd.shared.duetimes import open_due_times
from pkgregd.values import Rate

LIMIT = Rate(200, 1)
FURTHER_LIMITS = (Rate(20, 1), Rate(1000, 1))
FLOOD_SECONDS = 10.0
SHORT_FLOOD_SECONDS = 5.0
"""When nothing but admissions is looked at."""

CONNECTIONS = 2
"""Of the caller that floods, at each daemon."""

QUIET_CALLS = 600
QUIET_PAUSE_SECONDS = 0.01
"""Between two requests of the caller that keeps within the limit."""

QUIET, BUSY = "file, 100 a second", "the same while another caller floods"
ELSEWHERE = "the same while he floods the other daemon alone"
"""What a flood costs by the cores that it takes: nothing of it gets to the daemon that is measured."""


@frozen
class Flooded:
    """
    What is flooded: one file at both daemons, with a limit of its own.

    Attributes:
        is_anonymous: whether no token is shown.
    """

    limit: Rate
    is_anonymous: bool = False

    @property
    def name(self) -> str:
        """The package that the file is in."""
        return f"limits-{self.limit.requests}"

    @property
    def title(self) -> str:
        """Say who may ask how often."""
        whose = "an address" if self.is_anonymous else "a user"
        return f"{self.limit.requests / self.limit.seconds:.0f} a second for {whose}"

    def path(self, daemon: Pkgregd) -> str:
        """Return the URL path of the file."""
        return (daemon.open_file_path if self.is_anonymous else daemon.file_path)(self.name, "file")


MAIN = Flooded(LIMIT)
FURTHER = (*map(Flooded, FURTHER_LIMITS), *(Flooded(limit, True) for limit in (LIMIT, *FURTHER_LIMITS)))


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
        rules = f'[rate_limiting]\nshared_state = "{state}"\n' + "".join(map(_rule, (LIMIT, *FURTHER_LIMITS)))
        for number in (1, 2):
            daemon = self._fleet.start(Pkgregd(f"{PKGREGD} {number}", CHECKOUT, rules))
            paths = [flooded.path(daemon) for flooded in (MAIN, *FURTHER)]
            body = [random.randbytes(SMALL_BYTES)]
            run(daemon.port, [make_call("PUT", path, daemon.token, body) for path in paths])
            self._daemons.append(daemon)
        for metric in ("median_seconds", "p99_seconds"):
            self._journal.compare(_row(BUSY), _row(QUIET), metric=metric)
            self._journal.compare(_row(ELSEWHERE), _row(QUIET), metric=metric)

    def repeat(self, number: int) -> None:
        """Measure everything once."""
        self._tell_costs(number)
        quiet = self._daemons[0]
        call = quiet.download_file(MAIN.name, "file")
        ask = partial(_ask_now_and_then, quiet.port, call)
        self._journal.measure(_row(QUIET), quiet.pid, QUIET_CALLS, ask)
        crowds = self._flood(MAIN, FLOOD_SECONDS, self._daemons)
        self._journal.measure(_row(BUSY), quiet.pid, QUIET_CALLS, ask)
        self._tell_admissions(number, MAIN, crowds)
        crowds = self._flood(MAIN, FLOOD_SECONDS, [self._daemons[1]] * 2)
        self._journal.measure(_row(ELSEWHERE), quiet.pid, QUIET_CALLS, ask)
        for crowd in crowds:
            crowd.answers()
        for flooded in FURTHER:
            self._tell_admissions(number, flooded, self._flood(flooded, SHORT_FLOOD_SECONDS, self._daemons))

    def _flood(self, flooded: Flooded, seconds: float, daemons: Sequence[Pkgregd]) -> list[Crowd]:
        """Begin, with a process of its own for each of some daemons."""
        crowds = []
        for daemon in daemons:
            headers = {} if flooded.is_anonymous else {"PRIVATE-TOKEN": daemon.other_secret}
            crowds.append(start_crowd(daemon.port, flooded.path(daemon), headers, seconds, CONNECTIONS))
        return crowds

    def _tell_admissions(self, number: int, flooded: Flooded, crowds: Sequence[Crowd]) -> None:
        """Compare what was admitted with the burst and the rate together."""
        answers = [crowd.answers() for crowd in crowds]
        ended_at = max(crowd.ended_at for crowd in crowds)
        seconds = ended_at - min(crowd.began_at for crowd in crowds)
        admitted, refused = (sum(found[status] for found in answers) for status in (200, 429))
        observed = (admitted - flooded.limit.requests) / seconds
        configured = flooded.limit.requests / flooded.limit.seconds
        self._journal.notes.append(
            f"limits, repetition {number + 1}: {flooded.title} configured behind a burst of as many, "
            f"{observed:.1f} observed ({observed / configured - 1:+.1%}) over {seconds:.1f} s at both daemons; "
            f"{(admitted + refused) / seconds:.0f} asked a second"
        )

    def _tell_costs(self, number: int) -> None:
        file = pathlib.Path("limits-cost").absolute()
        shared = open_due_times(file)
        try:
            in_memory, alone = microseconds(LocalDueTimes()), microseconds(shared)
            with contending(file):
                contended = microseconds(shared)
        finally:
            shared.close()
        self._journal.notes.append(
            f"limits, repetition {number + 1}: one request is counted in {in_memory:.1f} µs in memory, "
            f"{alone:.1f} µs in a shared file, {contended:.1f} µs there while another process counts the same callers"
        )


def _rule(limit: Rate) -> str:
    rate = f"{limit.requests}/{limit.seconds}s"
    prefix = f"/api/v4/projects/:id/packages/generic/{Flooded(limit).name}/"
    return f'[[rate_limits]]\nprefix = "{prefix}"\nauthenticated = "{rate}"\nanonymous = "{rate}"\n'


def _row(work: str) -> Row:
    return Row(Limits.name, work, PKGREGD, ANSWER)


def _ask_now_and_then(port: int, call: Call) -> Outcome:
    def calls() -> Iterator[Call]:
        for _ in range(QUIET_CALLS):
            time.sleep(QUIET_PAUSE_SECONDS)
            yield call

    return run(port, calls())
