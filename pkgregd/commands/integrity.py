"""`fsck`, `scrub`: whether the registry can serve all that it promises."""

from __future__ import annotations

import time
from argparse import Namespace
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import attrs

from pkgregd.commands.instance import Instance, Outcome
from pkgregd.values import AuditAction, Told

if TYPE_CHECKING:
    from pkgregd.registry.fsck import Finding, FsckReport
    from pkgregd.registry.scrub import ScrubReport

PROGRESS_SECONDS = 5.0


class Progress:
    """Tells on standard error how far something has come, every few seconds."""

    def __init__(self, instance: Instance, seconds: Callable[[], float] = time.monotonic) -> None:
        self._instance = instance
        self._seconds = seconds
        self._told_at = seconds()

    def __call__(self, what: str, count: int) -> None:
        """Take note."""
        now = self._seconds()
        if now - self._told_at >= PROGRESS_SECONDS:
            self._told_at = now
            print(f"pkgregd: {what}: {count}", file=self._instance.errors, flush=True)


async def on_a_thread(job: Callable[[], None]) -> None:
    """Run a job that would stop the reactor."""
    from twisted.internet.threads import deferToThread

    await deferToThread(job)


async def fsck(instance: Instance, arguments: Namespace) -> Outcome:
    """Compare the catalog with itself and with the blobs; refuses while something that is wrong is left."""
    from twisted.internet import reactor

    from pkgregd.registry.fsck import Fsck, FsckOptions
    from pkgregd.registry.verifying import Pace

    if arguments.repair:
        await instance.catalog.tell(instance.operator, Told(AuditAction.REPAIR, "catalog and blobs"))
    run = Fsck(
        instance.catalog,
        instance.blobs,
        FsckOptions(repair=arguments.repair, verify=arguments.verify, grace=arguments.grace),
        on_a_thread,
        Pace(reactor, arguments.bytes_per_second),
        tell=lambda finding: None if arguments.json else print(_line(finding), file=instance.out, flush=True),
        progress=Progress(instance),
    )
    report = await run.go(instance.clock())
    return Outcome(_sums(report), _data(report), is_refused=report.left > 0)


def _line(finding: Finding) -> str:
    check = finding.check
    files = "".join(f"; of {file}" for file in finding.files)
    end = "repaired" if finding.is_repaired else f"to do: {check.to_do}"
    return f"{check.name}: {finding.where}: {check.what}{files}; {end}"


def _sums(report: FsckReport) -> str:
    return (
        f"{report.blobs} blobs and {report.objects} objects looked at, {report.read_bytes} bytes read; "
        f"{report.found.total()} findings, {report.repaired.total()} repaired, {report.left} left"
    )


def _data(report: FsckReport) -> Mapping[str, object]:
    return {
        "is_clean": report.left == 0,
        "blobs": report.blobs,
        "objects": report.objects,
        "read_bytes": report.read_bytes,
        "found": dict(report.found),
        "repaired": {name: count for name, count in report.repaired.items() if count},
        "left": report.left,
        "findings": [_finding(finding) for finding in report.named],
    }


def _finding(finding: Finding) -> Mapping[str, object]:
    return {
        "kind": finding.check.name,
        "where": finding.where,
        "what": finding.check.what,
        "sha256": finding.sha256,
        "files": list(finding.files),
        "is_repaired": finding.is_repaired,
        "to_do": None if finding.is_repaired else finding.check.to_do,
    }


async def scrub(instance: Instance, arguments: Namespace) -> Outcome:
    """Read all blobs now, and note which are damaged; refuses a registry that has some."""
    from twisted.internet import reactor

    from pkgregd.registry.scrub import Scrubbing

    progress = Progress(instance)

    def tell(report: ScrubReport) -> None:
        progress("blobs read", report.blobs)

    scrubbing = Scrubbing(
        reactor,
        instance.catalog,
        instance.blobs,
        on_a_thread,
        interval=None,
        bytes_per_second=arguments.bytes_per_second,
        tell=tell,
    )
    report = await scrubbing.go_on()
    assert report is not None  # who wants them now has them
    notes = () if report.is_whole else ("another process has begun to read all blobs meanwhile",)
    data = {**attrs.asdict(report), "named": [{"sha256": sha256, "damage": damage} for sha256, damage in report.named]}
    lines = [f"{sha256}: {damage}" for sha256, damage in report.named]
    sums = (
        f"{report.blobs} blobs, {report.size_bytes} bytes read; {report.damaged} damaged, {report.mended} whole again"
    )
    return Outcome("\n".join([*lines, sums]), data, notes, is_refused=report.damaged > 0 or not report.is_whole)
