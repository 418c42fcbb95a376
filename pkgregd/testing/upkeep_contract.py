"""What every catalog does for those who keep the registry well, as tests beside those of CatalogContract."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING

from attrs import evolve

from pkgregd.interfaces import LEASE_SECONDS, SCRUB_LEASE_SECONDS, STALE_SECONDS
from pkgregd.testing.catalog_contract import blob_of, publication_of
from pkgregd.values import (
    ANONYMOUS,
    NO_PRECONDITION,
    AuditAction,
    AuditQuery,
    BlobInfo,
    CatalogCheck,
    Damage,
    PackageFile,
    Piece,
    Reservation,
    ScrubState,
)

if TYPE_CHECKING:
    from pkgregd.testing.catalog_contract import CatalogContract as _Base
else:
    _Base = object

HOUR = datetime.timedelta(hours=1)


class UpkeepContract(_Base):
    """Blobs and what is known of them, faults, and the reading of all blobs; mixed in before CatalogContract."""

    def mark_blob(self, blob: BlobInfo, damage: Damage | None) -> bool:
        """Note what is wrong with a blob."""
        return self.get(self.catalog.mark_blob(blob.sha256, blob.locator, damage))

    def stored_file(self, data: bytes, name: str = "alpha") -> PackageFile:
        """Find the file that publication_of() makes."""
        file = self.get(self.catalog.find_file((self.project_id,), "pypi", name, "1.0", "alpha-1.0.tar.gz"))
        assert file is not None
        self.assertEqual(file.blob.sha256, blob_of(data).sha256)
        return file

    def last_told(self) -> list[AuditAction]:
        """List what was told last."""
        listing = self.get(self.catalog.list_audit_entries(AuditQuery(), Piece(0, 2)))
        return [entry.told.action for entry in listing.entries]

    # --- damage

    def test_damage_is_known_at_the_file(self) -> None:
        """What is noted at a blob comes with its files, in the same query, until it is taken back."""
        blob = self.publish(publication_of(b"x")).file.blob
        self.assertIsNone(self.stored_file(b"x").blob.damage)
        for damage in Damage:
            self.assertTrue(self.mark_blob(blob, damage))
            self.assertIs(self.stored_file(b"x").blob.damage, damage)
            stored = self.get(self.catalog.find_blob(blob.sha256))
            assert stored is not None
            self.assertIs(stored.info.damage, damage)
        self.assertTrue(self.mark_blob(blob, None))
        self.assertEqual(self.stored_file(b"x").blob, blob)

    def test_damage_of_other_bytes(self) -> None:
        """Nothing is noted at a blob that lies elsewhere by now, or that is not there."""
        blob = self.publish(publication_of(b"x")).file.blob
        self.assertFalse(self.mark_blob(evolve(blob, locator="elsewhere"), Damage.MISSING))
        self.assertFalse(self.mark_blob(blob_of(b"y"), Damage.MISSING))
        self.assertIsNone(self.stored_file(b"x").blob.damage)
        self.assertIsNone(self.get(self.catalog.find_blob(blob_of(b"y").sha256)))

    def test_equal_bytes_mend(self) -> None:
        """The same file published again refers to what was sent now, wherever that lies, and the trail tells."""
        blob = self.publish(publication_of(b"x")).file.blob
        self.mark_blob(blob, Damage.WRONG_BYTES)
        again = publication_of(b"x")
        digests = {**again.blob.digests, "md5": "0" * 32}
        again = evolve(again, blob=evolve(again.blob, locator="elsewhere", digests=digests))
        published = self.publish(again)
        self.assertFalse(published.created)
        self.assertEqual(published.file.blob, again.blob)
        self.assertEqual(self.stored_file(b"x").blob, again.blob)
        self.assertEqual(self.last_told(), [AuditAction.MEND, AuditAction.PUBLISH])
        self.publish(publication_of(b"x"))
        self.assertEqual(self.stored_file(b"x").blob.locator, "elsewhere")
        self.assertEqual(self.last_told(), [AuditAction.MEND, AuditAction.PUBLISH])

    def test_equal_bytes_of_another_file_mend(self) -> None:
        """So does another file of the same bytes."""
        blob = self.publish(publication_of(b"x")).file.blob
        self.mark_blob(blob, Damage.MISSING)
        other = publication_of(b"x", name="beta")
        self.publish(evolve(other, blob=evolve(other.blob, locator="elsewhere")))
        self.assertEqual(self.stored_file(b"x").blob, evolve(blob, locator="elsewhere"))

    def test_a_copy_in_its_place_mends(self) -> None:
        """What was moved to another copy is not damaged."""
        blob = self.publish(publication_of(b"x")).file.blob
        self.mark_blob(blob, Damage.MISSING)
        self.assertTrue(self.get(self.catalog.move_blob(blob.sha256, blob.locator, "elsewhere")))
        self.assertEqual(self.stored_file(b"x").blob, evolve(blob, locator="elsewhere"))

    # --- blobs

    def test_what_is_known_of_blobs(self) -> None:
        """Whether files refer to them, and which."""
        kept, gone = self.publish(publication_of(b"x")).file, self.publish(publication_of(b"y", name="beta")).file
        self.get(self.catalog.delete_file(gone.id, ANONYMOUS, NO_PRECONDITION))
        used = {stored.info.sha256: stored.is_used for stored in self.get(self.catalog.list_blobs("", 9))}
        self.assertEqual(used, {kept.blob.sha256: True, gone.blob.sha256: False})
        names = self.get(self.catalog.name_files(kept.blob.sha256, 9))
        self.assertEqual(names, ("acme/tools: pypi alpha 1.0 alpha-1.0.tar.gz",))
        self.assertEqual(self.get(self.catalog.name_files(kept.blob.sha256, 0)), ())
        self.assertEqual(self.get(self.catalog.name_files(gone.blob.sha256, 9)), ())

    def test_unused_blobs_by_pages(self) -> None:
        """They go on behind the last one."""
        files = [self.publish(publication_of(b"%d" % number, name=f"n{number}")).file for number in range(5)]
        for file in files:
            self.get(self.catalog.delete_file(file.id, ANONYMOUS, NO_PRECONDITION))
        self.clock.advance(1)
        seen: list[str] = []
        while page := self.get(self.catalog.find_unused_blobs(self.now(), 2, seen[-1] if seen else "")):
            seen += [blob.sha256.hex for blob in page]
        self.assertEqual(seen, sorted(file.blob.sha256.hex for file in files))

    def test_digests_are_put_right(self) -> None:
        """All of them; of a blob that is there."""
        blob = self.publish(publication_of(b"x")).file.blob
        digests = {"sha256": blob.sha256.hex, "md5": "0" * 32}
        self.assertTrue(self.get(self.catalog.set_digests(blob.sha256, digests)))
        self.assertEqual(self.stored_file(b"x").blob.digests, digests)
        self.assertFalse(self.get(self.catalog.set_digests(blob_of(b"y").sha256, digests)))

    def test_no_blob_is_restored_without_need(self) -> None:
        """One that is there stays as it is, and one that no file refers to is not added."""
        blob = self.publish(publication_of(b"x")).file.blob
        self.assertFalse(self.get(self.catalog.restore_blob(evolve(blob, size_bytes=0, damage=Damage.MISSING))))
        self.assertFalse(self.get(self.catalog.restore_blob(blob_of(b"y"))))
        self.assertEqual(self.list_blobs("", 9), (blob,))

    def test_a_damaged_blob_is_restored(self) -> None:
        """Its row tells of bytes that were found whole elsewhere, and of nothing else."""
        blob = self.publish(publication_of(b"x")).file.blob
        whole = evolve(blob, locator="elsewhere", digests={**blob.digests, "md5": "0" * 32})
        self.mark_blob(blob, Damage.MISSING)
        self.assertFalse(self.get(self.catalog.restore_blob(evolve(whole, damage=Damage.MISSING))))
        self.assertTrue(self.get(self.catalog.restore_blob(whole)))
        self.assertEqual(self.stored_file(b"x").blob, whole)
        self.assertFalse(self.get(self.catalog.restore_blob(blob)))

    # --- faults

    def count_faults(self) -> dict[CatalogCheck, int]:
        """Count all faults, asked for one by one."""
        counts: dict[CatalogCheck, int] = {}
        for check in CatalogCheck:
            after = None
            while page := self.get(self.catalog.find_faults(check, after, 1)):
                counts[check] = counts.get(check, 0) + 1
                after = page[0].key
        return counts

    def test_nothing_is_wrong(self) -> None:
        """Publishing, replacing, tagging and deleting leave nothing that is wrong, nor does what is under way."""
        self.assertEqual(self.count_faults(), {})
        file = self.publish(evolve(publication_of(b"x"), tags=("latest",), keys=("k",), documents={"d": b"d"})).file
        self.publish(evolve(publication_of(b"y", name="beta"), awaits_checksum=True))
        self.get(self.catalog.reserve(Reservation("r", self.project_id, 100), 1, 10))
        self.assertEqual(self.count_faults(), {})
        self.get(self.catalog.delete_file(file.id, ANONYMOUS, NO_PRECONDITION))
        self.assertEqual(self.count_faults(), {})

    def test_stale_reservations(self) -> None:
        """One whose upload ended long ago is found, and forgotten; not one that may still be renewed."""
        for name in ("a", "b"):
            self.get(self.catalog.reserve(Reservation(name, self.project_id, 100), 1, 10))
        self.clock.advance(LEASE_SECONDS + 1)
        self.assertEqual(self.count_faults(), {})
        self.clock.advance(STALE_SECONDS)
        self.assertEqual(self.count_faults(), {CatalogCheck.STALE_RESERVATION: 2})
        found = self.get(self.catalog.find_faults(CatalogCheck.STALE_RESERVATION, None, 9))
        self.get(self.catalog.renew(["a", "b"]))
        for fault in found:  # renewed since
            self.assertFalse(self.get(self.catalog.mend_fault(CatalogCheck.STALE_RESERVATION, fault)))
        self.clock.advance(LEASE_SECONDS + STALE_SECONDS + 1)
        for fault in self.get(self.catalog.find_faults(CatalogCheck.STALE_RESERVATION, None, 9)):
            self.assertIn("10 bytes in project 1", fault.where)
            self.assertTrue(self.get(self.catalog.mend_fault(CatalogCheck.STALE_RESERVATION, fault)))
            self.assertFalse(self.get(self.catalog.mend_fault(CatalogCheck.STALE_RESERVATION, fault)))
        self.assertEqual(self.count_faults(), {})

    # --- reading all blobs

    def take_blobs(self, holder: str, interval: datetime.timedelta | None = HOUR) -> ScrubState | None:
        """Ask for all blobs."""
        return self.get(self.catalog.take_scrub(holder, interval))

    def test_one_reads_at_a_time(self) -> None:
        """Others get nothing while he does, and go on where he left off or died."""
        first = self.take_blobs("a")
        assert first is not None
        self.assertEqual((first.position, first.blobs, first.ended_at), ("", 0, None))
        self.assertIsNone(self.take_blobs("b"))
        state = evolve(first, position="77", blobs=2, size_bytes=3, damaged=1)
        self.assertTrue(self.get(self.catalog.keep_scrub("a", state)))
        self.assertFalse(self.get(self.catalog.keep_scrub("b", first)))
        self.assertEqual(self.get(self.catalog.find_scrub()), state)
        self.clock.advance(SCRUB_LEASE_SECONDS + 1)
        self.assertEqual(self.take_blobs("b"), state)
        self.assertFalse(self.get(self.catalog.keep_scrub("a", state)))
        self.assertTrue(self.get(self.catalog.keep_scrub("b", state, is_over=True)))
        self.assertEqual(self.take_blobs("c"), state)

    def test_rounds(self) -> None:
        """The next one begins at the first blob, when the time has come or somebody wants it now."""
        first = self.take_blobs("a")
        assert first is not None
        self.clock.advance(5)
        self.assertTrue(self.get(self.catalog.end_scrub("a", evolve(first, position="77", blobs=2))))
        ended = self.get(self.catalog.find_scrub())
        self.assertEqual((ended.blobs, ended.ended_at), (2, self.now()))
        self.clock.advance(3599)
        self.assertIsNone(self.take_blobs("b"))
        self.clock.advance(1)
        second = self.take_blobs("b")
        assert second is not None
        self.assertEqual((second.position, second.blobs, second.ended_at), ("", 0, ended.ended_at))
        self.assertEqual(second.began_at, self.now())
        self.assertTrue(self.get(self.catalog.end_scrub("b", second)))
        self.clock.advance(1)
        third = self.take_blobs("c", None)
        assert third is not None
        self.assertEqual(third.began_at, self.now())

    def test_a_round_that_a_wrong_clock_ended(self) -> None:
        """Set back by years, nobody waits for that time to come again, nor for a lease that ends then."""
        years = 3 * 365 * 86_400
        self.clock.advance(years)
        first = self.take_blobs("a")
        assert first is not None
        self.assertTrue(self.get(self.catalog.end_scrub("a", first)))
        self.clock.advance(-years)
        second = self.take_blobs("b")
        assert second is not None
        self.assertEqual((second.began_at, second.ended_at), (self.now(), None))
        kept = evolve(second, position="77", blobs=2)
        self.assertTrue(self.get(self.catalog.keep_scrub("b", kept)))
        self.clock.advance(-years)
        self.assertEqual(self.take_blobs("c"), kept)
        self.assertFalse(self.get(self.catalog.keep_scrub("b", second)))
        self.assertTrue(self.get(self.catalog.end_scrub("c", kept)))
        last = self.take_blobs("d")
        assert last is not None
        self.assertEqual((last.position, last.began_at), ("", self.now()))

    def test_who_wants_them_now(self) -> None:
        """He takes them from whoever has them, who learns it when he next notes where he is."""
        first = self.take_blobs("a")
        assert first is not None
        self.assertTrue(self.get(self.catalog.keep_scrub("a", evolve(first, position="77", blobs=2))))
        second = self.take_blobs("b", None)
        assert second is not None
        self.assertEqual((second.position, second.blobs), ("", 0))
        self.assertFalse(self.get(self.catalog.keep_scrub("a", first)))
        self.assertFalse(self.get(self.catalog.end_scrub("a", first)))
        self.assertIsNone(self.take_blobs("a"))
        self.assertTrue(self.get(self.catalog.end_scrub("b", second)))
