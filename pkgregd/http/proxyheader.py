"""
The PROXY protocol: what a proxy says before the bytes of its client.

Pure: bytes in, values out. What is not exactly as the specification has it is refused.

Source: The PROXY protocol, versions 1 and 2 (HAProxy), sections 2.1 and 2.2.
"""

from __future__ import annotations

import ipaddress
import re
import socket

from attrs import frozen

MAX_LINE_BYTES = 107
"""Of version 1, with its end."""

MAX_BLOCK_BYTES = 2048
"""Of version 2 behind its first 16 bytes: addresses, and what else a proxy tells."""

_SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
_HEAD_BYTES = 16
_LINE = re.compile(
    rb"PROXY (?:(TCP4) ([0-9.]{7,15}) [0-9.]{7,15}|(TCP6) ([0-9A-Fa-f:.]{2,39}) [0-9A-Fa-f:.]{2,39})"
    rb" [0-9]{1,5} [0-9]{1,5}"
)
_LOCAL, _PROXY = 0x20, 0x21
_UNSPECIFIED, _TCP4, _TCP6, _UNIX = 0x00, 0x11, 0x21, 0x31
_BLOCK_BYTES = {_TCP4: 12, _TCP6: 36, _UNIX: 216}


class BadProxyHeader(Exception):
    """What came is no header of the PROXY protocol."""


@frozen
class ProxyHeader:
    """
    A header that is complete.

    Attributes:
        address: the client's; None where the proxy speaks for itself, or does not know.
        size_bytes: of the header; what comes behind it is the client's.
    """

    address: str | None
    size_bytes: int


def read_proxy_header(data: bytes) -> ProxyHeader | None:
    """
    Read the header at the beginning of a connection.

    Args:
        data: all that came so far.

    Returns:
        None while more has to come.

    Raises:
        BadProxyHeader.
    """
    if data[: len(_SIGNATURE)] == _SIGNATURE[: len(data)]:
        return _read_block(data)
    if data[:6] == b"PROXY "[: len(data)]:
        return _read_line(data)
    raise BadProxyHeader


def _read_line(data: bytes) -> ProxyHeader | None:
    line, end, _ = data[:MAX_LINE_BYTES].partition(b"\r\n")
    if not end:
        if len(data) >= MAX_LINE_BYTES:
            raise BadProxyHeader
        return None
    size_bytes = len(line) + 2
    if line == b"PROXY UNKNOWN" or line.startswith(b"PROXY UNKNOWN "):
        return ProxyHeader(None, size_bytes)
    match = _LINE.fullmatch(line)
    if match is None:
        raise BadProxyHeader
    try:
        parsed = ipaddress.ip_address((match[2] or match[4]).decode("ascii"))
    except ValueError:
        raise BadProxyHeader from None
    if (parsed.version == 4) != bool(match[1]):
        raise BadProxyHeader
    return ProxyHeader(str(parsed), size_bytes)


def _read_block(data: bytes) -> ProxyHeader | None:
    if len(data) < _HEAD_BYTES:
        return None
    command, family = data[12], data[13]
    block_bytes = int.from_bytes(data[14:16], "big")
    if command not in (_LOCAL, _PROXY) or block_bytes > MAX_BLOCK_BYTES:
        raise BadProxyHeader
    size_bytes = _HEAD_BYTES + block_bytes
    if len(data) < size_bytes:
        return None
    if command == _LOCAL or family == _UNSPECIFIED:
        return ProxyHeader(None, size_bytes)
    if block_bytes < _BLOCK_BYTES.get(family, MAX_BLOCK_BYTES + 1):
        raise BadProxyHeader
    block = data[_HEAD_BYTES:size_bytes]
    if family == _TCP4:
        return ProxyHeader(socket.inet_ntop(socket.AF_INET, block[:4]), size_bytes)
    if family == _TCP6:
        return ProxyHeader(str(ipaddress.IPv6Address(block[:16])), size_bytes)
    return ProxyHeader(None, size_bytes)
