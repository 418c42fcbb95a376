"""The strict reading of heads and chunked bodies."""

import itertools

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pkgregd.http.parsing import BadRequest, ChunkedDecoder, IdentityDecoder, parse_head
from pkgregd.http.settings import FrontSettings

SETTINGS = FrontSettings()


def head_of(text: str):
    """Parse a head written with plain newlines."""
    return parse_head(text.replace("\n", "\r\n").encode("latin-1"), SETTINGS)


def decode(pieces):
    """Feed pieces to a chunked decoder; return the body and what came after it, None while incomplete."""
    body = bytearray()
    decoder = ChunkedDecoder(body.extend)
    rest = None
    for piece in pieces:
        rest = decoder.feed(piece) if rest is None else rest + piece
    return bytes(body), rest


def cut(data, places):
    """Cut bytes at the given places."""
    borders = sorted({min(place, len(data)) for place in places} | {0, len(data)})
    return [data[start:stop] for start, stop in itertools.pairwise(borders)]


class HeadTests(SynchronousTestCase):
    """Request heads that are fine."""

    def test_plain(self):
        """A usual request is read as sent."""
        head = head_of("PUT /a/b?c=d HTTP/1.1\nHost: x.test:80\nContent-Length: 12\nX-A:  b \t")
        self.assertEqual((head.method, head.target, head.declared_bytes), (b"PUT", b"/a/b?c=d", 12))
        self.assertIn((b"x-a", b"b"), head.headers)
        self.assertTrue(head.keeps_alive)

    def test_absolute_target_becomes_origin_form(self):
        """The form that proxies send is understood when it names the same host."""
        self.assertEqual(head_of("GET http://x.test/a?b HTTP/1.1\nHost: X.test").target, b"/a?b")
        self.assertEqual(head_of("GET http://x.test HTTP/1.1\nHost: x.test").target, b"/")

    def test_underscored_names_are_dropped(self):
        """A header that a proxy may confuse with another is not seen."""
        head = head_of("GET / HTTP/1.1\nHost: x\nX_Forwarded_Host: evil")
        self.assertEqual([name for name, _ in head.headers], [b"host"])

    def test_upgrade_is_ignored(self):
        """An offer to speak HTTP/2 in the clear is no error."""
        head = head_of("GET / HTTP/1.1\nHost: x\nConnection: Upgrade, HTTP2-Settings\nUpgrade: h2c\nHTTP2-Settings: AA")
        self.assertTrue(head.keeps_alive)

    def test_persistence(self):
        """Connections stay by version and option."""
        self.assertFalse(head_of("GET / HTTP/1.1\nHost: x\nConnection: Close").keeps_alive)
        self.assertFalse(head_of("GET / HTTP/1.0").keeps_alive)
        self.assertTrue(head_of("GET / HTTP/1.0\nConnection: keep-alive").keeps_alive)


REFUSED = {
    "folded header": ("GET / HTTP/1.1\nHost: x\nX: a\n b", 400),
    "folded length": ("GET / HTTP/1.1\nHost: x\nX: a\n Content-Length: 5\nContent-Length: 0", 400),
    "folded coding": ("POST / HTTP/1.1\nHost: x\nTransfer-Encoding:\n chunked", 400),
    "fold with a tab": ("GET / HTTP/1.1\nHost: x\nX: a\n\tb", 400),
    "space before colon": ("GET / HTTP/1.1\nHost: x\nContent-Length : 5", 400),
    "chunked on HTTP/1.0": ("POST / HTTP/1.0\nHost: x\nTransfer-Encoding: chunked", 400),
    "no Host": ("GET / HTTP/1.1", 400),
    "two Hosts": ("GET / HTTP/1.1\nHost: a\nHost: a", 400),
    "empty Host": ("GET / HTTP/1.1\nHost:", 400),
    "Host with a path": ("GET / HTTP/1.1\nHost: a/b", 400),
    "Host with userinfo": ("GET / HTTP/1.1\nHost: a@b", 400),
    "5000 digits": ("POST / HTTP/1.1\nHost: x\nContent-Length: " + "9" * 5000, 400),
    "19 digits": ("POST / HTTP/1.1\nHost: x\nContent-Length: " + "1" * 19, 400),
    "signed length": ("POST / HTTP/1.1\nHost: x\nContent-Length: +5", 400),
    "negative length": ("POST / HTTP/1.1\nHost: x\nContent-Length: -5", 400),
    "list of lengths": ("POST / HTTP/1.1\nHost: x\nContent-Length: 5,5", 400),
    "hexadecimal length": ("POST / HTTP/1.1\nHost: x\nContent-Length: 0x5", 400),
    "empty length": ("POST / HTTP/1.1\nHost: x\nContent-Length:", 400),
    "equal lengths twice": ("POST / HTTP/1.1\nHost: x\nContent-Length: 5\nContent-Length: 5", 400),
    "length and coding": ("POST / HTTP/1.1\nHost: x\nContent-Length: 5\nTransfer-Encoding: chunked", 400),
    "coding and length": ("POST / HTTP/1.1\nHost: x\nTransfer-Encoding: chunked\nContent-Length: 5", 400),
    "identity": ("POST / HTTP/1.1\nHost: x\nTransfer-Encoding: identity\nContent-Length: 5", 400),
    "identity alone": ("POST / HTTP/1.1\nHost: x\nTransfer-Encoding: identity", 400),
    "xchunked": ("POST / HTTP/1.1\nHost: x\nTransfer-Encoding: xchunked", 400),
    "gzip, chunked": ("POST / HTTP/1.1\nHost: x\nTransfer-Encoding: gzip, chunked", 400),
    "chunked twice": ("POST / HTTP/1.1\nHost: x\nTransfer-Encoding: chunked\nTransfer-Encoding: chunked", 400),
    "lower-case method": ("get / HTTP/1.1\nHost: x", 400),
    "unknown method": ("BREW / HTTP/1.1\nHost: x", 501),
    "CONNECT": ("CONNECT x:80 HTTP/1.1\nHost: x", 501),
    "HTTP/0.9": ("GET /", 400),
    "HTTP/2.0": ("GET / HTTP/2.0\nHost: x", 505),
    "HTTP/1.2": ("GET / HTTP/1.2\nHost: x", 505),
    "two spaces": ("GET  / HTTP/1.1\nHost: x", 400),
    "8 bit in the target": ("GET /\xe9 HTTP/1.1\nHost: x", 400),
    "fragment": ("GET /a#b HTTP/1.1\nHost: x", 400),
    "asterisk": ("GET * HTTP/1.1\nHost: x", 400),
    "target of another host": ("GET http://evil/ HTTP/1.1\nHost: x", 400),
    "target of another scheme": ("GET ftp://x/ HTTP/1.1\nHost: x", 400),
    "long target": ("GET /" + "a" * 9000 + " HTTP/1.1\nHost: x", 414),
    "NUL in a value": ("GET / HTTP/1.1\nHost: x\nX: a\0b", 400),
    "escape in a value": ("GET / HTTP/1.1\nHost: x\nX: a\x1bb", 400),
    "no name": ("GET / HTTP/1.1\nHost: x\n: b", 400),
    "no colon": ("GET / HTTP/1.1\nHost: x\nabc", 400),
    "501 headers": ("GET / HTTP/1.1\nHost: x\n" + "\n".join(f"X-{i}: a" for i in range(501)), 431),
    "other expectation": ("PUT / HTTP/1.1\nHost: x\nExpect: 200-ok\nContent-Length: 5", 417),
}


class RefusedHeadTests(SynchronousTestCase):
    """Heads that somebody might read differently."""

    def test_each_is_refused(self):
        """Every case is refused with its status."""
        for name, (text, status) in REFUSED.items():
            error = self.assertRaises(BadRequest, head_of, text)
            self.assertEqual(error.status, status, name)

    def test_bare_line_ends(self):
        """A bare CR or LF inside a head is refused."""
        for raw in (
            b"GET / HTTP/1.1\nHost: x",
            b"GET / HTTP/1.1\r\nHost: x\rY: z",
            b"GET / HTTP/1.1\r\nHost: x\r\n\rA: b",
        ):
            self.assertRaises(BadRequest, parse_head, raw, SETTINGS)

    def test_old_clients_expect_nothing(self):
        """HTTP/1.0 knows no interim reply."""
        self.assertFalse(head_of("PUT / HTTP/1.0\nExpect: 100-continue\nContent-Length: 5").expects_continue)

    @given(st.binary(max_size=300))
    def test_any_bytes(self, raw):
        """Whatever comes is a head or a refusal."""
        try:
            parse_head(raw, SETTINGS)
        except BadRequest as error:
            self.assertIn(error.status, (400, 414, 417, 431, 501, 505))

    @given(st.text("abcHTP/1.0 \t:;,\r\n-59ceghiknostuxGETU", max_size=200))
    def test_nearly_heads(self, text):
        """What looks almost right is a head or a refusal."""
        try:
            parse_head(("POST / HTTP/1.1\r\nHost: x\r\n" + text).encode(), SETTINGS)
        except BadRequest as error:
            self.assertIn(error.status, (400, 414, 417, 431, 501, 505))


class ChunkedTests(SynchronousTestCase):
    """Chunked bodies."""

    def test_body_and_rest(self):
        """The body is decoded and what follows it is kept."""
        self.assertEqual(decode([b"5\r\nhello\r\n1\r\n!\r\n0\r\n\r\nGET /"]), (b"hello!", b"GET /"))

    def test_trailers_are_dropped(self):
        """Trailer fields are read and forgotten."""
        self.assertEqual(decode([b"1\r\na\r\n0\r\nX: y\r\n\r\n"]), (b"a", b""))

    def test_broken_framing(self):
        """Everything but plain sizes is refused."""
        for raw in (
            b"5;a=b\r\nhello\r\n",
            b"0x5\r\nhello\r\n",
            b"0_5\r\nhello\r\n",
            b" 5\r\nhello\r\n",
            b"5 \r\nhello\r\n",
            b"-5\r\nhello\r\n",
            b"+5\r\nhello\r\n",
            b"\r\nhello\r\n",
            b"5\nhello\r\n",
            b"5\r\nhelloX\r\n",
            b"5\r\nhello\n0\r\n",
            b"5\r\nhello\rX",
            b"F" * 17 + b"\r\n",
            b"0" * 4000,
            b"0\r\nX y\r\n\r\n",
            b"0\r\n folded: x\r\n\r\n",
            b"0\r\nX: " + b"y" * 5000 + b"\r\n\r\n",
        ):
            self.assertRaises(BadRequest, decode, [raw])

    def test_endless_trailers(self):
        """Many small trailers are as much as one large one."""
        self.assertRaises(BadRequest, decode, [b"0\r\n" + b"X: y\r\n" * 1000])

    @given(
        st.lists(st.binary(min_size=1, max_size=40), max_size=8),
        st.lists(st.integers(0, 400), max_size=12),
        st.binary(),
    )
    def test_any_cut_gives_the_same_body(self, chunks, places, rest):
        """However the network cuts it, the body and what follows are the same."""
        raw = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\nA: b\r\n\r\n"
        self.assertEqual(decode(cut(raw + rest, places)), (b"".join(chunks), rest))

    @given(st.lists(st.binary(max_size=50), max_size=6))
    def test_any_bytes(self, pieces):
        """Whatever comes is a body or a refusal."""
        try:
            decode(pieces)
        except BadRequest as error:
            self.assertEqual(error.status, 400)

    @given(st.binary(min_size=1, max_size=200), st.lists(st.integers(0, 300), max_size=8), st.binary(max_size=20))
    def test_identity_cut(self, body, places, rest):
        """A body of known length ends where it ends."""
        got = bytearray()
        decoder = IdentityDecoder(len(body), got.extend)
        left = None
        for piece in cut(body + rest, places):
            left = decoder.feed(piece) if left is None else left + piece
        self.assertEqual((bytes(got), left), (body, rest))
