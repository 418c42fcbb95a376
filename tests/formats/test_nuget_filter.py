"""OData filters: what clients write, what is refused, and that nothing else happens."""

from __future__ import annotations

import time
from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pkgregd.errors import InvalidRequest
from pkgregd.formats.nuget_filter import (
    MAX_DEPTH,
    MAX_FILTER_CHARACTERS,
    PROPERTIES,
    Value,
    id_of,
    parse_filter,
    read_text,
)

PACKAGE: Mapping[str, Value] = {
    "Id": "Acme.Lib",
    "Version": "1.0.0",
    "Description": "Does 'things' (well)",
    "Tags": None,
    "IsLatestVersion": True,
    "IsPrerelease": False,
}

WORDS = st.sampled_from(
    [
        *sorted(PROPERTIES),
        "and",
        "or",
        "not",
        "eq",
        "ne",
        "(",
        ")",
        ",",
        "true",
        "null",
        "'x'",
        "tolower",
        "substringof",
    ]
)


def holds(text: str) -> Value:
    """Evaluate a filter."""
    return parse_filter(text).evaluate(PACKAGE.get)


class FilterTests(SynchronousTestCase):
    """parse_filter() and what it returns."""

    def test_what_clients_write(self) -> None:
        """nuget, Chocolatey and PowerShellGet."""
        for text, expected in {
            "IsLatestVersion": True,
            "IsPrerelease": False,
            "IsLatestVersion eq true": True,
            "tolower(Id) eq 'acme.lib'": True,
            "tolower(Id) eq 'acme.lib' and IsLatestVersion": True,
            "(tolower(Id) eq 'other') and IsLatestVersion": False,
            "Id eq 'ACME.LIB' or Id eq 'x'": True,
            "Id ne 'x'": True,
            "not IsPrerelease": True,
            "not (Id eq 'x' or IsPrerelease)": True,
            "(((Id ne null) and substringof('lib',tolower(Id))) or ((Tags ne null) and substringof('x',Tags)))": True,
            "substringof('''things'' (', Description)": True,
            "substringof('x', Tags)": False,
            "startswith(tolower(Id), 'acme.') and endswith(Id, 'LIB')": True,
            "Tags eq null": True,
            "Version eq '1.0.0' and IsPrerelease eq false": True,
            "  Id   eq'acme.lib'  ": True,
        }.items():
            self.assertIs(holds(text), expected, text)

    def test_and_binds_closer_than_or(self) -> None:
        """As everywhere."""
        self.assertIs(holds("IsLatestVersion or IsPrerelease and IsPrerelease"), True)
        self.assertIs(holds("(IsLatestVersion or IsPrerelease) and IsPrerelease"), False)

    def test_id(self) -> None:
        """The id that has to be is found, where the filter says one."""
        for text, expected in {
            "tolower(Id) eq 'acme.lib' and IsLatestVersion": "acme.lib",
            "IsLatestVersion and ('x' eq Id)": "x",
            "Id eq 'x' or Id eq 'y'": None,
            "Id ne 'x'": None,
            "not (Id eq 'x')": None,
            "substringof('x', Id)": None,
            "Title eq 'x'": None,
        }.items():
            self.assertEqual(id_of(parse_filter(text)), expected, text)

    def test_refused(self) -> None:
        """What is no filter, or says something that is not known here."""
        for text in (
            "(", ")", "Id eq", "eq 'x'", "Id eq 'x", "Id eq 'x' and", "Id 'x'", "Id eq x", "Password eq 'x'",
            "Id lt 'x'",
            "tolower(Id, Id)", "substringof('x')", "system('x')", "tolower", "tolower()", "Id eq \u00e4", "Id; drop",
            "Id eq \"x\"", "Id eq 1", "a" * 70, "not", "not not", "()", ",", "Id/Length eq 'x'", "Id eq datetime'2020'",
        ):  # fmt: skip
            error = self.assertRaises(InvalidRequest, parse_filter, text)
            self.assertTrue(str(error).isprintable())

    def test_limits(self) -> None:
        """Length and depth are bounded; what is below the bounds takes no time, nor too much of the stack."""
        for text in (
            "(" * (MAX_DEPTH + 1) + "Id" + ")" * (MAX_DEPTH + 1),
            "not " * (MAX_DEPTH + 1) + "Id",
            "tolower(" * (MAX_DEPTH + 1) + "Id" + ")" * (MAX_DEPTH + 1),
            "(" * 4000, "'" * 4095, "Id and " * 600 + "Id",
        ):  # fmt: skip
            self.assertRaises(InvalidRequest, parse_filter, text)
        deep = "(Id ne 'x' and " * 30 + "Id" + ")" * 30
        wide = " or ".join(["Id eq 'x'"] * (MAX_FILTER_CHARACTERS // 14))
        began = time.process_time()
        self.assertIs(holds(deep), True)
        self.assertIs(holds(wide), False)
        self.assertLess(time.process_time() - began, 0.5)

    @given(st.lists(WORDS, max_size=30), st.text(max_size=30))
    def test_anything(self, words: list[str], noise: str) -> None:
        """Any words in any order, and any text, are a filter or refused."""
        for text in (" ".join(words), noise, f"Id eq '{noise}'"):
            try:
                found = parse_filter(text)
            except InvalidRequest:
                continue
            found.evaluate(PACKAGE.get)
            id_of(found)

    @given(st.text(max_size=50))
    def test_texts(self, text: str) -> None:
        """A text in quotes is itself, whatever is in it."""
        literal = "'" + text.replace("'", "''") + "'"
        self.assertEqual(read_text(literal), text)
        self.assertEqual(id_of(parse_filter(f"Id eq {literal}")), text)
