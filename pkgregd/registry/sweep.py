"""
Removal of blobs that nothing refers to, and the comparison of catalog and store.

The decision is made per digest over the whole catalog, with the blob's exclusive pin
held, so an upload of the same bytes cannot come in between.
"""

from __future__ import annotations

import datetime
from functools import partial

from attrs import define, field

from pkgregd.interfaces import IBlobStore, ICatalog
from pkgregd.registry.copies import forget, is_unused
from pkgregd.values import BlobInfo

PAGE = 500
MAX_NAMED = 1000
"""How many blobs a report names; all are counted."""


@define
class SweepReport:
    """What a sweep did, or would do."""

    removed: int = 0
    removed_bytes: int = 0
    kept_in_use: int = 0
    is_dry_run: bool = False


@define
class FsckReport:
    """
    What catalog and store disagree about.

    Attributes:
        checked: blobs of the catalog that were looked at.
        missing, wrong_size: sha256 of blobs that files refer to and that cannot be served.
        orphans: stored blobs that the catalog does not know; a sweep removes them.
    """

    checked: int = 0
    missing: list[str] = field(factory=list)
    wrong_size: list[str] = field(factory=list)
    missing_count: int = 0
    wrong_size_count: int = 0
    orphan_count: int = 0
    removed_orphans: int = 0

    @property
    def is_clean(self) -> bool:
        """Whether everything the catalog promises can be served."""
        return not self.missing_count and not self.wrong_size_count


async def sweep(
    catalog: ICatalog,
    blobs: IBlobStore,
    *,
    grace: datetime.timedelta,
    now: datetime.datetime,
    dry_run: bool = False,
) -> SweepReport:
    """
    Remove blobs without a file.

    Args:
        grace: leave what was in use, or was written, so recently.
        now: aware UTC.
        dry_run: only count.
    """
    report = SweepReport(is_dry_run=dry_run)
    before = now - grace
    seen: set[str] = set()
    while page := [blob for blob in await catalog.find_unused_blobs(before, PAGE) if blob.sha256.hex not in seen]:
        for blob in page:
            # a blob that stays (pinned, or in use again) is not asked for twice
            seen.add(blob.sha256.hex)
            if dry_run or await blobs.remove(blob, partial(forget, catalog, blobs, blob)):
                report.removed += 1
                report.removed_bytes += blob.size_bytes
            else:
                report.kept_in_use += 1
        if dry_run or len(page) < PAGE:
            break
    before = min(before, _settled_before(blobs, now))
    async for blob, written_at in blobs.iter_blobs():
        if written_at >= before or blob.sha256.hex in seen or not await is_unused(catalog, blobs, blob):
            continue
        if dry_run or await blobs.remove(blob, partial(forget, catalog, blobs, blob)):
            report.removed += 1
            report.removed_bytes += blob.size_bytes
    return report


async def fsck(catalog: ICatalog, blobs: IBlobStore, *, now: datetime.datetime, repair: bool = False) -> FsckReport:
    """
    Compare what the catalog promises with what the store has.

    Args:
        now: aware UTC.
        repair: remove stored blobs that nothing refers to, whatever their age; but for such as may be of an upload of
            another process.
    """
    report = FsckReport()
    after = ""
    while page := await catalog.list_blobs(after, PAGE):
        for blob in page:
            report.checked += 1
            size_bytes = await blobs.stat(blob)
            if size_bytes == blob.size_bytes or await catalog.is_blob_unused(blob.sha256):
                continue
            if size_bytes is None:
                report.missing_count += 1
                _name(report.missing, blob)
            else:
                report.wrong_size_count += 1
                _name(report.wrong_size, blob)
        after = page[-1].sha256.hex
    settled_before = _settled_before(blobs, now)
    async for blob, written_at in blobs.iter_blobs():
        if written_at < settled_before and await is_unused(catalog, blobs, blob):
            report.orphan_count += 1
            if repair and await blobs.remove(blob, partial(forget, catalog, blobs, blob)):
                report.removed_orphans += 1
    return report


def _settled_before(blobs: IBlobStore, now: datetime.datetime) -> datetime.datetime:
    """Return from when on a stored blob may be of an upload that nobody here can see."""
    if not blobs.unsettled_seconds:
        return datetime.datetime.max.replace(tzinfo=datetime.UTC)
    return now - datetime.timedelta(seconds=blobs.unsettled_seconds)


def _name(named: list[str], blob: BlobInfo) -> None:
    if len(named) < MAX_NAMED:
        named.append(blob.sha256.hex)
