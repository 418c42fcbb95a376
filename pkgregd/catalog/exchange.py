"""Jobs of CI systems, and what is noted of tokens that were used: statements, then verbs."""

from __future__ import annotations

import datetime
from collections.abc import Mapping

from sqlalchemy import bindparam, delete, literal_column, or_, select, tuple_, update

from pkgregd.catalog import told
from pkgregd.catalog.audit import add_audit_entry
from pkgregd.catalog.identity import owner_id_of
from pkgregd.catalog.rules import check_token_owner, to_microseconds
from pkgregd.catalog.statement import Statement, Transaction, insert
from pkgregd.catalog.tables import spent_id_tokens, tokens
from pkgregd.catalog.tokens import store_token
from pkgregd.errors import SpentIdTokenShown
from pkgregd.interfaces import KEPT_JOB_SECONDS
from pkgregd.values import Level, NewToken, Principal, SpentIdToken

SPEND_ID_TOKEN = Statement(
    insert(spent_id_tokens)
    .values(issuer=bindparam("issuer"), jti=bindparam("jti"), forget_at=bindparam("forget_at"))
    .on_conflict_do_nothing()
)

_spent = (
    select(spent_id_tokens.c.issuer, spent_id_tokens.c.jti)
    .where(spent_id_tokens.c.forget_at <= bindparam("now"))
    .limit(bindparam("row_limit"))
)
FORGET_ID_TOKENS = Statement(
    delete(spent_id_tokens).where(tuple_(spent_id_tokens.c.issuer, spent_id_tokens.c.jti).in_(_spent))
)

_ended = (
    select(tokens.c.id)
    .where(tokens.c.kind == literal_column("'job'"), tokens.c.expires_at <= bindparam("ended_before"))
    .limit(bindparam("row_limit"))
)
FORGET_JOBS = Statement(delete(tokens).where(tokens.c.id.in_(_ended)))

NOTE_USE = Statement(
    update(tokens)
    .where(
        tokens.c.id == bindparam("token_id"),
        or_(tokens.c.last_used_at.is_(None), tokens.c.last_used_at < bindparam("used_at")),
    )
    .values(last_used_at=bindparam("used_at"))
)


async def add_job(tx: Transaction, token: NewToken, spent: SpentIdToken, asker: Principal) -> int:
    """See IIdentityCatalog."""
    check_token_owner(token)
    assert token.project is not None, "a job is of a project"
    project_id = await owner_id_of(tx, Level.PROJECT, token.project)
    forget_at = to_microseconds(spent.forget_at)
    if not await tx.execute(SPEND_ID_TOKEN, issuer=spent.issuer, jti=spent.jti, forget_at=forget_at):
        raise SpentIdTokenShown
    token_id = await store_token(tx, token, project_id=project_id)
    await add_audit_entry(tx, asker, told.of_new_token(token, project_id=project_id))
    return token_id


async def forget_ended(tx: Transaction, limit: int) -> int:
    """See IIdentityCatalog."""
    spent = await tx.execute(FORGET_ID_TOKENS, now=tx.now, row_limit=limit)
    ended_before = tx.now - KEPT_JOB_SECONDS * 1_000_000
    return spent + await tx.execute(FORGET_JOBS, ended_before=ended_before, row_limit=limit)


async def note_uses(tx: Transaction, used_at: Mapping[int, datetime.datetime]) -> None:
    """See IIdentityCatalog."""
    for token_id, moment in used_at.items():
        await tx.execute(NOTE_USE, token_id=token_id, used_at=to_microseconds(moment))
