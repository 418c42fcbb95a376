"""What there is of packages and their files, and at which revision an index of it is: statements, then verbs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import product

from sqlalchemy import Select, bindparam, func, literal_column, select

from pkgregd.catalog.blobs import blob_info
from pkgregd.catalog.rules import MAX_ID, from_microseconds
from pkgregd.catalog.rules import index_state as summed_up
from pkgregd.catalog.statement import Row, Statement, Transaction, each_id
from pkgregd.catalog.tables import (
    blobs,
    file_keys,
    index_revisions,
    package_files,
    packages,
)
from pkgregd.values import (
    Digest,
    IndexState,
    PackageFile,
    PackageName,
    PackageStatus,
)

# =================================================================== statements

_file_columns = (
    select(
        package_files.c.id,
        packages.c.id,
        packages.c.project_id,
        packages.c.format,
        packages.c.name,
        packages.c.canonical_name,
        packages.c.version,
        packages.c.canonical_version,
        package_files.c.file_name,
        packages.c.status,
        packages.c.metadata_json,
        packages.c.yanked_reason,
        package_files.c.metadata_json,
        package_files.c.created_at,
        blobs.c.sha256,
        blobs.c.size_bytes,
        blobs.c.locator,
        blobs.c.digests_json,
        blobs.c.damage,
    )
    .select_from(packages)
    .join(package_files, package_files.c.package_id == packages.c.id)
    .join(blobs, blobs.c.sha256 == package_files.c.sha256)
)

FILE_BY_ID = Statement(_file_columns.where(package_files.c.id == bindparam("file_id")))

_in_projects = packages.c.project_id.op("IN")(each_id(bindparam("project_ids")))


def _files_of(*, by_name: bool, by_version: bool) -> Select[*tuple[object, ...]]:
    query = _file_columns.where(_in_projects, packages.c.format == bindparam("format"))
    if by_name:
        query = query.where(packages.c.canonical_name == bindparam("canonical_name"))
    if by_version:
        query = query.where(packages.c.canonical_version == bindparam("canonical_version"))
    return query


def _file_named(*, by_name: bool, by_version: bool, by_sha256: bool) -> Statement:
    query = _files_of(by_name=by_name, by_version=by_version)
    query = query.where(package_files.c.file_name == bindparam("file_name"))
    if by_sha256:
        query = query.where(package_files.c.sha256 == bindparam("sha256"))
    return Statement(
        query.order_by(package_files.c.created_at.desc(), package_files.c.id.desc()).limit(literal_column("1"))
    )


FIND_FILE: Mapping[tuple[bool, bool, bool], Statement] = {
    (by_name, by_version, by_sha256): _file_named(by_name=by_name, by_version=by_version, by_sha256=by_sha256)
    for by_name, by_version, by_sha256 in product((False, True), repeat=3)
    if by_name or by_sha256
}

FIND_BY_KEY = Statement(
    _file_columns.join(file_keys, file_keys.c.file_id == package_files.c.id)
    .where(
        file_keys.c.project_id.op("IN")(each_id(bindparam("project_ids"))),
        file_keys.c.format == bindparam("format"),
        file_keys.c.key == bindparam("key"),
    )
    .order_by(package_files.c.created_at.desc(), package_files.c.id.desc())
    .limit(literal_column("1"))
)


def _files_listed(*, by_version: bool, listed_only: bool) -> Statement:
    query = _files_of(by_name=True, by_version=by_version).where(~package_files.c.is_beside)
    if listed_only:
        query = query.where(packages.c.status == literal_column("'default'"))
    return Statement(query.order_by(package_files.c.created_at, package_files.c.id))


LIST_FILES: Mapping[tuple[bool, bool], Statement] = {
    (by_version, listed_only): _files_listed(by_version=by_version, listed_only=listed_only)
    for by_version, listed_only in product((False, True), repeat=2)
}

LIST_NAMES = Statement(
    select(packages.c.canonical_name, packages.c.project_id, func.max(packages.c.id), packages.c.name)
    .where(
        _in_projects,
        packages.c.format == bindparam("format"),
        packages.c.status == literal_column("'default'"),
    )
    .group_by(packages.c.project_id, packages.c.canonical_name, packages.c.name)
)

LISTED_NAME = Statement(
    select(packages.c.name)
    .where(
        packages.c.project_id == bindparam("project_id"),
        packages.c.format == bindparam("format"),
        packages.c.canonical_name == bindparam("canonical_name"),
        packages.c.status == literal_column("'default'"),
    )
    .order_by(packages.c.id.desc())
    .limit(literal_column("1"))
)

LIST_REVISIONS = Statement(
    select(index_revisions.c.project_id, index_revisions.c.revision, index_revisions.c.changed_at).where(
        index_revisions.c.project_id.op("IN")(each_id(bindparam("project_ids"))),
        index_revisions.c.format == bindparam("format"),
        index_revisions.c.canonical_name == bindparam("canonical_name"),
    )
)

# ======================================================================== verbs


async def listed_name(tx: Transaction, project_id: int, format: str, canonical_name: str) -> str | None:
    """The name as the list of names shows it now, None when it does not."""
    row = await tx.fetch_one(LISTED_NAME, project_id=project_id, format=format, canonical_name=canonical_name)
    return None if row is None else row[0]


async def load_file(tx: Transaction, file_id: int) -> PackageFile | None:
    """The file of a number, None if there is none."""
    row = await tx.fetch_one(FILE_BY_ID, file_id=file_id) if 0 < file_id <= MAX_ID else None
    return None if row is None else _package_file(row)


async def find_file(
    tx: Transaction,
    project_ids: Sequence[int],
    format: str,
    canonical_name: str,
    canonical_version: str | None,
    file_name: str,
    sha256: Digest | None,
) -> PackageFile | None:
    """See IReads."""
    parameters: dict[str, object] = {
        "project_ids": json.dumps(list(project_ids)),
        "format": format,
        "file_name": file_name,
    }
    if canonical_name:
        parameters["canonical_name"] = canonical_name
    elif sha256 is None:
        raise ValueError("find_file needs a name or a sha256")
    if canonical_version is not None:
        parameters["canonical_version"] = canonical_version
    if sha256 is not None:
        parameters["sha256"] = sha256.hex
    statement = FIND_FILE[bool(canonical_name), canonical_version is not None, sha256 is not None]
    row = await tx.fetch_one(statement, **parameters)
    return None if row is None else _package_file(row)


async def find_by_key(tx: Transaction, project_ids: Sequence[int], format: str, key: str) -> PackageFile | None:
    """See IPackageCatalog."""
    row = await tx.fetch_one(FIND_BY_KEY, project_ids=json.dumps(list(project_ids)), format=format, key=key)
    return None if row is None else _package_file(row)


async def find_package_file(tx: Transaction, project_id: int, package_id: int, file_id: int) -> PackageFile | None:
    """See IInventoryCatalog."""
    row = await tx.fetch_one(FILE_BY_ID, file_id=file_id) if 0 < file_id <= MAX_ID else None
    file = None if row is None else _package_file(row)
    is_there = file is not None and (file.project_id, file.package_id) == (project_id, package_id)
    return file if is_there else None


async def list_files(
    tx: Transaction,
    project_ids: Sequence[int],
    format: str,
    canonical_name: str,
    canonical_version: str | None,
    listed_only: bool,
) -> tuple[PackageFile, ...]:
    """See IPackageCatalog."""
    parameters = {"project_ids": json.dumps(list(project_ids)), "format": format, "canonical_name": canonical_name}
    if canonical_version is not None:
        parameters["canonical_version"] = canonical_version
    rows = await tx.fetch_all(LIST_FILES[canonical_version is not None, listed_only], **parameters)
    return tuple(_package_file(row) for row in rows)


async def list_names(tx: Transaction, project_ids: Sequence[int], format: str) -> tuple[PackageName, ...]:
    """
    See IPackageCatalog.

    A name is spelt as its newest package in the newest project spells it: so each
    project's share depends on that project alone, as its revision does.
    """
    rows = await tx.fetch_all(LIST_NAMES, project_ids=json.dumps(list(project_ids)), format=format)
    # Sorted by canonical name, project and package: the last one of each name wins.
    newest = {canonical_name: name for canonical_name, _, _, name in sorted(rows)}
    return tuple(PackageName(canonical_name, name) for canonical_name, name in newest.items())


async def find_name(
    tx: Transaction, project_ids: Sequence[int], format: str, canonical_name: str
) -> PackageName | None:
    """See IPackageCatalog."""
    for project_id in sorted(project_ids, reverse=True):  # the newest project spells it
        name = await listed_name(tx, project_id, format, canonical_name)
        if name is not None:
            return PackageName(canonical_name, name)
    return None


async def index_state(
    tx: Transaction, project_ids: Sequence[int], format: str, canonical_name: str | None
) -> IndexState:
    """See IReads."""
    rows = await tx.fetch_all(
        LIST_REVISIONS,
        project_ids=json.dumps(list(project_ids)),
        format=format,
        canonical_name=canonical_name or "",
    )
    return summed_up((project_id, revision, changed_at) for project_id, revision, changed_at in rows)


def _package_file(row: Row) -> PackageFile:
    (file_id, package_id, project_id, format, name, canonical_name, version, canonical_version, *rest) = row
    file_name, status, package_json, yanked_reason, file_json, created_at, sha256, *blob = rest
    return PackageFile(
        id=file_id,
        package_id=package_id,
        project_id=project_id,
        format=format,
        name=name,
        canonical_name=canonical_name,
        version=version,
        canonical_version=canonical_version,
        file_name=file_name,
        status=PackageStatus(status),
        blob=blob_info((sha256, *blob)),
        package_metadata_json=package_json,
        file_metadata_json=file_json,
        created_at=from_microseconds(created_at),
        yanked_reason=yanked_reason,
    )
