"""Malformed requests over a real socket: one refusal, the end of the connection, and no second request in its wake."""

from __future__ import annotations

import ssl

from tests.http.test_parsing import REFUSED
from tests.support.cases import DaemonTestCase
from tests.support.rawhttp import Answer, RawConnection

SMUGGLED = b"GET /-/livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
"""What would be answered if the refused request had been taken to end before it."""

BROKEN_BODIES = {
    "chunk extension": b"3;a=b\r\nabc\r\n0\r\n\r\n",
    "chunk extension of 300 bytes": b"3;" + b"a" * 300 + b"\r\nabc\r\n0\r\n\r\n",
    "chunk size 0x3": b"0x3\r\nabc\r\n0\r\n\r\n",
    "chunk size 0_3": b"0_3\r\nabc\r\n0\r\n\r\n",
    "chunk size +3": b"+3\r\nabc\r\n0\r\n\r\n",
    "bare line feed behind a chunk size": b"3\nabc\r\n0\r\n\r\n",
    "no line end behind a chunk": b"3\r\nabc0\r\n\r\n",
    "chunk size of 5000 digits": b"1" * 5000 + b"\r\n",
}

STRANGE_PATHS = (
    "/../../../../etc/passwd", "//etc/passwd", "/%2F%2F..%2F..%2Fetc%2Fpasswd", "/..%5c..%5cetc", "/%252e%252e/x",
    "/a/./b", "/a%00b", "/%c0%ae%c0%ae/", "/;/../x", "/%0d%0aSet-Cookie:x=1",
)  # fmt: skip


class WireTests(DaemonTestCase):
    """The corpus."""

    def send(self, raw: bytes) -> tuple[Answer, bytes]:
        """Send bytes on a connection of their own; returns the answer and all that came behind it until the end."""
        with RawConnection(self.daemon.port, timeout_seconds=30) as connection:
            sent = connection.send_body([raw])
            self.assertEqual(sent, len(raw))
            answer = connection.read_answer()
            return answer, self.rest(connection)

    def rest(self, connection: RawConnection) -> bytes:
        """Read until the daemon closes."""
        received = connection.take_received()
        while data := connection.socket.recv(65536):
            received += data
        return received

    def test_heads(self) -> None:
        """Each malformed head gets its status and closes."""
        for name, (text, status) in REFUSED.items():
            head = text.replace("\n", "\r\n").encode("latin-1") + b"\r\n\r\n"
            answer, rest = self.send(head + SMUGGLED)
            self.assertEqual((answer.status, rest), (status, b""), name)
            self.assertEqual(answer.headers["connection"], "close", name)

    def test_bodies(self) -> None:
        """Each malformed body is refused, and what follows is no request."""
        path = self.daemon.packages_path("generic", self.daemon.world.private_id) + "/wire/1.0/x.bin"
        head = (
            f"PUT {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nPRIVATE-TOKEN: {self.daemon.world.writer}\r\n"
            "Transfer-Encoding: chunked\r\n\r\n"
        ).encode()
        for name, body in BROKEN_BODIES.items():
            answer, rest = self.send(head + body + SMUGGLED)
            self.assertEqual((answer.status, rest), (400, b""), name)
        self.assertEqual(self.daemon.get(path, {"PRIVATE-TOKEN": self.daemon.world.writer})[0], 404)

    def test_paths(self) -> None:
        """Each strange path is refused or not there, in an answer of its own that has no line of the client's."""
        for path in STRANGE_PATHS:
            with RawConnection(self.daemon.port, timeout_seconds=30) as connection:
                answer = connection.request("GET", path, {})
            self.assertIn(answer.status, (400, 404), path)
            self.assertNotIn("set-cookie", answer.headers)

    def test_two_good_requests(self) -> None:
        """The control: pipelined requests are both answered on one connection."""
        with RawConnection(self.daemon.port, timeout_seconds=30) as connection:
            connection.send_body([SMUGGLED + SMUGGLED])
            self.assertEqual([connection.read_answer().status, connection.read_answer().status], [200, 200])

    def test_http_2_is_not_offered(self) -> None:
        """A client that speaks HTTP/2 too is told to speak HTTP/1.1; one that speaks nothing else is not let in."""
        context = ssl.create_default_context(cafile=self.daemon.ca_file)
        context.set_alpn_protocols(["h2", "http/1.1"])
        with RawConnection(self.daemon.tls_port, tls=context, timeout_seconds=30) as connection:
            assert isinstance(connection.socket, ssl.SSLSocket)
            self.assertEqual(connection.socket.selected_alpn_protocol(), "http/1.1")
            self.assertEqual(connection.request("GET", "/-/livez", {}).status, 200)
        context.set_alpn_protocols(["h2"])
        self.assertRaises(ssl.SSLError, RawConnection, self.daemon.tls_port, tls=context)
