"""Blobs in a bucket of an S3 service, which any number of daemons on any number of hosts may share."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, DeferredSemaphore, ensureDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.threads import blockingCallFromThread
from twisted.logger import Logger
from twisted.web.iweb import IAgent
from zope.interface import implementer

from pkgregd.blobs.digesting import Digester
from pkgregd.blobs.flow import IN_FLIGHT_BYTES, FlowingSink, InFlight
from pkgregd.blobs.operations import FileOperations
from pkgregd.blobs.s3_answers import Listed
from pkgregd.blobs.s3_client import S3Client, Timeouts
from pkgregd.blobs.s3_names import BLOBS, LARGE, PROBE, RECEIPTS, keys_of, read_name
from pkgregd.blobs.s3_signing import Signer
from pkgregd.blobs.s3_source import SMALL_BYTES, S3BlobSource, Wait
from pkgregd.blobs.s3_transfer import Means, Transfer
from pkgregd.blobs.workers import IWorkers, ThreadWorkers
from pkgregd.clockwork import shielded, start, with_deadline
from pkgregd.errors import BlobMissing, PkgregdError, Unavailable
from pkgregd.interfaces import IBlobSink, IBlobSource, IBlobStore, IMeasures
from pkgregd.unmeasured import UNMEASURED
from pkgregd.values import BlobInfo, ByteRange, Digest

log = Logger()

PARTS_ON_THEIR_WAY = 16
"""How many parts of all uploads are sent at once."""

UNSETTLED_SECONDS = 3600.0
"""What was written so recently may be of an upload in another process that is between commit and publish."""

ABANDONED_SECONDS = 24 * 3600.0
"""An unfinished upload that began so long ago is nobody's: none may take so long."""

PROBE_SECONDS = 30.0
"""How long a successful write probe is good for."""

ERRAND_PAUSES = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0)
"""Before each further try of what has to be cleared away."""

CLOSE_SECONDS = 20.0
"""How long the end of the daemon waits for what is being cleared away."""


def _wait_on_thread(
    reactor: Any, job: Callable[[], Coroutine[Deferred[Any], Any, tuple[int, bytes]]]
) -> tuple[int, bytes]:
    """Run a coroutine on the reactor thread, and wait for it here, on another one."""

    def run() -> Deferred[tuple[int, bytes]]:
        return ensureDeferred(job())

    return blockingCallFromThread(reactor, run)  # type: ignore[arg-type]  # its stub knows no Deferred of a pair


async def _nothing_to_close() -> None:
    """Close what an agent in memory keeps open."""


@implementer(IBlobSink)
class S3BlobSink(FlowingSink):
    """
    See IBlobSink.

    Args:
        pins: counts who holds a blob between commit and abort.
    """

    def __init__(self, digester: Digester, in_flight: InFlight, transfer: Transfer, pins: Counter[Digest]) -> None:
        super().__init__(digester, in_flight)
        self._transfer = transfer
        self._pins = pins
        self._pinned: Digest | None = None

    async def _append(self, pieces: Sequence[bytes | bytearray]) -> None:
        await self._transfer.add(pieces)

    async def _place(self, pieces: Sequence[bytes | bytearray], expected: Sequence[Digest]) -> BlobInfo:
        info = await self._transfer.finish(pieces, expected)
        self._pinned = info.sha256
        self._pins[info.sha256] += 1
        return info

    async def _discard(self) -> None:
        self._transfer.discard()
        pinned, self._pinned = self._pinned, None
        if pinned is not None:
            self._pins[pinned] -= 1
            if not self._pins[pinned]:
                del self._pins[pinned]

    def _hurry(self) -> None:
        if not self._is_committing:
            self._transfer.cancel()


@implementer(IBlobStore)
class S3BlobStore:
    """
    See IBlobStore. Asks nothing and starts no thread before it is used.

    Args:
        reactor: provides IReactorTime and IReactorFromThreads.
        agent: carries requests.
        signer: knows the bucket and the keys.
        staging: folder for parts on their way.
        threads: the most threads to hash and gather on.
        timeouts: how long the service is waited for.
        abandoned_seconds: for how long no upload may be under way.
        close_connections: closes what the agent keeps open.
        measures: told of requests.
        operations, workers, wait: for tests; see FileBlobStore and S3BlobSource.
    """

    has_copies = True
    unsettled_seconds = UNSETTLED_SECONDS

    def __init__(
        self,
        reactor: Any,
        agent: IAgent,
        signer: Signer,
        staging: Path,
        *,
        threads: int,
        timeouts: Timeouts = Timeouts(),  # noqa: B008 - frozen
        close_connections: Callable[[], Awaitable[object]] = _nothing_to_close,
        measures: IMeasures = UNMEASURED,
        abandoned_seconds: float = ABANDONED_SECONDS,
        operations: FileOperations = FileOperations(),  # noqa: B008 - frozen
        workers: IWorkers | None = None,
        wait: Wait | None = None,
    ) -> None:
        self._clock: IReactorTime = reactor
        self._client = S3Client(reactor, agent, signer, timeouts, measures)
        self._workers = workers if workers is not None else ThreadWorkers(reactor, threads)
        self._wait: Wait = wait or partial(_wait_on_thread, reactor)
        turns = DeferredSemaphore(PARTS_ON_THEIR_WAY)
        self._means = Means(self._client, self._workers, turns, staging, operations, self._run_errand)
        self._in_flight = InFlight(IN_FLIGHT_BYTES)
        self._pins: Counter[Digest] = Counter()
        self._errands: dict[Deferred[None], None] = {}
        self._pauses: dict[Deferred[None], None] = {}
        self._abandoned_seconds = abandoned_seconds
        self._close_connections = close_connections
        self._probed_at: float | None = None
        self._is_closed = False

    @property
    def buffered_bytes(self) -> int:
        """What uploads hold in memory at the moment, for metrics."""
        return self._in_flight.held_bytes

    # ------------------------------------------------------------------ uploads

    async def open_sink(self, algorithms: Iterable[str] = ()) -> IBlobSink:
        """See IBlobStore."""
        if self._is_closed:
            raise Unavailable("the blob store is closed")
        digester = Digester()
        sink = S3BlobSink(digester, self._in_flight, Transfer(self._means, digester), self._pins)
        sink.compute(algorithms)
        return sink

    def _run_errand(self, errand: Callable[[], Coroutine[Deferred[Any], Any, None]], what: str) -> None:
        running = start(self._keep_trying(errand, what), what)
        if not running.called:
            self._errands[running] = None
            running.addBoth(lambda _: self._errands.pop(running, None))

    async def _keep_trying(self, errand: Callable[[], Coroutine[Deferred[Any], Any, None]], what: str) -> None:
        for seconds in (*ERRAND_PAUSES, None):
            try:
                await errand()
            except PkgregdError:
                if seconds is None or self._is_closed:
                    log.error("{what} failed; it is tried again in a day", what=what, event="s3.errand_failed")
                    return
            else:
                return
            await self._pause(seconds)

    async def _pause(self, seconds: float) -> None:
        if self._is_closed:
            return
        pause: Deferred[None] = Deferred()
        call = self._clock.callLater(seconds, pause.callback, None)
        self._pauses[pause] = None
        try:
            await pause
        finally:
            self._pauses.pop(pause, None)
            if call.active():
                call.cancel()

    # ------------------------------------------------------------------ downloads

    async def open_blob(self, blob: BlobInfo, byte_range: ByteRange | None = None) -> IBlobSource:
        """See IBlobStore."""
        if byte_range is not None and not 0 <= byte_range.start < byte_range.stop <= blob.size_bytes:
            raise ValueError(f"{byte_range} is not within {blob.size_bytes} bytes")
        span = byte_range or ByteRange(0, blob.size_bytes)
        if not keys_of(blob):
            raise BlobMissing(f"the blob {blob.sha256} is not in this store")
        content, etag = b"", ""
        is_small = span.size_bytes <= SMALL_BYTES
        if is_small and span.size_bytes:
            found_bytes, content = await self._client.read(blob.locator, span)
        else:
            found = await self._client.head(blob.locator)
            if found is None:
                raise BlobMissing(f"the blob {blob.sha256} is not in the store")
            found_bytes, etag = found
        if found_bytes != blob.size_bytes:
            raise BlobMissing(f"the blob {blob.sha256} has {found_bytes} bytes instead of {blob.size_bytes}")
        return S3BlobSource(self._client, blob, span, content if is_small else None, etag, self._wait)

    async def stat(self, blob: BlobInfo) -> int | None:
        """See IBlobStore."""
        found = await self._client.head(blob.locator) if keys_of(blob) else None
        return None if found is None else found[0]

    async def iter_blobs(self) -> AsyncIterator[tuple[BlobInfo, datetime.datetime]]:
        """See IBlobStore. A receipt whose blob is gone is told of like one that is there."""
        for folder in (BLOBS, RECEIPTS):
            async for found in self._client.list_objects(folder):
                blob = read_name(found.key, found.size_bytes)
                if blob is not None:
                    yield blob, found.at

    # ------------------------------------------------------------------ removal

    async def remove(self, blob: BlobInfo, is_unused: Callable[[], Awaitable[bool]]) -> bool:
        """See IBlobStore. Once begun it goes on without the caller."""
        return await shielded(self._remove(blob, is_unused))

    async def _remove(self, blob: BlobInfo, is_unused: Callable[[], Awaitable[bool]]) -> bool:
        if self._pins[blob.sha256] or not await is_unused():
            return False
        for key in keys_of(blob):
            await self._client.delete(key)
        return True

    async def recover(self, is_unused: Callable[[Digest], Awaitable[bool]]) -> int:
        """See IBlobStore: unfinished uploads of long ago; blobs that were never published are the sweep's."""
        return await shielded(self._recover())

    async def _recover(self) -> int:
        removed_count = 0
        async for found in self._abandoned():
            await self._client.abort_upload(found.key, found.upload_id)
            removed_count += 1
        return removed_count

    async def list_leftovers(self) -> tuple[str, ...]:
        """See IBlobStore."""
        return tuple([f"unfinished upload of {found.key}" async for found in self._abandoned()])

    async def _abandoned(self) -> AsyncIterator[Listed]:
        before = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=self._abandoned_seconds)
        async for found in self._client.list_uploads(LARGE):
            if found.at < before:
                yield found

    # ------------------------------------------------------------------ health and end

    async def check(self) -> None:
        """See IBlobStore. The write probe runs now and then."""
        now = self._clock.seconds()
        if self._probed_at is None or now - self._probed_at >= PROBE_SECONDS:
            self._probed_at = None
            await self._client.probe(PROBE)
            self._probed_at = now

    async def close(self) -> None:
        """See IBlobStore. Waits a while for what is being cleared away."""
        if self._is_closed:
            return
        self._is_closed = True
        for pause in list(self._pauses):
            pause.callback(None)
        give_up_at = self._clock.seconds() + CLOSE_SECONDS
        for errand in list(self._errands):
            rest_seconds = max(0.0, give_up_at - self._clock.seconds())
            try:
                await with_deadline(self._clock, rest_seconds, errand, lambda: Unavailable("an errand does not end"))
            except Unavailable:
                log.error("uploads that were thrown away may be left at S3", event="s3.errand_left")
        await self._workers.close()
        await self._close_connections()
