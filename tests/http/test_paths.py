"""Path segments and what routing makes of them."""

from urllib.parse import quote

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pkgregd.errors import InvalidRequest
from pkgregd.http.paths import decode_segment

FORBIDDEN = r"""
%2F a%2fb .. . %2e%2e %2E a%00b %c0%ae%c0%ae %ff %5c..%5c a\b %252e%252e %252fx %255c %2500 %250a %zz %2 %
%0d%0aSet-Cookie:x %1b[2J %7f %c2%85 %e2%80%ae %e2%80%a8 %ef%bb%bf
"""


class DecodeTests(SynchronousTestCase):
    """One segment, decoded once."""

    def test_forbidden(self):
        """Whatever could move a border, hide a character or climb is refused."""
        for raw in FORBIDDEN.split():
            self.assertRaises(InvalidRequest, decode_segment, raw)
        self.assertRaises(InvalidRequest, decode_segment, "")

    def test_allowed(self):
        """Everything else is decoded exactly once."""
        for raw, text in (
            ("a%20b", "a b"),
            ("%C3%A9", "\xe9"),
            ("%2541", "%41"),
            ("a+b", "a+b"),
            ("@scope", "@scope"),
            ("a;b=c", "a;b=c"),
            ("...", "..."),
        ):
            self.assertEqual(decode_segment(raw), text)

    def test_slashes_where_they_may_be(self):
        """An encoded slash splits, and each part obeys the same rules."""
        self.assertEqual(decode_segment("acme%2Ftools", allow_slash=True), "acme/tools")
        for raw in ("a%2F%2Fb", "%2Fa", "a%2F", "a%2F..%2Fb", "a%2F%2e%2Fb"):
            self.assertRaises(InvalidRequest, decode_segment, raw, allow_slash=True)

    @given(st.text(min_size=1, max_size=40))
    def test_round_trip_or_refusal(self, text):
        """What is accepted is what was meant."""
        try:
            found = decode_segment(quote(text, safe="", errors="surrogatepass"))
        except InvalidRequest:
            return
        self.assertEqual(found, text)
