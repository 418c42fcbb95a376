"""Tags, the movable names of versions: statements, then verbs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from sqlalchemy import ColumnElement, and_, bindparam, delete, select

from pkgregd.catalog import told
from pkgregd.catalog.audit import add_audit_entry
from pkgregd.catalog.changes import record_change
from pkgregd.catalog.protection import demand_unprotected
from pkgregd.catalog.statement import Statement, Transaction, each_id, insert
from pkgregd.catalog.tables import packages, tags
from pkgregd.catalog.versions import find_version
from pkgregd.values import AuditAction, Principal, ProtectedAct, Tag

_of_name: ColumnElement[bool] = and_(
    tags.c.project_id == bindparam("project_id"),
    tags.c.format == bindparam("format"),
    tags.c.canonical_name == bindparam("canonical_name"),
)

FIND_TAG = Statement(
    select(tags.c.package_id, packages.c.name, packages.c.version, packages.c.canonical_version)
    .join(packages, packages.c.id == tags.c.package_id)
    .where(_of_name, tags.c.tag == bindparam("tag"))
)

_tag = insert(tags).values(
    project_id=bindparam("project_id"),
    format=bindparam("format"),
    canonical_name=bindparam("canonical_name"),
    tag=bindparam("tag"),
    package_id=bindparam("package_id"),
)

SET_TAG = Statement(
    _tag.on_conflict_do_update(
        index_elements=["project_id", "format", "canonical_name", "tag"],
        set_={"package_id": _tag.excluded.package_id},
    )
)

REMOVE_TAG = Statement(delete(tags).where(_of_name, tags.c.tag == bindparam("tag")))

LIST_TAGS = Statement(
    select(tags.c.tag, packages.c.canonical_version, packages.c.version, tags.c.project_id)
    .join(packages, packages.c.id == tags.c.package_id)
    .where(
        tags.c.project_id.op("IN")(each_id(bindparam("project_ids"))),
        tags.c.format == bindparam("format"),
        tags.c.canonical_name == bindparam("canonical_name"),
    )
)


async def point_tags(
    tx: Transaction, project_id: int, format: str, canonical_name: str, package_id: int, names: Iterable[str]
) -> None:
    """Have tags name a package, wherever they pointed before; who calls counts the change."""
    for tag in names:
        await tx.execute(
            SET_TAG,
            project_id=project_id,
            format=format,
            canonical_name=canonical_name,
            tag=tag,
            package_id=package_id,
        )


async def list_tags(tx: Transaction, project_ids: Sequence[int], format: str, canonical_name: str) -> tuple[Tag, ...]:
    """See IPackageCatalog."""
    rows = await tx.fetch_all(
        LIST_TAGS, project_ids=json.dumps(list(project_ids)), format=format, canonical_name=canonical_name
    )
    found = [Tag(tag, canonical_version, version, project_id) for tag, canonical_version, version, project_id in rows]
    return tuple(sorted(found, key=lambda tag: (tag.name, tag.project_id)))


async def set_tag(
    tx: Transaction,
    project_id: int,
    format: str,
    canonical_name: str,
    canonical_version: str,
    tag: str,
    principal: Principal,
) -> bool:
    """See IPackageCatalog."""
    name = {"project_id": project_id, "format": format, "canonical_name": canonical_name}
    package = await find_version(tx, project_id, format, canonical_name, canonical_version)
    await demand_unprotected(tx, project_id, format, canonical_name, ProtectedAct.PUSH, principal)
    present = await tx.fetch_one(FIND_TAG, tag=tag, **name)
    if present is not None and present[0] == package.id:
        return False
    await tx.execute(SET_TAG, tag=tag, package_id=package.id, **name)
    await record_change(tx, project_id, format, canonical_name, canonical_version)
    entry = told.of_version(AuditAction.TAG, project_id, format, package.name, package.version, tag=tag)
    await add_audit_entry(tx, principal, entry)
    return True


async def remove_tag(
    tx: Transaction, project_id: int, format: str, canonical_name: str, tag: str, principal: Principal
) -> bool:
    """See IPackageCatalog."""
    name = {"project_id": project_id, "format": format, "canonical_name": canonical_name}
    present = await tx.fetch_one(FIND_TAG, tag=tag, **name)
    if present is None:
        return False
    await demand_unprotected(tx, project_id, format, canonical_name, ProtectedAct.PUSH, principal)
    await tx.execute(REMOVE_TAG, tag=tag, **name)
    await record_change(tx, project_id, format, canonical_name, present[3])
    entry = told.of_version(AuditAction.UNTAG, project_id, format, present[1], present[2], tag=tag)
    await add_audit_entry(tx, principal, entry)
    return True
