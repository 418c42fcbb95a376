"""
One HTTP/1.1 connection.

Written here, and not derived from Twisted's HTTPChannel, because that one starts
a request only after its body, stores the body itself and answers `Expect` on its
own. This channel starts a request when its headers are complete, with reading
paused, and lets the request decide about its body.

    HEAD ──head complete──> REQUEST ──reply and body both complete──> HEAD
                               └──reply complete, body not, or close wanted──> LINGER ──> closed

In LINGER the reply has been written; what the client still sends is read and
thrown away within bounds, since closing a socket with unread bytes resets the
connection and most clients then never see the reply.
"""

from __future__ import annotations

import enum
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import (
    IDelayedCall,
    IHandshakeListener,
    IProducer,
    IPushProducer,
    IReactorTime,
    ISSLTransport,
    ITCPTransport,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.tcp import Connection
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from pkgregd.errors import ClientGone, MalformedBody
from pkgregd.http.body import RequestBody
from pkgregd.http.bodypace import BodyPace
from pkgregd.http.parsing import (
    BadRequest,
    ChunkedDecoder,
    IdentityDecoder,
    RequestHead,
    parse_head,
    refuse_bare_line_ends,
)
from pkgregd.http.unsent import held_bytes, unsent_bytes

if TYPE_CHECKING:
    from pkgregd.http.factory import FrontFactory
    from pkgregd.http.request import FrontRequest

log = Logger()

PIPELINE_BYTES = 64 * 1024
"""How much of the next requests is kept while one is being answered; reading pauses past it."""

SMALL_READ_BYTES = 64 * 1024
"""What one read may return outside of bodies, and the least of a body."""

LARGE_READ_BYTES = 1024 * 1024
"""The most that one read returns of a body: fewer, larger reads halve the cost of a byte."""

SHARED_READ_BYTES = 256 * 1024
"""The most that one read returns while other bodies come in, too."""

ALL_READS_BYTES = 4 * 1024 * 1024
"""What one read of every body together may return: the more bodies, the smaller their reads."""

LARGE_WRITE_BYTES = 1024 * 1024
"""The most that one write hands to the kernel (an attribute of Twisted's transports)."""

JOINED_BYTES = 32 * 1024
"""Up to this a body in hand is copied behind its head: cheaper than a second call to the kernel."""

REQUESTS_IN_TURN = 4
"""How many requests that came together are begun before all other connections have their turn."""

CRUMB_BYTES = 512
CRUMBS_READ_BYTES = 16 * 1024
"""What one read returns of a body in chunks smaller than CRUMB_BYTES: each costs about a microsecond."""

MAX_LINES_IN_TURN = 2048
"""A read of a chunked body with more lines than this may hold thousands of chunks, and is taken in pieces."""


PARTING_SECONDS = 1.0
"""
How long a connection without a request may still bring one when the daemon drains: who asks at that very moment would
find it closed, and a connection that was just accepted has had no chance to ask.
"""


class State(enum.Enum):
    """Where a connection stands."""

    HEAD = "reading a request head"
    REQUEST = "a request is being answered"
    LINGER = "throwing away what still comes"
    CLOSED = "nothing more is read"


@implementer(IPushProducer, IHandshakeListener)
class FrontChannel(Protocol):
    """
    Args:
        factory: settings, the request class, and the counts over all connections.
        address: whose connection it is, a client's or a proxy's.

    Attributes:
        is_proxy: whether it is of a proxy that is trusted to name its clients.
        client_address: the client's of the present request.
    """

    factory: FrontFactory
    transport: Any

    def __init__(self, factory: FrontFactory, address: str) -> None:
        self.factory = factory
        self.address = self.client_address = address
        self.is_proxy = factory.trusted_proxies.trusts(address)
        self._settings = factory.settings
        self._clock: IReactorTime = factory.clock
        self._state = State.HEAD
        self._head = bytearray()
        self._skipped_a_line = False
        self._pending: list[bytes] = []  # bytes for which their reader is not ready yet
        self._pending_bytes = 0
        self._request: FrontRequest | None = None
        self._body: RequestBody | None = None
        self._decoder: IdentityDecoder | ChunkedDecoder | None = None
        self._continue_wanted = False
        self._keeps_alive = True
        self._sends_at_once = False
        self._advancing = False
        self._reading_paused = False
        self._writing_paused = False
        self._producer: IProducer | None = None
        self._drained_bytes = 0
        self._deadline: IDelayedCall | None = None
        self._stall: IDelayedCall | None = None
        self._stall_unsent_bytes = 0
        self._body_pace = BodyPace(self._clock, self._settings, self._fail_body)
        self._turn: IDelayedCall | None = None
        self._counts_as_body = False
        self._waits_for_turn = False
        self._has_entered = False

    # ------------------------------------------------------------------ the connection

    def connectionMade(self) -> None:
        """Start waiting for the first request."""
        self.factory.connected(self)
        if ITCPTransport.providedBy(self.transport):
            self.transport.setTcpNoDelay(True)
        if isinstance(self.transport, Connection):  # not TLS, which wraps one
            self._sends_at_once = True
            self.transport.SEND_LIMIT = LARGE_WRITE_BYTES
        self.transport.registerProducer(self, True)
        if ISSLTransport.providedBy(self.transport):
            self._set_deadline(self._settings.handshake_timeout_seconds)
        else:
            self._set_deadline(self._settings.header_timeout_seconds)

    def handshakeCompleted(self) -> None:
        """TLS is up: the time for the headers starts."""
        self._set_deadline(PARTING_SECONDS if self.factory.is_draining else self._settings.header_timeout_seconds)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """End everything that belonged to the connection."""
        self._state = State.CLOSED
        self._set_deadline(None)
        self._stop_watching_body()
        self._end_stall()
        self._pending.clear()
        self._give_up_turn()
        self._leave()
        self.factory.disconnected(self)
        producer, self._producer = self._producer, None
        request, self._request = self._request, None
        body, self._body = self._body, None
        if request is not None:
            # first of all: whoever is told below must find a request that nobody can answer any more
            self.factory.aborted(request)
            request.connectionLost(reason)
        if producer is not None:
            producer.stopProducing()
        if body is not None:
            body.fail(ClientGone())

    # ------------------------------------------------------------------ bytes in

    def dataReceived(self, data: bytes) -> None:
        """Hand bytes to whoever reads them now, or keep them."""
        if self._state is State.LINGER:
            self._throw_away(data)
        elif self._state is State.HEAD:
            if not self._head and not self._pending:
                self._set_deadline(self._settings.header_timeout_seconds)
            self._keep(data)
            self._advance()
        elif self._decoder is not None and self._body is not None and self._body.is_flowing and not self._pending:
            self._take_body(self._body, data)
        elif self._state is State.REQUEST:
            self._keep(data)

    def _keep(self, data: bytes) -> None:
        self._pending.append(data)
        self._pending_bytes += len(data)
        if self._pending_bytes > PIPELINE_BYTES:
            self._pause_reading()

    def _take_pending(self) -> bytes:
        data = self._pending[0] if len(self._pending) == 1 else b"".join(self._pending)
        self._pending.clear()
        self._pending_bytes = 0
        return data

    def _advance(self) -> None:
        """
        Start requests from what was kept, one after the other, as long as each is answered at once.

        The next turn of the reactor goes on with what is too much for one.
        """
        if self._advancing or self._turn is not None:
            return
        self._advancing = True
        left = REQUESTS_IN_TURN
        try:
            while self._state is State.HEAD and self._pending and not self._writing_paused:
                if not left:
                    self._turn = self._clock.callLater(0, self._take_next_turn)
                    break
                left -= 1
                try:
                    if not self._read_head(self._take_pending()):
                        break
                except BadRequest as error:
                    self._refuse(error)
        finally:
            self._advancing = False
        if self._state is State.HEAD and not self._pending:
            self._resume_reading()

    def _take_next_turn(self) -> None:
        """Go on with the requests that were too many for the last turn."""
        self._turn = None
        self._advance()

    def _give_up_turn(self) -> None:
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None

    def _read_head(self, data: bytes) -> bool:
        """Look for the end of the head; start the request if it is there."""
        head = self._head
        known_bytes = len(head)
        head += data
        while head.startswith(b"\r\n"):
            if self._skipped_a_line:
                raise BadRequest(400, "empty request line")
            self._skipped_a_line = True  # one empty line before a request is forgiven (RFC 9112, section 2.2)
            del head[:2]
            known_bytes = 0
        end = head.find(b"\r\n\r\n", max(known_bytes - 3, 0))
        if (end if end >= 0 else len(head)) > self._settings.max_head_bytes:
            raise BadRequest(431, f"the request head is larger than {self._settings.max_head_bytes} bytes")
        if end < 0:
            refuse_bare_line_ends(head, known_bytes - 1)
            return False
        raw, rest = bytes(head[:end]), bytes(head[end + 4 :])
        head.clear()
        self._skipped_a_line = False
        if rest:
            self._keep(rest)
        request_head = parse_head(raw, self._settings)
        if self.is_proxy:
            address = self.factory.trusted_proxies.client_of(self.address, request_head.headers)
            self.factory.entered(address)
            self.client_address = address
            self._has_entered = True
        self._start_request(request_head)
        return True

    def _leave(self) -> None:
        """The request of a proxy's client is done with."""
        if self._has_entered:
            self._has_entered = False
            self.factory.left(self.client_address)

    def _start_request(self, head: RequestHead) -> None:
        self._state = State.REQUEST
        self._set_deadline(None)
        self._keeps_alive = head.keeps_alive and not self.factory.is_draining
        self._continue_wanted = head.expects_continue
        self._body = body = RequestBody(self, head.declared_bytes)
        if head.declared_bytes == 0:
            self._decoder = None
        else:
            # nothing of the body is read before the request asks for it
            self._pause_reading()
            if head.declared_bytes is None:
                self._decoder = ChunkedDecoder(body.deliver)
            else:
                self._decoder = IdentityDecoder(head.declared_bytes, body.deliver)
        self._request = request = self.factory.request_class(self)
        request.start(head, body)

    def _refuse(self, error: BadRequest) -> None:
        """Answer a message that cannot be read as a request, and be done with the connection."""
        self.transport.write(self.factory.refuse(self.address, error))
        self._linger()

    # ------------------------------------------------------------------ the body

    def start_body(self) -> None:
        """Called by the body on first touch: answer `Expect`, hand over what came, and read."""
        if self._continue_wanted:
            self._continue_wanted = False
            if not self._pending:
                self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._counts_as_body = True
        self.factory.bodies += 1
        self.factory.read_turns.begin(self._socket_transport)
        is_chunked = isinstance(self._decoder, ChunkedDecoder)  # the size of whose chunks is to be seen
        self._set_read_size(CRUMBS_READ_BYTES if is_chunked else self._body_read_bytes)
        if self._pending and self._body is not None:
            self._take_body(self._body, self._take_pending())
        if self._decoder is not None:
            self.resume_body()
        if self._decoder is not None:
            self._body_pace.start()

    def pause_body(self) -> None:
        """Stop reading: whoever takes the body is full."""
        self._pause_reading()

    def resume_body(self) -> None:
        """Read again, starting with what arrived during the pause."""
        body = self._body
        while self._pending and self._decoder is not None and body is not None and body.is_flowing:
            if self._waits_for_turn:
                break
            self._take_body(body, self._take_pending())
        if self._pending_bytes <= PIPELINE_BYTES and (body is None or body.is_flowing or self._decoder is None):
            self._resume_reading()

    def _take_body(self, body: RequestBody, data: bytes) -> None:
        """Hand over what came, but no more than one turn of the reactor has time for."""
        piece_bytes = body.turn_bytes
        if isinstance(self._decoder, ChunkedDecoder) and data.count(b"\r\n") > MAX_LINES_IN_TURN:
            piece_bytes = CRUMBS_READ_BYTES
        if piece_bytes is None or len(data) <= piece_bytes:
            self._feed_body(data)
            return
        taken_bytes = self._feed_pieces(body, data, piece_bytes)
        if taken_bytes == len(data):
            return
        self._keep(data[taken_bytes:])
        if self._decoder is not None:
            self._waits_for_turn = True
            self._clock.callLater(0, self._take_turn)
        else:
            self._advance()  # the body has ended, and its request perhaps too, before the next one was kept

    def _feed_pieces(self, body: RequestBody, data: bytes, piece_bytes: int) -> int:
        """Hand over one piece, or as many as it takes to see many chunks: lines may also be those of a text."""
        decoder = self._decoder
        taken_bytes = chunk_count = 0
        while taken_bytes < len(data):
            self._feed_body(data[taken_bytes : taken_bytes + piece_bytes])
            taken_bytes = min(taken_bytes + piece_bytes, len(data))
            if body.turn_bytes is not None or self._decoder is not decoder or not body.is_flowing:
                break
            if isinstance(decoder, ChunkedDecoder):
                chunk_count += decoder.chunk_count
            if 2 * chunk_count > MAX_LINES_IN_TURN:  # a chunk has two
                break
        return taken_bytes

    def _take_turn(self) -> None:
        """Go on with what was kept."""
        self._waits_for_turn = False
        if self._state is State.REQUEST:
            self.resume_body()

    def _feed_body(self, data: bytes) -> None:
        decoder = self._decoder
        if decoder is None:
            self._keep(data)
            return
        self._body_pace.count(len(data))
        try:
            rest = decoder.feed(data)
        except BadRequest as error:
            self._keeps_alive = False
            self._fail_body(MalformedBody(error.reason))
            return
        if rest is not None:
            self._end_body()
            if rest:
                self._keep(rest)
            if self._body is not None:
                self._body.complete()
        elif self._decoder is decoder:
            is_crumbs = isinstance(decoder, ChunkedDecoder) and decoder.chunk_count * CRUMB_BYTES > len(data)
            self._set_read_size(CRUMBS_READ_BYTES if is_crumbs else self._body_read_bytes)

    @property
    def _body_read_bytes(self) -> int:
        """What the next read of a body may return, with as many bodies as there are at present."""
        most_bytes = LARGE_READ_BYTES if self.factory.bodies == 1 else SHARED_READ_BYTES
        return max(SMALL_READ_BYTES, min(most_bytes, ALL_READS_BYTES // self.factory.bodies))

    def _end_body(self) -> None:
        self._decoder = None
        self._stop_watching_body()
        self._resume_reading()

    def _fail_body(self, error: Exception) -> None:
        if self._body is not None:
            self._body.fail(error)

    def _stop_watching_body(self) -> None:
        self._body_pace.stop()
        if self._counts_as_body:
            self._counts_as_body = False
            self.factory.bodies -= 1
            self.factory.read_turns.end(self._socket_transport)
            self._set_read_size(SMALL_READ_BYTES)

    def _set_read_size(self, size_bytes: int) -> None:
        """Set how much one read of the socket may return (an attribute of Twisted's transports)."""
        self._socket_transport.bufferSize = size_bytes

    @property
    def _socket_transport(self) -> Any:
        """The transport that reads the socket: with TLS another one."""
        transport = self.transport
        if ISSLTransport.providedBy(transport):
            return getattr(transport, "transport", transport)
        return transport

    def pause_reading(self) -> None:
        """Read nothing more before the present request is answered."""
        self._pause_reading()

    def _pause_reading(self) -> None:
        if not self._reading_paused:
            self._reading_paused = True
            self._body_pace.pause()
            self.transport.pauseProducing()
            self.factory.read_turns.skip(self._socket_transport)

    def _resume_reading(self) -> None:
        if self._reading_paused and self._state is not State.CLOSED:
            self._reading_paused = False
            self._body_pace.resume()
            self.transport.resumeProducing()

    # ------------------------------------------------------------------ what a request calls

    def isSecure(self) -> bool:
        """Whether the connection is TLS."""
        return bool(ISSLTransport.providedBy(self.transport))

    def send_reply(
        self, status_line: bytes, headers: Iterable[tuple[bytes, bytes]], body: bytes, *, is_http_1_0: bool
    ) -> None:
        """Send a reply's head and what there is of its body; whether another request may follow is decided here."""
        if self._decoder is not None or self.factory.is_draining:
            self._keeps_alive = False  # the rest of a body must never be read as a request
        lines = [b"%b: %b\r\n" % header for header in headers]
        if not self._keeps_alive:
            lines.append(b"Connection: close\r\n")
        elif is_http_1_0:
            lines.append(b"Connection: keep-alive\r\n")
        head = b"%b%b\r\n" % (status_line, b"".join(lines))
        if len(body) < JOINED_BYTES:
            self._send_at_once(head + body)
        else:
            self._send_at_once(head)
            self._send_at_once(body)

    def _send_at_once(self, data: bytes) -> None:
        """
        Give bytes to the kernel without a turn of the reactor, as far as it takes them now.

        Twisted writes when the reactor next finds the socket writable, which costs more than a small reply itself.
        """
        transport = self.transport
        if self._sends_at_once and not held_bytes(transport) and transport.connected and not transport.disconnecting:
            sent = transport.writeSomeData(data)
            if isinstance(sent, int):  # else the connection is lost, as the reactor is about to find
                data = data[sent:]
        if data:
            transport.write(data)

    def write(self, data: bytes) -> None:
        """Write bytes of a reply."""
        self._send_at_once(data)

    def lend_socket(self) -> int | None:
        """See IKernelConsumer. Not with TLS, whose bytes the kernel does not know."""
        transport = self.transport
        if not self._sends_at_once or held_bytes(transport) or not transport.connected or transport.disconnecting:
            return None
        try:
            return os.dup(transport.fileno())
        except OSError:  # as many files are open as may be
            return None

    def wait_for_room(self) -> None:
        """Pause the body's producer until the socket can be written (by attributes of Twisted's transports)."""
        self.pauseProducing()
        self.transport.producerPaused = True
        self.transport.startWriting()

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:
        """Take a streaming producer of a reply's body."""
        if not streaming:
            raise RuntimeError("replies are produced by push producers only")
        self._producer = producer
        if self._writing_paused:
            producer.pauseProducing()  # type: ignore[attr-defined]

    def unregisterProducer(self) -> None:
        """Let the producer go."""
        self._producer = None

    def loseConnection(self) -> None:
        """Close after what was written."""
        self._linger()

    def abort(self) -> None:
        """Cut the connection: the client must not take a torn reply for a whole one."""
        self._state = State.CLOSED  # the transport stays open for this turn: no next request is answered in it
        self._sends_at_once = False
        self.transport.abortConnection()

    def requestDone(self, request: FrontRequest) -> None:
        """A reply is complete: go on with the next request, or linger."""
        self._request = None
        self._leave()
        body, self._body = self._body, None
        if body is not None and not body.is_complete:
            body.fail(ClientGone())
            self._stop_watching_body()
        if self._state is State.CLOSED:
            return
        if self._decoder is not None or not self._keeps_alive:
            self._linger()
            return
        self._state = State.HEAD
        self._set_deadline(PARTING_SECONDS if self.factory.is_draining else self._settings.idle_timeout_seconds)
        self._resume_reading()
        self._advance()

    # ------------------------------------------------------------------ the transport's producer

    def pauseProducing(self) -> None:
        """The client does not keep up: stop writing, start the stall clock."""
        self._writing_paused = True
        self._stall_unsent_bytes = unsent_bytes(self.transport)
        self._end_stall()
        self._stall = self._clock.callLater(self._settings.write_stall_seconds, self._check_stall)
        if self._producer is not None:
            self._producer.pauseProducing()  # type: ignore[attr-defined]

    def resumeProducing(self) -> None:
        """The client took everything."""
        self._writing_paused = False
        self._end_stall()
        if self._producer is not None:
            self._producer.resumeProducing()  # type: ignore[attr-defined]
        elif self._state is State.HEAD:
            self._advance()

    def stopProducing(self) -> None:
        """The transport gives up; connectionLost() follows."""

    def _check_stall(self) -> None:
        """Cut a client that took nothing of its reply since the last look."""
        self._stall = None
        if not self._client_takes_bytes():
            self.abort()
            return
        self._stall = self._clock.callLater(self._settings.write_stall_seconds, self._check_stall)

    def _end_stall(self) -> None:
        if self._stall is not None and self._stall.active():
            self._stall.cancel()
        self._stall = None

    def _client_takes_bytes(self) -> bool:
        """Whether fewer bytes wait for the client than at the last look."""
        before_bytes, self._stall_unsent_bytes = self._stall_unsent_bytes, unsent_bytes(self.transport)
        return self._stall_unsent_bytes < before_bytes

    # ------------------------------------------------------------------ the end

    def close_after_reply(self) -> None:
        """Let no other request follow the one that is about to be answered."""
        self._keeps_alive = False

    def stop_when_idle(self) -> None:
        """The daemon drains: close soon if no request is under way, else after it."""
        if self._state is State.HEAD and not self._head and not self._pending:
            self._set_deadline(PARTING_SECONDS)

    def _linger(self) -> None:
        """Close in an orderly way: say that nothing more comes, and read what the client still sends."""
        if self._state in (State.LINGER, State.CLOSED):
            return
        sends_more = self._decoder is not None or bool(self._head)
        self._state = State.LINGER
        self._decoder = None
        self._pending.clear()
        self._give_up_turn()
        self._end_stall()
        self.transport.unregisterProducer()
        self._stall_unsent_bytes = unsent_bytes(self.transport)
        self._set_deadline(self._settings.drain_seconds)
        if not self.isSecure():
            self.transport.loseWriteConnection()
        elif not sends_more:
            self.transport.loseConnection()
            return
        self._reading_paused = True
        self._resume_reading()

    def _throw_away(self, data: bytes) -> None:
        self._drained_bytes += len(data)
        if self._drained_bytes > self._settings.drain_max_bytes:
            self._state = State.CLOSED
            self.transport.loseConnection()

    def _set_deadline(self, seconds: float | None) -> None:
        """Set when the present state ends the connection; None means never."""
        deadline = self._deadline
        if deadline is not None and deadline.active():
            if seconds is not None:
                deadline.reset(seconds)
                return
            deadline.cancel()
        self._deadline = None if seconds is None else self._clock.callLater(seconds, self._deadline_passed)

    def _deadline_passed(self) -> None:
        self._deadline = None
        if self._state is State.HEAD and self._head:
            self._refuse(BadRequest(408, "the request head took too long"))
        elif self._state is State.HEAD:
            self._linger()
        elif self._client_takes_bytes():
            self._set_deadline(self._settings.write_stall_seconds)
        elif self._state is State.LINGER:
            self._state = State.CLOSED
            self.transport.loseConnection()
            self._set_deadline(self._settings.write_stall_seconds)
        else:
            self.abort()
