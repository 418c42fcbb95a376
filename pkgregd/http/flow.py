"""Sends a body whose length nobody knows, piece by piece, as fast as the client takes it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

from pkgregd.http.request import FrontRequest


@implementer(IPushProducer)
class Flow:
    """The producer of such a body: it has the next piece made only when the connection takes more."""

    def __init__(self) -> None:
        self._is_paused = False
        self._room: Deferred[None] | None = None

    def pauseProducing(self) -> None:
        """See IPushProducer."""
        self._is_paused = True

    def resumeProducing(self) -> None:
        """See IPushProducer."""
        self._is_paused = False
        self._go_on()

    def stopProducing(self) -> None:
        """See IPushProducer. The client left: whoever awaits is cancelled."""
        self._is_paused = False
        self._go_on()

    def _go_on(self) -> None:
        room, self._room = self._room, None
        if room is not None and not room.called:
            room.callback(None)

    async def wait_for_room(self) -> None:
        """Return when more can be sent."""
        while self._is_paused:
            self._room = Deferred()
            await self._room


async def send_flow(request: FrontRequest, pieces: AsyncGenerator[bytes, None]) -> None:
    """
    Send pieces as the chunks of a reply whose head is out, and the end of it.

    Over HTTP/1.0, which knows no chunks, they are sent as they are; the end of the connection is theirs.
    """
    flow = Flow()
    request.registerProducer(flow, True)
    try:
        async with aclosing(pieces):
            async for piece in pieces:
                if request.is_gone:
                    return
                request.write(piece if request.head.is_http_1_0 else b"%x\r\n%b\r\n" % (len(piece), piece))
                await flow.wait_for_room()
        if not request.is_gone and not request.head.is_http_1_0:
            request.write(b"0\r\n\r\n")
    finally:
        if not request.is_gone:
            request.unregisterProducer()
