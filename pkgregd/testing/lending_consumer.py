"""A consumer with a real socket, whose other end is the test."""

from __future__ import annotations

import os
import socket

from twisted.internet.interfaces import IProducer, IPushProducer
from zope.interface import implementer

from pkgregd.interfaces import IKernelConsumer


@implementer(IKernelConsumer)
class LendingConsumer:
    """
    Lends its socket to the kernel, as a plain HTTP connection does.

    Args:
        buffer_bytes: what the kernel keeps between both ends, about; it has a least size of its own.

    Attributes:
        received: what the test has read.
        written_bytes: how much came by write().
        sent_bytes: how much went by the socket.
        is_waiting: whether the producer waits for room.
        producer: who is registered.
    """

    def __init__(self, buffer_bytes: int = 1 << 16) -> None:
        self._ours, self._theirs = socket.socketpair()
        self._ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer_bytes)
        self._ours.setblocking(False)
        self._theirs.setblocking(False)
        self.received = bytearray()
        self.written_bytes = 0
        self.sent_bytes = 0
        self.is_waiting = False
        self.producer: IPushProducer | None = None

    # ------------------------------------------------------------------ IKernelConsumer

    def lend_socket(self) -> int | None:
        """Lend it, as a copy."""
        return os.dup(self._ours.fileno())

    def count_sent(self, size_bytes: int) -> None:
        """Add up."""
        self.sent_bytes += size_bytes

    def wait_for_room(self) -> None:
        """Pause the producer until read()."""
        assert self.producer is not None
        self.is_waiting = True
        self.producer.pauseProducing()

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:
        """Take the producer."""
        assert streaming
        self.producer = producer  # type: ignore[assignment]

    def unregisterProducer(self) -> None:
        """Let go of it."""
        self.producer = None

    def write(self, data: bytes) -> None:
        """Take bytes that the kernel did not send; what was sent before is read first."""
        self._drain()
        self.received += data
        self.written_bytes += len(data)

    # ------------------------------------------------------------------ the test's side

    def read(self) -> None:
        """Read all that was sent, and let a producer that waits go on."""
        self._drain()
        if self.is_waiting:
            self.is_waiting = False
            if self.producer is not None:
                self.producer.resumeProducing()

    def hang_up(self) -> None:
        """Close the client's end."""
        self._theirs.close()

    def close(self) -> None:
        """Close both ends."""
        self._ours.close()
        self._theirs.close()

    def _drain(self) -> None:
        try:
            while data := self._theirs.recv(1 << 16):
                self.received += data
        except BlockingIOError:
            pass
