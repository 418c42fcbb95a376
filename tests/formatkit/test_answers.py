"""What is believed of an inspector's answer."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pkgregd.errors import InvalidArchive
from pkgregd.formatkit.answers import count, optional_text, text

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda children: st.lists(children, max_size=2) | st.dictionaries(st.text(max_size=3), children, max_size=2),
    max_leaves=4,
)


class AnswerTests(SynchronousTestCase):
    """Texts, and whatever else may be in their place."""

    def test_texts(self) -> None:
        """A text is returned as it is; one that may be missing is None then."""
        self.assertEqual(text({"a": "x" * 5}, "a", 5), "xxxxx")
        self.assertEqual(optional_text({"a": ""}, "a", 5), "")
        self.assertIsNone(optional_text({"a": None}, "a", 5))
        self.assertIsNone(optional_text({}, "a", 5))

    def test_what_is_none(self) -> None:
        """Nothing, too much, and what would not stay one line are refused."""
        for wrong in ({}, {"a": ""}, {"a": None}, {"a": "x" * 6}, {"a": "x\ny"}, {"a": 1}, {"a": ["x"]}):
            self.assertRaises(InvalidArchive, text, wrong, "a", 5)

    def test_counts(self) -> None:
        """A whole number within its bounds is returned, and nothing else is."""
        self.assertEqual([count({"a": value}, "a", 5) for value in (0, 5)], [0, 5])
        for wrong in ({}, {"a": None}, {"a": -1}, {"a": 6}, {"a": 1.0}, {"a": True}, {"a": "1"}):
            self.assertRaises(InvalidArchive, count, wrong, "a", 5)

    @given(JSON)
    def test_any_json(self, value: object) -> None:
        """Whatever is answered, it is a printable text or a refusal."""
        try:
            found = text({"a": value}, "a", 5)
        except InvalidArchive:
            return
        self.assertEqual(found, value)
        self.assertTrue(0 < len(found) <= 5)
