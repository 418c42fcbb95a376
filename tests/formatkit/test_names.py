"""Checks of names."""

from __future__ import annotations

import re

from twisted.trial.unittest import SynchronousTestCase

from pkgregd.errors import InvalidName
from pkgregd.formatkit.names import check, is_printable

SLOW = re.compile(r"(a+)+b", re.ASCII)


class NameTests(SynchronousTestCase):
    """check() and is_printable()."""

    def test_length_comes_before_the_grammar(self) -> None:
        """A text that would keep the grammar busy for ever is refused by its length."""
        error = self.assertRaises(InvalidName, check, "a" * 100_000, SLOW, 20, InvalidName, "name")
        self.assertIn("longer than 20", str(error))

    def test_whole_text(self) -> None:
        """The grammar covers all of it: no line end slips through."""
        self.assertEqual(check("ab", SLOW, 20, InvalidName, "name"), "ab")
        self.assertRaises(InvalidName, check, "ab\n", SLOW, 20, InvalidName, "name")

    def test_message_is_safe(self) -> None:
        """The refused text appears escaped."""
        error = self.assertRaises(InvalidName, check, "\x1b[2J\u202e", SLOW, 20, InvalidName, "name")
        self.assertIn(r"'\x1b[2J\u202e'", str(error))

    def test_printable(self) -> None:
        """Letters of any script are; what moves a terminal's cursor or turns the text around is not."""
        for text in ("", "abc ~", "äöü", "日本語", "\u0301"):
            self.assertTrue(is_printable(text), ascii(text))
        for text in "\x00\n\r\x1b\x7f\x85\x9b\u200b\u200e\u2028\u2029\u202e\u2060\u2066\ufeff\ud800":
            self.assertFalse(is_printable(f"a{text}b"), ascii(text))
