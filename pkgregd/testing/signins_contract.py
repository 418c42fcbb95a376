"""What every catalog does with a user's tokens and with clients that wait to be signed in."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING

from attrs import evolve

from pkgregd.errors import InvalidCredentials
from pkgregd.values import (
    ANONYMOUS,
    OPERATOR,
    MintedToken,
    NewSignIn,
    NewToken,
    Piece,
    Principal,
    Role,
    TokenKind,
    TokenOwner,
    TokenQuery,
    TokenRecord,
)

if TYPE_CHECKING:
    from pkgregd.testing.catalog_contract import CatalogContract as _Base
else:
    _Base = object


def owner_of(record: TokenRecord) -> TokenOwner:
    """Whose a token is."""
    bearer = record.principal
    assert bearer.token_kind is not None
    return TokenOwner(bearer.token_kind, bearer.user_id, bearer.project_id, bearer.group_id)


MINUTE = datetime.timedelta(minutes=1)


class UserTokensContract(_Base):
    """Tokens that users look after themselves; mixed in before CatalogContract."""

    def add_personal(self, public_id: str, user: str = "jane", principal: Principal = OPERATOR) -> TokenRecord:
        """Store a personal token, adding its user when needed."""
        token = NewToken(public_id, public_id * 5, TokenKind.PERSONAL, f"token {public_id}", frozenset({"api"}))
        self.get(self.catalog.add_token(evolve(token, user=user), principal))
        record = self.get(self.catalog.find_token(public_id))
        assert record is not None
        return record

    def tokens_of(self, record: TokenRecord, offset: int = 0, limit: int = 10, **options: bool | None) -> list[str]:
        """The public ids of a user's tokens, newest first."""
        query = TokenQuery(owner_of(record), is_descending=True, **options)
        listing = self.get(self.catalog.list_tokens_of(query, Piece(offset, limit)))
        return [found.public_id for found in listing.tokens]

    def revoke(self, owner: TokenOwner, record: TokenRecord) -> bool:
        """Revoke one of somebody's tokens."""
        assert record.principal.token_id is not None
        return self.get(self.catalog.revoke_token_of(owner, record.principal.token_id, ANONYMOUS))

    def add_other(self, public_id: str, kind: TokenKind, role: Role | None = None, **owner: str) -> TokenRecord:
        """Store a token that is not a user's."""
        self.get(self.catalog.add_token(NewToken(public_id, "e" * 64, kind, public_id, role=role, **owner)))  # type: ignore[arg-type] # owners are texts
        record = self.get(self.catalog.find_token(public_id))
        assert record is not None
        return record

    def test_tokens_of_a_user(self) -> None:
        """In their order, in pieces and counted, good ones and others, without those of others."""
        for name in ("jane", "john"):
            self.get(self.catalog.add_user(name))
        first, *_ = [self.add_personal(public_id) for public_id in ("a", "b", "c", "d")]
        self.add_personal("x", "john")
        self.get(self.catalog.revoke_token("c"))
        self.assertEqual(self.tokens_of(first), ["d", "c", "b", "a"])
        self.assertEqual(self.tokens_of(first, is_active=True), ["d", "b", "a"])
        self.assertEqual(self.tokens_of(first, is_active=False), ["c"])
        self.assertEqual(self.tokens_of(first, 1, 1, is_active=True), ["b"])
        self.assertEqual(self.tokens_of(first, 4), [])
        listing = self.get(self.catalog.list_tokens_of(TokenQuery(owner_of(first), is_active=True), Piece(0, 1)))
        self.assertEqual(([found.public_id for found in listing.tokens], listing.total), (["a"], 3))

    def test_expired_tokens_are_not_active(self) -> None:
        """From the moment on."""
        self.get(self.catalog.add_user("jane"))
        expires_at = datetime.datetime.fromtimestamp(self.clock.seconds() + 60, datetime.UTC)
        token = NewToken("a", "a" * 64, TokenKind.PERSONAL, "a", user="jane", expires_at=expires_at)
        self.get(self.catalog.add_token(token))
        record = self.get(self.catalog.find_token("a"))
        assert record is not None
        self.assertEqual(self.tokens_of(record, is_active=True), ["a"])
        self.clock.advance(60)
        self.assertEqual(self.tokens_of(record, is_active=True), [])
        self.assertEqual(self.tokens_of(record, is_active=False), ["a"])

    def test_each_kind_has_its_owners(self) -> None:
        """Tokens of projects and groups are found by them, by their kind, and by nothing else."""
        self.get(self.catalog.add_user("jane"))
        jane = self.add_personal("a")
        records = [
            self.add_other("d", TokenKind.DEPLOY, project="1"),
            self.add_other("e", TokenKind.DEPLOY, group="1"),
            self.add_other("p", TokenKind.PROJECT, Role.DEVELOPER, project="1"),
            self.add_other("g", TokenKind.GROUP, Role.DEVELOPER, group="1"),
        ]
        for record in (jane, *records):
            self.assertEqual(self.tokens_of(record), [record.public_id])
            found = self.get(self.catalog.find_token_of(owner_of(record), record.principal.token_id or 0))
            self.assertEqual(found, record)
            for other in (jane, *records):
                if other is not record:
                    self.assertFalse(self.revoke(owner_of(other), record))
        for kind, wanted in ((TokenKind.PERSONAL, ["a"]), (TokenKind.DEPLOY, ["d", "e"]), (TokenKind.JOB, [])):
            listing = self.get(self.catalog.list_tokens_of(TokenQuery(TokenOwner(kind)), Piece(0, 9)))
            self.assertEqual([found.public_id for found in listing.tokens], wanted)

    def test_revoking_what_approved(self) -> None:
        """Once is enough, and twice does not move the time."""
        self.get(self.catalog.add_user("jane"))
        jane = self.add_personal("a")
        self.assertTrue(self.revoke(owner_of(jane), jane))
        revoked = self.get(self.catalog.find_token("a"))
        self.clock.advance(5)
        self.assertTrue(self.revoke(owner_of(jane), jane))
        self.assertEqual(self.get(self.catalog.find_token("a")), revoked)
        self.assertFalse(self.get(self.catalog.revoke_token_of(owner_of(jane), 99, ANONYMOUS)))
        self.assertIsNone(self.get(self.catalog.find_token_of(owner_of(jane), 2**63)))

    def test_rotating(self) -> None:
        """The old secret ends, another begins that is the same else; nothing comes of what is no good."""
        self.get(self.catalog.add_user("jane"))
        jane = self.add_personal("a")
        token_id = jane.principal.token_id or 0
        minted, other = MintedToken("secret", "b", "b" * 64), MintedToken("secret", "c", "c")
        expires_at = datetime.datetime.fromtimestamp(self.clock.seconds() + 60, datetime.UTC)
        rotate = self.catalog.rotate_token_of
        self.assertTrue(self.get(rotate(owner_of(jane), token_id, minted, expires_at, ANONYMOUS)))
        self.assertFalse(self.get(rotate(owner_of(jane), token_id, other, None, ANONYMOUS)))
        self.assertFalse(self.get(rotate(owner_of(jane), 99, other, None, ANONYMOUS)))
        self.assertEqual(self.tokens_of(jane, is_active=True), ["b"])
        new = self.get(self.catalog.find_token("b"))
        assert new is not None
        self.assertEqual((new.name, new.secret_sha256, new.expires_at), (jane.name, "b" * 64, expires_at))
        self.assertEqual(new.principal, evolve(jane.principal, token_id=new.principal.token_id))

    def test_what_is_no_good_makes_nothing(self) -> None:
        """A token that is revoked, or has expired, is no parent of another."""
        self.get(self.catalog.add_user("jane"))
        good = self.add_personal("a")
        self.add_personal("b", principal=good.principal)
        expires_at = datetime.datetime.fromtimestamp(self.clock.seconds() + 60, datetime.UTC)
        token = NewToken("c", "c" * 64, TokenKind.PERSONAL, "c", user="jane", expires_at=expires_at)
        self.get(self.catalog.add_token(token))
        short = self.get(self.catalog.find_token("c"))
        assert short is not None
        self.clock.advance(60)
        self.get(self.catalog.revoke_token("a"))
        for record in (good, short):
            child = NewToken("d", "d" * 64, TokenKind.PERSONAL, "d", user="jane")
            self.refused(self.catalog.add_token(child, record.principal), InvalidCredentials)
        self.assertIsNone(self.get(self.catalog.find_token("d")))


class SignInsContract(UserTokensContract):
    """Clients that wait; mixed in before CatalogContract."""

    def start(self, public_id: str, address: str = "192.0.2.1", max_per_address: int = 3) -> bool:
        """Have a client wait for ten minutes; it polls by its id in capitals."""
        sign_in = NewSignIn(public_id, public_id.upper(), address, "npm", self.time() + 10 * MINUTE)
        return self.get(self.catalog.add_sign_in(sign_in, max_per_address))

    def time(self) -> datetime.datetime:
        """The present time."""
        return datetime.datetime.fromtimestamp(self.clock.seconds(), datetime.UTC)

    def approve(self, public_id: str, principal: Principal) -> bool:
        """Say yes to a client."""
        return self.get(self.catalog.approve_sign_in(public_id, principal, self.time() + 60 * MINUTE))

    def take(self, poll_sha256: str, as_id: str = "t") -> bool | None:
        """Come back as a client."""
        return self.get(self.catalog.take_sign_in(poll_sha256, as_id, as_id * 64, "npm at home"))

    def jane(self) -> TokenRecord:
        """A user with a token."""
        self.get(self.catalog.add_user("jane"))
        return self.add_personal("a")

    def test_sign_in(self) -> None:
        """A client waits, is approved once, and gets one token of that user and those scopes."""
        jane = self.jane()
        self.assertTrue(self.start("one"))
        self.assertFalse(self.take("ONE"))
        found = self.get(self.catalog.find_sign_in("one"))
        assert found is not None
        self.assertEqual((found.address, found.client, found.is_approved), ("192.0.2.1", "npm", False))
        self.assertEqual((found.created_at, found.expires_at), (self.time(), self.time() + 10 * MINUTE))
        self.assertTrue(self.approve("one", jane.principal))
        self.assertFalse(self.approve("one", jane.principal))
        found = self.get(self.catalog.find_sign_in("one"))
        assert found is not None
        self.assertTrue(found.is_approved)
        expires_at = self.time() + 60 * MINUTE
        self.clock.advance(60)
        self.assertTrue(self.take("ONE"))
        self.assertIsNone(self.take("ONE", "u"))
        self.assertIsNone(self.get(self.catalog.find_sign_in("one")))
        token = self.get(self.catalog.find_token("t"))
        assert token is not None
        self.assertEqual(token.principal, evolve(jane.principal, token_id=token.principal.token_id))
        self.assertNotEqual(token.principal.token_id, jane.principal.token_id)
        self.assertEqual((token.name, token.expires_at), ("npm at home", expires_at))
        self.assertEqual(self.tokens_of(jane), ["t", "a"])

    def test_nothing_there(self) -> None:
        """What was never started is not found, approved or taken."""
        self.assertIsNone(self.get(self.catalog.find_sign_in("one")))
        self.assertFalse(self.approve("one", self.jane().principal))
        self.assertIsNone(self.take("ONE"))

    def test_expiry(self) -> None:
        """After its time a client is forgotten, approved or not."""
        jane = self.jane()
        self.start("one")
        self.start("two")
        self.approve("two", jane.principal)
        self.clock.advance(600)
        self.assertIsNone(self.get(self.catalog.find_sign_in("one")))
        self.assertFalse(self.approve("one", jane.principal))
        self.assertEqual([self.take("ONE"), self.take("TWO")], [None, None])
        self.assertEqual(self.tokens_of(jane), ["a"])

    def test_a_revoked_token_signs_nobody_in(self) -> None:
        """Even if it was good when somebody said yes."""
        jane = self.jane()
        self.start("one")
        self.approve("one", jane.principal)
        self.get(self.catalog.revoke_token("a"))
        self.assertIsNone(self.take("ONE"))
        self.assertIsNone(self.get(self.catalog.find_token("t")))

    def test_only_so_many_wait(self) -> None:
        """Of one address; those whose time is over do not count."""
        self.assertEqual([self.start(str(number)) for number in range(4)], [True, True, True, False])
        self.assertTrue(self.start("elsewhere", "192.0.2.2"))
        self.clock.advance(600)
        self.assertTrue(self.start("again"))
