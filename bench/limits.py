"""Rate limits that two daemons share: whether they hold, and what one caller's flood costs another."""

from __future__ import annotations

import pathlib
import random
import time
from collections.abc import Callable, Iterator, Sequence

from attrs import frozen

from bench.daemons import Pkgregd
from bench.fleet import PKGREGD, Fleet
from bench.flood import Crowd, start_crowd
from bench.journal import ANSWER, Journal, Row, sample_of
from bench.load import Call, Outcome, joined, make_call, run
from bench.meter import Cost, Meter, total
from bench.places import PLACES, Place
from bench.settings import CHECKOUT, SMALL_BYTES
from pkgregd.values import Rate

LIMIT = Rate(200, 1)
FURTHER_LIMITS = (Rate(20, 1), Rate(1000, 1))
ROUNDS = 3
"""How often a repetition asks in quiet and beside each flood, in turns."""

FLOOD_SECONDS = 4.0
"""How long a caller floods in a round; in quiet as many requests are asked as fit into it."""

QUIET_PAUSE_SECONDS = 0.01
"""Between two requests of the caller that keeps within the limit."""

QUIET = "file, 100 a second"


@frozen
class Force:
    """
    How a caller floods each of two daemons.

    Attributes:
        connections: at each.
        per_second: how often at most at each; None is as often as answers come.
    """

    connections: int
    per_second: float | None = None

    @property
    def title(self) -> str:
        """Say how."""
        how = (
            "as often as he is answered"
            if self.per_second is None
            else f"{2 * self.per_second:.0f} times a second at most"
        )
        return f"beside a flood over {2 * self.connections} connections, {how}"


USUAL = Force(2)
FORCES = (USUAL, Force(2, 250.0), Force(100))


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
    """One caller floods two daemons that share a limit and all else; another one asks for a small file now and then."""

    name = "limits"
    title = f"A limit of {LIMIT.requests} a second, shared by two daemons"
    peers = ()

    def __init__(self, fleet: Fleet, journal: Journal) -> None:
        self._fleet = fleet
        self._journal = journal
        self._daemons: list[Pkgregd] = []

    def prepare(self) -> None:
        """Start the daemons, the second one on the catalog of the first, and upload the file."""
        state = pathlib.Path("limits-of-all").absolute()
        rules = f'[rate_limiting]\nshared_state = "{state}"\n' + "".join(map(_rule, (LIMIT, *FURTHER_LIMITS)))
        first = self._fleet.start(Pkgregd(f"{PKGREGD} 1", CHECKOUT, rules))
        self._daemons = [first, self._fleet.start(Pkgregd(f"{PKGREGD} 2", CHECKOUT, rules, beside=first))]
        body = [random.randbytes(SMALL_BYTES)]
        run(first.port, [make_call("PUT", flooded.path(first), first.token, body) for flooded in (MAIN, *FURTHER)])
        for place in PLACES:
            for force in FORCES:
                for metric in ("median_seconds", "p99_seconds"):
                    self._journal.compare(_row(place, force.title), _row(place, QUIET), metric=metric)

    def repeat(self, number: int) -> None:
        """Measure everything once."""
        for place in PLACES:
            with place.taken(daemon.pid for daemon in self._daemons):
                self._repeat_at(number, place)
        for flooded in FURTHER:
            crowds = self._flood(flooded, USUAL)
            self._tell_admissions(number, flooded, USUAL, crowds)

    def _repeat_at(self, number: int, place: Place) -> None:
        """Ask in quiet and beside each flood, in turns, and put together what belongs together."""
        found: dict[str, list[tuple[Cost, Outcome]]] = {}
        for _ in range(ROUNDS):
            found.setdefault(QUIET, []).append(self._ask([]))
            for force in FORCES if place.is_apart else (USUAL,):
                crowds = self._flood(MAIN, force)
                found.setdefault(force.title, []).append(self._ask(crowds))
                self._tell_admissions(number, MAIN, force, crowds)
        for work, rounds in found.items():
            outcome = joined([outcome for _, outcome in rounds])
            self._journal.add(_row(place, work), sample_of(total([cost for cost, _ in rounds]), outcome, outcome.count))

    def _ask(self, crowds: Sequence[Crowd]) -> tuple[Cost, Outcome]:
        """Ask one daemon now and then, for as long as others flood or would."""
        daemon = self._daemons[0]
        call = daemon.download_file(MAIN.name, "file")
        found: list[Outcome] = []
        ends_at = time.monotonic() + FLOOD_SECONDS
        calls = _now_and_then(call, lambda: time.monotonic() < ends_at and all(crowd.runs for crowd in crowds))
        cost = Meter(daemon.pid).measure(lambda: found.append(run(daemon.port, calls)))
        return cost, found[0]

    def _flood(self, flooded: Flooded, force: Force) -> list[Crowd]:
        """Begin, with a process of its own for each daemon."""
        crowds = []
        time.sleep(flooded.limit.seconds)  # so that the whole burst is there, of which _tell_admissions() knows
        for daemon in self._daemons:
            headers = {} if flooded.is_anonymous else {"PRIVATE-TOKEN": daemon.other_secret}
            path, seconds = flooded.path(daemon), FLOOD_SECONDS
            crowds.append(start_crowd(daemon.port, path, headers, seconds, force.connections, force.per_second))
        return crowds

    def _tell_admissions(self, number: int, flooded: Flooded, force: Force, crowds: Sequence[Crowd]) -> None:
        """Compare what was admitted with the burst and the rate together."""
        answers = [crowd.answers() for crowd in crowds]
        ended_at = max(crowd.ended_at for crowd in crowds)
        seconds = ended_at - min(crowd.began_at for crowd in crowds)
        admitted, refused = (sum(found[status] for found in answers) for status in (200, 429))
        observed = (admitted - flooded.limit.requests) / seconds
        configured = flooded.limit.requests / flooded.limit.seconds
        self._journal.notes.append(
            f"limits, repetition {number + 1}: {flooded.title} configured behind a burst of as many, "
            f"{observed:.1f} observed ({observed / configured - 1:+.1%}) over {seconds:.1f} s at both daemons, "
            f"{2 * force.connections} connections, {refused / seconds:.0f} refused a second"
        )


def _rule(limit: Rate) -> str:
    rate = f"{limit.requests}/{limit.seconds}s"
    prefix = f"/api/v4/projects/:id/packages/generic/{Flooded(limit).name}/"
    return f'[[rate_limits]]\nprefix = "{prefix}"\nauthenticated = "{rate}"\nanonymous = "{rate}"\n'


def _row(place: Place, work: str) -> Row:
    return Row(Limits.name, f"{place.title}: {work}", PKGREGD, ANSWER)


def _now_and_then(call: Call, goes_on: Callable[[], bool]) -> Iterator[Call]:
    while goes_on():
        time.sleep(QUIET_PAUSE_SECONDS)
        yield call
