"""What the downloads of a store share: memory, and the reactor's time."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from pkgregd.clockwork import Shortcut

T = TypeVar("T")

MIN_CHUNK_BYTES = 64 << 10
MAX_CHUNK_BYTES = 1 << 20

READ_AHEAD_BYTES = 8 << 20
"""What all downloads of a store hold in memory together, while MIN_CHUNK_BYTES for each allow it."""

FEW = 4
"""So many downloads may each take a moment of the reactor in one turn."""


class Downloads:
    """
    Counts running downloads, to give each as much as there is.

    Args:
        shortcut: decides whether something is done on the reactor thread.
    """

    def __init__(self, shortcut: Shortcut) -> None:
        self.count = 0
        self._shortcut = shortcut

    def chunk_bytes(self) -> int:
        """How much to read at once: one chunk is with the consumer while the next one is read."""
        return max(MIN_CHUNK_BYTES, min(MAX_CHUNK_BYTES, READ_AHEAD_BYTES // (2 * max(1, self.count))))

    @property
    def may_use_reactor(self) -> bool:
        """Whether a download may do what takes a moment on the reactor thread: else it belongs on another one."""
        return self.count <= FEW and self._shortcut.is_open

    def run_here(self, work: Callable[[], T]) -> T:
        """Do something on the reactor thread, and learn from how long it took."""
        return self._shortcut.run(work)
