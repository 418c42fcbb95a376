"""Files sent by the kernel."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

from attrs import evolve
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pkgregd.blobs.downloads import FEW
from pkgregd.blobs.files import FileBlobStore
from pkgregd.blobs.operations import FileOperations
from pkgregd.blobs.sending import HERE_BYTES, JOB_BYTES
from pkgregd.blobs.workers import IWorkers
from pkgregd.errors import BlobMissing, ClientGone
from pkgregd.interfaces import IBlobSource
from pkgregd.testing.blob_store_contract import put
from pkgregd.testing.blob_workers import InlineWorkers, SteppedWorkers
from pkgregd.testing.lending_consumer import LendingConsumer
from pkgregd.values import BlobInfo, ByteRange
from tests.blobs.disk import Disk

DATA = b"".join(b"%07d\n" % number for number in range(700_000))


def nothing_cached(fd: int, size_bytes: int, offset: int) -> None:
    """Say that everything has to be fetched from the disk."""


class SendingTests(SynchronousTestCase):
    """A source that pushes into a consumer whose socket it may use."""

    def setUp(self) -> None:
        """Store a blob, and see that whatever a test opens is closed."""
        self.disk = Disk()
        self.addCleanup(lambda: self.assertEqual(self.disk.fds, {}))
        self.root = Path(self.mktemp())
        self.blob: BlobInfo = self.successResultOf(
            ensureDeferred(put(self.make_store(FileOperations(), InlineWorkers()), DATA))
        )
        self.consumer = LendingConsumer()
        self.addCleanup(self.consumer.close)

    def make_store(self, operations: FileOperations, workers: IWorkers) -> FileBlobStore:
        """Open the store."""
        return FileBlobStore(Clock(), self.root, reserve_bytes=0, threads=1, operations=operations, workers=workers)

    def open(self, operations: FileOperations | None = None, span: ByteRange | None = None) -> IBlobSource:
        """Open the blob; it is closed at the end."""
        store = self.make_store(operations or self.disk.operations, InlineWorkers())
        source = self.successResultOf(ensureDeferred(store.open_blob(self.blob, span)))
        self.addCleanup(lambda: self.successResultOf(ensureDeferred(source.close())))
        return source

    def push(self, source: IBlobSource) -> Deferred[int]:
        """Begin to push."""
        return ensureDeferred(source.push_to(self.consumer))

    def read_all(self, pushing: Deferred[int]) -> None:
        """Read until the push has ended, and what is left."""
        while not pushing.called:
            self.assertTrue(self.consumer.is_waiting)
            self.consumer.read()
        self.consumer.read()

    def test_nothing_passes_through_memory(self) -> None:
        """All bytes go by the socket, in jobs of a bounded size, with a pause whenever it is full."""
        jobs: list[int] = []

        def send_file(socket_fd: int, fd: int, offset: int, size_bytes: int) -> int:
            jobs.append(size_bytes)
            return os.sendfile(socket_fd, fd, offset, size_bytes)

        pushing = self.push(self.open(FileOperations(send_file=send_file, pread_cached=nothing_cached)))
        self.assertNoResult(pushing)
        self.read_all(pushing)
        self.assertEqual(self.successResultOf(pushing), len(DATA))
        self.assertEqual((self.consumer.sent_bytes, self.consumer.written_bytes), (len(DATA), 0))
        self.assertEqual(self.consumer.received, DATA)
        self.assertEqual(max(jobs), JOB_BYTES)

    def test_what_is_in_memory_needs_no_thread(self) -> None:
        """It is sent in small pieces without a job, and others come to their turn between them."""
        workers = InlineWorkers()
        store = self.make_store(FileOperations(), workers)
        source = self.successResultOf(ensureDeferred(store.open_blob(self.blob)))
        opened_count = workers.job_count
        pushing = self.push(source)
        self.assertTrue(self.consumer.is_waiting)
        self.assertLessEqual(self.consumer.sent_bytes, HERE_BYTES)
        self.read_all(pushing)
        self.assertEqual(self.successResultOf(pushing), len(DATA))
        self.assertEqual((self.consumer.received, workers.job_count), (DATA, opened_count))
        self.successResultOf(ensureDeferred(source.close()))

    def test_what_is_not_in_memory(self) -> None:
        """A piece of which anything has to be fetched from the disk is a job; so is each with many downloads."""
        gap = range(2_000_000, 2_100_000)

        def pread_cached(fd: int, size_bytes: int, offset: int) -> bytes | None:
            return None if offset in gap else os.pread(fd, size_bytes, offset)

        workers = InlineWorkers()
        store = self.make_store(FileOperations(pread_cached=pread_cached), workers)
        source = self.successResultOf(ensureDeferred(store.open_blob(self.blob)))
        before = workers.job_count
        pushing = self.push(source)
        self.read_all(pushing)
        self.assertEqual((self.successResultOf(pushing), self.consumer.received), (len(DATA), DATA))
        self.assertGreater(workers.job_count, before)
        before = workers.job_count
        consumers = [LendingConsumer() for _ in range(FEW + 1)]
        for consumer in consumers:
            self.addCleanup(consumer.close)
            pushing = ensureDeferred(source.push_to(consumer))
            pushing.addErrback(lambda _: None)
            self.addCleanup(pushing.cancel)
        self.assertEqual(workers.job_count, before + 1)
        self.successResultOf(ensureDeferred(source.close()))

    def test_a_file_that_the_kernel_cannot_send(self) -> None:
        """The rest passes through memory, from where the kernel stopped; each byte arrives once."""
        for number in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
            for sent_before in (0, 10_000):
                self.consumer = LendingConsumer()
                self.addCleanup(self.consumer.close)
                left_bytes = [sent_before]

                def send_file(
                    socket_fd: int,
                    fd: int,
                    offset: int,
                    size_bytes: int,
                    number: int = number,
                    left: list[int] = left_bytes,
                ) -> int:
                    if not left[0]:
                        raise OSError(number, os.strerror(number))
                    sent_bytes = os.sendfile(socket_fd, fd, offset, min(size_bytes, left[0]))
                    left[0] -= sent_bytes
                    return sent_bytes

                pushing = self.push(self.open(FileOperations(send_file=send_file), ByteRange(5, 5_000_000)))
                self.assertEqual(self.successResultOf(pushing), 4_999_995)
                self.assertEqual(self.consumer.sent_bytes, sent_before)
                self.assertEqual(self.consumer.received, DATA[5:5_000_000])

    def test_a_consumer_that_lends_nothing(self) -> None:
        """With TLS everything passes through memory."""
        self.patch(self.consumer, "lend_socket", lambda: None)
        pushing = self.push(self.open())
        self.assertEqual(self.successResultOf(pushing), len(DATA))
        self.assertEqual((self.consumer.sent_bytes, self.consumer.received), (0, DATA))

    def test_a_client_that_leaves(self) -> None:
        """Whoever notices first, the reactor or the kernel: the push ends, and the socket is given back."""
        pushing = self.push(self.open())
        assert self.consumer.producer is not None
        self.consumer.producer.stopProducing()
        self.failureResultOf(pushing, ClientGone)
        self.consumer.hang_up()
        self.failureResultOf(self.push(self.open()), ClientGone)
        self.assertEqual(len(os.listdir("/proc/self/fd")), self.count_fds_after_a_push())

    def count_fds_after_a_push(self) -> int:
        """Push once more, and count what is open then."""
        source = self.open()
        self.failureResultOf(self.push(source), ClientGone)
        self.successResultOf(ensureDeferred(source.close()))
        return len(os.listdir("/proc/self/fd"))

    def test_an_unreadable_blob(self) -> None:
        """An I/O error in the middle is a missing blob, and is logged."""

        def send_file(socket_fd: int, fd: int, offset: int, size_bytes: int) -> int:
            if offset:
                raise OSError(errno.EIO, "broken")
            return os.sendfile(socket_fd, fd, offset, 1000)

        self.failureResultOf(self.push(self.open(FileOperations(send_file=send_file))), BlobMissing)
        self.assertIsNone(self.consumer.producer)
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 1)

    def test_a_blob_that_shrinks(self) -> None:
        """Bytes that end early end the push with an error, never with a short success."""
        pushing = self.push(self.open())
        os.truncate(self.root / self.blob.locator, 3_000_000)
        self.read_all(pushing)
        self.failureResultOf(pushing, BlobMissing)

    def test_a_job_that_comes_too_late(self) -> None:
        """A job that starts after all was closed sends nothing: by then the numbers may be anybody's."""
        workers = SteppedWorkers()
        store = self.make_store(evolve(self.disk.operations, pread_cached=nothing_cached), workers)
        opening = ensureDeferred(store.open_blob(self.blob))
        workers.run_all()
        source = self.successResultOf(opening)
        pushing = self.push(source)
        self.assertEqual(len(workers.waiting), 1)
        pushing.cancel()
        self.failureResultOf(pushing)
        self.assertIsNone(self.consumer.producer)
        self.successResultOf(ensureDeferred(source.close()))
        workers.run_all()
        self.consumer.read()
        self.assertEqual(self.consumer.received, b"")

    def test_closing_while_a_thread_sends(self) -> None:
        """File and socket stay open until the job that uses them has ended."""
        open_fds: list[bool] = []

        def send_file(socket_fd: int, fd: int, offset: int, size_bytes: int) -> int:
            if not open_fds:
                pushing.cancel()
                self.failureResultOf(pushing)
                self.successResultOf(ensureDeferred(source.close()))
            open_fds.extend(fcntl.fcntl(number, fcntl.F_GETFD) >= 0 for number in (socket_fd, fd))
            return os.sendfile(socket_fd, fd, offset, min(size_bytes, 1000))

        closed: list[int] = []

        def close(fd: int) -> None:
            closed.append(len(open_fds))
            os.close(fd)

        workers = SteppedWorkers()
        store = self.make_store(FileOperations(send_file=send_file, close=close, pread_cached=nothing_cached), workers)
        opening = ensureDeferred(store.open_blob(self.blob))
        workers.run_all()
        source = self.successResultOf(opening)
        pushing = self.push(source)
        workers.run_all()
        self.assertEqual(set(open_fds), {True})
        self.assertEqual(closed, [len(open_fds)])
