"""
Reading of all blobs, slowly and again and again, to find bytes that have gone bad before somebody needs them.

Where it stands is in the catalog: it goes on there after a restart, in any process, and one process at a time is at it.
What is damaged is noted at the blob, so that it is not served, and published again it is mended.
"""

from __future__ import annotations

import datetime
import secrets
from collections.abc import Callable
from functools import partial

from attrs import define, evolve, field
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from pkgregd.clockwork import PeriodicTask
from pkgregd.errors import PkgregdError, Unavailable
from pkgregd.interfaces import IBlobStore, ICatalog
from pkgregd.registry.copies import demand_some
from pkgregd.registry.verifying import Interrupted, Pace, Run, verify
from pkgregd.values import BlobInfo, Damage, ScrubState, StoredBlob

log = Logger()

PAGE = 100
NOTE_SECONDS = 30.0
"""After so long it is noted where the reading stands; what was read since is read again by who goes on."""

MAX_DAMAGED_TOGETHER = 10
"""After so many in a row it is not the blobs that are damaged: the store is another one, or its disk is away."""

MAX_NAMED = 1000
"""How many damaged blobs a report names; all are counted."""


@define
class ScrubReport:
    """
    What was read in one go.

    Attributes:
        blobs, size_bytes: what was read.
        damaged: blobs that are not what they should be; `named` are the first of them, with what is wrong.
        mended: blobs that were damaged, and are whole now.
        is_whole: whether the round came to its end.
    """

    blobs: int = 0
    size_bytes: int = 0
    damaged: int = 0
    mended: int = 0
    is_whole: bool = False
    named: list[tuple[str, str]] = field(factory=list)


class Scrubbing:
    """
    Reads the blobs of a catalog.

    Args:
        clock: for pauses.
        run: hashes somewhere else.
        interval: the least time between the end of a round and the beginning of the next; None begins one now.
        bytes_per_second: how fast; None for as fast as it goes.
        tell: is told how many blobs and bytes were read so far.
    """

    def __init__(
        self,
        clock: IReactorTime,
        catalog: ICatalog,
        blobs: IBlobStore,
        run: Run,
        interval: datetime.timedelta | None,
        bytes_per_second: int | None,
        tell: Callable[[ScrubReport], object] = lambda report: None,
    ) -> None:
        self._clock = clock
        self._catalog = catalog
        self._blobs = blobs
        self._run = run
        self._interval = interval
        self._bytes_per_second = bytes_per_second
        self._tell = tell
        self._holder = secrets.token_hex(8)
        self._is_lost = False
        self._found_together: list[BlobInfo] = []

    async def go_on(
        self, is_over: Callable[[], bool] = lambda: False, is_enough: Callable[[], bool] = lambda: False
    ) -> ScrubReport | None:
        """
        Go on where the last one ended, to the end of the round or until it is over.

        It may take as long as the pace makes it, and be ended at any moment, by `is_over` or otherwise.

        Args:
            is_over: asked between pieces of blobs; a blob that is not read to its end is begun anew the next time.
            is_enough: asked between blobs, so that each time one is read to its end, however long that takes.

        Returns:
            None if nothing is to be done, or somebody else does it.

        Raises:
            Unavailable: catalog or store cannot be asked; or one blob after the other is damaged, and none is noted so.
        """
        state = await self._catalog.take_scrub(self._holder, self._interval)
        if state is None:
            return None
        report = ScrubReport()
        self._is_lost = False
        self._found_together = []
        pace = Pace(self._clock, self._bytes_per_second, lambda: self._is_lost or is_over())
        try:
            state = await self._read_all(state, report, pace, is_enough)
        except Interrupted:
            return report
        return report if state is None else await self._end(state, report)

    async def _read_all(
        self, state: ScrubState, report: ScrubReport, pace: Pace, is_enough: Callable[[], bool]
    ) -> ScrubState | None:
        """Read to the end of the round; None if somebody else has taken over."""
        noted_at = self._clock.seconds()
        while page := await self._catalog.list_blobs(state.position, PAGE):
            for stored in page:
                try:
                    damage = await self._look_at(stored, state, report, pace) if stored.is_used else None
                except Interrupted:
                    await self._catalog.keep_scrub(self._holder, state, is_over=True)
                    raise
                state = evolve(
                    state,
                    position=stored.info.sha256.hex,
                    blobs=state.blobs + stored.is_used,
                    size_bytes=state.size_bytes + (stored.info.size_bytes if stored.is_used else 0),
                    damaged=state.damaged + (damage is not None),
                )
                if self._clock.seconds() - noted_at >= NOTE_SECONDS:
                    if not await self._catalog.keep_scrub(self._holder, state):
                        return None
                    noted_at = self._clock.seconds()
                    self._tell(report)
                if is_enough():
                    await self._catalog.keep_scrub(self._holder, state, is_over=True)
                    raise Interrupted
        return state

    async def _look_at(self, stored: StoredBlob, state: ScrubState, report: ScrubReport, pace: Pace) -> Damage | None:
        renewing = PeriodicTask(self._clock, NOTE_SECONDS, partial(self._renew, state), "renewing the scrub's lease")
        renewing.startService()
        try:
            damage = await check_blob(self._catalog, self._blobs, stored.info, self._run, pace)
        finally:
            # waited for, lest it comes after what is noted next
            running = renewing.stopService()
            if running is not None:
                await running
        await self._doubt_the_store(stored.info, damage)
        report.blobs += 1
        report.size_bytes += stored.info.size_bytes
        if damage is not None:
            report.damaged += 1
            if len(report.named) < MAX_NAMED:
                report.named.append((stored.info.sha256.hex, damage.value))
        elif stored.info.damage is not None:
            report.mended += 1
        return damage

    async def _doubt_the_store(self, blob: BlobInfo, damage: Damage | None) -> None:
        """Take back what was noted if all blobs seem to be damaged, of which none would be served again for long."""
        if damage is None:
            self._found_together = []
        elif blob.damage is None:
            self._found_together.append(blob)
        if len(self._found_together) < MAX_DAMAGED_TOGETHER:
            return
        for each in self._found_together:
            await self._catalog.mark_blob(each.sha256, each.locator, None)
        raise Unavailable(
            f"{MAX_DAMAGED_TOGETHER} blobs in a row cannot be read as they were stored, so none was noted as damaged: "
            "look whether the store is all there; `pkgregd fsck` lists what is not"
        )

    async def _renew(self, state: ScrubState) -> None:
        """Say that a blob is still being read: it may take longer than others wait."""
        try:
            self._is_lost = not await self._catalog.keep_scrub(self._holder, state)
        except PkgregdError as error:
            log.warn("the reading of blobs is not renewed: {reason}", reason=str(error), event="scrub.not_renewed")

    async def _end(self, state: ScrubState, report: ScrubReport) -> ScrubReport:
        report.is_whole = await self._catalog.end_scrub(self._holder, state)
        return report


async def check_blob(catalog: ICatalog, blobs: IBlobStore, blob: BlobInfo, run: Run, pace: Pace) -> Damage | None:
    """
    Read a blob, and note at it what is wrong with its bytes, or that nothing is any more.

    Whoever publishes equal bytes meanwhile mends it. So what seems damaged is noted first and then read once more:
    bytes that were replaced before the note are found whole, and a replacement after it takes the note away.

    Returns:
        What is wrong; None also of a blob that nobody needs any more.

    Raises:
        Interrupted: the pace says so. Unavailable: the store does not answer, or has nothing at all.
    """
    damage = await verify(blobs, blob, run, pace)
    if damage is None:
        if blob.damage is not None:
            await catalog.mark_blob(blob.sha256, blob.locator, None)
            log.info("the blob {sha256} is whole again", sha256=blob.sha256.hex, event="scrub.mended")
        return None
    stored = await catalog.find_blob(blob.sha256)
    if stored is None or not stored.is_used or stored.info.locator != blob.locator:
        return None
    if damage is Damage.MISSING and blob.damage is not damage:
        await demand_some(blobs)
    if not await catalog.mark_blob(blob.sha256, blob.locator, damage):
        return None
    damage = await verify(blobs, blob, run, pace)
    if damage is None:
        await catalog.mark_blob(blob.sha256, blob.locator, None)
        return None
    log.error(
        "the blob {sha256} is damaged: {damage}", sha256=blob.sha256.hex, damage=damage.value, event="scrub.damaged"
    )
    return damage
