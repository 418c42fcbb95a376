"""
Reading a blob to see whether its bytes are what they should be.

The bytes are hashed on another thread, piece by piece, and no faster than is wanted: the source is paused meanwhile, so
no more than a piece and one read is in memory, wherever the bytes come from.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer, IProducer, IPushProducer, IReactorTime
from zope.interface import implementer

from pkgregd.clockwork import start
from pkgregd.errors import BlobMissing, ClientGone
from pkgregd.interfaces import IBlobStore
from pkgregd.values import HEX_LENGTHS, BlobInfo, Damage

PIECE_BYTES = 1 << 20
"""Hashed in one job."""

Run = Callable[[Callable[[], None]], Awaitable[None]]
"""Runs a job where it does not stop the reactor."""


class Interrupted(Exception):
    """The reading was asked to end before its end."""


class Pace:
    """
    A pace of so many bytes a second; what was not used of it is not made up for.

    Args:
        clock: for the pauses.
        bytes_per_second: None for as fast as it goes.
        is_over: asked after each piece.
    """

    def __init__(
        self, clock: IReactorTime, bytes_per_second: int | None, is_over: Callable[[], bool] = lambda: False
    ) -> None:
        self._clock = clock
        self._bytes_per_second = bytes_per_second
        self._is_over = is_over
        self._free_at = 0.0

    async def pass_on(self, size_bytes: int) -> None:
        """
        Wait as long as bytes that were read should have taken.

        Raises:
            Interrupted.
        """
        if self._is_over():
            raise Interrupted
        if self._bytes_per_second is None:
            return
        now = self._clock.seconds()
        self._free_at = max(now, self._free_at) + size_bytes / self._bytes_per_second
        while (rest_seconds := self._free_at - self._clock.seconds()) > 0:
            # not for longer than a stop of the daemon can wait
            await self._pause(min(rest_seconds, 0.5))
            if self._is_over():
                raise Interrupted

    async def _pause(self, seconds: float) -> None:
        pause: Deferred[None] = Deferred()
        call = self._clock.callLater(seconds, pause.callback, None)
        try:
            await pause
        finally:
            if call.active():
                call.cancel()


class _Hash(Protocol):
    def update(self, data: bytes, /) -> None: ...

    def hexdigest(self) -> str: ...


@implementer(IConsumer)
class _Reader:
    """Hashes what it is given; pauses who gives it until a piece is hashed and its time has passed."""

    def __init__(self, algorithms: Iterable[str], run: Run, pace: Pace) -> None:
        self._hashes: dict[str, _Hash] = {algorithm: _new_hash(algorithm) for algorithm in algorithms}
        self._run = run
        self._pace = pace
        self._pieces: list[bytes] = []
        self._held_bytes = 0
        self._producer: IPushProducer | None = None
        self._is_working = False
        self._idle: Deferred[None] | None = None
        self.error: Exception | None = None

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:
        """See IConsumer."""
        assert streaming
        self._producer = IPushProducer(producer)

    def unregisterProducer(self) -> None:
        """See IConsumer."""
        self._producer = None

    def write(self, data: bytes) -> None:
        """See IConsumer."""
        self._pieces.append(bytes(data))
        self._held_bytes += len(data)
        if self._held_bytes >= PIECE_BYTES and not self._is_working:
            if self._producer is not None:
                self._producer.pauseProducing()
            self._is_working = True
            start(self._work(), "reading a blob")

    async def _work(self) -> None:
        try:
            while self._held_bytes >= PIECE_BYTES and self.error is None:
                await self._hash()
        except Exception as error:  # told to who waits for all of it
            self.error = error
        self._is_working = False
        if self._producer is not None:
            if self.error is None:
                self._producer.resumeProducing()
            else:
                self._producer.stopProducing()
        if self._idle is not None:
            self._idle.callback(None)

    async def _hash(self) -> None:
        pieces, size_bytes = self._pieces, self._held_bytes
        self._pieces, self._held_bytes = [], 0

        def update() -> None:
            for piece in pieces:
                for each in self._hashes.values():
                    each.update(piece)

        await self._run(update)
        await self._pace.pass_on(size_bytes)

    async def finish(self) -> Mapping[str, str]:
        """Return the digests of all that came."""
        if self._is_working:
            self._idle = Deferred()
            await self._idle
        if self.error is not None:
            raise self.error
        await self._hash()
        return {algorithm: each.hexdigest() for algorithm, each in self._hashes.items()}


async def look_at_length(blobs: IBlobStore, blob: BlobInfo) -> Damage | None:
    """Tell what is wrong with a blob that was not read; raises Unavailable if the store does not answer."""
    size_bytes = await blobs.stat(blob)
    if size_bytes == blob.size_bytes:
        return None
    return Damage.MISSING if size_bytes is None else Damage.WRONG_SIZE


async def read_digests(
    blobs: IBlobStore, blob: BlobInfo, algorithms: Iterable[str], run: Run, pace: Pace
) -> Mapping[str, str] | Damage:
    """
    Read a blob.

    Args:
        algorithms: of the digests that are computed beside sha256; unknown ones are passed over.

    Returns:
        Its digests, or what is wrong with it: these digests would be of other bytes.

    Raises:
        Interrupted: the pace says so. Unavailable: the store does not answer.
    """
    damage = await look_at_length(blobs, blob)
    if damage is not None:
        return damage
    reader = _Reader({"sha256", *HEX_LENGTHS.keys() & set(algorithms)}, run, pace)
    try:
        await _push(blobs, blob, reader)
        digests = await reader.finish()
    except BlobMissing:
        return await look_at_length(blobs, blob) or Damage.WRONG_BYTES
    return digests if digests["sha256"] == blob.sha256.hex else Damage.WRONG_BYTES


async def _push(blobs: IBlobStore, blob: BlobInfo, reader: _Reader) -> None:
    source = await blobs.open_blob(blob)
    try:
        await source.push_to(reader)
    except ClientGone:
        pass  # the reader wants no more, and says why at the end
    finally:
        await source.close()


async def verify(blobs: IBlobStore, blob: BlobInfo, run: Run, pace: Pace) -> Damage | None:
    """Read a blob, and tell what is wrong with it; see read_digests()."""
    found = await read_digests(blobs, blob, (), run, pace)
    return found if isinstance(found, Damage) else None


def _new_hash(algorithm: str) -> _Hash:
    if algorithm == "blake2b_256":
        return hashlib.blake2b(digest_size=32)
    return hashlib.new(algorithm, usedforsecurity=algorithm not in {"md5", "sha1"})
