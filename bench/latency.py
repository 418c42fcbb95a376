"""How long a small request takes while great uploads run."""

from __future__ import annotations

import itertools
import random
import subprocess
from collections.abc import Iterator
from functools import partial

from bench.daemons import Pkgregd
from bench.fleet import EARLIER, PKGREGD, Fleet
from bench.flood import start_flood
from bench.journal import ANSWER, Journal, Row, sample_of
from bench.load import Call, Outcome, run
from bench.meter import Meter, warm_pages
from bench.peers import Nginx
from bench.settings import GREAT_BYTES, MIB, REQUESTS, SMALL_BYTES
from bench.wares import great_body

AT_ONCE = 4
_UPLOAD_BYTES = GREAT_BYTES // AT_ONCE
QUIET = "file, quiet"


class Latency:
    """A small file, one request after the other: quiet, and beside four uploads as fast as they go."""

    name = "latency"
    title = f"Latency of {SMALL_BYTES >> 10} KiB, quiet and beside {AT_ONCE} uploads of {_UPLOAD_BYTES // MIB} MiB"
    peers = (Nginx.name,)

    def __init__(self, fleet: Fleet, journal: Journal) -> None:
        self._fleet = fleet
        self._journal = journal

    def prepare(self) -> None:
        """Upload the small file and one great one, and say what is compared."""
        body = random.randbytes(SMALL_BYTES)
        for server in self._fleet.file_servers:
            run(server.port, [server.upload_file("bench", "latency", [body])])
            run(server.port, [server.upload_file("bench", "great", great_body("latency", _UPLOAD_BYTES))])
            server.drop_great_blobs()
        for metric in ("median_seconds", "p99_seconds"):
            for name in (PKGREGD, EARLIER, Nginx.name):
                self._journal.compare(self._row(_BUSY, name), self._row(QUIET, name), metric=metric)
            for name in (EARLIER, Nginx.name):
                self._journal.compare(self._row(_BUSY, PKGREGD), self._row(_BUSY, name), metric=metric)

    def repeat(self, number: int) -> None:
        """Measure everything once."""
        for server in self._fleet.file_servers:
            call = server.download_file("bench", "latency")
            quiet = partial(run, server.port, itertools.repeat(call, REQUESTS))
            self._journal.measure(self._row(QUIET, server.name), server.pid, REQUESTS, quiet)
            self._repeat_busy(number, server, call)

    def _repeat_busy(self, number: int, server: Pkgregd | Nginx, call: Call) -> None:
        names = [f"great-latency-{number}-{index}" for index in range(AT_ONCE)]
        paths = [server.file_path("bench", name) for name in names]
        warm_pages(GREAT_BYTES * 23 // 10 + 256 * MIB, server.folder)
        found: list[Outcome] = []

        def ask_until_uploaded() -> None:
            flood = start_flood(server.port, paths, server.token, _UPLOAD_BYTES)
            found.append(run(server.port, _while_running(flood, call)))
            if flood.wait():
                raise RuntimeError("an upload failed")

        cost = Meter(server.pid).measure(ask_until_uploaded)
        self._journal.add(self._row(_BUSY, server.name), sample_of(cost, found[0], found[0].count))
        server.drop_great_blobs()

    def _row(self, work: str, server: str) -> Row:
        return Row(self.name, work, server, ANSWER)


_BUSY = f"file, {AT_ONCE} uploads beside it"


def _while_running(process: subprocess.Popen[str], call: Call) -> Iterator[Call]:
    yield call
    while process.poll() is None:
        yield call
