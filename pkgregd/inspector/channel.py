"""The inspector's end of the socket, and archives that are read through it. Everything blocks."""

from __future__ import annotations

import io
import os
import socket

from attrs import frozen

from pkgregd.inspector.wire import DATA, HEADER, MAX_READ_BYTES, MAX_TO_INSPECTOR_BYTES, READ, READ_HEADER, frame


@frozen
class Frame:
    """
    What the daemon said.

    Attributes:
        fd: a descriptor that came along, now ours to close.
    """

    kind: int
    payload: bytes
    fd: int | None


class Channel:
    """Frames over a socket."""

    def __init__(self, stream: socket.socket) -> None:
        self._stream = stream

    def receive(self) -> Frame | None:
        """Wait for a frame; None when the daemon has closed its end."""
        data, fds, _, _ = socket.recv_fds(self._stream, MAX_TO_INSPECTOR_BYTES, 1)
        fd = fds[0] if fds else None
        while len(data) < HEADER.size or len(data) < HEADER.size + HEADER.unpack_from(data)[1]:
            more = self._stream.recv(MAX_TO_INSPECTOR_BYTES)
            if not more:
                return None
            data += more
        return Frame(data[0], data[HEADER.size :], fd)

    def send(self, data: bytes) -> None:
        """Send a whole frame."""
        self._stream.sendall(data)


class RemoteFile(io.RawIOBase):
    """An archive that the daemon reads for us, piece by piece."""

    def __init__(self, channel: Channel, size_bytes: int) -> None:
        self._channel = channel
        self._size_bytes = size_bytes
        self._position = 0

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move; before the beginning is an error, as in a file."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size_bytes}[whence]
        if start + offset < 0:
            raise OSError("negative position")
        self._position = start + offset
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # all that BufferedReader gives
        """
        Ask for the next bytes.

        Raises:
            OSError: the daemon cannot read them.
        """
        wanted_bytes = min(len(buffer), MAX_READ_BYTES, max(0, self._size_bytes - self._position))
        if not wanted_bytes:
            return 0
        self._channel.send(frame(READ, READ_HEADER.pack(self._position, wanted_bytes)))
        answer = self._channel.receive()
        if answer is None or answer.kind != DATA or len(answer.payload) != wanted_bytes:
            raise OSError("the archive cannot be read on")
        buffer[:wanted_bytes] = answer.payload
        self._position += wanted_bytes
        return wanted_bytes
