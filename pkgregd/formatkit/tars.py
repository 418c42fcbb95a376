"""
A strict walk over all headers of a gzip-compressed tar file.

Python's tarfile reads a header's extensions whole, however large they say they are, and lets the last
of two sizes win. This walk caps what it reads before reading it, and refuses what readers differ about.
It ends where the file ends, so that there is nothing that only some readers see.

Source: POSIX.1-2017 pax, "ustar Interchange Format" and "pax Header Block"; the GNU tar manual for `L` and `K`.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from typing import IO

from attrs import define, frozen

from pkgregd.errors import InvalidArchive
from pkgregd.formatkit.gunzip import Gunzip
from pkgregd.formatkit.tree import MAX_NAME_CHARACTERS, Kind, check_path

MAX_MEMBERS = 60_000
"""Headers of extensions count too."""

MAX_EXTENSION_BYTES = 64 << 10
"""Of one pax header or GNU long name."""

_BLOCK = 512
_ZEROS = bytes(_BLOCK)

_OCTAL = re.compile(rb"[ ]*([0-7]+)[ \0]*")
_PAX_LENGTH = re.compile(rb"([1-9][0-9]{0,5}) ")

_KINDS = {
    b"0": Kind.FILE, b"\0": Kind.FILE, b"5": Kind.DIRECTORY, b"1": Kind.HARD_LINK, b"2": Kind.SYMLINK,
}  # fmt: skip
_PAX, _PAX_GLOBAL, _GNU_NAME, _GNU_TARGET = b"x", b"g", b"L", b"K"
_EXTENSIONS = frozenset({_PAX, _PAX_GLOBAL, _GNU_NAME, _GNU_TARGET})

_MAGIC_POSIX, _MAGIC_GNU, _MAGIC_NONE = b"ustar\0", b"ustar ", bytes(6)
_NOT_FOR_ALL = (b"path", b"size", b"linkpath")
_UTF8 = b"ISO-IR 10646 2000 UTF-8"


@frozen
class TarMember:
    """
    A member of a tar file.

    Attributes:
        path: relative, without `.` and empty segments; empty for the entry `./`.
        size_bytes: of its data.
        target: of a link, as written.
    """

    path: str
    kind: Kind
    size_bytes: int
    target: str


@frozen
class _Header:
    """What one block says; names as they are stored."""

    type: bytes
    name: bytes
    target: bytes
    size_bytes: int


@define
class _Extensions:
    """What extensions say of the member that follows them."""

    name: bytes | None = None
    target: bytes | None = None
    pax: dict[bytes, bytes] | None = None


class TarReader:
    """
    Goes through a tar.gz once.

    Args:
        file: from its present position.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._stream = Gunzip(file)
        self._left_bytes = 0
        self._padding_bytes = 0

    def members(self) -> Iterator[TarMember]:
        """
        Go through the members to the end of the file; before the next one, read_data() may be called.

        Raises:
            InvalidArchive.
        """
        told = _Extensions()
        for _ in range(MAX_MEMBERS):
            block = self._next_block()
            if block == _ZEROS:
                if told != _Extensions():
                    raise InvalidArchive("the tar file ends with an extension")
                if self._stream.read(_BLOCK) != _ZEROS:
                    raise InvalidArchive("the tar file has only half an end")
                self._stream.finish()
                return
            header = _parse_header(block)
            self._left_bytes, self._padding_bytes = header.size_bytes, -header.size_bytes % _BLOCK
            if header.type in _EXTENSIONS:
                self._read_extension(header, told)
            else:
                yield _member(header, told)
                told = _Extensions()
        raise InvalidArchive(f"the tar file has more than {MAX_MEMBERS} members")

    def _next_block(self) -> bytes:
        self._stream.skip(self._left_bytes + self._padding_bytes)
        return self._stream.read(_BLOCK)

    def _read_extension(self, header: _Header, told: _Extensions) -> None:
        """Read an extension into what is told of the next member."""
        if header.size_bytes > MAX_EXTENSION_BYTES:
            raise InvalidArchive(f"an extension in the tar file is larger than {MAX_EXTENSION_BYTES} bytes")
        data = self.read_data(MAX_EXTENSION_BYTES)
        if header.type == _PAX_GLOBAL:
            if not _parse_pax(data).keys().isdisjoint(_NOT_FOR_ALL):
                raise InvalidArchive("a global header of the tar file changes names or sizes")
        elif header.type == _PAX:
            if told.pax is not None:
                raise InvalidArchive("a member of the tar file has two pax headers")
            told.pax = _parse_pax(data)
        elif header.type == _GNU_NAME:
            if told.name is not None:
                raise InvalidArchive("a member of the tar file has two long names")
            told.name = data.rstrip(b"\0")
        else:
            if told.target is not None:
                raise InvalidArchive("a link in the tar file has two long targets")
            told.target = data.rstrip(b"\0")

    def read_data(self, max_bytes: int) -> bytes:
        """
        Read the data of the present member.

        Raises:
            InvalidArchive: more than max_bytes.
        """
        if self._left_bytes > max_bytes:
            raise InvalidArchive(f"a member of the tar file is larger than {max_bytes} bytes")
        data = self._stream.read(self._left_bytes)
        self._left_bytes = 0
        return data


def looks_like_tar(file: IO[bytes]) -> bool:
    """Whether a file begins as a tar does that is not compressed: with a header whose checksum is right."""
    file.seek(0)
    block = file.read(_BLOCK)
    try:
        return len(block) == _BLOCK and _octal(block[148:156]) == _checksum(block)
    except InvalidArchive:
        return False


def _parse_header(block: bytes) -> _Header:
    kind = block[156:157]
    if kind not in _KINDS and kind not in _EXTENSIONS:
        raise InvalidArchive(f"a member of the tar file has the type {kind!r}")
    if _octal(block[148:156]) != _checksum(block):
        raise InvalidArchive("a header of the tar file has a wrong checksum")
    magic = block[257:263]
    name = _cut(block[:100])
    if block[345:500] != _ZEROS[:155]:
        # GNU keeps times here, and Python takes them for a part of the name
        if magic != _MAGIC_POSIX:
            raise InvalidArchive("a header of the tar file has a prefix that only some readers see")
        if block[345]:
            name = _cut(block[345:500]) + b"/" + name
    if magic not in (_MAGIC_POSIX, _MAGIC_GNU, _MAGIC_NONE):
        raise InvalidArchive("a header of the tar file is of no known format")
    return _Header(kind, name, _cut(block[157:257]), _octal(block[124:136]))


def _checksum(block: bytes) -> int:
    """Add up all bytes, the checksum's own as if they were spaces."""
    return _sum(block[:148]) + 8 * 0x20 + _sum(block[156:356]) + _sum(block[356:])


def _sum(data: bytes) -> int:
    """Add up at most 256 bytes: the half of Adler-32 that only adds does it twenty times faster than sum()."""
    return (zlib.adler32(data) & 0xFFFF) - 1


def _octal(raw: bytes) -> int:
    match = _OCTAL.fullmatch(raw)
    if match is None:
        raise InvalidArchive("a number in the tar file is not octal")
    return int(match[1], 8)


def _cut(raw: bytes) -> bytes:
    return raw.partition(b"\0")[0]


def _parse_pax(data: bytes) -> dict[bytes, bytes]:
    """
    Split the records of a pax header.

    Raises:
        InvalidArchive: malformed, a key twice, a sparse file, or another character set.
    """
    records: dict[bytes, bytes] = {}
    position = 0
    while position < len(data):
        match = _PAX_LENGTH.match(data, position)
        end = position + int(match[1]) if match else 0
        if match is None or not match.end() < end <= len(data) or data[end - 1 : end] != b"\n":
            raise InvalidArchive("malformed pax header in the tar file")
        key, equals, value = data[match.end() : end - 1].partition(b"=")
        if not equals or key in records or key.startswith(b"GNU.sparse"):
            raise InvalidArchive("malformed pax header in the tar file")
        records[key] = value
        position = end
    if records.get(b"hdrcharset", _UTF8) != _UTF8:
        raise InvalidArchive("names in the tar file are not UTF-8")
    return records


def _member(header: _Header, told: _Extensions) -> TarMember:
    """Put together what a header and its extensions say."""
    kind, pax = _KINDS[header.type], told.pax or {}
    if pax.get(b"size", b"%d" % header.size_bytes) != b"%d" % header.size_bytes:
        raise InvalidArchive("a member of the tar file has two sizes")
    name = _decode(_one(header.name, told.name, pax.get(b"path")))
    target = _decode(_one(header.target, told.target, pax.get(b"linkpath"))) if _is_link(kind) else ""
    if not _is_link(kind) and (told.target is not None or b"linkpath" in pax):
        raise InvalidArchive("a member of the tar file that is no link has a target")
    check_path(name, "name in the tar file")
    if kind is Kind.FILE and name.endswith("/"):
        kind = Kind.DIRECTORY  # as tars from before POSIX have it
    if kind is not Kind.FILE and header.size_bytes:
        raise InvalidArchive("a directory or link in the tar file has data")
    segments = [segment for segment in name.split("/") if segment not in ("", ".")]
    if ".." in segments or (kind is not Kind.DIRECTORY and not segments):
        raise InvalidArchive(f"forbidden name in the tar file: {name!a}")
    return TarMember("/".join(segments), kind, header.size_bytes, target)


def _is_link(kind: Kind) -> bool:
    return kind in (Kind.SYMLINK, Kind.HARD_LINK)


def _one(short: bytes, gnu: bytes | None, pax: bytes | None) -> bytes:
    """Choose between the header's name and what extensions say."""
    if gnu is not None and pax is not None:
        raise InvalidArchive("a member of the tar file has two long names")
    longer = gnu if pax is None else pax
    return short if longer is None else longer


def _decode(raw: bytes) -> str:
    if len(raw) > 4 * MAX_NAME_CHARACTERS:
        raise InvalidArchive(f"forbidden name in the tar file: {raw[:MAX_NAME_CHARACTERS]!a}")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidArchive("a name in the tar file is not UTF-8") from None
