"""Users, groups, projects and members: statements, then verbs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from sqlalchemy import ColumnElement, Select, and_, bindparam, literal, literal_column, null, select

from pkgregd.catalog import told
from pkgregd.catalog.audit import add_audit_entry
from pkgregd.catalog.rules import (
    MAX_ID,
    can_be_path,
    check_group_path,
    check_project_path,
    check_user_name,
    is_number,
    key_of,
    merged,
    split_path,
)
from pkgregd.catalog.statement import Row, Statement, Transaction, each_id, insert
from pkgregd.catalog.tables import group_ancestors, groups, members, packages, paths, projects, settings, users
from pkgregd.errors import AlreadyExists, GroupNotFound, InvalidCredentials, NotFound
from pkgregd.values import NOTHING_SET, AuditAction, Level, Owner, Principal, Role, Scope, Settings, Visibility

# =================================================================== statements

ADD_USER = Statement(
    insert(users)
    .values(
        name=bindparam("name"),
        name_key=bindparam("name_key"),
        is_admin=bindparam("is_admin"),
        created_at=bindparam("now"),
    )
    .on_conflict_do_nothing()
)

FIND_USER = Statement(select(users.c.id).where(users.c.name_key == bindparam("name_key")))

USER_EXISTS = Statement(select(users.c.id).where(users.c.id == bindparam("user_id")))

TAKE_PATH = Statement(insert(paths).values(path_key=bindparam("path_key")).on_conflict_do_nothing())

ADD_GROUP = Statement(
    insert(groups).values(
        path=bindparam("path"),
        path_key=bindparam("path_key"),
        visibility=bindparam("visibility"),
        created_at=bindparam("now"),
    )
)

FIND_GROUP = Statement(select(groups.c.id, groups.c.path).where(groups.c.path_key == bindparam("path_key")))

FIND_GROUP_BY_ID = Statement(select(groups.c.id).where(groups.c.id == bindparam("id")))

ADD_ANCESTORS = Statement(
    insert(group_ancestors).from_select(
        ["group_id", "ancestor_id", "depth"],
        select(
            bindparam("group_id", type_=groups.c.id.type), group_ancestors.c.ancestor_id, group_ancestors.c.depth + 1
        )
        .where(group_ancestors.c.group_id == bindparam("parent_id"))
        .union_all(
            select(
                bindparam("group_id", type_=groups.c.id.type), bindparam("group_id", type_=groups.c.id.type), literal(0)
            )
        ),
    )
)

ADD_PROJECT = Statement(
    insert(projects).values(
        group_id=bindparam("group_id"),
        path=bindparam("path"),
        path_key=bindparam("path_key"),
        visibility=bindparam("visibility"),
        created_at=bindparam("now"),
    )
)

FIND_PROJECT = Statement(select(projects.c.id, projects.c.path).where(projects.c.path_key == bindparam("path_key")))

FIND_PROJECT_BY_ID = Statement(select(projects.c.id).where(projects.c.id == bindparam("id")))

_member = insert(members).values(
    user_id=bindparam("user_id"),
    group_id=bindparam("group_id"),
    project_id=bindparam("project_id"),
    role=bindparam("role"),
)

SET_GROUP_MEMBER = Statement(
    _member.on_conflict_do_update(index_elements=["group_id", "user_id"], set_={"role": _member.excluded.role})
)

SET_PROJECT_MEMBER = Statement(
    _member.on_conflict_do_update(index_elements=["project_id", "user_id"], set_={"role": _member.excluded.role})
)

_in_group = members.alias("in_group")
_in_project = members.alias("in_project")
_above = group_ancestors.alias("above")
_set_above = settings.alias("set_above")
_set_there = settings.alias("set_there")


def _project_scopes(*where: ColumnElement[bool]) -> Select[*tuple[object, ...]]:
    """One row per project and group above it, nearest first, with the user's role in each."""
    return (
        select(
            projects.c.id,
            projects.c.path,
            projects.c.visibility,
            _above.c.ancestor_id,
            _in_group.c.role,
            _in_project.c.role,
            _set_above.c.settings_json,
            _set_there.c.settings_json,
        )
        .select_from(
            projects.join(_above, _above.c.group_id == projects.c.group_id)
            .outerjoin(
                _in_group,
                and_(_in_group.c.group_id == _above.c.ancestor_id, _in_group.c.user_id == bindparam("user_id")),
            )
            .outerjoin(
                _in_project,
                and_(_in_project.c.project_id == projects.c.id, _in_project.c.user_id == bindparam("user_id")),
            )
            .outerjoin(_set_above, _set_above.c.group_id == _above.c.ancestor_id)
            .outerjoin(_set_there, _set_there.c.project_id == projects.c.id)
        )
        .where(*where)
        .order_by(projects.c.id, _above.c.depth)
    )


def _group_scope(where: ColumnElement[bool]) -> Select[*tuple[object, ...]]:
    """The same rows for one group; it has no role beside those of the groups."""
    return (
        select(
            groups.c.id,
            groups.c.path,
            groups.c.visibility,
            _above.c.ancestor_id,
            _in_group.c.role,
            null(),
            _set_above.c.settings_json,
            null(),
        )
        .select_from(
            groups.join(_above, _above.c.group_id == groups.c.id)
            .outerjoin(
                _in_group,
                and_(_in_group.c.group_id == _above.c.ancestor_id, _in_group.c.user_id == bindparam("user_id")),
            )
            .outerjoin(_set_above, _set_above.c.group_id == _above.c.ancestor_id)
        )
        .where(where)
        .order_by(_above.c.depth)
    )


SCOPE_BY_ID = {
    Level.PROJECT: Statement(_project_scopes(projects.c.id == bindparam("ident"))),
    Level.GROUP: Statement(_group_scope(groups.c.id == bindparam("ident"))),
}

SCOPE_BY_PATH = {
    Level.PROJECT: Statement(_project_scopes(projects.c.path_key == bindparam("ident"))),
    Level.GROUP: Statement(_group_scope(groups.c.path_key == bindparam("ident"))),
}

_is_below = projects.c.group_id.in_(
    select(group_ancestors.c.group_id).where(group_ancestors.c.ancestor_id == bindparam("group_id"))
)
_has_format: Select[*tuple[object, ...]] = (
    select(literal_column("1"))
    .select_from(packages)
    .where(packages.c.project_id == projects.c.id, packages.c.format == bindparam("format"))
)

PROJECTS_WITH_NAME = Statement(
    _project_scopes(_is_below, _has_format.where(packages.c.canonical_name == bindparam("canonical_name")).exists())
)

PROJECTS_WITH_FORMAT = Statement(_project_scopes(_is_below, _has_format.exists()))

_has_package = select(literal_column("1")).select_from(packages).where(packages.c.project_id == projects.c.id).exists()

_owns = members.c.role >= literal_column(str(Role.MAINTAINER.value))

LIST_OWNERS = Statement(
    select(users.c.id, users.c.name)
    .where(
        users.c.id.in_(
            select(members.c.user_id)
            .where(_owns, members.c.project_id == bindparam("project_id"))
            .union_all(
                select(members.c.user_id).where(_owns, members.c.group_id.op("IN")(each_id(bindparam("group_ids"))))
            )
        )
    )
    .order_by(users.c.name_key)
)

PROJECTS_BELOW = Statement(_project_scopes(_is_below, _has_package))

PROJECTS_DIRECTLY_BELOW = Statement(_project_scopes(projects.c.group_id == bindparam("group_id"), _has_package))


# ======================================================================== verbs


async def add_user(tx: Transaction, name: str, is_admin: bool, principal: Principal) -> int:
    """See IIdentityCatalog."""
    check_user_name(name)
    if not await tx.execute(ADD_USER, name=name, name_key=key_of(name), is_admin=is_admin, now=tx.now):
        raise AlreadyExists(f"a user named {name} exists already")
    user_id = await user_id_of(tx, name)
    await add_audit_entry(tx, principal, told.of_user(AuditAction.ADD_USER, user_id, name, is_admin=is_admin))
    return user_id


async def add_group(tx: Transaction, path: str, visibility: Visibility, principal: Principal) -> int:
    """See IIdentityCatalog."""
    check_group_path(path)
    parent_id, path = await _below_parent(tx, path)
    await _take(tx, path)
    await tx.execute(ADD_GROUP, path=path, path_key=key_of(path), visibility=visibility.value, now=tx.now)
    row = await tx.fetch_one(FIND_GROUP, path_key=key_of(path))
    assert row is not None
    group_id = int(row[0])
    await tx.execute(ADD_ANCESTORS, group_id=group_id, parent_id=parent_id)
    await add_audit_entry(tx, principal, told.of_new_place(Level.GROUP, group_id, path, visibility))
    if principal.user_id is not None and parent_id is None:
        if await tx.fetch_one(USER_EXISTS, user_id=principal.user_id) is None:
            raise InvalidCredentials
        await tx.execute(
            SET_GROUP_MEMBER, user_id=principal.user_id, group_id=group_id, project_id=None, role=Role.OWNER.value
        )
    return group_id


async def add_project(tx: Transaction, path: str, visibility: Visibility, principal: Principal) -> int:
    """See IIdentityCatalog."""
    check_project_path(path)
    group_id, path = await _below_parent(tx, path)
    await _take(tx, path)
    await tx.execute(
        ADD_PROJECT,
        group_id=group_id,
        path=path,
        path_key=key_of(path),
        visibility=visibility.value,
        now=tx.now,
    )
    row = await tx.fetch_one(FIND_PROJECT, path_key=key_of(path))
    assert row is not None
    project_id = int(row[0])
    await add_audit_entry(tx, principal, told.of_new_place(Level.PROJECT, project_id, path, visibility))
    return project_id


async def _below_parent(tx: Transaction, path: str) -> tuple[int | None, str]:
    """Find the group above a path; returns its id (None at the top) and the path spelt as the group spells its own."""
    parent_path, name = split_path(path)
    if not parent_path:
        return None, path
    parent = await tx.fetch_one(FIND_GROUP, path_key=key_of(parent_path))
    if parent is None:
        raise GroupNotFound
    return parent[0], f"{parent[1]}/{name}"


async def _take(tx: Transaction, path: str) -> None:
    if not await tx.execute(TAKE_PATH, path_key=key_of(path)):
        raise AlreadyExists(f"a group or project at {path} exists already")


async def set_member(tx: Transaction, user: str, path: str, role: Role, principal: Principal) -> None:
    """See IIdentityCatalog."""
    user_id = await user_id_of(tx, user)
    group = await tx.fetch_one(FIND_GROUP, path_key=key_of(path))
    if group is not None:
        await tx.execute(SET_GROUP_MEMBER, user_id=user_id, group_id=group[0], project_id=None, role=role.value)
        await _tell_member(tx, principal, Level.GROUP, group, user, role)
        return
    project = await tx.fetch_one(FIND_PROJECT, path_key=key_of(path))
    if project is None:
        raise NotFound(f"there is no group or project at {path}")
    await tx.execute(SET_PROJECT_MEMBER, user_id=user_id, group_id=None, project_id=project[0], role=role.value)
    await _tell_member(tx, principal, Level.PROJECT, project, user, role)


async def _tell_member(tx: Transaction, principal: Principal, level: Level, place: Row, user: str, role: Role) -> None:
    place_id, path = place
    told_role = role.name.lower()
    entry = told.of_member(AuditAction.SET_MEMBER, level, place_id, path, user, role=told_role)
    await add_audit_entry(tx, principal, entry)


async def user_id_of(tx: Transaction, name: str) -> int:
    """Find a user. Raises NotFound."""
    row = await tx.fetch_one(FIND_USER, name_key=key_of(name))
    if row is None:
        raise NotFound(f"there is no user named {name}")
    return int(row[0])


_OWNERS = {Level.PROJECT: (FIND_PROJECT_BY_ID, FIND_PROJECT), Level.GROUP: (FIND_GROUP_BY_ID, FIND_GROUP)}


async def owner_id_of(tx: Transaction, level: Level, ident: str) -> int:
    """Find a project or group by its number in digits, or its path. Raises NotFound."""
    by_id, by_path = _OWNERS[level]
    if is_number(ident):
        row = await tx.fetch_one(by_id, id=int(ident)) if len(ident) < 19 else None
    else:
        row = await tx.fetch_one(by_path, path_key=key_of(ident))
    if row is None:
        raise NotFound(f"there is no {level.value} {ident}")
    return int(row[0])


INSTANCE = Scope(Level.INSTANCE, 0, "", Visibility.PUBLIC)


async def find_scope(tx: Transaction, level: Level, ident: int | str, user_id: int | None) -> Scope | None:
    """See IReads."""
    if isinstance(ident, int):
        exists = 0 < ident <= MAX_ID
        statements = SCOPE_BY_ID
    else:
        exists = can_be_path(ident)
        statements = SCOPE_BY_PATH
        ident = key_of(ident)
    if level is Level.INSTANCE:
        return INSTANCE
    if not exists:
        return None
    scopes = _scopes(level, await tx.fetch_all(statements[level], ident=ident, user_id=user_id))
    return scopes[0] if scopes else None


async def list_owners(tx: Transaction, project_id: int | None, group_ids: Sequence[int]) -> tuple[Owner, ...]:
    """See IIdentityCatalog."""
    rows = await tx.fetch_all(LIST_OWNERS, project_id=project_id or 0, group_ids=json.dumps(list(group_ids)))
    return tuple(Owner(user_id, name) for user_id, name in rows)


async def projects_with(
    tx: Transaction, group_id: int, format: str, canonical_name: str | None, user_id: int | None
) -> tuple[Scope, ...]:
    """See IPackageCatalog."""
    if canonical_name is None:
        rows = await tx.fetch_all(PROJECTS_WITH_FORMAT, group_id=group_id, format=format, user_id=user_id)
    else:
        rows = await tx.fetch_all(
            PROJECTS_WITH_NAME,
            group_id=group_id,
            format=format,
            canonical_name=canonical_name,
            user_id=user_id,
        )
    return tuple(_scopes(Level.PROJECT, rows))


async def projects_below(tx: Transaction, group_id: int, user_id: int | None, direct_only: bool) -> tuple[Scope, ...]:
    """See IInventoryCatalog."""
    statement = PROJECTS_DIRECTLY_BELOW if direct_only else PROJECTS_BELOW
    return tuple(_scopes(Level.PROJECT, await tx.fetch_all(statement, group_id=group_id, user_id=user_id)))


def _scopes(level: Level, rows: list[Row]) -> list[Scope]:
    """Fold rows of one group each into scopes; rows of a scope follow each other, nearest group first."""
    scopes: list[Scope] = []
    start = 0
    for end in range(1, len(rows) + 1):
        if end < len(rows) and rows[end][0] == rows[start][0]:
            continue
        of_one = rows[start:end]
        start = end
        ident, path, visibility, _, _, project_role, _, set_there = of_one[0]
        roles = [row[4] for row in of_one if row[4] is not None]
        if project_role is not None:
            roles.append(project_role)
        scopes.append(
            Scope(
                level=level,
                id=ident,
                path=path,
                visibility=Visibility(visibility),
                group_ids=tuple(row[3] for row in of_one),
                role=Role(max(roles)) if roles else None,
                settings=_settings([set_there, *(row[6] for row in of_one)]),
            )
        )
    return scopes


def _settings(texts: Iterable[str | None]) -> Settings:
    """Read what is set at a place and above it, the nearest first."""
    found = [Settings.parse(text) for text in texts if text is not None]
    return merged(found) if found else NOTHING_SET
