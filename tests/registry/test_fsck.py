"""fsck and scrub, over the fakes."""

from __future__ import annotations

import datetime
from collections.abc import Callable

from twisted.internet.defer import Deferred, ensureDeferred

from pkgregd.catalog.memory import MemoryCatalog
from pkgregd.errors import BlobDamaged, Unavailable
from pkgregd.interfaces import SCRUB_LEASE_SECONDS
from pkgregd.registry.checks import CHECKS
from pkgregd.registry.fsck import Finding, Fsck, FsckOptions, FsckReport
from pkgregd.registry.scrub import MAX_DAMAGED_TOGETHER, Scrubbing
from pkgregd.registry.verifying import PIECE_BYTES, Pace, read_digests
from pkgregd.values import (
    ANONYMOUS,
    NO_PRECONDITION,
    BlobInfo,
    CatalogCheck,
    Damage,
    PackageFile,
)
from tests.registry.test_publishing import StoreCase

NEXT_YEAR = datetime.timedelta(days=365)


async def at_once(job: Callable[[], None]) -> None:
    """Run a job here."""
    job()


class UpkeepCase(StoreCase):
    """A store whose bytes go bad."""

    def file(self, data: bytes, name: str = "f") -> PackageFile:
        """Publish bytes."""
        file: PackageFile = self.get(self.publish(data, self.coordinates(name))).file
        return file

    def damage(self, file: PackageFile, data: bytes | None) -> None:
        """Change the bytes of a file behind the store's back."""
        _, written_at = self.blobs.contents.pop(file.blob.sha256)
        if data is not None:
            self.blobs.contents[file.blob.sha256] = (data, written_at)

    def delete_at_a_look(self, file: PackageFile) -> None:
        """Have a file, the only one, deleted as soon as somebody looks at its bytes."""
        stat = self.blobs.stat

        async def delete_first(blob: BlobInfo) -> int | None:
            await self.catalog.delete_file(file.id, ANONYMOUS, NO_PRECONDITION)
            self.blobs.contents.clear()
            return await stat(blob)

        self.blobs.stat = delete_first

    def known_damage(self, file: PackageFile) -> Damage | None:
        """Tell what is noted at a file."""
        stored = self.get(self.catalog.find_blob(file.blob.sha256))
        return None if stored is None else stored.info.damage

    def fsck(self, now: datetime.datetime | None = None, **options: bool) -> FsckReport:
        """Look at everything, as if it were next year."""
        self.told: list[Finding] = []
        run = Fsck(
            self.catalog,
            self.blobs,
            FsckOptions(**options),
            at_once,
            Pace(self.clock, None),
            tell=self.told.append,
        )
        report: FsckReport = self.get(run.go(now or datetime.datetime.now(datetime.UTC) + NEXT_YEAR))
        self.assertEqual(report.named, self.told)
        return report


class FsckTests(UpkeepCase):
    """The comparison."""

    def test_nothing(self) -> None:
        """A registry that is well has no findings."""
        self.file(b"abc")
        self.file(b"abc", "g")
        report = self.fsck(verify=True)
        self.assertEqual((report.found, report.left, report.blobs, report.objects), ({}, 0, 1, 1))
        self.assertEqual(report.read_bytes, 3)

    def test_damage(self) -> None:
        """Each kind of damage is told with the files that it concerns; other bytes only by reading them."""
        kinds = {None: "missing_blob", b"ab": "wrong_size", b"abd": "wrong_bytes"}
        self.file(b"whole", "whole")
        for number, (data, kind) in enumerate(kinds.items()):
            file = self.file(b"abc%d" % number, str(number))
            self.damage(file, None if data is None else data if len(data) < 3 else b"abd%d" % number)
            found = self.fsck(verify=kind == "wrong_bytes").found
            self.assertEqual(found, {kind: 1} if kind != "wrong_bytes" else found)
            (finding,) = (finding for finding in self.told if finding.check.name == kind)
            self.assertEqual(finding.files, (f"acme/one: toy n 1 {number}",))
            self.assertEqual((finding.sha256, finding.is_repaired), (file.blob.sha256.hex, False))
            self.file(b"abc%d" % number, str(number))
        self.assertEqual(self.fsck(verify=True).found, {})

    def test_repair_notes_damage(self) -> None:
        """What cannot be mended is noted, so that it is not served, and is still a finding; a new upload mends it."""
        file = self.file(b"abc")
        self.damage(file, b"abd")
        self.assertEqual(self.fsck(repair=True).found, {})
        self.assertEqual(self.fsck(repair=True, verify=True).left, 1)
        self.assertIs(self.known_damage(file), Damage.WRONG_BYTES)
        # now that it is known it is looked at in any run
        self.assertEqual(self.fsck().found, {"wrong_bytes": 1})
        remote = self.remote("acme/one")
        marked = self.get(self.catalog.find_package_file(file.project_id, file.package_id, file.id))
        self.failureResultOf(ensureDeferred(remote.open_file(marked)), BlobDamaged)
        again = self.get(self.publish(b"abc"))
        self.assertFalse(again.created)
        self.assertIsNone(self.known_damage(file))
        self.assertEqual(self.fsck(verify=True).found, {})

    def test_whole_again(self) -> None:
        """Bytes that were put back by hand are found to be whole, and served again after a repair."""
        file = self.file(b"abc")
        self.damage(file, b"abd")
        self.fsck(repair=True, verify=True)
        self.damage(file, b"abc")
        self.assertEqual(self.fsck().found, {"whole_again": 1})
        self.assertEqual(self.fsck(repair=True).left, 0)
        self.assertIsNone(self.known_damage(file))

    def test_mended_while_it_looks(self) -> None:
        """What is published again between a look at the store and a note of it is no finding, and no note stays."""
        file = self.file(b"abc")
        self.damage(file, b"abd")
        mark = self.catalog.mark_blob

        async def publish_first(*arguments: object) -> bool:
            self.catalog.mark_blob = mark
            await self.publish(b"abc")
            return await mark(*arguments)

        self.catalog.mark_blob = publish_first
        self.assertEqual(self.fsck(repair=True, verify=True).found, {})
        self.assertIsNone(self.known_damage(file))

    def test_deleted_while_it_looks(self) -> None:
        """Bytes of a file that has been deleted meanwhile are not missed."""
        self.delete_at_a_look(self.file(b"abc"))
        self.assertEqual(self.fsck().found, {})

    def test_unknown_objects(self) -> None:
        """They are told when they are old enough to be of no upload, and removed; pinned ones stay."""

        async def leak(data: bytes) -> object:
            sink = await self.blobs.open_sink()
            sink.write(data)
            await sink.commit()
            return sink

        self.file(b"abc")
        self.get(self.get(leak(b"one")).abort())
        pinned = self.get(leak(b"two"))
        self.assertEqual(self.fsck(now=datetime.datetime.now(datetime.UTC)).found, {})
        report = self.fsck(repair=True)
        self.assertEqual((report.found, report.repaired), ({"unknown_object": 2}, {"unknown_object": 1}))
        self.get(pinned.abort())
        self.assertEqual(self.fsck(repair=True).left, 0)
        self.assertEqual(self.stored(), [3])

    def test_a_new_catalog(self) -> None:
        """What is stored may be another one's, that is still to be restored: it is told, and stays."""
        self.file(b"abc")
        self.catalog = MemoryCatalog()
        report = self.fsck(repair=True)
        self.assertEqual((report.found, report.left), ({"unknown_object": 1}, 1))
        self.assertEqual(self.stored(), [3])

    def test_digests(self) -> None:
        """Digests that cannot be any are found at once, others by reading; both are computed anew."""
        file = self.file(b"abc")
        right = {"sha256": file.blob.sha256.hex, "md5": "900150983cd24fb0d6963f7d28e17f72"}
        for wrong, verify in (({"md5": right["md5"]}, False), ({**right, "md5": "0" * 32}, True)):
            self.get(self.catalog.set_digests(file.blob.sha256, wrong))
            self.assertEqual(self.fsck(verify=verify).found, {"wrong_digests": 1})
            self.assertEqual(self.fsck(verify=verify, repair=True).left, 0)
            stored = self.get(self.catalog.find_blob(file.blob.sha256))
            self.assertLessEqual(right.items(), stored.info.digests.items())
        self.assertEqual(self.fsck(verify=True).found, {})

    def test_usage(self) -> None:
        """A wrong count is found in the catalog, and put right."""
        self.file(b"abc")
        self.catalog._usages[self.one] = 5
        self.assertEqual(self.fsck().found, {"wrong_usage": 1})
        self.assertIn("5 bytes are counted, there are 3", self.told[0].where)
        self.assertEqual(self.fsck(repair=True).left, 0)
        self.assertEqual(self.fsck().found, {})

    def test_what_is_right_again(self) -> None:
        """A row that others have put right before it was mended is no finding."""
        self.file(b"abc")
        self.catalog._usages[self.one] = 5
        mend = self.catalog.mend_fault

        async def recount_first(*arguments: object) -> bool:
            await self.catalog.recount_usage(self.one)
            return await mend(*arguments)

        self.catalog.mend_fault = recount_first
        self.assertEqual(self.fsck(repair=True).found, {})

    def test_every_check_of_the_catalog_is_known(self) -> None:
        """It has a name, and something to do."""
        self.assertLessEqual({check.value for check in CatalogCheck}, set(CHECKS))
        self.assertGreaterEqual(len(CHECKS), 12)

    def test_a_store_that_is_away(self) -> None:
        """Then nothing was found out."""
        self.file(b"abc")
        self.file(b"def", "g")

        async def away(blob: BlobInfo) -> int | None:
            raise Unavailable("away")

        self.blobs.stat = away
        self.assert_not_found_out()

    def assert_not_found_out(self) -> None:
        """Fail unless it ends without a finding or a note."""
        told: list[Finding] = []
        options = FsckOptions(repair=True)
        run = Fsck(self.catalog, self.blobs, options, at_once, Pace(self.clock, None), tell=told.append)
        self.failureResultOf(ensureDeferred(run.go(datetime.datetime.now(datetime.UTC))), Unavailable)
        self.assertEqual(told, [])
        self.assertEqual([stored.info.damage for stored in self.get(self.catalog.list_blobs("", 9))], [None, None])

    def test_a_store_with_nothing_in_it(self) -> None:
        """It is that of a disk that is not mounted, and not one that has lost each single file."""
        self.file(b"abc")
        self.file(b"def", "g")
        self.blobs.contents.clear()
        self.assert_not_found_out()


class ReadingTests(UpkeepCase):
    """Reading a blob to verify it."""

    def test_in_pieces(self) -> None:
        """Pieces are hashed elsewhere, and no more is read meanwhile than a piece and a little."""
        data = bytes(range(256)) * (4 * PIECE_BYTES // 256) + b"end"
        blob = self.file(data).blob
        jobs: list[tuple[Callable[[], None], Deferred[None]]] = []

        async def later(job: Callable[[], None]) -> None:
            waiting: Deferred[None] = Deferred()
            jobs.append((job, waiting))
            await waiting

        reading = ensureDeferred(read_digests(self.blobs, blob, ("md5", "crc32"), later, Pace(self.clock, None)))
        count = 0
        while jobs:
            self.assertEqual(len(jobs), 1)
            self.assertNoResult(reading)
            job, waiting = jobs.pop()
            job()
            count += 1
            waiting.callback(None)
        digests = self.successResultOf(reading)
        self.assertEqual(set(digests), {"sha256", "md5"})
        self.assertEqual(digests["sha256"], blob.sha256.hex)
        self.assertGreaterEqual(count, 4)

    def test_pace(self) -> None:
        """So many bytes a second, whatever the pieces; it ends between them when it is over."""
        data = b"x" * (3 * PIECE_BYTES)
        blob = self.file(data).blob
        pace = Pace(self.clock, PIECE_BYTES)
        reading = ensureDeferred(read_digests(self.blobs, blob, (), at_once, pace))
        self.clock.pump([0.25] * 11)
        self.assertNoResult(reading)
        self.clock.pump([0.25] * 2)
        self.successResultOf(reading)


class ScrubTests(UpkeepCase):
    """Reading all blobs."""

    def scrubbing(
        self, interval: datetime.timedelta | None = NEXT_YEAR, bytes_per_second: int | None = None
    ) -> Scrubbing:
        """Make one."""
        return Scrubbing(self.clock, self.catalog, self.blobs, at_once, interval, bytes_per_second)

    def test_a_round(self) -> None:
        """All that is used is read, what is damaged is noted and named, and the next round waits."""
        good, bad, lost = self.file(b"good"), self.file(b"bad", "b"), self.file(b"lost", "l")
        self.damage(bad, b"dab")
        self.damage(lost, None)
        report = self.get(self.scrubbing().go_on())
        self.assertEqual((report.blobs, report.size_bytes, report.damaged, report.is_whole), (3, 11, 2, True))
        self.assertEqual(
            sorted(report.named),
            sorted([(bad.blob.sha256.hex, "wrong_bytes"), (lost.blob.sha256.hex, "missing")]),
        )
        self.assertEqual(
            [self.known_damage(file) for file in (good, bad, lost)], [None, Damage.WRONG_BYTES, Damage.MISSING]
        )
        self.assertIsNone(self.get(self.scrubbing().go_on()))
        state = self.get(self.catalog.find_scrub())
        self.assertEqual((state.blobs, state.size_bytes, state.damaged), (3, 11, 2))
        self.damage(bad, b"bad")
        again = self.get(self.scrubbing(None).go_on())
        self.assertEqual((again.damaged, again.mended), (1, 1))
        self.assertIsNone(self.known_damage(bad))

    def test_it_goes_on_where_it_was(self) -> None:
        """What ends in the middle is taken up by another process at the blob that it was at."""
        files = [self.file(b"%d" % number * 10, str(number)) for number in range(6)]
        self.damage(max(files, key=lambda file: file.blob.sha256.hex), None)
        scrubbing, over = self.scrubbing(bytes_per_second=10), False
        reading = ensureDeferred(scrubbing.go_on(lambda: over))
        self.clock.pump([0.5] * 7)
        self.assertNoResult(reading)
        self.assertIsNone(self.get(self.scrubbing().go_on()))
        over = True
        self.clock.pump([0.5] * 2)
        first = self.successResultOf(reading)
        self.assertFalse(first.is_whole)
        second = self.get(self.scrubbing().go_on())
        self.assertTrue(second.is_whole)
        self.assertEqual(first.blobs + second.blobs, 6)
        self.assertGreater(first.blobs, 1)
        self.assertEqual((first.damaged, second.damaged), (0, 1))
        state = self.get(self.catalog.find_scrub())
        self.assertEqual((state.blobs, state.size_bytes, state.damaged), (6, 60, 1))

    def test_a_long_blob_is_nobody_elses(self) -> None:
        """Whoever reads it says so meanwhile, and ends when somebody has begun all anew."""
        self.file(b"x" * (SCRUB_LEASE_SECONDS * 4))
        reading = ensureDeferred(self.scrubbing(bytes_per_second=1).go_on())
        self.clock.pump([1.0] * (SCRUB_LEASE_SECONDS * 2))
        self.assertIsNone(self.get(self.scrubbing().go_on()))
        self.assertNoResult(reading)
        anew = ensureDeferred(self.scrubbing(None, bytes_per_second=1).go_on())
        self.clock.pump([1.0] * 31)
        self.assertFalse(self.successResultOf(reading).is_whole)
        self.assertNoResult(anew)
        self.clock.pump([1.0] * (SCRUB_LEASE_SECONDS * 4))
        self.assertTrue(self.successResultOf(anew).is_whole)

    def test_a_store_that_lost_all(self) -> None:
        """Its disk is not there, or it is another store: nothing is noted, and served again when it is back."""
        files = [self.file(b"%d" % number, str(number)) for number in range(MAX_DAMAGED_TOGETHER + 2)]
        kept = dict(self.blobs.contents)
        self.blobs.contents.clear()
        self.failureResultOf(ensureDeferred(self.scrubbing().go_on()), Unavailable)
        self.assertEqual({self.known_damage(file) for file in files}, {None})
        self.blobs.contents.update(kept)
        self.assertEqual(self.get(self.scrubbing(None).go_on()).damaged, 0)

    def test_what_is_known_to_be_lost_is_no_doubt(self) -> None:
        """An operator has looked at it, or it was found piece by piece: the round goes on."""
        for number in range(MAX_DAMAGED_TOGETHER + 2):
            self.damage(self.file(b"%d" % number, str(number)), None)
        for stored in self.get(self.catalog.list_blobs("", 100)):
            self.get(self.catalog.mark_blob(stored.info.sha256, stored.info.locator, Damage.MISSING))
        self.assertTrue(self.get(self.scrubbing().go_on()).is_whole)

    def test_a_store_that_is_away(self) -> None:
        """The turn fails, and no blob is taken for damaged."""
        file = self.file(b"abc")

        async def away(blob: BlobInfo) -> int | None:
            raise Unavailable("away")

        self.blobs.stat = away
        self.failureResultOf(ensureDeferred(self.scrubbing().go_on()), Unavailable)
        self.assertIsNone(self.known_damage(file))

    def test_the_last_file_goes_meanwhile(self) -> None:
        """It is not missed, and the store is not taken for one that is away."""
        self.delete_at_a_look(self.file(b"abc"))
        self.assertEqual(self.get(self.scrubbing().go_on()).damaged, 0)

    def test_a_store_with_nothing_in_it(self) -> None:
        """So does it where a disk is not mounted."""
        file = self.file(b"abc")
        self.blobs.contents.clear()
        self.failureResultOf(ensureDeferred(self.scrubbing().go_on()), Unavailable)
        self.assertIsNone(self.known_damage(file))
