"""
Files of numbers that have the room they need.

prometheus_client makes its files without any room on the disk, and maps them into memory: whoever writes into one while
the disk is full is killed by the kernel. Here the room is had first, and without it there is an OSError.
"""

from __future__ import annotations

import os
import pathlib

from prometheus_client import values
from prometheus_client.mmap_dict import MmapedDict

FIRST_BYTES = 64 << 10
MOST_BESIDE_KEY_BYTES = 32
"""What a number takes beside its name: its length, some letters to fill up, and two doubles."""


class RoomyDict(MmapedDict):
    """The numbers of one kind of one process."""

    def __init__(self, filename: str, read_mode: bool = False) -> None:
        _make_room(pathlib.Path(filename))
        super().__init__(filename, read_mode)

    def _init_value(self, key: str) -> None:
        """Begin a number; the file grows as the library lets it, by doubling."""
        wanted_bytes = self._used + len(key.encode("utf-8")) + MOST_BESIDE_KEY_BYTES
        capacity_bytes = self._capacity
        while capacity_bytes < wanted_bytes:
            capacity_bytes *= 2
        if capacity_bytes > self._capacity:
            os.posix_fallocate(self._f.fileno(), 0, capacity_bytes)
        super()._init_value(key)


def _make_room(path: pathlib.Path) -> None:
    """Make a file if it is not there, under its name only when it has its room: nobody can read an empty one."""
    if path.exists():
        return
    fresh = path.with_suffix(".new")
    number = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.posix_fallocate(number, 0, FIRST_BYTES)
        os.replace(fresh, path)
    except OSError:
        os.unlink(fresh)
        raise
    finally:
        os.close(number)


def have_room() -> None:
    """Have prometheus_client make its files so from now on (by a name of its own, pinned by a test)."""
    values.MmapedDict = RoomyDict  # type: ignore[attr-defined]
