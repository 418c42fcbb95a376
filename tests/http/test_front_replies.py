"""What a handler's reply becomes: validators, ranges, pages, names of downloads, all that is seen of a torn one."""

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from pkgregd import errors
from pkgregd.http.replies import attachment
from pkgregd.testing.client import parse_replies
from pkgregd.values import (
    ByteRange,
    Page,
    PageBody,
    Reply,
    StreamBody,
)
from tests.http.front import BASE, CONTENT, MODIFIED, FrontCase, Source


class ReplyTests(FrontCase):
    """Validators, ranges, safe headers."""

    def setUp(self):
        """Answer with a stream."""
        super().setUp()
        Source.opened = 0
        self.ranges = []

        async def open_source(piece):
            self.ranges.append(piece)
            return Source(CONTENT if piece is None else CONTENT[piece.start : piece.stop])

        self.result = Reply(
            200, StreamBody(len(CONTENT), open_source), "application/octet-stream", etag="e1", last_modified=MODIFIED,
            download_name="a.bin",
        )  # fmt: skip

    def test_clients_that_follow_are_sent_elsewhere(self):
        """Those that are known to, unless their credential would go along; nobody keeps the link."""
        url = "https://s3.example/b/k?X-Amz-Signature=abc"

        async def open_elsewhere(piece):
            source = Source(CONTENT)
            source.url = url
            return source

        self.result = evolve(self.result, body=StreamBody(len(CONTENT), open_elsewhere))
        pip = {"User_Agent": "pip/26.1 {}"}
        uv = {"User_Agent": "uv/0.9.1"}
        for headers in (pip, uv, {**pip, "Authorization": "Bearer x"}, {**pip, "Range": "bytes=0-3"}):
            answer = self.get(**headers)
            self.assertEqual((answer.status, answer.headers["location"]), (307, url), headers)
            self.assertEqual(answer.headers["cache-control"], "private, no-store")
            self.assertEqual(answer.body, b"")
            self.assertNotIn("etag", answer.headers)
        others = ({}, {"User_Agent": "curl/8.1"}, {"User_Agent": "my pip/1"})
        for headers in (*others, {**pip, "Private_Token": "x"}, {**pip, "Cookie": "a=b"}):
            self.assertEqual(self.get(**headers).status, 200, headers)
        url = "http://registry.test:9000/b/k"
        self.assertEqual(self.get(**pip, Authorization="Bearer x").status, 200)
        self.assertEqual(self.get(**pip).status, 307)

    def tearDown(self):
        """Every source that was opened is closed."""
        self.assertEqual(Source.opened, 0)

    def test_whole(self):
        """The whole body, with everything a cache and a browser need."""
        reply = self.get()
        self.assertEqual((reply.status, reply.body), (200, CONTENT))
        for name, value in (
            ("content-length", "1024"), ("etag", '"e1"'), ("accept-ranges", "bytes"),
            ("x-content-type-options", "nosniff"), ("last-modified", "Wed, 04 Mar 2026 05:06:07 GMT"),
            ("content-disposition", 'attachment; filename="a.bin"'),
            ("content-security-policy", "sandbox; default-src 'none'"),
        ):  # fmt: skip
            self.assertEqual(reply.headers[name], value)

    def test_head(self):
        """The same headers, no body, and no blob is opened."""
        reply = self.client.request("HEAD", BASE + "/n/f")
        self.assertEqual((reply.status, reply.headers["content-length"]), (200, "1024"))
        self.assertTrue(self.client.transport.received.endswith(b"\r\n\r\n"))
        self.assertEqual(self.ranges, [])

    def test_not_modified(self):
        """304 without a body, and no blob is opened."""
        for headers in ({"If_None_Match": '"e1"'}, {"If_Modified_Since": "Wed, 04 Mar 2026 05:06:07 GMT"}):
            reply = self.get(**headers)
            self.assertEqual((reply.status, reply.body, reply.headers["etag"]), (304, b"", '"e1"'))
            self.assertNotIn("content-length", reply.headers)
        self.assertEqual(self.ranges, [])

    def test_ranges(self):
        """A part, the last part, and a part of nothing."""
        reply = self.get(Range="bytes=10-19")
        self.assertEqual((reply.status, reply.body), (206, CONTENT[10:20]))
        self.assertEqual(reply.headers["content-range"], "bytes 10-19/1024")
        self.assertEqual(self.get(Range="bytes=-24").body, CONTENT[-24:])
        self.assertEqual(self.get(Range="bytes=0-1", If_Range='"old"').body, CONTENT)
        reply = self.get(Range="bytes=5000-")
        self.assertEqual((reply.status, reply.headers["content-range"]), (416, "bytes */1024"))
        self.assertEqual(self.ranges[0], ByteRange(10, 20))

    def test_precondition(self):
        """412 when If-Match does not hold."""
        self.assertEqual(self.get(If_Match='"other"').status, 412)

    def test_a_torn_body_cuts_the_connection(self):
        """The client cannot take half a body for a whole one."""

        async def open_broken(piece):
            return Source(CONTENT, fails=True)

        self.result = evolve(self.result, body=StreamBody(len(CONTENT), open_broken))
        reply = self.get()
        self.assertFalse(reply.is_complete)
        self.assertEqual(self.client.transport.closed, "aborted")
        self.assertEqual(len(self.flushLoggedErrors(errors.BlobMissing)), 1)

    def test_the_client_leaves_in_the_middle(self):
        """Its download ends quietly: the producer is stopped, nothing is answered, the source is closed."""

        class Endless(Source):
            async def push_to(self, consumer):
                consumer.registerProducer(self, True)
                consumer.write(b"x")
                self.stopped = Deferred()
                await self.stopped
                raise errors.ClientGone

            def stopProducing(self):
                self.stopped.callback(None)

        async def open_endless(piece):
            return Endless(CONTENT)

        self.result = evolve(self.result, body=StreamBody(len(CONTENT), open_endless))
        events = []
        globalLogPublisher.addObserver(events.append)
        self.addCleanup(globalLogPublisher.removeObserver, events.append)
        self.get()
        self.client.transport.hang_up()
        self.factory.access_log.flush()
        logged = [event["requests"] for event in events if event.get("event") == "http.requests"]
        aborted = [fields["aborted"] for requests in logged for fields in requests]
        self.assertEqual(aborted, [True])
        self.assertEqual(Source.opened, 0)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_a_missing_blob(self):
        """Damage that shows before the first byte is a 503, and logged: what the store says of it is not told."""

        async def missing(piece):
            raise errors.BlobMissing("gone")

        self.result = evolve(self.result, body=StreamBody(1, missing))
        reply = self.get()
        self.assertEqual(reply.status, 503)
        self.assertNotIn(b"gone", reply.body)
        self.assertEqual(len(self.flushLoggedErrors(errors.BlobMissing)), 1)

    def test_a_damaged_blob(self):
        """Where it is known who asks what there is learns it as well, and no byte is looked for."""

        async def never(piece):
            raise AssertionError("opened")

        self.result = evolve(self.result, body=StreamBody(1, never, "f.bin"))
        reply = self.client.request("HEAD", BASE + "/n/f")
        self.assertEqual((reply.status, reply.body), (503, b""))
        self.assertNotIn("etag", reply.headers)

    def test_keep_alive_after_a_stream(self):
        """The connection serves the next request."""
        self.get()
        self.client.transport.send(b"GET " + BASE.encode() + b"/n/f HTTP/1.1\r\nHost: x\r\n\r\n")
        self.assertEqual([reply.body for reply in parse_replies(bytes(self.client.transport.received))], [CONTENT] * 2)

    def test_no_content(self):
        """204 has neither body nor length."""
        self.result = Reply(204)
        reply = self.get()
        self.assertEqual(reply.status, 204)
        self.assertNotIn("content-length", reply.headers)
        self.assertNotIn("transfer-encoding", reply.headers)


class PageTests(FrontCase):
    """Pages that are rendered when they are needed."""

    def setUp(self):
        """Answer with a page that has a compressed form."""
        super().setUp()
        self.renderings = 0
        self.page = Page(b"x" * 1000, b"small")

        async def render():
            self.renderings += 1
            return self.page

        self.result = Reply(200, PageBody(render), "text/plain", headers=(("Vary", "Accept"),), etag="e1")

    def test_plain(self):
        """Who asks for no encoding gets the plain page."""
        for accepted in (None, "br", "gzip;q=0", "identity, gzip; q=0.000, *;q=0", "*;q=0"):
            reply = self.get(**({} if accepted is None else {"Accept_Encoding": accepted}))
            self.assertEqual((reply.status, reply.body, reply.headers["etag"]), (200, self.page.body, '"e1"'), accepted)
            self.assertNotIn("content-encoding", reply.headers)

    def test_gzip(self):
        """Who takes gzip gets the compressed page, under an ETag of its own."""
        for accepted in ("gzip", "GZIP, deflate", "*", "br, gzip;q=0.1"):
            reply = self.get(Accept_Encoding=accepted)
            self.assertEqual((reply.status, reply.body), (200, b"small"), accepted)
            self.assertEqual((reply.headers["content-encoding"], reply.headers["etag"]), ("gzip", '"e1-gzip"'))
            self.assertIn("accept-encoding", reply.headers["vary"].lower())

    def test_page_without_compressed_form(self):
        """A page that does not get shorter is sent as it is."""
        self.page = Page(b"x", None)
        reply = self.get(Accept_Encoding="gzip")
        self.assertEqual(reply.body, b"x")
        self.assertNotIn("content-encoding", reply.headers)

    def test_dates_are_no_validators_of_pages(self):
        """A page may change twice in a second, and by what its reader may see; so only its tag tells."""
        self.result = evolve(self.result, last_modified=MODIFIED)
        later = "Wed, 04 Mar 2026 05:06:08 GMT"
        self.assertEqual(self.get(If_Modified_Since=later).status, 200)
        self.assertEqual(self.get(If_Modified_Since=later, If_None_Match='"e1"').status, 304)

    def test_page_that_the_client_has_is_not_rendered(self):
        """304 costs no rendering; a validator of the other form does not count."""
        for encoding, etag, status in (
            ("identity", '"e1"', 304),
            ("identity", 'W/"e1"', 304),
            ("gzip", '"x", "e1-gzip"', 304),
            ("gzip", '"e1"', 200),
            ("identity", '"e1-gzip"', 200),
        ):
            before = self.renderings
            reply = self.get(Accept_Encoding=encoding, If_None_Match=etag)
            self.assertEqual((reply.status, self.renderings - before), (status, int(status == 200)), (encoding, etag))

    def test_rendering_that_fails(self):
        """An error from rendering is an answer like another."""

        async def render():
            raise errors.PackageNotFound

        self.result = evolve(self.result, body=PageBody(render))
        self.assertEqual(self.get().status, 404)
        for header in ("If_None_Match", "If_Match"):
            self.assertEqual(self.get(**{header: "*"}).status, 404)


class DispositionTests(SynchronousTestCase):
    """Names of downloads."""

    def test_plain_and_odd_names(self):
        """Plain names stay; others get an extended form and a harmless one."""
        self.assertEqual(attachment("a-1.0.whl"), 'attachment; filename="a-1.0.whl"')
        self.assertEqual(
            attachment('a";x="b.whl'), "attachment; filename=\"a__x__b.whl\"; filename*=UTF-8''a%22%3Bx%3D%22b.whl"
        )

    @given(st.text(max_size=60))
    def test_any_name(self, name):
        """Whatever the name, the value is printable ASCII with two quotes."""
        value = attachment(name)
        self.assertTrue(all(32 <= ord(character) < 127 for character in value))
        self.assertEqual(value.count('"'), 2)
