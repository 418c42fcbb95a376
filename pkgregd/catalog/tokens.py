"""Tokens: statements, then verbs."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from itertools import product

from attrs import asdict
from sqlalchemy import ColumnElement, and_, bindparam, func, not_, or_, select, true, update

from pkgregd.catalog import told
from pkgregd.catalog.audit import add_audit_entry
from pkgregd.catalog.identity import owner_id_of, user_id_of
from pkgregd.catalog.rules import MAX_ID, check_token_owner, from_microseconds, to_microseconds
from pkgregd.catalog.statement import Row, Statement, Transaction, insert
from pkgregd.catalog.tables import projects, tokens, users
from pkgregd.errors import AlreadyExists, InvalidCredentials
from pkgregd.values import (
    AuditAction,
    JobOrigin,
    Level,
    MintedToken,
    NewToken,
    Piece,
    Principal,
    Role,
    TokenKind,
    TokenListing,
    TokenOwner,
    TokenQuery,
    TokenRecord,
    user_name_beside,
)

ADD_TOKEN = Statement(
    insert(tokens)
    .values(
        public_id=bindparam("public_id"),
        secret_sha256=bindparam("secret_sha256"),
        kind=bindparam("kind"),
        name=bindparam("name"),
        scopes_json=bindparam("scopes_json"),
        role=bindparam("role"),
        user_id=bindparam("user_id"),
        project_id=bindparam("project_id"),
        group_id=bindparam("group_id"),
        created_at=bindparam("now"),
        expires_at=bindparam("expires_at"),
        username=bindparam("username"),
        parent_id=bindparam("parent_id"),
        origin_json=bindparam("origin_json"),
    )
    .on_conflict_do_nothing()
)

_token_columns = select(
    tokens.c.id,
    tokens.c.public_id,
    tokens.c.secret_sha256,
    tokens.c.kind,
    tokens.c.name,
    tokens.c.scopes_json,
    tokens.c.role,
    tokens.c.project_id,
    tokens.c.group_id,
    tokens.c.created_at,
    tokens.c.expires_at,
    tokens.c.revoked_at,
    tokens.c.last_used_at,
    tokens.c.username,
    tokens.c.parent_id,
    tokens.c.origin_json,
    users.c.id,
    users.c.name,
    users.c.is_admin,
    projects.c.path,
).select_from(
    tokens.outerjoin(users, users.c.id == tokens.c.user_id).outerjoin(projects, projects.c.id == tokens.c.project_id)
)

FIND_TOKEN = Statement(_token_columns.where(tokens.c.public_id == bindparam("public_id")))

LIST_TOKENS = Statement(_token_columns.order_by(tokens.c.id))

_OWNERS: Mapping[str | None, ColumnElement[bool]] = {
    None: true(),
    "user_id": tokens.c.user_id == bindparam("user_id"),
    "project_id": tokens.c.project_id == bindparam("project_id"),
    "group_id": tokens.c.group_id == bindparam("group_id"),
}
"""What an owner's tokens have in common, by the column that tells the owner."""

_is_active = and_(
    tokens.c.revoked_at.is_(None), or_(tokens.c.expires_at.is_(None), tokens.c.expires_at > bindparam("now"))
)
_ACTIVITIES: Mapping[bool | None, ColumnElement[bool]] = {None: true(), True: _is_active, False: not_(_is_active)}

COUNT_TOKENS_OF = {
    (column, is_active): Statement(
        select(func.count()).select_from(tokens).where(tokens.c.kind == bindparam("kind"), owned, active)
    )
    for (column, owned), (is_active, active) in product(_OWNERS.items(), _ACTIVITIES.items())
}

LIST_TOKENS_OF = {
    (column, is_active, is_descending): Statement(
        _token_columns.where(tokens.c.kind == bindparam("kind"), owned, active)
        .order_by(tokens.c.id.desc() if is_descending else tokens.c.id)
        .limit(bindparam("row_limit"))
        .offset(bindparam("row_offset"))
    )
    for (column, owned), (is_active, active), is_descending in product(
        _OWNERS.items(), _ACTIVITIES.items(), (False, True)
    )
}

FIND_TOKEN_OF = {
    column: Statement(
        _token_columns.where(tokens.c.id == bindparam("token_id"), tokens.c.kind == bindparam("kind"), owned)
    )
    for column, owned in _OWNERS.items()
}

FIND_END = Statement(select(tokens.c.revoked_at, tokens.c.expires_at).where(tokens.c.id == bindparam("token_id")))

REVOKE_TOKEN = Statement(
    update(tokens)
    .where(tokens.c.public_id == bindparam("the_public_id"))
    .values(revoked_at=func.coalesce(tokens.c.revoked_at, bindparam("now")))
)

_made_by = select(tokens.c.id).where(tokens.c.parent_id == bindparam("shown_id")).cte("descendants", recursive=True)
_descendants = _made_by.union(select(tokens.c.id).where(tokens.c.parent_id == _made_by.c.id))

REVOKE_DESCENDANTS = Statement(
    update(tokens)
    .where(tokens.c.id.in_(select(_descendants.c.id)), tokens.c.revoked_at.is_(None))
    .values(revoked_at=bindparam("now"))
)


async def add_token(tx: Transaction, token: NewToken, principal: Principal) -> int:
    """See IIdentityCatalog."""
    check_token_owner(token)
    if principal.token_id is not None:
        await _check_parent(tx, principal.token_id)
    user_id = project_id = group_id = None
    if token.user is not None:
        user_id = await user_id_of(tx, token.user)
    if token.project is not None:
        project_id = await owner_id_of(tx, Level.PROJECT, token.project)
    if token.group is not None:
        group_id = await owner_id_of(tx, Level.GROUP, token.group)
    owner = {"user_id": user_id, "project_id": project_id, "group_id": group_id}
    parent_id = principal.token_id if token.kind is TokenKind.PERSONAL else None
    token_id = await store_token(tx, token, **owner, parent_id=parent_id)
    await add_audit_entry(tx, principal, told.of_new_token(token, **owner))
    return token_id


async def _check_parent(tx: Transaction, token_id: int) -> None:
    """Raise InvalidCredentials if a token is not good any more: what it makes would outlive it."""
    row = await tx.fetch_one(FIND_END, token_id=token_id)
    if row is None or row[0] is not None or (row[1] is not None and row[1] <= tx.now):
        raise InvalidCredentials


async def store_token(
    tx: Transaction,
    token: NewToken,
    *,
    user_id: int | None = None,
    project_id: int | None = None,
    group_id: int | None = None,
    parent_id: int | None = None,
) -> int:
    """Store the token of an owner that is known already; returns its id. Raises AlreadyExists."""
    added = await tx.execute(
        ADD_TOKEN,
        public_id=token.public_id,
        secret_sha256=token.secret_sha256,
        kind=token.kind.value,
        name=token.name,
        scopes_json=json.dumps(sorted(token.scopes)),
        role=None if token.role is None else token.role.value,
        user_id=user_id,
        project_id=project_id,
        group_id=group_id,
        now=tx.now,
        expires_at=None if token.expires_at is None else to_microseconds(token.expires_at),
        username=token.username,
        parent_id=parent_id,
        origin_json=None if token.origin is None else json.dumps(asdict(token.origin)),
    )
    if not added:
        raise AlreadyExists("a token of that id exists already")
    row = await tx.fetch_one(FIND_TOKEN, public_id=token.public_id)
    assert row is not None
    return int(row[0])


async def find_token(tx: Transaction, public_id: str) -> TokenRecord | None:
    """See IReads."""
    row = await tx.fetch_one(FIND_TOKEN, public_id=public_id)
    return None if row is None else _token_record(row)


async def list_tokens(tx: Transaction) -> tuple[TokenRecord, ...]:
    """See IIdentityCatalog."""
    return tuple(_token_record(row) for row in await tx.fetch_all(LIST_TOKENS))


async def list_tokens_of(tx: Transaction, query: TokenQuery, piece: Piece) -> TokenListing:
    """See IIdentityCatalog."""
    column, owner = _owner(query.owner)
    times = {} if query.is_active is None else {"now": tx.now}
    counted = await tx.fetch_one(COUNT_TOKENS_OF[column, query.is_active], **owner, **times)
    assert counted is not None
    rows = await tx.fetch_all(
        LIST_TOKENS_OF[column, query.is_active, query.is_descending],
        row_offset=piece.offset,
        row_limit=piece.limit,
        **owner,
        **times,
    )
    return TokenListing(tuple(_token_record(row) for row in rows), counted[0])


async def find_token_of(tx: Transaction, owner: TokenOwner, token_id: int) -> TokenRecord | None:
    """See IIdentityCatalog."""
    if not 0 < token_id <= MAX_ID:
        return None
    column, parameters = _owner(owner)
    row = await tx.fetch_one(FIND_TOKEN_OF[column], token_id=token_id, **parameters)
    return None if row is None else _token_record(row)


def _owner(owner: TokenOwner) -> tuple[str | None, dict[str, object]]:
    """Which column tells an owner's tokens, and the parameters for it."""
    given = {name: getattr(owner, name) for name in ("user_id", "project_id", "group_id")}
    told = {name: value for name, value in given.items() if value is not None}
    assert len(told) <= 1, "tokens belong to one owner"
    return next(iter(told), None), {"kind": owner.kind.value, **told}


def _token_record(row: Row) -> TokenRecord:
    (token_id, public_id, secret_sha256, kind, name, scopes_json, role, project_id, group_id, *rest) = row
    created_at, expires_at, revoked_at, last_used_at, username, parent_id, origin_json, *rest = rest
    user_id, user_name, is_admin, project_path = rest
    return TokenRecord(
        public_id=public_id,
        secret_sha256=secret_sha256,
        name=name,
        principal=Principal(
            name=f"token:{name}" if user_name is None else user_name,
            token_kind=TokenKind(kind),
            token_id=token_id,
            user_id=user_id,
            is_admin=bool(is_admin),
            scopes=frozenset(json.loads(scopes_json)),
            project_id=project_id,
            group_id=group_id,
            role=None if role is None else Role(role),
            project_path=project_path,
            token_public_id=public_id,
        ),
        created_at=from_microseconds(created_at),
        expires_at=None if expires_at is None else from_microseconds(expires_at),
        revoked_at=None if revoked_at is None else from_microseconds(revoked_at),
        last_used_at=None if last_used_at is None else from_microseconds(last_used_at),
        username=user_name_beside(TokenKind(kind), token_id, user_name, username),
        parent_id=parent_id,
        origin=None if origin_json is None else JobOrigin(**json.loads(origin_json)),
    )


async def revoke_token(tx: Transaction, public_id: str, principal: Principal) -> bool:
    """See IIdentityCatalog."""
    record = await find_token(tx, public_id)
    if record is not None:
        await _revoke(tx, record, principal)
    return record is not None


async def _revoke(tx: Transaction, record: TokenRecord, principal: Principal) -> None:
    """Revoke a token unless it is revoked already, and those that were made by it."""
    if record.revoked_at is None:
        await _revoke_with_descendants(tx, record)
        entry = told.of_token(AuditAction.REVOKE_TOKEN, record.public_id, record.name, **_owner_ids(record))
        await add_audit_entry(tx, principal, entry)


async def _revoke_with_descendants(tx: Transaction, record: TokenRecord) -> None:
    assert record.principal.token_id is not None, "a stored token has a number"
    await tx.execute(REVOKE_TOKEN, the_public_id=record.public_id, now=tx.now)
    await revoke_descendants(tx, record.principal.token_id)


async def revoke_descendants(tx: Transaction, token_id: int) -> None:
    """Revoke the tokens that were made by showing one, or by showing one of those."""
    await tx.execute(REVOKE_DESCENDANTS, shown_id=token_id, now=tx.now)


def _owner_ids(record: TokenRecord) -> dict[str, int | None]:
    bearer = record.principal
    return {"user_id": bearer.user_id, "project_id": bearer.project_id, "group_id": bearer.group_id}


async def revoke_token_of(tx: Transaction, owner: TokenOwner, token_id: int, principal: Principal) -> bool:
    """See IIdentityCatalog."""
    record = await find_token_of(tx, owner, token_id)
    if record is not None:
        await _revoke(tx, record, principal)
    return record is not None


async def rotate_token_of(
    tx: Transaction,
    owner: TokenOwner,
    token_id: int,
    minted: MintedToken,
    expires_at: datetime.datetime | None,
    principal: Principal,
) -> bool:
    """See IIdentityCatalog."""
    if principal.token_id is not None:
        await _check_parent(tx, principal.token_id)
    record = await find_token_of(tx, owner, token_id)
    if record is None or record.revoked_at is not None:
        return False
    if record.expires_at is not None and to_microseconds(record.expires_at) <= tx.now:
        return False
    bearer = record.principal
    assert bearer.token_kind is not None, "a stored token is of some kind"
    await _revoke_with_descendants(tx, record)
    token = NewToken(
        public_id=minted.public_id,
        secret_sha256=minted.secret_sha256,
        kind=bearer.token_kind,
        name=record.name,
        scopes=bearer.scopes,
        role=bearer.role,
        expires_at=expires_at,
    )
    await store_token(tx, token, **_owner_ids(record), parent_id=record.parent_id)
    entry = told.of_token(
        AuditAction.ROTATE_TOKEN, minted.public_id, record.name, **_owner_ids(record), instead_of=record.public_id
    )
    await add_audit_entry(tx, principal, entry)
    return True
