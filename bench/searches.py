"""What a search costs in projects with few and with many names."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

from attrs import frozen

from bench.daemons import Pkgregd
from bench.fleet import EARLIER, PKGREGD, Fleet
from bench.growth import FILL_CONNECTIONS
from bench.journal import REQUEST, Journal, Row
from bench.load import Call, make_call, run
from bench.packages import publish_crate, publish_npm, push_nuget
from bench.settings import SEARCHED_NAMES

REQUESTS = 20
"""Searches in one measurement."""

ONE, ALL = "a word of one name", "a word of all names"
WORDS: Mapping[str, Callable[[int], str]] = {ONE: "{:05}x".format, ALL: lambda number: "package"}


@frozen
class Searched:
    """
    A format that can be searched.

    Attributes:
        format: its name in paths.
        publish: makes a package of it.
        query: path and query of a search below the format's path.
    """

    title: str
    format: str
    publish: Callable[[Pkgregd, str, str], Call]
    query: str


FORMATS = (
    Searched("npm", "npm", publish_npm, "/-/v1/search?size=20&text="),
    Searched("NuGet", "nuget", push_nuget, "/query?take=20&prerelease=true&semVerLevel=2.0.0&q="),
    Searched("Cargo", "cargo", publish_crate, "/api/v1/crates?per_page=20&q="),
)


class Searches:
    """Searching in projects of all sizes; each has a daemon of its own."""

    name = "search"
    title = "Searches: 20 results at most"
    peers = ()

    def __init__(self, fleet: Fleet, journal: Journal) -> None:
        self._fleet = fleet
        self._journal = journal
        self._filled: list[tuple[int, Sequence[Pkgregd]]] = []

    def prepare(self) -> None:
        """Fill the projects, and say what is compared: each size with the first, and with an earlier daemon."""
        for count in SEARCHED_NAMES:
            daemons = self._fleet.more_daemons()
            for daemon in daemons:
                started_at = time.perf_counter()
                run(daemon.port, _packages(daemon, count), FILL_CONNECTIONS)
                seconds = time.perf_counter() - started_at
                self._journal.notes.append(f"{daemon.name}: {count} names of each format came in {seconds:.0f} s")
            self._filled.append((count, daemons))
        for searched in FORMATS:
            for words in WORDS:
                for count in SEARCHED_NAMES:
                    row = self._row(searched, words, count, PKGREGD)
                    if count != SEARCHED_NAMES[0]:
                        self._journal.compare(row, self._row(searched, words, SEARCHED_NAMES[0], PKGREGD))
                    self._journal.compare(row, self._row(searched, words, count, EARLIER))

    def repeat(self, number: int) -> None:
        """Measure everything once."""
        for searched in FORMATS:
            for words, word in WORDS.items():
                for count, daemons in self._filled:
                    for daemon in daemons:
                        path = daemon.packages_path(searched.format) + searched.query
                        first = number * REQUESTS
                        calls = [
                            make_call("GET", path + word(index % count), daemon.token)
                            for index in range(first, first + REQUESTS)
                        ]
                        row = self._row(searched, words, count, daemon.name)
                        self._journal.measure(row, daemon.pid, REQUESTS, partial(run, daemon.port, calls))

    def _row(self, searched: Searched, words: str, count: int, server: str) -> Row:
        return Row(self.name, f"{searched.title}, {words}, {count} names", server, REQUEST)


def _packages(daemon: Pkgregd, count: int) -> Iterator[Call]:
    for searched in FORMATS:
        for number in range(count):
            yield searched.publish(daemon, f"package-{WORDS[ONE](number)}", "1.0.0")
