"""Back-pressure: what uploads hold in memory while the disk is slow."""

from __future__ import annotations

import hashlib
from pathlib import Path

from twisted.internet.defer import ensureDeferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pkgregd.blobs.files import FileBlobStore
from pkgregd.blobs.flow import (
    BATCH_BYTES,
    COALESCED_BYTES,
    HIGH_WATER_BYTES,
    IN_FLIGHT_BYTES,
    LOW_WATER_BYTES,
    PieceBuffer,
)
from pkgregd.blobs.operations import MAX_VECTORS, FileOperations
from pkgregd.errors import StorageFull, Unavailable
from pkgregd.interfaces import IBlobSink
from pkgregd.testing.blob_store_contract import PullProducer, RecordingProducer, all_digests, put, sha256_of
from pkgregd.testing.blob_workers import SteppedWorkers
from tests.blobs.disk import Disk
from tests.blobs.test_files import staged_files

READ_BYTES = 64 << 10
"""What a connection delivers at once."""


class BackPressureTests(SynchronousTestCase):
    """A store whose threads do a job only when the test says so."""

    def setUp(self) -> None:
        """Make a store with a slow disk."""
        self.root = Path(self.mktemp())
        self.workers = SteppedWorkers()
        self.disk = Disk()
        self.store = FileBlobStore(
            Clock(), self.root, reserve_bytes=0, threads=1, operations=self.disk.operations, workers=self.workers
        )
        opening = ensureDeferred(self.store.open_sink())
        self.workers.run_all()
        self.sink = self.successResultOf(opening)

    def open_sink(self) -> IBlobSink:
        """Start one more upload."""
        return self.successResultOf(ensureDeferred(self.store.open_sink()))

    def fill(self, sink: IBlobSink, producer: RecordingProducer, most_bytes: int = 1 << 30) -> int:
        """Write until the producer is paused; return how much went in."""
        written_bytes = 0
        while not producer.is_paused and written_bytes < most_bytes:
            sink.write(b"x" * READ_BYTES)
            written_bytes += READ_BYTES
        return written_bytes

    def test_a_slow_disk_pauses_the_producer(self) -> None:
        """With nothing written yet the producer is paused at high water, and resumed when a batch is on disk."""
        producer = RecordingProducer()
        self.sink.registerProducer(producer, True)
        self.assertEqual(self.fill(self.sink, producer), HIGH_WATER_BYTES)
        self.assertEqual(self.store.buffered_bytes, HIGH_WATER_BYTES)
        self.assertEqual(producer.calls, ["pause"])
        self.workers.step()
        self.assertEqual(producer.calls, ["pause", "resume"])
        self.assertLessEqual(self.store.buffered_bytes, LOW_WATER_BYTES)

    def test_a_read_that_was_in_hand_is_taken(self) -> None:
        """What a paused producer still delivers is kept, and does not pause it again."""
        producer = RecordingProducer()
        self.sink.registerProducer(producer, True)
        self.fill(self.sink, producer)
        self.sink.write(b"in hand")
        self.assertEqual(producer.calls, ["pause"])
        committing = ensureDeferred(self.sink.commit())
        self.workers.run_all()
        blob = self.successResultOf(committing)
        self.assertEqual(blob.size_bytes, HIGH_WATER_BYTES + len(b"in hand"))
        self.assertEqual(blob.sha256, sha256_of(b"x" * HIGH_WATER_BYTES + b"in hand"))

    def test_memory_is_bounded_however_long_the_upload(self) -> None:
        """A gibibyte-like stream in small steps never holds more than high water and a read."""
        producer = RecordingProducer()
        self.sink.registerProducer(producer, True)
        total_bytes, most_bytes = 0, 0
        while total_bytes < 40 << 20:
            total_bytes += self.fill(self.sink, producer)
            most_bytes = max(most_bytes, self.store.buffered_bytes)
            self.workers.step()
        self.assertLessEqual(most_bytes, HIGH_WATER_BYTES + READ_BYTES)
        ensureDeferred(self.sink.abort())
        self.workers.run_all()
        self.assertEqual(self.store.buffered_bytes, 0)

    def test_one_job_at_a_time(self) -> None:
        """However much waits, a sink has one job, so that its bytes keep their order."""
        data = hashlib.sha512(b"seed").digest() * 200_000
        for offset in range(0, len(data), 100_001):
            self.sink.write(data[offset : offset + 100_001])
            self.assertLessEqual(len(self.workers.waiting), 1)
        committing = ensureDeferred(self.sink.commit())
        while self.workers.waiting:
            self.assertEqual(len(self.workers.waiting), 1)
            self.workers.step()
        self.assertEqual(self.successResultOf(committing).sha256, sha256_of(data))

    def test_nothing_is_written_before_a_batch(self) -> None:
        """Less than a batch bothers no thread before commit()."""
        self.sink.write(b"x" * (BATCH_BYTES - 1))
        self.assertEqual(self.workers.waiting, [])
        self.sink.write(b"x")
        self.assertEqual(len(self.workers.waiting), 1)

    def test_a_pull_producer_is_asked_as_room_comes(self) -> None:
        """It is not asked for more than high water, and goes on as batches are written."""
        pieces = [b"%d" % number * READ_BYTES for number in range(10)] * 10
        producer = PullProducer(self.sink, list(pieces))
        self.sink.registerProducer(producer, False)
        self.assertGreaterEqual(len(producer.pieces), 60)
        self.assertLessEqual(self.store.buffered_bytes, HIGH_WATER_BYTES + 2 * READ_BYTES)
        self.workers.run_all()
        self.assertEqual(producer.pieces, [])
        committing = ensureDeferred(self.sink.commit())
        self.workers.run_all()
        self.assertEqual(self.successResultOf(committing).sha256, sha256_of(b"".join(pieces)))

    def test_two_hundred_uploads_share_the_memory(self) -> None:
        """Together they never hold more than the limit and one read, and all of them come to their end."""
        uploads = [(self.open_sink(), RecordingProducer()) for _ in range(200)]
        for sink, producer in uploads:
            sink.registerProducer(producer, True)
        left_bytes = {sink: 8 * READ_BYTES for sink, _ in uploads}
        most_bytes = 0
        while any(left_bytes.values()):
            moved = False
            for sink, producer in uploads:
                if left_bytes[sink] and not producer.is_paused:
                    sink.write(b"x" * READ_BYTES)
                    left_bytes[sink] -= READ_BYTES
                    moved = True
                    most_bytes = max(most_bytes, self.store.buffered_bytes)
            if not moved:
                self.assertGreater(len(self.workers.waiting), 0, "everybody waits for nothing")
                self.workers.step()
        self.assertGreater(most_bytes, IN_FLIGHT_BYTES)
        self.assertLessEqual(most_bytes, IN_FLIGHT_BYTES + READ_BYTES)
        commits = [ensureDeferred(sink.commit()) for sink, _ in uploads]
        self.workers.run_all()
        self.assertEqual({self.successResultOf(commit).size_bytes for commit in commits}, {8 * READ_BYTES})
        self.assertEqual(self.store.buffered_bytes, 0)

    def test_uploads_that_stall_keep_nobody_out(self) -> None:
        """Many that sent a little and then nothing fill the memory; it is emptied to disk, and others go on."""
        for _ in range(IN_FLIGHT_BYTES // (BATCH_BYTES // 2)):
            self.open_sink().write(b"x" * (BATCH_BYTES // 2))
        self.assertEqual(self.workers.waiting, [])
        producer = RecordingProducer()
        self.sink.registerProducer(producer, True)
        self.sink.write(b"x" * READ_BYTES)
        self.assertTrue(producer.is_paused)
        self.workers.run_all()
        self.assertFalse(producer.is_paused)
        self.assertEqual(self.store.buffered_bytes, 0)

    def test_a_new_upload_under_pressure_starts_paused(self) -> None:
        """Whoever comes while the memory is full waits, too."""
        for _ in range(IN_FLIGHT_BYTES // BATCH_BYTES + 1):
            self.open_sink().write(b"x" * BATCH_BYTES)
        producer = RecordingProducer()
        self.sink.registerProducer(producer, True)
        self.assertTrue(producer.is_paused)
        self.workers.run_all()
        self.assertFalse(producer.is_paused)

    def test_tiny_pieces_cost_no_more_memory(self) -> None:
        """A body of single bytes is held in few pieces, and one of mixed sizes within a writev()."""
        buffer = PieceBuffer()
        for _ in range(200_000):
            buffer.append(b"x")
        self.assertLess(len(buffer.pieces), 10)
        mixed = PieceBuffer()
        while mixed.size_bytes < BATCH_BYTES:
            mixed.append(b"x" * COALESCED_BYTES)
            mixed.append(b"x")
        self.assertLessEqual(len(mixed.pieces), MAX_VECTORS)
        size_bytes = mixed.size_bytes
        self.assertEqual(len(b"".join(mixed.take())), size_bytes)
        self.assertEqual((mixed.size_bytes, mixed.pieces), (0, []))

    def test_a_reused_buffer_is_copied(self) -> None:
        """Bytes that a producer overwrites afterwards are kept as they were."""
        data = bytearray(b"x" * 10_000)
        self.sink.write(data)  # type: ignore[arg-type] # what a careless parser does
        data[:] = b"y" * 10_000
        committing = ensureDeferred(self.sink.commit())
        self.workers.run_all()
        self.assertEqual(self.successResultOf(committing).sha256, sha256_of(b"x" * 10_000))

    def test_a_failed_write_stops_the_producer(self) -> None:
        """The disk is full: the producer is stopped, later bytes are dropped, commit() says why, nothing stays."""
        producer = RecordingProducer()
        self.sink.registerProducer(producer, True)
        self.disk.room_bytes = 0
        self.sink.write(b"x" * BATCH_BYTES)
        self.assertEqual(producer.calls, [])
        self.workers.run_all()
        self.assertEqual(producer.calls, ["stop"])
        self.sink.write(b"late" * BATCH_BYTES)
        self.assertEqual((self.workers.waiting, self.store.buffered_bytes), ([], 0))
        late = RecordingProducer()
        self.sink.registerProducer(late, True)
        self.assertEqual(late.calls, ["stop"])
        self.failureResultOf(ensureDeferred(self.sink.commit()), StorageFull)
        self.assertEqual(staged_files(self.root), [])

    def test_a_bug_while_writing_never_becomes_a_blob(self) -> None:
        """Whatever a job raises, the bytes are incomplete, and commit() refuses."""

        def writev(fd: int, views: object) -> int:
            raise ZeroDivisionError

        store = FileBlobStore(
            Clock(),
            self.root,
            reserve_bytes=0,
            threads=1,
            operations=FileOperations(writev=writev),
            workers=self.workers,
        )
        opening = ensureDeferred(store.open_sink())
        self.workers.run_all()
        sink = self.successResultOf(opening)
        sink.write(b"x" * BATCH_BYTES)
        committing = ensureDeferred(sink.commit())
        self.workers.run_all()
        self.failureResultOf(committing, Unavailable)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        aborting = ensureDeferred(sink.abort())
        self.workers.run_all()
        self.successResultOf(aborting)
        self.assertEqual(staged_files(self.root), [])

    def test_abort_while_a_job_runs(self) -> None:
        """abort() waits for the job in progress, and only then deletes."""
        self.sink.write(b"x" * BATCH_BYTES)
        self.sink.write(b"x" * BATCH_BYTES)
        first, second = ensureDeferred(self.sink.abort()), ensureDeferred(self.sink.abort())
        self.assertNoResult(first)
        self.assertEqual(len(self.workers.waiting), 1)
        self.workers.run_all()
        self.successResultOf(first)
        self.successResultOf(second)
        self.assertEqual((staged_files(self.root), self.store.buffered_bytes), ([], 0))
        self.assertNotIn("fsync", [call.name for call in self.disk.calls if "staging" in call.paths[0]][3:])

    def test_abort_at_every_step_of_a_commit(self) -> None:
        """Whenever the commit is cancelled and the sink let go of, staging is empty and nothing is pinned."""
        for steps in range(4):
            sink = self.open_sink()
            sink.write(b"%d" % steps * BATCH_BYTES)
            committing = ensureDeferred(sink.commit())
            committing.addErrback(lambda _: None)
            for _ in range(min(steps, len(self.workers.waiting))):
                self.workers.step()
            committing.cancel()
            aborting = ensureDeferred(sink.abort())
            self.workers.run_all()
            self.successResultOf(aborting)
            self.assertEqual((staged_files(self.root), self.store.buffered_bytes), ([], 0))
            removing = ensureDeferred(self.clear())
            self.workers.run_all()
            self.successResultOf(removing)

    def test_cancelled_abort_still_cleans_up(self) -> None:
        """A handler cancelled twice leaves nothing either."""
        self.sink.write(b"x" * BATCH_BYTES)
        aborting = ensureDeferred(self.sink.abort())
        aborting.cancel()
        self.failureResultOf(aborting)
        self.workers.run_all()
        self.assertEqual(staged_files(self.root), [])

    def test_commit_before_the_batches_are_written(self) -> None:
        """Commit queues after what is being written, and takes the rest along in its own job."""
        self.sink.write(b"1" * BATCH_BYTES)
        self.sink.write(b"2" * 1000)
        committing = ensureDeferred(self.sink.commit())
        self.workers.step()
        self.assertNoResult(committing)
        self.workers.step()
        self.assertEqual(self.successResultOf(committing).size_bytes, BATCH_BYTES + 1000)
        self.assertEqual(self.workers.waiting, [])

    def test_abort_after_the_store_closed(self) -> None:
        """A sink that outlives its store can still be let go of."""
        putting = ensureDeferred(put(self.store, b"x"))
        self.workers.run_all()
        self.successResultOf(putting)
        self.successResultOf(ensureDeferred(self.store.close()))
        self.successResultOf(ensureDeferred(self.sink.abort()))

    async def clear(self) -> None:
        """Remove every blob; none may be pinned."""

        async def unused() -> bool:
            return True

        async for blob, _ in self.store.iter_blobs():
            self.assertTrue(await self.store.remove(blob, unused))
        self.assertEqual(await all_digests(self.store), set())
