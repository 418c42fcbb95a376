"""The store of files on real threads, under the real reactor."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, ensureDeferred, gatherResults
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from pkgregd.blobs.files import FileBlobStore
from pkgregd.blobs.operations import FileOperations
from pkgregd.blobs.workers import ThreadWorkers
from pkgregd.errors import BlobMissing, StorageFull, Unavailable
from pkgregd.interfaces import IBlobSink
from pkgregd.testing.blob_store_contract import (
    CollectingConsumer,
    RecordingProducer,
    all_digests,
    get,
    put,
    sha256_of,
    yes,
)
from pkgregd.values import BlobInfo, Digest
from tests.blobs.test_files import staged_files


class ThreadedStoreTests(TestCase):
    """What only threads can show: nothing blocks, nothing is lost between them."""

    timeout = 30

    def setUp(self) -> None:
        """Make a store with a few threads."""
        self.root = Path(self.mktemp())
        self.store = self.make_store()

    def make_store(
        self,
        operations: FileOperations = FileOperations(),  # noqa: B008 - frozen
        threads: int = 3,
    ) -> FileBlobStore:
        """Make a store over the folder, closed after the test."""
        store = FileBlobStore(reactor, self.root, reserve_bytes=0, threads=threads, operations=operations)
        self.addCleanup(lambda: ensureDeferred(store.close()))
        return store

    async def turn(self) -> None:
        """Let the reactor go round once."""
        await deferLater(reactor, 0)

    async def pour(self, sink: IBlobSink, data: bytes, step: int) -> None:
        """Push bytes as a connection does, obeying the sink."""
        producer = RecordingProducer()
        sink.registerProducer(producer, True)
        for offset in range(0, len(data), step):
            while producer.is_paused:
                await self.turn()
            sink.write(data[offset : offset + step])
            if offset // step % 8 == 0:
                await self.turn()
        sink.unregisterProducer()

    async def test_many_uploads_at_once(self) -> None:
        """Uploads of different and of equal bytes run together and all arrive."""
        bodies = [os.urandom(97) * (size * 700 + 1) for size in range(12)]
        bodies += bodies[6:]

        async def upload(data: bytes) -> BlobInfo:
            sink = await self.store.open_sink(["md5"])
            try:
                await self.pour(sink, data, 33_333)
                return await sink.commit([sha256_of(data)])
            finally:
                await sink.abort()

        blobs = await gatherResults([ensureDeferred(upload(data)) for data in bodies])
        for blob, data in zip(blobs, bodies, strict=True):
            self.assertEqual(await get(self.store, blob), data)
        self.assertEqual(len(await all_digests(self.store)), 12)
        self.assertEqual((staged_files(self.root), self.store.buffered_bytes), ([], 0))

    async def test_uploads_and_removals_of_the_same_blob(self) -> None:
        """Sweepers and uploaders of the same bytes, in two stores, neither lose a pinned blob nor get stuck."""
        other = self.make_store(threads=1)
        published = False

        async def is_unused() -> bool:
            await self.turn()
            return not published

        async def upload(store: FileBlobStore) -> None:
            sink = await store.open_sink()
            try:
                sink.write(b"contended")
                blob = await sink.commit()
                for _ in range(3):
                    await self.turn()
                    self.assertEqual(await store.stat(blob), 9)
            finally:
                await sink.abort()

        async def sweep(store: FileBlobStore) -> None:
            for _ in range(10):
                await store.remove(blob, is_unused)

        blob = await put(self.store, b"contended")
        await gatherResults(
            [ensureDeferred(work(store)) for store in (self.store, other) for work in (upload, sweep, upload)]
        )
        published = True
        await upload(other)
        await sweep(self.store)
        self.assertEqual(await get(self.store, blob), b"contended")
        published = False
        self.assertTrue(await other.remove(blob, is_unused))

    async def test_the_reactor_never_waits_for_the_disk(self) -> None:
        """While every thread hangs in a write, the reactor turns, and the producer is paused."""
        hang, main = threading.Event(), threading.get_ident()
        seen: set[int] = set()

        def writev(fd: int, views: object) -> int:
            seen.add(threading.get_ident())
            hang.wait(20)
            return os.writev(fd, views)  # type: ignore[arg-type] # passed on

        store = self.make_store(FileOperations(writev=writev))
        sink = await store.open_sink()
        producer = RecordingProducer()
        sink.registerProducer(producer, True)
        while not producer.is_paused:
            sink.write(b"x" * 65_536)
            await self.turn()
        for _ in range(20):
            await self.turn()
        self.assertTrue(producer.is_paused)
        hang.set()
        while producer.is_paused:
            await self.turn()
        sink.unregisterProducer()
        blob = await sink.commit()
        await sink.abort()
        self.assertEqual(len(await get(store, blob)), blob.size_bytes)
        self.assertNotIn(main, seen)

    async def test_a_cancelled_read_keeps_its_file(self) -> None:
        """Cancelling and closing while a thread reads closes the file only after the read."""
        hang, reading = threading.Event(), threading.Event()
        closed: list[bool] = []

        def pread(fd: int, size_bytes: int, offset: int) -> bytes:
            reading.set()
            hang.wait(20)
            return os.pread(fd, size_bytes, offset)

        def close(fd: int) -> None:
            closed.append(hang.is_set())
            os.close(fd)

        blob = await put(self.store, b"x" * 3_000_000)
        store = self.make_store(FileOperations(pread=pread, close=close))
        source = await store.open_blob(blob)
        consumer = CollectingConsumer()
        pushing = ensureDeferred(source.push_to(consumer))
        while not reading.is_set():
            await self.turn()
        pushing.cancel()
        with self.assertRaises(CancelledError):
            await pushing
        await source.close()
        self.assertEqual((closed, consumer.producer), ([], None))
        hang.set()
        await store.close()
        self.assertEqual(closed, [True])

    async def test_close_waits_for_running_jobs(self) -> None:
        """close() lets an upload that is being committed come to its end, and refuses later ones."""
        sink = await self.store.open_sink()
        sink.write(b"x" * 5_000_000)
        committing = ensureDeferred(sink.commit())
        await self.store.close()
        self.assertTrue(committing.called)
        self.assertEqual((await committing).size_bytes, 5_000_000)
        await sink.abort()
        with self.assertRaises(Unavailable):
            await self.store.stat(await committing)

    async def test_close_waits_for_jobs_that_jobs_lead_to(self) -> None:
        """A series of jobs is not cut in the middle by close()."""
        workers = ThreadWorkers(reactor, 1)
        release = threading.Event()

        async def series() -> bool:
            await workers.run(lambda: release.wait(20))
            return await workers.run(lambda: True)

        running = ensureDeferred(series())
        closing = ensureDeferred(workers.close())
        release.set()
        await closing
        self.assertTrue(await running)

    async def test_errors_cross_the_threads(self) -> None:
        """What goes wrong on a thread arrives as ours on the reactor."""
        blob = await put(self.store, b"x")
        self.assertTrue(await self.store.remove(blob, yes))
        with self.assertRaises(BlobMissing):
            await self.store.open_blob(blob)
        full = FileBlobStore(reactor, self.root, reserve_bytes=1 << 62, threads=1)
        self.addCleanup(lambda: ensureDeferred(full.close()))
        with self.assertRaises(StorageFull):
            await full.open_sink()

    async def test_workers_start_with_the_first_job(self) -> None:
        """No thread runs before there is work, so that a daemon may fork in between; afterwards none is left."""

        def threads() -> set[str]:
            return {thread.name for thread in threading.enumerate() if "blobs" in thread.name}

        before = threads()
        workers = ThreadWorkers(reactor, 2)
        self.assertEqual(threads(), before)
        release = threading.Event()
        jobs: list[Deferred[bool]] = [workers.run(lambda: release.wait(20)) for _ in range(5)]
        self.assertEqual(len(threads() - before), 2)
        jobs[0].cancel()
        with self.assertRaises(CancelledError):
            await jobs[0]
        closing = ensureDeferred(workers.close())
        self.assertFalse(closing.called)
        release.set()
        await closing
        self.assertEqual([await job for job in jobs[1:]], [True] * 4)
        self.assertEqual(threads(), before)

    async def test_recover_while_others_start(self) -> None:
        """Processes that begin while another recovers never lose their staging folder."""

        async def unused(_: Digest) -> bool:
            return True

        for _ in range(5):
            stores = [self.make_store(threads=2) for _ in range(6)]
            working = [ensureDeferred(put(store, b"x" * 2_000_000)) for store in stores]
            recovering = [ensureDeferred(store.recover(unused)) for store in stores]
            await gatherResults(working)
            await gatherResults(recovering)
            for store in stores:
                await store.close()
        self.assertEqual(os.listdir(self.root / "staging"), [])
