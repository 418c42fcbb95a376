"""The catalog over a database: what it does with tokens, and with clients that wait to be signed in."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING

from pkgregd.catalog import exchange, signins, tokens
from pkgregd.values import (
    OPERATOR,
    MintedToken,
    NewSignIn,
    NewToken,
    Origin,
    Piece,
    Principal,
    SignIn,
    SpentIdToken,
    TokenListing,
    TokenOwner,
    TokenQuery,
    TokenRecord,
)

if TYPE_CHECKING:
    from pkgregd.catalog.sql_trail import Database


class SqlTokens:
    """A part of ICatalog over a database."""

    _database: Database

    async def add_token(self, token: NewToken, principal: Principal = OPERATOR) -> int:
        """See IIdentityCatalog."""
        return await self._database.write(tokens.add_token, token, principal)

    async def find_token(self, public_id: str) -> TokenRecord | None:
        """See IReads."""
        return await self._database.read(tokens.find_token, public_id)

    async def list_tokens(self) -> tuple[TokenRecord, ...]:
        """See IIdentityCatalog."""
        return await self._database.read(tokens.list_tokens)

    async def list_tokens_of(self, query: TokenQuery, piece: Piece) -> TokenListing:
        """See IIdentityCatalog."""
        return await self._database.read(tokens.list_tokens_of, query, piece)

    async def find_token_of(self, owner: TokenOwner, token_id: int) -> TokenRecord | None:
        """See IIdentityCatalog."""
        return await self._database.read(tokens.find_token_of, owner, token_id)

    async def revoke_token(self, public_id: str, principal: Principal = OPERATOR) -> bool:
        """See IIdentityCatalog."""
        return await self._database.write(tokens.revoke_token, public_id, principal)

    async def revoke_token_of(self, owner: TokenOwner, token_id: int, principal: Principal) -> bool:
        """See IIdentityCatalog."""
        return await self._database.write(tokens.revoke_token_of, owner, token_id, principal)

    async def rotate_token_of(
        self,
        owner: TokenOwner,
        token_id: int,
        minted: MintedToken,
        expires_at: datetime.datetime | None,
        principal: Principal,
    ) -> bool:
        """See IIdentityCatalog."""
        return await self._database.write(tokens.rotate_token_of, owner, token_id, minted, expires_at, principal)

    async def add_job(self, token: NewToken, spent: SpentIdToken, asker: Principal) -> int:
        """See IIdentityCatalog."""
        return await self._database.write(exchange.add_job, token, spent, asker)

    async def forget_ended(self, limit: int) -> int:
        """See IIdentityCatalog."""
        return await self._database.write(exchange.forget_ended, limit)

    async def note_uses(self, used_at: Mapping[int, datetime.datetime]) -> None:
        """See IIdentityCatalog."""
        await self._database.write(exchange.note_uses, used_at)

    async def add_sign_in(self, sign_in: NewSignIn, max_per_address: int) -> bool:
        """See ISignInCatalog."""
        return await self._database.write(signins.add_sign_in, sign_in, max_per_address)

    async def find_sign_in(self, public_id: str) -> SignIn | None:
        """See ISignInCatalog."""
        return await self._database.read(signins.find_sign_in, public_id)

    async def approve_sign_in(self, public_id: str, principal: Principal, token_expires_at: datetime.datetime) -> bool:
        """See ISignInCatalog."""
        return await self._database.write(signins.approve_sign_in, public_id, principal, token_expires_at)

    async def take_sign_in(
        self, poll_sha256: str, public_id: str, secret_sha256: str, name: str, origin: Origin | None = None
    ) -> bool | None:
        """See ISignInCatalog."""
        return await self._database.write(signins.take_sign_in, poll_sha256, public_id, secret_sha256, name, origin)
