"""All packages of a name together: yanked one by one or deleted, in one transaction; when the first one came."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping, Sequence

from sqlalchemy import ColumnElement, and_, bindparam, delete, func, literal_column, select, update

from pkgregd.catalog import told
from pkgregd.catalog.audit import add_audit_entry
from pkgregd.catalog.changes import count_change, record_changes
from pkgregd.catalog.inventory import leave_tombstones
from pkgregd.catalog.package_reading import listed_name
from pkgregd.catalog.protection import demand_unprotected
from pkgregd.catalog.rules import from_microseconds
from pkgregd.catalog.statement import Statement, Transaction, each_id
from pkgregd.catalog.tables import blobs, documents, index_revisions, package_files, packages
from pkgregd.catalog.usage import add_usage, size_of_files, sum_of_files
from pkgregd.catalog.versions import SET_YANKED
from pkgregd.errors import PackageNotFound, PreconditionFailed
from pkgregd.values import AuditAction, Principal, ProtectedAct

# =================================================================== statements

_of_name: ColumnElement[bool] = and_(
    packages.c.project_id == bindparam("project_id"),
    packages.c.format == bindparam("format"),
    packages.c.canonical_name == bindparam("canonical_name"),
)

# FOR UPDATE: what is being deleted meanwhile does not change any more
FIND_PACKAGES = Statement(
    select(packages.c.id, packages.c.name, packages.c.version, packages.c.canonical_version, packages.c.yanked_reason)
    .where(_of_name)
    .with_for_update()
)

# FOR UPDATE: whoever publishes meanwhile moves it behind us
FIND_REVISION = Statement(
    select(index_revisions.c.revision)
    .where(
        index_revisions.c.project_id == bindparam("project_id"),
        index_revisions.c.format == bindparam("format"),
        index_revisions.c.canonical_name == bindparam("canonical_name"),
    )
    .with_for_update()
)

FIRST_PUBLISHED = Statement(
    select(func.min(packages.c.created_at)).where(
        packages.c.project_id.op("IN")(each_id(bindparam("project_ids"))),
        packages.c.format == bindparam("format"),
        packages.c.canonical_name == bindparam("canonical_name"),
    )
)

_ids_of_name = select(packages.c.id).where(_of_name)
_in_name = package_files.c.package_id.in_(_ids_of_name)

LEAVE_TOMBSTONES = leave_tombstones(_of_name)

_others_file = package_files.alias("others_file")

RELEASE_BLOBS = Statement(
    update(blobs)
    .where(
        blobs.c.sha256.in_(select(package_files.c.sha256).where(_in_name)),
        ~select(literal_column("1"))
        .where(_others_file.c.sha256 == blobs.c.sha256, _others_file.c.package_id.not_in(_ids_of_name))
        .exists(),
    )
    .values(released_at=bindparam("now"))
)

DROP_DOCUMENTS = Statement(delete(documents).where(documents.c.file_id.in_(select(package_files.c.id).where(_in_name))))

SIZE_OF_FILES = size_of_files(_in_name)

DELETE_FILES = Statement(delete(package_files).where(_in_name))

DELETE_PACKAGES = Statement(delete(packages).where(_of_name))

# ====================================================================== verbs


async def yank_each(
    tx: Transaction,
    project_id: int,
    format: str,
    canonical_name: str,
    reasons: Mapping[str, str | None],
    principal: Principal,
) -> frozenset[str]:
    """See IPackageCatalog."""
    name = {"project_id": project_id, "format": format, "canonical_name": canonical_name}
    found = [row for row in await tx.fetch_all(FIND_PACKAGES, **name) if row[3] in reasons]
    if not found:
        raise PackageNotFound
    await demand_unprotected(tx, project_id, format, canonical_name, ProtectedAct.PUSH, principal)
    changed = []
    for package_id, shown_name, version, canonical_version, reason in found:
        wanted = reasons[canonical_version]
        if wanted == reason:
            continue
        changed.append(canonical_version)
        await tx.execute(SET_YANKED, package_id=package_id, new_reason=wanted)
        await add_audit_entry(tx, principal, told.of_yank(project_id, format, shown_name, version, wanted))
    await record_changes(tx, project_id, format, canonical_name, changed)
    return frozenset(changed)


async def delete_name(
    tx: Transaction, project_id: int, format: str, canonical_name: str, revision: int, principal: Principal
) -> int:
    """See IPackageCatalog."""
    name = {"project_id": project_id, "format": format, "canonical_name": canonical_name}
    present = await tx.fetch_one(FIND_REVISION, **name)
    if present is not None and present[0] != revision:
        raise PreconditionFailed("the package has changed meanwhile: look again what is in it")
    found = await tx.fetch_all(FIND_PACKAGES, **name)
    if not found:
        raise PackageNotFound
    await demand_unprotected(tx, project_id, format, canonical_name, ProtectedAct.DELETE, principal)
    shown_before = await listed_name(tx, project_id, format, canonical_name)
    await tx.execute(LEAVE_TOMBSTONES, now=tx.now, **name)
    await tx.execute(RELEASE_BLOBS, now=tx.now, **name)
    await tx.execute(DROP_DOCUMENTS, **name)
    gone_bytes = await sum_of_files(tx, SIZE_OF_FILES, name)
    files = await tx.execute(DELETE_FILES, **name)
    await tx.execute(DELETE_PACKAGES, **name)
    await record_changes(tx, project_id, format, canonical_name, [row[3] for row in found])
    if shown_before is not None:
        await count_change(tx, project_id, format, "")
    await add_usage(tx, project_id, -gone_bytes)
    # which they were, the tombstones tell: the entry stays small however many there were
    counts = {"packages": len(found), "files": files}
    entry = told.of_name(AuditAction.DELETE_NAME, project_id, format, found[-1][1], **counts)
    await add_audit_entry(tx, principal, entry)
    return len(found)


async def first_published(
    tx: Transaction, project_ids: Sequence[int], format: str, canonical_name: str
) -> datetime.datetime | None:
    """See IPackageCatalog."""
    row = await tx.fetch_one(
        FIRST_PUBLISHED, project_ids=json.dumps(list(project_ids)), format=format, canonical_name=canonical_name
    )
    return None if row is None or row[0] is None else from_microseconds(row[0])
