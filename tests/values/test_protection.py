"""Patterns of names, and which rule counts."""

from __future__ import annotations

import re
import time

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pkgregd.values import ProtectedAct, ProtectionLevel, RuleTerms, demanded, fits

LETTERS = st.text("ab-", max_size=12)
PATTERNS = st.text("ab-*", max_size=8)
MAINTAINER, OWNER, ADMIN = ProtectionLevel
PUSH, DELETE = ProtectedAct


def rule(pattern: str, push: ProtectionLevel | None, delete: ProtectionLevel | None = None) -> RuleTerms:
    """The terms of a rule for generic packages."""
    return RuleTerms("generic", pattern, pattern, push, delete)


class PatternTests(SynchronousTestCase):
    """What fits a pattern."""

    def test_examples(self) -> None:
        """A star stands for any letters or none; all of the name has to fit."""
        for pattern, yes, no in (
            ("acme", ("acme",), ("acm", "acme-", "xacme", "")),
            ("acme-*", ("acme-", "acme-x", "acme--"), ("acme", "xacme-x", "acm")),
            ("*-core", ("-core", "a-core", "-core-core"), ("core", "-corex")),
            ("a*a", ("aa", "aba", "aaa"), ("a", "ab")),
            ("*x*", ("x", "axb"), ("", "ab")),
            ("a*b*c", ("abc", "axbxc", "abbcc"), ("acb", "ab", "bc")),
            ("*", ("", "anything"), ()),
            ("**", ("", "a"), ()),
            ("@acme/*", ("@acme/lib",), ("@acmex/lib", "acme/lib")),
        ):
            for name in yes:
                self.assertTrue(fits(pattern, name), (pattern, name))
            for name in no:
                self.assertFalse(fits(pattern, name), (pattern, name))

    @given(PATTERNS, LETTERS)
    def test_as_a_regular_expression(self, pattern: str, name: str) -> None:
        """It is what the expression of the same meaning matches."""
        expression = ".*".join(map(re.escape, pattern.split("*")))
        self.assertEqual(fits(pattern, name), re.fullmatch(expression, name) is not None)

    def test_takes_no_time(self) -> None:
        """What makes a matcher that tries everything run for ages is over at once."""
        began = time.process_time()
        for _ in range(200):
            self.assertFalse(fits("a*" * 120 + "b", "a" * 254))
            self.assertFalse(fits("*" + "a" * 120 + "b*", "a" * 255))
        self.assertLess(time.process_time() - began, 5)


class ChoiceTests(SynchronousTestCase):
    """Which rule counts."""

    def test_the_strictest(self) -> None:
        """Of those that fit and say something about what is done."""
        rules = [rule("a*", OWNER), rule("*", MAINTAINER, ADMIN), rule("ab", ADMIN), rule("b", ADMIN, OWNER)]
        self.assertEqual(demanded(rules, "ax", PUSH), rules[0])
        self.assertEqual(demanded(rules, "ab", PUSH), rules[2])
        self.assertEqual(demanded(rules, "c", PUSH), rules[1])
        self.assertEqual(demanded(rules, "b", DELETE), rules[1])
        self.assertIsNone(demanded(rules[:1], "ab", DELETE))
        self.assertIsNone(demanded([], "ab", PUSH))
