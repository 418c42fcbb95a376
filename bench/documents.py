"""What clients resolve by: the documents of a name with few and with many versions."""

from __future__ import annotations

import urllib.request
from collections.abc import Callable, Mapping, Sequence

from attrs import frozen

from bench.daemons import Pkgregd
from bench.fleet import EARLIER, PKGREGD, Fleet
from bench.growth import CACHED_REQUESTS, FILL_CONNECTIONS, SMALL
from bench.journal import REQUEST, Journal, Row
from bench.load import Call, make_call, run
from bench.packages import publish_npm, push_nuget
from bench.settings import VERSIONS
from bench.tally import Tally
from bench.verdaccio import Verdaccio

ROUNDS = 3
"""Publishes in one measurement."""

PEER_REQUESTS = 3
"""Of verdaccio, which takes its time for each."""

GZIP = {"Accept-Encoding": "gzip"}
COLD, FIRST, AGAIN, UNCHANGED = "never read before", "right after a publish", "again", "304"
MOMENTS = (FIRST, AGAIN, UNCHANGED)
"""What is measured in each repetition; COLD once for each name."""

SEED = "0.0.987654321"
"""A version whose number stands nowhere else in a document."""

Server = Pkgregd | Verdaccio


@frozen
class Document:
    """
    A document of a name.

    Attributes:
        title: what it is.
        path: of a name at a server.
        headers: which clients send to get it.
    """

    title: str
    path: Callable[[Server, str], str]
    headers: Mapping[str, str]

    def ask(self, server: Server, name: str, etag: str = "") -> Call:
        """Make the request; with an ETag it has to be what there is."""
        headers = {**server.token, **GZIP, **self.headers, **({"If-None-Match": etag} if etag else {})}
        return make_call("GET", self.path(server, name), headers, (), frozenset({304 if etag else 200}))

    def etag(self, server: Server, name: str) -> str:
        """Ask for what it is known by."""
        address = f"http://127.0.0.1:{server.port}{self.path(server, name)}"
        # as in ask(): what verdaccio answers depends on the host
        headers = {"Host": "127.0.0.1", **server.token, **GZIP, **self.headers}
        request = urllib.request.Request(address, headers=headers)
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 # our own servers
            return str(answer.headers["ETag"])


@frozen
class Family:
    """
    A format, how it is published, and its documents.

    Attributes:
        servers: those that have it.
    """

    title: str
    publish: Callable[[Server, str, str], Call]
    documents: Sequence[Document]
    servers: Sequence[Server]


def _families(fleet: Fleet) -> list[Family]:
    def packument(title: str, media_type: str) -> Document:
        return Document(title, lambda server, name: f"{server.npm_path}/{name}", {"Accept": media_type})

    def registration(server: Server, name: str) -> str:
        assert isinstance(server, Pkgregd)
        return f"{server.packages_path('nuget')}/metadata/{name}/index.json"

    def push(server: Server, name: str, version: str) -> Call:
        assert isinstance(server, Pkgregd)
        return push_nuget(server, name, version)

    packuments = [
        packument("npm, in full", "application/json"),
        packument("npm, abbreviated", "application/vnd.npm.install-v1+json"),
    ]
    return [
        Family("npm", publish_npm, packuments, fleet.npm_servers),
        Family("NuGet", push, [Document("NuGet, registration", registration, {})], fleet.daemons),
    ]


class Documents:
    """Publishing one more version and reading the documents of the name."""

    name = "documents"
    title = "Documents of a name"
    peers = (Verdaccio.name,)

    def __init__(self, fleet: Fleet, journal: Journal) -> None:
        self._fleet = fleet
        self._journal = journal
        self._families = _families(fleet)

    def prepare(self) -> None:
        """Publish the versions, and say what is compared: each size with the first, and with others."""
        for family in self._families:
            for count in VERSIONS:
                if count > SMALL:
                    self._fill(family, count, 0)
                for work in _works(family):
                    row = self._row(work, count, PKGREGD)
                    if count != VERSIONS[0]:
                        self._journal.compare(row, self._row(work, VERSIONS[0], PKGREGD))
                    for other in (EARLIER, Verdaccio.name):
                        self._journal.compare(row, self._row(work, count, other))
        if self._fleet.verdaccio:
            self._journal.notes.append(f"verdaccio: {VERSIONS[-1]} versions were written to its storage, as it does")

    def _fill(self, family: Family, count: int, number: int) -> None:
        """Publish the versions of a repetition's name, and have each document read."""
        name = _name(count, number)
        for server in self._servers(family, count):
            _publish_all(server, family, name, [f"1.0.{index}" for index in range(count)])
            for document in family.documents:
                tally = Tally(server)
                tally.add([document.ask(server, name)])
                self._journal.add(self._row(_work(document, COLD), count, server.name), tally.sample())

    def repeat(self, number: int) -> None:
        """Measure everything once."""
        versions = [f"2.{number}.{index}" for index in range(ROUNDS)]
        for family in self._families:
            for count in VERSIONS:
                if count <= SMALL:
                    self._fill(family, count, number)
                for server in self._servers(family, count):
                    self._measure(server, family, count, _name(count, number), versions)

    def _servers(self, family: Family, count: int) -> Sequence[Server]:
        """Choose who is measured: verdaccio only with the most versions."""
        return [server for server in family.servers if count == VERSIONS[-1] or not isinstance(server, Verdaccio)]

    def _measure(self, server: Server, family: Family, count: int, name: str, versions: Sequence[str]) -> None:
        repeats = PEER_REQUESTS if isinstance(server, Verdaccio) else CACHED_REQUESTS
        tallies = {work: Tally(server) for work in _works(family)}
        for version in versions:
            tallies[_publishing(family)].add([family.publish(server, name, version)])
            for document in family.documents:
                ask = document.ask(server, name)
                tallies[_work(document, FIRST)].add([ask])
                tallies[_work(document, AGAIN)].add([ask] * repeats)
                unchanged = document.ask(server, name, document.etag(server, name))
                tallies[_work(document, UNCHANGED)].add([unchanged] * repeats)
        for work, tally in tallies.items():
            self._journal.add(self._row(work, count, server.name), tally.sample())

    def _row(self, work: str, count: int, server: str) -> Row:
        return Row(self.name, f"{work}, {count} versions", server, REQUEST)


def _works(family: Family) -> list[str]:
    works = [_work(document, moment) for document in family.documents for moment in MOMENTS]
    return [_publishing(family), *works]


def _publishing(family: Family) -> str:
    return f"{family.title}, publish a version"


def _work(document: Document, moment: str) -> str:
    return f"{document.title}, {moment}"


def _name(count: int, number: int) -> str:
    """Choose what a repetition publishes to: a name with few versions is made anew, or it would not be what it was."""
    return f"many-{count}" if count > SMALL else f"few-{count}-{number}"


def _publish_all(server: Server, family: Family, name: str, versions: Sequence[str]) -> None:
    if isinstance(server, Verdaccio):
        run(server.port, [family.publish(server, name, SEED)])
        server.multiply(name, versions)
    else:
        run(server.port, (family.publish(server, name, version) for version in versions), FILL_CONNECTIONS)
