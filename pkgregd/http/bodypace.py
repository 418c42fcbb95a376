"""How fast a body has to come."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from pkgregd.errors import BodyTooSlow
from pkgregd.http.settings import FrontSettings


class BodyPace:
    """
    Ends a body that comes too slowly although we are reading all the time, or that takes too long altogether.

    Args:
        clock: for the deadlines.
        settings: what is too slow, and too long.
        fail: is told how it ends.
    """

    def __init__(self, clock: IReactorTime, settings: FrontSettings, fail: Callable[[Exception], None]) -> None:
        self._clock = clock
        self._settings = settings
        self._fail = fail
        self._check: IDelayedCall | None = None
        self._deadline: IDelayedCall | None = None
        self._bytes = 0
        self._is_paused = self._was_paused = False

    def start(self) -> None:
        """A body begins to come, or will when we read."""
        self._bytes = 0
        self._was_paused = self._is_paused
        self._check = self._clock.callLater(self._settings.body_grace_seconds, self._look)
        self._deadline = self._clock.callLater(self._settings.max_body_seconds, self._fail, BodyTooSlow())

    def count(self, size_bytes: int) -> None:
        """So much has come."""
        self._bytes += size_bytes

    def pause(self) -> None:
        """We do not read, so that nothing can be said of this stretch of time."""
        self._is_paused = self._was_paused = True

    def resume(self) -> None:
        """We read again."""
        self._is_paused = False

    def stop(self) -> None:
        """It has come, or is given up."""
        for call in (self._check, self._deadline):
            if call is not None and call.active():
                call.cancel()
        self._check = self._deadline = None

    def _look(self) -> None:
        """Refuse a body of which too little came since the last look."""
        least_bytes = self._settings.body_min_bytes_per_second * self._settings.body_grace_seconds
        self._check = None
        if self._bytes < least_bytes and not self._was_paused:
            self._fail(BodyTooSlow())
            return
        self._bytes = 0
        self._was_paused = self._is_paused
        self._check = self._clock.callLater(self._settings.body_grace_seconds, self._look)
