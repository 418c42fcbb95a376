"""The body of a request, pushed with back-pressure into whoever takes it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer, IPushProducer
from zope.interface import implementer

from pkgregd.errors import BodyTooLarge, ClientGone
from pkgregd.interfaces import IRequestBody


class IBodyChannel(Protocol):
    """What a body needs of its connection."""

    def start_body(self) -> None:
        """Start to deliver."""

    def pause_body(self) -> None:
        """Stop to deliver, but for what is in hand."""

    def resume_body(self) -> None:
        """Deliver again."""


@implementer(IRequestBody, IPushProducer)
class RequestBody:
    """
    See IRequestBody. Towards its consumer it is the streaming producer.

    Args:
        channel: the connection that the bytes come from.
        declared_bytes: Content-Length, or None for a chunked body.

    Attributes:
        confirm: asked once all has come, before push_to() returns: a body can be long in coming, and whoever sends it
            may lose his right meanwhile. push_to() raises what it raises.
    """

    def __init__(self, channel: IBodyChannel, declared_bytes: int | None) -> None:
        self.declared_bytes = declared_bytes
        self.limit_bytes: int | None = None
        self.turn_bytes: int | None = None
        self.confirm: Callable[[], Awaitable[object]] | None = None
        self.received_bytes = 0
        self.is_complete = declared_bytes == 0
        self.was_touched = False
        self._channel = channel
        self._consumer: IConsumer | None = None
        self._done: Deferred[int] | None = None
        self._error: Exception | None = None
        self._paused = False

    @property
    def is_flowing(self) -> bool:
        """Whether deliver() may be called now; a failed body takes and drops what comes."""
        return self.was_touched and not self._paused

    # ------------------------------------------------------------------ for the handler

    async def push_to(self, consumer: IConsumer) -> int:
        """See IRequestBody."""
        if self.was_touched:
            raise RuntimeError("a request body can be used once")
        self.was_touched = True
        if self._error is not None:
            raise self._error
        if self.is_complete:
            return 0
        self._consumer = consumer
        done: Deferred[int] = Deferred(lambda _: self.fail(ClientGone()))
        self._done = done
        consumer.registerProducer(self, True)
        try:
            self._channel.start_body()
            received_bytes = await done
        finally:
            self._consumer = None
            consumer.unregisterProducer()
        if self.confirm is not None:
            await self.confirm()
        return received_bytes

    async def read_all(self, limit_bytes: int) -> bytes:
        """See IRequestBody."""
        if self.declared_bytes is not None and self.declared_bytes > limit_bytes:
            raise BodyTooLarge(limit_bytes, is_file=False)
        collector = _Collector(limit_bytes)
        await self.push_to(collector)
        return b"".join(collector.pieces)

    # ------------------------------------------------------------------ for the channel

    def deliver(self, data: bytes) -> None:
        """Take bytes of the body; after a failure they are dropped."""
        self.received_bytes += len(data)
        if self._error is not None or self._consumer is None:
            return
        if self.limit_bytes is not None and self.received_bytes > self.limit_bytes:
            self.fail(BodyTooLarge(self.limit_bytes))
            return
        try:
            self._consumer.write(data)
        except Exception as error:  # whatever the consumer raises belongs to the one who pushes
            self.fail(error)

    def complete(self) -> None:
        """All bytes have been delivered."""
        self.is_complete = True
        self._settle()

    def fail(self, error: Exception) -> None:
        """The body ends here; the first error stays."""
        if self._error is None and not self.is_complete:
            self._error = error
            self._settle()

    def _settle(self) -> None:
        done, self._done = self._done, None
        if done is None or done.called:
            return
        if self._error is not None:
            done.errback(self._error)
        else:
            done.callback(self.received_bytes)

    # ------------------------------------------------------------------ the consumer's producer

    def pauseProducing(self) -> None:
        """The consumer is full."""
        self._paused = True
        self._channel.pause_body()

    def resumeProducing(self) -> None:
        """The consumer has room again."""
        if self._paused:
            self._paused = False
            self._channel.resume_body()

    def stopProducing(self) -> None:
        """The consumer wants no more and keeps the reason: push_to() returns, what still comes is dropped."""
        self._paused = False
        self._consumer = None
        self._settle()


@implementer(IConsumer)
class _Collector:
    """Keeps a bounded body in memory."""

    def __init__(self, limit_bytes: int) -> None:
        self._room_bytes = limit_bytes
        self._limit_bytes = limit_bytes
        self.pieces: list[bytes] = []

    def registerProducer(self, producer: object, streaming: bool) -> None:
        """Nothing is ever paused: the limit bounds it."""

    def unregisterProducer(self) -> None:
        """Nothing is kept of the producer."""

    def write(self, data: bytes) -> None:
        """Keep, up to the limit."""
        self._room_bytes -= len(data)
        if self._room_bytes < 0:
            raise BodyTooLarge(self._limit_bytes, is_file=False)
        self.pieces.append(data)
