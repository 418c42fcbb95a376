"""Blobs as files of one folder, which any number of processes may share."""

from __future__ import annotations

import datetime
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Any

from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from pkgregd.blobs.downloads import Downloads
from pkgregd.blobs.flow import IN_FLIGHT_BYTES, InFlight
from pkgregd.blobs.folder import BlobFolder, DeadStaging, StagedFile, marked_digest
from pkgregd.blobs.operations import FileOperations, as_domain_error, as_search_error
from pkgregd.blobs.sink import FileBlobSink
from pkgregd.blobs.source import SMALL_BYTES, FileBlobSource, OpenFile, open_source, read_small
from pkgregd.blobs.workers import IWorkers, ThreadWorkers
from pkgregd.clockwork import Shortcut, acquired, shielded
from pkgregd.errors import StorageFull, Unavailable
from pkgregd.interfaces import IBlobSink, IBlobSource, IBlobStore
from pkgregd.values import BlobInfo, ByteRange, Digest

SPACE_SECONDS = 1.0
"""How long a look at the free space is good for."""

PROBE_SECONDS = 5.0
"""How long a successful write probe is good for."""


class _Removal(Enum):
    """How a removal ended."""

    REMOVED = "removed"
    ABSENT = "absent"
    IN_USE = "in use"
    PINNED = "pinned"


@implementer(IBlobStore)
class FileBlobStore:
    """
    See IBlobStore. Makes no file and starts no thread before it is used.

    Args:
        reactor: provides IReactorTime and IReactorFromThreads.
        root: the folder; made, with its parents, on first use.
        reserve_bytes: free space that uploads leave alone.
        threads: the most threads to hash, write and read on.
        operations: the system calls.
        workers: instead of threads of our own.
        shortcut: decides whether small blobs are read on the reactor thread.

    Attributes:
        root: see above.
    """

    has_copies = False
    unsettled_seconds = 0.0

    def __init__(
        self,
        reactor: Any,
        root: Path,
        *,
        reserve_bytes: int,
        threads: int,
        operations: FileOperations = FileOperations(),  # noqa: B008 - frozen
        workers: IWorkers | None = None,
        shortcut: Shortcut | None = None,
    ) -> None:
        self.root = root
        self._clock: IReactorTime = reactor
        self._operations = operations
        self._folder = BlobFolder(root, operations, reserve_bytes)
        self._workers = workers if workers is not None else ThreadWorkers(reactor, threads)
        self._in_flight = InFlight(IN_FLIGHT_BYTES)
        self._space_seen_at: float | None = None
        self._is_full = False
        self._probed_at: float | None = None
        self._is_closed = False
        self._shortcut = shortcut or Shortcut()
        self._downloads = Downloads(self._shortcut)

    @property
    def buffered_bytes(self) -> int:
        """What uploads hold in memory at the moment, for metrics."""
        return self._in_flight.held_bytes

    # ------------------------------------------------------------------ uploads

    async def open_sink(self, algorithms: Iterable[str] = ()) -> IBlobSink:
        """See IBlobStore. Raises StorageFull below the reserve, as seen in the last second."""
        await self._demand_space()
        sink = FileBlobSink(StagedFile(self._folder), self._workers, self._clock, self._in_flight)
        sink.compute(algorithms)
        return sink

    async def _demand_space(self) -> None:
        now = self._clock.seconds()
        if self._space_seen_at is None or now - self._space_seen_at >= SPACE_SECONDS:
            try:
                await self._workers.run(self._folder.demand_space)
                self._is_full = False
            except StorageFull:
                self._is_full = True
            except OSError as error:
                raise as_domain_error(error) from error
            self._space_seen_at = now
        if self._is_full:
            raise StorageFull

    # ------------------------------------------------------------------ downloads

    async def open_blob(self, blob: BlobInfo, byte_range: ByteRange | None = None) -> IBlobSource:
        """See IBlobStore."""
        if byte_range is not None and not 0 <= byte_range.start < byte_range.stop <= blob.size_bytes:
            raise ValueError(f"{byte_range} is not within {blob.size_bytes} bytes")
        path = self._folder.path(blob.sha256)
        span = byte_range or ByteRange(0, blob.size_bytes)
        content: OpenFile | bytes | None = None
        if span.size_bytes <= SMALL_BYTES and self._shortcut.is_open and not self._is_closed:
            content = self._shortcut.run(partial(read_small, self._operations, path, blob, span))
        if content is None:
            opening = self._workers.run(partial(open_source, self._operations, path, blob, byte_range))
            content = await acquired(opening, _close)
        locator = self._folder.locator(blob.sha256.hex)
        return FileBlobSource(blob, span, content, path, locator, self._workers, self._downloads)

    async def stat(self, blob: BlobInfo) -> int | None:
        """See IBlobStore."""
        try:
            return await self._workers.run(partial(self._folder.size_bytes, blob.sha256))
        except OSError as error:
            raise as_search_error(error) from error

    async def iter_blobs(self) -> AsyncIterator[tuple[BlobInfo, datetime.datetime]]:
        """See IBlobStore. One job per prefix, of which there are 256."""
        try:
            for prefix in await self._workers.run(self._folder.prefixes):
                for found in await self._workers.run(partial(self._folder.walk, prefix)):
                    yield found
        except OSError as error:
            raise as_search_error(error) from error

    # ------------------------------------------------------------------ removal

    async def remove(self, blob: BlobInfo, is_unused: Callable[[], Awaitable[bool]]) -> bool:
        """See IBlobStore. Once begun it goes on without the caller, so that its lock is let go of."""
        outcome = await shielded(self._remove(blob.sha256, is_unused))
        return outcome in (_Removal.REMOVED, _Removal.ABSENT)

    async def _remove(self, blob: Digest, is_unused: Callable[[], Awaitable[bool]]) -> _Removal:
        try:
            lock = await self._workers.run(partial(self._folder.try_exclude, blob))
            if lock is None:
                return _Removal.PINNED
            try:
                if not await is_unused():
                    return _Removal.IN_USE
                was_there = await self._workers.run(partial(self._folder.take_away, blob))
            finally:
                # here and not in a job: closing does not wait, and must come about even if the threads are gone
                lock.release()
        except OSError as error:
            raise as_domain_error(error) from error
        return _Removal.REMOVED if was_there else _Removal.ABSENT

    async def recover(self, is_unused: Callable[[Digest], Awaitable[bool]]) -> int:
        """See IBlobStore."""
        return await shielded(self._recover(is_unused))

    async def _recover(self, is_unused: Callable[[Digest], Awaitable[bool]]) -> int:
        removed_count = 0
        try:
            for name in await self._workers.run(self._folder.staging_names):
                dead = await self._workers.run(partial(self._folder.try_bury, name))
                if dead is None:
                    continue
                try:
                    for file_name in await self._workers.run(dead.names):
                        removed_count += await self._clear(dead, file_name, is_unused)
                finally:
                    await self._workers.run(partial(self._folder.leave, dead))
        except OSError as error:
            raise as_domain_error(error) from error
        return removed_count

    async def _clear(self, dead: DeadStaging, name: str, is_unused: Callable[[Digest], Awaitable[bool]]) -> int:
        """Clear one file that a dead process left; return how many files went."""
        removed_count = 0
        digest = marked_digest(name)
        if digest is not None:
            outcome = await self._remove(digest, partial(is_unused, digest))
            if outcome is _Removal.PINNED:
                # whoever pinned it may die as well: the marker stays for the next time
                return 0
            removed_count += outcome is _Removal.REMOVED
        await self._workers.run(partial(self._folder.drop, dead, name))
        return removed_count + 1

    async def list_leftovers(self) -> tuple[str, ...]:
        """See IBlobStore."""
        found: list[str] = []
        try:
            for name in await self._workers.run(self._folder.staging_names):
                found += await self._workers.run(partial(self._folder.leftovers, name))
        except OSError as error:
            raise as_domain_error(error) from error
        return tuple(found)

    # ------------------------------------------------------------------ health and end

    async def check(self) -> None:
        """See IBlobStore. The write probe runs at most every few seconds."""
        await self._demand_space()
        now = self._clock.seconds()
        if self._probed_at is None or now - self._probed_at >= PROBE_SECONDS:
            try:
                await self._workers.run(self._folder.probe)
            except OSError as error:
                raise as_domain_error(error) from error
            self._probed_at = now

    async def close(self) -> None:
        """See IBlobStore."""
        if self._is_closed:
            return
        self._is_closed = True
        await self._workers.close()
        try:
            self._folder.close()
        except OSError as error:
            raise Unavailable(f"the staging folder cannot be removed: {error.strerror}") from error


def _close(content: OpenFile | bytes) -> None:
    """Close what nobody waits for any more."""
    if isinstance(content, OpenFile):
        content.close()
