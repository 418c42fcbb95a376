"""Looking after tokens while others change the same things; what it does by itself is tested through its routes."""

from __future__ import annotations

import datetime

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pkgregd.auth.tokendesk import TokenDesk
from pkgregd.catalog.memory import MemoryCatalog
from pkgregd.errors import NotFound
from pkgregd.testing.calls import now
from pkgregd.values import ANONYMOUS, MintedToken, NewToken, Principal, Role, TokenKind, TokenOwner, Visibility


class LeavingCatalog(MemoryCatalog):
    """A catalog in which the owner of a token goes as soon as the token was rotated."""

    async def rotate_token_of(
        self,
        owner: TokenOwner,
        token_id: int,
        minted: MintedToken,
        expires_at: datetime.datetime | None,
        principal: Principal,
    ) -> bool:
        """Rotate it, and forget what came of it."""
        is_rotated = await super().rotate_token_of(owner, token_id, minted, expires_at, principal)
        del self._tokens[minted.public_id]
        return is_rotated


class RotationTests(SynchronousTestCase):
    """Rotating."""

    def test_the_owner_goes_meanwhile(self) -> None:
        """The token is not there, which is said, and is no error of ours."""
        catalog = LeavingCatalog(Clock().seconds)
        now(catalog.add_group("acme", Visibility.PRIVATE))
        project = now(catalog.add_project("acme/tool", Visibility.PRIVATE))
        token = NewToken("p", "a" * 64, TokenKind.PROJECT, "p", frozenset({"api"}), Role.DEVELOPER, project="acme/tool")
        token_id = now(catalog.add_token(token))
        owner = TokenOwner(TokenKind.PROJECT, project_id=project)
        desk = TokenDesk(catalog, lambda: datetime.datetime.fromtimestamp(1, datetime.UTC))
        self.assertRaises(NotFound, now, desk.rotate(owner, token_id, None, ANONYMOUS))
