"""Connections to an S3 service."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from OpenSSL.crypto import Error as CryptoError
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.ssl import Certificate, optionsForClientTLS, platformTrust, trustRootFromCertificates
from twisted.web.client import Agent, HTTPConnectionPool
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IBodyProducer, IPolicyForHTTPS, IResponse
from zope.interface import implementer

from pkgregd.errors import ConfigError

CONNECT_SECONDS = 5.0
KEPT_CONNECTIONS = 32
"""Kept open for the next requests; more may be open while they are needed."""

IDLE_SECONDS = 15
"""Services close what is idle for longer."""

MAX_CA_BYTES = 1 << 20


@implementer(IPolicyForHTTPS)
class _Trust:
    """Believes in the authorities of a file, or of the system."""

    def __init__(self, ca_file: Path | None) -> None:
        self._root = platformTrust() if ca_file is None else trustRootFromCertificates(read_authorities(ca_file))

    def creatorForNetloc(self, hostname: bytes, port: int) -> IOpenSSLClientConnectionCreator:
        """See IPolicyForHTTPS."""
        creator: IOpenSSLClientConnectionCreator = optionsForClientTLS(hostname.decode("ascii"), trustRoot=self._root)
        return creator


def read_authorities(ca_file: Path) -> list[Certificate]:
    """
    Read certificates out of a PEM file.

    Raises:
        ConfigError.
    """
    try:
        with ca_file.open("rb") as file:
            text = file.read(MAX_CA_BYTES)
    except OSError as error:
        raise ConfigError(f"blobs.ca_file: {ca_file} cannot be read: {error.strerror}") from None
    end = b"-----END CERTIFICATE-----"
    try:
        found = [Certificate.loadPEM(piece + end) for piece in text.split(end)[:-1]]
    except CryptoError:
        found = []
    if not found:
        raise ConfigError(f"blobs.ca_file: {ca_file} holds no certificate in PEM form")
    return found


@implementer(IAgent)
class _PlainAgent:
    """Asks for bodies as they are stored, whatever is above it."""

    def __init__(self, agent: IAgent) -> None:
        self._agent = agent

    def request(
        self, method: bytes, uri: bytes, headers: Headers | None = None, bodyProducer: IBodyProducer | None = None
    ) -> Deferred[IResponse]:
        """See IAgent."""
        plain = Headers() if headers is None else headers.copy()
        plain.setRawHeaders(b"accept-encoding", [b"identity"])
        return self._agent.request(method, uri, plain, bodyProducer)


def make_agent(reactor: Any, ca_file: Path | None) -> tuple[IAgent, Callable[[], Awaitable[object]]]:
    """
    Return what carries requests, and what closes its connections.

    Args:
        ca_file: certificates of the authorities to believe in instead of the system's.

    Raises:
        ConfigError.
    """
    pool = HTTPConnectionPool(reactor)
    pool.maxPersistentPerHost = KEPT_CONNECTIONS
    pool.cachedConnectionTimeout = IDLE_SECONDS
    pool.retryAutomatically = False  # the client does, and counts
    agent = Agent(reactor, _Trust(ca_file), connectTimeout=CONNECT_SECONDS, pool=pool)

    async def close() -> None:
        await pool.closeCachedConnections()

    return _PlainAgent(agent), close
