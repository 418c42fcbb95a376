"""Which blobs there are, and which are needed: statements, then verbs."""

from __future__ import annotations

import datetime
import json

from sqlalchemy import bindparam, delete, func, literal_column, null, select, update

from pkgregd.catalog.rules import to_microseconds
from pkgregd.catalog.statement import Row, Statement, Transaction, insert
from pkgregd.catalog.tables import blobs, package_files, packages
from pkgregd.catalog.usage import add_usage
from pkgregd.values import BlobInfo, Damage, Digest

# =================================================================== statements

_is_used = select(literal_column("1")).where(package_files.c.sha256 == blobs.c.sha256).exists()

FIND_BLOB = Statement(
    select(blobs.c.digests_json, blobs.c.released_at, blobs.c.damage, blobs.c.size_bytes)
    .where(blobs.c.sha256 == bindparam("sha256"))
    .with_for_update()
)

ADD_BLOB = Statement(
    insert(blobs)
    .values(
        sha256=bindparam("sha256"),
        size_bytes=bindparam("size_bytes"),
        locator=bindparam("locator"),
        digests_json=bindparam("digests_json"),
        created_at=bindparam("now"),
    )
    .on_conflict_do_nothing()
)

KEEP_BLOB = Statement(
    update(blobs)
    .where(blobs.c.sha256 == bindparam("the_sha256"))
    .values(digests_json=bindparam("new_digests_json"), released_at=null())
)

MEND_BLOB = Statement(
    update(blobs)
    .where(blobs.c.sha256 == bindparam("the_sha256"))
    .values(
        size_bytes=bindparam("new_size_bytes"),
        locator=bindparam("new_locator"),
        digests_json=bindparam("new_digests_json"),
        released_at=null(),
        damage=null(),
        damaged_at=null(),
    )
)

RELEASE_BLOB = Statement(
    update(blobs).where(blobs.c.sha256 == bindparam("the_sha256"), ~_is_used).values(released_at=bindparam("now"))
)

USES_OF_BLOB = Statement(
    select(literal_column("1"))
    .select_from(package_files)
    .where(package_files.c.sha256 == bindparam("sha256"))
    .limit(literal_column("1"))
)

PROJECTS_OF_BLOB = Statement(
    select(packages.c.project_id, func.count())
    .select_from(package_files)
    .join(packages, packages.c.id == package_files.c.package_id)
    .where(package_files.c.sha256 == bindparam("sha256"))
    .group_by(packages.c.project_id)
    .order_by(packages.c.project_id)
)

USES_OF_COPY = Statement(
    select(literal_column("1"))
    .select_from(package_files.outerjoin(blobs, package_files.c.sha256 == blobs.c.sha256))
    # a file whose blob has lost its row may need any copy
    .where(
        package_files.c.sha256 == bindparam("sha256"),
        blobs.c.locator.is_(null()) | (blobs.c.locator == bindparam("locator")),
    )
    .limit(literal_column("1"))
)

FORGET_BLOB = Statement(delete(blobs).where(blobs.c.sha256 == bindparam("the_sha256"), ~_is_used))

FORGET_COPY = Statement(
    delete(blobs).where(
        blobs.c.sha256 == bindparam("the_sha256"), blobs.c.locator == bindparam("the_locator"), ~_is_used
    )
)

MOVE_BLOB = Statement(
    update(blobs)
    .where(blobs.c.sha256 == bindparam("the_sha256"), blobs.c.locator == bindparam("old_locator"))
    .values(locator=bindparam("new_locator"), damage=null(), damaged_at=null())
)

LOCATOR_OF_BLOB = Statement(select(blobs.c.locator).where(blobs.c.sha256 == bindparam("sha256")))

_blob_columns = select(blobs.c.sha256, blobs.c.size_bytes, blobs.c.locator, blobs.c.digests_json, blobs.c.damage)

UNUSED_BLOBS = Statement(
    _blob_columns.where(
        blobs.c.sha256 > bindparam("after"),
        func.coalesce(blobs.c.released_at, blobs.c.created_at) < bindparam("before"),
        ~_is_used,
    )
    .order_by(blobs.c.sha256)
    .limit(bindparam("row_limit"))
)

# ======================================================================== verbs


async def adopt_blob(tx: Transaction, blob: BlobInfo) -> None:
    """
    Make sure that a blob has a row, with every digest known of it.

    The first locator stays: other rows' readers may be on their way to it. But where the first bytes are known to be
    damaged, these, which were checked a moment ago, take their place.
    """
    row = await tx.fetch_one(FIND_BLOB, sha256=blob.sha256.hex)
    if row is None:
        await tx.execute(
            ADD_BLOB,
            sha256=blob.sha256.hex,
            size_bytes=blob.size_bytes,
            locator=blob.locator,
            digests_json=json.dumps(dict(blob.digests)),
            now=tx.now,
        )
        return
    digests_json, released_at, damage, size_bytes = row
    known = read_digests(digests_json)
    merged = {**blob.digests, **known}
    if damage is not None:
        await tx.execute(
            MEND_BLOB,
            the_sha256=blob.sha256.hex,
            new_size_bytes=blob.size_bytes,
            new_locator=blob.locator,
            new_digests_json=json.dumps({**known, **blob.digests}),
        )
        await _count_again(tx, blob.sha256.hex, blob.size_bytes - size_bytes)
    elif merged != known or released_at is not None:
        await tx.execute(KEEP_BLOB, the_sha256=blob.sha256.hex, new_digests_json=json.dumps(merged))


async def _count_again(tx: Transaction, sha256: str, more_bytes: int) -> None:
    """Have projects use what their files of a blob take, of which it had been forgotten how much that is."""
    if more_bytes:
        for project_id, count in await tx.fetch_all(PROJECTS_OF_BLOB, sha256=sha256):
            await add_usage(tx, project_id, count * more_bytes)


async def release_blob(tx: Transaction, sha256: str) -> None:
    """Note the time if no file refers to the blob any more."""
    await tx.execute(RELEASE_BLOB, the_sha256=sha256, now=tx.now)


async def is_blob_unused(tx: Transaction, sha256: Digest, locator: str | None = None) -> bool:
    """See IBlobCatalog."""
    if locator is None:
        return await tx.fetch_one(USES_OF_BLOB, sha256=sha256.hex) is None
    return await tx.fetch_one(USES_OF_COPY, sha256=sha256.hex, locator=locator) is None


async def forget_blob(tx: Transaction, sha256: Digest, locator: str | None = None) -> bool:
    """See IBlobCatalog."""
    if locator is None:
        await tx.execute(FORGET_BLOB, the_sha256=sha256.hex)
    else:
        await tx.execute(FORGET_COPY, the_sha256=sha256.hex, the_locator=locator)
    return await is_blob_unused(tx, sha256, locator)


async def move_blob(tx: Transaction, sha256: Digest, locator: str, new_locator: str) -> bool:
    """See IBlobCatalog."""
    await tx.execute(MOVE_BLOB, the_sha256=sha256.hex, old_locator=locator, new_locator=new_locator)
    row = await tx.fetch_one(LOCATOR_OF_BLOB, sha256=sha256.hex)
    return row is not None and row[0] == new_locator


async def find_unused_blobs(
    tx: Transaction, before: datetime.datetime, limit: int, after: str = ""
) -> tuple[BlobInfo, ...]:
    """See IBlobCatalog."""
    rows = await tx.fetch_all(UNUSED_BLOBS, before=to_microseconds(before), after=after, row_limit=limit)
    return tuple(blob_info(row) for row in rows)


def blob_info(row: Row) -> BlobInfo:
    """Make a blob of its sha256, size, locator, digests and damage."""
    sha256, size_bytes, locator, digests_json, damage = row
    digests = read_digests(digests_json)
    return BlobInfo(Digest("sha256", sha256), size_bytes, locator, digests, None if damage is None else Damage(damage))


def read_digests(digests_json: str) -> dict[str, str]:
    """Return the digests of a blob; none of a row that is damaged, which fsck then tells."""
    try:
        digests = json.loads(digests_json)
    except ValueError:
        return {}
    return digests if isinstance(digests, dict) else {}
