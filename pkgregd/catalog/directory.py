"""Users, projects and groups as those who administer them see them: statements, then verbs."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Select,
    and_,
    bindparam,
    func,
    literal_column,
    or_,
    select,
    update,
)

from pkgregd.catalog import told
from pkgregd.catalog.audit import add_audit_entry
from pkgregd.catalog.rules import MAX_ID, bounds_of, from_microseconds, key_of
from pkgregd.catalog.statement import LIKE_ESCAPE, Row, Statement, Transaction, containing
from pkgregd.catalog.tables import group_ancestors, groups, members, projects, users
from pkgregd.errors import LastAdministrator
from pkgregd.values import (
    AuditAction,
    Level,
    Piece,
    PlaceListing,
    PlaceOrder,
    PlaceQuery,
    PlaceRecord,
    Principal,
    Role,
    Stretch,
    UserListing,
    UserRecord,
    Visibility,
)

# ======================================================================== users

_user_columns = (users.c.id, users.c.name, users.c.is_admin, users.c.created_at)
_name_matches = or_(
    bindparam("name_pattern").is_(None), users.c.name_key.like(bindparam("name_pattern"), escape=LIKE_ESCAPE)
)
_users_meant = and_(
    _name_matches,
    or_(bindparam("name_key").is_(None), users.c.name_key == bindparam("name_key")),
)

COUNT_USERS = Statement(select(func.count()).select_from(users).where(_users_meant))

LIST_USERS = Statement(
    select(*_user_columns)
    .where(_users_meant)
    .order_by(users.c.id)
    .limit(bindparam("row_limit"))
    .offset(bindparam("row_offset"))
)

LIST_USERS_ONWARD = {
    is_descending: Statement(
        select(*_user_columns)
        .where(_users_meant, users.c.id > bindparam("above_id"), users.c.id < bindparam("below_id"))
        .order_by(users.c.id.desc() if is_descending else users.c.id)
        .limit(bindparam("row_limit"))
    )
    for is_descending in (False, True)
}

FIND_USER_BY_ID = Statement(select(*_user_columns).where(users.c.id == bindparam("user_id")))

COUNT_OTHER_ADMINISTRATORS = Statement(
    select(func.count()).select_from(users).where(users.c.is_admin.is_(True), users.c.id != bindparam("user_id"))
)

CHANGE_USER = Statement(
    update(users).where(users.c.id == bindparam("the_user_id")).values(is_admin=bindparam("new_is_admin"))
)


async def list_users(tx: Transaction, text: str | None, name: str | None, piece: Piece) -> UserListing:
    """See IDirectoryCatalog."""
    wanted = _users_wanted(text, name)
    counted = await tx.fetch_one(COUNT_USERS, **wanted)
    assert counted is not None
    rows = await tx.fetch_all(LIST_USERS, row_limit=piece.limit, row_offset=piece.offset, **wanted)
    return UserListing(tuple(_user_record(row) for row in rows), counted[0])


def _users_wanted(text: str | None, name: str | None) -> Mapping[str, object]:
    return {"name_pattern": pattern_of(text), "name_key": None if name is None else key_of(name)}


async def list_users_onward(
    tx: Transaction, text: str | None, name: str | None, stretch: Stretch, is_descending: bool
) -> tuple[UserRecord, ...]:
    """See IDirectoryCatalog."""
    wanted = {**_users_wanted(text, name), **bounds_of(stretch)}
    rows = await tx.fetch_all(LIST_USERS_ONWARD[is_descending], row_limit=stretch.limit, **wanted)
    return tuple(_user_record(row) for row in rows)


async def find_user(tx: Transaction, user_id: int) -> UserRecord | None:
    """See IDirectoryCatalog."""
    if not 0 < user_id <= MAX_ID:
        return None
    row = await tx.fetch_one(FIND_USER_BY_ID, user_id=user_id)
    return None if row is None else _user_record(row)


async def change_user(tx: Transaction, user_id: int, is_admin: bool, principal: Principal) -> bool:
    """See IDirectoryCatalog."""
    user = await find_user(tx, user_id)
    if user is None:
        return False
    if user.is_admin and not is_admin:
        await keep_an_administrator(tx, user)
    if user.is_admin != is_admin:
        await tx.execute(CHANGE_USER, the_user_id=user_id, new_is_admin=is_admin)
        entry = told.of_user(AuditAction.CHANGE_USER, user_id, user.name, is_admin=is_admin)
        await add_audit_entry(tx, principal, entry)
    return True


async def keep_an_administrator(tx: Transaction, user: UserRecord) -> None:
    """Raise LastAdministrator if a user is the only one there is."""
    counted = await tx.fetch_one(COUNT_OTHER_ADMINISTRATORS, user_id=user.id)
    if user.is_admin and counted is not None and not counted[0]:
        raise LastAdministrator


def _user_record(row: Row) -> UserRecord:
    user_id, name, is_admin, created_at = row
    return UserRecord(user_id, name, bool(is_admin), from_microseconds(created_at))


def pattern_of(text: str | None) -> str | None:
    """Write the LIKE pattern of a key that holds a text; None for any."""
    return None if text is None else containing(key_of(text))


# ===================================================================== projects, groups


_above = group_ancestors.alias("above")
_role = members.alias("role_there")


def _has_role(level: Level) -> ColumnElement[bool]:
    """Whether the user has at least a role in the place of the row, the roles in the groups above included."""
    group_id = projects.c.group_id if level is Level.PROJECT else groups.c.id
    is_enough = and_(_role.c.user_id == bindparam("user_id"), _role.c.role >= bindparam("least_role"))
    in_groups = (
        select(literal_column("1"))
        .select_from(_role.join(_above, _above.c.ancestor_id == _role.c.group_id))
        .where(is_enough, _above.c.group_id == group_id)
        .exists()
    )
    if level is Level.GROUP:
        return in_groups
    in_project = select(literal_column("1")).where(is_enough, _role.c.project_id == projects.c.id).exists()
    return or_(in_groups, in_project)


def _places(level: Level) -> tuple[FromClause, ColumnElement[bool], Mapping[PlaceOrder, ColumnElement[object]]]:
    """The rows that a query means, and what they are ordered by."""
    table = projects if level is Level.PROJECT else groups
    group_id = projects.c.group_id if level is Level.PROJECT else groups.c.id
    below = select(group_ancestors.c.group_id).where(group_ancestors.c.ancestor_id == bindparam("bound_group_id"))
    bound: ColumnElement[bool] = group_id.in_(below)
    if level is Level.PROJECT:
        bound = or_(bound, projects.c.id == bindparam("bound_project_id"))
    is_seen = or_(
        bindparam("sees_all") == 1,
        table.c.visibility == "public",
        and_(bindparam("is_user") == 1, table.c.visibility == "internal"),
        bound,
        _has_role(level),
    )
    depth = 0 if level is Level.PROJECT else 1
    inside = select(group_ancestors.c.group_id).where(
        group_ancestors.c.ancestor_id == bindparam("parent_id"),
        group_ancestors.c.depth >= depth,
        or_(bindparam("is_deep") == 1, group_ancestors.c.depth == depth),
    )
    meant = and_(
        is_seen,
        or_(bindparam("path_pattern").is_(None), table.c.path_key.like(bindparam("path_pattern"), escape=LIKE_ESCAPE)),
        or_(bindparam("visibility").is_(None), table.c.visibility == bindparam("visibility")),
        or_(bindparam("parent_id").is_(None), group_id.in_(inside)),
        or_(bindparam("needs_role") == 0, _has_role(level)),
    )
    if level is Level.GROUP:
        meant = and_(meant, or_(bindparam("top_only") == 0, groups.c.path_key.notlike("%/%")))
    return table, meant, {PlaceOrder.ID: table.c.id, PlaceOrder.PATH: table.c.path_key}


def _columns(level: Level) -> Select[*tuple[object, ...]]:
    if level is Level.PROJECT:
        return select(projects.c.id, projects.c.path, projects.c.visibility, projects.c.group_id, projects.c.created_at)
    parent = (
        select(group_ancestors.c.ancestor_id)
        .where(group_ancestors.c.group_id == groups.c.id, group_ancestors.c.depth == 1)
        .scalar_subquery()
    )
    return select(groups.c.id, groups.c.path, groups.c.visibility, parent, groups.c.created_at)


_LEVELS = (Level.PROJECT, Level.GROUP)
_MEANT = {level: _places(level) for level in _LEVELS}

COUNT_PLACES = {
    level: Statement(select(func.count()).select_from(table).where(meant))
    for level, (table, meant, _) in _MEANT.items()
}

LIST_PLACES = {
    (level, order, is_descending): Statement(
        _columns(level)
        .where(meant)
        .order_by(columns[order].desc() if is_descending else columns[order])
        .limit(bindparam("row_limit"))
        .offset(bindparam("row_offset"))
    )
    for (level, (_, meant, columns)), order, is_descending in product(_MEANT.items(), PlaceOrder, (False, True))
}


def _places_onward(level: Level, order: PlaceOrder, *, is_descending: bool) -> Statement:
    table, meant, columns = _MEANT[level]
    if order is PlaceOrder.ID:
        is_behind = and_(table.c.id > bindparam("above_id"), table.c.id < bindparam("below_id"))
    else:
        is_behind = table.c.path_key > bindparam("behind")
    return Statement(
        _columns(level)
        .where(meant, is_behind)
        .order_by(columns[order].desc() if is_descending else columns[order])
        .limit(bindparam("row_limit"))
    )


LIST_PLACES_ONWARD = {
    (level, order, is_descending): _places_onward(level, order, is_descending=is_descending)
    for level, order, is_descending in product(_LEVELS, PlaceOrder, (False, True))
    if order is PlaceOrder.ID or not is_descending
}

FIND_PLACE = {
    Level.PROJECT: Statement(_columns(Level.PROJECT).where(projects.c.id == bindparam("place_id"))),
    Level.GROUP: Statement(_columns(Level.GROUP).where(groups.c.id == bindparam("place_id"))),
}

CHANGE_PLACE = {
    level: Statement(
        update(table).where(table.c.id == bindparam("the_place_id")).values(visibility=bindparam("new_visibility"))
    )
    for level, table in ((Level.PROJECT, projects), (Level.GROUP, groups))
}


async def list_places(
    tx: Transaction, level: Level, viewer: Principal, query: PlaceQuery, piece: Piece
) -> PlaceListing:
    """See IDirectoryCatalog."""
    wanted = _places_wanted(level, viewer, query)
    counted = await tx.fetch_one(COUNT_PLACES[level], **wanted)
    assert counted is not None
    statement = LIST_PLACES[level, query.order, query.is_descending]
    rows = await tx.fetch_all(statement, row_limit=piece.limit, row_offset=piece.offset, **wanted)
    return PlaceListing(tuple(_place_record(level, row) for row in rows), counted[0])


async def list_places_onward(
    tx: Transaction, level: Level, viewer: Principal, query: PlaceQuery, stretch: Stretch
) -> tuple[PlaceRecord, ...]:
    """See IDirectoryCatalog."""
    wanted = _places_wanted(level, viewer, query)
    if query.order is PlaceOrder.ID:
        wanted.update(bounds_of(stretch))
    elif query.is_descending:
        raise ValueError("by path nobody goes on downwards")
    else:
        wanted["behind"] = "" if stretch.behind is None else key_of(stretch.behind)
    statement = LIST_PLACES_ONWARD[level, query.order, query.is_descending]
    rows = await tx.fetch_all(statement, row_limit=stretch.limit, **wanted)
    return tuple(_place_record(level, row) for row in rows)


def _places_wanted(level: Level, viewer: Principal, query: PlaceQuery) -> dict[str, object]:
    """The parameters of what _places() means."""
    is_user = viewer.user_id is not None
    wanted: dict[str, object] = {
        "sees_all": int(viewer.is_admin),
        "is_user": int(is_user),
        "user_id": viewer.user_id,
        "bound_group_id": viewer.group_id,
        "least_role": (query.least_role or Role.GUEST).value,
        "needs_role": int(query.least_role is not None),
        "path_pattern": pattern_of(query.text),
        "visibility": None if query.visibility is None else query.visibility.value,
        "parent_id": query.parent_id,
        "is_deep": int(query.is_deep),
    }
    if level is Level.PROJECT:
        wanted["bound_project_id"] = viewer.project_id
    else:
        wanted["top_only"] = int(query.top_only)
    return wanted


async def find_place(tx: Transaction, level: Level, place_id: int) -> PlaceRecord | None:
    """See IDirectoryCatalog."""
    if not 0 < place_id <= MAX_ID:
        return None
    row = await tx.fetch_one(FIND_PLACE[level], place_id=place_id)
    return None if row is None else _place_record(level, row)


async def change_place(
    tx: Transaction, level: Level, place_id: int, visibility: Visibility, principal: Principal
) -> bool:
    """See IDirectoryCatalog."""
    place = await find_place(tx, level, place_id)
    if place is None:
        return False
    if place.visibility is not visibility:
        await tx.execute(CHANGE_PLACE[level], the_place_id=place_id, new_visibility=visibility.value)
        await add_audit_entry(tx, principal, told.of_changed_place(place, visibility))
    return True


def _place_record(level: Level, row: Row) -> PlaceRecord:
    place_id, path, visibility, parent_id, created_at = row
    return PlaceRecord(level, place_id, path, Visibility(visibility), parent_id, from_microseconds(created_at))
