"""Downloads from a file store."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import IO

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IConsumer
from twisted.logger import Logger
from zope.interface import implementer

from pkgregd.blobs.descriptor import Descriptor
from pkgregd.blobs.downloads import Downloads
from pkgregd.blobs.operations import FileOperations, as_read_error
from pkgregd.blobs.push import push
from pkgregd.blobs.sending import send
from pkgregd.blobs.workers import IWorkers
from pkgregd.errors import BlobMissing
from pkgregd.interfaces import IBlobSource, IKernelConsumer
from pkgregd.values import BlobInfo, ByteRange

log = Logger()

SMALL_BYTES = 64 << 10
"""Up to this a blob is read by the job that opens it, and no file stays open."""

PROBE_BYTES = 64 << 10
"""Two looks at whether a file is in memory are so far apart: the kernel reads ahead as much at once, or more."""


class OpenFile:
    """
    A file open for reading that can be closed at any time, also while a thread reads from it.

    Thread safety: any thread, any time.
    """

    def __init__(self, operations: FileOperations, fd: int) -> None:
        self._operations = operations
        self._descriptor = Descriptor(fd, operations.close)

    def read(self, offset: int, size_bytes: int) -> bytes:
        """
        Return so many bytes from an offset, fewer only at the end of the file.

        Raises:
            BlobMissing: they cannot be read.
        """
        with self._in_use() as fd:
            try:
                data = self._operations.pread(fd, size_bytes, offset)
                while len(data) < size_bytes:
                    more = self._operations.pread(fd, size_bytes - len(data), offset + len(data))
                    if not more:
                        break
                    data += more
                return data
            except OSError as error:
                raise as_read_error(error) from error

    def send(self, socket_fd: int, offset: int, size_bytes: int) -> int:
        """
        Have the kernel send at most so many bytes from an offset; see sending.SentFile.

        Raises:
            BlobMissing: the file was closed.
        """
        with self._in_use() as fd:
            return self._operations.send_file(socket_fd, fd, offset, size_bytes)

    def is_cached(self, offset: int, size_bytes: int) -> bool:
        """Whether a piece is in memory, as far as a few looks tell. Does not wait for a disk."""
        looks = (*range(offset, offset + size_bytes, PROBE_BYTES), offset + size_bytes - 1)
        with self._in_use() as fd:
            try:
                return all(self._operations.pread_cached(fd, 1, at) is not None for at in looks)
            except OSError:
                return False

    def close(self) -> None:
        """Close now, or when the last running read is done."""
        self._descriptor.close()

    @contextmanager
    def _in_use(self) -> Iterator[int]:
        with self._descriptor.in_use() as fd:
            if fd is None:
                raise BlobMissing("the blob was closed while it was read")
            yield fd


def open_source(
    operations: FileOperations, path: str, blob: BlobInfo, byte_range: ByteRange | None
) -> OpenFile | bytes:
    """
    Open a blob; of a small one (or a small piece) return the bytes. Blocks.

    Raises:
        BlobMissing: not there, of another length than it had, or unreadable.
    """
    try:
        fd = operations.open(path, os.O_RDONLY, 0)
    except FileNotFoundError:
        raise BlobMissing(f"the blob {blob.sha256} is not in the store") from None
    except OSError as error:
        log.failure("a blob cannot be opened", event="blobs.open_failed")
        raise BlobMissing(f"the blob {blob.sha256} cannot be opened: {error.strerror}") from error
    file = OpenFile(operations, fd)
    try:
        found_bytes = os.fstat(fd).st_size
        if found_bytes != blob.size_bytes:
            raise BlobMissing(f"the blob {blob.sha256} has {found_bytes} bytes instead of {blob.size_bytes}")
        span = byte_range or ByteRange(0, blob.size_bytes)
        if span.size_bytes > SMALL_BYTES:
            return file
        data = file.read(span.start, span.size_bytes) if span.size_bytes else b""
    except BaseException:
        file.close()
        raise
    file.close()
    return data


def read_small(operations: FileOperations, path: str, blob: BlobInfo, span: ByteRange) -> bytes | None:
    """
    Return the bytes of a small blob, or of a small piece, if they are in memory.

    Returns:
        None if they are not, or if anything is wrong: open_source() then says what.
    """
    try:
        fd = operations.open(path, os.O_RDONLY, 0)
    except OSError:
        return None
    try:
        if os.fstat(fd).st_size != blob.size_bytes:
            return None
        return operations.pread_cached(fd, span.size_bytes, span.start)
    except OSError:
        return None
    finally:
        operations.close(fd)


@implementer(IBlobSource)
class FileBlobSource:
    """
    See IBlobSource.

    Args:
        info: the whole blob.
        span: what push_to() delivers.
        content: the open file, or the bytes of the span.
        path: for open_seekable().
        locator: the same, below the store's folder.
        downloads: the other ones of the store.
    """

    def __init__(
        self,
        info: BlobInfo,
        span: ByteRange,
        content: OpenFile | bytes,
        path: str,
        locator: str,
        workers: IWorkers,
        downloads: Downloads,
    ) -> None:
        self.info = info
        self.size_bytes = span.size_bytes
        self.shared_path = locator if isinstance(content, OpenFile) else None
        self.may_redirect = False
        self._span = span
        self._content = content
        self._path = path
        self._workers = workers
        self._downloads = downloads

    async def push_to(self, consumer: IConsumer) -> int:
        """See IBlobSource. Raises ClientGone when the consumer stops us."""
        self._downloads.count += 1
        try:
            sent_bytes = await self._send_to(consumer)
            if sent_bytes == self._span.size_bytes:
                return sent_bytes
            rest = ByteRange(self._span.start + sent_bytes, self._span.stop)
            return sent_bytes + await push(consumer, self._read, rest, self._downloads.chunk_bytes)
        finally:
            self._downloads.count -= 1

    async def _send_to(self, consumer: IConsumer) -> int:
        """Have the kernel copy what it can; return how much went."""
        if not isinstance(self._content, OpenFile) or not IKernelConsumer.providedBy(consumer):
            return 0
        socket_fd = consumer.lend_socket()
        if socket_fd is None:
            return 0
        socket = Descriptor(socket_fd, os.close)
        try:
            return await send(consumer, socket, self._content, self._span, self._workers, self._downloads)
        finally:
            socket.close()

    def redirect_url(self, content_type: str, disposition: str) -> str | None:
        """See IBlobSource: files are nowhere else."""
        return None

    def open_seekable(self) -> IO[bytes]:
        """See IBlobSource."""
        try:
            return open(self._path, "rb")
        except OSError as error:
            raise BlobMissing(f"the blob {self.info.sha256} cannot be opened: {error.strerror}") from error

    async def close(self) -> None:
        """See IBlobSource."""
        if isinstance(self._content, OpenFile):
            self._content.close()

    def _read(self, offset: int, size_bytes: int) -> Deferred[bytes]:
        if isinstance(self._content, OpenFile):
            return self._workers.run(partial(self._content.read, offset, size_bytes))
        first = offset - self._span.start
        return succeed(self._content[first : first + size_bytes])
