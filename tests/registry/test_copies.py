"""Drafts over a store that keeps equal bytes beside each other until the catalog has chosen."""

from pathlib import Path

from pkgregd.blobs.s3 import S3BlobStore
from pkgregd.blobs.s3_signing import S3Keys, S3Place, Signer
from pkgregd.registry.remotes import Remotes
from pkgregd.testing.blob_store_contract import get
from pkgregd.testing.blob_workers import InlineWorkers
from pkgregd.values import Damage
from tests.registry.test_publishing import LIMITS, AccessPolicy, InlineInspections, StoreCase
from tests.support.fake_s3 import Bucket, FakeAgent


class CopiesTests(StoreCase):
    """Which copy stays."""

    def setUp(self):
        """Put the blobs into a bucket."""
        super().setUp()
        self.bucket = Bucket()
        signer = Signer(S3Place("http://s3.test", "bucket", "", "r"), S3Keys("a", "b"))
        self.blobs = S3BlobStore(
            self.clock, FakeAgent(self.bucket), signer, Path(self.mktemp()), threads=1, workers=InlineWorkers()
        )
        self.remotes = Remotes(self.clock, self.catalog, self.blobs, AccessPolicy(), self.events, {"toy": LIMITS})
        self.remotes.inspections = InlineInspections()

    def test_equal_bytes_are_kept_once(self):
        """The first copy stays, whoever publishes the bytes again."""
        first = self.get(self.publish(b"abc")).file.blob
        for name in ("f", "g"):
            self.assertEqual(self.get(self.publish(b"abc", self.coordinates(name))).file.blob, first)
        self.assertEqual(list(self.bucket.objects), [first.locator])

    def test_a_damaged_copy_is_replaced(self):
        """One that is gone, or shorter, makes room for the next upload of the bytes."""
        first = self.get(self.publish(b"abc")).file.blob
        for left in (b"a", None):
            self.bucket.objects.clear()
            if left is not None:
                self.bucket.store(first.locator, left)
            self.get(self.publish(b"abc", self.coordinates("g")))
            (stored,) = self.get(self.catalog.list_blobs("", 9))
            kept = stored.info
            self.assertNotEqual(kept.locator, first.locator)
            self.assertEqual(self.get(get(self.blobs, kept)), b"abc")
            first = kept

    def test_a_copy_that_is_known_to_be_damaged_is_replaced(self):
        """Also one of the right length, and also where the same file is published again."""
        first = self.get(self.publish(b"abc")).file.blob
        self.bucket.store(first.locator, b"abd")
        self.get(self.catalog.mark_blob(first.sha256, first.locator, Damage.WRONG_BYTES))
        again = self.get(self.publish(b"abc"))
        self.assertFalse(again.created)
        self.assertNotEqual(again.file.blob.locator, first.locator)
        self.assertIsNone(again.file.blob.damage)
        self.assertEqual(self.get(get(self.blobs, again.file.blob)), b"abc")
        self.assertEqual(set(self.bucket.objects), {first.locator, again.file.blob.locator})
