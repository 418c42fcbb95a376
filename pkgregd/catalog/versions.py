"""Versions of a name: listed, found to be changed, yanked, and described otherwise."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from attrs import frozen
from sqlalchemy import bindparam, literal_column, select, update

from pkgregd.catalog import told
from pkgregd.catalog.audit import add_audit_entry
from pkgregd.catalog.changes import record_change
from pkgregd.catalog.protection import demand_unprotected
from pkgregd.catalog.rules import from_microseconds
from pkgregd.catalog.statement import Row, Statement, Transaction, each_id
from pkgregd.catalog.tables import package_files, packages
from pkgregd.errors import PackageNotFound
from pkgregd.values import AuditAction, PackageVersion, Principal, ProtectedAct

has_own_files = (
    select(literal_column("1"))
    .where(package_files.c.package_id == packages.c.id, ~package_files.c.is_beside)
    .correlate(packages)
    .exists()
)
"""That a package has a file that was not published beside another one: without it nobody can install it."""

_listed = (
    select(
        packages.c.id,
        packages.c.project_id,
        packages.c.version,
        packages.c.canonical_version,
        packages.c.metadata_json,
        packages.c.created_at,
        packages.c.yanked_reason,
    )
    .where(
        packages.c.project_id.op("IN")(each_id(bindparam("project_ids"))),
        packages.c.format == bindparam("format"),
        packages.c.canonical_name == bindparam("canonical_name"),
        packages.c.status == literal_column("'default'"),
        has_own_files,
    )
    .order_by(packages.c.id)
)

LIST_VERSIONS: Mapping[bool, Statement] = {
    False: Statement(_listed),
    True: Statement(_listed.where(packages.c.canonical_version == bindparam("canonical_version"))),
}
"""By whether only one version is wanted."""

# FOR UPDATE: what is being deleted meanwhile does not change any more
FIND_VERSION = Statement(
    select(packages.c.id, packages.c.name, packages.c.version, packages.c.yanked_reason)
    .where(
        packages.c.project_id == bindparam("project_id"),
        packages.c.format == bindparam("format"),
        packages.c.canonical_name == bindparam("canonical_name"),
        packages.c.canonical_version == bindparam("canonical_version"),
    )
    .with_for_update()
)

SET_YANKED = Statement(
    update(packages).where(packages.c.id == bindparam("package_id")).values(yanked_reason=bindparam("new_reason"))
)

REPLACE_METADATA = Statement(
    update(packages)
    .where(packages.c.id == bindparam("package_id"), packages.c.metadata_json == bindparam("known_json"))
    .values(metadata_json=bindparam("new_metadata_json"))
)


@frozen
class Version:
    """
    A package as it is found to be changed.

    Attributes:
        id: its row.
        name, version: as published.
        yanked_reason: see PackageFile.
    """

    id: int
    name: str
    version: str
    yanked_reason: str | None


async def list_versions(
    tx: Transaction, project_ids: Sequence[int], format: str, canonical_name: str, canonical_version: str | None
) -> tuple[PackageVersion, ...]:
    """See IPackageCatalog."""
    parameters = {"project_ids": json.dumps(list(project_ids)), "format": format, "canonical_name": canonical_name}
    if canonical_version is not None:
        parameters["canonical_version"] = canonical_version
    rows = await tx.fetch_all(LIST_VERSIONS[canonical_version is not None], **parameters)
    return tuple(_package_version(row) for row in rows)


def _package_version(row: Row) -> PackageVersion:
    package_id, project_id, version, canonical_version, metadata_json, created_at, yanked_reason = row
    return PackageVersion(
        package_id=package_id,
        project_id=project_id,
        version=version,
        canonical_version=canonical_version,
        metadata_json=metadata_json,
        created_at=from_microseconds(created_at),
        yanked_reason=yanked_reason,
    )


async def find_version(
    tx: Transaction, project_id: int, format: str, canonical_name: str, canonical_version: str
) -> Version:
    """
    Find a version and hold it.

    Raises:
        PackageNotFound.
    """
    row = await tx.fetch_one(
        FIND_VERSION,
        project_id=project_id,
        format=format,
        canonical_name=canonical_name,
        canonical_version=canonical_version,
    )
    if row is None:
        raise PackageNotFound
    return Version(*row)


async def set_yanked(
    tx: Transaction,
    project_id: int,
    format: str,
    canonical_name: str,
    canonical_version: str,
    reason: str | None,
    principal: Principal,
    act: ProtectedAct,
) -> bool:
    """See IPackageCatalog."""
    package = await find_version(tx, project_id, format, canonical_name, canonical_version)
    await demand_unprotected(tx, project_id, format, canonical_name, act, principal)
    if reason == package.yanked_reason:
        return False
    await tx.execute(SET_YANKED, package_id=package.id, new_reason=reason)
    await record_change(tx, project_id, format, canonical_name, canonical_version)
    entry = told.of_yank(project_id, format, package.name, package.version, reason)
    await add_audit_entry(tx, principal, entry)
    return True


async def replace_metadata(
    tx: Transaction,
    project_id: int,
    format: str,
    canonical_name: str,
    canonical_version: str,
    known_json: str,
    new_json: str,
    principal: Principal,
) -> bool:
    """See IPackageCatalog."""
    package = await find_version(tx, project_id, format, canonical_name, canonical_version)
    await demand_unprotected(tx, project_id, format, canonical_name, ProtectedAct.PUSH, principal)
    if known_json == new_json or not await tx.execute(
        REPLACE_METADATA, package_id=package.id, known_json=known_json, new_metadata_json=new_json
    ):
        return False
    await record_change(tx, project_id, format, canonical_name, canonical_version)
    entry = told.of_version(AuditAction.DESCRIBE, project_id, format, package.name, package.version)
    await add_audit_entry(tx, principal, entry)
    return True
