"""
Removal of builds that newer ones have taken the place of, where a format's configuration says how many are kept.

It goes over all packages, a page at a time, and can stop anywhere and go on from there. What a build is, and which
may go, the format says; all files of a build go in one transaction, and their bytes with the sweep.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial

from attrs import define, field, frozen
from twisted.logger import Logger

from pkgregd.errors import InvalidName, PackageProtected
from pkgregd.interfaces import IBuildFormat, ICatalog, IPackageFormat
from pkgregd.registry.pages import Run
from pkgregd.values import (
    Event,
    FileListing,
    FileOrder,
    FormatLimits,
    PackageRecord,
    Piece,
    Principal,
    ProtectedAct,
    SupersededBuild,
)

log = Logger()

MAX_NAMED = 1000
"""How many packages a report names; all are counted."""

SETTLED_AFTER = datetime.timedelta(hours=1)
"""A build whose last file is younger is still being deployed: it is not removed, and no other is in its favour."""

BORDER = datetime.timedelta(minutes=10)
"""Where only the oldest files are looked at, the rest of a build may lie beyond the last of them: for so long."""

TIDY = Principal("pkgregd:tidy")
"""Who removes, when it is the daemon; no user can have the name."""


@frozen
class TidyLimits:
    """
    How much is done at once.

    Attributes:
        page: packages that are read at once.
        max_files: of one package that are looked at at once: the oldest. A newer file of an older build only makes
            others stay, so what may go among these may go among all; see BORDER.
        max_files_together: that are deleted in one transaction, which other writers wait for; a build with more goes
            alone.
        max_tries: for one package, whose name gets new files while its old ones are chosen.
    """

    page: int = 500
    max_files: int = 5000
    max_files_together: int = 200
    max_tries: int = 3


DEFAULT_LIMITS = TidyLimits()


@frozen
class Rule:
    """How many builds of each version of a format are kept."""

    format: IBuildFormat
    keep_builds: int


@frozen
class TidiedPackage:
    """A package of which builds were removed, or would be."""

    project: str
    format: str
    name: str
    version: str
    builds: tuple[str, ...]


@define
class TidyReport:
    """
    What was removed, or would be.

    Attributes:
        packages: how many were looked at: those with builds.
        named: the first ones of which builds were removed.
    """

    packages: int = 0
    builds: int = 0
    files: int = 0
    file_bytes: int = 0
    is_dry_run: bool = False
    named: list[TidiedPackage] = field(factory=list)

    def add(self, package: PackageRecord, builds: Sequence[SupersededBuild]) -> None:
        """Count builds of a package."""
        self.builds += len(builds)
        self.files += sum(len(build.files) for build in builds)
        self.file_bytes += sum(build.size_bytes for build in builds)
        if builds and len(self.named) < MAX_NAMED:
            names = tuple(build.name for build in builds)
            self.named.append(TidiedPackage(package.project_path, package.format, package.name, package.version, names))


def rules_of(formats: Iterable[IPackageFormat], limits_by_format: Mapping[str, FormatLimits]) -> Mapping[str, Rule]:
    """Return the rules of those formats that have one, by name."""
    return {
        made.name: Rule(made, keep_builds)
        for made in formats
        if IBuildFormat.providedBy(made) and (keep_builds := limits_by_format[made.name].keep_builds) is not None
    }


class Tidying:
    """
    Goes over the packages of a catalog, again and again.

    Args:
        rules: by the format's name.
        run: where what a format computes is computed.
        emit: takes an event for each file that was removed.
        clock: tells the time, aware UTC.
        principal: who removes, for the audit trail.

    Attributes:
        after: the package behind which the next go begins; 0 at the beginning, and when all were looked at.
    """

    def __init__(
        self,
        catalog: ICatalog,
        rules: Mapping[str, Rule],
        run: Run,
        emit: Callable[[Event], object],
        clock: Callable[[], datetime.datetime],
        limits: TidyLimits = DEFAULT_LIMITS,
        principal: Principal = TIDY,
    ) -> None:
        self._catalog = catalog
        self._rules = rules
        self._run = run
        self._emit = emit
        self._clock = clock
        self._limits = limits
        self._principal = principal
        self.after = 0

    async def go_on(self, is_over: Callable[[], bool] = lambda: False, *, dry_run: bool = False) -> TidyReport:
        """
        Go on where the last time ended, to the end of all packages or until it is over.

        Args:
            is_over: asked between packages, and between deletions.
            dry_run: only count.
        """
        report = TidyReport(is_dry_run=dry_run)
        if not self._rules:
            return report
        while page := await self._catalog.list_all_packages(self.after, self._limits.page):
            for package in page:
                if is_over() or not await self._look_at(package, report, is_over):
                    return report
                self.after = package.id
        self.after = 0
        return report

    async def _look_at(self, package: PackageRecord, report: TidyReport, is_over: Callable[[], bool]) -> bool:
        """Remove what there is to remove of a package; False if it was over before that."""
        rule = self._rules.get(package.format)
        if rule is None or not rule.format.has_builds(package.version):
            return True
        report.packages += 1
        try:
            canonical_name = rule.format.canonical_name(package.name)
        except InvalidName:
            # taken by a grammar that was wider: the others must not wait for it
            log.warn("{name} is not a name any more", name=package.name, event="tidy.passed_over")
            return True
        tries = 0
        while tries < self._limits.max_tries:
            try:
                removed = await self._remove_some(package, canonical_name, rule, report, is_over)
            except PackageProtected:
                log.info("{name} keeps its old builds: it is protected", name=package.name, event="tidy.protected")
                return True
            if removed is None:
                return True
            if is_over():
                return False
            tries = 0 if removed else tries + 1
        return True

    async def _remove_some(
        self,
        package: PackageRecord,
        canonical_name: str,
        rule: Rule,
        report: TidyReport,
        is_over: Callable[[], bool],
    ) -> bool | None:
        """
        Remove what there is to remove among the oldest files.

        Returns:
            None if nothing is left to do; else whether anything was removed, so that looking again leads on.
        """
        # the revision first: what changes after that is noticed by the deletion
        state = await self._catalog.index_state([package.project_id], package.format, canonical_name)
        listing = await self._catalog.list_package_files(
            package.id, FileOrder.CREATED_AT, Piece(0, self._limits.max_files)
        )
        builds = await self._run(partial(self._choose, package, rule, listing))
        if builds:
            await self._catalog.demand_unprotected(
                package.project_id, package.format, canonical_name, ProtectedAct.DELETE, TIDY
            )
        if report.is_dry_run or not builds:
            report.add(package, builds)
            return None
        revision = dict(state.revisions)[package.project_id]
        removed: list[SupersededBuild] = []
        for number, batch in enumerate(batches(builds, self._limits.max_files_together)):
            # each deletion of ours moves the index by one
            if is_over() or not await self._delete(package, batch, revision + number):
                break
            removed += batch
        report.add(package, removed)
        return bool(removed) if len(removed) < len(builds) or listing.total > self._limits.max_files else None

    def _choose(self, package: PackageRecord, rule: Rule, listing: FileListing) -> Sequence[SupersededBuild]:
        settled_before = self._clock() - SETTLED_AFTER
        if len(listing.files) < listing.total:
            settled_before = min(settled_before, listing.files[-1].created_at - BORDER)
        return rule.format.superseded(package.name, package.version, listing.files, rule.keep_builds, settled_before)

    async def _delete(self, package: PackageRecord, builds: Sequence[SupersededBuild], revision: int) -> bool:
        files = [file for build in builds for file in build.files]
        ids = [file.id for file in files]
        if not await self._catalog.delete_files(package.project_id, package.id, ids, revision, self._principal):
            return False
        for file in files:
            text = f"{package.name} {package.version} {file.file_name}"
            self._emit(Event("delete_package", package.format, package.project_id, self._principal, text))
        return True


def batches(builds: Sequence[SupersededBuild], max_files: int) -> Iterator[Sequence[SupersededBuild]]:
    """Put whole builds together, as long as they are not too many files."""
    batch: list[SupersededBuild] = []
    count = 0
    for build in builds:
        if batch and count + len(build.files) > max_files:
            yield batch
            batch, count = [], 0
        batch.append(build)
        count += len(build.files)
    if batch:
        yield batch
