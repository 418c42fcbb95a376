"""What every catalog does with a user's tokens and with clients that wait to be signed in."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING

from attrs import evolve

from pkgregd.values import ANONYMOUS, NewSignIn, NewToken, Piece, Principal, TokenKind, TokenRecord

if TYPE_CHECKING:
    from pkgregd.testing.catalog_contract import CatalogContract as _Base
else:
    _Base = object

MINUTE = datetime.timedelta(minutes=1)


class UserTokensContract(_Base):
    """Tokens that users look after themselves; mixed in before CatalogContract."""

    def add_personal(self, public_id: str, user: str = "jane", principal: Principal | None = None) -> TokenRecord:
        """Store a personal token, adding its user when needed."""
        token = NewToken(public_id, public_id * 5, TokenKind.PERSONAL, f"token {public_id}", frozenset({"api"}))
        self.get(self.catalog.add_token(evolve(token, user=user), principal))
        record = self.get(self.catalog.find_token(public_id))
        assert record is not None
        return record

    def tokens_of(self, record: TokenRecord, offset: int = 0, limit: int = 10) -> list[str]:
        """The public ids of a user's tokens."""
        assert record.principal.user_id is not None
        piece = Piece(offset, limit)
        return [found.public_id for found in self.get(self.catalog.list_user_tokens(record.principal.user_id, piece))]

    def test_tokens_of_a_user(self) -> None:
        """Newest first, in pieces, without those of others and those that are revoked."""
        for name in ("jane", "john"):
            self.get(self.catalog.add_user(name))
        first, *_ = [self.add_personal(public_id) for public_id in ("a", "b", "c", "d")]
        self.add_personal("x", "john")
        self.get(self.catalog.revoke_token("c"))
        self.assertEqual(self.tokens_of(first), ["d", "b", "a"])
        self.assertEqual(self.tokens_of(first, 1, 1), ["b"])
        self.assertEqual(self.tokens_of(first, 3), [])

    def test_revoke_ones_own(self) -> None:
        """A user's tokens are the user's to revoke; nobody else's are."""
        for name in ("jane", "john"):
            self.get(self.catalog.add_user(name))
        jane, john = self.add_personal("a").principal, self.add_personal("b", "john").principal
        self.assertFalse(self.get(self.catalog.revoke_token("b", jane)))
        self.assertFalse(self.get(self.catalog.revoke_token("a", ANONYMOUS)))
        self.assertFalse(self.get(self.catalog.revoke_token("c", jane)))
        for _ in range(2):
            self.assertTrue(self.get(self.catalog.revoke_token("b", john)))
        record = self.get(self.catalog.find_token("b"))
        assert record is not None
        self.assertIsNotNone(record.revoked_at)

    def test_tokens_without_a_user_are_nobodys_own(self) -> None:
        """Who is no user either does not get at them."""
        self.get(self.catalog.add_token(NewToken("d", "e" * 64, TokenKind.DEPLOY, "deploy", project="1")))
        deploy = self.get(self.catalog.find_token("d"))
        assert deploy is not None
        self.assertFalse(self.get(self.catalog.revoke_token("d", deploy.principal)))
        self.assertFalse(self.get(self.catalog.revoke_token("d", ANONYMOUS)))


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
