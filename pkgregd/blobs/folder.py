"""
The folder of a file store, and the order of calls that makes it durable.

Everything here blocks, so it runs on worker threads.

```
root/sha256/aa/bb/<64 hex>          the blobs
root/staging/<random>/.lock         one folder per process, locked (flock) while the process lives
root/staging/<random>/<number>      bytes of an upload that is not committed
root/staging/<random>/<number>.<64 hex>
                                    a marker: this upload has put, or was about to put, that blob in place,
                                    and nobody has let go of it yet
root/locks/aa                       flock shared: an upload of a blob aa… is between commit and abort;
                                    flock exclusive: a blob aa… is being removed
```

File names are made of digests, counters and random numbers, never of a client's text.
"""

from __future__ import annotations

import datetime
import errno
import fcntl
import itertools
import os
import re
import secrets
import stat
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from attrs import frozen
from twisted.logger import Logger

from pkgregd.blobs.digesting import Digester
from pkgregd.blobs.operations import FileOperations, fsync_folder, write_all
from pkgregd.errors import StorageFull
from pkgregd.values import BlobInfo, Digest

log = Logger()

RESERVED_INODES = 1024
"""Free inodes below which uploads are refused, where the file system counts them."""

SPACE_CHECK_BYTES = 64 << 20
"""How much one upload writes between two looks at the free space."""

LOST_ERRNOS = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EIO, errno.EUCLEAN, errno.EBADMSG})
"""What the kernel says of a file that is not there, or that a damaged disk has lost."""

_FILE_MODE = 0o640
_FOLDER_MODE = 0o750
_LOCK_NAME = ".lock"
_PROBE_NAME = ".probe"
_PREFIX = re.compile(r"[0-9a-f]{2}", re.ASCII)
_HEX = re.compile(r"[0-9a-f]{64}", re.ASCII)


def _share(fd: int, folder: str) -> None:
    """Give a file that root has made for an operator to whom its folder belongs: the daemon has to open it, too."""
    if os.geteuid() == 0:
        owner = os.stat(folder)
        if os.fstat(fd).st_uid != owner.st_uid:
            os.fchown(fd, owner.st_uid, owner.st_gid)


@frozen
class Lock:
    """A flock that is held. It has a file descriptor of its own, so that locks of one process count like others'."""

    operations: FileOperations
    fd: int

    @classmethod
    def try_take(cls, operations: FileOperations, path: str, kind: int) -> Lock | None:
        """Take the lock (LOCK_SH or LOCK_EX) without waiting; None if it is held against us."""
        fd = operations.open(path, os.O_RDWR | os.O_CREAT, _FILE_MODE)
        try:
            _share(fd, os.path.dirname(path))
            operations.flock(fd, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            operations.close(fd)
            return None
        except BaseException:
            operations.close(fd)
            raise
        return cls(operations, fd)

    @property
    def is_orphan(self) -> bool:
        """Whether the lock file was deleted before we got the lock."""
        return os.fstat(self.fd).st_nlink == 0

    def release(self) -> None:
        """Let go, also if a forked child holds a copy of the descriptor."""
        try:
            self.operations.flock(self.fd, fcntl.LOCK_UN)
        finally:
            self.operations.close(self.fd)


@frozen
class DeadStaging:
    """The staging folder of a process that is gone, locked by us so that nobody else clears it."""

    path: str
    lock: Lock

    def names(self) -> list[str]:
        """The files in it, in order of name."""
        return sorted(name for name in os.listdir(self.path) if name != _LOCK_NAME)


def marked_digest(name: str) -> Digest | None:
    """Return the digest that a staging file marks, None for uncommitted bytes."""
    _, _, hex_digits = name.partition(".")
    return Digest("sha256", hex_digits) if _HEX.fullmatch(hex_digits) else None


def _names(folder: str) -> list[str]:
    """List what is in a folder: nothing if it is gone, lost, or none at all."""
    try:
        return os.listdir(folder)
    except OSError as error:
        if error.errno not in LOST_ERRNOS:
            raise
        return []


def _status(path: str, look: Callable[[str], os.stat_result]) -> os.stat_result | None:
    """Look at a file; None if it is not there, or lost."""
    try:
        return look(path)
    except OSError as error:
        if error.errno not in LOST_ERRNOS:
            raise
        return None


class BlobFolder:
    """
    The files of a store.

    Args:
        root: made if missing.
        operations: the real ones, or a test's.
        reserve_bytes: free space below which uploads are refused.

    Thread safety: any thread, any time.
    """

    def __init__(self, root: Path, operations: FileOperations, reserve_bytes: int) -> None:
        self.operations = operations
        self._root = os.path.abspath(root)
        self._blobs = os.path.join(self._root, "sha256")
        self._all_staging = os.path.join(self._root, "staging")
        self._locks = os.path.join(self._root, "locks")
        self._reserve_bytes = reserve_bytes
        self._opening = threading.Lock()
        self._is_prepared = False
        self._staging: tuple[str, Lock] | None = None
        self._numbers = itertools.count()
        # one flag per aa, and per aa/bb: this process has made sure that the directory itself survives a power cut
        self._is_outer_durable = bytearray(1 << 8)
        self._is_durable = bytearray(1 << 16)

    # ------------------------------------------------------------------ the blobs

    @staticmethod
    def locator(sha256_hex: str) -> str:
        """Where a blob lies below the root."""
        return f"sha256/{sha256_hex[:2]}/{sha256_hex[2:4]}/{sha256_hex}"

    def path(self, blob: Digest) -> str:
        """Where a blob lies, made of its digest alone."""
        return os.path.join(self._root, self.locator(blob.hex))

    def size_bytes(self, blob: Digest) -> int | None:
        """Length of a stored blob, None if it is not there, or lost."""
        status = _status(self.path(blob), os.stat)
        return None if status is None else status.st_size

    def put(self, staged_path: str, blob: Digest) -> None:
        """
        Move complete, synced bytes to their place.

        A copy that is there already is replaced: ours was verified a moment ago, the
        old one may have been damaged since.
        """
        final = self.path(blob)
        folder = os.path.dirname(final)
        self._make_blob_folder(blob.hex)
        self.operations.rename(staged_path, final)
        # also when equal bytes were there: whoever put them may not have synced them yet
        fsync_folder(self.operations, folder)

    def take_away(self, blob: Digest) -> bool:
        """Delete a blob for good; False if it is not there. Only under its exclusive lock."""
        final = self.path(blob)
        try:
            self.operations.unlink(final)
        except FileNotFoundError:
            return False
        fsync_folder(self.operations, os.path.dirname(final))
        return True

    def prefixes(self) -> list[str]:
        """The first two digits of the blobs that there are."""
        try:
            return sorted(name for name in os.listdir(self._blobs) if _PREFIX.fullmatch(name))
        except FileNotFoundError:
            return []

    def walk(self, prefix: str) -> list[tuple[BlobInfo, datetime.datetime]]:
        """All blobs of one prefix, with the time they were written."""
        return list(self._walk(prefix))

    def _walk(self, prefix: str) -> Iterator[tuple[BlobInfo, datetime.datetime]]:
        top = os.path.join(self._blobs, prefix)
        for middle in sorted(_names(top)):
            if not _PREFIX.fullmatch(middle):
                continue
            folder = os.path.join(top, middle)
            for name in _names(folder):
                if not _HEX.fullmatch(name) or not name.startswith(prefix + middle):
                    continue
                status = _status(os.path.join(folder, name), os.lstat)
                if status is None or stat.S_ISDIR(status.st_mode):
                    continue
                blob = BlobInfo(
                    sha256=Digest("sha256", name),
                    size_bytes=status.st_size,
                    locator=self.locator(name),
                    digests={"sha256": name},
                )
                yield blob, datetime.datetime.fromtimestamp(status.st_mtime, datetime.UTC)

    def _make_blob_folder(self, sha256_hex: str) -> None:
        """Make aa/bb, and know that both will be there after a power cut."""
        outer = os.path.join(self._blobs, sha256_hex[:2])
        inner = os.path.join(outer, sha256_hex[2:4])
        index = int(sha256_hex[:4], 16)
        try:
            made = self._make(inner)
        except FileNotFoundError:
            self._make(outer)
            self._make(inner)
            made = True
        if made or not self._is_durable[index]:
            # another process may have made them without having come to its fsync yet
            if not self._is_outer_durable[index >> 8]:
                fsync_folder(self.operations, self._blobs)
                self._is_outer_durable[index >> 8] = True
            fsync_folder(self.operations, outer)
            self._is_durable[index] = True

    def _make(self, path: str) -> bool:
        try:
            self.operations.mkdir(path, _FOLDER_MODE)
        except FileExistsError:
            return False
        return True

    # ------------------------------------------------------------------ locks

    def try_pin(self, blob: Digest) -> Lock | None:
        """Keep everybody from removing a blob; None while one of its prefix is being removed."""
        return self._try_lock(blob, fcntl.LOCK_SH)

    def try_exclude(self, blob: Digest) -> Lock | None:
        """Keep uploads of a blob from being committed; None while one of its prefix is pinned."""
        return self._try_lock(blob, fcntl.LOCK_EX)

    def _try_lock(self, blob: Digest, kind: int) -> Lock | None:
        self.prepare()
        return Lock.try_take(self.operations, os.path.join(self._locks, blob.hex[:2]), kind)

    # ------------------------------------------------------------------ staging

    def prepare(self) -> None:
        """Make what every store has."""
        if self._is_prepared:
            return
        with self._opening:
            missing = []
            path = self._root
            while not os.path.isdir(path):
                missing.append(path)
                path = os.path.dirname(path)
            for path in reversed(missing):
                if self._make(path):
                    fsync_folder(self.operations, os.path.dirname(path) or ".")
            for path in (self._blobs, self._all_staging, self._locks):
                self._make(path)
            fsync_folder(self.operations, self._root)
            self._is_prepared = True

    def new_staging_path(self) -> str:
        """A path for new bytes in this process's own folder, which is made with the first."""
        self.prepare()
        with self._opening:
            if self._staging is None:
                self._staging = self._open_staging()
        return os.path.join(self._staging[0], str(next(self._numbers)))

    def _open_staging(self) -> tuple[str, Lock]:
        while True:
            path = os.path.join(self._all_staging, secrets.token_hex(8))
            try:
                self.operations.mkdir(path, _FOLDER_MODE)
                lock = Lock.try_take(self.operations, os.path.join(path, _LOCK_NAME), fcntl.LOCK_EX)
            except (FileExistsError, FileNotFoundError):
                continue
            if lock is None:
                continue
            if not lock.is_orphan:
                return path, lock
            # someone's recover() met the folder before we had locked it, and cleared it away
            lock.release()

    def staging_names(self) -> list[str]:
        """The staging folders of all processes, dead or alive."""
        try:
            return sorted(os.listdir(self._all_staging))
        except FileNotFoundError:
            return []

    def try_bury(self, name: str) -> DeadStaging | None:
        """Take over a staging folder, unless its process lives (ours does) or another one is at it."""
        path = os.path.join(self._all_staging, name)
        try:
            lock = Lock.try_take(self.operations, os.path.join(path, _LOCK_NAME), fcntl.LOCK_EX)
        except (FileNotFoundError, NotADirectoryError):
            return None
        if lock is None:
            return None
        if lock.is_orphan:
            lock.release()
            return None
        return DeadStaging(path, lock)

    def leftovers(self, name: str) -> list[str]:
        """Name the files in a staging folder whose process is gone."""
        dead = self.try_bury(name)
        if dead is None:
            return []
        try:
            return [os.path.join("staging", name, left) for left in dead.names()]
        finally:
            dead.lock.release()

    def drop(self, dead: DeadStaging, name: str) -> None:
        """Delete one file of a dead process."""
        self.operations.unlink(os.path.join(dead.path, name))

    def leave(self, dead: DeadStaging) -> None:
        """End a burial; the folder goes when nothing is left in it."""
        try:
            self._remove_staging(dead.path)
        finally:
            dead.lock.release()

    def _remove_staging(self, path: str) -> None:
        # while the lock is held: whoever locks the deleted file sees that it is an orphan
        if os.listdir(path) == [_LOCK_NAME]:
            self.operations.unlink(os.path.join(path, _LOCK_NAME))
            try:
                self.operations.rmdir(path)
            except OSError as error:
                # not empty: its maker, who was slow to lock it, has just made a lock file of its own
                if error.errno != errno.ENOTEMPTY:
                    raise

    def close(self) -> None:
        """Leave nothing behind but what a later recover() has to decide about. No job may run any more."""
        if self._staging is not None:
            (path, lock), self._staging = self._staging, None
            try:
                self._remove_staging(path)
            finally:
                lock.release()

    # ------------------------------------------------------------------ space

    def demand_space(self) -> None:
        """
        Pass if there is room for uploads.

        Raises:
            StorageFull: less than the reserve is free.
        """
        self.prepare()
        status = self.operations.statvfs(self._root)
        # a file system without a table of inodes (btrfs) says 0 of 0; a small one has few to reserve
        reserved_inodes = min(RESERVED_INODES, status.f_files // 50)
        if status.f_bavail * status.f_frsize < self._reserve_bytes or status.f_favail < reserved_inodes:
            raise StorageFull

    def probe(self) -> None:
        """Write a file and delete it, to see whether that works."""
        path = f"{self.new_staging_path()}{_PROBE_NAME}"
        fd = self.operations.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _FILE_MODE)
        try:
            write_all(self.operations, fd, [b"probe"])
        finally:
            self.operations.close(fd)
            self.operations.unlink(path)


class StagedFile:
    """
    The bytes of one upload on their way to the disk.

    Args:
        folder: where.

    Thread safety: at most one thread at a time; the sink sees to that.
    """

    def __init__(self, folder: BlobFolder) -> None:
        self.digester = Digester()
        self._folder = folder
        self._operations = folder.operations
        self._fd: int | None = None
        self._path: str | None = None
        self._marker: str | None = None
        self._pin: Lock | None = None
        self._info: BlobInfo | None = None
        self._size_bytes = 0
        self._unchecked_bytes = 0
        self._is_put = False
        self._is_durable = False

    @property
    def is_on_disk(self) -> bool:
        """Whether there is something for discard() to do."""
        return any(thing is not None for thing in (self._fd, self._path, self._marker, self._pin))

    def append(self, pieces: Sequence[bytes | bytearray]) -> None:
        """Hash and write."""
        self.digester.update(pieces)
        self._write(pieces)

    def commit(self, pieces: Sequence[bytes | bytearray], expected: Sequence[Digest]) -> BlobInfo | None:
        """
        Take the last pieces, make everything durable and visible.

        Returns:
            None if the blob could not be pinned yet: try finish() again.

        Raises:
            DigestMismatch, StorageFull, OSError.
        """
        self.digester.update(pieces)
        digests = self.digester.finish(expected)
        self._write(pieces)
        assert self._fd is not None
        assert self._path is not None
        # the same descriptor from the first write on: only so does fsync() report every lost page
        self._operations.fsync(self._fd)
        self._close()
        marker = f"{self._path}.{digests['sha256']}"
        self._operations.link(self._path, marker)
        self._marker = marker
        self._info = BlobInfo(
            sha256=Digest("sha256", digests["sha256"]),
            size_bytes=self._size_bytes,
            locator=self._folder.locator(digests["sha256"]),
            digests=digests,
        )
        return self.finish()

    def finish(self) -> BlobInfo | None:
        """Pin and put in place what commit() prepared; see there."""
        assert self._info is not None
        assert self._path is not None
        self._pin = self._folder.try_pin(self._info.sha256)
        if self._pin is None:
            return None
        path, self._path = self._path, None
        try:
            self._folder.put(path, self._info.sha256)
        except BaseException:
            self._is_put = not os.path.exists(path)
            if not self._is_put:
                self._path = path
            raise
        self._is_put = self._is_durable = True
        return self._info

    def discard(self) -> None:
        """
        Delete what is in staging and let go of the pin. Idempotent; never raises OSError.

        A marker stays if the blob is in place but not known to be durable: nobody will
        publish it, so recover() removes it after this process.
        """
        self._attempt(self._close)
        path, self._path = self._path, None
        if path is not None:
            self._attempt(lambda: self._operations.unlink(path))
        marker, self._marker = self._marker, None
        if marker is not None and (self._is_durable or not self._is_put):
            self._attempt(lambda: self._operations.unlink(marker))
        pin, self._pin = self._pin, None
        if pin is not None:
            self._attempt(pin.release)

    @staticmethod
    def _attempt(action: Callable[[], None]) -> None:
        try:
            action()
        except FileNotFoundError:
            pass
        except OSError:
            log.failure("an upload could not be cleared away; recovery will", event="blobs.discard_failed")

    def _write(self, pieces: Sequence[bytes | bytearray]) -> None:
        if self._fd is None:
            path = self._folder.new_staging_path()
            self._fd = self._operations.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _FILE_MODE)
            self._path = path
        write_all(self._operations, self._fd, pieces)
        size_bytes = sum(map(len, pieces))
        self._size_bytes += size_bytes
        self._unchecked_bytes += size_bytes
        if self._unchecked_bytes >= SPACE_CHECK_BYTES:
            self._unchecked_bytes = 0
            self._folder.demand_space()

    def _close(self) -> None:
        fd, self._fd = self._fd, None
        if fd is not None:
            self._operations.close(fd)
