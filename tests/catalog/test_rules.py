"""What every catalog agrees on."""

from __future__ import annotations

import datetime
import re

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pkgregd.catalog.rules import can_be_path, from_microseconds, index_state, key_of, to_microseconds

SEGMENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]{0,254}\Z")

revisions = st.dictionaries(
    st.integers(1, 10**12), st.tuples(st.integers(1, 10**6), st.integers(0, 2**52)), max_size=5
).map(lambda found: [(project_id, *rest) for project_id, rest in found.items()])


class PathTests(SynchronousTestCase):
    """The grammar of paths."""

    @given(st.text(alphabet="aZ0_-./\n \u212a\u0661\ud800", max_size=12))
    def test_only_the_grammar_passes(self, path: str) -> None:
        """A path is segments of the grammar, none of which looks like another kind of URL."""
        wanted = all(
            SEGMENT.match(segment) and not segment.lower().endswith((".git", ".atom", "."))
            for segment in path.split("/")
        )
        self.assertEqual(can_be_path(path), wanted)

    @given(
        st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.\-]{0,9}(/[A-Za-z0-9_]{1,3}){0,3}", fullmatch=True).filter(can_be_path)
    )
    def test_keys_are_paths(self, path: str) -> None:
        """The form that is compared is itself a path, and stays as it is."""
        self.assertTrue(can_be_path(key_of(path)))
        self.assertEqual(key_of(key_of(path)), key_of(path))

    def test_lengths(self) -> None:
        """255 characters a segment, 1024 in all."""
        self.assertTrue(can_be_path("a" * 255))
        self.assertFalse(can_be_path("a" * 256))
        self.assertTrue(can_be_path("/".join(["a" * 127] * 8)))
        self.assertFalse(can_be_path("/".join(["a" * 127] * 8) + "/a"))


class TimeTests(SynchronousTestCase):
    """Times as the tables keep them."""

    @given(st.datetimes(timezones=st.just(datetime.UTC)))
    def test_there_and_back(self, moment: datetime.datetime) -> None:
        """Not a microsecond is lost."""
        self.assertEqual(from_microseconds(to_microseconds(moment)), moment)


class IndexStateTests(SynchronousTestCase):
    """Tokens of indexes."""

    @given(revisions, revisions)
    def test_equal_tokens_mean_equal_revisions(
        self, one: list[tuple[int, int, int]], two: list[tuple[int, int, int]]
    ) -> None:
        """The token tells every two sets of revisions apart, and knows no order."""
        self.assertEqual(index_state(one), index_state(reversed(one)))
        self.assertEqual(index_state(one).token == index_state(two).token, sorted(one) == sorted(two))

    def test_neighbours(self) -> None:
        """Digits do not run from one number into the next, and the time counts."""
        cases: tuple[list[tuple[int, int, int]], ...] = (
            [(1, 11, 1)],
            [(11, 1, 1)],
            [(1, 1, 11)],
            [(1, 1, 1), (1, 1, 1)],
            [(1, 1, 1)],
            [(1, 1, 2)],
            [],
        )
        self.assertEqual(len({index_state(case).token for case in cases}), len(cases))
