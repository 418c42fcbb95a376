"""Members of projects and groups as those who administer them see them: statements, then verbs."""

from __future__ import annotations

from itertools import product

from sqlalchemy import ColumnElement, Select, bindparam, delete, func, literal_column, or_, select

from pkgregd.catalog import told
from pkgregd.catalog.audit import add_audit_entry
from pkgregd.catalog.directory import find_place, find_user, pattern_of
from pkgregd.catalog.identity import SET_GROUP_MEMBER, SET_PROJECT_MEMBER
from pkgregd.catalog.rules import MAX_ID
from pkgregd.catalog.statement import LIKE_ESCAPE, Row, Statement, Transaction
from pkgregd.catalog.tables import group_ancestors, groups, members, projects, users
from pkgregd.errors import AlreadyExists, LastOwner
from pkgregd.values import AuditAction, Level, MemberListing, MemberRecord, Piece, Principal, Role, Scope

# =================================================================== statements

_LEVELS = (Level.PROJECT, Level.GROUP)
_role = members.alias("role_there")


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
    wanted = {"place_id": scope.id, "name_pattern": pattern_of(text), "user_id": None}
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
