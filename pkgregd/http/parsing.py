"""
The strict reading of HTTP/1.1 messages: request heads and chunked bodies.

Pure: bytes in, values out, no sockets. What a proxy in front of us might read
differently from us is refused, never guessed.

Source: RFC 9112 (HTTP/1.1), RFC 9110 (semantics).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from attrs import frozen

from pkgregd.http.settings import FrontSettings

METHODS = frozenset({b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS"})
MAX_CHUNK_LINE_BYTES = 18  # sixteen hex digits and the line's end
MAX_TRAILER_BYTES = 4096
_CARRIAGE_RETURN = 0x0D

_REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([!-~]+) HTTP/([0-9])\.([0-9])")
_TARGET = re.compile(rb"/[!\"$-~]*")
_ABSOLUTE = re.compile(rb"https?://([^/?#]+)(/[!\"$-~]*)?", re.IGNORECASE)
_HEADER_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):([\t -~\x80-\xff]*)")
_HOST = re.compile(rb"(?:[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")
_LENGTH = re.compile(rb"[0-9]{1,18}")
_SMALL_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,6})\r\n")
_CHUNK_SIZE = re.compile(rb"[0-9A-Fa-f]{1,16}")
_BARE_LINE_END = re.compile(rb"(?<!\r)\n|\r(?=[^\n])")


class BadRequest(Exception):
    """
    The message breaks the protocol; the connection cannot be used again.

    Attributes:
        status: 400, 414, 417, 431, 501, 503 or 505.
        reason: for the client.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


@frozen
class RequestHead:
    """
    A request line and its headers, checked.

    Attributes:
        method: one of METHODS.
        target: origin-form, visible ASCII, starting with `/`.
        is_http_1_0: the older of the two versions we speak.
        headers: (lower-case name, value) in order; names with an underscore are dropped, since a proxy may
            have meant the name with a dash.
        declared_bytes: Content-Length, 0 without a body, None when chunked.
        expects_continue: the client waits for `100 Continue`.
        keeps_alive: the client wants the connection to stay.
    """

    method: bytes
    target: bytes
    is_http_1_0: bool
    headers: tuple[tuple[bytes, bytes], ...]
    declared_bytes: int | None
    expects_continue: bool
    keeps_alive: bool


def refuse_bare_line_ends(data: bytes | bytearray, start: int) -> None:
    """Raise BadRequest for a CR or LF that stands alone; a CR at the very end may still get its LF."""
    if _BARE_LINE_END.search(data, max(start, 0)):
        raise BadRequest(400, "a line ends in a bare CR or LF")


def parse_head(raw: bytes, settings: FrontSettings) -> RequestHead:
    """
    Read a request head.

    Args:
        raw: request line and header lines with their CRLFs, without the empty line.
    Raises:
        BadRequest.
    """
    if not raw.count(b"\r\n") == raw.count(b"\n") == raw.count(b"\r"):
        raise BadRequest(400, "a line ends in a bare CR or LF")
    request_line, *lines = raw.split(b"\r\n")
    method, target, is_http_1_0 = _parse_request_line(request_line, settings)
    if len(lines) > settings.max_headers:
        raise BadRequest(431, f"more than {settings.max_headers} header lines")
    headers = tuple(_parse_header(line) for line in lines)
    values: dict[bytes, list[bytes]] = {}
    for name, value in headers:
        values.setdefault(name, []).append(value)
    target = _check_host(target, values, is_http_1_0)
    return RequestHead(
        method=method,
        target=target,
        is_http_1_0=is_http_1_0,
        headers=tuple(header for header in headers if b"_" not in header[0]),
        declared_bytes=_framing(values, is_http_1_0),
        expects_continue=_expectation(values, is_http_1_0),
        keeps_alive=_persistence(values, is_http_1_0),
    )


def _parse_request_line(line: bytes, settings: FrontSettings) -> tuple[bytes, bytes, bool]:
    match = _REQUEST_LINE.fullmatch(line)
    if match is None:
        raise BadRequest(400, "malformed request line")
    method, target, major, minor = match.groups()
    if major != b"1" or minor not in b"01":
        raise BadRequest(505, "only HTTP/1.1 and HTTP/1.0 are spoken here")
    if method not in METHODS:
        if method != method.upper():
            raise BadRequest(400, "methods are written in upper case")
        raise BadRequest(501, "unknown method")
    if len(target) > settings.max_target_bytes:
        raise BadRequest(414, f"the request target is longer than {settings.max_target_bytes} bytes")
    return method, target, minor == b"0"


def _parse_header(line: bytes) -> tuple[bytes, bytes]:
    match = _HEADER_LINE.fullmatch(line)
    if match is None:
        raise BadRequest(400, "malformed header line")
    name, value = match.groups()
    return name.lower(), value.strip(b" \t")


def _check_host(target: bytes, values: Mapping[bytes, list[bytes]], is_http_1_0: bool) -> bytes:
    """Check Host, and bring an absolute target (RFC 9112, section 3.2.2) to origin form."""
    hosts = values.get(b"host", [])
    if len(hosts) > 1 or (not hosts and not is_http_1_0):
        raise BadRequest(400, "exactly one Host header is needed")
    if hosts and not _HOST.fullmatch(hosts[0]):
        raise BadRequest(400, "malformed Host header")
    if _TARGET.fullmatch(target):
        return target
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is None:
        raise BadRequest(400, "malformed request target")
    if hosts and absolute[1].lower() != hosts[0].lower():
        raise BadRequest(400, "the request target and the Host header name different hosts")
    return absolute[2] or b"/"


def _framing(values: Mapping[bytes, list[bytes]], is_http_1_0: bool) -> int | None:
    """Say how long the body is: bytes, or None for chunked."""
    lengths = values.get(b"content-length", [])
    codings = values.get(b"transfer-encoding", [])
    if codings:
        if lengths:
            raise BadRequest(400, "Content-Length and Transfer-Encoding exclude each other")
        if is_http_1_0:
            raise BadRequest(400, "HTTP/1.0 knows no Transfer-Encoding")
        if len(codings) != 1 or codings[0].lower() != b"chunked":
            raise BadRequest(400, "the only Transfer-Encoding spoken here is chunked")
        return None
    if not lengths:
        return 0
    if len(lengths) != 1 or not _LENGTH.fullmatch(lengths[0]):
        raise BadRequest(400, "malformed Content-Length")
    return int(lengths[0])


def _expectation(values: Mapping[bytes, list[bytes]], is_http_1_0: bool) -> bool:
    expectations = values.get(b"expect", [])
    if not expectations or is_http_1_0:
        return False
    if len(expectations) != 1 or expectations[0].lower() != b"100-continue":
        raise BadRequest(417, "the only expectation met here is 100-continue")
    return True


def _persistence(values: Mapping[bytes, list[bytes]], is_http_1_0: bool) -> bool:
    options = {option.strip().lower() for value in values.get(b"connection", []) for option in value.split(b",")}
    if b"close" in options:
        return False
    return not is_http_1_0 or b"keep-alive" in options


class IdentityDecoder:
    """
    A body of known length.

    Args:
        length_bytes: greater than 0.
        deliver: gets the bytes of the body; never empty.
    """

    def __init__(self, length_bytes: int, deliver: Callable[[bytes], None]) -> None:
        self._missing_bytes = length_bytes
        self._deliver = deliver

    def feed(self, data: bytes) -> bytes | None:
        """
        Take bytes off the wire.

        Returns:
            None while more are needed, else what came after the body.
        """
        if len(data) < self._missing_bytes:
            self._missing_bytes -= len(data)
            self._deliver(data)
            return None
        rest = data[self._missing_bytes :]
        if rest:
            data = data[: self._missing_bytes]
        self._missing_bytes = 0
        self._deliver(data)
        return rest


class ChunkedDecoder:
    """
    A chunked body (RFC 9112, section 7.1), without chunk extensions; trailers are checked and dropped.

    Args:
        deliver: gets the bytes of the body as they come; never empty.

    Attributes:
        chunk_count: how many chunks began in what was last fed.
    """

    def __init__(self, deliver: Callable[[bytes], None]) -> None:
        self._deliver = deliver
        self._line = b""  # the beginning of a line whose end has not come
        self._read = self._read_size
        self._missing_bytes = 0
        self._trailer_bytes = 0
        self._done = False
        self.chunk_count = 0

    def feed(self, data: bytes) -> bytes | None:
        """
        Take bytes off the wire; what they hold of the body is delivered in one piece.

        Returns:
            None while more are needed, else what came after the body.
        Raises:
            BadRequest: the framing is broken.
        """
        if self._line:
            data, self._line = self._line + data, b""
        at, end = 0, len(data)
        pieces: list[bytes] = []
        self.chunk_count = 0
        while at < end and not self._done:
            if self._read == self._read_size:
                at = self._take_whole_chunks(data, at, pieces)
            at = self._read(data, at, pieces)
        if pieces:
            self._deliver(pieces[0] if len(pieces) == 1 else b"".join(pieces))
        return data[at:] if self._done else None

    def _take_whole_chunks(self, data: bytes, at: int, pieces: list[bytes]) -> int:
        """
        Take chunks that lie in the data from their size to their end, quickly.

        The first one that is anything else (cut, malformed, the last) is left to the readers that know what to say.
        """
        count = 0
        while (match := _SMALL_CHUNK_SIZE.match(data, at)) is not None:
            start = match.end()
            stop = start + int(match[1], 16)
            if stop == start or data[stop : stop + 2] != b"\r\n":
                break
            pieces.append(data[start:stop])
            at = stop + 2
            count += 1
        self.chunk_count += count
        return at

    def _take_line(self, data: bytes, at: int, max_bytes: int) -> tuple[bytes | None, int]:
        """
        Split off a line of at most max_bytes with its end.

        Returns:
            The line, None while its end is missing, and where the next one begins.
        """
        end = data.find(b"\n", at, at + max_bytes)
        if end >= 0:
            if end == at or data[end - 1] != _CARRIAGE_RETURN:
                raise BadRequest(400, "a line of the chunked body ends in a bare LF")
            return data[at : end - 1], end + 1
        if len(data) - at >= max_bytes:
            raise BadRequest(400, "a line of the chunked body is too long")
        self._line = data[at:]
        return None, len(data)

    def _read_size(self, data: bytes, at: int, pieces: list[bytes]) -> int:
        line, at = self._take_line(data, at, MAX_CHUNK_LINE_BYTES)
        if line is not None:
            if not _CHUNK_SIZE.fullmatch(line):
                raise BadRequest(400, "malformed chunk size")
            self.chunk_count += 1
            self._missing_bytes = int(line, 16)
            self._read = self._read_data if self._missing_bytes else self._read_trailer
        return at

    def _read_data(self, data: bytes, at: int, pieces: list[bytes]) -> int:
        piece = data[at : at + self._missing_bytes]
        pieces.append(piece)
        self._missing_bytes -= len(piece)
        if not self._missing_bytes:
            self._read = self._read_end_of_data
        return at + len(piece)

    def _read_end_of_data(self, data: bytes, at: int, pieces: list[bytes]) -> int:
        line, at = self._take_line(data, at, 2)
        if line is not None:
            self._read = self._read_size
        return at

    def _read_trailer(self, data: bytes, at: int, pieces: list[bytes]) -> int:
        line, at = self._take_line(data, at, MAX_TRAILER_BYTES - self._trailer_bytes)
        if line:
            self._trailer_bytes += len(line) + 2
            _parse_header(line)
        elif line is not None:
            self._done = True
        return at
