"""A request, started when its headers are complete, and the reply that goes out on its connection."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IProducer
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from pkgregd.errors import ClientGone, InvalidRequest
from pkgregd.interfaces import IKernelConsumer

if TYPE_CHECKING:
    from pkgregd.http.body import RequestBody
    from pkgregd.http.channel import FrontChannel
    from pkgregd.http.parsing import RequestHead

log = Logger()

MAX_QUERY_PARAMETERS = 64

FORWARDED_FOR = b"x-forwarded-for"
RELAYING = frozenset({b"forwarded", b"via", FORWARDED_FOR, b"x-real-ip"})
"""What proxies add to a request."""

NO_TABLE = "none"
"""Whose routes those are that nobody has."""

_STATUS_LINES = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode("ascii")
    for status in HTTPStatus
    if status.value >= 200
}


def new_request_id() -> str:
    """Make an id that finds one request in the log: 16 hex digits."""
    return os.urandom(8).hex()


class FrontRequest:
    """
    One request and its reply.

    Args:
        channel: the connection it came by.

    Attributes:
        head: the checked head.
        body: to be taken by the handler.
        request_id: sent as `X-Request-Id`, written to the access log.
        log_fields: what the access log will say beside the obvious.
        table: whose route it is; NO_TABLE until that is known.
        is_known: whether it was found out who asks, and that is not nobody.
        status: of the reply, 0 before its head is out.
        sent_bytes: of the reply's body.
        answering: fires when the reply is complete; cancelled when the client leaves.
    """

    head: RequestHead
    body: RequestBody
    channel: Any  # a FrontChannel; None once the client left

    def __init__(self, channel: FrontChannel) -> None:
        self.channel = channel
        self.address = channel.client_address
        self.status = 0
        self.sent_bytes = 0
        self.answering: Deferred[None] | None = None
        self.log_fields: dict[str, object] = {}
        self.table = NO_TABLE
        self.is_known = False

    def start(self, head: RequestHead, body: RequestBody) -> None:
        """Begin to answer."""
        self.head = head
        self.body = body
        self.request_id = new_request_id()
        self.started_at = time.perf_counter()
        self.method = head.method
        self.path, _, self.raw_query = head.target.partition(b"?")
        self.channel.factory.serve(self)

    # ------------------------------------------------------------------ what was asked

    def header(self, name: bytes) -> bytes | None:
        """Return a header's value by lower-case name, several joined with a comma; None without."""
        found = None
        for key, value in self.head.headers:
            if key == name:
                found = value if found is None else found + b", " + value
        return found

    def query(self, name: str) -> str | None:
        """
        Return the last value of a query parameter, decoded; None without.

        Raises:
            InvalidRequest: too many parameters, not UTF-8, or with the character NUL.
        """
        found = None
        for key, value in self.parameters():
            if key == name:
                found = value
        return found

    def parameters(self) -> list[tuple[str, str]]:
        """Return all query parameters in order, decoded. Raises as query()."""
        if not self.raw_query:
            return []
        try:
            found = parse_qsl(
                self.raw_query.decode("ascii"),
                keep_blank_values=True,
                errors="strict",
                max_num_fields=MAX_QUERY_PARAMETERS,
            )
        except ValueError:
            raise InvalidRequest("malformed query") from None
        if b"%00" in self.raw_query:
            for key, value in found:
                if "\0" in key or "\0" in value:
                    raise InvalidRequest(f"the query parameter {key!r} must not hold the character NUL")
        return found

    @property
    def is_relayed(self) -> bool:
        """See IAuthorisedCall."""
        channel, names = self.channel, {key for key, _ in self.head.headers}
        if channel is None or (channel.is_proxy and FORWARDED_FOR in names):
            return False
        return not names.isdisjoint(RELAYING)

    # ------------------------------------------------------------------ the reply

    @property
    def has_begun(self) -> bool:
        """Whether the reply's head is out."""
        return self.status != 0

    @property
    def is_gone(self) -> bool:
        """Whether the connection is lost, so that nobody can be answered."""
        return self.channel is None

    def begin(
        self, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes = b"", explanation: bytes = b""
    ) -> None:
        """
        Send the head, and the body as far as it is in hand.

        Args:
            headers: names and values fit for the wire; they say how long the body is.
            body: what there is of it.
            explanation: printable ASCII behind the phrase in the status line.
        """
        if self.has_begun:
            raise RuntimeError("a request has one reply")
        self.status = status
        self.sent_bytes = len(body)
        line = _STATUS_LINES.get(status) or b"HTTP/1.1 %d Unknown\r\n" % status
        if explanation:
            line = line.removesuffix(b"\r\n") + b" - " + explanation + b"\r\n"
        self.channel.send_reply(line, headers, body, is_http_1_0=self.head.is_http_1_0)

    def close_after_reply(self) -> None:
        """Let the end of the connection be the end of the reply; called before begin()."""
        if not self.is_gone:
            self.channel.close_after_reply()

    def write(self, data: bytes) -> None:
        """Send more of the body."""
        self.sent_bytes += len(data)
        self.channel.write(data)

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:
        """Let a push producer of the body be paused by the connection."""
        self.channel.registerProducer(producer, streaming)

    def unregisterProducer(self) -> None:
        """Let it go."""
        self.channel.unregisterProducer()

    def finish(self) -> None:
        """The reply is complete."""
        if not self.is_gone:
            self.channel.factory.log(self)
            self.channel.requestDone(self)

    def failed(self, reason: Failure) -> None:
        """Handle what went wrong outside of every handler: log it, and leave no client waiting."""
        log.failure("request {request_id} failed", reason, request_id=self.request_id, event="request.failed")
        self.log_fields["error"] = "internal_error"
        if self.is_gone:
            return
        if self.has_begun:
            self.channel.abort()
        else:
            self.begin(500, ((b"Content-Length", b"0"),))
            self.finish()

    def connectionLost(self, reason: Failure) -> None:
        """The client left: stop answering."""
        self.channel = None
        answering, self.answering = self.answering, None
        if answering is not None:
            answering.cancel()


@implementer(IKernelConsumer)
class ReplyConsumer:
    """
    The consumer that a blob source pushes a reply's body into.

    Stays usable after the client left: its producer is stopped and bytes are dropped.
    """

    def __init__(self, request: FrontRequest) -> None:
        self._request = request
        self._producer: Any = None

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:
        """Attach a push producer to the connection."""
        if self._request.is_gone:
            producer.stopProducing()
            return
        self._producer = producer
        self._request.registerProducer(producer, streaming)

    def unregisterProducer(self) -> None:
        """Detach it."""
        if self._producer is not None and not self._request.is_gone:
            self._request.unregisterProducer()
        self._producer = None

    def write(self, data: bytes) -> None:
        """Send bytes."""
        if self._request.is_gone:
            raise ClientGone
        self._request.write(data)

    def lend_socket(self) -> int | None:
        """See IKernelConsumer."""
        return None if self._request.is_gone else self._request.channel.lend_socket()

    def count_sent(self, size_bytes: int) -> None:
        """See IKernelConsumer."""
        self._request.sent_bytes += size_bytes

    def wait_for_room(self) -> None:
        """See IKernelConsumer."""
        if not self._request.is_gone:
            self._request.channel.wait_for_room()
