"""What a second worker brings: how many uploads and index pages a daemon of one and of two workers answers a second."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

from bench.daemons import Pkgregd
from bench.fleet import Fleet
from bench.journal import REQUEST, THOUSAND, Journal, Row
from bench.load import Call, Outcome, make_call, run
from bench.settings import CHECKOUT, REQUESTS, SMALL_BYTES, SMALL_UPLOADS

WORKERS = (1, 2)
CONNECTIONS = 16
INDEX = "page-of-workers"


class Workers:
    """Two daemons, alike but for their workers, do the same in turns."""

    name = "workers"
    title = "One process and two workers on this machine's cores, which the client shares"
    peers = ()

    def __init__(self, fleet: Fleet, journal: Journal) -> None:
        self._fleet = fleet
        self._journal = journal
        self._daemons: dict[int, Pkgregd] = {}

    def prepare(self) -> None:
        """Start the daemons, and publish what is read."""
        for count in WORKERS:
            daemon = self._fleet.start(Pkgregd(_name(count), CHECKOUT, http=f"workers = {count}\n"))
            body = [random.randbytes(SMALL_BYTES)]
            run(daemon.port, [make_call("PUT", daemon.file_path(INDEX, "file"), daemon.token, body)])
            self._daemons[count] = daemon

    def repeat(self, number: int) -> None:
        """Measure everything once."""
        works: dict[str, tuple[str, int, Callable[[Pkgregd], Iterator[Call]]]] = {
            "uploads of 10 KiB": (THOUSAND, SMALL_UPLOADS, lambda daemon: _uploads(daemon, number)),
            "page of all names": (REQUEST, REQUESTS, _reads),
        }
        for work, (unit, count, calls) in works.items():
            rates = {}
            for workers, daemon in self._daemons.items():
                outcomes: list[Outcome] = []

                def act(daemon: Pkgregd = daemon, found: list[Outcome] = outcomes) -> Outcome:
                    found.append(run(daemon.port, calls(daemon), CONNECTIONS))  # noqa: B023  # called at once
                    return found[0]

                units = count / 1000 if unit == THOUSAND else count
                self._journal.measure(Row(self.name, work, _name(workers), unit), daemon.pid, units, act)
                rates[workers] = count / outcomes[0].wall_seconds
            self._journal.notes.append(
                f"workers, repetition {number + 1}: {work}, {CONNECTIONS} connections: "
                + ", ".join(f"{rate:.0f} a second by {_name(workers)}" for workers, rate in rates.items())
                + f": {rates[2] / rates[1]:.2f} times as many"
            )


def _name(workers: int) -> str:
    return "one process" if workers == 1 else f"{workers} workers"


def _uploads(daemon: Pkgregd, number: int) -> Iterator[Call]:
    for each in range(SMALL_UPLOADS):
        body = [random.randbytes(SMALL_BYTES)]
        yield make_call("PUT", daemon.file_path(f"workers-{number}", f"file-{each}"), daemon.token, body)


def _reads(daemon: Pkgregd) -> Iterator[Call]:
    call = daemon.index("")
    for _ in range(REQUESTS):
        yield call
