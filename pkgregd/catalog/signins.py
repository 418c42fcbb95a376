"""Requests of clients to be signed in, and whose they become: statements, then verbs."""

from __future__ import annotations

import datetime
import json

from sqlalchemy import and_, bindparam, delete, func, literal_column, select, update

from pkgregd.catalog import told
from pkgregd.catalog.audit import add_audit_entry
from pkgregd.catalog.rules import from_microseconds, to_microseconds
from pkgregd.catalog.statement import Statement, Transaction, insert
from pkgregd.catalog.tables import sign_ins, tokens, users
from pkgregd.catalog.tokens import store_token
from pkgregd.values import NewSignIn, NewToken, Origin, Principal, SignIn, TokenKind

FORGET_EXPIRED = Statement(delete(sign_ins).where(sign_ins.c.expires_at <= bindparam("now")))

COUNT_OF_ADDRESS = Statement(
    select(func.count()).select_from(sign_ins).where(sign_ins.c.address == bindparam("address"))
)

ADD_SIGN_IN = Statement(
    insert(sign_ins).values(
        public_id=bindparam("public_id"),
        poll_sha256=bindparam("poll_sha256"),
        address=bindparam("address"),
        client=bindparam("client"),
        created_at=bindparam("now"),
        expires_at=bindparam("expires_at"),
    )
)

FIND_SIGN_IN = Statement(
    select(
        sign_ins.c.public_id,
        sign_ins.c.address,
        sign_ins.c.client,
        sign_ins.c.created_at,
        sign_ins.c.expires_at,
        sign_ins.c.approved_by,
    ).where(sign_ins.c.public_id == bindparam("public_id"), sign_ins.c.expires_at > bindparam("now"))
)

APPROVE_SIGN_IN = Statement(
    update(sign_ins)
    .where(
        sign_ins.c.public_id == bindparam("the_public_id"),
        sign_ins.c.expires_at > bindparam("now"),
        sign_ins.c.approved_by.is_(None),
    )
    .values(approved_by=bindparam("token_id"), token_expires_at=bindparam("new_expires_at"))
)

# The approving token is looked at again: it may have been revoked while the client was away.
FIND_APPROVAL = Statement(
    select(
        sign_ins.c.approved_by,
        sign_ins.c.token_expires_at,
        tokens.c.id,
        tokens.c.public_id,
        tokens.c.scopes_json,
        users.c.id,
        users.c.name,
    )
    .select_from(
        sign_ins.outerjoin(
            tokens,
            and_(
                tokens.c.id == sign_ins.c.approved_by,
                tokens.c.kind == literal_column("'personal'"),
                tokens.c.revoked_at.is_(None),
            ),
        ).outerjoin(users, users.c.id == tokens.c.user_id)
    )
    .where(sign_ins.c.poll_sha256 == bindparam("poll_sha256"), sign_ins.c.expires_at > bindparam("now"))
)

FORGET_SIGN_IN = Statement(delete(sign_ins).where(sign_ins.c.poll_sha256 == bindparam("poll_sha256")))


async def add_sign_in(tx: Transaction, sign_in: NewSignIn, max_per_address: int) -> bool:
    """See ISignInCatalog."""
    await tx.execute(FORGET_EXPIRED, now=tx.now)
    row = await tx.fetch_one(COUNT_OF_ADDRESS, address=sign_in.address)
    if row is not None and row[0] >= max_per_address:
        return False
    await tx.execute(
        ADD_SIGN_IN,
        public_id=sign_in.public_id,
        poll_sha256=sign_in.poll_sha256,
        address=sign_in.address,
        client=sign_in.client,
        now=tx.now,
        expires_at=to_microseconds(sign_in.expires_at),
    )
    return True


async def find_sign_in(tx: Transaction, public_id: str) -> SignIn | None:
    """See ISignInCatalog."""
    row = await tx.fetch_one(FIND_SIGN_IN, public_id=public_id, now=tx.now)
    if row is None:
        return None
    found_id, address, client, created_at, expires_at, approved_by = row
    return SignIn(
        public_id=found_id,
        address=address,
        client=client,
        created_at=from_microseconds(created_at),
        expires_at=from_microseconds(expires_at),
        is_approved=approved_by is not None,
    )


async def approve_sign_in(
    tx: Transaction, public_id: str, principal: Principal, token_expires_at: datetime.datetime
) -> bool:
    """See ISignInCatalog."""
    sign_in = await find_sign_in(tx, public_id)
    if sign_in is None or sign_in.is_approved:
        return False
    await tx.execute(
        APPROVE_SIGN_IN,
        the_public_id=public_id,
        now=tx.now,
        token_id=principal.token_id,
        new_expires_at=to_microseconds(token_expires_at),
    )
    await add_audit_entry(tx, principal, told.of_approval(principal.user_id, sign_in.client, sign_in.address))
    return True


async def take_sign_in(
    tx: Transaction, poll_sha256: str, public_id: str, secret_sha256: str, name: str, origin: Origin | None
) -> bool | None:
    """See ISignInCatalog."""
    row = await tx.fetch_one(FIND_APPROVAL, poll_sha256=poll_sha256, now=tx.now)
    if row is None:
        return None
    approved_by, token_expires_at, token_id, parent_id, scopes_json, user_id, user_name = row
    if approved_by is None:
        return False
    await tx.execute(FORGET_SIGN_IN, poll_sha256=poll_sha256)
    if token_id is None:
        return None
    token = NewToken(
        public_id=public_id,
        secret_sha256=secret_sha256,
        kind=TokenKind.PERSONAL,
        name=name,
        scopes=frozenset(json.loads(scopes_json)),
        user=user_name,
        expires_at=from_microseconds(token_expires_at),
    )
    await store_token(tx, token, user_id=user_id, parent_id=token_id)
    approver = Principal(
        name=user_name,
        token_kind=TokenKind.PERSONAL,
        token_id=token_id,
        user_id=user_id,
        token_public_id=parent_id,
        origin=origin,
    )
    await add_audit_entry(tx, approver, told.of_new_token(token, user_id=user_id))
    return True
