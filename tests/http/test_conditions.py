"""Conditions and ranges."""

import datetime

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pkgregd.http.conditions import (
    choose_range,
    http_date,
    is_precondition_met,
    is_unmodified,
    parse_entity_tags,
    parse_http_date,
)
from pkgregd.values import ByteRange

NOW = datetime.datetime(2026, 3, 4, 5, 6, 7, 89, tzinfo=datetime.UTC)
DATE = "Wed, 04 Mar 2026 05:06:07 GMT"


class DateTests(SynchronousTestCase):
    """HTTP dates."""

    def test_round_trip(self):
        """A date is read as written, without its fraction."""
        self.assertEqual(http_date(NOW), DATE)
        self.assertEqual(parse_http_date(DATE), NOW.replace(microsecond=0))

    @given(st.text(max_size=60))
    def test_any_text(self, text):
        """Whatever comes is a date or None."""
        parse_http_date(text)


class ValidatorTests(SynchronousTestCase):
    """304 and 412."""

    def test_entity_tags(self):
        """Lists are read whole or not at all."""
        self.assertEqual(parse_entity_tags('"a", W/"b" ,"c,d"'), [(False, "a"), (True, "b"), (False, "c,d")])
        for text in ("a", '"a', '"a" "b"', '"a", b', 'w/"a"'):
            self.assertIsNone(parse_entity_tags(text))

    def test_unmodified(self):
        """If-None-Match compares weakly and wins over the date."""
        self.assertTrue(is_unmodified("x", NOW, 'W/"x", "y"', None))
        self.assertTrue(is_unmodified("x", NOW, "*", None))
        self.assertFalse(is_unmodified("x", NOW, '"y"', DATE))
        self.assertFalse(is_unmodified(None, NOW, '"y"', None))
        self.assertFalse(is_unmodified("x", NOW, "x", None))
        self.assertTrue(is_unmodified("x", NOW, None, DATE))
        self.assertFalse(is_unmodified("x", NOW, None, "Wed, 04 Mar 2026 05:06:06 GMT"))
        self.assertFalse(is_unmodified("x", NOW, None, "yesterday"))
        self.assertFalse(is_unmodified("x", None, None, DATE))

    def test_precondition(self):
        """If-Match compares strongly."""
        self.assertTrue(is_precondition_met("x", NOW, '"y", "x"', None))
        self.assertFalse(is_precondition_met("x", NOW, 'W/"x"', None))
        self.assertFalse(is_precondition_met("x", NOW, "x", None))
        self.assertTrue(is_precondition_met("x", NOW, "*", None))
        self.assertTrue(is_precondition_met("x", NOW, None, DATE))
        self.assertFalse(is_precondition_met("x", NOW, None, "Wed, 04 Mar 2026 05:06:06 GMT"))


class RangeTests(SynchronousTestCase):
    """206 and 416."""

    def test_table(self):
        """Each form of a range."""
        for header, wanted in (
            (None, None),
            ("bytes=0-0", ByteRange(0, 1)),
            ("bytes=0-", ByteRange(0, 10)),
            ("bytes=3-5", ByteRange(3, 6)),
            ("bytes=3-99", ByteRange(3, 10)),
            ("bytes=9-", ByteRange(9, 10)),
            ("bytes=10-", False),
            ("bytes=-3", ByteRange(7, 10)),
            ("bytes=-99", ByteRange(0, 10)),
            ("bytes=-0", False),
            ("bytes=5-3", None),
            ("bytes=0-1,3-4", None),
            ("bytes=", None),
            ("bytes=-", None),
            ("bytes=a-b", None),
            ("items=0-1", None),
            ("bytes=" + "9" * 40 + "-", None),
        ):
            self.assertEqual(choose_range(header, None, 10, "x", NOW), wanted, header)

    def test_empty_body(self):
        """Nothing of nothing cannot be sent."""
        self.assertIs(choose_range("bytes=0-", None, 0, "x", NOW), False)
        self.assertIs(choose_range("bytes=-5", None, 0, "x", NOW), False)

    def test_if_range(self):
        """A part is sent only of the same thing."""
        part = ByteRange(0, 1)
        for if_range, wanted in (
            ('"x"', part),
            ('"y"', None),
            ('W/"x"', None),
            (DATE, part),
            ("Wed, 04 Mar 2026 05:06:08 GMT", None),
            ("nonsense", None),
        ):
            self.assertEqual(choose_range("bytes=0-0", if_range, 10, "x", NOW), wanted, if_range)

    @given(st.text("bytes=0123456789-, ", max_size=30), st.integers(0, 1000))
    def test_always_inside(self, header, size_bytes):
        """A chosen range lies inside the body and is not empty."""
        chosen = choose_range(header, None, size_bytes, None, None)
        if isinstance(chosen, ByteRange):
            self.assertTrue(0 <= chosen.start < chosen.stop <= size_bytes)
