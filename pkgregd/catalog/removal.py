"""Removing users, projects and groups with all that hangs on them: statements, then verbs."""

from __future__ import annotations

import json

from sqlalchemy import ColumnElement, bindparam, delete, literal_column, select, update

from pkgregd.catalog import told
from pkgregd.catalog.audit import add_audit_entry
from pkgregd.catalog.directory import find_place, find_user, keep_an_administrator
from pkgregd.catalog.membership import OWNED_ALONE
from pkgregd.catalog.rules import key_of
from pkgregd.catalog.statement import Statement, Transaction, each_id
from pkgregd.catalog.tables import (
    blobs,
    documents,
    file_keys,
    group_ancestors,
    groups,
    index_changes,
    index_revisions,
    members,
    package_files,
    packages,
    paths,
    projects,
    protection_rules,
    reservations,
    settings,
    sign_ins,
    tags,
    tokens,
    tombstones,
    usages,
    users,
)
from pkgregd.catalog.tokens import revoke_descendants
from pkgregd.errors import LastOwner
from pkgregd.values import AuditAction, Level, PlaceRecord, Principal

# ======================================================================== users

FORGET_APPROVALS = Statement(
    delete(sign_ins).where(
        sign_ins.c.approved_by.in_(select(tokens.c.id).where(tokens.c.user_id == bindparam("user_id")))
    )
)
TOKENS_OF_USER = Statement(select(tokens.c.id).where(tokens.c.user_id == bindparam("user_id")))
REMOVE_USER_TOKENS = Statement(delete(tokens).where(tokens.c.user_id == bindparam("user_id")))
REMOVE_MEMBERSHIPS = Statement(delete(members).where(members.c.user_id == bindparam("user_id")))


REMOVE_USER = Statement(delete(users).where(users.c.id == bindparam("user_id")))


async def remove_user(tx: Transaction, user_id: int, principal: Principal) -> bool:
    """See IDirectoryCatalog."""
    user = await find_user(tx, user_id)
    if user is None:
        return False
    await keep_an_administrator(tx, user)
    if await tx.fetch_one(OWNED_ALONE, user_id=user_id) is not None:
        raise LastOwner
    for (token_id,) in await tx.fetch_all(TOKENS_OF_USER, user_id=user_id):
        await revoke_descendants(tx, token_id)  # those of other users; their own go with them
    for statement in (FORGET_APPROVALS, REMOVE_USER_TOKENS, REMOVE_MEMBERSHIPS, REMOVE_USER):
        await tx.execute(statement, user_id=user_id)
    await add_audit_entry(tx, principal, told.of_user(AuditAction.REMOVE_USER, user_id, user.name))
    return True


# ============================================================= projects, groups


def _of_projects(column: ColumnElement[int]) -> ColumnElement[bool]:
    return column.op("IN")(each_id(bindparam("project_ids")))


_their_packages = select(packages.c.id).where(_of_projects(packages.c.project_id))
_their_files = select(package_files.c.id).where(package_files.c.package_id.in_(_their_packages))
_used_elsewhere = (
    select(literal_column("1"))
    .select_from(package_files)
    .where(package_files.c.sha256 == blobs.c.sha256, package_files.c.package_id.not_in(_their_packages))
    .exists()
)

RELEASE_BLOBS = Statement(
    update(blobs)
    .where(
        blobs.c.sha256.in_(select(package_files.c.sha256).where(package_files.c.package_id.in_(_their_packages))),
        ~_used_elsewhere,
    )
    .values(released_at=bindparam("now"))
)

CLEAR_PROJECTS = tuple(
    Statement(clause)
    for clause in (
        delete(documents).where(documents.c.file_id.in_(_their_files)),
        delete(file_keys).where(file_keys.c.file_id.in_(_their_files)),
        delete(package_files).where(package_files.c.package_id.in_(_their_packages)),
        delete(tags).where(_of_projects(tags.c.project_id)),
        delete(packages).where(_of_projects(packages.c.project_id)),
        delete(tombstones).where(_of_projects(tombstones.c.project_id)),
        delete(index_changes).where(_of_projects(index_changes.c.project_id)),
        delete(index_revisions).where(_of_projects(index_revisions.c.project_id)),
        delete(protection_rules).where(_of_projects(protection_rules.c.project_id)),
        delete(usages).where(_of_projects(usages.c.project_id)),
        delete(reservations).where(_of_projects(reservations.c.project_id)),
        delete(settings).where(_of_projects(settings.c.project_id)),
        delete(members).where(_of_projects(members.c.project_id)),
        delete(tokens).where(_of_projects(tokens.c.project_id)),
    )
)

PROJECTS_INSIDE = Statement(
    select(projects.c.id, projects.c.path_key)
    .join(group_ancestors, group_ancestors.c.group_id == projects.c.group_id)
    .where(group_ancestors.c.ancestor_id == bindparam("group_id"))
)

GROUPS_INSIDE = Statement(
    select(groups.c.id, groups.c.path_key)
    .join(group_ancestors, group_ancestors.c.group_id == groups.c.id)
    .where(group_ancestors.c.ancestor_id == bindparam("group_id"))
)

REMOVE_PROJECTS = Statement(delete(projects).where(_of_projects(projects.c.id)))


def _of_groups(column: ColumnElement[int]) -> ColumnElement[bool]:
    return column.op("IN")(each_id(bindparam("group_ids")))


CLEAR_GROUPS = tuple(
    Statement(clause)
    for clause in (
        delete(settings).where(_of_groups(settings.c.group_id)),
        delete(members).where(_of_groups(members.c.group_id)),
        delete(tokens).where(_of_groups(tokens.c.group_id)),
        delete(group_ancestors).where(_of_groups(group_ancestors.c.group_id)),
        delete(groups).where(_of_groups(groups.c.id)),
    )
)

FREE_PATH = Statement(delete(paths).where(paths.c.path_key == bindparam("path_key")))


async def remove_place(tx: Transaction, level: Level, place_id: int, principal: Principal) -> bool:
    """See IDirectoryCatalog."""
    place = await find_place(tx, level, place_id)
    if place is None:
        return False
    if level is Level.PROJECT:
        await _remove_projects(tx, {place_id: key_of(place.path)})
    else:
        await _remove_group(tx, place)
    await add_audit_entry(tx, principal, told.of_removed_place(place))
    return True


async def _remove_group(tx: Transaction, group: PlaceRecord) -> None:
    inside = await tx.fetch_all(PROJECTS_INSIDE, group_id=group.id)
    await _remove_projects(tx, dict(inside))
    below = await tx.fetch_all(GROUPS_INSIDE, group_id=group.id)
    ids = json.dumps([group_id for group_id, _ in below])
    for statement in CLEAR_GROUPS:
        await tx.execute(statement, group_ids=ids)
    for _, path_key in below:
        await tx.execute(FREE_PATH, path_key=path_key)


async def _remove_projects(tx: Transaction, path_keys: dict[int, str]) -> None:
    """Remove projects with everything in them; blobs wait for the sweep."""
    ids = json.dumps(list(path_keys))
    await tx.execute(RELEASE_BLOBS, project_ids=ids, now=tx.now)
    for statement in CLEAR_PROJECTS:
        await tx.execute(statement, project_ids=ids)
    await tx.execute(REMOVE_PROJECTS, project_ids=ids)
    for path_key in path_keys.values():
        await tx.execute(FREE_PATH, path_key=path_key)
