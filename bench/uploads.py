"""Uploads: great ones, one and sixteen at once, and many small ones."""

from __future__ import annotations

import pathlib
import random
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial

from bench.daemons import Pkgregd
from bench.fleet import EARLIER, PKGREGD, Fleet
from bench.journal import GIB, THOUSAND, Journal, Row, Sample
from bench.load import Call, run
from bench.meter import warm_pages
from bench.peers import Devpi, Nginx, Peer, PyPIServer
from bench.settings import GIB as GIB_BYTES
from bench.settings import GREAT_BYTES, MIB, SMALL_BYTES, SMALL_UPLOADS
from bench.wares import great_body, great_wheel, small_wheel

AT_ONCE = 16
SMALL_CONNECTIONS = 8
SMALL_NAMES = 40
"""Over how many packages the small uploads are spread."""

Server = Pkgregd | Peer

RAW, FORM = "raw PUT", "multipart form"
OPENSSL, COREUTILS = "OpenSSL", "sha256sum"
HASHING = "sha256 of a file"

HASHERS: Mapping[str, Sequence[str]] = {
    # as fast as the processor can: Debian's sha256sum does without its SHA instructions
    OPENSSL: (sys.executable, "-c", "import hashlib, sys; hashlib.file_digest(open(sys.argv[1], 'rb'), 'sha256')"),
    COREUTILS: ("sha256sum",),
}


class GreatUploads:
    """One body, and sixteen at once that are together as great; the floor is nginx plus a hasher."""

    name = "great"
    title = "Great uploads"
    peers = (Nginx.name,)

    def __init__(self, fleet: Fleet, journal: Journal) -> None:
        self._fleet = fleet
        self._journal = journal

    def prepare(self) -> None:
        """Say what is compared."""
        for work in (RAW, FORM):
            for label, _ in _shapes():
                above = self._row(f"{work}, {label}", PKGREGD)
                for hasher in HASHERS:
                    floor = self._row(f"{RAW}, {label}", Nginx.name), self._row(HASHING, hasher)
                    self._journal.compare(above, *floor)
                self._journal.compare(above, self._row(above.work, EARLIER))

    def repeat(self, number: int) -> None:
        """Measure everything once."""
        for label, count in _shapes():
            self._repeat_raw(number, label, count)
            self._repeat_forms(number, label, count)

    def _repeat_raw(self, number: int, label: str, count: int) -> None:
        files = [f"great-{number}-{count}-{index}" for index in range(count)]
        bodies = [great_body(file, GREAT_BYTES // count) for file in files]
        pairs = list(zip(files, bodies, strict=True))
        for daemon in self._fleet.daemons:
            self._upload(f"{RAW}, {label}", daemon, [daemon.upload_file("bench", *pair) for pair in pairs])
        if nginx := self._fleet.nginx:
            calls = [nginx.upload_file("bench", *pair) for pair in pairs]
            self._upload(f"{RAW}, {label}", nginx, calls, keep=count == 1)
            if count == 1:
                for hasher, command in HASHERS.items():
                    self._hash(hasher, command, nginx.stored("bench", files[0]))
                nginx.drop_great_blobs()

    def _repeat_forms(self, number: int, label: str, count: int) -> None:
        wheels = [great_wheel(f"great{index}", f"{number}.{count}", GREAT_BYTES // count) for index in range(count)]
        for daemon in self._fleet.daemons:
            self._upload(f"{FORM}, {label}", daemon, [daemon.upload_wheel(wheel) for wheel in wheels])

    def _upload(self, work: str, server: Pkgregd | Nginx, calls: Sequence[Call], *, keep: bool = False) -> None:
        warm_pages(GREAT_BYTES * 23 // 10 + 256 * MIB, server.folder)
        self._journal.measure(
            self._row(work, server.name),
            server.pid,
            GREAT_BYTES / GIB_BYTES,
            lambda: run(server.port, calls, len(calls)),
            watch=True,
        )
        if not keep:
            server.drop_great_blobs()

    def _hash(self, hasher: str, command: Sequence[str], file: pathlib.Path) -> None:
        """Measure a program that hashes a file which is in memory."""
        before, started_at = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run([*command, file], stdout=subprocess.DEVNULL, check=True)
        wall, after = time.perf_counter() - started_at, resource.getrusage(resource.RUSAGE_CHILDREN)
        system = after.ru_stime - before.ru_stime
        cpu = after.ru_utime - before.ru_utime + system
        self._journal.add(self._row(HASHING, hasher), Sample(GREAT_BYTES / GIB_BYTES, cpu, system, wall))

    def _row(self, work: str, server: str) -> Row:
        return Row(self.name, work, server, GIB)


def _shapes() -> Iterator[tuple[str, int]]:
    yield f"1 x {GREAT_BYTES // MIB} MiB", 1
    yield f"{AT_ONCE} x {GREAT_BYTES // AT_ONCE // MIB} MiB at once", AT_ONCE


class SmallUploads:
    """Many small files over some connections, with a token: valid wheels as forms, and raw."""

    name = "small"
    title = f"Small uploads: {SMALL_BYTES >> 10} KiB, {SMALL_CONNECTIONS} connections"
    peers = (Nginx.name, Devpi.name, PyPIServer.name)

    def __init__(self, fleet: Fleet, journal: Journal) -> None:
        self._fleet = fleet
        self._journal = journal

    def prepare(self) -> None:
        """Let every server take one, and say what is compared."""
        for server, calls in self._work("0.1", 1).values():
            run(server.port, calls)
        for peer in (Devpi.name, PyPIServer.name, EARLIER):
            self._journal.compare(self._row(FORM, PKGREGD), self._row(FORM, peer))
        for peer in (Nginx.name, EARLIER):
            self._journal.compare(self._row(RAW, PKGREGD), self._row(RAW, peer))

    def repeat(self, number: int) -> None:
        """Measure everything once."""
        for row, (server, calls) in self._work(f"1.{number}", SMALL_UPLOADS).items():
            run_all = partial(run, server.port, calls, SMALL_CONNECTIONS)
            self._journal.measure(row, server.pid, len(calls) / 1000, run_all, watch=True)

    def _work(self, release: str, count: int) -> dict[Row, tuple[Server, Sequence[Call]]]:
        """Make the uploads of every server; of a peer in Python a quarter, since it takes its time."""
        wheels = [small_wheel(f"small{index % SMALL_NAMES}", f"{release}.{index}") for index in range(count)]
        bodies = [random.randbytes(SMALL_BYTES) for _ in range(count)]
        made: dict[Row, tuple[Server, Sequence[Call]]] = {}
        for daemon in self._fleet.daemons:
            made[self._row(FORM, daemon.name)] = daemon, [daemon.upload_wheel(wheel) for wheel in wheels]
        for peer in self._fleet.pythons:
            made[self._row(FORM, peer.name)] = peer, [peer.upload_wheel(wheel) for wheel in wheels[: -(-count // 4)]]
        for server in self._fleet.file_servers:
            calls = [
                server.upload_file(f"small{index % SMALL_NAMES}", f"{release}.{index}", [body])
                for index, body in enumerate(bodies)
            ]
            made[self._row(RAW, server.name)] = server, calls
        return made

    def _row(self, work: str, server: str) -> Row:
        return Row(self.name, work, server, THOUSAND)
