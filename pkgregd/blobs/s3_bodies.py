"""What goes to an S3 service and what comes from it, at the pace of both ends."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import cast

from attrs import frozen
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IConsumer, IDelayedCall, IPushProducer, IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.iweb import IBodyProducer, IResponse
from zope.interface import implementer

from pkgregd.blobs.descriptor import Descriptor
from pkgregd.blobs.operations import FileOperations, write_all
from pkgregd.blobs.push import Tap
from pkgregd.blobs.s3_signing import EMPTY_SHA256
from pkgregd.blobs.workers import IWorkers
from pkgregd.clockwork import start
from pkgregd.errors import ClientGone

SEND_BYTES = 256 << 10
"""What of a part is in memory at once."""


class S3Trouble(Exception):
    """An S3 service did not do what it was asked, and may do it the next time."""


@frozen
class Body:
    """
    What a request carries.

    Attributes:
        sha256_hex: of all of it.
        produce: makes what sends it, anew for each attempt.
    """

    size_bytes: int
    sha256_hex: str
    produce: Callable[[], IBodyProducer]


def bytes_body(pieces: Sequence[bytes | bytearray], sha256_hex: str) -> Body:
    """Make a body of bytes in hand."""
    size_bytes = sum(map(len, pieces))
    return Body(size_bytes, sha256_hex, partial(_PiecesProducer, pieces, size_bytes))


@implementer(IBodyProducer)
class _PiecesProducer:
    """Sends bytes in hand at once."""

    def __init__(self, pieces: Sequence[bytes | bytearray], size_bytes: int) -> None:
        self.length = size_bytes
        self._pieces = pieces

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        """See IBodyProducer."""
        for piece in self._pieces:
            consumer.write(bytes(piece))
        return succeed(None)

    def pauseProducing(self) -> None:
        """See IBodyProducer: it is over already."""

    def resumeProducing(self) -> None:
        """See IBodyProducer."""

    def stopProducing(self) -> None:
        """See IBodyProducer."""


NO_BODY = bytes_body((), EMPTY_SHA256)


class PartFile:
    """
    A part of an upload, in a file without a name: it is gone with the process, however that ends.

    Thread safety: append() and read() on worker threads, one at a time; close() at any time.
    """

    def __init__(self, folder: Path, limit_bytes: int, operations: FileOperations) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
            self._descriptor = Descriptor(os.dup(file.fileno()), operations.close)
        self.size_bytes = 0
        self.limit_bytes = limit_bytes
        self._operations = operations
        self._sha256 = hashlib.sha256()

    @property
    def room_bytes(self) -> int:
        """How much it still takes."""
        return self.limit_bytes - self.size_bytes

    def append(self, piece: memoryview) -> None:
        """Hash and write. Raises OSError."""
        with self._descriptor.in_use() as fd:
            if fd is None:
                return  # nobody wants the upload any more
            self._sha256.update(piece)
            write_all(self._operations, fd, [piece])  # type: ignore[list-item]
            self.size_bytes += len(piece)

    def read(self, offset: int, size_bytes: int) -> bytes:
        """Return so many bytes. Raises OSError."""
        with self._descriptor.in_use() as fd:
            return b"" if fd is None else self._operations.pread(fd, size_bytes, offset)

    def body(self, workers: IWorkers) -> Body:
        """Make a body of all that is in it."""

        def read(offset: int, size_bytes: int) -> Deferred[bytes]:
            return workers.run(partial(self.read, offset, size_bytes))

        return Body(self.size_bytes, self._sha256.hexdigest(), partial(_FileProducer, read, self.size_bytes))

    def close(self) -> None:
        """Let go of the file. Safe any number of times."""
        self._descriptor.close()


@implementer(IBodyProducer)
class _FileProducer(Tap):
    """Sends what is read piece by piece."""

    def __init__(self, read: Callable[[int, int], Deferred[bytes]], size_bytes: int) -> None:
        super().__init__()
        self.length = size_bytes
        self._read = read

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        """See IBodyProducer."""
        done: Deferred[None] = Deferred(lambda _: self.stopProducing())
        start(self._pour(consumer, done), "sending a part")
        return done

    async def _pour(self, consumer: IConsumer, done: Deferred[None]) -> None:
        offset = 0
        try:
            while offset < self.length:
                data = await self._read(offset, min(SEND_BYTES, self.length - offset))
                await self.opened()
                if not data:
                    raise S3Trouble("a part is gone")
                consumer.write(data)
                offset += len(data)
        except ClientGone:
            return  # who stops a producer waits for nothing
        except Exception:
            if not self.is_stopped:
                done.errback()
            return
        if not self.is_stopped:
            done.callback(None)


@implementer(IPushProducer)
class Valve:
    """
    What a consumer turns while the body of an answer runs into it.

    Attributes:
        is_stopped: whether the consumer is gone.
    """

    def __init__(self) -> None:
        self.is_stopped = False
        self.is_paused = False
        self._receiver: Receiver | None = None

    def join(self, receiver: Receiver | None) -> None:
        """Turn what comes by this receiver from now on."""
        self._receiver = receiver
        if receiver is not None and self.is_paused:
            receiver.pause()

    def pauseProducing(self) -> None:
        """The consumer is full."""
        self.is_paused = True
        if self._receiver is not None:
            self._receiver.pause()

    def resumeProducing(self) -> None:
        """The consumer has room again."""
        self.is_paused = False
        if self._receiver is not None:
            self._receiver.resume()

    def stopProducing(self) -> None:
        """The consumer is gone."""
        self.is_stopped = True
        if self._receiver is not None:
            self._receiver.stop()


class Receiver(Protocol):
    """
    Takes the body of an answer.

    Args:
        write: gets the bytes as they come.
        stall_seconds: how long nothing may come, pauses not counted.

    Attributes:
        ended: fires at the end of the body, or fails with S3Trouble.
    """

    def __init__(self, clock: IReactorTime, write: Callable[[bytes], object], stall_seconds: float) -> None:
        self.ended: Deferred[None] = Deferred(lambda _: self._close())
        self._clock = clock
        self._write = write
        self._stall_seconds = stall_seconds
        self._stall: IDelayedCall | None = None
        self._is_paused = False
        self._is_over = False

    def connectionMade(self) -> None:
        """The body begins."""
        self._watch()
        if self._is_paused:
            self.pause()

    def dataReceived(self, data: bytes) -> None:
        """See Protocol."""
        if self._is_over:
            return
        if self._stall is not None:
            self._stall.reset(self._stall_seconds)
        self._write(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """See Protocol."""
        self._unwatch()
        if self._is_over:
            return
        self._is_over = True
        if reason.check(ResponseDone):
            self.ended.callback(None)
        else:
            self.ended.errback(S3Trouble("the connection was lost in the middle of an answer"))

    def pause(self) -> None:
        """Take nothing for now."""
        self._is_paused = True
        self._unwatch()
        if self.transport is not None:
            cast(IPushProducer, self.transport).pauseProducing()

    def resume(self) -> None:
        """Take more."""
        self._is_paused = False
        if self.transport is not None and not self._is_over:
            self._watch()
            cast(IPushProducer, self.transport).resumeProducing()

    def stop(self) -> None:
        """Take nothing any more: the connection is closed."""
        self._give_up("nobody wants the answer any more")

    def _watch(self) -> None:
        self._unwatch()
        if not self._is_paused:
            self._stall = self._clock.callLater(self._stall_seconds, self._give_up, "no more comes of an answer")

    def _unwatch(self) -> None:
        stall, self._stall = self._stall, None
        if stall is not None and stall.active():
            stall.cancel()

    def _give_up(self, why: str) -> None:
        if not self._is_over:
            self._close()
            self.ended.errback(S3Trouble(why))

    def _close(self) -> None:
        self._is_over = True
        self._unwatch()
        if self.transport is not None:
            cast(IPushProducer, self.transport).stopProducing()


async def collect(clock: IReactorTime, response: IResponse, limit_bytes: int, stall_seconds: float) -> bytes:
    """
    Return the body of an answer.

    Raises:
        S3Trouble: it is longer than the limit, or does not end.
    """
    pieces: list[bytes] = []
    size_bytes = 0

    def keep(data: bytes) -> None:
        nonlocal size_bytes
        size_bytes += len(data)
        if size_bytes > limit_bytes:
            receiver.stop()
        else:
            pieces.append(data)

    receiver = Receiver(clock, keep, stall_seconds)
    response.deliverBody(receiver)
    await receiver.ended
    return b"".join(pieces)
