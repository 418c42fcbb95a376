"""
Rows that are wrong, and how each is mended: a statement for each kind, then verbs.

Each statement goes on behind a key, so that a catalog of any size is looked at in pages, and looks at all rows of a
table. A page is one snapshot: what a running daemon changes in one transaction is never seen half done.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from attrs import frozen
from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    FromClause,
    and_,
    bindparam,
    cast,
    delete,
    func,
    literal_column,
    null,
    or_,
    select,
    tuple_,
    update,
)

from pkgregd.catalog.blobs import RELEASE_BLOB
from pkgregd.catalog.changes import count_change
from pkgregd.catalog.package_reading import listed_name
from pkgregd.catalog.packages import DELETE_EMPTY_PACKAGE, bump_index
from pkgregd.catalog.statement import Row, Statement, Transaction
from pkgregd.catalog.tables import (
    blobs,
    documents,
    file_keys,
    index_changes,
    index_revisions,
    package_files,
    packages,
    projects,
    reservations,
    tags,
    unconfirmed_files,
    usages,
)
from pkgregd.catalog.usage import recount_usage
from pkgregd.interfaces import STALE_SECONDS
from pkgregd.values import CatalogCheck, Digest, Fault

Key = tuple[int | str, ...]

# =================================================================== statements


@frozen
class _Look:
    """
    How one kind of fault is found.

    Attributes:
        page: answers the key, then what `where` needs; its parameters are after_0, after_1…
        first: a key below all others.
        where: tells which row it is.
        mend: mends the row of a key.
        about_blob: whether the last column is the sha256 of a blob.
    """

    page: Statement
    first: Key
    where: Callable[[Row], str]
    mend: Callable[[Transaction, Key], Awaitable[bool]] | None = None
    about_blob: bool = False


def _pages(
    keys: Sequence[Column[Any]], more: Sequence[ColumnElement[Any]], source: FromClause, fault: ColumnElement[bool]
) -> Statement:
    """Make the statement that lists faults behind a key."""
    bounds = [bindparam(f"after_{number}", type_=key.type) for number, key in enumerate(keys)]
    behind = keys[0] > bounds[0] if len(keys) == 1 else tuple_(*keys) > tuple_(*bounds)
    query = select(*keys, *more).select_from(source).where(behind, fault)
    return Statement(query.order_by(*keys).limit(bindparam("row_limit")))


def _any(*conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    return select(literal_column("1")).where(*conditions).exists()


def _same_name(one: FromClause, other: FromClause) -> ColumnElement[bool]:
    return and_(*(one.c[name] == other.c[name] for name in ("project_id", "format", "canonical_name")))


_is_used = _any(package_files.c.sha256 == blobs.c.sha256)
_has_file = _any(package_files.c.package_id == packages.c.id)
_has_project = _any(projects.c.id == packages.c.project_id)
_older = packages.alias("older")
_tagged = _any(packages.c.id == tags.c.package_id, _same_name(packages, tags))

# in one pass over all files: project by project PostgreSQL would go through all of them for each
_found = (
    select(
        packages.c.project_id,
        cast(func.coalesce(func.sum(blobs.c.size_bytes), literal_column("0")), BigInteger).label("file_bytes"),
        # what such a file takes nobody knows
        (func.count() - func.count(blobs.c.sha256)).label("lost_files"),
    )
    .select_from(packages)
    .join(package_files, package_files.c.package_id == packages.c.id)
    .outerjoin(blobs, blobs.c.sha256 == package_files.c.sha256)
    .where(packages.c.project_id > bindparam("after_0", type_=projects.c.id.type))
    .group_by(packages.c.project_id)
    .subquery("found")
)
_usage = projects.outerjoin(usages, usages.c.project_id == projects.c.id).outerjoin(
    _found, _found.c.project_id == projects.c.id
)
_counted = func.coalesce(usages.c.file_bytes, literal_column("0"))
_file_bytes = func.coalesce(_found.c.file_bytes, literal_column("0"))
_lost_files = func.coalesce(_found.c.lost_files, literal_column("0"))

_is_stale = reservations.c.expires_at < bindparam("stale_before", type_=BigInteger)

_key_and_file = file_keys.outerjoin(package_files, package_files.c.id == file_keys.c.file_id).outerjoin(
    packages, packages.c.id == package_files.c.package_id
)

# ======================================================================= mending

USE_BLOB = Statement(
    update(blobs).where(blobs.c.sha256 == bindparam("the_sha256"), _is_used).values(released_at=null())
)

NAME_OF_PACKAGE = Statement(
    select(packages.c.project_id, packages.c.format, packages.c.canonical_name, packages.c.canonical_version).where(
        packages.c.id == bindparam("package_id")
    )
)

CATCH_UP = Statement(
    update(index_revisions)
    .where(
        index_revisions.c.project_id == bindparam("the_project_id"),
        index_revisions.c.format == bindparam("the_format"),
        index_revisions.c.canonical_name == bindparam("the_canonical_name"),
    )
    .values(
        changed_at=bindparam("now"),
        # beyond all that were given out, as far as that is known
        revision=func.coalesce(
            select(func.max(index_changes.c.revision))
            .where(_same_name(index_changes, index_revisions))
            .scalar_subquery(),
            index_revisions.c.revision,
        )
        + literal_column("1"),
    )
)

REMOVE_TAG = Statement(
    delete(tags).where(
        tags.c.project_id == bindparam("project_id"),
        tags.c.format == bindparam("format"),
        tags.c.canonical_name == bindparam("canonical_name"),
        tags.c.tag == bindparam("tag"),
        # not one that somebody has pointed at a version since it was found
        ~_tagged,
    )
)

FORGET_STALE = Statement(delete(reservations).where(reservations.c.id == bindparam("reservation_id"), _is_stale))

REMOVE_DOCUMENT = Statement(
    delete(documents).where(documents.c.file_id == bindparam("file_id"), documents.c.name == bindparam("name"))
)

REMOVE_KEY = Statement(
    delete(file_keys).where(
        file_keys.c.project_id == bindparam("project_id"),
        file_keys.c.format == bindparam("format"),
        file_keys.c.key == bindparam("key"),
        file_keys.c.file_id == bindparam("file_id"),
    )
)

REMOVE_UNCONFIRMED = Statement(delete(unconfirmed_files).where(unconfirmed_files.c.file_id == bindparam("file_id")))


async def _release(tx: Transaction, key: Key) -> bool:
    return await tx.execute(RELEASE_BLOB, the_sha256=key[0], now=tx.now) > 0


async def _use(tx: Transaction, key: Key) -> bool:
    return await tx.execute(USE_BLOB, the_sha256=key[0]) > 0


async def _remove_package(tx: Transaction, key: Key) -> bool:
    row = await tx.fetch_one(NAME_OF_PACKAGE, package_id=key[0])
    if row is None:
        return False
    project_id, format, canonical_name, canonical_version = row
    shown_before = await listed_name(tx, project_id, format, canonical_name)
    if not await tx.execute(DELETE_EMPTY_PACKAGE, package_id=key[0]):
        return False
    await bump_index(tx, project_id, format, canonical_name, canonical_version, shown_before)
    return True


async def _count_name(tx: Transaction, key: Key) -> bool:
    row = await tx.fetch_one(NAME_OF_PACKAGE, package_id=key[0])
    if row is None:
        return False
    project_id, format, canonical_name, _ = row
    await count_change(tx, project_id, format, canonical_name)
    return await _catch_up(tx, (project_id, format, canonical_name))


async def _catch_up(tx: Transaction, key: Key) -> bool:
    project_id, format, canonical_name = key
    names = {"the_project_id": project_id, "the_format": format, "the_canonical_name": canonical_name}
    return await tx.execute(CATCH_UP, now=tx.now, **names) > 0


async def _recount(tx: Transaction, key: Key) -> bool:
    recounted = await recount_usage(tx, int(key[0]))
    return recounted is not None and recounted.counted_bytes != recounted.file_bytes


async def _remove_tag(tx: Transaction, key: Key) -> bool:
    project_id, format, canonical_name, tag = key
    removed = await tx.execute(REMOVE_TAG, project_id=project_id, format=format, canonical_name=canonical_name, tag=tag)
    if removed:
        await count_change(tx, int(project_id), str(format), str(canonical_name))
    return removed > 0


async def _forget_reservation(tx: Transaction, key: Key) -> bool:
    return await tx.execute(FORGET_STALE, reservation_id=key[0], stale_before=_stale_before(tx)) > 0


async def _remove_document(tx: Transaction, key: Key) -> bool:
    file_id, name = key
    return await tx.execute(REMOVE_DOCUMENT, file_id=file_id, name=name) > 0


async def _remove_key(tx: Transaction, key: Key) -> bool:
    project_id, format, text, file_id = key
    return await tx.execute(REMOVE_KEY, project_id=project_id, format=format, key=text, file_id=file_id) > 0


async def _remove_unconfirmed(tx: Transaction, key: Key) -> bool:
    return await tx.execute(REMOVE_UNCONFIRMED, file_id=key[0]) > 0


# ======================================================================= the kinds

LOOKS: Mapping[CatalogCheck, _Look] = {
    CatalogCheck.UNRELEASED_BLOB: _Look(
        _pages([blobs.c.sha256], [blobs.c.sha256], blobs, and_(blobs.c.released_at.is_(null()), ~_is_used)),
        ("",),
        lambda row: f"blob {row[0]}",
        _release,
        about_blob=True,
    ),
    CatalogCheck.RELEASED_BLOB: _Look(
        _pages([blobs.c.sha256], [blobs.c.sha256], blobs, and_(blobs.c.released_at.is_not(null()), _is_used)),
        ("",),
        lambda row: f"blob {row[0]}",
        _use,
        about_blob=True,
    ),
    CatalogCheck.FILE_WITHOUT_BLOB: _Look(
        _pages(
            [package_files.c.id],
            [package_files.c.package_id, package_files.c.file_name, package_files.c.sha256],
            package_files,
            ~_any(blobs.c.sha256 == package_files.c.sha256),
        ),
        (0,),
        lambda row: f"file {row[0]} ({row[2]}) of package {row[1]}",
        about_blob=True,
    ),
    CatalogCheck.FILE_WITHOUT_PACKAGE: _Look(
        _pages(
            [package_files.c.id],
            [package_files.c.package_id, package_files.c.file_name, package_files.c.sha256],
            package_files,
            ~_any(packages.c.id == package_files.c.package_id),
        ),
        (0,),
        lambda row: f"file {row[0]} ({row[2]}) of package {row[1]}",
        about_blob=True,
    ),
    CatalogCheck.PACKAGE_WITHOUT_PROJECT: _Look(
        _pages([packages.c.id], [packages.c.project_id, packages.c.name, packages.c.version], packages, ~_has_project),
        (0,),
        lambda row: f"package {row[0]} ({row[2]} {row[3]}) of project {row[1]}",
    ),
    CatalogCheck.EMPTY_PACKAGE: _Look(
        _pages(
            [packages.c.id],
            [packages.c.project_id, packages.c.format, packages.c.name, packages.c.version],
            packages,
            and_(~_has_file, _has_project),
        ),
        (0,),
        lambda row: f"package {row[0]} ({row[2]} {row[3]} {row[4]}) of project {row[1]}",
        _remove_package,
    ),
    CatalogCheck.MISSING_REVISION: _Look(
        _pages(
            [packages.c.id],
            [packages.c.project_id, packages.c.format, packages.c.canonical_name],
            packages,
            and_(
                ~_any(_same_name(index_revisions, packages)),
                ~_any(_same_name(_older, packages), _older.c.id < packages.c.id),
                _has_project,
            ),
        ),
        (0,),
        lambda row: f"{row[2]} {row[3]} in project {row[1]}",
        _count_name,
    ),
    CatalogCheck.REVISION_BEHIND: _Look(
        _pages(
            [index_revisions.c.project_id, index_revisions.c.format, index_revisions.c.canonical_name],
            [],
            index_revisions,
            _any(_same_name(index_changes, index_revisions), index_changes.c.revision > index_revisions.c.revision),
        ),
        (0, "", ""),
        lambda row: f"{row[1]} {row[2]} in project {row[0]}",
        _catch_up,
    ),
    CatalogCheck.WRONG_USAGE: _Look(
        _pages(
            [projects.c.id],
            [_counted, _file_bytes],
            _usage,
            and_(_counted != _file_bytes, _lost_files == literal_column("0")),
        ),
        (0,),
        lambda row: f"project {row[0]}: {row[1]} bytes are counted, there are {row[2]}",
        _recount,
    ),
    CatalogCheck.DANGLING_TAG: _Look(
        _pages(
            [tags.c.project_id, tags.c.format, tags.c.canonical_name, tags.c.tag],
            [],
            tags,
            ~_tagged,
        ),
        (0, "", "", ""),
        lambda row: f"tag {row[3]} of {row[1]} {row[2]} in project {row[0]}",
        _remove_tag,
    ),
    CatalogCheck.STALE_RESERVATION: _Look(
        _pages(
            [reservations.c.id],
            [reservations.c.project_id, reservations.c.size_bytes],
            reservations,
            _is_stale,
        ),
        ("",),
        lambda row: f"reservation {row[0]} of {row[2]} bytes in project {row[1]}",
        _forget_reservation,
    ),
    CatalogCheck.ORPHAN_DOCUMENT: _Look(
        _pages(
            [documents.c.file_id, documents.c.name], [], documents, ~_any(package_files.c.id == documents.c.file_id)
        ),
        (0, ""),
        lambda row: f"document {row[1]} of file {row[0]}",
        _remove_document,
    ),
    CatalogCheck.ORPHAN_KEY: _Look(
        _pages(
            [file_keys.c.project_id, file_keys.c.format, file_keys.c.key, file_keys.c.file_id],
            [],
            _key_and_file,
            or_(
                package_files.c.id.is_(null()),
                packages.c.project_id != file_keys.c.project_id,
                packages.c.format != file_keys.c.format,
            ),
        ),
        (0, "", "", 0),
        lambda row: f"key {row[2]} of file {row[3]} for {row[1]} in project {row[0]}",
        _remove_key,
    ),
    CatalogCheck.ORPHAN_UNCONFIRMED: _Look(
        _pages(
            [unconfirmed_files.c.file_id],
            [],
            unconfirmed_files,
            ~_any(package_files.c.id == unconfirmed_files.c.file_id),
        ),
        (0,),
        lambda row: f"file {row[0]}, which awaits a checksum",
        _remove_unconfirmed,
    ),
}

# ======================================================================== verbs


async def find_faults(tx: Transaction, check: CatalogCheck, after: Key | None, limit: int) -> tuple[Fault, ...]:
    """See IUpkeepCatalog."""
    look = LOOKS[check]
    bounds = {f"after_{number}": part for number, part in enumerate(look.first if after is None else after)}
    stale = {"stale_before": _stale_before(tx)} if check is CatalogCheck.STALE_RESERVATION else {}
    rows = await tx.fetch_all(look.page, row_limit=limit, **bounds, **stale)
    return tuple(_fault(look, row) for row in rows)


def _fault(look: _Look, row: Row) -> Fault:
    sha256 = Digest("sha256", row[-1]) if look.about_blob else None
    return Fault(tuple(row[: len(look.first)]), look.where(row), sha256)


async def mend_fault(tx: Transaction, check: CatalogCheck, fault: Fault) -> bool:
    """See IUpkeepCatalog."""
    mend = LOOKS[check].mend
    return mend is not None and await mend(tx, fault.key)


def _stale_before(tx: Transaction) -> int:
    return tx.now - STALE_SECONDS * 1_000_000
