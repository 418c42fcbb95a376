"""Downloads and small requests: a great file, a small one, and the pages of an index."""

from __future__ import annotations

import hashlib
import itertools
import random
from collections.abc import Mapping
from functools import partial

from bench.daemons import Pkgregd
from bench.fleet import EARLIER, PKGREGD, Fleet
from bench.journal import GIB, THOUSAND, Journal, Row
from bench.load import Call, Outcome, Unexpected, run
from bench.peers import JSON_INDEX, Devpi, Nginx, Peer, PyPIServer
from bench.settings import GIB as GIB_BYTES
from bench.settings import GREAT_BYTES, MIB, REQUESTS, SMALL_BYTES
from bench.wares import Wheel, great_body, tiny_wheel
from tests.support.rawhttp import Answer, RawConnection

INDEX_FILES = 500
AT_ONCE = 32

HTML = {"Accept": "text/html"}
JSON = {"Accept": JSON_INDEX}
GZIP = {"Accept-Encoding": "gzip"}
PAGES: Mapping[str, Mapping[str, str]] = {
    "HTML": HTML,
    "JSON": JSON,
    "HTML, gzip": {**HTML, **GZIP},
    "JSON, gzip": {**JSON, **GZIP},
}


class Download:
    """A great file, and whether what is sent is right."""

    name = "download"
    title = f"Download of {GREAT_BYTES // MIB} MiB"
    peers = (Nginx.name,)

    def __init__(self, fleet: Fleet, journal: Journal) -> None:
        self._fleet = fleet
        self._journal = journal

    def prepare(self) -> None:
        """Upload the file, and check what parts of it and conditions on it are answered."""
        body = great_body("download", GREAT_BYTES)
        for server in self._fleet.file_servers:
            run(server.port, [server.upload_file("bench", "download", body)])
        for daemon in self._fleet.daemons:
            daemon.keep_blobs()
            check_download(daemon)
            self._journal.notes.append(
                f"{daemon.name}: the whole, two ranges of it, 304 and 416 of the great file were checked and right"
            )
        for other in (Nginx.name, EARLIER):
            self._journal.compare(self._row(PKGREGD), self._row(other))

    def repeat(self, number: int) -> None:
        """Measure everything once."""
        del number
        for server in self._fleet.file_servers:
            units = GREAT_BYTES / GIB_BYTES
            action = partial(_download, server)
            action()  # without a clock: a virtual machine may have given the file's pages back to its host meanwhile
            self._journal.measure(self._row(server.name), server.pid, units, action, watch=True)

    def _row(self, server: str) -> Row:
        return Row(self.name, "GET", server, GIB)


def _download(server: Pkgregd | Nginx) -> Outcome:
    outcome = run(server.port, [server.download_file("bench", "download")])
    _demand(outcome.received_bytes == GREAT_BYTES, "the whole file is sent")
    return outcome


def check_download(daemon: Pkgregd) -> None:
    """
    Check what is sent of the great file, and what is not.

    Raises:
        Unexpected: something is wrong.
    """
    body = great_body("download", GREAT_BYTES)
    digest = hashlib.sha256()
    for piece in body:
        digest.update(piece)
    first, last = bytes(body[0]) + bytes(body[1]), bytes(body[-1])

    def get(headers: Mapping[str, str]) -> Answer:
        with RawConnection(daemon.port) as connection:
            path = daemon.file_path("bench", "download")
            return connection.request("GET", path, {**daemon.token, **headers})

    whole = get({})
    _demand(hashlib.sha256(whole.body).digest() == digest.digest(), "the whole file is what was sent")
    part = get({"Range": "bytes=20-99"})
    _demand((part.status, part.body) == (206, first[20:100]), "bytes 20 to 99 are")
    _demand(part.headers["content-range"] == f"bytes 20-99/{GREAT_BYTES}", "their Content-Range is right")
    tail = get({"Range": "bytes=-1000"})
    _demand((tail.status, tail.body) == (206, last[-1000:]), "the last 1000 bytes are")
    _demand(get({"Range": f"bytes={GREAT_BYTES}-"}).status == 416, "a range behind the end is 416")
    same = get({"If-None-Match": whole.headers["etag"]})
    _demand((same.status, same.size_bytes) == (304, 0), "what the client has is 304")


def _demand(is_right: bool, what: str) -> None:
    if not is_right:
        raise Unexpected(f"not so: {what}")


class SmallRequests:
    """A small file and an index, one request after the other and many at once."""

    name = "requests"
    title = f"Small requests: a file of {SMALL_BYTES >> 10} KiB, an index page of {INDEX_FILES} files"
    peers = (Nginx.name, Devpi.name, PyPIServer.name)

    def __init__(self, fleet: Fleet, journal: Journal) -> None:
        self._fleet = fleet
        self._journal = journal
        self._calls: dict[tuple[str, str], tuple[Pkgregd | Peer, Call]] = {}

    def prepare(self) -> None:
        """Publish what is asked for, make the requests, and say what is compared."""
        body = random.randbytes(SMALL_BYTES)
        for daemon in self._fleet.daemons:
            run(daemon.port, [daemon.upload_file("bench", "small", [body])])
            self._add("file", daemon, daemon.download_file("bench", "small"))
            run(daemon.port, (daemon.upload_wheel(wheel) for wheel in _wheels()), 4)
            self._add_pages(daemon)
        for peer in self._fleet.pythons:
            run(peer.port, (peer.upload_wheel(wheel) for wheel in _wheels()), 4)
            for page in peer.index_formats:
                self._add(page, peer, peer.index("indexed", PAGES[page]))
        if nginx := self._fleet.nginx:
            self._add_static(nginx, "file", body)
            self._add_static(nginx, "HTML", _page(self._fleet.daemons[0], HTML).body)
        for work in sorted({work for work, _ in self._calls}):
            for mode in _MODES:
                for server in (Nginx.name, Devpi.name, PyPIServer.name, EARLIER):
                    self._journal.compare(self._row(work, mode, PKGREGD), self._row(work, mode, server))

    def _add(self, work: str, server: Pkgregd | Peer, call: Call) -> None:
        self._calls[work, server.name] = server, call

    def _add_pages(self, daemon: Pkgregd) -> None:
        for page, headers in PAGES.items():
            answer = _page(daemon, headers)
            encoding = answer.headers.get("content-encoding", "as it is")
            self._journal.notes.append(f"{daemon.name}: index page, {page}: {answer.size_bytes} bytes, {encoding}")
            self._add(page, daemon, daemon.index("indexed", headers))
        etag = _page(daemon, HTML).headers["etag"]
        self._add("HTML, 304", daemon, daemon.index("indexed", {**HTML, "If-None-Match": etag}))

    def _add_static(self, nginx: Nginx, work: str, body: bytes) -> None:
        run(nginx.port, [nginx.upload_file("bench", work, [body])])
        self._add(work, nginx, nginx.download_file("bench", work))

    def repeat(self, number: int) -> None:
        """Measure everything once."""
        del number
        in_turns = sorted(self._calls.items(), key=lambda item: item[0][0])
        for mode, connections in _MODES.items():
            for (work, name), (server, call) in in_turns:
                asked = REQUESTS // 10 if isinstance(server, Devpi | PyPIServer) else REQUESTS
                count = max(asked, connections)
                action = partial(run, server.port, itertools.repeat(call, count), connections)
                self._journal.measure(self._row(work, mode, name), server.pid, count / 1000, action)

    def _row(self, work: str, mode: str, server: str) -> Row:
        return Row(self.name, f"{work}{mode}", server, THOUSAND)


_MODES = {"": 1, f", {AT_ONCE} at once": AT_ONCE}


def _wheels() -> list[Wheel]:
    return [tiny_wheel("indexed", f"1.{number}") for number in range(INDEX_FILES)]


def _page(daemon: Pkgregd, headers: Mapping[str, str]) -> Answer:
    with RawConnection(daemon.port) as connection:
        return connection.request("GET", daemon.index_path("indexed"), {**daemon.token, **headers})
