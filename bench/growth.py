"""What publishing and indexes cost when a project has grown."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from attrs import frozen

from bench.daemons import Pkgregd
from bench.fleet import EARLIER, PKGREGD, Fleet
from bench.journal import REQUEST, Journal, Row
from bench.load import run
from bench.settings import GROWTH_FILES, GROWTH_VERSIONS
from bench.tally import Tally
from bench.wares import Wheel, tiny_wheel

FILES_OF_A_NAME = 10
FILL_CONNECTIONS = 8
ROUNDS = 5
"""Publishes in one measurement: few, since each makes its page longer."""

CACHED_REQUESTS = 10
SMALL = 100
"""A name with fewer files is made anew for each measurement, or the measurements would be what fills it."""

PUBLISH, FIRST, CACHED = "publish one file", "its index page right after", "the same page again"
NAMES_FIRST, NAMES_CACHED = "the page of all names after a publish", "that page again"
WORKS = (PUBLISH, FIRST, CACHED, NAMES_FIRST, NAMES_CACHED)


@frozen
class Shape:
    """
    What a project holds.

    Attributes:
        names: how many packages.
        files: of each of them.
    """

    names: int
    files: int

    @property
    def title(self) -> str:
        """Say it."""
        return f"{self.names * self.files} files of {'one name' if self.names == 1 else f'{self.names} names'}"

    def wheels(self) -> Iterator[Wheel]:
        """Make them all."""
        return (tiny_wheel(f"name{name}", f"1.{file}") for file in range(self.files) for name in range(self.names))


def shapes() -> list[Shape]:
    """Return what the settings ask for."""
    spread = [Shape(max(files // FILES_OF_A_NAME, 1), min(files, FILES_OF_A_NAME)) for files in GROWTH_FILES]
    return [*spread, *(Shape(1, versions) for versions in GROWTH_VERSIONS)]


class Growth:
    """Publishing a wheel and reading its pages, in projects of all sizes; each has a daemon of its own."""

    name = "projects"
    title = "Growth of a project"
    peers = ()

    def __init__(self, fleet: Fleet, journal: Journal) -> None:
        self._fleet = fleet
        self._journal = journal
        self._grown: list[tuple[Shape, Sequence[Pkgregd]]] = []

    def prepare(self) -> None:
        """Fill the projects, and say what is compared: each size with the first, and with an earlier daemon."""
        for shape in dict.fromkeys(shapes()):
            daemons = self._fleet.more_daemons()
            for daemon in daemons:
                started_at = time.perf_counter()
                count = run(daemon.port, map(daemon.upload_wheel, shape.wheels()), FILL_CONNECTIONS).count
                seconds = time.perf_counter() - started_at
                self._journal.notes.append(f"{daemon.name}: filled with {count} files in {seconds:.0f} s")
            self._grown.append((shape, daemons))
        for work in WORKS:
            for shape, _ in self._grown:
                row = self._row(work, shape, PKGREGD)
                if shape is not self._grown[0][0]:
                    self._journal.compare(row, self._row(work, self._grown[0][0], PKGREGD))
                self._journal.compare(row, self._row(work, shape, EARLIER))

    def repeat(self, number: int) -> None:
        """Measure everything once."""
        for shape, daemons in self._grown:
            for daemon in daemons:
                name = self._name(daemon, shape, number)
                self._measure(daemon, shape, [tiny_wheel(name, f"2.{number}.{index}") for index in range(ROUNDS)])

    def _name(self, daemon: Pkgregd, shape: Shape, number: int) -> str:
        """Choose what to publish to: a name with as many files as the shape says."""
        if shape.names > 1 or shape.files > SMALL:
            return f"name{number % shape.names}"
        name = f"fresh{number}"
        run(daemon.port, [daemon.upload_wheel(tiny_wheel(name, f"1.{file}")) for file in range(shape.files)])
        return name

    def _measure(self, daemon: Pkgregd, shape: Shape, wheels: Sequence[Wheel]) -> None:
        tallies = {work: Tally(daemon) for work in WORKS}
        for wheel in wheels:
            page, names = daemon.index(wheel.name), daemon.index("")
            tallies[PUBLISH].add([daemon.upload_wheel(wheel)])
            tallies[FIRST].add([page])
            tallies[CACHED].add([page] * CACHED_REQUESTS)
            tallies[NAMES_FIRST].add([names])
            tallies[NAMES_CACHED].add([names] * CACHED_REQUESTS)
        for work, tally in tallies.items():
            self._journal.add(self._row(work, shape, daemon.name), tally.sample())

    def _row(self, work: str, shape: Shape, server: str) -> Row:
        return Row(self.name, f"{work}, {shape.title}", server, REQUEST)
