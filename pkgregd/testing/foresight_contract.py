"""What every catalog answers to a request that it was told of beforehand, beside the tests of CatalogContract."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve

from pkgregd.testing.catalog_contract import publication_of
from pkgregd.values import (
    ANONYMOUS,
    Digest,
    FileLookup,
    Foresight,
    IndexLookup,
    Level,
    NewToken,
    Role,
    TokenKind,
)

if TYPE_CHECKING:
    from pkgregd.testing.catalog_contract import CatalogContract as _Base
else:
    _Base = object

FILE = FileLookup("alpha", "1.0", "alpha-1.0.tar.gz")


class ForesightContract(_Base):
    """Foreseen questions; mixed in before CatalogContract."""

    def personal_token(self, user: str = "ann") -> int:
        """Give a new user a token `abc` and a role in acme/tools; returns the user's id."""
        user_id = self.get(self.catalog.add_user(user))
        self.get(self.catalog.set_member(user, "acme/tools", Role.DEVELOPER))
        self.get(self.catalog.add_token(NewToken("abc", "0" * 64, TokenKind.PERSONAL, "n", user=user)))
        return user_id

    def foresight(self, lookup: IndexLookup | FileLookup | None, ident: int | str = 1) -> Foresight:
        """Foresee a question about project 1."""
        return Foresight(Level.PROJECT, ident, "pypi", lookup)

    def test_foreseen_answers_are_those_of_the_single_questions(self) -> None:
        """Token, scope, index and file are the same, asked together or one by one."""
        user_id = self.personal_token()
        self.publish(publication_of(b"x"))
        for lookup in (IndexLookup("alpha"), IndexLookup(None), IndexLookup("beta"), FILE, evolve(FILE, file_name="y")):
            reads = self.catalog.foreseeing(self.foresight(lookup))
            for public_id in ("abc", "unknown"):
                self.assertEqual(self.get(reads.find_token(public_id)), self.get(self.catalog.find_token(public_id)))
            self.get(reads.find_token("abc"))
            scope = self.get(self.catalog.find_scope(Level.PROJECT, 1, user_id))
            self.assertEqual(self.get(reads.find_scope(Level.PROJECT, 1, user_id)), scope)
            if isinstance(lookup, IndexLookup):
                state = self.get(self.catalog.index_state([1], "pypi", lookup.canonical_name))
                self.assertEqual(self.get(reads.index_state([1], "pypi", lookup.canonical_name)), state)
            else:
                asked = (lookup.canonical_name, lookup.canonical_version, lookup.file_name, lookup.sha256)
                file = self.get(self.catalog.find_file([1], "pypi", *asked))
                self.assertEqual(self.get(reads.find_file([1], "pypi", *asked)), file)

    def test_role_is_that_of_who_asks(self) -> None:
        """The scope that was read for a token's user is not handed to another user, nor to nobody."""
        self.personal_token()
        reads = self.catalog.foreseeing(self.foresight(None, "acme/tools"))
        self.get(reads.find_token("abc"))
        for user_id in (None, 99):
            scope = self.get(reads.find_scope(Level.PROJECT, "acme/tools", user_id))
            assert scope is not None
            self.assertIsNone(scope.role)

    def test_questions_that_were_not_foreseen(self) -> None:
        """Another name, format or project is asked for itself."""
        self.publish(publication_of(b"x"))
        reads = self.catalog.foreseeing(self.foresight(FILE))
        self.get(reads.find_scope(Level.PROJECT, 1, None))
        digest = Digest.sha256("1" * 64)
        for project_ids, format, name, sha256 in (
            ([1], "pypi", "beta", None), ([1], "npm", "alpha", None), ([2], "pypi", "alpha", None),
            ([1], "pypi", "alpha", digest),
        ):  # fmt: skip
            self.assertIsNone(self.get(reads.find_file(project_ids, format, name, "1.0", FILE.file_name, sha256)))
        self.assertEqual(self.get(reads.index_state([1], "pypi", "alpha")), self.state())
        self.assertIsNone(self.get(reads.find_scope(Level.GROUP, "nowhere", None)))

    def test_asking_again_sees_what_has_changed(self) -> None:
        """Only the first answer may have been read ahead."""
        file = self.publish(publication_of(b"x")).file
        reads = self.catalog.foreseeing(self.foresight(FILE))
        self.get(reads.find_scope(Level.PROJECT, 1, None))
        asked = ([1], "pypi", FILE.canonical_name, FILE.canonical_version, FILE.file_name)
        self.assertEqual(self.get(reads.find_file(*asked)), file)
        self.get(self.catalog.delete_file(file.id, ANONYMOUS, publication_of(b"x").precondition))
        self.assertIsNone(self.get(reads.find_file(*asked)))
