"""
Removal of blobs that nothing refers to.

In two phases: the transaction that lets go of a blob's last file notes the time, and after a grace period the sweep
asks again, over the whole catalog and with the blob's exclusive pin held, so that an upload of the same bytes cannot
come in between. The row goes before the bytes: whoever dies in the middle leaves bytes without a row, which the next
sweep finds. Of a catalog that knows no blob at all nothing is taken for granted: what is stored may be another one's,
that is still to be restored.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from functools import partial

from attrs import define
from twisted.logger import Logger

from pkgregd.errors import PkgregdError
from pkgregd.interfaces import IBlobStore, ICatalog
from pkgregd.registry.copies import forget, is_unknown, knows_nothing
from pkgregd.values import BlobInfo

log = Logger()

PAGE = 500
MAX_FAILURES = 20
"""After so many blobs that could not be removed the rest will not be either."""


@define
class SweepReport:
    """
    What a sweep did, or would do.

    Attributes:
        removed, removed_bytes: blobs that are gone, or would be.
        kept_in_use: blobs that are needed again, or are pinned by an upload: the next sweep asks again.
        failed: blobs that could not be removed; the log says why.
        kept_unknown: blobs that stay since the catalog knows none at all.
        leftovers: files and unfinished uploads of dead processes that are gone, or would be.
    """

    removed: int = 0
    removed_bytes: int = 0
    kept_in_use: int = 0
    failed: int = 0
    kept_unknown: int = 0
    leftovers: int = 0
    is_dry_run: bool = False


async def sweep(
    catalog: ICatalog,
    blobs: IBlobStore,
    *,
    grace: datetime.timedelta,
    now: datetime.datetime,
    dry_run: bool = False,
    is_over: Callable[[], bool] = lambda: False,
) -> SweepReport:
    """
    Remove blobs without a file.

    Args:
        grace: leave what was in use, or was written, so recently.
        now: aware UTC.
        dry_run: only count.
        is_over: asked between blobs; what is left then is for the next sweep.

    Raises:
        Unavailable: catalog or store cannot be asked.
    """
    report = SweepReport(is_dry_run=dry_run)
    is_new = await knows_nothing(catalog)
    before, after = now - grace, ""
    while page := await catalog.find_unused_blobs(before, PAGE, after):
        for blob in page:
            if is_over():
                return report
            await _remove(catalog, blobs, blob, report)
        after = page[-1].sha256.hex
    before = min(before, settled_before(blobs, now))
    async for blob, written_at in blobs.iter_blobs():
        if is_over():
            break
        if written_at < before and await is_unknown(catalog, blobs, blob):
            if is_new:
                report.kept_unknown += 1
            else:
                await _remove(catalog, blobs, blob, report)
    if report.kept_unknown:
        log.warn(
            "{count} stored blobs stay, since the catalog knows none at all: is it the right one?",
            count=report.kept_unknown,
            event="sweep.new_catalog",
        )
    return report


async def _remove(catalog: ICatalog, blobs: IBlobStore, blob: BlobInfo, report: SweepReport) -> None:
    try:
        is_gone = report.is_dry_run or await blobs.remove(blob, partial(forget, catalog, blobs, blob))
    except PkgregdError:
        log.failure("the blob {sha256} cannot be removed", sha256=blob.sha256.hex, event="sweep.failed")
        report.failed += 1
        if report.failed >= MAX_FAILURES:
            raise
        return
    if is_gone:
        report.removed += 1
        report.removed_bytes += blob.size_bytes
    else:
        report.kept_in_use += 1


def settled_before(blobs: IBlobStore, now: datetime.datetime) -> datetime.datetime:
    """Return from when on a stored blob may be of an upload that nobody here can see."""
    if not blobs.unsettled_seconds:
        return datetime.datetime.max.replace(tzinfo=datetime.UTC)
    return now - datetime.timedelta(seconds=blobs.unsettled_seconds)
