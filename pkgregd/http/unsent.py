"""How much of what was written a client has not taken yet."""

from __future__ import annotations

import fcntl
import struct
import termios
from typing import Any

from twisted.internet.interfaces import ISSLTransport


def unsent_bytes(transport: Any) -> int:
    """
    Return how many bytes were written to a transport and not taken by the client.

    Counts what Twisted holds and what the kernel holds, since a slow reader shows as progress in one of them.
    """
    if ISSLTransport.providedBy(transport):
        transport = getattr(transport, "transport", transport)
    try:
        in_kernel = fcntl.ioctl(transport.fileno(), termios.TIOCOUTQ, b"\0\0\0\0")
    except (AttributeError, OSError, TypeError):
        return held_bytes(transport)
    return held_bytes(transport) + int(struct.unpack("i", in_kernel)[0])


def held_bytes(transport: Any) -> int:
    """Return how many written bytes Twisted holds (attributes of its TCP transports, pinned by a test)."""
    size_bytes = len(getattr(transport, "dataBuffer", b"")) - getattr(transport, "offset", 0)
    return int(size_bytes) + int(getattr(transport, "_tempDataLen", 0))
