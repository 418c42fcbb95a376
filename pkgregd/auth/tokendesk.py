"""Making and looking after the tokens of users, projects and groups."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Mapping

from attrs import frozen
from zope.interface import implementer

from pkgregd.auth.tokens import mint
from pkgregd.errors import InvalidRequest, NotFound
from pkgregd.interfaces import ICatalog, ITokenDesk
from pkgregd.values import (
    JOB_USER_NAME,
    IssuedToken,
    NewToken,
    Piece,
    Principal,
    TokenKind,
    TokenListing,
    TokenOrder,
    TokenOwner,
    TokenQuery,
    TokenRecord,
)

API_SCOPES = ("api", "read_api")
DEPLOY_SCOPES = ("read_package_registry", "write_package_registry")
SCOPES: Mapping[TokenKind, tuple[str, ...]] = {
    TokenKind.PERSONAL: API_SCOPES,
    TokenKind.PROJECT: API_SCOPES,
    TokenKind.GROUP: API_SCOPES,
    TokenKind.DEPLOY: DEPLOY_SCOPES,
    TokenKind.JOB: (),
}
"""What a token of each kind may allow; the kind without any says all by itself."""

MAX_NAME_CHARACTERS = 255

_USER_NAME = re.compile(r"[A-Za-z0-9_.+-]{1,255}", re.ASCII)


def check_name(name: str) -> None:
    """Raise InvalidRequest unless it is a name for a token."""
    if not (name.isprintable() and 0 < len(name) <= MAX_NAME_CHARACTERS):
        raise InvalidRequest(f"the name of a token has 1 to {MAX_NAME_CHARACTERS} printable letters")


def check_username(username: str) -> None:
    """Raise InvalidRequest unless a deploy token may be given this user name."""
    if _USER_NAME.fullmatch(username) is None or username == JOB_USER_NAME:
        raise InvalidRequest("the user name of a deploy token has 1 to 255 of A-Z a-z 0-9 _ . + -, and is not a job's")


@implementer(ITokenDesk)
@frozen
class TokenDesk:
    """
    See ITokenDesk.

    Attributes:
        catalog: keeps the tokens.
        clock: tells the time, aware.
    """

    catalog: ICatalog
    clock: Callable[[], datetime.datetime]

    async def issue(self, order: TokenOrder, principal: Principal) -> IssuedToken:
        """See ITokenDesk."""
        owner = order.owner
        check_name(order.name)
        self._check(order)
        if order.username is not None:
            check_username(order.username)
        expires_at = order.expires_at
        if owner.kind is TokenKind.PERSONAL:
            expires_at = _earliest(expires_at, await self._end_of(principal))
        minted = mint(owner.kind)
        token = NewToken(
            public_id=minted.public_id,
            secret_sha256=minted.secret_sha256,
            kind=owner.kind,
            name=order.name,
            scopes=order.scopes,
            role=order.role,
            expires_at=expires_at,
            username=order.username,
            user=None if owner.user_id is None else await self._user_name(owner.user_id),
            project=None if owner.project_id is None else str(owner.project_id),
            group=None if owner.group_id is None else str(owner.group_id),
        )
        token_id = await self.catalog.add_token(token, principal)
        return IssuedToken(token, minted.secret, self.clock(), token_id)

    def _check(self, order: TokenOrder) -> None:
        known = SCOPES[order.owner.kind]
        if not order.scopes or not order.scopes <= set(known):
            raise InvalidRequest(f"scopes: one or more of {', '.join(known)}")
        self._check_expiry(order.expires_at)

    def _check_expiry(self, expires_at: datetime.datetime | None) -> None:
        if expires_at is not None and expires_at <= self.clock():
            raise InvalidRequest("expires_at: it is past")

    async def _user_name(self, user_id: int) -> str:
        user = await self.catalog.find_user(user_id)
        if user is None:
            raise NotFound("there is no such user")
        return user.name

    async def list_tokens(self, query: TokenQuery, piece: Piece) -> TokenListing:
        """See ITokenDesk."""
        return await self.catalog.list_tokens_of(query, piece)

    async def find_token(self, owner: TokenOwner, token_id: int) -> TokenRecord:
        """See ITokenDesk."""
        record = await self.catalog.find_token_of(owner, token_id)
        if record is None:
            raise NotFound("there is no such token")
        return record

    async def revoke(self, owner: TokenOwner, token_id: int, principal: Principal) -> None:
        """See ITokenDesk."""
        if not await self.catalog.revoke_token_of(owner, token_id, principal):
            raise NotFound("there is no such token")

    async def rotate(
        self, owner: TokenOwner, token_id: int, expires_at: datetime.datetime | None, principal: Principal
    ) -> IssuedToken:
        """See ITokenDesk."""
        self._check_expiry(expires_at)
        record = await self.find_token(owner, token_id)
        earliest = _earliest(expires_at, record.expires_at)
        if owner.kind is TokenKind.PERSONAL:
            earliest = _earliest(earliest, await self._end_of(principal))
        minted = mint(owner.kind)
        if not await self.catalog.rotate_token_of(owner, token_id, minted, earliest, principal):
            raise NotFound("the token is not good any more")
        stored = await self.catalog.find_token(minted.public_id)
        if stored is None:
            raise NotFound("the token is not good any more")  # it went with its owner meanwhile
        token = NewToken(
            public_id=minted.public_id,
            secret_sha256=minted.secret_sha256,
            kind=owner.kind,
            name=record.name,
            scopes=record.principal.scopes,
            role=record.principal.role,
            expires_at=earliest,
        )
        return IssuedToken(token, minted.secret, self.clock(), stored.principal.token_id or 0)

    async def _end_of(self, principal: Principal) -> datetime.datetime | None:
        """When the token ends that was shown."""
        assert principal.token_kind is not None, "the caller is known"
        owner = TokenOwner(principal.token_kind, principal.user_id, principal.project_id, principal.group_id)
        return (await self.find_token(owner, principal.token_id or 0)).expires_at


def _earliest(*ends: datetime.datetime | None) -> datetime.datetime | None:
    """Return the earliest of some times; None means never."""
    return min((end for end in ends if end is not None), default=None)
