"""The calls to the operating system that durability rests on, as a value that tests replace."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable, Sequence

from attrs import frozen
from twisted.logger import Logger

from pkgregd.errors import BlobMissing, PkgregdError, StorageFull, Unavailable

log = Logger()

FULL_ERRNOS = frozenset({errno.ENOSPC, errno.EDQUOT})
"""What the kernel says when space, inodes or quota run out."""

MAX_VECTORS = 512
"""Buffers in one writev(); the kernel takes 1024."""


def pread_cached(fd: int, size_bytes: int, offset: int) -> bytes | None:
    """Return that piece of a file if all of it is in memory, None if a disk would have to be waited for."""
    buffer = bytearray(size_bytes)
    try:
        found_bytes = os.preadv(fd, [buffer], offset, os.RWF_NOWAIT)
    except BlockingIOError:
        return None
    except OSError as error:
        if error.errno in _CANNOT_SAY:
            return None
        raise
    return bytes(buffer) if found_bytes == size_bytes else None


_CANNOT_SAY = frozenset({errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS})
"""From file systems and kernels that do not know what is in memory."""


@frozen
class FileOperations:
    """Everything that changes files, opens them or locks them. The defaults are the real calls."""

    open: Callable[[str, int, int], int] = os.open
    close: Callable[[int], None] = os.close
    writev: Callable[[int, Sequence[memoryview]], int] = os.writev
    fsync: Callable[[int], None] = os.fsync
    flock: Callable[[int, int], None] = fcntl.flock
    link: Callable[[str, str], None] = os.link
    rename: Callable[[str, str], None] = os.rename
    unlink: Callable[[str], None] = os.unlink
    mkdir: Callable[[str, int], None] = os.mkdir
    rmdir: Callable[[str], None] = os.rmdir
    statvfs: Callable[[str], os.statvfs_result] = os.statvfs
    pread: Callable[[int, int, int], bytes] = os.pread
    pread_cached: Callable[[int, int, int], bytes | None] = pread_cached
    send_file: Callable[[int, int, int, int], int] = os.sendfile


def write_all(operations: FileOperations, fd: int, pieces: Sequence[bytes | bytearray]) -> None:
    """Write all pieces in order without joining them, however short the single writes are."""
    views = [memoryview(piece) for piece in pieces if piece]
    first = 0
    while first < len(views):
        written = operations.writev(fd, views[first : first + MAX_VECTORS])
        if written <= 0:
            raise OSError(errno.EIO, "nothing was written")
        while first < len(views) and written >= len(views[first]):
            written -= len(views[first])
            first += 1
        if written:
            views[first] = views[first][written:]


def fsync_folder(operations: FileOperations, path: str) -> None:
    """Make the entries of a directory durable."""
    fd = operations.open(path, os.O_RDONLY | os.O_DIRECTORY, 0)
    try:
        operations.fsync(fd)
    finally:
        operations.close(fd)


def as_read_error(error: OSError) -> BlobMissing:
    """Say in the words of the house that a blob cannot be read, after the traceback was logged."""
    log.failure("a blob cannot be read", event="blobs.read_failed")
    return BlobMissing(f"the blob cannot be read: {error.strerror}")


def as_search_error(error: OSError) -> Unavailable:
    """Say in the words of the house that nobody can tell what is stored, after the traceback was logged."""
    log.failure("the blob store cannot be looked through", event="blobs.search_failed", errno=error.errno)
    where = f" ({error.filename})" if error.filename else ""
    return Unavailable(f"the blob store cannot be read{where}: {os.strerror(error.errno or errno.EIO)}")


def as_domain_error(error: OSError) -> PkgregdError:
    """
    Say in the words of the house what an I/O error means for an upload.

    Returns:
        StorageFull, or Unavailable after the traceback was logged.
    """
    if error.errno in FULL_ERRNOS:
        return StorageFull()
    log.failure("the blob store cannot be written", event="blobs.io_error", errno=error.errno)
    return Unavailable(f"the blob store cannot be written: {os.strerror(error.errno or errno.EIO)}")
