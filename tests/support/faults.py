"""A TCP proxy that loses what passes through it: silently, or by cutting, from now on or at certain words."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading


class FaultyProxy:
    """
    A proxy on a free port of the loopback interface, with a thread for each direction of a connection.

    Args:
        tls: what it speaks to clients, if it is not what it speaks to the target.

    Attributes:
        port: where it listens.
        cut_at: when a client sends these bytes for the first time, they are not handed on and the connection is cut;
            None afterwards, and for never.
    """

    def __init__(self, target_port: int, tls: ssl.SSLContext | None = None) -> None:
        self._target = ("127.0.0.1", target_port)
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.cut_at: bytes | None = None
        self._open = threading.Event()
        self._open.set()
        self._sockets: set[socket.socket] = set()
        self._is_closed = False
        threading.Thread(target=self._accept, daemon=True).start()

    def swallow(self) -> None:
        """Take what is sent and hand nothing on, as a cable that was pulled does."""
        self._open.clear()

    def pass_on(self) -> None:
        """Hand on what was kept, and what comes."""
        self._open.set()

    def lead_to(self, target_port: int) -> None:
        """Connect whoever comes from now on to another port."""
        self._target = ("127.0.0.1", target_port)

    def cut(self) -> None:
        """Break every connection."""
        for each in list(self._sockets):
            self._end(each)

    def close(self) -> None:
        """Break every connection, and listen no more."""
        self._is_closed = True
        self._open.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        while not self._is_closed:
            try:
                client, _ = self._listener.accept()
                if self._tls is not None:
                    client = self._tls.wrap_socket(client, server_side=True, do_handshake_on_connect=False)
            except OSError:
                return
            try:
                upstream = socket.create_connection(self._target)
            except OSError:
                client.close()
                continue
            self._sockets |= {client, upstream}
            for one, other, is_client in ((client, upstream, True), (upstream, client, False)):
                threading.Thread(target=self._carry, args=(one, other, is_client), daemon=True).start()

    def _carry(self, one: socket.socket, other: socket.socket, is_client: bool) -> None:
        try:
            while data := one.recv(65536):
                self._open.wait()
                if is_client and self.cut_at is not None and self.cut_at in data:
                    self.cut_at = None
                    break
                other.sendall(data)
        except OSError:
            pass
        self._end(one)
        self._end(other)

    def _end(self, each: socket.socket) -> None:
        self._sockets.discard(each)
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
        each.close()
