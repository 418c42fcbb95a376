"""An HTTP client in memory for our own factory: raw bytes in, parsed replies out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from attrs import frozen
from twisted.internet.interfaces import IProtocolFactory

from pkgregd.testing.transport import MemoryTransport


@frozen
class ClientReply:
    """
    A reply as the client read it.

    Attributes:
        status: 0 when the connection ended without one.
        headers: by lower-case name; the last one of a name.
        body: decoded.
        is_complete: whether it ended as its framing promised.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    is_complete: bool


class MemoryClient:
    """
    A client of one factory.

    Attributes:
        transport: of the present connection.
    """

    def __init__(self, factory: IProtocolFactory, address: str = "192.0.2.1") -> None:
        self._factory = factory
        self._address = address
        self.transport = self._connect()

    def _connect(self) -> MemoryTransport:
        transport = MemoryTransport(self._address)
        protocol: Any = self._factory.buildProtocol(transport.getPeer())
        transport.connect(protocol)
        return transport

    def reconnect(self) -> None:
        """Use a new connection from now on."""
        self.transport = self._connect()

    def request(
        self, method: str, target: str, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> ClientReply:
        """Send a request on a connection of its own and read the reply."""
        self.reconnect()
        fields = {"Host": "registry.test", **(headers or {})}
        if body is not None and "Transfer-Encoding" not in fields:
            fields.setdefault("Content-Length", str(len(body)))
        head = f"{method} {target} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        self.transport.send(head.encode("latin-1") + b"\r\n" + (body or b""))
        replies = parse_replies(bytes(self.transport.received), [method])
        return replies[-1] if replies else ClientReply(0, {}, b"", False)


def parse_replies(raw: bytes, methods: Iterable[str] = ()) -> list[ClientReply]:
    """
    Read replies one after the other.

    Args:
        methods: of the requests, so that replies to HEAD are read without a body; GET where it ends.
    Returns:
        Interim (1xx) replies included.
    """
    wanted = iter(methods)
    replies = []
    method = next(wanted, "GET")
    while raw:
        head, found, rest = raw.partition(b"\r\n\r\n")
        if not found:
            replies.append(ClientReply(0, {}, raw, False))
            break
        status_line, *lines = head.decode("latin-1").split("\r\n")
        status = int(status_line.split(" ")[1])
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        body, raw, is_complete = _read_body(method, status, headers, rest)
        replies.append(ClientReply(status, headers, body, is_complete))
        if status >= 200:
            method = next(wanted, "GET")
    return replies


def _read_body(method: str, status: int, headers: Mapping[str, str], rest: bytes) -> tuple[bytes, bytes, bool]:
    if method == "HEAD" or status < 200 or status in (204, 304):
        return b"", rest, True
    if headers.get("transfer-encoding") == "chunked":
        body = b""
        while True:
            size, _, rest = rest.partition(b"\r\n")
            length = int(size or b"0", 16)
            if not length:
                return body, rest[2:], bool(size)
            body, rest = body + rest[:length], rest[length + 2 :]
    length = int(headers.get("content-length", "0"))
    return rest[:length], rest[length:], len(rest) >= length
