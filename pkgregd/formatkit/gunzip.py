"""Decompression of one gzip member within limits, for readers that go through it once."""

from __future__ import annotations

import zlib
from typing import IO

from pkgregd.errors import InvalidArchive

MAX_BYTES_OUT = 1 << 30
"""What a compressed tar may unpack to."""

MAX_RATIO = 100
RATIO_COUNTS_FROM_BYTES = 64 << 20
"""A small archive may be as dense as it likes."""

_IN_BYTES = 64 << 10
_OUT_BYTES = 256 << 10


class Gunzip:
    """
    One gzip member, in constant memory.

    What comes out is counted; what headers declare is not asked. zlib compares checksum and length at its end.

    Args:
        file: from its present position to its end.

    Source: RFC 1952.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._inflater = zlib.decompressobj(16 + zlib.MAX_WBITS)
        self._ready = b""
        self._at = 0
        self._in_bytes = 0
        self._out_bytes = 0

    def read(self, size_bytes: int) -> bytes:
        """
        Return exactly so many bytes; the caller has bounded them.

        Raises:
            InvalidArchive: there are fewer, or a limit is reached.
        """
        if self._at + size_bytes <= len(self._ready):  # nearly always: a header of many in what is ready
            self._at += size_bytes
            return self._ready[self._at - size_bytes : self._at]
        pieces = [self._ready[self._at :]]
        missing_bytes = size_bytes - len(pieces[0])
        while missing_bytes:
            self._refill()
            pieces.append(self._ready[:missing_bytes])
            self._at = len(pieces[-1])
            missing_bytes -= self._at
        return b"".join(pieces)

    def skip(self, size_bytes: int) -> None:
        """Decompress so many bytes and drop them."""
        if size_bytes > MAX_BYTES_OUT:
            raise InvalidArchive(f"the archive unpacks to more than {MAX_BYTES_OUT} bytes")
        while size_bytes > len(self._ready) - self._at:
            size_bytes -= len(self._ready) - self._at
            self._refill()
        self._at += size_bytes

    def finish(self) -> None:
        """
        Pass if only zeros follow, and the file ends where the gzip member does.

        Raises:
            InvalidArchive: data behind the end, a second member, garbage, a wrong checksum.
        """
        rest = self._ready[self._at :]
        while True:
            if rest.count(0) != len(rest):
                raise InvalidArchive("there is something behind the end of the tar file")
            rest = self._more()
            if not rest:
                break
        if self._inflater.unused_data or self._file.read(1):
            raise InvalidArchive("there is something behind the end of the gzip file")

    def _refill(self) -> None:
        self._ready, self._at = self._more(), 0
        if not self._ready:
            raise InvalidArchive("the tar file is cut short")

    def _more(self) -> bytes:
        """Decompress some more; empty at the end of the member."""
        while not self._inflater.eof:
            data = self._inflater.unconsumed_tail
            if not data:
                data = self._file.read(_IN_BYTES)
                self._in_bytes += len(data)
            try:
                # without data there may still be output that did not fit before
                out = self._inflater.decompress(data, _OUT_BYTES)
            except zlib.error:
                raise InvalidArchive("not a gzip file, or a damaged one") from None
            self._out_bytes += len(out)
            if self._out_bytes > MAX_BYTES_OUT:
                raise InvalidArchive(f"the archive unpacks to more than {MAX_BYTES_OUT} bytes")
            if self._out_bytes > RATIO_COUNTS_FROM_BYTES and self._out_bytes > MAX_RATIO * self._in_bytes:
                raise InvalidArchive(f"the archive is compressed more than {MAX_RATIO} times")
            if out:
                return out
            if not data:
                raise InvalidArchive("the gzip file is cut short")
        return b""
