"""Blobs in memory: the fake for tests of what stands on a store."""

from __future__ import annotations

import datetime
import io
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from typing import IO, cast

from twisted.internet.defer import DeferredLock, succeed
from twisted.internet.interfaces import IConsumer, IProducer, IPushProducer
from zope.interface import implementer

from pkgregd.blobs.digesting import Digester
from pkgregd.blobs.push import push
from pkgregd.errors import BlobMissing
from pkgregd.interfaces import IBlobSink, IBlobSource, IBlobStore
from pkgregd.values import BlobInfo, ByteRange, Digest

_CHUNK_BYTES = 64 << 10


@implementer(IBlobSink)
class MemoryBlobSink:
    """See IBlobSink. Never pauses its producer."""

    def __init__(self, store: MemoryBlobStore) -> None:
        self.size_bytes = 0
        self._store = store
        self._digester = Digester()
        self._data = bytearray()
        self._producer: IProducer | None = None
        self._is_committing = False
        self._is_aborted = False
        self._pinned: Digest | None = None

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:
        """Take a producer; a pull producer is asked for all it has."""
        if self._producer is not None:
            raise RuntimeError("the sink has a producer already")
        if self._is_aborted:
            producer.stopProducing()
            return
        self._producer = producer
        while not streaming and self._producer is not None:
            cast(IPushProducer, producer).resumeProducing()

    def unregisterProducer(self) -> None:
        """Forget the producer."""
        self._producer = None

    def write(self, data: bytes) -> None:
        """Take bytes; after abort() they are dropped."""
        if self._is_aborted:
            return
        if self._is_committing:
            raise RuntimeError("write() after commit()")
        self.size_bytes += len(data)
        self._data += data
        self._digester.update([data])

    def compute(self, algorithms: Iterable[str]) -> None:
        """See IBlobSink."""
        missing = self._digester.missing(algorithms)
        if missing and self.size_bytes:
            raise RuntimeError(f"too late to compute {', '.join(missing)}")
        self._digester.add(missing)

    async def commit(self, expected: Sequence[Digest] = ()) -> BlobInfo:
        """See IBlobSink."""
        if self._is_committing or self._is_aborted:
            raise RuntimeError("a sink commits once, and not after abort()")
        if self._digester.missing(digest.algorithm for digest in expected):
            raise RuntimeError("an expected digest was not computed")
        self._is_committing = True
        digests = self._digester.finish(expected)
        sha256 = Digest("sha256", digests["sha256"])
        async with self._store.gate:
            if self._is_aborted:
                raise RuntimeError("abort() overtook commit()")
            self._pinned = sha256
            self._store.pins[sha256] += 1
            self._store.contents[sha256] = (bytes(self._data), datetime.datetime.now(datetime.UTC))
        return BlobInfo(sha256, self.size_bytes, f"memory/{sha256.hex}", digests)

    async def abort(self) -> None:
        """See IBlobSink."""
        self._is_aborted = True
        self._data.clear()
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.stopProducing()
        pinned, self._pinned = self._pinned, None
        if pinned is not None:
            self._store.pins[pinned] -= 1


@implementer(IBlobSource)
class MemoryBlobSource:
    """See IBlobSource."""

    def __init__(self, info: BlobInfo, data: bytes, span: ByteRange) -> None:
        self.info = info
        self.size_bytes = span.size_bytes
        self.may_redirect = False
        self.shared_path: str | None = None
        self._data = data
        self._span = span

    async def push_to(self, consumer: IConsumer) -> int:
        """See IBlobSource."""
        return await push(
            consumer, lambda offset, size: succeed(self._data[offset : offset + size]), self._span, lambda: _CHUNK_BYTES
        )

    def redirect_url(self, content_type: str, disposition: str) -> str | None:
        """See IBlobSource."""
        return None

    def open_seekable(self) -> IO[bytes]:
        """See IBlobSource."""
        return io.BytesIO(self._data)

    async def close(self) -> None:
        """See IBlobSource."""


@implementer(IBlobStore)
class MemoryBlobStore:
    """
    See IBlobStore.

    Attributes:
        contents: the bytes, with the time they were written; tests may damage them.
        pins: how many sinks hold a blob between commit and abort.
        gate: held while a blob is put in place, and while a removal asks its question.
    """

    has_copies = False
    unsettled_seconds = 0.0

    def __init__(self) -> None:
        self.contents: dict[Digest, tuple[bytes, datetime.datetime]] = {}
        self.pins: Counter[Digest] = Counter()
        self.gate = DeferredLock()

    async def open_sink(self, algorithms: Iterable[str] = ()) -> IBlobSink:
        """See IBlobStore."""
        sink = MemoryBlobSink(self)
        sink.compute(algorithms)
        return sink

    async def open_blob(self, blob: BlobInfo, byte_range: ByteRange | None = None) -> IBlobSource:
        """See IBlobStore."""
        if byte_range is not None and not 0 <= byte_range.start < byte_range.stop <= blob.size_bytes:
            raise ValueError(f"{byte_range} is not within {blob.size_bytes} bytes")
        data, _ = self.contents.get(blob.sha256, (b"", None))
        if blob.sha256 not in self.contents or len(data) != blob.size_bytes:
            raise BlobMissing(f"the blob {blob.sha256} is not in the store")
        return MemoryBlobSource(blob, data, byte_range or ByteRange(0, blob.size_bytes))

    async def stat(self, blob: BlobInfo) -> int | None:
        """See IBlobStore."""
        return len(self.contents[blob.sha256][0]) if blob.sha256 in self.contents else None

    async def iter_blobs(self) -> AsyncIterator[tuple[BlobInfo, datetime.datetime]]:
        """See IBlobStore."""
        for sha256, (data, written_at) in list(self.contents.items()):
            yield BlobInfo(sha256, len(data), f"memory/{sha256.hex}", {"sha256": sha256.hex}), written_at

    async def remove(self, blob: BlobInfo, is_unused: Callable[[], Awaitable[bool]]) -> bool:
        """See IBlobStore."""
        if self.pins[blob.sha256]:
            return False
        async with self.gate:
            if self.pins[blob.sha256] or not await is_unused():
                return False
            self.contents.pop(blob.sha256, None)
            return True

    async def recover(self, is_unused: Callable[[Digest], Awaitable[bool]]) -> int:
        """See IBlobStore. Nothing outlives the process, so there is nothing to clear."""
        return 0

    async def list_leftovers(self) -> tuple[str, ...]:
        """See IBlobStore."""
        return ()

    async def check(self) -> None:
        """See IBlobStore."""

    async def close(self) -> None:
        """See IBlobStore."""
