"""
Reads the metadata member of a Python archive, and nothing else; never extracts.

Every limit has a name, sizes are counted as bytes come out of the decompressor, and
what the archive says of itself is believed only where a second place agrees. Whatever
a library raises beyond InvalidArchive is turned into it by who runs the reader.

Source: APPNOTE.TXT (zip), POSIX.1-2001 pax and ustar (tar), the binary distribution
and source distribution formats of the Python packaging specifications.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import IO

from attrs import frozen

from pkgregd.errors import InvalidArchive

MIB = 1 << 20

MAX_METADATA_BYTES = MIB
"""How large METADATA or PKG-INFO may be."""

MAX_MEMBERS = 20_000
MAX_MEMBER_NAME_BYTES = 1024
MAX_DIRECTORY_BYTES = 16 * MIB
"""How large the central directory of a zip may be."""

MAX_TAR_HEADER_BYTES = 64 * 1024
"""How large a long name or a pax header may be, before it is read."""

MAX_TAR_BYTES = 1024 * MIB
"""How much of a compressed tar is unpacked in search of its metadata."""

MAX_RATIO = 200
"""How many bytes may come out of one compressed byte, past the first MiB."""

_BLOCK = 512
_READ_BYTES = 64 * 1024

_EOCD = struct.Struct("<4s4H2LH")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_STORED, _DEFLATED = 0, 8


# ======================================================================== zip


@frozen
class ZipMember:
    """
    A member as the central directory lists it.

    Attributes:
        name: decoded; never absolute, never climbing.
        size_bytes, compressed_bytes: as listed; what comes out is counted again.
    """

    name: str
    flags: int
    method: int
    crc: int
    compressed_bytes: int
    size_bytes: int
    local_offset: int


def list_zip(file: IO[bytes]) -> list[ZipMember]:
    """
    Read the central directory of a zip.

    Raises:
        InvalidArchive: no zip, or one of a kind that Python packages never are (several disks, zip64,
            a comment, bytes between the directory and the end, twice the same name).
    """
    size_bytes = file.seek(0, 2)
    if size_bytes < _EOCD.size:
        raise InvalidArchive("not a zip file")
    file.seek(size_bytes - _EOCD.size)
    magic, disk, start_disk, here, total, length, offset, comment = _EOCD.unpack(file.read(_EOCD.size))
    if magic != b"PK\x05\x06" or comment:
        raise InvalidArchive("not a zip file, or one with something after its end")
    if disk or start_disk or here != total or total == 0xFFFF or offset == 0xFFFFFFFF:
        raise InvalidArchive("a zip file in several parts, or too large")
    if total > MAX_MEMBERS or length > MAX_DIRECTORY_BYTES:
        raise InvalidArchive(f"more than {MAX_MEMBERS} members")
    if offset + length != size_bytes - _EOCD.size:
        raise InvalidArchive("the zip directory does not end where the file ends")
    file.seek(offset)
    members = list(_directory(file.read(length), total))
    if len({member.name.lower() for member in members}) != len(members):
        raise InvalidArchive("two members have the same name")
    return members


def _directory(raw: bytes, total: int) -> Iterator[ZipMember]:
    position = 0
    for _ in range(total):
        if position + _CENTRAL.size > len(raw):
            raise InvalidArchive("the zip directory is cut short")
        (magic, _, _, flags, method, _, _, crc, compressed, size, name_length, extra, comment, disk, _, _, local) = (
            _CENTRAL.unpack_from(raw, position)
        )
        name = raw[position + _CENTRAL.size : position + _CENTRAL.size + name_length]
        position += _CENTRAL.size + name_length + extra + comment
        if magic != b"PK\x01\x02" or disk or len(name) != name_length or position > len(raw):
            raise InvalidArchive("the zip directory is damaged")
        yield ZipMember(member_name(name), flags, method, crc, compressed, size, local)
    if position != len(raw):
        raise InvalidArchive("the zip directory holds more than its members")


def member_name(raw: bytes) -> str:
    """
    Decode and check the name of an archive's member.

    Raises:
        InvalidArchive: too long, not UTF-8, absolute, climbing, or with control characters.
    """
    if not raw or len(raw) > MAX_MEMBER_NAME_BYTES:
        raise InvalidArchive("a member's name is empty or too long")
    try:
        name = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidArchive("a member's name is not UTF-8") from None
    if name.startswith("/") or "\\" in name or any(ord(character) < 32 or ord(character) == 127 for character in name):
        raise InvalidArchive("a member's name is not a plain relative path")
    if ".." in name.split("/") or (len(name) > 1 and name[1] == ":"):
        raise InvalidArchive("a member's name leads out of the archive")
    return name


def read_zip_member(file: IO[bytes], member: ZipMember) -> bytes:
    """
    Read one small member.

    Raises:
        InvalidArchive: encrypted, of an unknown method, too large, or not what the directory says.
    """
    if member.size_bytes > MAX_METADATA_BYTES or member.compressed_bytes > MAX_METADATA_BYTES:
        raise InvalidArchive(f"{member.name} is larger than {MAX_METADATA_BYTES} bytes")
    file.seek(member.local_offset)
    header = file.read(_LOCAL.size)
    if len(header) != _LOCAL.size:
        raise InvalidArchive("the zip file is cut short")
    magic, _, flags, method, _, _, _, _, _, name_length, extra_length = _LOCAL.unpack(header)
    name = file.read(name_length)
    if magic != b"PK\x03\x04" or method != member.method or name != member.name.encode():
        raise InvalidArchive(f"{member.name} is not where the zip directory says")
    if (flags | member.flags) & 0x41:
        raise InvalidArchive(f"{member.name} is encrypted")
    file.seek(extra_length, 1)
    raw = file.read(member.compressed_bytes)
    data = _unpack(raw, member)
    if len(data) != member.size_bytes or zlib.crc32(data) != member.crc:
        raise InvalidArchive(f"{member.name} is damaged")
    return data


def _unpack(raw: bytes, member: ZipMember) -> bytes:
    if member.method == _STORED:
        return raw
    if member.method != _DEFLATED:
        raise InvalidArchive(f"{member.name} is compressed in a way that Python packages are not")
    unpacker = zlib.decompressobj(-15)
    try:
        data = unpacker.decompress(raw, MAX_METADATA_BYTES + 1)
    except zlib.error:
        raise InvalidArchive(f"{member.name} is damaged") from None
    if len(data) > MAX_METADATA_BYTES or not unpacker.eof or unpacker.unused_data:
        raise InvalidArchive(f"{member.name} is damaged or too large")
    return data


def read_wheel_metadata(file: IO[bytes]) -> tuple[bytes, str]:
    """
    Return a wheel's METADATA and the name of its .dist-info directory.

    Raises:
        InvalidArchive: there is not exactly one.
    """
    found = [member for member in list_zip(file) if _is_dist_info(member.name)]
    if len(found) != 1:
        raise InvalidArchive(f"a wheel has one .dist-info/METADATA, this one has {len(found)}")
    return read_zip_member(file, found[0]), found[0].name.partition("/")[0]


def _is_dist_info(name: str) -> bool:
    directory, slash, rest = name.partition("/")
    return bool(slash) and rest == "METADATA" and directory.endswith(".dist-info")


# ======================================================================== tar


class _Unpacker:
    """
    A gzip file as a stream of bounded reads.

    Raises InvalidArchive when more comes out than is allowed.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._gzip = zlib.decompressobj(31)
        self._raw = b""
        self._buffer = bytearray()
        self._in_bytes = 0
        self._out_bytes = 0

    def _more(self) -> bool:
        if self._gzip.eof:
            return False
        raw = self._gzip.unconsumed_tail or self._file.read(_READ_BYTES)
        if not raw:
            return False
        if not self._gzip.unconsumed_tail:
            self._in_bytes += len(raw)
        try:
            data = self._gzip.decompress(raw, _READ_BYTES)
        except zlib.error:
            raise InvalidArchive("not a gzip file, or a damaged one") from None
        self._out_bytes += len(data)
        if self._out_bytes > MAX_TAR_BYTES or self._out_bytes > MIB + MAX_RATIO * self._in_bytes:
            raise InvalidArchive("the archive unpacks to too much")
        self._buffer += data
        return True

    def read(self, size_bytes: int) -> bytes:
        """Return exactly so many bytes; fewer at the end."""
        while len(self._buffer) < size_bytes and self._more():
            pass
        data = bytes(self._buffer[:size_bytes])
        del self._buffer[:size_bytes]
        return data

    def skip(self, size_bytes: int) -> None:
        """Throw so many bytes away."""
        while size_bytes:
            if not self._buffer and not self._more():
                raise InvalidArchive("the archive is cut short")
            step = min(size_bytes, len(self._buffer))
            del self._buffer[:step]
            size_bytes -= step


@frozen
class _TarMember:
    name: str
    kind: bytes
    size_bytes: int


def _tar_members(stream: _Unpacker) -> Iterator[_TarMember]:
    """Go through a tar; the consumer reads or skips the bytes of each member, padding included."""
    count = 0
    override: dict[str, bytes] = {}
    while True:
        block = stream.read(_BLOCK)
        if len(block) < _BLOCK:
            raise InvalidArchive("the archive is cut short")
        if block == bytes(_BLOCK):
            return
        count += 1
        if count > MAX_MEMBERS:
            raise InvalidArchive(f"more than {MAX_MEMBERS} members")
        kind = block[156:157]
        size_bytes = _octal(block[124:136])
        if _octal(block[148:156]) != sum(block[:148]) + 32 * 8 + sum(block[156:]):
            raise InvalidArchive("a header of the archive is damaged")
        if kind in b"LKxg" and kind:
            if size_bytes > MAX_TAR_HEADER_BYTES:
                raise InvalidArchive("a header of the archive is too large")
            raw = stream.read(_padded(size_bytes))[:size_bytes]
            if kind == b"L":
                override["path"] = raw.rstrip(b"\0")
            elif kind == b"x":
                override.update(_pax(raw))
            continue
        if kind not in (b"0", b"\0", b"5", b"1", b"2"):
            raise InvalidArchive("the archive holds something that is neither file, directory nor link")
        if "size" in override and override["size"] != b"%d" % size_bytes:
            raise InvalidArchive("two headers of the archive disagree about a size")
        yield _TarMember(member_name(override.get("path") or _ustar_name(block)), kind, size_bytes)
        override.clear()


def _octal(raw: bytes) -> int:
    digits = raw.strip(b" \0")
    if not digits or not digits.isdigit() or any(digit in b"89" for digit in digits):
        raise InvalidArchive("a header of the archive is damaged")
    return int(digits, 8)


def _padded(size_bytes: int) -> int:
    return -(-size_bytes // _BLOCK) * _BLOCK


def _ustar_name(block: bytes) -> bytes:
    name = block[:100].partition(b"\0")[0]
    if block[257:262] == b"ustar" and block[345:346] != b"\0" and block[257:265] != b"ustar  \0":
        name = block[345:500].partition(b"\0")[0] + b"/" + name
    return name


def _pax(raw: bytes) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    while raw:
        length_text, space, _ = raw.partition(b" ")
        if not space or not length_text.isdigit() or len(length_text) > 6:
            raise InvalidArchive("a pax header is damaged")
        length = int(length_text)
        record = raw[len(length_text) + 1 : length]
        if length <= len(length_text) or len(raw) < length or not record.endswith(b"\n"):
            raise InvalidArchive("a pax header is damaged")
        key, equals, value = record[:-1].partition(b"=")
        if not equals:
            raise InvalidArchive("a pax header is damaged")
        if key in (b"path", b"size"):
            found[key.decode()] = value
        raw = raw[length:]
    return found


def read_sdist_metadata(file: IO[bytes], *, is_zip: bool = False) -> tuple[bytes, str]:
    """
    Return a source distribution's PKG-INFO and the name of its top directory.

    Args:
        is_zip: a .zip instead of a .tar.gz.

    Raises:
        InvalidArchive: there is none in the top directory, or several.
    """
    if is_zip:
        found = [member for member in list_zip(file) if _is_top_pkg_info(member.name)]
        if len(found) != 1:
            raise InvalidArchive(f"a source distribution has one NAME-VERSION/PKG-INFO, this one has {len(found)}")
        return read_zip_member(file, found[0]), found[0].name.removeprefix("./").partition("/")[0]
    stream = _Unpacker(file)
    result: tuple[bytes, str] | None = None
    for member in _tar_members(stream):
        if member.kind in (b"0", b"\0") and _is_top_pkg_info(member.name):
            if result is not None:
                raise InvalidArchive("a source distribution has one NAME-VERSION/PKG-INFO, this one has several")
            if member.size_bytes > MAX_METADATA_BYTES:
                raise InvalidArchive(f"PKG-INFO is larger than {MAX_METADATA_BYTES} bytes")
            data = stream.read(_padded(member.size_bytes))
            if len(data) < member.size_bytes:
                raise InvalidArchive("the archive is cut short")
            result = data[: member.size_bytes], member.name.removeprefix("./").partition("/")[0]
        elif member.kind in (b"0", b"\0"):
            stream.skip(_padded(member.size_bytes))
    if result is None:
        raise InvalidArchive("a source distribution has a NAME-VERSION/PKG-INFO, this one has none")
    return result


def _is_top_pkg_info(name: str) -> bool:
    parts = name.removeprefix("./").split("/")
    return len(parts) == 2 and parts[1] == "PKG-INFO"
