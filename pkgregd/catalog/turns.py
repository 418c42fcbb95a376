"""Turns: so many at once, the others one after the other, nobody for ever."""

from __future__ import annotations

from collections import deque

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime


class TooMany(Exception):
    """Too many wait already."""


class TooLate(Exception):
    """No turn came in time."""


class Turns:
    """
    Turns of which so many go on at once; who comes later waits, in the order of coming.

    Args:
        clock: of the reactor.
        count: how many go on at once.
        max_waiting: how many may wait for one.

    Attributes:
        taken: how many go on now.

    Reactor: every method on the reactor thread.
    Cancellation: of take() gives the place up.
    """

    def __init__(self, clock: IReactorTime, count: int, max_waiting: int) -> None:
        self._clock = clock
        self._count = count
        self._max_waiting = max_waiting
        self._waiting: deque[Deferred[None]] = deque()
        self.taken = 0

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiting)

    @property
    def must_wait(self) -> bool:
        """Whether who comes now has to wait."""
        return self.taken >= self._count

    async def take(self, max_seconds: float) -> None:
        """
        Take a turn; the caller ends it.

        Raises:
            TooMany. TooLate.
        """
        if not self.must_wait:
            self.taken += 1
            return
        if len(self._waiting) >= self._max_waiting:
            raise TooMany
        turn: Deferred[None] = Deferred()
        self._waiting.append(turn)
        timer = self._clock.callLater(max_seconds, self._expire, turn)
        try:
            await turn
        except CancelledError:
            if turn in self._waiting:
                self._waiting.remove(turn)
            raise
        finally:
            if timer.active():
                timer.cancel()

    def _expire(self, turn: Deferred[None]) -> None:
        self._waiting.remove(turn)
        turn.errback(TooLate())

    def end(self) -> None:
        """
        Hand a turn to whoever waits longest, if anybody does.

        Not before the reactor comes round: one that fails at once would hand it on from within, and so a thousand.
        """
        if self._waiting:
            self._clock.callLater(0, self._hand_on)
        else:
            self.taken -= 1

    def _hand_on(self) -> None:
        if self._waiting:
            self._waiting.popleft().callback(None)
        else:
            self.taken -= 1
