"""
The comparison of the catalog with itself and with the store.

It may run beside daemons: what they change in one transaction is seen whole, and what seems to be missing from the
store is asked for again in the catalog before it is told. All of it goes in pages. A repair never removes the last
there is of anything.
"""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import partial

from attrs import define, evolve, field, frozen

from pkgregd.interfaces import IBlobStore, ICatalog
from pkgregd.registry import checks
from pkgregd.registry.checks import CHECKS, Check
from pkgregd.registry.copies import demand_some, forget, is_lost, is_unknown, is_unpublished, knows_nothing
from pkgregd.registry.scrub import check_blob
from pkgregd.registry.sweep import settled_before
from pkgregd.registry.verifying import Pace, Run, look_at_length, read_digests
from pkgregd.values import HEX_LENGTHS, BlobInfo, CatalogCheck, Damage, Digest, StoredBlob

PAGE = 500
MAX_NAMED = 1000
"""How many findings of each kind a report names; all are counted."""

MAX_WANTED = 100_000
"""Lost blobs that are looked for in the store in one run."""

MAX_FILES_NAMED = 10

USUAL_ALGORITHMS = ("md5", "sha1", "sha512")
"""Of the digests that formats ask for, beside sha256."""

OF_DAMAGE = {
    Damage.MISSING: checks.MISSING_BLOB,
    Damage.WRONG_SIZE: checks.WRONG_SIZE,
    Damage.WRONG_BYTES: checks.WRONG_BYTES,
}

BY_HAND = (CatalogCheck.FILE_WITHOUT_PACKAGE, CatalogCheck.PACKAGE_WITHOUT_PROJECT)
"""What no repair mends."""

LATE_CHECKS = (CatalogCheck.FILE_WITHOUT_BLOB, CatalogCheck.WRONG_USAGE)
"""What they find depends on what was mended before."""


@frozen
class Finding:
    """
    One inconsistency.

    Attributes:
        where: what is wrong, in words.
        files: some of the published files that it concerns.
    """

    check: Check
    where: str
    is_repaired: bool
    sha256: str | None = None
    files: tuple[str, ...] = ()


@define
class FsckReport:
    """
    What was looked at and found.

    Attributes:
        blobs, objects: of the catalog, and in the store.
        read_bytes: what was read to verify it.
        found, repaired: how many findings of each kind.
        named: the first findings of each kind.
    """

    blobs: int = 0
    objects: int = 0
    read_bytes: int = 0
    found: Counter[str] = field(factory=Counter)
    repaired: Counter[str] = field(factory=Counter)
    named: list[Finding] = field(factory=list)

    @property
    def left(self) -> int:
        """How many findings are not repaired."""
        return self.found.total() - self.repaired.total()


@frozen
class FsckOptions:
    """
    How fsck is done.

    Attributes:
        repair: mend what can be mended.
        verify: read all bytes.
        grace: leave objects alone that were written so recently: their upload may not be published yet.
    """

    repair: bool = False
    verify: bool = False
    grace: datetime.timedelta = datetime.timedelta(days=1)


class Fsck:
    """
    One run.

    Args:
        run, pace: for what is read.
        tell: gets each finding at once.
        progress: is told now and then what is looked at, and how much of it was.
    """

    def __init__(
        self,
        catalog: ICatalog,
        blobs: IBlobStore,
        options: FsckOptions,
        run: Run,
        pace: Pace,
        *,
        tell: Callable[[Finding], object] = lambda finding: None,
        progress: Callable[[str, int], object] = lambda what, count: None,
    ) -> None:
        self._catalog = catalog
        self._blobs = blobs
        self._options = options
        self._run = run
        self._pace = pace
        self._tell = tell
        self._progress = progress
        self._report = FsckReport()

    async def go(self, now: datetime.datetime) -> FsckReport:
        """
        Look at everything.

        Args:
            now: aware UTC.

        Raises:
            Unavailable: catalog or store cannot be asked.
        """
        for check in (check for check in CatalogCheck if check not in LATE_CHECKS):
            await self._look_into_catalog(check)
        await self._look_into_store(now)
        await self._look_for_bytes()
        await self._look_into_catalog(CatalogCheck.WRONG_USAGE)
        await self._look_for_leftovers()
        return self._report

    def _found(
        self, name: str, where: str, *, is_repaired: bool, sha256: Digest | None = None, files: tuple[str, ...] = ()
    ) -> None:
        finding = Finding(CHECKS[name], where, is_repaired, None if sha256 is None else sha256.hex, files)
        self._report.found[name] += 1
        self._report.repaired[name] += is_repaired
        if self._report.found[name] <= MAX_NAMED:
            self._report.named.append(finding)
        self._tell(finding)

    # ------------------------------------------------------------------ the catalog

    async def _look_into_catalog(self, check: CatalogCheck) -> None:
        after: tuple[int | str, ...] | None = None
        while page := await self._catalog.find_faults(check, after, PAGE):
            for fault in page:
                is_repaired = self._options.repair and await self._catalog.mend_fault(check, fault)
                if self._options.repair and not is_repaired and check not in BY_HAND:
                    continue  # others have done it meanwhile
                self._found(check.value, fault.where, is_repaired=is_repaired, sha256=fault.sha256)
            after = page[-1].key
            self._progress(check.value, self._report.found[check.value])

    # ------------------------------------------------------------------ the store

    async def _look_into_store(self, now: datetime.datetime) -> None:
        """Find objects that the catalog does not know; and those that it has forgotten."""
        wanted = await self._lost_blobs()
        before = min(now - self._options.grace, settled_before(self._blobs, now))
        # what a new catalog does not know may be another one's, that is still to be restored
        removes = self._options.repair and not await knows_nothing(self._catalog)
        async for blob, written_at in self._blobs.iter_blobs():
            self._report.objects += 1
            self._progress("objects", self._report.objects)
            if blob.sha256.hex in wanted:
                if self._options.repair and await self._take_up(blob):
                    wanted[blob.sha256.hex] = True
                continue
            stored = await self._catalog.find_blob(blob.sha256)
            if stored is not None and self._is_of(stored.info, blob):
                continue
            if stored is not None and stored.is_used and await is_lost(self._blobs, stored.info):
                await self._put_in_place(stored.info, blob)
            elif written_at < before and await is_unknown(self._catalog, self._blobs, blob):
                is_gone = removes and await self._blobs.remove(blob, partial(forget, self._catalog, self._blobs, blob))
                self._found(checks.UNKNOWN_OBJECT, f"object {blob.locator}", is_repaired=is_gone, sha256=blob.sha256)
        await self._tell_of_lost(wanted)

    async def _lost_blobs(self) -> dict[str, bool]:
        """Return the sha256 of blobs that files refer to and that have no row, each with False."""
        wanted: dict[str, bool] = {}
        after: tuple[int | str, ...] | None = None
        while len(wanted) < MAX_WANTED and (
            page := await self._catalog.find_faults(CatalogCheck.FILE_WITHOUT_BLOB, after, PAGE)
        ):
            wanted |= {fault.sha256.hex: False for fault in page if fault.sha256 is not None}
            after = page[-1].key
        return wanted

    async def _take_up(self, blob: BlobInfo) -> bool:
        """Have the catalog know a blob again, if its bytes are what they should be."""
        digests = await self._digests_of(blob)
        return digests is not None and await self._catalog.restore_blob(evolve(blob, digests=digests))

    async def _digests_of(self, blob: BlobInfo, algorithms: Iterable[str] = ()) -> Mapping[str, str] | None:
        """Compute all that formats may want, and more; None if the bytes are not what they should be."""
        digests = await read_digests(self._blobs, blob, {*USUAL_ALGORITHMS, *algorithms}, self._run, self._pace)
        self._report.read_bytes += blob.size_bytes
        return None if isinstance(digests, Damage) else digests

    def _is_of(self, known: BlobInfo, blob: BlobInfo) -> bool:
        """Whether what lies here is what the catalog refers to, as far as that shows without reading it."""
        is_there = not self._blobs.has_copies or known.locator == blob.locator
        return is_there and known.size_bytes == blob.size_bytes

    async def _put_in_place(self, lost: BlobInfo, blob: BlobInfo) -> None:
        """Have files refer to what lies here, if it is what they have lost."""
        digests = await self._digests_of(blob, lost.digests)
        if digests is None:
            return
        is_repaired = False
        if self._options.repair:
            await self._catalog.mark_blob(lost.sha256, lost.locator, lost.damage or Damage.MISSING)
            is_repaired = await self._catalog.restore_blob(evolve(blob, digests=digests))
        where = f"blob {blob.sha256.hex}, by object {blob.locator}"
        self._found(checks.WHOLE_AGAIN, where, is_repaired=is_repaired, sha256=blob.sha256)

    async def _tell_of_lost(self, wanted: Mapping[str, bool]) -> None:
        if not all(wanted.values()):
            await demand_some(self._blobs)
        for hex_digits, is_taken_up in wanted.items():
            sha256 = Digest("sha256", hex_digits)
            is_repaired = is_taken_up
            if self._options.repair and not is_taken_up:
                # its files can be listed again, and say what is the matter
                lost = BlobInfo(sha256, 0, "", {"sha256": hex_digits}, Damage.MISSING)
                is_repaired = await self._catalog.restore_blob(lost)
            self._found(
                CatalogCheck.FILE_WITHOUT_BLOB.value,
                f"blob {hex_digits}",
                is_repaired=is_repaired,
                sha256=sha256,
                files=await self._catalog.name_files(sha256, MAX_FILES_NAMED),
            )

    async def _look_for_leftovers(self) -> None:
        """Tell what dead processes left, and clear it."""
        left = await self._blobs.list_leftovers()
        if self._options.repair and left:
            await self._blobs.recover(partial(is_unpublished, self._catalog))
        still_there = set(await self._blobs.list_leftovers()) if left else set()
        for name in left:
            self._found(checks.STAGING_LEFTOVER, name, is_repaired=name not in still_there)

    # ------------------------------------------------------------------ bytes

    async def _look_for_bytes(self) -> None:
        """Find what files refer to and what cannot be served."""
        after = ""
        while page := await self._catalog.list_blobs(after, PAGE):
            for stored in page:
                self._report.blobs += 1
                self._progress("blobs", self._report.blobs)
                if stored.is_used:
                    await self._look_at(stored)
            after = page[-1].info.sha256.hex

    async def _look_at(self, stored: StoredBlob) -> None:
        blob = stored.info
        damage = await look_at_length(self._blobs, blob)
        if damage is None and not self._options.verify and blob.damage is None:
            if not _is_plausible(blob):
                await self._put_digests_right(blob)
            return
        if damage is None:
            await self._read(blob)
        elif await self._is_still_needed(blob):
            if damage is Damage.MISSING and blob.damage is not damage:
                await demand_some(self._blobs)
            await self._tell_of_damage(blob, damage)

    async def _is_still_needed(self, blob: BlobInfo) -> bool:
        """Whether files refer to these bytes at this place, now that something is wrong with them."""
        stored = await self._catalog.find_blob(blob.sha256)
        return stored is not None and stored.is_used and stored.info.locator == blob.locator

    async def _read(self, blob: BlobInfo) -> None:
        self._report.read_bytes += blob.size_bytes
        found = await read_digests(self._blobs, blob, blob.digests, self._run, self._pace)
        if isinstance(found, Damage):
            if await self._is_still_needed(blob):
                await self._tell_of_damage(blob, found)
            return
        if blob.damage is not None:
            is_mended = self._options.repair and await self._catalog.mark_blob(blob.sha256, blob.locator, None)
            self._found(checks.WHOLE_AGAIN, f"blob {blob.sha256.hex}", is_repaired=is_mended, sha256=blob.sha256)
        if not _is_plausible(blob) or any(found[algorithm] != blob.digests[algorithm] for algorithm in blob.digests):
            await self._put_digests_right(blob)

    async def _tell_of_damage(self, blob: BlobInfo, damage: Damage) -> None:
        if self._options.repair:
            # noted at the blob, and looked at once more: it may have been published again meanwhile
            now_damage = await check_blob(self._catalog, self._blobs, blob, self._run, self._pace)
            if now_damage is None:
                return
            damage = now_damage
        files = await self._catalog.name_files(blob.sha256, MAX_FILES_NAMED)
        where = f"blob {blob.sha256.hex}"
        self._found(OF_DAMAGE[damage], where, is_repaired=False, sha256=blob.sha256, files=files)

    async def _put_digests_right(self, blob: BlobInfo) -> None:
        """Write the digests of the bytes themselves, of all algorithms that were known."""
        is_repaired = False
        if self._options.repair:
            # where they cannot be digests nobody knows which there were
            more = () if _is_plausible(blob) else USUAL_ALGORITHMS
            digests = await read_digests(self._blobs, blob, {*blob.digests, *more}, self._run, self._pace)
            if not isinstance(digests, Damage):
                is_repaired = await self._catalog.set_digests(blob.sha256, digests)
        self._found(
            checks.WRONG_DIGESTS,
            f"blob {blob.sha256.hex}",
            is_repaired=is_repaired,
            sha256=blob.sha256,
            files=await self._catalog.name_files(blob.sha256, MAX_FILES_NAMED),
        )


def _is_plausible(blob: BlobInfo) -> bool:
    """Whether the digests of a blob can be digests, and the one that names it is among them."""
    return blob.digests.get("sha256") == blob.sha256.hex and all(
        isinstance(digest, str) and HEX_LENGTHS.get(algorithm) == len(digest)
        for algorithm, digest in blob.digests.items()
    )
