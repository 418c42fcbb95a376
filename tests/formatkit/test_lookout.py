"""Looking out for a text among bytes that pass by."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pkgregd.formatkit.lookout import Lookout
from pkgregd.testing.calls import FakeBody, RecordingSink, cut, now


class LookoutTests(SynchronousTestCase):
    """Lookout."""

    def push(self, pieces: list[bytes], text: bytes) -> bool:
        """Push a body through; returns whether the text was found. What comes out is what went in."""
        sink = RecordingSink()
        lookout = Lookout(sink, text)
        now(FakeBody(pieces).push_to(lookout))
        self.assertEqual(sink.pieces, pieces)
        self.assertIsNone(sink.producer)
        return lookout.is_found

    def test_found_across_pieces(self) -> None:
        """Wherever the body is cut, and if every byte comes alone."""
        data = b"xx needle yy"
        for at in range(1, len(data)):
            self.assertTrue(self.push([data[:at], data[at:]], b"needle"), at)
        self.assertTrue(self.push([bytes([byte]) for byte in data], b"needle"))
        self.assertFalse(self.push([b"need", b"", b"el"], b"needle"))
        self.assertFalse(self.push([], b"needle"))

    @given(
        st.lists(st.sampled_from([b"a", b"b", b"ab", b"", b"aab", b"baab"])), st.sampled_from([b"aab", b"abab", b"bb"])
    )
    def test_any_cut(self, pieces: list[bytes], text: bytes) -> None:
        """It is found exactly when it is in the whole."""
        self.assertEqual(self.push(pieces, text), text in b"".join(pieces))

    @given(st.binary(max_size=60), st.lists(st.integers(0, 60), max_size=5))
    def test_any_bytes(self, data: bytes, cuts: list[int]) -> None:
        """The same of any bytes."""
        text = data[20:24] if len(data) > 24 else b"ab"
        self.assertEqual(self.push(cut(data, *cuts), text), text in data)

    def test_the_consumer_deals_with_the_producer(self) -> None:
        """It pauses, resumes and stops it as if nothing were between them."""
        body = FakeBody([b"a", b"b", b"c"])

        def give_up(sink: RecordingSink) -> None:
            assert sink.producer is not None
            sink.producer.stopProducing()

        now(body.push_to(Lookout(RecordingSink(give_up), b"xy")))
        self.assertEqual(body.calls, ["stop"])
