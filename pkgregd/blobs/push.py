"""Pushing stored bytes into a consumer, at its pace."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer, IPushProducer
from zope.interface import implementer

from pkgregd.errors import BlobMissing, ClientGone
from pkgregd.values import ByteRange


@implementer(IPushProducer)
class Tap:
    """What the consumer turns."""

    def __init__(self) -> None:
        self.is_stopped = False
        self._is_paused = False
        self._waiter: Deferred[None] | None = None

    def pauseProducing(self) -> None:
        """The consumer is full."""
        self._is_paused = True

    def resumeProducing(self) -> None:
        """The consumer has room again."""
        self._is_paused = False
        self._wake()

    def stopProducing(self) -> None:
        """The consumer is gone."""
        self.is_stopped = True
        self._wake()

    async def opened(self) -> None:
        """
        Wait until the consumer takes bytes.

        Raises:
            ClientGone: it never will.
        """
        while self._is_paused and not self.is_stopped:
            self._waiter = Deferred()
            await self._waiter
        if self.is_stopped:
            raise ClientGone

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.called:
            waiter.callback(None)


async def push(
    consumer: IConsumer, read: Callable[[int, int], Deferred[bytes]], span: ByteRange, chunk_bytes: Callable[[], int]
) -> int:
    """
    Register as streaming producer, write all bytes of a span, unregister.

    One chunk is read ahead while the consumer is busy with the one before.

    Args:
        read: gives at most so many bytes from an offset; fewer only at the end.
        span: what to write; may be empty.
        chunk_bytes: how much to read at once, asked for each chunk.

    Returns:
        The bytes written: all of the span.

    Raises:
        BlobMissing: the bytes end before the span does.
        ClientGone: the consumer said stopProducing(). It has forgotten us then, so nothing is unregistered.
    """
    tap = Tap()
    consumer.registerProducer(tap, True)
    offset = span.start
    ahead: Deferred[bytes] | None = None
    try:
        wanted_bytes = min(chunk_bytes(), span.stop - offset)
        while offset < span.stop:
            data = await (ahead or read(offset, wanted_bytes))
            if len(data) != wanted_bytes:
                raise BlobMissing("a stored blob is shorter than it was")
            offset += wanted_bytes
            wanted_bytes = min(chunk_bytes(), span.stop - offset)
            ahead = read(offset, wanted_bytes) if wanted_bytes else None
            await tap.opened()
            consumer.write(data)
        await tap.opened()
    finally:
        if ahead is not None:
            ahead.addErrback(lambda _: None)
            ahead.cancel()
        if not tap.is_stopped:
            consumer.unregisterProducer()
    return span.stop - span.start
