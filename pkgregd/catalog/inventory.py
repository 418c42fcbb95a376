"""Packages of all formats by their numbers, listed, counted and deleted: statements, then verbs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Select,
    Text,
    bindparam,
    cast,
    delete,
    func,
    literal_column,
    or_,
    select,
    update,
)

from pkgregd.catalog import told
from pkgregd.catalog.audit import add_audit_entry
from pkgregd.catalog.package_reading import listed_name
from pkgregd.catalog.packages import bump_index
from pkgregd.catalog.protection import demand_unprotected
from pkgregd.catalog.rules import MAX_ID, bounds_of, from_microseconds
from pkgregd.catalog.statement import LIKE_ESCAPE, Row, Statement, Transaction, containing, each_id, insert, lower_ascii
from pkgregd.catalog.tables import blobs, documents, package_files, packages, projects, tombstones
from pkgregd.catalog.usage import add_usage, size_of_files, sum_of_files
from pkgregd.values import (
    AuditAction,
    FileListing,
    FileOrder,
    FileRecord,
    PackageListing,
    PackageOrder,
    PackageQuery,
    PackageRecord,
    PackageStatus,
    Piece,
    Precondition,
    Principal,
    ProtectedAct,
    Stretch,
)

# =================================================================== statements


def _columns_with(project_id: ColumnElement[int]) -> Select[*tuple[Any, ...]]:
    """
    Select what is listed of packages.

    Args:
        project_id: whose path stands beside them. A parameter is looked up once, a column for each package; PostgreSQL
            does so for those before the page, too.
    """
    path = select(projects.c.path).where(projects.c.id == project_id).scalar_subquery()
    return select(
        packages.c.id,
        packages.c.project_id,
        path.label("project_path"),
        packages.c.format,
        packages.c.name,
        packages.c.version,
        packages.c.status,
        packages.c.created_at,
        packages.c.yanked_reason,
    ).select_from(packages)


_package_columns = _columns_with(packages.c.project_id)

_columns_in_scope = {False: _package_columns, True: _columns_with(bindparam("project_id", type_=BigInteger))}
"""By whether it is one project that is asked for."""


def _in_scope(*, is_one: bool) -> ColumnElement[bool]:
    """One project is asked for by equality: then its packages come in order from the index."""
    if is_one:
        return packages.c.project_id == bindparam("project_id", type_=BigInteger)
    return packages.c.project_id.op("IN")(each_id(bindparam("project_ids")))


def _if_given(name: str, condition: ColumnElement[bool]) -> ColumnElement[bool]:
    return or_(cast(bindparam(name), Text).is_(None), condition)


_has_status = packages.c.status == bindparam("status")

_name_pattern = bindparam("name_pattern", type_=Text)

_conditions = (
    _if_given("format", packages.c.format == bindparam("format")),
    _if_given("version", packages.c.version == bindparam("version")),
    _if_given("name_pattern", func.lower(packages.c.name).like(_name_pattern, escape=LIKE_ESCAPE)),
)

_PACKAGE_ORDERS: Mapping[PackageOrder, ColumnElement[object]] = {
    PackageOrder.CREATED_AT: packages.c.created_at,
    PackageOrder.NAME: packages.c.name,
    PackageOrder.VERSION: packages.c.version,
    PackageOrder.TYPE: packages.c.format,
    PackageOrder.PROJECT_PATH: literal_column("project_path"),
}


def _packages_listed(order: PackageOrder, *, is_one: bool, is_descending: bool) -> Statement:
    columns = (_PACKAGE_ORDERS[order], packages.c.id)
    return Statement(
        _columns_in_scope[is_one]
        .where(_in_scope(is_one=is_one), _has_status, *_conditions)
        .order_by(*(column.desc() if is_descending else column for column in columns))
        .limit(bindparam("row_limit"))
        .offset(bindparam("row_offset"))
    )


LIST_PACKAGES: Mapping[tuple[PackageOrder, bool, bool], Statement] = {
    (order, is_one, is_descending): _packages_listed(order, is_one=is_one, is_descending=is_descending)
    for order, is_one, is_descending in product(PackageOrder, (False, True), (False, True))
}


def _packages_onward(*, is_one: bool, is_descending: bool) -> Statement:
    is_between = (packages.c.id > bindparam("above_id"), packages.c.id < bindparam("below_id"))
    return Statement(
        _columns_in_scope[is_one]
        .where(_in_scope(is_one=is_one), _has_status, *is_between, *_conditions)
        .order_by(packages.c.id.desc() if is_descending else packages.c.id)
        .limit(bindparam("row_limit"))
    )


LIST_ONWARD: Mapping[tuple[bool, bool], Statement] = {
    (is_one, is_descending): _packages_onward(is_one=is_one, is_descending=is_descending)
    for is_one, is_descending in product((False, True), repeat=2)
}

COUNT_PACKAGES: Mapping[tuple[bool, bool], Statement] = {
    (is_one, has_conditions): Statement(
        select(func.count())
        .select_from(packages)
        .where(_in_scope(is_one=is_one), _has_status, *(_conditions if has_conditions else ()))
    )
    for is_one, has_conditions in product((False, True), repeat=2)
}

LIST_ALL_PACKAGES = Statement(
    _package_columns.where(packages.c.id > bindparam("after_id")).order_by(packages.c.id).limit(bindparam("row_limit"))
)

PACKAGE_BY_ID = Statement(
    _package_columns.where(packages.c.id == bindparam("package_id"), packages.c.project_id == bindparam("project_id"))
)

_file_columns = (
    select(
        package_files.c.id,
        package_files.c.package_id,
        package_files.c.file_name,
        blobs.c.size_bytes,
        blobs.c.digests_json,
        package_files.c.created_at,
    )
    .select_from(package_files.join(blobs, blobs.c.sha256 == package_files.c.sha256))
    .where(package_files.c.package_id == bindparam("package_id"))
)

_FILE_ORDERS: Mapping[FileOrder, ColumnElement[object]] = {
    FileOrder.ID: package_files.c.id,
    FileOrder.CREATED_AT: package_files.c.created_at,
    FileOrder.FILE_NAME: package_files.c.file_name,
}


def _files_listed(order: FileOrder, *, is_descending: bool) -> Statement:
    columns = (_FILE_ORDERS[order], package_files.c.id)
    return Statement(
        _file_columns.order_by(*(column.desc() if is_descending else column for column in columns))
        .limit(bindparam("row_limit"))
        .offset(bindparam("row_offset"))
    )


LIST_PACKAGE_FILES: Mapping[tuple[FileOrder, bool], Statement] = {
    (order, is_descending): _files_listed(order, is_descending=is_descending)
    for order, is_descending in product(FileOrder, (False, True))
}

COUNT_PACKAGE_FILES = Statement(
    select(func.count()).select_from(package_files).where(package_files.c.package_id == bindparam("package_id"))
)

_of_package = package_files.c.package_id == bindparam("package_id")

PACKAGE_TO_DELETE = Statement(
    select(
        packages.c.format,
        packages.c.canonical_name,
        packages.c.canonical_version,
        packages.c.name,
        packages.c.version,
        packages.c.status,
        packages.c.created_at,
    )
    .where(packages.c.id == bindparam("package_id"), packages.c.project_id == bindparam("project_id"))
    .with_for_update()
)

NEWEST_FILE = Statement(select(func.count(), func.max(package_files.c.created_at)).where(_of_package))


def leave_tombstones(which: ColumnElement[bool]) -> Statement:
    """Make the statement that leaves a tombstone for each of some files, about to be deleted."""
    buried = insert(tombstones).from_select(
        ["project_id", "format", "canonical_name", "canonical_version", "file_name", "sha256", "deleted_at"],
        select(
            packages.c.project_id,
            packages.c.format,
            packages.c.canonical_name,
            packages.c.canonical_version,
            package_files.c.file_name,
            package_files.c.sha256,
            bindparam("now", type_=tombstones.c.deleted_at.type),
        )
        .select_from(package_files.join(packages, packages.c.id == package_files.c.package_id))
        .where(which),
    )
    return Statement(
        buried.on_conflict_do_update(
            index_elements=["project_id", "format", "canonical_name", "canonical_version", "file_name"],
            set_={"sha256": buried.excluded.sha256, "deleted_at": buried.excluded.deleted_at},
        )
    )


LEAVE_TOMBSTONES = leave_tombstones(_of_package)

_others_file = package_files.alias("others_file")

RELEASE_BLOBS = Statement(
    update(blobs)
    .where(
        blobs.c.sha256.in_(select(package_files.c.sha256).where(_of_package)),
        ~select(literal_column("1"))
        .where(_others_file.c.sha256 == blobs.c.sha256, _others_file.c.package_id != bindparam("package_id"))
        .exists(),
    )
    .values(released_at=bindparam("now"))
)

DROP_DOCUMENTS = Statement(
    delete(documents).where(documents.c.file_id.in_(select(package_files.c.id).where(_of_package)))
)

SIZE_OF_FILES = size_of_files(_of_package)

DELETE_FILES = Statement(delete(package_files).where(_of_package))

DELETE_PACKAGE = Statement(delete(packages).where(packages.c.id == bindparam("package_id")))

# ====================================================================== reading


async def list_packages(
    tx: Transaction, project_ids: Sequence[int], query: PackageQuery, piece: Piece
) -> PackageListing:
    """See IInventoryCatalog."""
    is_one, scope = _scope_of(project_ids)
    conditions = _conditions_of(query)
    has_conditions = any(value is not None for value in conditions.values())
    counted = await tx.fetch_one(
        COUNT_PACKAGES[is_one, has_conditions],
        status=query.status.value,
        **scope,
        **(conditions if has_conditions else {}),
    )
    assert counted is not None
    rows = await tx.fetch_all(
        LIST_PACKAGES[query.order, is_one, query.is_descending],
        status=query.status.value,
        row_limit=piece.limit,
        row_offset=piece.offset,
        **scope,
        **conditions,
    )
    return PackageListing(tuple(_package_record(row) for row in rows), counted[0])


def _scope_of(project_ids: Sequence[int]) -> tuple[bool, Mapping[str, object]]:
    """Whether it is one project, and the parameters of _in_scope()."""
    if len(project_ids) == 1:
        return True, {"project_id": project_ids[0]}
    return False, {"project_ids": json.dumps(list(project_ids))}


def _conditions_of(query: PackageQuery) -> Mapping[str, object]:
    return {
        "format": query.format,
        "version": query.version,
        "name_pattern": None if query.name_part is None else containing(lower_ascii(query.name_part)),
    }


async def list_packages_onward(
    tx: Transaction, project_ids: Sequence[int], query: PackageQuery, stretch: Stretch
) -> tuple[PackageRecord, ...]:
    """See IInventoryCatalog."""
    is_one, scope = _scope_of(project_ids)
    rows = await tx.fetch_all(
        LIST_ONWARD[is_one, query.is_descending],
        status=query.status.value,
        row_limit=stretch.limit,
        **bounds_of(stretch),
        **scope,
        **_conditions_of(query),
    )
    return tuple(_package_record(row) for row in rows)


async def find_package(tx: Transaction, project_id: int, package_id: int) -> PackageRecord | None:
    """See IInventoryCatalog."""
    if not 0 < package_id <= MAX_ID:
        return None
    row = await tx.fetch_one(PACKAGE_BY_ID, project_id=project_id, package_id=package_id)
    return None if row is None else _package_record(row)


async def list_all_packages(tx: Transaction, after: int, limit: int) -> tuple[PackageRecord, ...]:
    """See IInventoryCatalog."""
    if after >= MAX_ID:
        return ()
    rows = await tx.fetch_all(LIST_ALL_PACKAGES, after_id=after, row_limit=limit)
    return tuple(_package_record(row) for row in rows)


async def list_package_files(
    tx: Transaction, package_id: int, order: FileOrder, piece: Piece, is_descending: bool
) -> FileListing:
    """See IInventoryCatalog."""
    counted = await tx.fetch_one(COUNT_PACKAGE_FILES, package_id=package_id)
    assert counted is not None
    rows = await tx.fetch_all(
        LIST_PACKAGE_FILES[order, is_descending],
        package_id=package_id,
        row_limit=piece.limit,
        row_offset=piece.offset,
    )
    return FileListing(tuple(_file_record(row) for row in rows), counted[0])


def _package_record(row: Row) -> PackageRecord:
    package_id, project_id, project_path, format, name, version, status, created_at, yanked_reason = row
    return PackageRecord(
        id=package_id,
        project_id=project_id,
        project_path=project_path,
        format=format,
        name=name,
        version=version,
        status=PackageStatus(status),
        created_at=from_microseconds(created_at),
        yanked_reason=yanked_reason,
    )


def _file_record(row: Row) -> FileRecord:
    file_id, package_id, file_name, size_bytes, digests_json, created_at = row
    return FileRecord(
        file_id, package_id, file_name, size_bytes, json.loads(digests_json), from_microseconds(created_at)
    )


# ===================================================================== deleting


async def delete_package(
    tx: Transaction, project_id: int, package_id: int, principal: Principal, precondition: Precondition
) -> bool:
    """See IInventoryCatalog."""
    if not 0 < package_id <= MAX_ID:
        return False
    row = await tx.fetch_one(PACKAGE_TO_DELETE, project_id=project_id, package_id=package_id)
    if row is None:
        return False
    format, canonical_name, canonical_version, name, version, status, created_at = row
    await demand_unprotected(tx, project_id, format, canonical_name, ProtectedAct.DELETE, principal)
    counted = await tx.fetch_one(NEWEST_FILE, package_id=package_id)
    assert counted is not None
    files, newest_at = counted
    modified_at = from_microseconds(max(created_at, newest_at or 0))
    precondition.demand_unmodified(modified_at, f"the package {name} {version}")
    shown_before = await listed_name(tx, project_id, format, canonical_name)
    await tx.execute(LEAVE_TOMBSTONES, package_id=package_id, now=tx.now)
    await tx.execute(RELEASE_BLOBS, package_id=package_id, now=tx.now)
    await tx.execute(DROP_DOCUMENTS, package_id=package_id)
    gone_bytes = await sum_of_files(tx, SIZE_OF_FILES, {"package_id": package_id})
    await tx.execute(DELETE_FILES, package_id=package_id)
    await tx.execute(DELETE_PACKAGE, package_id=package_id)
    await bump_index(tx, project_id, format, canonical_name, canonical_version, shown_before)
    await add_usage(tx, project_id, -gone_bytes)
    # which files they were, the tombstones tell: the entry stays small however many there were
    more = {"status": status, "files": files}
    entry = told.of_version(AuditAction.DELETE_PACKAGE, project_id, format, name, version, **more)
    await add_audit_entry(tx, principal, entry)
    return True
