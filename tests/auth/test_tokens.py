"""Tests for pkgregd.auth.tokens."""

from __future__ import annotations

import hashlib
import re
import urllib.parse

from hypothesis import assume, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pkgregd.auth.tokens import BASE62, KIND_WORDS, TOKEN_LETTERS, checksum, is_public_id, mint, parse
from pkgregd.errors import InvalidCredentials
from pkgregd.values import TokenKind

KNOWN = "pkgr_dpl_0123456789Ab_" + "z" * 43 + "0ka7Aw"
"""A token whose checksum was computed apart from this code; tokens out there must stay good."""


def tokens() -> st.SearchStrategy[str]:
    """Make well-formed tokens."""

    def letters(count: int) -> st.SearchStrategy[str]:
        return st.text(alphabet=BASE62, min_size=count, max_size=count)

    bodies = st.builds("pkgr_{}_{}_{}".format, st.sampled_from(sorted(KIND_WORDS.values())), letters(12), letters(43))
    return bodies.map(lambda body: body + checksum(body))


class MintTests(SynchronousTestCase):
    """What mint() makes."""

    def test_what_was_minted_parses(self) -> None:
        """A token of every kind leads back to its public id, and is stored by the digest of its whole text."""
        for kind in TokenKind:
            minted = mint(kind)
            self.assertEqual(parse(minted.secret), minted.public_id)
            self.assertTrue(is_public_id(minted.public_id))
            self.assertEqual(minted.secret_sha256, hashlib.sha256(minted.secret.encode()).hexdigest())

    def test_the_form_is_fixed(self) -> None:
        """A scanner finds every token by one pattern, and nothing in it needs quoting anywhere."""
        for kind in TokenKind:
            secret = mint(kind).secret
            self.assertRegex(secret, re.compile(r"\Apkgr_(usr|prj|grp|dpl|job)_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}\Z"))
            self.assertEqual(len(secret), TOKEN_LETTERS)
            self.assertEqual(urllib.parse.quote(secret, safe=""), secret)

    def test_every_kind_has_its_own_word(self) -> None:
        """No two kinds look the same."""
        self.assertEqual(set(KIND_WORDS), set(TokenKind))
        self.assertEqual(len(set(KIND_WORDS.values())), len(TokenKind))

    def test_the_secret_is_not_shown(self) -> None:
        """The text of a MintedToken holds neither the secret nor its digest."""
        minted = mint(TokenKind.PERSONAL)
        self.assertNotIn(minted.secret[-49:], repr(minted))
        self.assertNotIn(minted.secret_sha256, repr(minted))

    def test_no_two_are_alike(self) -> None:
        """Ids and secrets come anew each time."""
        minted = [mint(TokenKind.JOB) for _ in range(100)]
        self.assertEqual(len({token.public_id for token in minted}), 100)
        self.assertEqual(len({token.secret for token in minted}), 100)


class ParseTests(SynchronousTestCase):
    """What parse() takes."""

    def test_a_known_token(self) -> None:
        """The form does not change under tokens that were handed out."""
        self.assertEqual(parse(KNOWN), "0123456789Ab")

    @given(tokens())
    @settings(max_examples=100, deadline=None)
    def test_round_trip(self, token: str) -> None:
        """Any well-formed token leads to the id that stands in it."""
        self.assertEqual(parse(token), token[9:21])

    @given(tokens(), st.integers(0, TOKEN_LETTERS - 1), st.sampled_from(BASE62 + "_- \n\u0661\u00e9"))
    @settings(max_examples=300, deadline=None)
    def test_one_wrong_letter_is_noticed(self, token: str, position: int, letter: str) -> None:
        """Any one letter that was mistyped makes the token invalid."""
        assume(token[position] != letter)
        self.assertRaises(InvalidCredentials, parse, token[:position] + letter + token[position + 1 :])

    @given(tokens(), st.integers(0, TOKEN_LETTERS - 2))
    @settings(max_examples=200, deadline=None)
    def test_swapped_neighbours_are_noticed(self, token: str, position: int) -> None:
        """Two neighbouring letters that changed places make the token invalid."""
        first, second = token[position : position + 2]
        assume(first != second)
        self.assertRaises(InvalidCredentials, parse, token[:position] + second + first + token[position + 2 :])

    @given(tokens(), st.integers(1, TOKEN_LETTERS))
    @settings(max_examples=100, deadline=None)
    def test_a_cut_token_is_noticed(self, token: str, missing: int) -> None:
        """A token that lost letters at either end is invalid."""
        self.assertRaises(InvalidCredentials, parse, token[:-missing])
        self.assertRaises(InvalidCredentials, parse, token[missing:])

    @given(st.text(max_size=100))
    @settings(max_examples=100, deadline=None)
    def test_anything_else_is_refused(self, text: str) -> None:
        """No other text is a token, and none makes another error."""
        self.assertRaises(InvalidCredentials, parse, text)

    def test_nothing_around_it(self) -> None:
        """Space and line ends are not part of a token, and a long text is refused by its length."""
        for text in (f" {KNOWN}", f"{KNOWN} ", f"{KNOWN}\n", KNOWN + KNOWN, "x" * 10_000_000, ""):
            self.assertRaises(InvalidCredentials, parse, text)

    def test_public_ids(self) -> None:
        """A public id is twelve letters and digits of ASCII."""
        for text in ("", "a" * 11, "a" * 13, "aaaaaaaaaaa_", "aaaaaaaaaaa\n", "aaaaaaaaaaa\u0661", KNOWN):
            self.assertFalse(is_public_id(text), text)
        self.assertTrue(is_public_id("0123456789Az"))
