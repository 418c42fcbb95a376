"""Downloads from S3."""

from __future__ import annotations

import io
from collections.abc import Callable, Coroutine
from typing import IO, Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IConsumer
from twisted.logger import Logger
from zope.interface import implementer

from pkgregd.blobs.push import push
from pkgregd.blobs.s3_bodies import Receiver, S3Trouble, Valve
from pkgregd.blobs.s3_client import S3Client
from pkgregd.errors import BlobMissing, ClientGone, Unavailable
from pkgregd.interfaces import IBlobSource
from pkgregd.values import BlobInfo, ByteRange

log = Logger()

SMALL_BYTES = 256 << 10
"""Up to this a piece is read by the request that opens it."""

CHUNK_BYTES = 64 << 10

READ_AHEAD_BYTES = 512 << 10
"""What an archive reader gets at once, of which it takes pieces."""

TRIES = 4
"""How often a body may break off before a download does, without a byte in between."""

Wait = Callable[[Callable[[], Coroutine[Deferred[Any], Any, tuple[int, bytes]]]], tuple[int, bytes]]


@implementer(IBlobSource)
class S3BlobSource:
    """
    See IBlobSource.

    Args:
        content: the bytes of the span, if it is small.
        etag: of the object, else.
        wait: runs a coroutine on the reactor thread and waits for it on another one.
    """

    def __init__(
        self, client: S3Client, info: BlobInfo, span: ByteRange, content: bytes | None, etag: str, wait: Wait
    ) -> None:
        self.info = info
        self.size_bytes = span.size_bytes
        self.may_redirect = False
        self.shared_path: str | None = None
        self._client = client
        self._span = span
        self._content = content
        self._etag = etag
        self._wait = wait

    async def push_to(self, consumer: IConsumer) -> int:
        """See IBlobSource. Raises ClientGone when the consumer stops us."""
        content = self._content
        if content is None:
            return await self._stream(consumer)
        first = self._span.start

        def read(offset: int, size_bytes: int) -> Deferred[bytes]:
            return succeed(content[offset - first : offset - first + size_bytes])

        return await push(consumer, read, self._span, lambda: CHUNK_BYTES)

    async def _stream(self, consumer: IConsumer) -> int:
        valve = Valve()
        consumer.registerProducer(valve, True)
        offset, failed_count = self._span.start, 0
        try:
            while offset < self._span.stop:
                rest = ByteRange(offset, self._span.stop)
                came_bytes = await self._pour(consumer, valve, rest)
                offset += came_bytes
                failed_count = 0 if came_bytes else failed_count + 1
                if failed_count >= TRIES:
                    raise Unavailable("the blob store breaks off")
        finally:
            if not valve.is_stopped:
                consumer.unregisterProducer()
        return self.size_bytes

    async def _pour(self, consumer: IConsumer, valve: Valve, span: ByteRange) -> int:
        """Let an answer run into the consumer; return how much came before it ended."""
        response = await self._client.open(self.info.locator, span, self._etag)
        came_bytes = 0

        def write(data: bytes) -> None:
            nonlocal came_bytes
            data = data[: span.size_bytes - came_bytes]
            came_bytes += len(data)
            if data:
                consumer.write(data)

        receiver = Receiver(self._client.clock, write, self._client.timeouts.stall_seconds)
        valve.join(receiver)
        try:
            response.deliverBody(receiver)
            if valve.is_stopped:
                receiver.stop()
            await receiver.ended
        except S3Trouble as trouble:
            if valve.is_stopped:
                raise ClientGone from None
            log.info("a download is taken up again: {trouble}", trouble=str(trouble), event="s3.broken_off")
        finally:
            valve.join(None)
        return came_bytes

    def redirect_url(self, content_type: str, disposition: str) -> str | None:
        """See IBlobSource: what is small is in hand already."""
        if not self.may_redirect or self._content is not None:
            return None
        asked = {"response-content-type": content_type, "response-content-disposition": disposition}
        return self._client.signer.link(self.info.locator, [(name, value) for name, value in asked.items() if value])

    def open_seekable(self) -> IO[bytes]:
        """See IBlobSource: each piece that is read is a request of its own."""
        return io.BufferedReader(_RangedFile(self._client, self.info, self._wait), READ_AHEAD_BYTES)

    async def close(self) -> None:
        """See IBlobSource: nothing is open between two requests."""


class _RangedFile(io.RawIOBase):
    """A file that is read by ranges; it has no descriptor. For one worker thread at a time."""

    def __init__(self, client: S3Client, blob: BlobInfo, wait: Wait) -> None:
        self._client = client
        self._blob = blob
        self._wait = wait
        self._offset = 0

    def readable(self) -> bool:
        """See RawIOBase."""
        return True

    def seekable(self) -> bool:
        """See RawIOBase."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """See RawIOBase."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._offset, io.SEEK_END: self._blob.size_bytes}[whence]
        if base + offset < 0:
            raise ValueError("a file begins at 0")
        self._offset = base + offset
        return self._offset

    def tell(self) -> int:
        """See RawIOBase."""
        return self._offset

    def readinto(self, buffer: Any) -> int:
        """See RawIOBase. Raises BlobMissing, Unavailable."""
        stop = min(self._offset + len(buffer), self._blob.size_bytes)
        if stop <= self._offset:
            return 0
        span = ByteRange(self._offset, stop)
        total_bytes, data = self._wait(lambda: self._client.read(self._blob.locator, span))
        if total_bytes != self._blob.size_bytes:
            raise BlobMissing(f"the blob {self._blob.sha256} has {total_bytes} bytes")
        buffer[: len(data)] = data
        self._offset += len(data)
        return len(data)
