"""Makes the connections, counts them, and ends them when the daemon stops."""

from __future__ import annotations

import json
import time
import typing
from collections import Counter
from collections.abc import Callable
from http import HTTPStatus

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IProtocolNegotiationFactory, IReactorTime
from twisted.internet.protocol import Protocol, ServerFactory
from zope.interface import implementer

from pkgregd.http.accesslog import CLIENT_LEFT, AccessLog
from pkgregd.http.channel import FrontChannel
from pkgregd.http.parsing import BadRequest
from pkgregd.http.proxies import TrustedProxies
from pkgregd.http.request import NO_TABLE, FrontRequest, new_request_id
from pkgregd.http.settings import FrontSettings
from pkgregd.http.turns import ReadTurns
from pkgregd.interfaces import IMeasures
from pkgregd.unmeasured import UNMEASURED
from pkgregd.values import Gauge, address_key

RETRY = "Retry-After: 2\r\n"
TOO_MANY = "too many connections"


class Connection(typing.Protocol):
    """What is counted and drained."""

    address: str
    is_proxy: bool

    def stop_when_idle(self) -> None:
        """Close soon, or after the present request."""

    def abort(self) -> None:
        """Cut."""


def address_of(addr: IAddress | None) -> str:
    """Return the IP address of whoever connects; empty on a socket in the file system."""
    return getattr(addr, "host", "") or ""


@implementer(IProtocolNegotiationFactory)
class FrontFactory(ServerFactory):
    """
    Args:
        clock: for deadlines.
        settings: of all connections.
        serve: answers a request; called when its headers are complete.
        access_log: told of every request's end.
        measures: told of it, too.

    Attributes:
        trusted_proxies: who is believed about clients.
        bodies, downloads: how many bodies of requests are being read, and how many files sent.
    """

    request_class = FrontRequest
    noisy = False

    def __init__(
        self,
        clock: IReactorTime,
        settings: FrontSettings,
        serve: Callable[[FrontRequest], object],
        access_log: AccessLog,
        measures: IMeasures = UNMEASURED,
    ) -> None:
        self.clock = clock
        self.settings = settings
        self.serve = serve
        self.access_log = access_log
        self.is_draining = False
        self.bodies = 0
        self.downloads = 0
        self.read_turns = ReadTurns(clock)
        self.trusted_proxies = TrustedProxies(settings.trusted_proxies)
        self._channels: set[Connection] = set()
        self._per_address: Counter[str] = Counter()
        self._all_closed: list[Deferred[None]] = []
        self._measures = measures
        measures.watch(Gauge.CLIENT_CONNECTIONS, lambda: len(self._channels))
        measures.watch(Gauge.UPLOADS, lambda: self.bodies)
        measures.watch(Gauge.DOWNLOADS, lambda: self.downloads)

    def acceptableProtocols(self) -> list[bytes]:
        """Offer HTTP/1.1 only: an early refusal over HTTP/2 would end every stream of its connection."""
        return [b"http/1.1"]

    def buildProtocol(self, addr: IAddress | None) -> Protocol:
        """Make a connection, or one that only says that there are too many."""
        return self.connection_of(address_of(addr))

    def connection_of(self, address: str) -> Protocol:
        """Make the connection of a client, or of a proxy, by its address."""
        return self.waiting_room(address) or FrontChannel(self, address)

    def waiting_room(self, address: str) -> Protocol | None:
        """Make what answers where there are too many connections; None if there are not."""
        is_full = len(self._channels) >= self.settings.max_connections
        if is_full or (self._is_crowded(address) and not self.trusted_proxies.trusts(address)):
            return _TooManyConnections(self, address)
        return None

    def _is_crowded(self, address: str) -> bool:
        return self._per_address[address_key(address)] >= self.settings.max_connections_per_address

    def connected(self, channel: Connection) -> None:
        """Count a connection."""
        self._channels.add(channel)
        if not channel.is_proxy:
            self._per_address[address_key(channel.address)] += 1

    def entered(self, address: str) -> None:
        """Count a request that a proxy brings as a connection of its client; BadRequest if there are too many."""
        if self._is_crowded(address):
            raise BadRequest(503, TOO_MANY)
        self._per_address[address_key(address)] += 1

    def left(self, address: str) -> None:
        """Forget a connection of a client."""
        key = address_key(address)
        self._per_address[key] -= 1
        if not self._per_address[key]:
            del self._per_address[key]

    def forget(self, channel: Connection) -> None:
        """Count a connection no more."""
        self._channels.discard(channel)
        if not channel.is_proxy:
            self.left(channel.address)

    def disconnected(self, channel: Connection) -> None:
        """Forget a connection that has ended."""
        self.forget(channel)
        if not self._channels:
            waiting, self._all_closed = self._all_closed, []
            for done in waiting:
                done.callback(None)

    async def drain(self, seconds: float) -> None:
        """
        Let running requests finish, each connection closing after its present one.

        Args:
            seconds: then what still runs is cut.
        """
        self.is_draining = True
        for channel in list(self._channels):
            channel.stop_when_idle()
        if self._channels:
            done: Deferred[None] = Deferred()
            self._all_closed.append(done)
            cut = self.clock.callLater(seconds, self._cut)
            await done
            if cut.active():
                cut.cancel()
        self.access_log.flush()

    def _cut(self) -> None:
        for channel in list(self._channels):
            channel.abort()

    # ------------------------------------------------------------------ the access log, and measures

    def log(self, request: FrontRequest) -> None:
        """Called by a finished request."""
        self.access_log.finished(request, aborted=False)
        self._measure(request)

    def aborted(self, request: FrontRequest) -> None:
        """Called for a request whose client left."""
        self.access_log.finished(request, aborted=True)
        self._measure(request)

    def _measure(self, request: FrontRequest) -> None:
        self._measures.request_ended(
            request.table,
            request.method.decode("ascii"),
            request.status or CLIENT_LEFT,
            time.perf_counter() - request.started_at,
            request.body.received_bytes,
            request.sent_bytes,
            request.log_fields.get("error"),  # type: ignore[arg-type]  # a text, where there is one
            request.is_known,
        )

    def refuse(self, address: str, error: BadRequest) -> bytes:
        """Tell of a message that never became a request, and return the whole reply to it."""
        request_id = new_request_id()
        code = "too_many_connections" if error.status == HTTPStatus.SERVICE_UNAVAILABLE else "malformed"
        self.access_log.refused(address, error.status, error.reason, request_id)
        self._measures.request_ended(NO_TABLE, "", error.status, 0.0, 0, 0, code)
        return _refusal(error, request_id)


def _refusal(error: BadRequest, request_id: str) -> bytes:
    phrase = HTTPStatus(error.status).phrase
    body = json.dumps(
        {
            "message": f"{error.status} {phrase} - {error.reason}",
            "error": error.reason,
            "error_code": "bad_request",
            "request_id": request_id,
        }
    ).encode()
    retry = RETRY if error.status == HTTPStatus.SERVICE_UNAVAILABLE else ""
    head = (
        f"HTTP/1.1 {error.status} {phrase}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        f"X-Request-Id: {request_id}\r\nConnection: close\r\n{retry}\r\n"
    )
    return head.encode() + body


class _TooManyConnections(Protocol):
    """Says 503 and closes, without reading."""

    def __init__(self, factory: FrontFactory, address: str) -> None:
        self._front = factory
        self._address = address

    def connectionMade(self) -> None:
        """Answer and close."""
        transport = self.transport
        assert transport is not None
        abort = transport.abortConnection  # type: ignore[attr-defined] # every stream transport has it
        self._cut = self._front.clock.callLater(self._front.settings.drain_seconds, abort)
        transport.write(self._front.refuse(self._address, BadRequest(503, TOO_MANY)))
        transport.loseConnection()

    def connectionLost(self, reason: object = None) -> None:
        """The deadline is not needed any more."""
        if self._cut.active():
            self._cut.cancel()
