"""
One upload to S3: gathered into parts, sent while more comes.

A part has to be kept until the service has acknowledged it, and none but the last may be small. So parts are gathered
in files without names: in memory fifty slow uploads would hold all there is, and a client that trickles would
keep others out.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from attrs import frozen
from twisted.internet.defer import CancelledError, Deferred, DeferredSemaphore, ensureDeferred

from pkgregd.blobs.digesting import Digester
from pkgregd.blobs.operations import FileOperations
from pkgregd.blobs.s3_bodies import NO_BODY, PartFile, bytes_body
from pkgregd.blobs.s3_client import S3Client
from pkgregd.blobs.s3_names import blob_key, large_key, receipt_key
from pkgregd.blobs.workers import IWorkers
from pkgregd.clockwork import start
from pkgregd.errors import PkgregdError, Unavailable
from pkgregd.values import BlobInfo, Digest

PART_BYTES = 8 << 20
"""What the first parts have; S3 takes none below 5 MiB but the last."""

PARTS_OF_A_SIZE = 1000
"""After so many the parts double, so that 10 000 of them are enough for 8 TiB."""

PARTS_AT_ONCE = 2
"""How many parts of one upload are on their way while the next one is gathered."""

MAX_TRANSFER_SECONDS = 23 * 3600.0
"""Longer no upload may take: an older one that is found unfinished is nobody's."""


@frozen
class Means:
    """
    What the transfers of a store share.

    Attributes:
        turns: how many parts of all uploads are on their way at once.
        staging: folder of the files in which parts are gathered.
        run_errand: does something that outlives its caller, again and again until it is done, and has the store
            wait for it.
    """

    client: S3Client
    workers: IWorkers
    turns: DeferredSemaphore
    staging: Path
    operations: FileOperations
    run_errand: Callable[[Callable[[], Coroutine[Deferred[Any], Any, None]], str], object]


def part_limit_bytes(number: int) -> int:
    """How great a part is, by its number from 1."""
    return PART_BYTES << ((number - 1) // PARTS_OF_A_SIZE)


class Transfer:
    """
    See above. One call at a time, but for cancel().

    Args:
        digester: of the whole.
    """

    def __init__(self, means: Means, digester: Digester) -> None:
        self._means = means
        self._digester = digester
        self._client = means.client
        self._random = secrets.token_hex(16)
        self._key = large_key(self._random)
        self._began_at = means.client.clock.seconds()
        self._size_bytes = 0
        self._part: PartFile | None = None
        self._part_count = 0
        self._upload_id: str | None = None
        self._is_doubtful = False
        self._etags: dict[int, str] = {}
        self._window = DeferredSemaphore(PARTS_AT_ONCE)
        self._running: dict[Deferred[Any], None] = {}
        self._error: PkgregdError | None = None
        self._is_cancelled = False
        self._made: list[str] = []
        self._is_done = False

    @property
    def is_in_parts(self) -> bool:
        """Whether there may be something of it at the service, or in a file."""
        return self._part is not None or self._part_count > 0

    # ------------------------------------------------------------------ bytes

    async def add(self, pieces: Sequence[bytes | bytearray]) -> None:
        """
        Take bytes; returns when there is room for more.

        Raises:
            OSError, PkgregdError: the upload is lost.
        """
        for full in await self._means.workers.run(partial(self._gather, pieces)):
            await self._send(full)

    def _gather(self, pieces: Sequence[bytes | bytearray]) -> list[PartFile]:
        """Hash and write, on a thread; return the parts that are full."""
        self._digester.update(pieces)
        full: list[PartFile] = []
        for piece in pieces:
            rest = memoryview(piece)
            while rest:
                if self._part is None:
                    number = self._part_count + len(full) + 1
                    self._part = PartFile(self._means.staging, part_limit_bytes(number), self._means.operations)
                taken = rest[: self._part.room_bytes]
                self._part.append(taken)
                self._size_bytes += len(taken)
                rest = rest[len(taken) :]
                if not self._part.room_bytes:
                    full.append(self._part)
                    self._part = None
                elif self._is_cancelled:
                    return full
        return full

    async def _send(self, part: PartFile) -> None:
        """Have a part sent; returns when the next one may come."""
        self._part_count += 1
        number = self._part_count
        try:
            await self._window.acquire()
        except BaseException:
            part.close()
            raise
        try:
            self._check()
            if self._upload_id is None:
                self._upload_id = await self._create()
            self._check()
        except BaseException:
            part.close()
            self._window.release()
            raise
        running = start(self._deliver(self._upload_id, number, part), "sending a part")
        if not running.called:
            self._running[running] = None
            running.addBoth(lambda _: self._running.pop(running, None))

    async def _create(self) -> str:
        creating = ensureDeferred(self._client.create_upload(self._key, self._doubt))
        self._running[creating] = None
        try:
            return await creating
        except CancelledError:
            raise Unavailable("the upload was given up") from None
        finally:
            self._running.pop(creating, None)

    def _check(self) -> None:
        if self._error is not None:
            raise self._error
        if self._is_cancelled:
            raise Unavailable("the upload was given up")
        if self._client.clock.seconds() - self._began_at > MAX_TRANSFER_SECONDS:
            raise Unavailable("the upload took too long")

    def _doubt(self) -> None:
        self._is_doubtful = True

    async def _deliver(self, upload_id: str, number: int, part: PartFile) -> None:
        try:
            async with self._means.turns:
                if self._is_cancelled or self._error is not None:
                    return
                body = part.body(self._means.workers)
                self._etags[number] = await self._client.put_part(self._key, upload_id, number, body)
        except CancelledError:
            self._is_cancelled = True
        except PkgregdError as error:
            self._error = self._error or error
        finally:
            part.close()
            self._window.release()

    # ------------------------------------------------------------------ the end

    async def finish(self, pieces: Sequence[bytes | bytearray], expected: Sequence[Digest]) -> BlobInfo:
        """
        Take the last bytes and make the blob.

        Raises:
            DigestMismatch, OSError, PkgregdError: discard() has to come.
        """
        if self.is_in_parts:
            await self.add(pieces)
        else:
            self._size_bytes = sum(map(len, pieces))
            await self._means.workers.run(partial(self._digester.update, pieces))
        digests = self._digester.finish(expected)
        sha256 = Digest("sha256", digests["sha256"])
        if self._part_count:
            key = await self._complete(sha256)
        else:
            key = blob_key(sha256, self._random)
            part = self._part
            body = part.body(self._means.workers) if part is not None else bytes_body(pieces, sha256.hex)
            self._made.append(key)
            await self._client.put(key, body)
        self._is_done = True
        self._drop_files()
        if self._is_doubtful:
            self._means.run_errand(self._abort_all, "removing doubtful uploads")
        return BlobInfo(sha256, self._size_bytes, key, digests)

    async def _complete(self, sha256: Digest) -> str:
        if self._part is not None:
            part, self._part = self._part, None
            await self._send(part)
        receipt = receipt_key(self._random, sha256, self._size_bytes)
        self._made.append(receipt)
        # before the object is there: what is there always has one
        await self._client.put(receipt, NO_BODY)
        for _ in range(PARTS_AT_ONCE):
            await self._window.acquire()
        for _ in range(PARTS_AT_ONCE):
            self._window.release()
        self._check()
        assert self._upload_id is not None
        self._made.append(self._key)
        await self._client.complete_upload(self._key, self._upload_id, self._etags, self._size_bytes)
        return self._key

    def cancel(self) -> None:
        """Stop sending: nobody wants the upload any more. Nothing happens once it is done."""
        self._is_cancelled = True
        for running in list(self._running):
            running.cancel()

    def discard(self) -> None:
        """Throw everything away unless it is done; what lies at the service in the background. Idempotent."""
        self._drop_files()
        if self._is_done:
            return
        self.cancel()
        self._is_done = True
        if self._upload_id is not None or self._is_doubtful or self._made:
            self._means.run_errand(self._clear, "throwing an upload away")

    def _drop_files(self) -> None:
        part, self._part = self._part, None
        if part is not None:
            part.close()

    async def _clear(self) -> None:
        await self._abort_all()
        # what was completed without our knowing is an object; its receipt goes last
        for key in reversed(self._made):
            await self._client.delete(key)

    async def _abort_all(self) -> None:
        if self._upload_id is not None:
            await self._client.abort_upload(self._key, self._upload_id)
        if self._is_doubtful:
            async for found in self._client.list_uploads(self._key):
                await self._client.abort_upload(found.key, found.upload_id)
