"""JSON that clients send."""

from __future__ import annotations

import contextlib
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pkgregd.errors import MalformedBody
from pkgregd.formatkit.strictjson import read_strict_json

MAX_CHARACTERS = 1 << 18


def read(text: str, max_depth: int = 16) -> object:
    """Read within the bounds that attestations have."""
    return read_strict_json(text, "it", max_characters=MAX_CHARACTERS, max_depth=max_depth)


def depth_of(value: Any) -> int:
    """Count how far a value is nested."""
    if isinstance(value, dict):
        return 1 + max(map(depth_of, value.values()), default=0)
    return 1 + max(map(depth_of, value), default=0) if isinstance(value, list) else 0


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


class StrictJsonTests(SynchronousTestCase):
    """read_strict_json()."""

    @given(VALUES)
    def test_values(self, value: Any) -> None:
        """What is JSON comes out as it went in, up to the very depth that is allowed."""
        text, depth = json.dumps(value), depth_of(value)
        self.assertEqual(read(text, depth), value)
        if depth:
            self.assertRaises(MalformedBody, read, text, depth - 1)

    @given(st.text(alphabet='[]{}",:\\1a \n'))
    def test_any_text(self, text: str) -> None:
        """Any text is a value or refused."""
        with contextlib.suppress(MalformedBody):
            read(text)

    def test_more_than_one_meaning(self) -> None:
        """A key that comes twice, and numbers that are none, are refused."""
        twice = ('{"a": 1, "a": 1}', '[{"b": {"a": 1, "a": 2}}]')
        for text in (*twice, "NaN", "[Infinity]", "[-Infinity]", "", "{'a': 1}"):
            self.assertRaises(MalformedBody, read, text)

    def test_what_some_readers_cannot_hold(self) -> None:
        """Half a surrogate pair, numbers beyond any measure, and numbers that are endless."""
        for text in ('"\\ud800"', '["\\udc00\\ud800"]', "1e999", "9" * 65, "0." + "1" * 80):
            self.assertRaises(MalformedBody, read, text)
        self.assertEqual(read('"\\ud83d\\ude00"'), "\U0001f600")

    def test_too_much(self) -> None:
        """Lengths, depths and numbers have bounds, and finding out costs no time."""
        for text in (
            " " * (MAX_CHARACTERS + 1),
            "[" * MAX_CHARACTERS,
            '{"a":' * 20,
            "1" * 5000,
            '"' + '\\"' * (MAX_CHARACTERS // 2 - 1),
            '"' * MAX_CHARACTERS,
        ):
            self.assertRaises(MalformedBody, read, text)
