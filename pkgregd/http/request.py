"""A request as Klein and twisted.web know it, started when its headers are complete."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from twisted.internet.interfaces import IConsumer, IProducer
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.server import Request
from zope.interface import implementer

from pkgregd.errors import ClientGone, InvalidRequest

if TYPE_CHECKING:
    from pkgregd.http.body import RequestBody
    from pkgregd.http.channel import FrontChannel
    from pkgregd.http.parsing import RequestHead

log = Logger()

MAX_QUERY_PARAMETERS = 64


def new_request_id() -> str:
    """Make an id that finds one request in the log: 16 hex digits."""
    return os.urandom(8).hex()


class FrontRequest(Request):
    """
    One request.

    Attributes:
        head: the checked head.
        body: to be taken by the handler.
        request_id: sent as `X-Request-Id`, written to the access log.
        log_fields: what the access log will say beside the obvious.
    """

    defaultContentType = None
    head: RequestHead
    body: RequestBody
    channel: Any  # a FrontChannel; None once the client left

    def __init__(self, channel: FrontChannel) -> None:
        super().__init__(channel, parsePOSTFormSubmission=False)

    def start(self, head: RequestHead, body: RequestBody) -> None:
        """Begin to answer."""
        self.head = head
        self.body = body
        self.request_id = new_request_id()
        self.started_at = time.perf_counter()
        self.log_fields: dict[str, object] = {}
        self.method = head.method
        self.uri = head.target
        self.clientproto = b"HTTP/1.0" if head.is_http_1_0 else b"HTTP/1.1"
        self.path, _, self.raw_query = head.target.partition(b"?")
        self.args = {}
        self.prepath: list[bytes] = []
        self.postpath = self.path[1:].split(b"/")  # still encoded: each route's converters decode their segments
        self.channel.factory.serve(self)

    def getRequestHostname(self) -> bytes:
        """Give Klein a name to bind its rules to; routes never depend on the host."""
        return b"localhost"

    def header(self, name: bytes) -> bytes | None:
        """Return a header's value by lower-case name, several joined with a comma; None without."""
        values = [value for key, value in self.head.headers if key == name]
        return b", ".join(values) if values else None

    def query(self, name: str) -> str | None:
        """
        Return the last value of a query parameter, decoded; None without.

        Raises:
            InvalidRequest: too many parameters, or not UTF-8.
        """
        found = None
        if self.raw_query:
            try:
                pairs = parse_qsl(
                    self.raw_query.decode("ascii"),
                    keep_blank_values=True,
                    errors="strict",
                    max_num_fields=MAX_QUERY_PARAMETERS,
                )
            except ValueError:
                raise InvalidRequest("malformed query") from None
            for key, value in pairs:
                if key == name:
                    found = value
        return found

    def processingFailed(self, reason: Failure) -> None:
        """Handle what went wrong outside of every handler: log it, and leave no client waiting."""
        log.failure("request {request_id} failed", reason, request_id=self.request_id, event="request.failed")
        if self.is_gone:
            return
        if not self.startedWriting:
            self.setResponseCode(500)
            self.responseHeaders.setRawHeaders(b"content-length", [b"0"])
            self.finish()
        else:
            self.channel.abort()

    @property
    def is_gone(self) -> bool:
        """Whether the connection is lost, so that nobody can be answered."""
        return bool(self._disconnected) or self.channel is None


@implementer(IConsumer)
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
        self._request.producer = None
        self._producer = None

    def write(self, data: bytes) -> None:
        """Send bytes."""
        if self._request.is_gone:
            raise ClientGone
        self._request.write(data)
