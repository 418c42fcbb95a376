"""Blobs made out of other blobs: a member of an archive becomes one of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import IO

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.interfaces import IPushProducer, IReactorTime
from zope.interface import implementer

from pkgregd.clockwork import start, with_deadline
from pkgregd.errors import Unavailable
from pkgregd.interfaces import IBlobSink, IBlobSource
from pkgregd.registry.pages import Run

FILL_SECONDS = 300.0
"""How long one blob may take: the greatest ones are some hundred MiB."""


class Derivations:
    """
    Fills sinks piece by piece: no more than one piece is in memory for each beside what the sink holds.

    Args:
        clock: for the deadline.
        run: runs a job away from the reactor.
    """

    def __init__(self, clock: IReactorTime, run: Run) -> None:
        self._clock = clock
        self._run = run

    async def fill(self, sink: IBlobSink, source: IBlobSource, pieces: Callable[[IO[bytes]], Iterator[bytes]]) -> None:
        """
        Write what is made of a source; who calls commits the sink, and closes the source.

        Raises:
            Unavailable: it took longer than FILL_SECONDS; and what opening the source and `pieces` raise.
        """

        def slow() -> Exception:
            return Unavailable("the archive could not be taken apart in time")

        await with_deadline(self._clock, FILL_SECONDS, ensureDeferred(self._fill(sink, source, pieces)), slow)

    async def _fill(self, sink: IBlobSink, source: IBlobSource, pieces: Callable[[IO[bytes]], Iterator[bytes]]) -> None:
        flow = _Flow()
        sink.registerProducer(flow, True)
        file: IO[bytes] | None = None
        try:
            file = await self._run(source.open_seekable)
            made = pieces(file)
            while not flow.is_stopped and (piece := await self._run(lambda: next(made, None))) is not None:
                sink.write(piece)
                await flow.has_room()
        finally:
            sink.unregisterProducer()
            if file is not None:
                # behind a read that may still be under way, which nobody here waits for
                start(self._run(file.close), "closing an archive")


@implementer(IPushProducer)
class _Flow:
    """
    What a sink asks of whoever fills it.

    Attributes:
        is_stopped: whether the sink has given up; its commit() tells why.
    """

    def __init__(self) -> None:
        self.is_stopped = False
        self._room: Deferred[None] | None = None

    def pauseProducing(self) -> None:
        """See IPushProducer."""
        if self._room is None:
            self._room = Deferred()

    def resumeProducing(self) -> None:
        """See IPushProducer."""
        room, self._room = self._room, None
        if room is not None:
            room.callback(None)

    def stopProducing(self) -> None:
        """See IPushProducer."""
        self.is_stopped = True
        self.resumeProducing()

    async def has_room(self) -> None:
        """Return once the sink takes more, or takes no more at all."""
        if self._room is not None:
            await self._room
