"""What rate limits cost: those who keep within them, and those whom they refuse."""

from __future__ import annotations

import itertools
import json
import pathlib
import random
import time
from collections.abc import Mapping
from functools import partial

from bench.contender import contending, microseconds
from bench.daemons import Pkgregd
from bench.fleet import PKGREGD, Fleet
from bench.journal import THOUSAND, Journal, Row
from bench.load import GOOD, Call, make_call, run
from bench.settings import CHECKOUT, REQUESTS, SMALL_BYTES
from bench.wares import tiny_wheel
from pkgregd.registry.gcra import LocalDueTimes
from pkgregd.secrecy import without_secrets
from pkgregd.shared.duetimes import open_due_times
from tests.support.daemon import shared_world
from tests.support.rawhttp import RawConnection

GENEROUS = "1000000/s"
SCARCE = "2/h"
CONNECTIONS = 400
"""Of the caller who is refused, since refusals are kept back for up to a second."""

REFUSED_REQUESTS = 2000
FREE, RULED = "without a rule", "with a rule"
REFUSED = "429, a user's"
LOOKS = 20_000
LINE = {
    "time": "2026-11-28T15:43:34.123Z",
    "request_id": "5498c43a9b18cba1",
    "address": "192.0.2.1",
    "method": "GET",
    "path": "/api/v4/projects/2/packages/pypi/simple/some-package/",
    "status": 200,
    "aborted": False,
    "received_bytes": 0,
    "sent_bytes": 204,
    "milliseconds": 1.5,
    "agent": 'pip/24.0 {"ci":null,"cpu":"x86_64"}',
    "route": "/api/v4/projects/<scope:scope>/packages/pypi/simple/<segment:name>/",
    "principal": "somebody",
}
"""Of the access log."""


class LimitCosts:
    """A file, a page and a 304 where a rule counts them and where none does, in turns; and refusals."""

    name = "limit-costs"
    title = "What rate limits cost a small request"
    peers = ()

    def __init__(self, fleet: Fleet, journal: Journal) -> None:
        self._fleet = fleet
        self._journal = journal
        self._calls: dict[str, Call] = {}

    def prepare(self) -> None:
        """Start a daemon whose rules name the project by its number, and publish a file and a page."""
        number = shared_world().private_id
        state = pathlib.Path("limits-of-one").absolute()
        prefix = f"/api/v4/projects/{number}/packages"
        rules = {f"{prefix}/": GENEROUS, f"{prefix}/generic/scarce/": SCARCE}
        texts = [f'[[rate_limits]]\nprefix = "{where}"\nauthenticated = "{rate}"\n' for where, rate in rules.items()]
        shared = f'[rate_limiting]\nshared_state = "{state}"\n'
        self._daemon = daemon = self._fleet.start(Pkgregd(PKGREGD, CHECKOUT, shared + "".join(texts)))
        body = [random.randbytes(SMALL_BYTES)]
        run(daemon.port, [daemon.upload_file(name, "file", body) for name in ("bench", "scarce")])
        run(daemon.port, [daemon.upload_wheel(tiny_wheel("indexed", f"1.{number}")) for number in range(10)])
        paths = {"file": daemon.file_path("bench", "file"), "page": daemon.index_path("indexed")}
        for kind, by_number in paths.items():
            for rule, path in {FREE: daemon.by_path(by_number), RULED: by_number}.items():
                self._add(kind, rule, path)
        self._refused = make_call(
            "GET", daemon.file_path("scarce", "file"), {"PRIVATE-TOKEN": daemon.other_secret}, (), frozenset({200, 429})
        )
        for work in ("file", "page", "page, 304"):
            self._journal.compare(_row(f"{work}, {RULED}"), _row(f"{work}, {FREE}"))
        self._journal.compare(_row(REFUSED), _row(f"file, {RULED}"))

    def _add(self, kind: str, rule: str, path: str) -> None:
        token = self._daemon.token
        self._calls[f"{kind}, {rule}"] = make_call("GET", path, token)
        if kind == "page":
            with RawConnection(self._daemon.port) as connection:
                etag = connection.request("GET", path, token).headers["etag"]
            headers: Mapping[str, str] = {**token, "If-None-Match": etag}
            self._calls[f"{kind}, 304, {rule}"] = make_call("GET", path, headers, (), GOOD | {304})

    def repeat(self, number: int) -> None:
        """Measure everything once."""
        for work, call in self._calls.items():
            self._measure(work, call, REQUESTS, 1)
        self._measure(REFUSED, self._refused, REFUSED_REQUESTS, CONNECTIONS)
        self._tell_counting(number)
        self._tell_secrecy(number)

    def _measure(self, work: str, call: Call, count: int, connections: int) -> None:
        ask = partial(run, self._daemon.port, itertools.repeat(call, count), connections)
        self._journal.measure(_row(work), self._daemon.pid, count / 1000, ask)

    def _tell_counting(self, number: int) -> None:
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

    def _tell_secrecy(self, number: int) -> None:
        line = json.dumps(LINE)
        started_at = time.process_time()
        for _ in range(LOOKS):
            without_secrets(line)
        each = (time.process_time() - started_at) / LOOKS * 1e6
        self._journal.notes.append(
            f"limits, repetition {number + 1}: a line of the access log is looked through for secrets in {each:.1f} µs"
        )


def _row(work: str) -> Row:
    return Row(LimitCosts.name, work, PKGREGD, THOUSAND)
