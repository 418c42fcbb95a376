"""
The small fields of zip headers: names and extra fields.

Source: APPNOTE.TXT 6.3.10, sections 4.4.17, 4.5.3 (zip64) and 4.6.9 (Unicode path).
"""

from __future__ import annotations

import struct
import zlib

from attrs import frozen

from pkgregd.errors import InvalidArchive
from pkgregd.formatkit.tree import Kind, check_path

IS_UTF8 = 0x800

_FULL32 = 0xFFFFFFFF
_ZIP64, _UNICODE_PATH = 0x0001, 0x7075
_UNICODE_PATH_HEAD = struct.Struct("<BL")


@frozen
class Numbers:
    """The numbers of a header that may not fit 32 bits; a local header has no offset and says 0."""

    compressed_bytes: int
    size_bytes: int
    offset: int


def decode_name(raw: bytes, flags: int) -> tuple[str, Kind]:
    """
    Read a member's name.

    Returns:
        The path without the slash that marks a directory, and which of the two it is.

    Raises:
        InvalidArchive: not one that every reader takes for the same path.
    """
    if not flags & IS_UTF8 and not raw.isascii():
        raise InvalidArchive(f"a member's name is neither ASCII nor marked as UTF-8: {raw[:255]!r}")
    try:
        name = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidArchive("a member's name is not UTF-8") from None
    check_path(name, "name of a member")
    path = name.removesuffix("/")
    if any(segment in ("", ".", "..") for segment in path.split("/")):
        raise InvalidArchive(f"forbidden name of a member: {name!a}")
    return path, Kind.FILE if path == name else Kind.DIRECTORY


def split_extra(extra: bytes) -> dict[int, bytes]:
    """
    Split an extra field.

    Raises:
        InvalidArchive: malformed, or zip64 or Unicode path come twice.
    """
    fields: dict[int, bytes] = {}
    position = 0
    while position < len(extra):
        if position + 4 > len(extra):
            raise InvalidArchive("malformed extra field of a member")
        kind, length = struct.unpack_from("<2H", extra, position)
        position += 4
        if position + length > len(extra):
            raise InvalidArchive("malformed extra field of a member")
        if kind in fields and kind in (_ZIP64, _UNICODE_PATH):
            raise InvalidArchive("a member has two zip64 fields or two Unicode paths")
        fields[kind] = extra[position : position + length]
        position += length
    return fields


def widen(fields: dict[int, bytes], numbers: Numbers) -> Numbers:
    """
    Replace numbers that do not fit 32 bits by those of the zip64 field.

    Raises:
        InvalidArchive: too few are there, or more than needed that say something else.
    """
    narrow = (numbers.size_bytes, numbers.compressed_bytes, numbers.offset)
    data = fields.get(_ZIP64)
    if data is None:
        if _FULL32 in narrow:
            raise InvalidArchive("a member has no zip64 field where it needs one")
        return numbers
    wide = [int.from_bytes(data[at : at + 8], "little") for at in range(0, len(data) - 7, 8)]
    left = iter(wide)
    exact = [next(left, None) if number == _FULL32 else number for number in narrow]
    if len(data) % 8 or None in exact or (next(left, None) is not None and wide != exact[: len(wide)]):
        raise InvalidArchive("malformed zip64 field of a member")
    size_bytes, compressed_bytes, offset = exact
    assert size_bytes is not None
    assert compressed_bytes is not None
    assert offset is not None
    return Numbers(compressed_bytes, size_bytes, offset)


def check_unicode_path(fields: dict[int, bytes], raw_name: bytes) -> None:
    """
    Pass if a Unicode path, which some readers prefer, is the name itself.

    Raises:
        InvalidArchive.
    """
    data = fields.get(_UNICODE_PATH)
    if data is None:
        return
    if len(data) < _UNICODE_PATH_HEAD.size:
        raise InvalidArchive("malformed Unicode path of a member")
    version, checksum = _UNICODE_PATH_HEAD.unpack_from(data)
    if version != 1 or checksum != zlib.crc32(raw_name) or data[_UNICODE_PATH_HEAD.size :] != raw_name:
        raise InvalidArchive("a member has two names")
