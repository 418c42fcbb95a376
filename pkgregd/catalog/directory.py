"""Users, members, projects and groups as those who administer them see them: statements, then verbs."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Select,
    and_,
    bindparam,
    delete,
    func,
    literal_column,
    or_,
    select,
    update,
)

from pkgregd.catalog import told
from pkgregd.catalog.audit import add_audit_entry
from pkgregd.catalog.identity import SET_GROUP_MEMBER, SET_PROJECT_MEMBER
from pkgregd.catalog.rules import MAX_ID, from_microseconds, key_of
from pkgregd.catalog.statement import LIKE_ESCAPE, Row, Statement, Transaction, containing
from pkgregd.catalog.tables import group_ancestors, groups, members, projects, users
from pkgregd.errors import AlreadyExists, LastAdministrator, LastOwner
from pkgregd.values import (
    AuditAction,
    Level,
    MemberListing,
    MemberRecord,
    Piece,
    PlaceListing,
    PlaceOrder,
    PlaceQuery,
    PlaceRecord,
    Principal,
    Role,
    Scope,
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

FIND_USER_BY_ID = Statement(select(*_user_columns).where(users.c.id == bindparam("user_id")))

COUNT_OTHER_ADMINISTRATORS = Statement(
    select(func.count()).select_from(users).where(users.c.is_admin.is_(True), users.c.id != bindparam("user_id"))
)

CHANGE_USER = Statement(
    update(users).where(users.c.id == bindparam("the_user_id")).values(is_admin=bindparam("new_is_admin"))
)


async def list_users(tx: Transaction, text: str | None, name: str | None, piece: Piece) -> UserListing:
    """See IDirectoryCatalog."""
    wanted = {"name_pattern": _pattern(text), "name_key": None if name is None else key_of(name)}
    counted = await tx.fetch_one(COUNT_USERS, **wanted)
    assert counted is not None
    rows = await tx.fetch_all(LIST_USERS, row_limit=piece.limit, row_offset=piece.offset, **wanted)
    return UserListing(tuple(_user_record(row) for row in rows), counted[0])


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


def _pattern(text: str | None) -> str | None:
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
    is_user = viewer.user_id is not None
    wanted: dict[str, object] = {
        "sees_all": int(viewer.is_admin),
        "is_user": int(is_user),
        "user_id": viewer.user_id,
        "bound_group_id": viewer.group_id,
        "least_role": (query.least_role or Role.GUEST).value,
        "needs_role": int(query.least_role is not None),
        "path_pattern": _pattern(query.text),
        "visibility": None if query.visibility is None else query.visibility.value,
        "parent_id": query.parent_id,
        "is_deep": int(query.is_deep),
    }
    if level is Level.PROJECT:
        wanted["bound_project_id"] = viewer.project_id
    else:
        wanted["top_only"] = int(query.top_only)
    counted = await tx.fetch_one(COUNT_PLACES[level], **wanted)
    assert counted is not None
    statement = LIST_PLACES[level, query.order, query.is_descending]
    rows = await tx.fetch_all(statement, row_limit=piece.limit, row_offset=piece.offset, **wanted)
    return PlaceListing(tuple(_place_record(level, row) for row in rows), counted[0])


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


# ====================================================================== members


def _members_of(level: Level, is_inherited: bool) -> Select[*tuple[object, ...]]:
    """Each member once, with the greatest role."""
    if not is_inherited:
        own = members.c.project_id if level is Level.PROJECT else members.c.group_id
        where: ColumnElement[bool] = own == bindparam("place_id")
    elif level is Level.PROJECT:
        group_of = select(projects.c.group_id).where(projects.c.id == bindparam("place_id")).scalar_subquery()
        above = select(group_ancestors.c.ancestor_id).where(group_ancestors.c.group_id == group_of)
        where = or_(members.c.project_id == bindparam("place_id"), members.c.group_id.in_(above))
    else:
        above = select(group_ancestors.c.ancestor_id).where(group_ancestors.c.group_id == bindparam("place_id"))
        where = members.c.group_id.in_(above)
    return (
        select(users.c.id, users.c.name, func.max(members.c.role))
        .select_from(members.join(users, users.c.id == members.c.user_id))
        .where(
            where,
            or_(
                bindparam("name_pattern").is_(None),
                users.c.name_key.like(bindparam("name_pattern"), escape=LIKE_ESCAPE),
            ),
            or_(bindparam("user_id").is_(None), users.c.id == bindparam("user_id")),
        )
        .group_by(users.c.id, users.c.name)
    )


_KINDS = tuple(product(_LEVELS, (False, True)))

COUNT_MEMBERS = {
    kind: Statement(select(func.count()).select_from(_members_of(*kind).subquery("of_place"))) for kind in _KINDS
}

LIST_MEMBERS = {
    kind: Statement(
        _members_of(*kind).order_by(users.c.id).limit(bindparam("row_limit")).offset(bindparam("row_offset"))
    )
    for kind in _KINDS
}

REMOVE_MEMBER = {
    level: Statement(delete(members).where(column == bindparam("place_id"), members.c.user_id == bindparam("user_id")))
    for level, column in ((Level.PROJECT, members.c.project_id), (Level.GROUP, members.c.group_id))
}

COUNT_OTHER_OWNERS = Statement(
    select(func.count())
    .select_from(members)
    .where(
        members.c.group_id == bindparam("place_id"),
        members.c.role == Role.OWNER.value,
        members.c.user_id != bindparam("user_id"),
    )
)


OWNED_ALONE = Statement(
    select(members.c.group_id)
    .select_from(members.join(groups, groups.c.id == members.c.group_id))
    .where(
        members.c.user_id == bindparam("user_id"),
        members.c.role == Role.OWNER.value,
        groups.c.path_key.notlike("%/%"),
        ~select(literal_column("1"))
        .select_from(_role)
        .where(
            _role.c.group_id == members.c.group_id,
            _role.c.role == Role.OWNER.value,
            _role.c.user_id != bindparam("user_id"),
        )
        .exists(),
    )
    .limit(literal_column("1"))
)
"""A group at the top that has no owner but the user."""


async def list_members(
    tx: Transaction, scope: Scope, text: str | None, piece: Piece, is_inherited: bool
) -> MemberListing:
    """See IDirectoryCatalog."""
    wanted = {"place_id": scope.id, "name_pattern": _pattern(text), "user_id": None}
    counted = await tx.fetch_one(COUNT_MEMBERS[scope.level, is_inherited], **wanted)
    assert counted is not None
    statement = LIST_MEMBERS[scope.level, is_inherited]
    rows = await tx.fetch_all(statement, row_limit=piece.limit, row_offset=piece.offset, **wanted)
    return MemberListing(tuple(_member_record(row) for row in rows), counted[0])


async def find_member(tx: Transaction, scope: Scope, user_id: int, is_inherited: bool) -> MemberRecord | None:
    """See IDirectoryCatalog."""
    if not 0 < user_id <= MAX_ID:
        return None
    row = await tx.fetch_one(
        LIST_MEMBERS[scope.level, is_inherited],
        place_id=scope.id,
        name_pattern=None,
        user_id=user_id,
        row_limit=1,
        row_offset=0,
    )
    return None if row is None else _member_record(row)


def _member_record(row: Row) -> MemberRecord:
    user_id, name, role = row
    return MemberRecord(user_id, name, Role(role))


async def set_member_role(
    tx: Transaction, scope: Scope, user_id: int, role: Role, principal: Principal, is_new: bool
) -> bool:
    """See IDirectoryCatalog."""
    user, place = await find_user(tx, user_id), await find_place(tx, scope.level, scope.id)
    if user is None or place is None:
        return False
    present = await find_member(tx, scope, user_id, is_inherited=False)
    if present is None and not is_new:
        return False
    if present is not None and is_new:
        raise AlreadyExists("the user is a member already")
    if present is not None and present.role is Role.OWNER and role is not Role.OWNER:
        await _keep_an_owner(tx, scope, user_id)
    at_project = scope.level is Level.PROJECT
    await tx.execute(
        SET_PROJECT_MEMBER if at_project else SET_GROUP_MEMBER,
        user_id=user_id,
        group_id=None if at_project else scope.id,
        project_id=scope.id if at_project else None,
        role=role.value,
    )
    where = (scope.level, scope.id, place.path)
    entry = told.of_member(AuditAction.SET_MEMBER, *where, user.name, role=role.name.lower())
    await add_audit_entry(tx, principal, entry)
    return True


async def remove_member(tx: Transaction, scope: Scope, user_id: int, principal: Principal) -> bool:
    """See IDirectoryCatalog."""
    present = await find_member(tx, scope, user_id, is_inherited=False)
    if present is None:
        return False
    if present.role is Role.OWNER:
        await _keep_an_owner(tx, scope, user_id)
    await tx.execute(REMOVE_MEMBER[scope.level], place_id=scope.id, user_id=user_id)
    where = (scope.level, scope.id, scope.path)
    await add_audit_entry(tx, principal, told.of_member(AuditAction.REMOVE_MEMBER, *where, present.name))
    return True


async def _keep_an_owner(tx: Transaction, scope: Scope, user_id: int) -> None:
    """Raise LastOwner if a group at the top has no other owner than that user."""
    if scope.level is not Level.GROUP or len(scope.group_ids) > 1:
        return
    counted = await tx.fetch_one(COUNT_OTHER_OWNERS, place_id=scope.id, user_id=user_id)
    if counted is not None and not counted[0]:
        raise LastOwner
