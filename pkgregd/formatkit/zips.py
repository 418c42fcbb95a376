"""
A strict reader of zip files: the directory, and single small members.

Nothing is ever extracted. What the format allows and no packaging tool writes is refused, because
readers differ about it: prefixes, gaps before the directory, several disks, names that come twice,
comments of members, a local header that contradicts the directory.

Source: APPNOTE.TXT 6.3.10, sections 4.3 to 4.5.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Mapping
from typing import IO

from attrs import frozen

from pkgregd.errors import InvalidArchive
from pkgregd.formatkit.names import is_printable

MAX_MEMBERS = 60_000
MAX_DIRECTORY_BYTES = 16 << 20
MAX_NAME_BYTES = 1024

_CHUNK_BYTES = 64 << 10

_END = struct.Struct("<4s4H2LH")
_END64_LOCATOR = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")

_STORED, _DEFLATED = 0, 8
_ENCRYPTED = 0x1 | 0x40 | 0x2000
_HAS_DESCRIPTOR = 0x8
_IS_UTF8 = 0x800
_MEANINGFUL = _ENCRYPTED | _HAS_DESCRIPTOR | _IS_UTF8
_FULL16, _FULL32 = 0xFFFF, 0xFFFFFFFF
_ZIP64_EXTRA = 1


@frozen
class Member:
    """
    What the directory says of a member.

    Attributes:
        raw_name: as it is stored.
        compressed_bytes, size_bytes: as declared; read_member() counts for itself.
        offset: of the local header.
    """

    raw_name: bytes
    flags: int
    method: int
    crc32: int
    compressed_bytes: int
    size_bytes: int
    offset: int


@frozen
class Directory:
    """
    A checked central directory.

    Attributes:
        members: by name, in the directory's order.
        offset: where the directory begins, and members end.
    """

    members: Mapping[str, Member]
    offset: int


def read_directory(file: IO[bytes]) -> Directory:
    """
    Read the list of members.

    Raises:
        InvalidArchive.
    """
    offset, size_bytes, count = _find_directory(file)
    if count > MAX_MEMBERS or size_bytes > MAX_DIRECTORY_BYTES:
        raise InvalidArchive(f"the zip file has more than {MAX_MEMBERS} members")
    if count and _read_at(file, 0, 4) != b"PK\x03\x04":
        raise InvalidArchive("the zip file does not begin with a member")
    data = _read_at(file, offset, size_bytes)
    members: dict[str, Member] = {}
    position = 0
    for _ in range(count):
        name, member, position = _read_entry(data, position)
        if members.setdefault(name, member) is not member:
            raise InvalidArchive(f"the zip file has two members {name!a}")
    if position != size_bytes:
        raise InvalidArchive("the directory of the zip file has another size than declared")
    return Directory(members, offset)


def read_member(file: IO[bytes], directory: Directory, name: str, max_bytes: int) -> bytes:
    """
    Read one small member, counting what really comes out.

    Raises:
        InvalidArchive: also when it is larger than max_bytes.
    """
    member = directory.members[name]
    if member.flags & _ENCRYPTED:
        raise InvalidArchive("the zip file is encrypted")
    if member.method not in (_STORED, _DEFLATED):
        raise InvalidArchive("members of a zip file must be stored or deflated")
    if member.size_bytes > max_bytes:
        raise InvalidArchive(f"{name!a} is larger than {max_bytes} bytes")
    if member.offset + _LOCAL.size > directory.offset:
        raise InvalidArchive("the directory of the zip file points at no member")
    start = _check_local_header(file, member)
    if start + member.compressed_bytes > directory.offset:
        raise InvalidArchive("a member of the zip file reaches into the directory")
    data = _inflate(file, member, start) if member.method == _DEFLATED else _stored(file, member, start)
    if len(data) != member.size_bytes or zlib.crc32(data) != member.crc32:
        raise InvalidArchive(f"{name!a} has another size or checksum than declared")
    return data


# ---------------------------------------------------------------------- the end of the file


def _find_directory(file: IO[bytes]) -> tuple[int, int, int]:
    """Return the directory's offset, size and number of members."""
    file_bytes = file.seek(0, os.SEEK_END)
    tail_bytes = min(file_bytes, _END.size + _FULL16)
    tail = _read_at(file, file_bytes - tail_bytes, tail_bytes)
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or at + _END.size > tail_bytes:
        raise InvalidArchive("not a zip file")
    _, disk, first_disk, here, count, size_bytes, offset, comment_bytes = _END.unpack_from(tail, at)
    if at + _END.size + comment_bytes != tail_bytes:
        raise InvalidArchive("there is something behind the end of the zip file")
    end = file_bytes - tail_bytes + at
    wide = _read_end64(file, end)
    if wide is not None:
        for narrow, full, exact in zip(
            (disk, first_disk, here, count, size_bytes, offset),
            (_FULL16, _FULL16, _FULL16, _FULL16, _FULL32, _FULL32),
            wide[1:],
            strict=True,
        ):
            if narrow not in (full, exact):
                raise InvalidArchive("the two ends of the zip file contradict each other")
        end, disk, first_disk, here, count, size_bytes, offset = wide
    if (disk, first_disk) != (0, 0) or here != count:
        raise InvalidArchive("a zip file on several disks")
    if offset + size_bytes != end:
        raise InvalidArchive("the directory of the zip file is not where it should be")
    return offset, size_bytes, count


def _read_end64(file: IO[bytes], end: int) -> tuple[int, int, int, int, int, int, int] | None:
    """Return where the zip64 end begins, and its numbers; None without one."""
    at = end - _END64_LOCATOR.size
    if at < _END64.size:
        return None
    signature, disk, offset, disks = _END64_LOCATOR.unpack(_read_at(file, at, _END64_LOCATOR.size))
    if signature != b"PK\x06\x07":
        return None
    if disk != 0 or disks != 1 or offset + _END64.size != at:
        raise InvalidArchive("the zip64 end of the zip file is not where it should be")
    signature, record_bytes, _, _, disk, first_disk, here, count, size_bytes, start = _END64.unpack(
        _read_at(file, offset, _END64.size)
    )
    if signature != b"PK\x06\x06" or record_bytes != _END64.size - 12:
        raise InvalidArchive("malformed zip64 end of the zip file")
    return offset, disk, first_disk, here, count, size_bytes, start


# ---------------------------------------------------------------------- members


def _read_entry(data: bytes, position: int) -> tuple[str, Member, int]:
    """Return a member's name, the member, and where the next one begins."""
    if position + _ENTRY.size > len(data):
        raise InvalidArchive("the directory of the zip file is cut short")
    (
        signature, _, _, flags, method, _, _, crc32, compressed_bytes, size_bytes,
        name_bytes, extra_bytes, comment_bytes, disk, _, _, offset,
    ) = _ENTRY.unpack_from(data, position)  # fmt: skip
    position += _ENTRY.size
    if signature != b"PK\x01\x02" or position + name_bytes + extra_bytes > len(data):
        raise InvalidArchive("malformed directory of the zip file")
    if comment_bytes or disk not in (0, _FULL16):
        raise InvalidArchive("a member of the zip file has a comment or is on another disk")
    raw_name = data[position : position + name_bytes]
    extra = data[position + name_bytes : position + name_bytes + extra_bytes]
    compressed_bytes, size_bytes, offset = _widen(extra, compressed_bytes, size_bytes, offset)
    member = Member(raw_name, flags, method, crc32, compressed_bytes, size_bytes, offset)
    return _decode_name(raw_name, flags), member, position + name_bytes + extra_bytes


def _decode_name(raw: bytes, flags: int) -> str:
    if not 0 < len(raw) <= MAX_NAME_BYTES:
        raise InvalidArchive(f"a member's name must have 1 to {MAX_NAME_BYTES} bytes")
    try:
        name = raw.decode("utf-8" if flags & _IS_UTF8 else "cp437")
    except UnicodeDecodeError:
        raise InvalidArchive("a member's name is not UTF-8") from None
    if not is_printable(name) or "\\" in name or name.startswith("/") or ".." in name.split("/"):
        raise InvalidArchive(f"forbidden name of a member: {name!a}")
    return name


def _widen(extra: bytes, compressed_bytes: int, size_bytes: int, offset: int) -> tuple[int, int, int]:
    """Replace numbers that do not fit 32 bits by those of the zip64 field."""
    wide = _zip64_field(extra)
    numbers = []
    for number in (size_bytes, compressed_bytes, offset):
        if number == _FULL32 and wide is not None:
            if len(wide) < 8:
                raise InvalidArchive("malformed zip64 field")
            number, wide = int.from_bytes(wide[:8], "little"), wide[8:]
        numbers.append(number)
    return numbers[1], numbers[0], numbers[2]


def _zip64_field(extra: bytes) -> bytes | None:
    found = None
    position = 0
    while position + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, position)
        position += 4
        if position + length > len(extra):
            raise InvalidArchive("malformed extra field of a member")
        if kind == _ZIP64_EXTRA:
            if found is not None:
                raise InvalidArchive("a member has two zip64 fields")
            found = extra[position : position + length]
        position += length
    return found


def _check_local_header(file: IO[bytes], member: Member) -> int:
    """Return where the member's data begin."""
    header = _read_at(file, member.offset, _LOCAL.size)
    signature, _, flags, method, _, _, crc32, compressed_bytes, size_bytes, name_bytes, extra_bytes = _LOCAL.unpack(
        header
    )
    if signature != b"PK\x03\x04":
        raise InvalidArchive("the directory of the zip file points at no member")
    rest = _read_at(file, member.offset + _LOCAL.size, name_bytes + extra_bytes)
    compressed_bytes, size_bytes, _ = _widen(rest[name_bytes:], compressed_bytes, size_bytes, 0)
    if (method, rest[:name_bytes]) != (member.method, member.raw_name) or (flags ^ member.flags) & _MEANINGFUL:
        raise InvalidArchive("a member of the zip file contradicts the directory")
    exact = (member.crc32, member.compressed_bytes, member.size_bytes)
    if (crc32, compressed_bytes, size_bytes) != exact and not flags & _HAS_DESCRIPTOR:
        raise InvalidArchive("a member of the zip file contradicts the directory")
    return member.offset + _LOCAL.size + len(rest)


def _stored(file: IO[bytes], member: Member, start: int) -> bytes:
    if member.compressed_bytes != member.size_bytes:
        raise InvalidArchive("a stored member of the zip file has two sizes")
    return _read_at(file, start, member.size_bytes)


def _inflate(file: IO[bytes], member: Member, start: int) -> bytes:
    """Decompress at most one byte more than declared."""
    file.seek(start)
    left_bytes = member.compressed_bytes
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    pieces: list[bytes] = []
    room_bytes = member.size_bytes + 1
    try:
        while left_bytes and room_bytes > 0 and not inflater.eof:
            chunk = file.read(min(left_bytes, _CHUNK_BYTES))
            if not chunk:
                break
            left_bytes -= len(chunk)
            pieces.append(inflater.decompress(chunk, room_bytes))
            room_bytes -= len(pieces[-1])
    except zlib.error:
        raise InvalidArchive("a member of the zip file cannot be decompressed") from None
    if not inflater.eof or left_bytes or inflater.unused_data:
        raise InvalidArchive("a member of the zip file has another size than declared")
    return b"".join(pieces)


def _read_at(file: IO[bytes], offset: int, size_bytes: int) -> bytes:
    file.seek(offset)
    data = file.read(size_bytes)
    if len(data) != size_bytes:
        raise InvalidArchive("the archive is cut short")
    return data
