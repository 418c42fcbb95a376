"""
Connections that begin with the PROXY protocol.

Twisted's `haproxy:` endpoint would wrap the transport, which our channel wants as it is; it makes the channel before it
knows the client, believes everybody, and waits for ever.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Protocol, ServerFactory, connectionDone
from twisted.python.failure import Failure

from pkgregd.http.channel import PARTING_SECONDS
from pkgregd.http.factory import FrontFactory, address_of
from pkgregd.http.proxyheader import BadProxyHeader, read_proxy_header

ENDPOINT = "haproxy:"
"""What stands before the description of an endpoint whose connections begin so."""


class ProxiedFactory(ServerFactory):
    """
    Makes connections of trusted proxies alone; others are closed.

    Args:
        front: makes the connections behind the header.
    """

    noisy = False

    def __init__(self, front: FrontFactory) -> None:
        self._front = front

    def buildProtocol(self, addr: IAddress | None) -> Protocol | None:
        """Wait for the header, if the proxy is trusted and there is room."""
        address = address_of(addr)
        if not self._front.trusted_proxies.trusts(address):
            self._front.access_log.refused(address, 403, "no trusted proxy")
            return None
        return self._front.waiting_room(address) or ProxyGreeting(self._front, address)


class ProxyGreeting(Protocol):
    """
    A connection before its header is complete.

    Args:
        front: makes the connection behind it.
        address: the proxy's.
    """

    transport: Any
    is_proxy = True

    def __init__(self, front: FrontFactory, address: str) -> None:
        self.address = address
        self._front = front
        self._data = b""

    def connectionMade(self) -> None:
        """Count the connection, and wait no longer than for a request."""
        self._front.connected(self)
        seconds = self._front.settings.header_timeout_seconds
        self._deadline = self._front.clock.callLater(seconds, self._refuse, "no PROXY header in time")

    def dataReceived(self, data: bytes) -> None:
        """Look for the end of the header, and have the client's bytes read behind it."""
        self._data += data
        try:
            header = read_proxy_header(self._data)
        except BadProxyHeader:
            self._refuse("no PROXY header")
            return
        if header is not None:
            self._hand_over(header.address, self._data[header.size_bytes :])

    def _hand_over(self, client: str | None, rest: bytes) -> None:
        """Give the transport to the connection proper (an attribute of Twisted's transports, pinned by a test)."""
        transport, self._data = self.transport, b""
        self._end_deadline()
        self._front.forget(self)
        following: Any = self._front.connection_of(self.address if client is None else client)
        if client is None:
            following.is_proxy = False  # the requests are of whom it does not know, who could name anybody
        transport.protocol = following
        following.makeConnection(transport)
        if rest:
            following.dataReceived(rest)

    def _refuse(self, reason: str) -> None:
        self._front.access_log.refused(self.address, 400, reason)
        self.abort()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Forget the connection."""
        self._end_deadline()
        self._front.disconnected(self)

    def _end_deadline(self) -> None:
        if self._deadline.active():
            self._deadline.cancel()

    def stop_when_idle(self) -> None:
        """The daemon drains: nothing has been asked yet, but may be on its way."""
        if self._deadline.active():
            self._deadline.reset(PARTING_SECONDS)

    def abort(self) -> None:
        """Cut the connection."""
        self.transport.abortConnection()
