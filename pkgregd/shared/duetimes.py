"""
Due times in a file that the processes of one host read and write.

    header, 64 bytes    magic, version, ways, sets, the boot it is of, the salt of its keys, CRC-32 of all that
    sets x 128 bytes    8 ways of 16 bytes each: 8 bytes of the key's digest, the due time as a double

A key belongs to one set; of a full one the entry is forgotten that is due first, whose caller has the most of its
budget left. A set is changed under a lock of the kernel on its first byte, which belongs to the process: it
is gone when that dies, and a child that was forked has none of its parent's. What dies within a change leaves
one due time that is wrong, and no reader takes one for more than its budget. The file is not mapped into memory: who
empties it by hand would end every process that looks into it.

Times are those of CLOCK_MONOTONIC, which all processes of a host share and every boot begins anew; so a file of
another boot is worth nothing.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import pathlib
import stat
import struct
import time
import zlib

from twisted.logger import Logger
from zope.interface import implementer

from pkgregd.errors import Unavailable
from pkgregd.interfaces import IDueTimes
from pkgregd.values import pushed

log = Logger()

MAGIC = b"PKGRDUE\n"
VERSION = 1
WAYS = 8
SETS = 16_384
"""131 072 callers in 2 MiB."""

PATIENCE_SECONDS = 0.01
LEAST_PATIENCE_SECONDS = 0.00005
"""
How long a request waits for another process to be done with a set, which takes some microseconds unless the
scheduler takes the processor away from it. Each time in vain halves it: whoever has the set may be stopped for long.
"""

SETUP_SECONDS = 10.0
"""How long a start waits for another one that is making the file."""

WARNING_SECONDS = 60.0
"""How often the log says that locks cannot be had."""

_HEADER = struct.Struct("<8sHHI16s16s")
_CHECKSUM = struct.Struct("<I")
_ENTRY = struct.Struct("<Qd")
_SET = struct.Struct("<" + "Qd" * WAYS)
_DIGEST = struct.Struct("<QQ")
_HEADER_BYTES = 64
_SALT_BYTES = 16
_BOOT_ID = pathlib.Path("/proc/sys/kernel/random/boot_id")


def open_due_times(path: pathlib.Path, sets: int = SETS, boot_id: bytes | None = None) -> SharedDueTimes:
    """
    Open a file of due times; one that is missing, or not to be trusted, is replaced.

    What is none of ours is left alone: perhaps its name was given by mistake.

    Args:
        sets: how many sets it has, and so how many callers it remembers.
        boot_id: 16 bytes that tell this boot of the host from others; the kernel's unless given.

    Raises:
        Unavailable: it cannot be opened or made, or something else is there.
    """
    header = _HEADER.pack(MAGIC, VERSION, WAYS, sets, boot_id or _read_boot_id(), bytes(_SALT_BYTES))
    try:
        turn = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            _wait_for_turn(turn)
            opened = _open_trusted(path, header, sets)
            if opened is None:
                _demand_ours(path, _HEADER_BYTES + sets * _SET.size)
                _replace(path, header, sets)
                opened = _open_trusted(path, header, sets)
        finally:
            os.close(turn)
    except OSError as error:
        raise Unavailable(f"{path}: {error.strerror or error}") from None
    if opened is None:
        raise Unavailable(f"{path}: it was made anew, and is not what was written")
    return opened


def _read_boot_id() -> bytes:
    try:
        return bytes.fromhex(_BOOT_ID.read_text("ascii").strip().replace("-", ""))
    except (OSError, ValueError):
        return bytes(16)  # times that are too far in the future are still not believed


def _wait_for_turn(turn: int) -> None:
    ends_at = time.monotonic() + SETUP_SECONDS
    while True:
        try:
            fcntl.lockf(turn, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > ends_at:
                raise
            time.sleep(0.01)
        else:
            return


def _open_trusted(path: pathlib.Path, wanted: bytes, sets: int) -> SharedDueTimes | None:
    """Have the file if it is right in every way."""
    try:
        number = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    try:
        status = os.fstat(number)
        is_ours = stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & 0o022
        size_bytes = _HEADER_BYTES + sets * _SET.size
        if is_ours and status.st_size == size_bytes:
            found = os.pread(number, _HEADER_BYTES, 0)
            checksum = _CHECKSUM.unpack_from(found, _HEADER.size)[0]
            plain, salt = found[: _HEADER.size - _SALT_BYTES], found[_HEADER.size - _SALT_BYTES : _HEADER.size]
            if plain == wanted[: len(plain)] and checksum == zlib.crc32(found[: _HEADER.size]):
                opened = SharedDueTimes(number, salt, sets)
                number = -1
                return opened
        return None
    finally:
        if number >= 0:
            os.close(number)


def _replace(path: pathlib.Path, header: bytes, sets: int) -> None:
    """Make the file anew, under its name only when it is whole."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}.new")
    fresh.unlink(missing_ok=True)  # of one that died here and had our number, which is a container's usual fate
    number = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        # room for all of it now: what cannot be written later counts for nothing
        os.posix_fallocate(number, 0, _HEADER_BYTES + sets * _SET.size)
        salted = header[:-_SALT_BYTES] + os.urandom(_SALT_BYTES)
        os.pwrite(number, salted + _CHECKSUM.pack(zlib.crc32(salted)), 0)
        os.replace(fresh, path)
    except OSError:
        os.unlink(fresh)
        raise
    finally:
        os.close(number)


def _demand_ours(path: pathlib.Path, size_bytes: int) -> None:
    """Pass if nothing is there that somebody may miss: a file that begins as ours do, is as long, or is empty."""
    if not path.exists():
        return
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise Unavailable(f"{path}: this is no file, and left alone; name a file")
    if status.st_size in (0, size_bytes):
        return
    with path.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            raise Unavailable(f"{path}: there is another file, which is left alone; name another one, or remove it")


@implementer(IDueTimes)
class SharedDueTimes:
    """
    See IDueTimes. For one thread of each process; it may be opened before a fork or after it.

    A set whose lock is not to be had soon is changed without it: two who do so at the same moment may count as one.

    Args:
        number: of the open file, whose owner this becomes.
        salt: of the file's keys, so that nobody can choose callers that share a set.
        sets: how many there are.

    Attributes:
        unguarded: how many changes were made without a lock.
    """

    def __init__(self, number: int, salt: bytes, sets: int) -> None:
        self._number = number
        self._salt = salt
        self._sets = sets
        self._patience_seconds = PATIENCE_SECONDS
        self._warned_at = -WARNING_SECONDS
        self.unguarded = 0

    def push(self, key: str, now: float, by_seconds: float, most_seconds: float) -> float:
        """See IDueTimes."""
        digest = hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=_DIGEST.size, key=self._salt)
        number, tag = _DIGEST.unpack(digest.digest())
        start = _HEADER_BYTES + number % self._sets * _SET.size
        try:
            is_locked = self._lock(start)
            try:
                return self._push(start, tag or 1, now, by_seconds, most_seconds)
            finally:
                if is_locked:
                    fcntl.lockf(self._number, fcntl.LOCK_UN, 1, start)
        except (OSError, ValueError):  # it cannot be read, or is closed
            return pushed(now, now, by_seconds, most_seconds)[0]

    def _push(self, start: int, tag: int, now: float, by_seconds: float, most_seconds: float) -> float:
        found = _SET.unpack(os.pread(self._number, _SET.size, start).ljust(_SET.size, b"\0"))
        tags, times = found[::2], found[1::2]
        is_known = tag in tags
        way = tags.index(tag) if is_known else times.index(min(times))
        due_at, fits = pushed(times[way] if is_known else now, now, by_seconds, most_seconds)
        if fits and by_seconds and (is_known or by_seconds > 0):
            try:
                os.pwrite(self._number, _ENTRY.pack(tag, due_at), start + way * _ENTRY.size)
            except OSError:  # somebody cut the file, and the disk is full
                return due_at
        return due_at

    def _lock(self, start: int) -> bool:
        """Have a set for this process alone, or say that it is not to be had."""
        ends_at = None
        while True:
            try:
                fcntl.lockf(self._number, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, start)
            except (BlockingIOError, PermissionError):
                now = time.monotonic()
                if ends_at is None:
                    ends_at = now + self._patience_seconds
                if now >= ends_at:
                    break
                os.sched_yield()  # to whoever has it
            except OSError:
                break
            else:
                self._patience_seconds = PATIENCE_SECONDS
                return True
        self._patience_seconds = max(LEAST_PATIENCE_SECONDS, self._patience_seconds / 2)
        self.unguarded += 1
        self._warn(time.monotonic())
        return False

    def _warn(self, now: float) -> None:
        if now - self._warned_at >= WARNING_SECONDS:
            self._warned_at = now
            log.warn(
                "{unguarded} requests were counted without a lock", unguarded=self.unguarded, event="limits.unguarded"
            )

    def close(self) -> None:
        """Let the file go; safe to call again. Who is counted afterwards is admitted."""
        number, self._number = self._number, -1
        if number >= 0:
            os.close(number)
