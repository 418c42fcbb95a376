"""Replies that a proxy in front finishes."""

from __future__ import annotations

from typing import Any

from attrs import evolve

from pkgregd.http.proxies import TrustedProxies
from pkgregd.testing.client import MemoryClient
from pkgregd.values import ByteRange, Reply, StreamBody
from tests.http.front import CONTENT, MODIFIED, FrontCase, Source

PROXY, CLIENT = "10.0.0.1", "192.0.2.1"
PATH = "sha256/aa/bb/aabb"


class HandOverTests(FrontCase):
    """What is left to nginx, and for whom."""

    def setUp(self) -> None:
        """Answer a proxy's requests with a file that it has as well."""
        super().setUp()
        Source.opened = 0
        self.is_shared = True
        settings = evolve(self.factory.settings, trusted_proxies=("10.0.0.0/8", "unix"), accel_redirect="/-/blobs/")
        self.use(settings)
        self.result = Reply(
            200, StreamBody(len(CONTENT), self.open_source), "application/x-toy", etag="e1",
            last_modified=MODIFIED, download_name="a.bin", headers=(("Cache-Control", "private"),),
        )  # fmt: skip

    def tearDown(self) -> None:
        """Every source that was opened is closed."""
        self.assertEqual(Source.opened, 0)

    def use(self, settings: Any) -> None:
        """Let the front have these settings."""
        self.factory.settings = settings
        self.factory.trusted_proxies = TrustedProxies(settings.trusted_proxies)
        self.client = MemoryClient(self.factory, PROXY)

    async def open_source(self, piece: ByteRange | None) -> Source:
        """Open it, or a piece of it."""
        source = Source(CONTENT if piece is None else CONTENT[piece.start : piece.stop])
        source.shared_path = PATH if self.is_shared else None
        return source

    def ask(self, **headers: str) -> Any:
        """Ask as nginx does."""
        return self.get(X_Sendfile_Type="X-Accel-Redirect", X_Forwarded_For=CLIENT, **headers)

    def assert_sent(self, answer: Any, status: int = 200) -> None:
        """The bytes came from us."""
        self.assertEqual(answer.status, status)
        self.assertNotIn("x-accel-redirect", answer.headers)
        self.assertTrue(answer.body)

    def test_the_path_instead_of_the_bytes(self) -> None:
        """The proxy is told where the file is, and all that belongs to it but its length."""
        for headers in ({}, {"Range": "bytes=1-9"}, {"Range": "bytes=1-9", "If_Range": '"e1"'}):
            answer = self.ask(**headers)
            self.assertEqual((answer.status, answer.body), (200, b""), headers)
            self.assertNotIn("content-range", answer.headers)
            for name, value in (
                ("x-accel-redirect", f"/-/blobs/{PATH}"),
                ("content-length", "0"),
                ("content-type", "application/x-toy"),
                ("content-disposition", 'attachment; filename="a.bin"'),
                ("cache-control", "private"),
                ("etag", '"e1"'),
                ("last-modified", "Wed, 04 Mar 2026 05:06:07 GMT"),
            ):
                self.assertEqual(answer.headers[name], value, headers)

    def test_who_gets_the_bytes(self) -> None:
        """A client that is no proxy, whatever it says, and a proxy that does not say that it can."""
        said = {"X_Sendfile_Type": "X-Accel-Redirect"}
        self.assert_sent(self.get())
        self.assert_sent(self.get(X_Sendfile_Type="X-Sendfile"))
        self.assertEqual(self.get(**said).body, b"")
        self.client = MemoryClient(self.factory, CLIENT)
        self.assert_sent(self.get(**said))
        self.assert_sent(self.ask())

    def test_what_is_answered_here(self) -> None:
        """Whatever the proxy could understand in another way than we, or would have to open for nothing."""
        self.assertEqual(self.ask(If_None_Match='"e1"').status, 304)
        self.assertEqual(self.ask(If_Match='"e2"').status, 412)
        self.assertEqual(self.ask(Range="bytes=5000-").status, 416)
        self.assert_sent(self.ask(If_Match='"e1"'))
        self.assert_sent(self.ask(If_Unmodified_Since="Wed, 04 Mar 2026 05:06:07 GMT"))
        self.assert_sent(self.ask(Range="bytes=1-9", If_Range='"e2"'))
        self.assert_sent(self.ask(Range="bytes=1-9,20-29"))
        head = self.client.request(
            "HEAD", "/api/v4/projects/7/packages/toy/n/f", {"X-Sendfile-Type": "X-Accel-Redirect"}
        )
        self.assertEqual((head.status, head.headers["content-length"]), (200, str(len(CONTENT))))
        self.is_shared = False
        self.assert_sent(self.ask())

    def test_unless_it_is_configured(self) -> None:
        """Without a location there is nothing to be told."""
        self.use(evolve(self.factory.settings, accel_redirect=""))
        self.assert_sent(self.ask())
