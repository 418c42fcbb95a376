"""Descriptors that threads use and the reactor closes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Descriptor:
    """
    A file descriptor that can be closed at any time, also while a thread uses it.

    The kernel gives the number of a closed descriptor to the next one that is opened, which may be anybody's: so it
    is really closed when the last use has ended.

    Args:
        fd: now ours.
        close: closes it.

    Thread safety: any thread, any time.
    """

    def __init__(self, fd: int, close: Callable[[int], None]) -> None:
        self._fd = fd
        self._close = close
        self._lock = threading.Lock()
        self._user_count = 0
        self._is_closed = False

    @contextmanager
    def in_use(self) -> Iterator[int | None]:
        """Give the number, for as long as the context lasts; None once it is closed."""
        with self._lock:
            is_open = not self._is_closed
            self._user_count += is_open
        try:
            yield self._fd if is_open else None
        finally:
            with self._lock:
                self._user_count -= is_open
                self._close_if_unused()

    def close(self) -> None:
        """Close now, or when the last use is over."""
        with self._lock:
            self._is_closed = True
            self._close_if_unused()

    def _close_if_unused(self) -> None:
        if self._is_closed and not self._user_count and self._fd >= 0:
            fd, self._fd = self._fd, -1
            self._close(fd)
