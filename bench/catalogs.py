"""What requests cost when a catalog has grown, on SQLite and on PostgreSQL."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from attrs import frozen

from bench.daemons import Pkgregd
from bench.filling import SEED, VERSIONS, Filling, name_of
from bench.fleet import PKGREGD, Fleet
from bench.journal import REQUEST, Journal, Row
from bench.load import Call, make_call, run
from bench.packages import publish_npm
from bench.settings import CATALOG_PACKAGES, CHECKOUT
from bench.tally import Tally
from bench.wares import Wheel, tiny_wheel
from tests.support.catalogs import POSTGRESQL, SQLITE

NO_SCRUB = "[scrub]\ninterval_days = 0\n"
"""What is filled has no bytes: a daemon that reads all blobs would be busy with finding that out."""

MAX_TOKENS = 10_000
"""As many as packages, and no more."""

ROUNDS = 5
"""Publishes in one measurement."""

READS = 10
"""Reads in one go."""

SEARCHES = 2
"""Searches for different words in one go."""

PER_PAGE = 20
NAMES: Mapping[str, str] = {SQLITE: "SQLite", POSTGRESQL: "PostgreSQL"}

PUBLISH, CHANGED, SAME, UNCHANGED = "publish", "index, changed", "index, again", "index, 304"
DOWNLOAD, TOKEN = "download of 1 KiB", "token alone"
FIRST, MIDDLE, ONWARD, FILTERED = (
    "list, first page",
    "list, page in the middle",
    "list, behind a number in the middle",
    "list, of one name",
)
ONE, ALL = "search, a word of one name", "search, a word of all names"
WORKS = (PUBLISH, CHANGED, SAME, UNCHANGED, DOWNLOAD, TOKEN, FIRST, MIDDLE, ONWARD, FILTERED, ONE, ALL)


@frozen
class Grown:
    """
    A daemon over a catalog of that many packages.

    Attributes:
        here: how many of them are in the project that is asked.
        middle_id: number of a package in the middle of it.
        secrets: tokens.
        pids: of the database's own processes.
    """

    daemon: Pkgregd
    engine: str
    count: int
    here: int
    middle_id: int
    secrets: Sequence[str]
    pids: Sequence[int]

    def lists(self) -> Mapping[str, Call]:
        """Make the listings that are the same each time."""
        listed = f"/api/v4/projects/{self.daemon.project_id}/packages?per_page={PER_PAGE}"
        paths = {
            FIRST: listed,
            MIDDLE: f"{listed}&page={max(self.here // PER_PAGE // 2, 1)}",
            ONWARD: f"{listed}&pagination=keyset&order_by=id&sort=asc&id_after={self.middle_id}",
            FILTERED: f"{listed}&package_name={name_of(0)}",
        }
        return {work: make_call("GET", path, self.daemon.token) for work, path in paths.items()}

    def search(self, word: str) -> Call:
        """Make a search of npm's."""
        path = f"{self.daemon.packages_path('npm')}/-/v1/search?size={PER_PAGE}&text={word}"
        return make_call("GET", path, self.daemon.token)

    def name(self, number: int) -> str:
        """Return the name of a Python package here; of many they lie far from each other."""
        names = max(self.here // 2 // VERSIONS, 1)
        return name_of(number * (names // 7 + 1) % names)


class Catalogs:
    """Publishing, reading, listing and searching, in catalogs of all sizes; each has a daemon of its own."""

    name = "catalogs"
    title = "Growth of the catalog"
    peers = ()

    def __init__(self, fleet: Fleet, journal: Journal) -> None:
        self._fleet = fleet
        self._journal = journal
        self._grown: list[Grown] = []

    def prepare(self) -> None:
        """Fill the catalogs, and say what is compared: each size with the first."""
        for engine in NAMES:
            self._grown += [self._fill(engine, count) for count in CATALOG_PACKAGES]
        for work in WORKS:
            for grown in self._grown:
                first = next(each for each in self._grown if each.engine == grown.engine)
                if grown is not first:
                    self._journal.compare(_row(work, grown), _row(work, first))

    def _fill(self, engine: str, count: int) -> Grown:
        daemon = self._fleet.start(Pkgregd(PKGREGD, CHECKOUT, NO_SCRUB, engine=engine))
        run(daemon.port, [daemon.upload_wheel(tiny_wheel(SEED, "1.0.0")), publish_npm(daemon, SEED, "1.0.0")])
        started_at = time.perf_counter()
        filling = Filling(daemon.catalog_url, daemon.folder)
        filling.packages(["pypi", "npm"], count, daemon.project_id)
        user_id = daemon.query("SELECT id FROM users WHERE name = 'wendy'")[0][0]
        secrets = filling.tokens(min(count, MAX_TOKENS), user_id)
        seconds = time.perf_counter() - started_at
        counted = f"SELECT count(*), min(id) FROM packages WHERE project_id = {daemon.project_id}"  # noqa: S608 - a number
        here, first_id = daemon.query(counted)[0]
        self._journal.notes.append(f"{NAMES[engine]}: filled with {count} packages in {seconds:.0f} s")
        return Grown(daemon, engine, count, here, first_id + here // 2, secrets, _servers(engine))

    def repeat(self, number: int) -> None:
        """Measure everything once."""
        for grown in self._grown:
            self._publish(grown, number)
            self._tokens(grown, number)
            for work, call in grown.lists().items():
                self._add(work, grown, [call] * READS * ROUNDS)
            words = [grown.name(number + index).partition("-")[0] for index in range(ROUNDS * SEARCHES)]
            self._add(ONE, grown, [grown.search(word) for word in words])
            self._add(ALL, grown, [grown.search(SEED)] * ROUNDS)

    def _publish(self, grown: Grown, number: int) -> None:
        daemon = grown.daemon
        works = (PUBLISH, CHANGED, SAME, UNCHANGED, DOWNLOAD)
        tallies = {work: Tally(daemon, grown.pids) for work in works}
        for index in range(ROUNDS):
            wheel = tiny_wheel(grown.name(number * ROUNDS + index), f"2.{number}.{index}")
            page = daemon.index(wheel.name)
            tallies[PUBLISH].add([daemon.upload_wheel(wheel)])
            tallies[CHANGED].add([page])
            tallies[SAME].add([page] * READS)
            tallies[UNCHANGED].add([daemon.index(wheel.name, {"If-None-Match": daemon.entity_tag(wheel.name)})] * READS)
            tallies[DOWNLOAD].add([_download(daemon, wheel)] * READS)
        for work, tally in tallies.items():
            self._journal.add(_row(work, grown), tally.sample())

    def _tokens(self, grown: Grown, number: int) -> None:
        """Ask for what needs a token and nothing else, each time with another one."""
        step = len(grown.secrets) // (ROUNDS * READS) or 1

        shown = [grown.secrets[(index * step + number) % len(grown.secrets)] for index in range(ROUNDS * READS)]
        self._add(TOKEN, grown, [make_call("GET", "/api/v4/version", {"PRIVATE-TOKEN": secret}) for secret in shown])

    def _add(self, work: str, grown: Grown, calls: Sequence[Call]) -> None:
        """Send some in as many goes as there are publishes."""
        tally = Tally(grown.daemon, grown.pids)
        size = len(calls) // ROUNDS
        for start in range(0, len(calls), size):
            tally.add(calls[start : start + size])
        self._journal.add(_row(work, grown), tally.sample())


def _download(daemon: Pkgregd, wheel: Wheel) -> Call:
    path = f"{daemon.packages_path('pypi')}/files/{wheel.sha256}/{wheel.file_name}"
    return make_call("GET", path, daemon.token)


def _row(work: str, grown: Grown) -> Row:
    return Row(Catalogs.name, f"{work}, {grown.count} packages", NAMES[grown.engine], REQUEST)


def _servers(engine: str) -> Sequence[int]:
    if engine == SQLITE:
        return ()
    from tests.support.postgresql import server

    return (server().pid,)
