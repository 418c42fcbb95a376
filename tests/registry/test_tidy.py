"""Removal of builds, over a catalog in memory."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from typing import TypeVar

from attrs import evolve
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pkgregd.catalog.memory import MemoryCatalog
from pkgregd.formats.generic import GenericFormat
from pkgregd.formats.maven import MavenFormat
from pkgregd.registry.tidy import Rule, Tidying, TidyLimits, TidyReport, batches, rules_of
from pkgregd.testing.calls import now
from pkgregd.testing.catalog_contract import publication_of
from pkgregd.values import (
    ANONYMOUS,
    AuditAction,
    Event,
    FileRecord,
    Piece,
    Principal,
    ProtectionLevel,
    RuleTerms,
    SupersededBuild,
    Visibility,
)

T = TypeVar("T")

LIB = "com/acme/lib"
SNAPSHOT = "1.0-SNAPSHOT"
HOUR = 3600
DAY = 24 * HOUR


class WatchedCatalog(MemoryCatalog):
    """Remembers how many files each deletion was of, and lets somebody publish just before one."""

    def __init__(self, seconds: Callable[[], float]) -> None:
        super().__init__(seconds)
        self.deletions: list[int] = []
        self.before_deletion: Callable[[], object] = lambda: None

    async def delete_files(
        self, project_id: int, package_id: int, file_ids: Sequence[int], revision: int, principal: Principal
    ) -> bool:
        """See IInventoryCatalog."""
        self.before_deletion()
        self.deletions.append(len(file_ids))
        return await super().delete_files(project_id, package_id, file_ids, revision, principal)


class TidyingTests(SynchronousTestCase):
    """Tidying."""

    def setUp(self) -> None:
        """Make a catalog with two projects."""
        self.clock = Clock()
        self.clock.advance(1_800_000_000)
        self.catalog = WatchedCatalog(self.clock.seconds)
        now(self.catalog.add_group("acme", Visibility.PUBLIC))
        for path in ("acme/one", "acme/two"):
            now(self.catalog.add_project(path, Visibility.PUBLIC))
        self.events: list[Event] = []
        self.made = MavenFormat()
        self.tidying = self.make_tidying(1)

    def make_tidying(self, keep_builds: int, **limits: int) -> Tidying:
        """Make one that begins at the first package."""
        rules = {"maven": Rule(self.made, keep_builds)}
        return Tidying(self.catalog, rules, _run_here, self.events.append, self.time, TidyLimits(**limits))

    def time(self) -> datetime.datetime:
        """The time by the test's clock."""
        return datetime.datetime.fromtimestamp(self.clock.seconds(), datetime.UTC)

    def put(self, file_name: str, version: str = SNAPSHOT, name: str = LIB, project_id: int = 1, **more: str) -> None:
        """Publish a file."""
        data = f"{name} {version} {file_name}".encode()
        publication = publication_of(data, project_id, name, version, file_name, more.get("format", "maven"))
        now(self.catalog.publish(publication, ANONYMOUS))

    def deploy(self, *builds: int, name: str = LIB, project_id: int = 1, seconds: float = DAY) -> None:
        """Deploy builds of a snapshot, and let time pass after each of them."""
        for build in builds:
            for ending in (".jar", ".pom"):
                artifact = name.rpartition("/")[2]
                self.put(f"{artifact}-1.0-{self.stamp}-{build}{ending}", name=name, project_id=project_id)
            self.clock.advance(seconds)

    @property
    def stamp(self) -> str:
        """Return the time as builds are named by it."""
        return f"{self.time():%Y%m%d.%H%M%S}"

    def builds(self, name: str = LIB, project_id: int = 1) -> list[int]:
        """Return the numbers of the builds that are there, once for each file."""
        files = now(self.catalog.list_files([project_id], "maven", name, SNAPSHOT))
        return [int(file.file_name.rpartition("-")[2].partition(".")[0]) for file in files]

    def tidy(self, **options: bool) -> TidyReport:
        """Go over all packages."""
        return now(self.tidying.go_on(**options))

    def test_old_builds_go(self) -> None:
        """Of each snapshot the newest stay; releases, other formats and the blobs are not touched."""
        self.deploy(1, 2, 3)
        self.deploy(1, 2, name="com/acme/other", project_id=2)
        for number in range(3):
            self.put(f"lib-2.{number}.jar", f"2.{number}")
            self.put(f"{number}.zip", SNAPSHOT, format="generic")
        report = self.tidy()
        self.assertEqual((self.builds(), self.builds("com/acme/other", 2)), ([3, 3], [2, 2]))
        self.assertEqual((report.packages, report.builds, report.files), (2, 3, 6))
        self.assertGreater(report.file_bytes, 100)
        self.assertEqual([package.name for package in report.named], [LIB, "com/acme/other"])
        self.assertEqual(len(now(self.catalog.list_files([1], "maven", LIB, "2.0"))), 1)
        self.assertEqual(len(now(self.catalog.list_files([1], "generic", LIB, SNAPSHOT))), 3)
        self.assertEqual([event.name for event in self.events], ["delete_package"] * 6)
        self.assertEqual({event.principal.name for event in self.events}, {"pkgregd:tidy"})
        self.assertEqual(len(now(self.catalog.find_unused_blobs(self.time() + datetime.timedelta(days=1), 10))), 6)
        again = self.tidy()
        self.assertEqual((again.packages, again.builds), (2, 0))

    def test_who_removes_is_told(self) -> None:
        """Each package that loses builds tells it in the audit trail: by the daemon, or by whoever runs the command."""
        self.deploy(1, 2, 3)
        self.tidy()
        self.deploy(4)
        operator = Principal("operator:pat")
        rules = {"maven": Rule(self.made, 1)}
        again = Tidying(self.catalog, rules, _run_here, self.events.append, self.time, principal=operator)
        now(again.go_on())
        entries = [entry for entry in self.catalog.trail if entry.told.action is AuditAction.DELETE_FILES]
        self.assertEqual([entry.principal.name for entry in entries], ["pkgregd:tidy", "operator:pat"])

    def test_dry_run(self) -> None:
        """It tells the same and changes nothing."""
        self.deploy(1, 2, 3)
        would = self.tidy(dry_run=True)
        self.assertEqual((self.builds(), self.events), ([1, 1, 2, 2, 3, 3], []))
        did = self.tidy()
        self.assertEqual(evolve(did, is_dry_run=True), would)

    def test_what_is_protected_stays(self) -> None:
        """A rule on deletions keeps builds, also one that comes while they are being removed; others go."""
        for name in ("lib", "other", "raced"):
            self.deploy(1, 2, name=f"com/acme/{name}")
        self.protect("*/lib")
        self.assertEqual(self.tidy(dry_run=True).builds, 2)
        self.catalog.before_deletion = lambda: self.protect("*/raced")
        report = self.tidy()
        self.assertEqual(report.builds, 1)
        left = {name: self.builds(f"com/acme/{name}") for name in ("lib", "other", "raced")}
        self.assertEqual(left, {"lib": [1, 1, 2, 2], "other": [2, 2], "raced": [1, 1, 2, 2]})

    def protect(self, pattern: str) -> None:
        """Have nobody but owners delete packages of some names, if there is no such rule yet."""
        terms = RuleTerms("maven", pattern, pattern, None, ProtectionLevel.OWNER)
        if terms not in [rule.terms for rule in now(self.catalog.list_rules(1, Piece(0, 9))).rules]:
            now(self.catalog.add_rule(1, terms, ANONYMOUS))

    def test_a_deployment_under_way(self) -> None:
        """A build that came within the hour stays, and the one before it, too; an hour later that one goes."""
        self.deploy(1)
        self.deploy(2, seconds=HOUR - 1)
        self.tidy()
        self.assertEqual(self.builds(), [1, 1, 2, 2])
        self.clock.advance(2)
        self.tidy()
        self.assertEqual(self.builds(), [2, 2])

    def test_what_is_published_meanwhile(self) -> None:
        """Files that come between choosing and deleting are seen: it chooses again, but not without end."""
        self.deploy(1, 2, 3)
        stem = f"lib-1.0-{self.stamp}-4"
        coming = [".jar", ".pom"]
        self.catalog.before_deletion = lambda: coming and self.put(stem + coming.pop())
        self.tidy()
        self.assertEqual(self.builds(), [3, 3, 4, 4])
        self.clock.advance(DAY)
        count = len(self.catalog.deletions)
        endless = iter(range(100))
        self.catalog.before_deletion = lambda: self.put(f"{next(endless)}.txt")
        self.assertEqual(self.tidy().builds, 0)
        self.assertEqual(len(self.catalog.deletions) - count, TidyLimits().max_tries)

    def test_much_goes_in_pieces(self) -> None:
        """Builds go together up to a number of files, and what lies beyond the oldest files comes in its turn."""
        self.tidying = self.make_tidying(1, max_files_together=5, max_files=7)
        self.deploy(*range(1, 12))
        report = self.tidy()
        self.assertEqual(self.builds(), [11, 11])
        self.assertEqual((report.builds, report.files), (10, 20))
        self.assertLessEqual(max(self.catalog.deletions), 5)
        self.assertTrue(all(count % 2 == 0 for count in self.catalog.deletions))

    def test_builds_at_the_border_of_what_is_looked_at(self) -> None:
        """A build of which only the first files are among the oldest stays until the others are, too."""
        self.tidying = self.make_tidying(1, max_files=7)
        self.deploy(1, 2, 3, 4, seconds=1)
        self.clock.advance(DAY)
        self.assertEqual(self.tidy().builds, 0)
        self.tidying = self.make_tidying(1, max_files=8)
        self.assertEqual(self.tidy().builds, 3)

    def test_goes_on_where_it_ended(self) -> None:
        """What is over is over at once; the next turn begins behind it, and the one after the last at the front."""
        self.tidying = self.make_tidying(1, page=2)
        names = [f"com/acme/n{number}" for number in range(5)]
        for name in names:
            self.deploy(1, 2, name=name)
        for tidied in range(1, 6):
            answers = iter([False, False])
            report = now(self.tidying.go_on(lambda answers=answers: next(answers, True)))  # type: ignore[misc]
            self.assertEqual([package.name for package in report.named], names[tidied - 1 : tidied])
        self.assertEqual((self.tidy().packages, self.tidy().packages), (5, 5))

    def test_ends_in_the_middle_of_a_package(self) -> None:
        """What is left of it comes first in the next turn."""
        self.tidying = self.make_tidying(1, max_files_together=2)
        self.deploy(1, 2, 3, 4)
        answers = iter([False, False, False])
        now(self.tidying.go_on(lambda: next(answers, True)))
        self.assertEqual(self.builds(), [3, 3, 4, 4])
        self.assertEqual(self.tidy().builds, 1)

    def test_a_name_that_is_none_any_more(self) -> None:
        """It is passed over, and what comes behind it is not."""
        self.deploy(1, 2, name="com/acme/no name")
        self.deploy(1, 2)
        self.assertEqual(self.tidy().builds, 1)
        self.assertEqual((self.builds("com/acme/no name"), self.builds()), ([1, 1, 2, 2], [2, 2]))

    def test_rules(self) -> None:
        """There is one for each format that has builds and is told how many to keep."""
        formats = (GenericFormat(), self.made)
        limits = {made.name: made.default_limits for made in formats}
        self.assertEqual(rules_of(formats, limits), {})
        limits = {name: evolve(each, keep_builds=3) for name, each in limits.items()}
        self.assertEqual(rules_of(formats, limits), {"maven": Rule(self.made, 3)})

    def test_a_build_larger_than_a_piece(self) -> None:
        """It goes whole all the same."""
        builds = [
            SupersededBuild(str(number), tuple(FileRecord(0, 0, "x", 1, {}, self.time()) for _ in range(count)))
            for number, count in enumerate((1, 500, 199, 1, 1))
        ]
        found = [[build.name for build in batch] for batch in batches(builds, 200)]
        self.assertEqual(found, [["0"], ["1"], ["2", "3"], ["4"]])


async def _run_here(job: Callable[[], T]) -> T:
    return job()
