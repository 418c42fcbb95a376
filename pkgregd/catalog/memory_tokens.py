"""Tokens, and clients that wait to be signed in, as the catalog in memory keeps them."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping

from attrs import evolve

from pkgregd.catalog import told
from pkgregd.catalog.memory_identity import MemoryIdentity
from pkgregd.catalog.memory_signins import Approval, MemorySignIns
from pkgregd.catalog.rules import check_token_owner, from_microseconds
from pkgregd.errors import AlreadyExists, InvalidCredentials, SpentIdTokenShown
from pkgregd.interfaces import KEPT_JOB_SECONDS
from pkgregd.values import (
    OPERATOR,
    AuditAction,
    Level,
    MintedToken,
    NewSignIn,
    NewToken,
    Origin,
    Piece,
    Principal,
    SignIn,
    SpentIdToken,
    TokenKind,
    TokenListing,
    TokenOwner,
    TokenQuery,
    TokenRecord,
    user_name_beside,
)


class MemoryTokens(MemoryIdentity):
    """
    See IIdentityCatalog and ISignInCatalog.

    Attributes:
        sign_ins: clients that wait.
    """

    def __init__(self, seconds: Callable[[], float]) -> None:
        super().__init__(seconds)
        self._tokens: dict[str, TokenRecord] = {}
        self._spent: dict[tuple[str, str], datetime.datetime] = {}
        self.sign_ins = MemorySignIns()

    async def add_token(self, token: NewToken, principal: Principal = OPERATOR) -> int:
        """See IIdentityCatalog."""
        if principal.token_id is not None:
            self._check_parent(principal.token_id)
        parent_id = principal.token_id if token.kind is TokenKind.PERSONAL else None
        record = await self._store(token, parent_id)
        self._tell(principal, told.of_new_token(token, **_owner_ids(record)))
        assert record.principal.token_id is not None, "a stored token has a number"
        return record.principal.token_id

    async def _store(self, token: NewToken, parent_id: int | None) -> TokenRecord:
        check_token_owner(token)
        user = None if token.user is None else self._user(token.user)
        project_id = self._owner_id(Level.PROJECT, token.project)
        group_id = self._owner_id(Level.GROUP, token.group)
        if token.public_id in self._tokens:
            raise AlreadyExists("a token of that id exists already")
        token_id = self._next_id("token")
        self._tokens[token.public_id] = record = TokenRecord(
            public_id=token.public_id,
            secret_sha256=token.secret_sha256,
            name=token.name,
            principal=Principal(
                name=f"token:{token.name}" if user is None else user.name,
                token_kind=token.kind,
                token_id=token_id,
                user_id=None if user is None else user.id,
                is_admin=user is not None and user.is_admin,
                scopes=token.scopes,
                project_id=project_id,
                group_id=group_id,
                role=token.role,
                project_path=self._path_at(Level.PROJECT, project_id) or None,
                token_public_id=token.public_id,
            ),
            created_at=from_microseconds(self._now()),
            expires_at=token.expires_at,
            username=user_name_beside(token.kind, token_id, None if user is None else user.name, token.username),
            parent_id=parent_id,
            origin=token.origin,
        )
        return record

    async def add_job(self, token: NewToken, spent: SpentIdToken, asker: Principal) -> int:
        """See IIdentityCatalog."""
        self._owner_id(Level.PROJECT, token.project)
        if (spent.issuer, spent.jti) in self._spent:
            raise SpentIdTokenShown
        await self._store(token, None)
        self._spent[spent.issuer, spent.jti] = spent.forget_at
        job = self._tokens[token.public_id].principal
        assert job.token_id is not None, "a stored token has a number"
        self._tell(asker, told.of_new_token(token, project_id=job.project_id))
        return job.token_id

    async def forget_ended(self, limit: int) -> int:
        """See IIdentityCatalog."""
        now = from_microseconds(self._now())
        spent = [key for key, forget_at in self._spent.items() if forget_at <= now][:limit]
        for key in spent:
            del self._spent[key]
        ended_before = now - datetime.timedelta(seconds=KEPT_JOB_SECONDS)
        ended = [
            public_id
            for public_id, record in self._tokens.items()
            if record.principal.token_kind is TokenKind.JOB
            and record.expires_at is not None
            and record.expires_at <= ended_before
        ][:limit]
        for public_id in ended:
            del self._tokens[public_id]
        return len(spent) + len(ended)

    async def note_uses(self, used_at: Mapping[int, datetime.datetime]) -> None:
        """See IIdentityCatalog."""
        for public_id, record in self._tokens.items():
            moment = used_at.get(record.principal.token_id or 0)
            if moment is not None and (record.last_used_at is None or record.last_used_at < moment):
                self._tokens[public_id] = evolve(record, last_used_at=moment)

    def _check_parent(self, token_id: int) -> None:
        """Raise InvalidCredentials if a token is not good any more."""
        now = from_microseconds(self._now())
        parents = [record for record in self._tokens.values() if record.principal.token_id == token_id]
        if not any(_is_active(record, now) for record in parents):
            raise InvalidCredentials

    async def find_token(self, public_id: str) -> TokenRecord | None:
        """See IReads."""
        return self._tokens.get(public_id)

    async def list_tokens(self) -> tuple[TokenRecord, ...]:
        """See IIdentityCatalog."""
        return tuple(self._tokens.values())

    async def list_tokens_of(self, query: TokenQuery, piece: Piece) -> TokenListing:
        """See IIdentityCatalog."""
        now = from_microseconds(self._now())
        found = [
            record
            for record in self._tokens.values()
            if _is_owned(record, query.owner) and query.is_active in (None, _is_active(record, now))
        ]
        if query.is_descending:
            found.reverse()
        return TokenListing(tuple(found[piece.offset : piece.offset + piece.limit]), len(found))

    async def find_token_of(self, owner: TokenOwner, token_id: int) -> TokenRecord | None:
        """See IIdentityCatalog."""
        return next(
            (
                record
                for record in self._tokens.values()
                if record.principal.token_id == token_id and _is_owned(record, owner)
            ),
            None,
        )

    async def revoke_token(self, public_id: str, principal: Principal = OPERATOR) -> bool:
        """See IIdentityCatalog."""
        record = self._tokens.get(public_id)
        if record is not None and record.revoked_at is None:
            self._revoke(record)
            entry = told.of_token(AuditAction.REVOKE_TOKEN, public_id, record.name, **_owner_ids(record))
            self._tell(principal, entry)
        return record is not None

    def _revoke(self, record: TokenRecord) -> None:
        """Revoke a token, and those that were made by showing it."""
        if record.revoked_at is None:
            self._tokens[record.public_id] = evolve(record, revoked_at=from_microseconds(self._now()))
        for child in [kept for kept in self._tokens.values() if kept.parent_id == record.principal.token_id]:
            self._revoke(child)

    async def revoke_token_of(self, owner: TokenOwner, token_id: int, principal: Principal) -> bool:
        """See IIdentityCatalog."""
        record = await self.find_token_of(owner, token_id)
        return record is not None and await self.revoke_token(record.public_id, principal)

    async def rotate_token_of(
        self,
        owner: TokenOwner,
        token_id: int,
        minted: MintedToken,
        expires_at: datetime.datetime | None,
        principal: Principal,
    ) -> bool:
        """See IIdentityCatalog."""
        if principal.token_id is not None:
            self._check_parent(principal.token_id)
        now = from_microseconds(self._now())
        record = await self.find_token_of(owner, token_id)
        if record is None or not _is_active(record, now):
            return False
        self._revoke(record)
        self._tokens[minted.public_id] = evolve(
            record,
            public_id=minted.public_id,
            secret_sha256=minted.secret_sha256,
            principal=evolve(record.principal, token_id=self._next_id("token"), token_public_id=minted.public_id),
            created_at=now,
            expires_at=expires_at,
            last_used_at=None,
        )
        entry = told.of_token(
            AuditAction.ROTATE_TOKEN, minted.public_id, record.name, **_owner_ids(record), instead_of=record.public_id
        )
        self._tell(principal, entry)
        return True

    async def add_sign_in(self, sign_in: NewSignIn, max_per_address: int) -> bool:
        """See ISignInCatalog."""
        return self.sign_ins.add(sign_in, from_microseconds(self._now()), max_per_address)

    async def find_sign_in(self, public_id: str) -> SignIn | None:
        """See ISignInCatalog."""
        return self.sign_ins.find(public_id, from_microseconds(self._now()))

    async def approve_sign_in(self, public_id: str, principal: Principal, token_expires_at: datetime.datetime) -> bool:
        """See ISignInCatalog."""
        now = from_microseconds(self._now())
        sign_in = self.sign_ins.find(public_id, now)
        if sign_in is None or not self.sign_ins.approve(public_id, Approval(principal, token_expires_at), now):
            return False
        self._tell(principal, told.of_approval(principal.user_id, sign_in.client, sign_in.address))
        return True

    async def take_sign_in(
        self, poll_sha256: str, public_id: str, secret_sha256: str, name: str, origin: Origin | None = None
    ) -> bool | None:
        """See ISignInCatalog."""
        approval = self.sign_ins.take(poll_sha256, from_microseconds(self._now()))
        if not isinstance(approval, Approval):
            return approval
        parent_id = approval.principal.token_id
        parents = (kept for kept in self._tokens.values() if kept.principal.token_id == parent_id)
        parent = next(parents, None)
        if parent is None or parent.revoked_at is not None:
            return None
        approver = parent.principal
        token = NewToken(
            public_id=public_id,
            secret_sha256=secret_sha256,
            kind=TokenKind.PERSONAL,
            name=name,
            scopes=approver.scopes,
            user=approver.name,
            expires_at=approval.token_expires_at,
        )
        await self.add_token(token, evolve(approver, origin=origin))
        return True


def _owner_ids(record: TokenRecord) -> dict[str, int | None]:
    bearer = record.principal
    return {"user_id": bearer.user_id, "project_id": bearer.project_id, "group_id": bearer.group_id}


def _is_owned(record: TokenRecord, owner: TokenOwner) -> bool:
    bearer = record.principal
    return bearer.token_kind is owner.kind and all(
        wanted is None or wanted == found
        for wanted, found in (
            (owner.user_id, bearer.user_id),
            (owner.project_id, bearer.project_id),
            (owner.group_id, bearer.group_id),
        )
    )


def _is_active(record: TokenRecord, now: datetime.datetime) -> bool:
    return record.revoked_at is None and (record.expires_at is None or record.expires_at > now)
