"""Replies whose length nobody knows."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from twisted.internet.defer import Deferred

from pkgregd.errors import Unavailable
from pkgregd.testing.client import parse_replies
from pkgregd.values import FlowBody, Reply
from tests.http.front import BASE, FrontCase


class FlowTests(FrontCase):
    """A handler answers pieces."""

    def setUp(self) -> None:
        """Have pieces that come when the test says so."""
        super().setUp()
        self.waiting: list[Deferred[bytes | None]] = []
        self.is_closed = False
        self.result = Reply(200, body=FlowBody(self.pieces()), content_type="application/x-ndjson")

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """Yield what the test gives, up to None."""
        try:
            while True:
                self.waiting.append(Deferred())
                piece = await self.waiting[-1]
                if piece is None:
                    return
                yield piece
        finally:
            self.is_closed = True

    def give(self, piece: bytes | None) -> None:
        """Have the next piece."""
        self.waiting[-1].callback(piece)

    def ask(self, request: str = f"GET {BASE}/n/f HTTP/1.1") -> None:
        """Send a request."""
        self.client.transport.send(f"{request}\r\nHost: registry.test\r\n\r\n".encode())

    def received(self) -> bytes:
        """What came until now."""
        return bytes(self.client.transport.received)

    def test_pieces_come_as_they_are_made(self) -> None:
        """Each is a chunk, sent at once; the connection is good for another request."""
        self.ask()
        self.assertIn(b"Transfer-Encoding: chunked\r\n", self.received())
        self.assertNotIn(b"Content-Length", self.received())
        self.give(b"one\n")
        self.assertTrue(self.received().endswith(b"\r\n\r\n4\r\none\n\r\n"))
        self.give(b"two, which is longer\n")
        self.give(None)
        (reply,) = parse_replies(self.received())
        self.assertEqual((reply.status, reply.body, reply.is_complete), (200, b"one\ntwo, which is longer\n", True))
        self.assertIsNone(self.client.transport.closed)
        self.assertTrue(self.is_closed)

    def test_http_1_0(self) -> None:
        """Without chunks, up to the end of the connection, which the client cannot keep."""
        self.ask(f"GET {BASE}/n/f HTTP/1.0\r\nConnection: keep-alive")
        self.give(b"one\n")
        self.give(None)
        head, _, body = self.received().partition(b"\r\n\r\n")
        self.assertIn(b"Connection: close", head)
        self.assertNotIn(b"Transfer-Encoding", head)
        self.assertEqual(body, b"one\n")
        self.assertTrue(self.client.transport.is_half_closed or self.client.transport.closed)

    def test_a_slow_client(self) -> None:
        """While it takes nothing no further piece is made."""
        self.ask()
        self.client.transport.stalls = True
        self.give(b"x" * 100_000)
        self.assertEqual(len(self.waiting), 1)
        self.client.transport.stalls = False
        self.client.transport.take()
        self.assertEqual(len(self.waiting), 2)

    def test_a_client_who_leaves(self) -> None:
        """Whatever makes the pieces is ended, whether it waits or the client did not keep up."""
        for stalls in (False, True):
            self.is_closed = False
            self.result = Reply(200, body=FlowBody(self.pieces()))
            self.client.reconnect()
            self.ask()
            self.client.transport.stalls = stalls
            if stalls:
                self.give(b"x" * 100_000)
            self.client.transport.hang_up()
            self.assertTrue(self.is_closed)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_trouble_in_the_middle(self) -> None:
        """The connection is cut, so that nobody takes what came for all there is."""
        self.ask()
        self.give(b"one\n")
        self.waiting[-1].errback(Unavailable("the database is away"))
        self.assertEqual(self.client.transport.closed, "aborted")

    def test_head(self) -> None:
        """Nothing is made for a HEAD."""
        self.ask(f"HEAD {BASE}/n/f HTTP/1.1")
        self.assertEqual(self.waiting, [])
        self.assertTrue(self.received().endswith(b"\r\n\r\n"))
