"""Fetching a small document from an issuer, within bounds."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import treq
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from pkgregd.clockwork import with_deadline
from pkgregd.errors import Unavailable

MAX_DOCUMENT_BYTES = 128 * 1024
"""What an issuer has to say is a tenth of that; it is parsed on the reactor thread."""

FETCH_SECONDS = 10.0
HEADERS: dict[bytes | str, bytes | str] = {"Accept": "application/json", "User-Agent": "pkgregd"}

Fetch: TypeAlias = Callable[[str], Awaitable[bytes]]
"""Takes a URL, returns the body of a 200, or raises Unavailable."""

_WHOLE = ("twisted.web._newclient.ResponseDone", "twisted.web.http.PotentialDataLoss")
"""How Twisted says that a body has ended; by name, since HTTP is for another layer, and a test fails when they go."""


class _Collector(Protocol):
    """Collects a body up to its limit; `whole` fires with it, and cancelling that closes the connection."""

    def __init__(self) -> None:
        self.whole: Deferred[bytes] = Deferred(lambda _: self._close())
        self._received = bytearray()

    def dataReceived(self, data: bytes) -> None:
        """Take a piece."""
        self._received += data
        if len(self._received) > MAX_DOCUMENT_BYTES:
            self._settle(Failure(Unavailable(f"it answers more than {MAX_DOCUMENT_BYTES} bytes")))
            self._close()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Know that this was all."""
        self._settle(bytes(self._received) if reason.check(*_WHOLE) else reason)

    def _settle(self, result: bytes | Failure) -> None:
        if not self.whole.called:
            self.whole.callback(result)

    def _close(self) -> None:
        if self.transport is not None:
            self.transport.loseConnection()


def make_fetch(reactor: Any) -> Fetch:
    """Make what fetches over the network: with certificates checked, and without following redirects."""

    async def fetch(url: str) -> bytes:
        asking = ensureDeferred(_get(reactor, url))
        return await with_deadline(reactor, FETCH_SECONDS, asking, _too_slow)

    return fetch


def _too_slow() -> Exception:
    return Unavailable(f"it does not answer within {FETCH_SECONDS:g} seconds")


async def _get(reactor: Any, url: str) -> bytes:
    response = await treq.get(
        url,
        headers=HEADERS,
        allow_redirects=False,
        persistent=False,
        reactor=reactor,
    )
    collector = _Collector()
    response.deliverBody(collector)
    if response.code != 200:
        collector.whole.addErrback(lambda _: None)
        collector.whole.cancel()
        raise Unavailable(f"it answers {response.code}")
    return await collector.whole
