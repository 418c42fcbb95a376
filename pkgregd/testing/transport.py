"""A connection in memory that pauses, half-closes and stalls as a real one does."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionAborted, ConnectionDone
from twisted.internet.interfaces import IPushProducer, ITCPTransport
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from zope.interface import implementer


@implementer(ITCPTransport, IPushProducer)
class MemoryTransport:
    """
    The server's end of a connection whose other end is the test.

    Bytes sent by send() while the server is not reading wait, as they would in the kernel.
    The client takes what the server writes at once, unless `stalls` is set: then written bytes
    stay in `dataBuffer`, and a registered producer is paused past `bufferSize`.

    Attributes:
        received: what the client has taken.
        is_reading: whether the server reads.
        is_half_closed: whether the server said that it writes nothing more.
        closed: None while open, else "done" or "aborted".
    """

    def __init__(self, address: str = "192.0.2.1") -> None:
        self.received = bytearray()
        self.dataBuffer = bytearray()
        self.offset = 0
        self.bufferSize = 65536
        self.stalls = False
        self.is_reading = True
        self.is_half_closed = False
        self.closed: str | None = None
        self._address = address
        self._waiting: list[bytes] = []
        self._producer: Any = None
        self._producer_paused = False
        self._closing = False
        self.protocol: Any = None

    def connect(self, protocol: Protocol) -> None:
        """Make the connection."""
        self.protocol = protocol
        protocol.makeConnection(self)

    # ------------------------------------------------------------------ the client's side

    def send(self, data: bytes) -> None:
        """Send bytes to the server, at most bufferSize in one read."""
        for start in range(0, len(data), self.bufferSize):
            self._waiting.append(data[start : start + self.bufferSize])
        self._pump()

    def hang_up(self) -> None:
        """Close the client's end."""
        self._lose("done", Failure(ConnectionDone()))

    def take(self, size_bytes: int | None = None) -> None:
        """Let a stalling client take bytes; None takes all and stops stalling."""
        if size_bytes is None:
            self.stalls = False
            size_bytes = len(self.dataBuffer)
        self.received += self.dataBuffer[:size_bytes]
        del self.dataBuffer[:size_bytes]
        self._drained()

    @property
    def waiting_bytes(self) -> int:
        """How many sent bytes the server has not read."""
        return sum(map(len, self._waiting))

    def _pump(self) -> None:
        while self._waiting and self.is_reading and self.closed is None:
            self.protocol.dataReceived(self._waiting.pop(0))

    def _lose(self, how: str, reason: Failure) -> None:
        if self.closed is None:
            self.closed = how
            self.protocol.connectionLost(reason)

    def _drained(self) -> None:
        if self.dataBuffer:
            return
        if self._producer is not None and self._producer_paused:
            self._producer_paused = False
            self._producer.resumeProducing()
        if self._closing and not self.dataBuffer:
            self._lose("done", Failure(ConnectionDone()))

    # ------------------------------------------------------------------ the server's side

    def write(self, data: bytes) -> None:
        """Take bytes from the server."""
        if self.closed is not None or self._closing or self.is_half_closed:
            return
        if not self.stalls:
            self.received += data
            return
        self.dataBuffer += data
        if self._producer is not None and not self._producer_paused and len(self.dataBuffer) > self.bufferSize:
            self._producer_paused = True
            self._producer.pauseProducing()

    def writeSequence(self, data: Any) -> None:
        """Take bytes from the server."""
        self.write(b"".join(data))

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Take the server's producer."""
        assert self._producer is None
        assert streaming
        self._producer = producer

    def unregisterProducer(self) -> None:
        """Let it go."""
        self._producer = None

    def pauseProducing(self) -> None:
        """Stop reading."""
        self.is_reading = False

    def resumeProducing(self) -> None:
        """Read again."""
        self.is_reading = True
        self._pump()

    def stopProducing(self) -> None:
        """Close."""
        self.loseConnection()

    def loseConnection(self) -> None:
        """Close after what was written."""
        self._closing = True
        self._drained()

    def loseWriteConnection(self) -> None:
        """Say that nothing more is written."""
        self.is_half_closed = True

    def abortConnection(self) -> None:
        """Cut."""
        self._lose("aborted", Failure(ConnectionAborted()))

    def getPeer(self) -> IPv4Address:
        """Return the client's address."""
        return IPv4Address("TCP", self._address, 40000)

    def getHost(self) -> IPv4Address:
        """Return our own address."""
        return IPv4Address("TCP", "192.0.2.2", 8080)

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Change nothing."""

    def getTcpNoDelay(self) -> bool:
        """Answer no."""
        return False

    def setTcpKeepAlive(self, enabled: bool) -> None:
        """Change nothing."""

    def getTcpKeepAlive(self) -> bool:
        """Answer no."""
        return False
