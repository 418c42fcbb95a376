"""A disk that records, fails, fills up and dies as a test wants."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from functools import partial
from typing import Any

from attrs import fields, frozen

from pkgregd.blobs.operations import FileOperations

READING = frozenset({"pread", "pread_cached", "send_file", "statvfs"})


class Died(BaseException):
    """The process was killed: nothing of it runs any more, not even what handles errors."""


@frozen
class Call:
    """One call that was made, with paths in place of file descriptors."""

    name: str
    paths: tuple[str, ...]
    size_bytes: int = 0

    def __str__(self) -> str:
        return f"{self.name} {' '.join(os.path.basename(path) for path in self.paths)}"


class Disk:
    """
    Real file operations with a record.

    Attributes:
        calls: what was done, without mere reading.
        fail_at: number of the call that fails, and how.
        die_at: number of the first call that is not made any more.
        room_bytes: how much can still be written; None has no end.
        fds: what is open, by descriptor.
    """

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.fail_at: tuple[int, int] | None = None
        self.die_at: int | None = None
        self.room_bytes: int | None = None
        self.fds: dict[int, str] = {}
        real = FileOperations()
        names = [field.name for field in fields(FileOperations)]
        self.operations = FileOperations(**{name: partial(self._call, name, getattr(real, name)) for name in names})

    def _call(self, name: str, real: Callable[..., Any], *args: Any) -> Any:
        if name in READING:
            return real(*args)
        number = len(self.calls)
        if self.die_at is not None and number >= self.die_at:
            raise Died
        on_fd = name in ("writev", "fsync", "flock", "close")
        paths = (self.fds[args[0]],) if on_fd else tuple(arg for arg in args if isinstance(arg, str))
        size_bytes = sum(map(len, args[1])) if name == "writev" else 0
        self.calls.append(Call(name, paths, size_bytes))
        if name == "close":
            del self.fds[args[0]]
            real(*args)
        if self.fail_at is not None and self.fail_at[0] == number:
            raise OSError(self.fail_at[1], os.strerror(self.fail_at[1]))
        if name == "close":
            return None
        if name == "writev" and self.room_bytes is not None:
            if size_bytes > self.room_bytes:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self.room_bytes -= size_bytes
        result = real(*args)
        if name == "open":
            self.fds[result] = args[0]
        return result

    def bury(self) -> None:
        """Do what the kernel does for a process that was killed: close its files, which drops its locks."""
        for fd in self.fds:
            os.close(fd)
        self.fds.clear()

    def names(self) -> list[str]:
        """The names of the calls."""
        return [call.name for call in self.calls]


class PowerCut:
    """
    What is left of recorded calls when the power goes, in the worst case that POSIX allows.

    Only what fsync() was called for is there: bytes by fsync of the file, entries by
    fsync of their directory.

    Args:
        calls: everything since the root was made.
        root: it and all above it are taken as durable.
    """

    def __init__(self, calls: list[Call], root: str) -> None:
        self._root = root
        entries: dict[str, int] = {}
        self._durable_entries: dict[str, dict[str, int]] = {}
        written: dict[int, int] = {}
        self._durable_bytes: dict[int, int] = {}
        for number, call in enumerate(calls):
            path = call.paths[0]
            if call.name == "mkdir" or (call.name == "open" and path not in entries):
                entries.setdefault(path, number)
            elif call.name == "writev":
                written[entries[path]] = written.get(entries[path], 0) + call.size_bytes
            elif call.name == "link":
                entries[call.paths[1]] = entries[path]
            elif call.name == "rename":
                entries[call.paths[1]] = entries.pop(path)
            elif call.name in ("unlink", "rmdir"):
                entries.pop(path, None)
            elif call.name == "fsync":
                self._durable_bytes[entries.get(path, -1)] = written.get(entries.get(path, -1), 0)
                self._durable_entries[path] = {
                    entry: inode for entry, inode in entries.items() if os.path.dirname(entry) == path
                }

    def size_bytes(self, path: str) -> int | None:
        """How many bytes of a file are left, None if the file or a directory above it is not."""
        above = os.path.dirname(path)
        while above != self._root:
            if above not in self._durable_entries.get(os.path.dirname(above), {}):
                return None
            above = os.path.dirname(above)
        inode = self._durable_entries.get(os.path.dirname(path), {}).get(path)
        return None if inode is None else self._durable_bytes.get(inode)
