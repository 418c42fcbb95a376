"""HTTP/1.1 over a bare socket: bodies from a buffer that is sent again and again, answers as they come."""

from __future__ import annotations

import base64
import contextlib
import os
import socket
import ssl
from collections.abc import Iterable, Iterator, Mapping
from types import TracebackType

from attrs import frozen

SEND_BYTES = 1 << 20
BUFFER = os.urandom(SEND_BYTES)
"""Random, so that nothing on the way gains from it; equal in every body, so that clients stay small."""


@frozen
class Answer:
    """
    An answer as it came.

    Attributes:
        status: of the final answer.
        interim: statuses of the 1xx answers before it.
        headers: by lower-case name; of several the last.
        body: its bytes, empty if they were only counted.
        size_bytes: how many there were.
    """

    status: int
    interim: tuple[int, ...]
    headers: Mapping[str, str]
    body: bytes
    size_bytes: int


def basic(user: str, secret: str) -> str:
    """Make the value of an Authorization header."""
    return "Basic " + base64.b64encode(f"{user}:{secret}".encode()).decode("ascii")


def repeated(size_bytes: int, buffer: bytes = BUFFER) -> Iterator[memoryview]:
    """Make pieces of so many bytes together, all of one buffer."""
    view = memoryview(buffer)
    while size_bytes:
        piece = view[: min(size_bytes, len(view))]
        size_bytes -= len(piece)
        yield piece


class RawConnection:
    """
    One connection, usable as a context manager.

    Args:
        tls: wraps the socket if given.
    """

    def __init__(self, port: int, *, tls: ssl.SSLContext | None = None, timeout_seconds: float = 120.0) -> None:
        self.socket: socket.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout_seconds)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_hostname="localhost")
        self._received = bytearray()

    def __enter__(self) -> RawConnection:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the socket."""
        self.socket.close()

    def send_head(self, method: str, path: str, headers: Mapping[str, str]) -> None:
        """Send request line and headers; Host is there unless given."""
        fields = {"Host": "127.0.0.1", **headers}
        lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items()), "", ""]
        self.socket.sendall("\r\n".join(lines).encode("ascii"))

    def send_body(self, pieces: Iterable[bytes | memoryview]) -> int:
        """
        Send a body.

        Returns:
            Bytes that the kernel took. Fewer than there were if the server closed: its answer may be there to read.
        """
        sent = 0
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for piece in pieces:
                self.socket.sendall(piece)
                sent += len(piece)
        return sent

    def request(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        pieces: Iterable[bytes | memoryview] = (),
        *,
        keep: bool = True,
    ) -> Answer:
        """Send a request, whose headers say its length, and return the answer."""
        self.send_head(method, path, headers)
        self.send_body(pieces)
        return self.read_answer(keep=keep, head_only=method == "HEAD")

    def read_answer(self, *, keep: bool = True, head_only: bool = False) -> Answer:
        """
        Read an answer whose body has a length or ends with the connection.

        Args:
            keep: whether to return the body, or to count it.

        Raises:
            ConnectionError: the connection ended before the answer did.
        """
        interim: list[int] = []
        while True:
            status, headers = self._read_head()
            if status >= 200:
                break
            interim.append(status)
        if head_only or status in (204, 304):
            return Answer(status, tuple(interim), headers, b"", 0)
        length = int(headers["content-length"]) if "content-length" in headers else None
        body, size_bytes = bytearray(), 0
        for piece in self._body(length):
            size_bytes += len(piece)
            if keep:
                body += piece
        return Answer(status, tuple(interim), headers, bytes(body), size_bytes)

    def take_received(self) -> bytes:
        """Return, once, what came behind the last answer."""
        received = bytes(self._received)
        self._received.clear()
        return received

    def _read_head(self) -> tuple[int, dict[str, str]]:
        while (end := self._received.find(b"\r\n\r\n")) < 0:
            data = self.socket.recv(65536)
            if not data:
                raise ConnectionError(f"closed before the headers: {bytes(self._received[:200])!r}")
            self._received += data
        lines = self._received[:end].decode("latin-1").split("\r\n")
        del self._received[: end + 4]
        fields = (line.partition(":") for line in lines[1:])
        return int(lines[0].split()[1]), {name.lower(): value.strip() for name, _, value in fields}

    def _body(self, length: int | None) -> Iterator[bytes | memoryview]:
        first = bytes(self._received if length is None else self._received[:length])
        del self._received[: len(first)]
        yield first
        left = None if length is None else length - len(first)
        buffer = memoryview(bytearray(SEND_BYTES))
        while left is None or left:
            got = self.socket.recv_into(buffer[: SEND_BYTES if left is None else min(left, SEND_BYTES)])
            if not got:
                if left is None:
                    return
                raise ConnectionError(f"closed with {left} bytes of the body missing")
            left = None if left is None else left - got
            yield buffer[:got]
