"""
A strict walk over the headers of a gzip-compressed tar file.

Python's tarfile reads a header's extensions whole, however large they say they are, and lets the last
of two sizes win. This walk caps what it reads before reading it, and refuses what readers differ about.

Source: POSIX.1-2017 pax, "ustar Interchange Format" and "pax Header Block"; the GNU tar manual for `L` and `K`.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from typing import IO

from attrs import frozen

from pkgregd.errors import InvalidArchive
from pkgregd.formatkit.names import is_printable

MAX_MEMBERS = 60_000
"""Headers of extensions count too."""

MAX_BYTES_OUT = 512 << 20
"""Of the decompressed tar, as far as it is read."""

MAX_RATIO = 100
RATIO_COUNTS_FROM_BYTES = 64 << 20
"""A small archive may be as dense as it likes."""

MAX_EXTENSION_BYTES = 64 << 10
"""Of one pax header or GNU long name."""

MAX_NAME_BYTES = 1024

_BLOCK = 512
_CHUNK_BYTES = 64 << 10
_OUT_BYTES = 256 << 10

_OCTAL = re.compile(rb"[ ]*([0-7]+)[ \0]*")
_PAX_LENGTH = re.compile(rb"([1-9][0-9]{0,5}) ")

_FILE, _DIRECTORY, _LINK, _PAX, _PAX_GLOBAL, _GNU_NAME, _GNU_LINK = range(7)
_TYPES = {
    b"0": _FILE, b"\0": _FILE, b"5": _DIRECTORY, b"1": _LINK, b"2": _LINK,
    b"x": _PAX, b"g": _PAX_GLOBAL, b"L": _GNU_NAME, b"K": _GNU_LINK,
}  # fmt: skip


@frozen
class TarMember:
    """
    A member of a tar file.

    Attributes:
        name: relative, without `.` and empty segments.
        is_file: a plain file; else a directory or a link.
        size_bytes: of its data.
    """

    name: str
    is_file: bool
    size_bytes: int


class TarReader:
    """
    Goes through a tar.gz once.

    Args:
        file: from its present position.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._stream = _Gunzip(file)
        self._left_bytes = 0
        self._padding_bytes = 0

    def members(self) -> Iterator[TarMember]:
        """
        Go through the members; before the next one, read_data() may be called.

        Raises:
            InvalidArchive.
        """
        path: str | None = None
        pax: dict[bytes, bytes] = {}
        for _ in range(MAX_MEMBERS):
            self._stream.skip(self._left_bytes + self._padding_bytes)
            header = self._stream.read(_BLOCK)
            if header == bytes(_BLOCK):
                if path is not None or pax:
                    raise InvalidArchive("the tar file ends with an extension")
                return
            kind, name, size_bytes = _parse_header(header)
            self._left_bytes, self._padding_bytes = size_bytes, -size_bytes % _BLOCK
            if kind in (_FILE, _DIRECTORY, _LINK):
                yield _member(kind, _final_name(name, path, pax), size_bytes, pax)
                path, pax = None, {}
                continue
            if size_bytes > MAX_EXTENSION_BYTES:
                raise InvalidArchive(f"an extension in the tar file is larger than {MAX_EXTENSION_BYTES} bytes")
            data = self.read_data(MAX_EXTENSION_BYTES)
            if kind == _PAX_GLOBAL:
                if _parse_pax(data).keys() & {b"path", b"size", b"linkpath"}:
                    raise InvalidArchive("a global header of the tar file changes names or sizes")
            elif kind == _PAX:
                if pax:
                    raise InvalidArchive("a member of the tar file has two pax headers")
                pax = _parse_pax(data)
            elif kind == _GNU_NAME:
                if path is not None:
                    raise InvalidArchive("a member of the tar file has two long names")
                path = _decode(data.rstrip(b"\0"))
        raise InvalidArchive(f"the tar file has more than {MAX_MEMBERS} members")

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


def _parse_header(header: bytes) -> tuple[int, str | None, int]:
    """Return kind, name (None when it is not UTF-8, as an extension will say it) and size."""
    kind = _TYPES.get(header[156:157])
    if kind is None:
        raise InvalidArchive(f"a member of the tar file has the type {header[156:157]!r}")
    checksum = sum(header) - sum(header[148:156]) + 8 * 0x20
    if _octal(header[148:156]) != checksum:
        raise InvalidArchive("a header of the tar file has a wrong checksum")
    name = header[:100].partition(b"\0")[0]
    if header[257:263] == b"ustar\0" and header[345] != 0:
        name = header[345:500].partition(b"\0")[0] + b"/" + name
    try:
        return kind, name.decode("utf-8"), _octal(header[124:136])
    except UnicodeDecodeError:
        return kind, None, _octal(header[124:136])


def _octal(raw: bytes) -> int:
    match = _OCTAL.fullmatch(raw)
    if match is None:
        raise InvalidArchive("a number in the tar file is not octal")
    return int(match[1], 8)


def _parse_pax(data: bytes) -> dict[bytes, bytes]:
    """
    Split the records of a pax header.

    Raises:
        InvalidArchive: malformed, a key twice, or a sparse file.
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
    return records


def _final_name(name: str | None, path: str | None, pax: dict[bytes, bytes]) -> str:
    """Choose between the header's name and what extensions say."""
    if path is not None and b"path" in pax:
        raise InvalidArchive("a member of the tar file has two long names")
    if b"path" in pax:
        name = _decode(pax[b"path"])
    elif path is not None:
        name = path
    if name is None:
        raise InvalidArchive("a name in the tar file is not UTF-8")
    if len(name) > MAX_NAME_BYTES or not is_printable(name) or "\\" in name or name.startswith("/"):
        raise InvalidArchive(f"forbidden name in the tar file: {name[:MAX_NAME_BYTES]!a}")
    segments = [segment for segment in name.split("/") if segment not in ("", ".")]
    if ".." in segments:
        raise InvalidArchive(f"forbidden name in the tar file: {name!a}")
    return "/".join(segments)


def _member(kind: int, name: str, size_bytes: int, pax: dict[bytes, bytes]) -> TarMember:
    if pax.get(b"size", b"%d" % size_bytes) != b"%d" % size_bytes:
        raise InvalidArchive("a member of the tar file has two sizes")
    if kind != _FILE and size_bytes:
        raise InvalidArchive("a directory or link in the tar file has data")
    return TarMember(name, kind == _FILE, size_bytes)


def _decode(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidArchive("a name in the tar file is not UTF-8") from None


class _Gunzip:
    """One gzip member, decompressed within limits."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._inflater = zlib.decompressobj(16 + zlib.MAX_WBITS)
        self._ready = b""
        self._in_bytes = 0
        self._out_bytes = 0

    def read(self, size_bytes: int) -> bytes:
        """Return exactly so many bytes."""
        pieces: list[bytes] = []
        missing_bytes = size_bytes
        while missing_bytes:
            if not self._ready:
                self._ready = self._more()
            piece, self._ready = self._ready[:missing_bytes], self._ready[missing_bytes:]
            pieces.append(piece)
            missing_bytes -= len(piece)
        return b"".join(pieces)

    def skip(self, size_bytes: int) -> None:
        """Decompress so many bytes and drop them."""
        if size_bytes > MAX_BYTES_OUT:
            raise InvalidArchive(f"more than {MAX_BYTES_OUT} bytes lie before the metadata")
        while size_bytes > len(self._ready):
            size_bytes -= len(self._ready)
            self._ready = self._more()
        self._ready = self._ready[size_bytes:]

    def _more(self) -> bytes:
        """Decompress some more; never empty."""
        while True:
            data = self._inflater.unconsumed_tail
            if not data:
                data = self._file.read(_CHUNK_BYTES)
                self._in_bytes += len(data)
            if not data or self._inflater.eof:
                raise InvalidArchive("the tar file is cut short")
            try:
                out = self._inflater.decompress(data, _OUT_BYTES)
            except zlib.error:
                raise InvalidArchive("not a gzip file, or a damaged one") from None
            self._out_bytes += len(out)
            if self._out_bytes > MAX_BYTES_OUT:
                raise InvalidArchive(f"more than {MAX_BYTES_OUT} bytes lie before the metadata")
            if self._out_bytes > RATIO_COUNTS_FROM_BYTES and self._out_bytes > MAX_RATIO * self._in_bytes:
                raise InvalidArchive(f"the archive is compressed more than {MAX_RATIO} times")
            if out:
                return out
