"""
Base64 in a string of JSON, decoded as it comes.

Source: RFC 4648, section 4; RFC 8259, section 7.
"""

from __future__ import annotations

import binascii
import json
import re
from collections.abc import Callable

from pkgregd.errors import MalformedBody

_CUT_ESCAPE = re.compile(rb"\\(?:u[0-9A-Fa-f]{0,3})?\Z")


class Base64InJson:
    """
    Decodes the content of a string as it comes.

    Args:
        write: takes what is decoded.
    """

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write
        self._escape = b""
        self._odd = b""
        self._is_padded = False

    def take(self, data: bytes) -> None:
        """
        Take more of the string, without its quotes.

        Raises:
            MalformedBody: outside the alphabet, or something behind the padding.
        """
        if self._escape or b"\\" in data:
            data = self._unescaped(self._escape + data)
        data = self._odd + data if self._odd else data
        whole = len(data) & ~3
        self._odd = data[whole:]
        if whole:
            self._decode(data[:whole] if self._odd else data)

    def _unescaped(self, data: bytes) -> bytes:
        cut = _CUT_ESCAPE.search(data, max(0, len(data) - 5))
        self._escape = b"" if cut is None else cut[0]
        try:
            # by the reader of JSON, which is quick however many there are: some write every `+` so, and may all else
            text: str = json.loads(f'"{data[: len(data) - len(self._escape)].decode("ascii")}"')
            return text.encode("ascii")
        except ValueError:
            raise MalformedBody("the file is not valid base64") from None

    def _decode(self, data: bytes) -> None:
        if self._is_padded:
            raise MalformedBody("there is something behind the end of the base64")
        try:
            decoded = binascii.a2b_base64(data, strict_mode=True)
        except binascii.Error:
            raise MalformedBody("the file is not valid base64") from None
        self._is_padded = data.endswith(b"=")
        self._write(decoded)

    def finish(self) -> None:
        """The string has ended. Raises MalformedBody if it is cut short."""
        if self._escape or self._odd:
            raise MalformedBody("the base64 of the file is cut short")
