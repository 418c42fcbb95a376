"""What every blob store does, as tests that each of them passes."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar, cast

from attrs import evolve
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.interfaces import IConsumer, IProducer, IPushProducer
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from pkgregd.errors import BlobMissing, ClientGone, DigestMismatch
from pkgregd.interfaces import IBlobSink, IBlobSource, IBlobStore
from pkgregd.testing.lending_consumer import LendingConsumer
from pkgregd.values import BlobInfo, ByteRange, Digest

if TYPE_CHECKING:
    _Base = SynchronousTestCase
else:
    _Base = object

T = TypeVar("T")


def sha256_of(data: bytes) -> Digest:
    """The sha256 of bytes in hand."""
    return Digest("sha256", hashlib.sha256(data).hexdigest())


def info_of(data: bytes) -> BlobInfo:
    """What a catalog knows of a blob, without the store's words for where it lies."""
    return BlobInfo(sha256_of(data), len(data), "", {"sha256": sha256_of(data).hex})


async def yes() -> bool:
    """No file refers to the blob."""
    return True


async def no() -> bool:
    """Some file refers to the blob."""
    return False


async def all_digests(store: IBlobStore) -> set[Digest]:
    """Everything a store holds."""
    return {blob.sha256 async for blob, _ in store.iter_blobs()}


async def put(store: IBlobStore, data: bytes, *algorithms: str) -> BlobInfo:
    """Store a blob and let go of it, as after a publish."""
    sink = await store.open_sink(algorithms)
    sink.write(data)
    blob = await sink.commit()
    await sink.abort()
    return blob


async def get(store: IBlobStore, blob: BlobInfo, byte_range: ByteRange | None = None) -> bytes:
    """Read a blob, or a piece of one."""
    source = await store.open_blob(blob, byte_range)
    consumer = CollectingConsumer()
    try:
        pushed_bytes = await source.push_to(consumer)
    finally:
        await source.close()
    if pushed_bytes != len(consumer.data) or consumer.producer is not None:
        raise AssertionError(f"{pushed_bytes} bytes pushed, {len(consumer.data)} arrived, {consumer.producer}")
    return bytes(consumer.data)


@implementer(IConsumer)
class CollectingConsumer:
    """
    Keeps what it is given.

    Attributes:
        pause_after_bytes: pause the producer once so much has come; None never pauses.
    """

    def __init__(self, pause_after_bytes: int | None = None) -> None:
        self.data = bytearray()
        self.producer: IPushProducer | None = None
        self.is_streaming: bool | None = None
        self.pause_after_bytes = pause_after_bytes

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:
        """Take the producer."""
        self.producer = cast(IPushProducer, producer)
        self.is_streaming = streaming

    def unregisterProducer(self) -> None:
        """Let go of it."""
        self.producer = None

    def write(self, data: bytes) -> None:
        """Keep, and pause when it is time."""
        self.data += data
        if self.pause_after_bytes is not None and len(self.data) >= self.pause_after_bytes and self.producer:
            self.producer.pauseProducing()


@implementer(IPushProducer)
class RecordingProducer:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    @property
    def is_paused(self) -> bool:
        """Whether the last word was to pause."""
        return self.calls[-1:] == ["pause"]

    def pauseProducing(self) -> None:
        """Told to pause."""
        self.calls.append("pause")

    def resumeProducing(self) -> None:
        """Told to go on."""
        self.calls.append("resume")

    def stopProducing(self) -> None:
        """Told to stop."""
        self.calls.append("stop")


@implementer(IPushProducer)
class PullProducer:
    """Gives one piece each time it is asked, then unregisters."""

    def __init__(self, consumer: IConsumer, pieces: list[bytes]) -> None:
        self._consumer = consumer
        self.pieces = pieces
        self.is_stopped = False

    def resumeProducing(self) -> None:
        """Give the next piece."""
        if self.pieces:
            self._consumer.write(self.pieces.pop(0))
        if not self.pieces:
            self._consumer.unregisterProducer()

    def pauseProducing(self) -> None:
        """Pull producers are not paused."""
        raise AssertionError("a pull producer was paused")

    def stopProducing(self) -> None:
        """Told to stop."""
        self.is_stopped = True


class BlobStoreContract(_Base):
    """
    What every IBlobStore does.

    Subclasses are SynchronousTestCases whose store does its work before a call
    returns, and supply make_store() and damage().
    """

    def make_store(self) -> IBlobStore:
        """Make an empty store."""
        raise NotImplementedError

    def damage(self, store: IBlobStore, blob: BlobInfo, data: bytes | None) -> None:
        """Put other bytes in the place of a blob, or none at all."""
        raise NotImplementedError

    def pass_time(self, store: IBlobStore) -> None:
        """Let time pass for whoever waits for a lock."""

    def until(self, condition: Callable[[], bool]) -> None:
        """Let the store work until something holds; one that works at once has done so by now."""
        self.assertTrue(condition())

    def did(self, coroutine: Coroutine[Deferred[Any], Any, T]) -> T:
        """Return what a coroutine returned at once."""
        return self.successResultOf(ensureDeferred(coroutine))

    def open_sink(self, store: IBlobStore, *algorithms: str) -> IBlobSink:
        """Start a blob that is let go of after the test."""
        sink = self.did(store.open_sink(algorithms))
        self.addCleanup(lambda: self.did(sink.abort()))
        return sink

    # ------------------------------------------------------------------ the interfaces

    def test_interfaces(self) -> None:
        """Store, sink and source have every method of their interface."""
        store = self.make_store()
        verifyObject(IBlobStore, store)
        verifyObject(IBlobSink, self.open_sink(store))
        blob = self.did(put(store, b"x"))
        verifyObject(IBlobSource, self.did(store.open_blob(blob)))

    # ------------------------------------------------------------------ committing

    def test_what_was_written_is_read(self) -> None:
        """The pieces come back in order, as one blob under their digest."""
        store = self.make_store()
        sink = self.open_sink(store)
        for piece in (b"one ", b"", b"two ", b"three"):
            sink.write(piece)
        self.assertEqual(sink.size_bytes, 13)
        blob = self.did(sink.commit([sha256_of(b"one two three")]))
        self.assertEqual(blob.sha256, sha256_of(b"one two three"))
        self.assertEqual(blob.size_bytes, 13)
        self.assertEqual(self.did(get(store, blob)), b"one two three")
        self.assertEqual(self.did(store.stat(blob)), 13)

    def test_large_blob(self) -> None:
        """Several mebibytes in pieces of odd sizes come back the same."""
        store = self.make_store()
        data = b"".join(hashlib.sha512(b"%d" % i).digest() for i in range(80_000))
        sink = self.open_sink(store)
        offset, step = 0, 1
        while offset < len(data):
            sink.write(data[offset : offset + step])
            offset += step
            step = step * 3 % 700_001
        blob = self.did(sink.commit())
        self.assertEqual(blob.sha256, sha256_of(data))
        self.assertEqual(self.did(get(store, blob)), data)

    def test_empty_blob(self) -> None:
        """No bytes at all are a blob as well."""
        store = self.make_store()
        blob = self.did(put(store, b""))
        self.assertEqual((blob.size_bytes, blob.sha256), (0, sha256_of(b"")))
        self.assertEqual(self.did(store.stat(blob)), 0)
        self.assertEqual(self.did(get(store, blob)), b"")

    def test_nothing_is_visible_before_commit(self) -> None:
        """What was only written is nowhere."""
        store = self.make_store()
        self.open_sink(store).write(b"x" * 3_000_000)
        self.assertEqual(self.did(all_digests(store)), set())
        self.assertIsNone(self.did(store.stat(info_of(b"x" * 3_000_000))))

    def test_all_digests(self) -> None:
        """Those asked for are computed, sha256 always, and nothing else."""
        store = self.make_store()
        blob = self.did(put(store, b"abc", "md5", "sha1", "sha512", "blake2b_256"))
        self.assertEqual(
            blob.digests,
            {
                "sha256": hashlib.sha256(b"abc").hexdigest(),
                "md5": hashlib.md5(b"abc", usedforsecurity=False).hexdigest(),
                "sha1": hashlib.sha1(b"abc", usedforsecurity=False).hexdigest(),
                "sha512": hashlib.sha512(b"abc").hexdigest(),
                "blake2b_256": hashlib.blake2b(b"abc", digest_size=32).hexdigest(),
            },
        )
        self.assertEqual(set(self.did(put(store, b"abd")).digests), {"sha256"})

    def test_compute_before_the_first_byte(self) -> None:
        """More digests can be asked for until bytes have come; those known already at any time."""
        store = self.make_store()
        sink = self.open_sink(store)
        sink.compute(["md5"])
        sink.write(b"x")
        sink.compute(["md5", "sha256"])
        self.assertRaises(RuntimeError, sink.compute, ["sha1"])
        self.assertIn("md5", self.did(sink.commit()).digests)

    def test_unknown_algorithm(self) -> None:
        """An algorithm we do not know is a mistake of the caller."""
        self.failureResultOf(ensureDeferred(self.make_store().open_sink(["crc32"])), ValueError)

    def test_wrong_digest_leaves_nothing(self) -> None:
        """A commit with a wrong expected digest fails and stores nothing, whichever algorithm it is of."""
        store = self.make_store()
        for size_bytes in (1, 5_000_000):
            for wrong in (Digest("sha256", "0" * 64), Digest("md5", "0" * 32)):
                sink = self.open_sink(store, "md5")
                sink.write(b"x" * size_bytes)
                right = sha256_of(b"x" * size_bytes)
                self.failureResultOf(ensureDeferred(sink.commit([right, wrong])), DigestMismatch)
                self.did(sink.abort())
        self.assertEqual(self.did(all_digests(store)), set())

    def test_expected_digest_that_is_not_computed(self) -> None:
        """Expecting a digest nobody asked for is a mistake, and no excuse to skip the check."""
        sink = self.open_sink(self.make_store())
        self.failureResultOf(ensureDeferred(sink.commit([Digest("md5", "0" * 32)])), RuntimeError)

    def test_commit_comes_once(self) -> None:
        """A second commit, or more bytes after the first, are mistakes of the caller."""
        sink = self.open_sink(self.make_store())
        self.did(sink.commit())
        self.failureResultOf(ensureDeferred(sink.commit()), RuntimeError)
        self.assertRaises(RuntimeError, sink.write, b"late")

    # ------------------------------------------------------------------ aborting

    def test_abort_leaves_nothing(self) -> None:
        """Aborting before the first byte, after one, or after many leaves no blob; any number of times."""
        store = self.make_store()
        for size_bytes in (0, 1, 5_000_000):
            sink = self.open_sink(store)
            sink.write(b"x" * size_bytes)
            self.did(sink.abort())
            self.did(sink.abort())
            sink.write(b"late bytes are dropped")
            self.failureResultOf(ensureDeferred(sink.commit()), RuntimeError)
        self.assertEqual(self.did(all_digests(store)), set())

    def test_abort_after_commit_keeps_the_blob(self) -> None:
        """It only lets go of the pin, and may come twice."""
        store = self.make_store()
        sink = self.open_sink(store)
        sink.write(b"kept")
        blob = self.did(sink.commit())
        self.did(sink.abort())
        self.did(sink.abort())
        self.assertEqual(self.did(get(store, blob)), b"kept")

    # ------------------------------------------------------------------ producers of a sink

    def test_streaming_producer(self) -> None:
        """A push producer is taken, once at a time, and let go of."""
        sink = self.open_sink(self.make_store())
        sink.registerProducer(RecordingProducer(), True)
        self.assertRaises(RuntimeError, sink.registerProducer, RecordingProducer(), True)
        sink.unregisterProducer()
        second = RecordingProducer()
        sink.registerProducer(second, True)
        sink.write(b"x")
        self.assertEqual(second.calls, [])

    def test_pull_producer(self) -> None:
        """A pull producer is asked until it has no more."""
        store = self.make_store()
        sink = self.open_sink(store)
        pieces = [b"%07d" % i * 10_000 for i in range(100)]
        pieces.insert(50, b"")
        producer = PullProducer(sink, list(pieces))
        sink.registerProducer(producer, False)
        self.assertEqual(producer.pieces, [])
        self.assertEqual(self.did(sink.commit()).sha256, sha256_of(b"".join(pieces)))

    def test_abort_stops_the_producer(self) -> None:
        """Whoever still pushes is told to stop, and so is one who comes later."""
        sink = self.open_sink(self.make_store())
        early, late = RecordingProducer(), RecordingProducer()
        sink.registerProducer(early, True)
        self.did(sink.abort())
        sink.registerProducer(late, True)
        self.assertEqual((early.calls, late.calls), (["stop"], ["stop"]))

    # ------------------------------------------------------------------ reading

    def test_ranges(self) -> None:
        """Every kind of piece comes back exactly, from small and large blobs."""
        store = self.make_store()
        for size_bytes in (10, 3_000_000):
            data = bytes(range(256)) * (size_bytes // 256 + 1)
            blob = self.did(put(store, data[:size_bytes]))
            for start, stop in ((0, 1), (0, size_bytes), (size_bytes - 1, size_bytes), (3, 7), (5, size_bytes - 1)):
                source = self.did(store.open_blob(blob, ByteRange(start, stop)))
                self.assertEqual((source.info, source.size_bytes), (blob, stop - start))
                self.did(source.close())
                self.assertEqual(self.did(get(store, blob, ByteRange(start, stop))), data[start:stop])

    def test_range_outside(self) -> None:
        """A range beyond the blob, or without bytes, is a mistake of the caller."""
        store = self.make_store()
        blob = self.did(put(store, b"0123456789"))
        for start, stop in ((0, 11), (10, 11), (3, 3), (-1, 2)):
            self.failureResultOf(ensureDeferred(store.open_blob(blob, ByteRange(start, stop))), ValueError)

    def test_missing_blob(self) -> None:
        """A blob that is not there cannot be opened and has no length."""
        store = self.make_store()
        self.failureResultOf(ensureDeferred(store.open_blob(info_of(b"never"))), BlobMissing)
        self.assertIsNone(self.did(store.stat(info_of(b"never"))))

    def test_truncated_blob_is_not_served(self) -> None:
        """Bytes of another length than the catalog knows are damage, seen before the first one is sent."""
        store = self.make_store()
        blob = self.did(put(store, b"0123456789"))
        self.damage(store, blob, b"01234")
        self.failureResultOf(ensureDeferred(store.open_blob(blob)), BlobMissing)
        self.failureResultOf(ensureDeferred(store.open_blob(blob, ByteRange(0, 3))), BlobMissing)

    def test_paused_consumer(self) -> None:
        """A consumer that pauses gets nothing until it resumes, and then everything."""
        store = self.make_store()
        data = bytes(range(256)) * 20_000
        source = self.did(store.open_blob(self.did(put(store, data))))
        consumer = CollectingConsumer(pause_after_bytes=1)
        pushing = ensureDeferred(source.push_to(consumer))
        self.until(lambda: len(consumer.data) > 0)
        rounds = 0
        while not pushing.called:
            rounds += 1
            held_bytes = len(consumer.data)
            self.assertTrue(consumer.is_streaming)
            assert consumer.producer is not None
            consumer.producer.resumeProducing()
            self.until(lambda held_bytes=held_bytes: pushing.called or len(consumer.data) > held_bytes)  # type: ignore[misc]
        self.assertGreater(rounds, 1)
        self.assertEqual(self.successResultOf(pushing), len(data))
        self.assertEqual(consumer.data, data)
        self.did(source.close())

    def test_consumer_that_lends_its_socket(self) -> None:
        """A consumer into whose socket the kernel may copy gets the same bytes, whoever copies them."""
        store = self.make_store()
        data = bytes(range(256)) * 20_000
        blob = self.did(put(store, data))
        for span in (None, ByteRange(3, 4_000_001), ByteRange(5_119_000, 5_120_000)):
            consumer = LendingConsumer()
            self.addCleanup(consumer.close)
            source = self.did(store.open_blob(blob, span))
            pushing = ensureDeferred(source.push_to(consumer))
            while not pushing.called:
                self.until(lambda pushing=pushing, consumer=consumer: pushing.called or consumer.is_waiting)  # type: ignore[misc]
                consumer.read()
            consumer.read()
            expected = data if span is None else data[span.start : span.stop]
            self.assertEqual(self.successResultOf(pushing), len(expected))
            self.assertEqual(consumer.sent_bytes + consumer.written_bytes, len(expected))
            self.assertEqual(consumer.received, expected)
            self.assertIsNone(consumer.producer)
            self.did(source.close())

    def test_consumer_that_leaves(self) -> None:
        """stopProducing() ends the push with ClientGone."""
        store = self.make_store()
        source = self.did(store.open_blob(self.did(put(store, b"x" * 5_000_000))))
        consumer = CollectingConsumer(pause_after_bytes=1)
        pushing = ensureDeferred(source.push_to(consumer))
        self.assertNoResult(pushing)
        assert consumer.producer is not None
        consumer.producer.stopProducing()
        self.failureResultOf(pushing, ClientGone)
        self.did(source.close())

    def test_cancelled_push_unregisters(self) -> None:
        """Cancelling push_to() stops it and leaves the consumer without a producer."""
        store = self.make_store()
        source = self.did(store.open_blob(self.did(put(store, b"x" * 5_000_000))))
        consumer = CollectingConsumer(pause_after_bytes=1)
        pushing = ensureDeferred(source.push_to(consumer))
        pushing.cancel()
        self.failureResultOf(pushing)
        self.assertIsNone(consumer.producer)
        self.did(source.close())
        self.did(source.close())

    def test_open_seekable(self) -> None:
        """An archive reader gets the whole blob, also from a source of a piece."""
        store = self.make_store()
        for data in (b"0123456789", b"0123456789" * 100_000):
            blob = self.did(put(store, data))
            source = self.did(store.open_blob(blob, ByteRange(2, 4)))
            with source.open_seekable() as file:
                file.seek(-3, 2)
                self.assertEqual(file.read(), data[-3:])
                file.seek(0)
                self.assertEqual(file.read(), data)
            self.did(source.close())

    def test_iter_blobs(self) -> None:
        """Everything stored is found, with length and an aware time."""
        store = self.make_store()
        blobs = {self.did(put(store, b"blob %d" % i)).sha256: len(b"blob %d" % i) for i in range(40)}

        async def collect() -> dict[Digest, int]:
            found = {}
            async for blob, written_at in store.iter_blobs():
                self.assertLess(abs(datetime.datetime.now(datetime.UTC) - written_at), datetime.timedelta(minutes=5))
                found[blob.sha256] = blob.size_bytes
            return found

        self.assertEqual(self.did(collect()), blobs)

    # ------------------------------------------------------------------ repair and removal

    def test_remove(self) -> None:
        """An unused blob goes; removing it again is fine."""
        store = self.make_store()
        blob = self.did(put(store, b"x"))
        self.assertTrue(self.did(store.remove(blob, yes)))
        self.assertIsNone(self.did(store.stat(blob)))
        self.assertTrue(self.did(store.remove(blob, yes)))

    def test_remove_asks(self) -> None:
        """A blob that is used stays."""
        store = self.make_store()
        blob = self.did(put(store, b"x"))
        self.assertFalse(self.did(store.remove(blob, no)))
        self.assertEqual(self.did(get(store, blob)), b"x")

    def test_remove_when_the_question_fails(self) -> None:
        """No answer is not a yes, and no lock stays behind."""
        store = self.make_store()
        blob = self.did(put(store, b"x"))

        async def broken() -> bool:
            raise LookupError

        self.failureResultOf(ensureDeferred(store.remove(blob, broken)), LookupError)
        self.assertEqual(self.did(get(store, blob)), b"x")
        self.assertTrue(self.did(store.remove(blob, yes)))

    def test_pinned_blob_is_not_removed(self) -> None:
        """Between commit and abort nobody takes the blob away, nor asks whether it is used."""
        store = self.make_store()
        first, second = self.open_sink(store), self.open_sink(store)
        for sink in (first, second):
            sink.write(b"x")
        blob = self.did(first.commit())
        self.did(second.commit())

        async def never() -> bool:
            raise AssertionError("asked about a pinned blob")

        self.assertFalse(self.did(store.remove(blob, never)))
        self.did(first.abort())
        self.did(first.abort())
        self.assertFalse(self.did(store.remove(blob, never)))
        self.did(second.abort())
        self.assertTrue(self.did(store.remove(blob, yes)))

    def test_putting_equal_bytes(self) -> None:
        """Putting the same bytes twice is fine: both answers are the same blob, and can be read."""
        store = self.make_store()
        first, second = self.did(put(store, b"same")), self.did(put(store, b"same"))
        self.assertEqual(first, evolve(second, locator=first.locator))
        for blob in (first, second):
            self.assertEqual(self.did(get(store, blob)), b"same")
        self.assertEqual(self.did(all_digests(store)), {first.sha256})

    def test_putting_again_what_is_damaged(self) -> None:
        """What the next upload of the bytes answers can be read, whatever became of those before."""
        store = self.make_store()
        for bad in (b"5678 rotten", b"short", b"", None):
            self.damage(store, self.did(put(store, b"1234 golden")), bad)
            self.assertEqual(self.did(get(store, self.did(put(store, b"1234 golden")))), b"1234 golden")

    def test_commit_beside_a_removal(self) -> None:
        """What is committed while a removal asks its question is not what is removed."""
        store = self.make_store()
        blob = self.did(put(store, b"x"))
        answer: Deferred[bool] = Deferred()
        removing = ensureDeferred(store.remove(blob, self.asking(answer)))
        sink = self.open_sink(store)
        sink.write(b"x")
        committing = ensureDeferred(sink.commit())
        self.pass_time(store)
        answer.callback(True)
        self.assertTrue(self.successResultOf(removing))
        self.pass_time(store)
        self.assertEqual(self.did(get(store, self.successResultOf(committing))), b"x")

    def asking(self, answer: Deferred[bool]) -> Callable[[], Awaitable[bool]]:
        """Answer as the test decides, when it decides."""

        async def ask() -> bool:
            return await answer

        return ask

    # ------------------------------------------------------------------ health and end

    def test_check_and_close(self) -> None:
        """A store that works says so, recovers nothing, and closes any number of times."""
        store = self.make_store()
        self.did(put(store, b"x"))
        self.did(store.check())

        async def unused(_: Digest) -> bool:
            return True

        self.assertEqual(self.did(store.recover(unused)), 0)
        self.assertEqual(len(self.did(all_digests(store))), 1)
        self.did(store.close())
        self.did(store.close())


class OneCopyContract(BlobStoreContract):
    """What every IBlobStore does in which the digest says where bytes lie: one that has no copies."""

    def test_equal_bytes_are_stored_once(self) -> None:
        """Putting the same bytes twice is fine and gives the same blob."""
        store = self.make_store()
        first, second = self.did(put(store, b"same")), self.did(put(store, b"same"))
        self.assertEqual(first, second)
        self.assertEqual(self.did(all_digests(store)), {first.sha256})

    def test_putting_repairs(self) -> None:
        """Bytes that went bad, of the same length or another, are replaced by the next upload of the blob."""
        store = self.make_store()
        for bad in (b"5678 rotten", b"short", b"", None):
            blob = self.did(put(store, b"1234 golden"))
            self.damage(store, blob, bad)
            self.assertEqual(self.did(put(store, b"1234 golden")), blob)
            self.assertEqual(self.did(get(store, blob)), b"1234 golden")

    def test_commit_waits_for_a_removal(self) -> None:
        """A commit that comes while a removal asks its question puts the blob after the removal."""
        store = self.make_store()
        blob = self.did(put(store, b"x"))
        answer: Deferred[bool] = Deferred()
        removing = ensureDeferred(store.remove(blob, self.asking(answer)))
        sink = self.open_sink(store)
        sink.write(b"x")
        committing = ensureDeferred(sink.commit())
        self.pass_time(store)
        self.assertNoResult(committing)
        answer.callback(True)
        self.assertTrue(self.successResultOf(removing))
        self.pass_time(store)
        self.assertEqual(self.successResultOf(committing), blob)
        self.assertEqual(self.did(get(store, blob)), b"x")

    def test_cancelled_commit_goes_on(self) -> None:
        """Cancelling commit() abandons the wait; abort() then lets go of the pin."""
        store = self.make_store()
        blob = self.did(put(store, b"x"))
        answer: Deferred[bool] = Deferred()
        removing = ensureDeferred(store.remove(blob, self.asking(answer)))
        sink = self.open_sink(store)
        sink.write(b"x")
        committing = ensureDeferred(sink.commit())
        committing.cancel()
        self.failureResultOf(committing)
        answer.callback(False)
        self.assertFalse(self.successResultOf(removing))
        self.pass_time(store)
        self.did(sink.abort())
        self.assertTrue(self.did(store.remove(blob, yes)))
