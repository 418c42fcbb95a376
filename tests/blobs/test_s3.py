"""The store in a bucket, over a fake service."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pkgregd.blobs.flow import HIGH_WATER_BYTES
from pkgregd.blobs.s3 import ABANDONED_SECONDS, ERRAND_PAUSES, S3BlobStore
from pkgregd.blobs.s3_client import PAGE_ROWS
from pkgregd.blobs.s3_names import blob_key
from pkgregd.blobs.s3_signing import S3Keys, S3Place, Signer
from pkgregd.blobs.s3_transfer import PART_BYTES, part_limit_bytes
from pkgregd.errors import BlobMissing, Unavailable
from pkgregd.interfaces import IBlobStore
from pkgregd.testing.blob_store_contract import (
    BlobStoreContract,
    CollectingConsumer,
    RecordingProducer,
    all_digests,
    get,
    sha256_of,
    yes,
)
from pkgregd.testing.blob_workers import InlineWorkers
from pkgregd.testing.measures import KeptMeasures
from pkgregd.values import BlobInfo, ByteRange, Tally
from tests.support.fake_s3 import Bucket, FakeAgent

PLACE = S3Place("http://s3.test:9000", "bucket", "some/prefix/", "eu-test-1")
KEYS = S3Keys("AKIATEST", "very-secret")
DATA = random.Random(1).randbytes(3 * PART_BYTES + 12345)


def at_once(job: Callable[[], Any]) -> Any:
    """Run a coroutine that waits for nothing."""
    results: list[Any] = []
    ensureDeferred(job()).addBoth(results.append)
    (result,) = results
    if hasattr(result, "raiseException"):
        result.raiseException()
    return result


class S3Case(SynchronousTestCase):
    """A store over a bucket in memory."""

    def setUp(self) -> None:
        """Make the bucket; whatever a test does, no upload is left in it."""
        self.clock = Clock()
        self.bucket = Bucket()
        self.agent = FakeAgent(self.bucket)
        self.addCleanup(lambda: self.assertEqual(self.bucket.uploads, {}))

    def make_store(self) -> S3BlobStore:
        """Make a store."""
        self.measures = KeptMeasures()
        return S3BlobStore(
            self.clock,
            self.agent,
            Signer(PLACE, KEYS),
            Path(self.mktemp()),
            threads=1,
            workers=InlineWorkers(),
            wait=at_once,
            measures=self.measures,
        )

    def run_to_end(self, waiting: Deferred[Any], seconds: float = 300.0) -> None:
        """Let time pass until something has come."""
        for _ in range(int(seconds / 0.05)):
            if waiting.called:
                return
            self.clock.advance(0.05)
        self.fail("it does not end")


class S3BlobStoreTests(S3Case, BlobStoreContract):
    """S3BlobStore keeps the contract."""

    def damage(self, store: IBlobStore, blob: BlobInfo, data: bytes | None) -> None:
        """Change the object behind the store's back."""
        del self.bucket.objects[PLACE.prefix + blob.locator]
        if data is not None:
            self.bucket.store(PLACE.prefix + blob.locator, data)


class TransferTests(S3Case):
    """What an upload does at the service."""

    def setUp(self) -> None:
        """Make a store."""
        super().setUp()
        self.store = self.make_store()

    def start(self, data: bytes = DATA) -> Any:
        """Write all of it into a sink."""
        sink = self.successResultOf(ensureDeferred(self.store.open_sink()))
        for offset in range(0, len(data), 1 << 20):
            sink.write(data[offset : offset + (1 << 20)])
        return sink

    def finish(self, sink: Any) -> BlobInfo:
        """Commit, let time pass, let go."""
        committing = ensureDeferred(sink.commit())
        self.run_to_end(committing)
        ensureDeferred(sink.abort())
        blob: BlobInfo = self.successResultOf(committing)
        return blob

    def test_small_bodies_are_one_request(self) -> None:
        """Up to a part, a blob costs one PUT."""
        for size_bytes in (0, 10, PART_BYTES - 1):
            del self.agent.asked[:]
            self.finish(self.start(DATA[:size_bytes]))
            self.assertEqual([method for method, _ in self.agent.asked], ["PUT"])

    def test_parts(self) -> None:
        """A greater one comes in parts of one size, with a receipt, and is found by it."""
        blob = self.finish(self.start())
        self.assertEqual(sum("partNumber=" in url for _, url in self.agent.asked), 4)
        self.assertEqual(self.measures.s3["put_part", "2xx"], 4)
        kinds = {("create_upload", "2xx"), ("put_part", "2xx"), ("complete_upload", "2xx")}
        self.assertEqual(kinds - set(self.measures.s3), set())
        self.assertEqual(sum(self.measures.s3.values()), len(self.agent.asked))
        self.assertEqual(blob.sha256, sha256_of(DATA))
        self.assertEqual(self.successResultOf(ensureDeferred(get(self.store, blob))), DATA)
        self.assertEqual(self.successResultOf(ensureDeferred(all_digests(self.store))), {blob.sha256})
        self.assertTrue(self.successResultOf(ensureDeferred(self.store.remove(blob, yes))))
        self.assertEqual(self.bucket.objects, {})

    def test_ten_thousand_parts_are_enough(self) -> None:
        """Parts grow, up to what the services take as the greatest object."""
        self.assertGreater(sum(map(part_limit_bytes, range(1, 10_001))), 5 << 40)
        self.assertLess(part_limit_bytes(10_000), 5 << 30)

    def test_one_of_five_requests_fails(self) -> None:
        """With 503 to every fifth request, or its answer lost, all that is tried comes about, and only that."""
        for kind in ("503", "lost", "gone", "torn"):
            chance = random.Random(kind)
            self.agent.fault = lambda method, url, kind=kind, chance=chance: kind if chance.random() < 0.2 else None
            blobs = [self.finish(self.start(DATA[number:])) for number in range(4)]
            blobs += [self.finish(self.start(DATA[:number])) for number in range(8)]
            for blob in blobs:
                getting = ensureDeferred(get(self.store, blob))
                self.run_to_end(getting)
                self.assertEqual(sha256_of(self.successResultOf(getting)), blob.sha256)
            self.agent.fault = lambda method, url: None
            self.assertGreater(self.measures.tallies[Tally.S3_RETRIES], 0)
            self.clock.advance(ERRAND_PAUSES[0])
            found = self.successResultOf(ensureDeferred(all_digests(self.store)))
            self.assertEqual(found, {blob.sha256 for blob in blobs})
            self.assertEqual(self.bucket.uploads, {})
            self.bucket.objects.clear()

    def test_complete_that_lies(self) -> None:
        """200 with an error in it is no success: tried again, and in the end refused, with nothing left."""
        self.agent.fault = lambda method, url: "lie" if method == "POST" and "uploadId=" in url else None
        committing = ensureDeferred(self.start().commit())
        self.assertNoResult(committing)
        self.run_to_end(committing)
        self.failureResultOf(committing, Unavailable)
        self.assertEqual((self.bucket.objects, self.bucket.uploads), ({}, {}))
        self.flushLoggedErrors()

    def test_gone_for_good(self) -> None:
        """A service that is gone is Unavailable in time, for every kind of question."""
        blob = self.finish(self.start(DATA[:10]))
        self.agent.fault = lambda method, url: "gone"
        sink = self.start(DATA[:10])
        for question in (sink.commit(), self.store.open_blob(blob), self.store.check(), self.store.stat(blob)):
            waiting = ensureDeferred(question)
            self.run_to_end(waiting, 60)
            self.failureResultOf(waiting, Unavailable)
        ensureDeferred(sink.abort())

    def test_gone_in_the_middle(self) -> None:
        """The upload fails, its producer is stopped; once the service is back, what is left there is removed."""
        producer = RecordingProducer()
        sink = self.start(DATA[: 2 * PART_BYTES])
        sink.registerProducer(producer, True)
        self.assertEqual(len(self.bucket.uploads), 1)
        self.agent.fault = lambda method, url: "gone"
        for offset in range(2 * PART_BYTES, len(DATA), 1 << 20):
            sink.write(DATA[offset : offset + (1 << 20)])
        committing = ensureDeferred(sink.commit())
        self.run_to_end(committing)
        self.failureResultOf(committing, Unavailable)
        ensureDeferred(sink.abort())
        self.clock.pump([1.0] * 60)
        self.assertEqual(len(self.bucket.uploads), 1)
        self.agent.fault = lambda method, url: None
        self.clock.pump([1.0] * 60)
        self.assertEqual((self.bucket.objects, self.bucket.uploads), ({}, {}))

    def test_aborted_as_the_process_stops(self) -> None:
        """close() tries once more what is being cleared away, and waits for it."""
        sink = self.start()
        self.agent.fault = lambda method, url: "gone"
        aborting = ensureDeferred(sink.abort())
        self.successResultOf(aborting)
        self.clock.pump([1.0] * 35)
        self.agent.fault = lambda method, url: None
        closing = ensureDeferred(self.store.close())
        self.run_to_end(closing)
        self.assertEqual(self.bucket.uploads, {})

    def test_no_conditions(self) -> None:
        """A service that does not know If-None-Match is asked without it."""
        self.bucket.knows_conditions = False
        blob = self.finish(self.start())
        self.assertEqual(self.successResultOf(ensureDeferred(get(self.store, blob))), DATA)

    def test_uploads_of_dead_processes(self) -> None:
        """Unfinished ones of long ago are removed, others may be living."""
        other = self.start()
        self.assertEqual(self.successResultOf(ensureDeferred(self.store.recover(lambda _: yes()))), 0)
        self.assertEqual(self.successResultOf(ensureDeferred(self.store.list_leftovers())), ())
        for upload in self.bucket.uploads.values():
            upload.at = upload.at.replace(year=upload.at.year - 1)
        self.assertGreater(365 * 86400, ABANDONED_SECONDS)
        self.assertEqual(len(self.successResultOf(ensureDeferred(self.store.list_leftovers()))), 1)
        self.assertEqual(self.successResultOf(ensureDeferred(self.store.recover(lambda _: yes()))), 1)
        ensureDeferred(other.abort())

    def test_a_download_that_breaks_off_is_taken_up(self) -> None:
        """At the byte where it broke, unseen by the client; if nothing more comes, it ends."""
        blob = self.finish(self.start())
        tears = iter(["torn"] * 6)
        self.agent.fault = lambda method, url: next(tears, None)
        consumer = CollectingConsumer()
        source = self.successResultOf(ensureDeferred(self.store.open_blob(blob, ByteRange(5, len(DATA)))))
        pushing = ensureDeferred(source.push_to(consumer))
        self.run_to_end(pushing)
        self.assertEqual(self.successResultOf(pushing), len(DATA) - 5)
        self.assertEqual(consumer.data, DATA[5:])
        self.agent.fault = lambda method, url: "torn" if method == "GET" else None
        source = self.successResultOf(ensureDeferred(self.store.open_blob(blob)))
        pushing = ensureDeferred(source.push_to(CollectingConsumer()))
        self.run_to_end(pushing)
        self.failureResultOf(pushing, Unavailable)

    def test_listings_come_in_small_pages(self) -> None:
        """No page takes long to read, and all of them together tell of everything."""
        self.bucket.page = 1000
        digests = {sha256_of(str(number).encode()) for number in range(2 * PAGE_ROWS + 1)}
        for digest in digests:
            self.bucket.store(PLACE.prefix + blob_key(digest, "0" * 32), b"x")
        del self.agent.asked[:]
        self.assertEqual(self.successResultOf(ensureDeferred(all_digests(self.store))), digests)
        self.assertEqual(len(self.agent.asked), 3 + 1)  # and one for receipts

    def test_locators_of_other_stores(self) -> None:
        """What is not one of our names is never asked for."""
        blob = self.finish(self.start(b"x"))
        for locator in ("", "sha256/aa/bb", "../x", "large/x", blob.locator.replace("blobs/", "blobs/../")):
            other = BlobInfo(blob.sha256, 1, locator, blob.digests)
            self.failureResultOf(ensureDeferred(self.store.open_blob(other)), BlobMissing)
            self.assertIsNone(self.successResultOf(ensureDeferred(self.store.stat(other))))

    def test_secrets_are_not_shown(self) -> None:
        """Neither keys nor signers show them."""
        self.assertNotIn("very-secret", f"{KEYS!r} {Signer(PLACE, KEYS)!r} {vars(Signer(PLACE, KEYS))}")

    def test_high_water(self) -> None:
        """While no part gets through, a producer is paused, and memory and files stay bounded."""
        held: list[Deferred[Any]] = []
        asking = self.agent.request

        def hold(method: bytes, uri: bytes, headers: Any = None, body: Any = None) -> Deferred[Any]:
            if b"partNumber" not in uri:
                return asking(method, uri, headers, body)
            held.append(Deferred())
            return held[-1].addCallback(lambda _: asking(method, uri, headers, body))

        self.agent.request = hold  # type: ignore[method-assign]
        sink = self.successResultOf(ensureDeferred(self.store.open_sink()))
        producer = RecordingProducer()
        sink.registerProducer(producer, True)
        written_bytes = 0
        while not producer.is_paused:
            sink.write(bytes(1 << 20))
            written_bytes += 1 << 20
        self.assertLessEqual(written_bytes, 3 * PART_BYTES + HIGH_WATER_BYTES)
        self.assertLessEqual(self.store.buffered_bytes, HIGH_WATER_BYTES)
        self.assertEqual(len(held), 2)
        held.pop(0).callback(None)
        self.assertEqual(producer.calls[-1], "resume")
        ensureDeferred(sink.abort())
