"""The audit trail: who did what, in the transaction that did it; and reading it."""

from __future__ import annotations

import datetime
import json

from sqlalchemy import ColumnElement, Text, and_, bindparam, delete, func, literal_column, or_, select, true

from pkgregd.catalog.rules import MAX_ID, from_microseconds, to_microseconds
from pkgregd.catalog.statement import Row, Statement, Transaction, insert
from pkgregd.catalog.tables import audit_entries, groups, projects
from pkgregd.catalog.told import MAX_COUNTED, settled
from pkgregd.values import (
    AuditAction,
    AuditEntry,
    AuditListing,
    AuditQuery,
    Level,
    Origin,
    Piece,
    Principal,
    TokenKind,
    Told,
)

_path_of_project = select(projects.c.path).where(projects.c.id == bindparam("project_id")).scalar_subquery()
_path_of_group = select(groups.c.path).where(groups.c.id == bindparam("group_id")).scalar_subquery()

ADD_AUDIT_ENTRY = Statement(
    insert(audit_entries).values(
        happened_at=bindparam("now"),
        action=bindparam("action"),
        principal_name=bindparam("principal_name"),
        user_id=bindparam("user_id"),
        token_id=bindparam("token_id"),
        token_kind=bindparam("token_kind"),
        token_public_id=bindparam("token_public_id"),
        address=bindparam("address"),
        request_id=bindparam("request_id"),
        project_id=bindparam("project_id"),
        group_id=bindparam("group_id"),
        about_user_id=bindparam("about_user_id"),
        place_path=func.coalesce(_path_of_project, _path_of_group, literal_column("''", Text)),
        subject=bindparam("subject"),
        detail_json=bindparam("detail_json"),
    )
)

_entries = select(
    audit_entries.c.id,
    audit_entries.c.happened_at,
    audit_entries.c.action,
    audit_entries.c.principal_name,
    audit_entries.c.user_id,
    audit_entries.c.token_id,
    audit_entries.c.token_kind,
    audit_entries.c.token_public_id,
    audit_entries.c.address,
    audit_entries.c.request_id,
    audit_entries.c.project_id,
    audit_entries.c.group_id,
    audit_entries.c.about_user_id,
    audit_entries.c.place_path,
    audit_entries.c.subject,
    audit_entries.c.detail_json,
)

_PLACES: dict[Level, ColumnElement[bool]] = {
    Level.INSTANCE: true(),
    Level.PROJECT: audit_entries.c.project_id == bindparam("place_id"),
    Level.GROUP: audit_entries.c.group_id == bindparam("place_id"),
}
_in_time = and_(
    audit_entries.c.happened_at >= bindparam("from_time"), audit_entries.c.happened_at <= bindparam("to_time")
)
_ORDERS = {
    False: (audit_entries.c.happened_at, audit_entries.c.id),
    True: (audit_entries.c.happened_at.desc(), audit_entries.c.id.desc()),
}
# Those of the same time as the entry that the listing goes on behind; of other times the bounds take care.
_BEHIND = {
    False: or_(audit_entries.c.happened_at != bindparam("behind_time"), audit_entries.c.id > bindparam("behind_id")),
    True: or_(audit_entries.c.happened_at != bindparam("behind_time"), audit_entries.c.id < bindparam("behind_id")),
}

LIST_ENTRIES = {
    (level, is_descending): Statement(
        _entries.where(place, _in_time, _BEHIND[is_descending])
        .order_by(*order)
        .limit(bindparam("row_limit"))
        .offset(bindparam("row_offset"))
    )
    for level, place in _PLACES.items()
    for is_descending, order in _ORDERS.items()
}

COUNT_ENTRIES = {
    level: Statement(
        select(func.count()).select_from(
            select(literal_column("1"))
            .select_from(audit_entries)
            .where(place, _in_time)
            .limit(literal_column(str(MAX_COUNTED + 1)))
            .subquery("counted")
        )
    )
    for level, place in _PLACES.items()
}

FIND_ENTRY = Statement(_entries.where(audit_entries.c.id == bindparam("id")))

FOLLOW_TRAIL = Statement(
    _entries.where(audit_entries.c.id > bindparam("after_id"))
    .order_by(audit_entries.c.id)
    .limit(bindparam("row_limit"))
)

_oldest = (
    select(audit_entries.c.id)
    .where(audit_entries.c.happened_at < bindparam("before"))
    .order_by(audit_entries.c.happened_at, audit_entries.c.id)
    .limit(bindparam("row_limit"))
)

FORGET_ENTRIES = Statement(delete(audit_entries).where(audit_entries.c.id.in_(_oldest)))


async def add_audit_entry(tx: Transaction, principal: Principal, told: Told) -> None:
    """Write down who did what."""
    origin = principal.origin
    await tx.execute(
        ADD_AUDIT_ENTRY,
        now=tx.now,
        action=told.action.value,
        principal_name=principal.name,
        user_id=principal.user_id,
        token_id=principal.token_id,
        token_kind=None if principal.token_kind is None else principal.token_kind.value,
        token_public_id=principal.token_public_id,
        address=None if origin is None else origin.address,
        request_id=None if origin is None else origin.request_id,
        project_id=told.project_id,
        group_id=told.group_id,
        about_user_id=told.about_user_id,
        subject=told.subject,
        detail_json=json.dumps(dict(told.detail)),
    )


async def tell(tx: Transaction, principal: Principal, told: Told) -> None:
    """See IAuditCatalog."""
    await add_audit_entry(tx, principal, told)


async def list_audit_entries(tx: Transaction, query: AuditQuery, piece: Piece) -> AuditListing:
    """See IAuditCatalog."""
    place = {} if query.level is Level.INSTANCE else {"place_id": query.place_id}
    times = _times(query)
    counted = await tx.fetch_one(COUNT_ENTRIES[query.level], **place, **times)
    assert counted is not None
    behind = query.behind
    if behind is not None:
        bound = "to_time" if query.is_descending else "from_time"
        nearest = min if query.is_descending else max
        times[bound] = nearest(times[bound], to_microseconds(behind.created_at))
    rows = await tx.fetch_all(
        LIST_ENTRIES[query.level, query.is_descending],
        behind_time=-1 if behind is None else to_microseconds(behind.created_at),
        behind_id=0 if behind is None else behind.id,
        row_limit=piece.limit,
        row_offset=piece.offset,
        **place,
        **times,
    )
    return AuditListing(tuple(map(_entry, rows)), None if counted[0] > MAX_COUNTED else counted[0])


def _times(query: AuditQuery) -> dict[str, int]:
    after, before = query.created_after, query.created_before
    return {
        "from_time": 0 if after is None else to_microseconds(after),
        "to_time": MAX_ID if before is None else to_microseconds(before),
    }


async def find_audit_entry(tx: Transaction, level: Level, place_id: int, entry_id: int) -> AuditEntry | None:
    """See IAuditCatalog."""
    row = await tx.fetch_one(FIND_ENTRY, id=entry_id) if 0 < entry_id <= MAX_ID else None
    entry = None if row is None else _entry(row)
    return entry if entry is not None and happened_at(entry, level, place_id) else None


def happened_at(entry: AuditEntry, level: Level, place_id: int) -> bool:
    """Whether an entry tells of a project or group; of the instance all do."""
    places = {Level.INSTANCE: place_id, Level.PROJECT: entry.told.project_id, Level.GROUP: entry.told.group_id}
    return places[level] == place_id


async def follow_trail(tx: Transaction, after: int, limit: int) -> tuple[AuditEntry, ...]:
    """See IAuditCatalog."""
    rows = await tx.fetch_all(FOLLOW_TRAIL, after_id=min(after, MAX_ID), row_limit=limit)
    return settled([_entry(row) for row in rows], after, from_microseconds(tx.now))


async def forget_audit_entries(tx: Transaction, before: datetime.datetime, limit: int) -> int:
    """See IAuditCatalog."""
    return await tx.execute(FORGET_ENTRIES, before=to_microseconds(before), row_limit=limit)


def _entry(row: Row) -> AuditEntry:
    entry_id, created_at, action, name, user_id, token_id, token_kind, token_public_id, address, *rest = row
    request_id, project_id, group_id, about_user_id, path, subject, detail_json = rest
    return AuditEntry(
        id=entry_id,
        created_at=from_microseconds(created_at),
        principal=Principal(
            name=name,
            token_kind=None if token_kind is None else TokenKind(token_kind),
            token_id=token_id,
            user_id=user_id,
            token_public_id=token_public_id,
            origin=None if address is None else Origin(address, request_id),
        ),
        path=path,
        told=Told(AuditAction(action), subject, project_id, group_id, about_user_id, json.loads(detail_json)),
    )
