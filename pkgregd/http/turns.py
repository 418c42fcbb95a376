"""Turns of the reactor, so that great bodies leave time for small requests."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.internet.tcp import Connection
from twisted.logger import Logger

log = Logger()

TURN_BYTES = 256 << 10
"""When so much of bodies was read in a turn of the reactor, the next body waits for the next turn."""


class ReadTurns:
    """
    Has bodies read one after the other, each time after all else that the reactor has to do.

    A read of a great body takes the reactor as long as several small requests, and it reads from every connection that
    has something: with some great uploads a small request would wait for a read of each of them. Here those that
    have something stand in a queue, and only the first of them are read before the reactor looks again. The others
    leave their bytes where they are: the kernel goes on to report them.

    Args:
        clock: tells when the reactor has done all else.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._queue: dict[Connection, None] = {}
        self._readers: dict[Connection, Callable[[], None]] = {}
        self._is_under_way = False

    def begin(self, transport: Any) -> None:
        """Have a connection wait for its turns from now on (by an attribute of Twisted's TCP transports)."""
        if isinstance(transport, Connection):
            reader = self._readers[transport] = partial(self._wait, transport)
            transport.doRead = reader  # type: ignore[method-assign]

    def end(self, transport: Any) -> None:
        """Let it read whenever there is something, again."""
        self._queue.pop(transport, None)
        if self._reads(transport):
            del transport.doRead
        self._readers.pop(transport, None)

    def skip(self, transport: Any) -> None:
        """It does not want to read at present."""
        self._queue.pop(transport, None)

    def _reads(self, transport: Any) -> bool:
        """Whether it comes to its turns. One that is being aborted reads in a way of its own, not to be touched."""
        reader = self._readers.get(transport)
        return reader is not None and vars(transport).get("doRead") is reader

    def _wait(self, transport: Connection) -> None:
        self._queue.setdefault(transport)
        if not self._is_under_way:
            self._is_under_way = True
            self._clock.callLater(0, self._read)

    def _read(self) -> None:
        """Read from the first ones. One that has ended is left to the reactor, which knows what to do then."""
        self._is_under_way = False
        os.sched_yield()  # beside great bodies the reactor never rests: whoever was just answered may go first
        left_bytes = TURN_BYTES
        while self._queue and left_bytes > 0:
            transport = next(iter(self._queue))
            del self._queue[transport]
            if not transport.connected or not self._reads(transport):
                continue
            left_bytes -= transport.bufferSize
            try:
                has_ended = type(transport).doRead(transport) is not None
            except Exception:
                # as the reactor does: bytes are lost, and what comes behind them must not be taken for the whole
                log.failure("reading a body failed", event="turns.failed")
                transport.abortConnection()
                continue
            if has_ended:
                self.end(transport)
