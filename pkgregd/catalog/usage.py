"""
What projects use, and the room that uploads hold in them: statements, then verbs.

The row of a project in `usages` is what everything here waits for: whoever
has changed it in a transaction decides alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import BigInteger, ColumnElement, bindparam, cast, delete, func, select, update

from pkgregd.catalog.rules import MAX_ID
from pkgregd.catalog.statement import Statement, Transaction, insert
from pkgregd.catalog.tables import blobs, package_files, packages, projects, reservations, usages
from pkgregd.errors import ProjectNotFound, QuotaExceeded
from pkgregd.interfaces import LEASE_SECONDS
from pkgregd.values import RecountedUsage, Reservation, Settlement, Usage

# =================================================================== statements


def _sum(column: ColumnElement[int]) -> ColumnElement[int]:
    return cast(func.coalesce(func.sum(column), 0), BigInteger)


def size_of_files(condition: ColumnElement[bool]) -> Statement:
    """Make the statement that adds up the sizes of some files, about to be deleted."""
    query = select(_sum(blobs.c.size_bytes)).select_from(package_files)
    return Statement(query.join(blobs, blobs.c.sha256 == package_files.c.sha256).where(condition))


SIZE_OF_BLOB = Statement(select(blobs.c.size_bytes).where(blobs.c.sha256 == bindparam("sha256")))

PROJECT_IS_THERE = Statement(
    select(projects.c.id).where(projects.c.id == bindparam("project_id")).with_for_update(key_share=True, read=True)
)

_more = insert(usages).values(project_id=bindparam("project_id"), file_bytes=bindparam("more_bytes"))

ADD_USAGE = Statement(
    _more.on_conflict_do_update(
        index_elements=["project_id"], set_={"file_bytes": usages.c.file_bytes + _more.excluded.file_bytes}
    )
)

FILE_BYTES = Statement(select(usages.c.file_bytes).where(usages.c.project_id == bindparam("project_id")))

SET_USAGE = Statement(
    update(usages).where(usages.c.project_id == bindparam("the_project_id")).values(file_bytes=bindparam("new_bytes"))
)

COUNT_FILES = Statement(
    select(_sum(blobs.c.size_bytes))
    .select_from(packages)
    .join(package_files, package_files.c.package_id == packages.c.id)
    .join(blobs, blobs.c.sha256 == package_files.c.sha256)
    .where(packages.c.project_id == bindparam("project_id"))
)

PROJECT_IDS = Statement(
    select(projects.c.id)
    .where(projects.c.id > bindparam("after_id"))
    .order_by(projects.c.id)
    .limit(bindparam("row_limit"))
)

RESERVED_BY_OTHERS = Statement(
    select(_sum(reservations.c.size_bytes)).where(
        reservations.c.project_id == bindparam("project_id"),
        reservations.c.id != bindparam("reservation_id"),
        reservations.c.expires_at > bindparam("now"),
    )
)

RESERVED = Statement(select(reservations.c.size_bytes).where(reservations.c.id == bindparam("reservation_id")))

_reserve = insert(reservations).values(
    id=bindparam("reservation_id"),
    project_id=bindparam("project_id"),
    size_bytes=bindparam("size_bytes"),
    expires_at=bindparam("expires_at"),
)

RESERVE = Statement(
    _reserve.on_conflict_do_update(
        index_elements=["id"],
        set_={"size_bytes": _reserve.excluded.size_bytes, "expires_at": _reserve.excluded.expires_at},
    )
)

KEEP_RESERVED = Statement(
    update(reservations)
    .where(reservations.c.id == bindparam("reservation_id"))
    .values(size_bytes=bindparam("new_size_bytes"))
)

RENEW = Statement(
    update(reservations)
    .where(reservations.c.id == bindparam("reservation_id"))
    .values(expires_at=bindparam("new_expires_at"))
)

RELEASE = Statement(delete(reservations).where(reservations.c.id == bindparam("reservation_id")))

FORGET_EXPIRED = Statement(delete(reservations).where(reservations.c.expires_at <= bindparam("now")))

# ====================================================== for whoever changes files


async def add_usage(tx: Transaction, project_id: int, more_bytes: int) -> None:
    """
    Count bytes that came to a project; those that went are less than nothing.

    Behind the index revisions, wherever both are changed: two that wait for each other wait until the server notices.
    """
    if more_bytes:
        await tx.execute(ADD_USAGE, project_id=project_id, more_bytes=more_bytes)


async def sum_of_files(tx: Transaction, size_of_them: Statement, which: Mapping[str, object]) -> int:
    """
    Add up files that are about to go.

    Args:
        size_of_them: made by size_of_files().
        which: its parameters.
    """
    row = await tx.fetch_one(size_of_them, **which)
    assert row is not None
    return int(row[0])


async def size_of_blob(tx: Transaction, sha256: str) -> int:
    """Return the size of a blob that a file refers to."""
    row = await tx.fetch_one(SIZE_OF_BLOB, sha256=sha256)
    assert row is not None
    return int(row[0])


async def settle(tx: Transaction, project_id: int, added_bytes: int, settlement: Settlement | None) -> None:
    """
    Count what was published, and let go of what was reserved for it.

    What was not reserved, or not any more, needs room now: a daemon may have been stopped for longer than its
    reservations last.

    Raises:
        QuotaExceeded.
    """
    if settlement is None:
        await add_usage(tx, project_id, added_bytes)
        return
    reservation, keep_bytes = settlement.reservation, settlement.keep_bytes
    await tx.execute(ADD_USAGE, project_id=project_id, more_bytes=added_bytes)
    row = await tx.fetch_one(RESERVED, reservation_id=reservation.id)
    held_bytes = 0 if row is None else row[0]
    if keep_bytes:
        await tx.execute(KEEP_RESERVED, reservation_id=reservation.id, new_size_bytes=keep_bytes)
    else:
        await tx.execute(RELEASE, reservation_id=reservation.id)
    needed_bytes = added_bytes + keep_bytes
    if needed_bytes > held_bytes:
        room_bytes = await _room(tx, reservation) + added_bytes
        if needed_bytes > room_bytes:
            raise QuotaExceeded(reservation.quota_bytes, max(0, room_bytes), needed_bytes)


async def _room(tx: Transaction, reservation: Reservation) -> int:
    """Return what of a quota is neither used nor reserved by others; less than nothing if it is too much already."""
    project_id = reservation.project_id
    used = await tx.fetch_one(FILE_BYTES, project_id=project_id)
    others = await tx.fetch_one(RESERVED_BY_OTHERS, project_id=project_id, reservation_id=reservation.id, now=tx.now)
    assert used is not None
    assert others is not None
    return int(reservation.quota_bytes - used[0] - others[0])


# ======================================================================== verbs


async def reserve(tx: Transaction, reservation: Reservation, needed_bytes: int, wanted_bytes: int) -> int:
    """See IUsageCatalog."""
    project_id = reservation.project_id
    if await tx.fetch_one(PROJECT_IS_THERE, project_id=project_id) is None:
        raise ProjectNotFound
    await tx.execute(ADD_USAGE, project_id=project_id, more_bytes=0)
    await tx.execute(FORGET_EXPIRED, now=tx.now)
    room_bytes = max(0, await _room(tx, reservation))
    if needed_bytes > room_bytes:
        raise QuotaExceeded(reservation.quota_bytes, room_bytes, needed_bytes)
    held_bytes = min(max(needed_bytes, wanted_bytes), room_bytes)
    await tx.execute(
        RESERVE,
        reservation_id=reservation.id,
        project_id=project_id,
        size_bytes=held_bytes,
        expires_at=_lease_end(tx),
    )
    return held_bytes


async def renew(tx: Transaction, reservation_ids: Sequence[str]) -> None:
    """See IUsageCatalog."""
    for reservation_id in reservation_ids:
        await tx.execute(RENEW, reservation_id=reservation_id, new_expires_at=_lease_end(tx))


async def release(tx: Transaction, reservation_id: str) -> None:
    """See IUsageCatalog."""
    await tx.execute(RELEASE, reservation_id=reservation_id)


async def find_usage(tx: Transaction, project_id: int) -> Usage:
    """See IUsageCatalog."""
    used = await tx.fetch_one(FILE_BYTES, project_id=project_id)
    reserved = await tx.fetch_one(RESERVED_BY_OTHERS, project_id=project_id, reservation_id="", now=tx.now)
    assert reserved is not None
    return Usage(0 if used is None else used[0], reserved[0])


async def list_project_ids(tx: Transaction, after: int, limit: int) -> tuple[int, ...]:
    """See IUsageCatalog."""
    if after >= MAX_ID:
        return ()
    return tuple(row[0] for row in await tx.fetch_all(PROJECT_IDS, after_id=after, row_limit=limit))


async def recount_usage(tx: Transaction, project_id: int) -> RecountedUsage | None:
    """See IUsageCatalog."""
    if await tx.fetch_one(PROJECT_IS_THERE, project_id=project_id) is None:
        return None
    await tx.execute(ADD_USAGE, project_id=project_id, more_bytes=0)
    counted = await tx.fetch_one(FILE_BYTES, project_id=project_id)
    found = await tx.fetch_one(COUNT_FILES, project_id=project_id)
    assert counted is not None
    assert found is not None
    if counted[0] != found[0]:
        await tx.execute(SET_USAGE, the_project_id=project_id, new_bytes=found[0])
    return RecountedUsage(project_id, counted[0], found[0])


def _lease_end(tx: Transaction) -> int:
    return tx.now + LEASE_SECONDS * 1_000_000
