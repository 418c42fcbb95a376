"""Blobs one after the other, what is known of their bytes, and who reads all of them: statements, then verbs."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping

from attrs import evolve
from sqlalchemy import bindparam, case, literal_column, null, or_, select, update

from pkgregd.catalog.blobs import blob_info
from pkgregd.catalog.rules import from_microseconds, to_microseconds
from pkgregd.catalog.statement import Row, Statement, Transaction, insert
from pkgregd.catalog.tables import blobs, package_files, packages, projects, scrubs
from pkgregd.interfaces import SCRUB_LEASE_SECONDS
from pkgregd.values import BlobInfo, Damage, Digest, ScrubState, StoredBlob

WRONG_CLOCK_SECONDS = 86_400
"""A time so far ahead is not that of a host whose clock goes a little wrong."""

# =================================================================== statements

_is_used = select(literal_column("1")).where(package_files.c.sha256 == blobs.c.sha256).exists()

_stored = select(
    blobs.c.sha256,
    blobs.c.size_bytes,
    blobs.c.locator,
    blobs.c.digests_json,
    blobs.c.damage,
    case((_is_used, literal_column("1")), else_=literal_column("0")),
    blobs.c.created_at,
)

LIST_BLOBS = Statement(
    _stored.where(blobs.c.sha256 > bindparam("after")).order_by(blobs.c.sha256).limit(bindparam("row_limit"))
)

FIND_STORED = Statement(_stored.where(blobs.c.sha256 == bindparam("sha256")))

NAME_FILES = Statement(
    select(projects.c.path, packages.c.format, packages.c.name, packages.c.version, package_files.c.file_name)
    .select_from(package_files)
    .join(packages, packages.c.id == package_files.c.package_id)
    .join(projects, projects.c.id == packages.c.project_id)
    .where(package_files.c.sha256 == bindparam("sha256"))
    .order_by(package_files.c.id)
    .limit(bindparam("row_limit"))
)

MARK_BLOB = Statement(
    update(blobs)
    .where(blobs.c.sha256 == bindparam("the_sha256"), blobs.c.locator == bindparam("the_locator"))
    .values(damage=bindparam("new_damage"), damaged_at=bindparam("now"))
)

UNMARK_BLOB = Statement(
    update(blobs)
    .where(blobs.c.sha256 == bindparam("the_sha256"), blobs.c.locator == bindparam("the_locator"))
    .values(damage=null(), damaged_at=null())
)

SET_DIGESTS = Statement(
    update(blobs).where(blobs.c.sha256 == bindparam("the_sha256")).values(digests_json=bindparam("new_digests_json"))
)

RESTORE_BLOB = Statement(
    insert(blobs)
    .values(
        sha256=bindparam("sha256"),
        size_bytes=bindparam("size_bytes"),
        locator=bindparam("locator"),
        digests_json=bindparam("digests_json"),
        created_at=bindparam("now"),
        damage=bindparam("damage"),
        damaged_at=bindparam("damaged_at"),
    )
    .on_conflict_do_nothing()
)

REPLACE_DAMAGED = Statement(
    update(blobs)
    .where(blobs.c.sha256 == bindparam("the_sha256"), blobs.c.damage.is_not(null()))
    .values(
        size_bytes=bindparam("new_size_bytes"),
        locator=bindparam("new_locator"),
        digests_json=bindparam("new_digests_json"),
        damage=null(),
        damaged_at=null(),
    )
)

USES = Statement(
    select(literal_column("1")).where(package_files.c.sha256 == bindparam("sha256")).limit(literal_column("1"))
)

_columns = (scrubs.c.position, scrubs.c.blobs, scrubs.c.size_bytes, scrubs.c.damaged, scrubs.c.began_at)

FIND_SCRUB = Statement(
    select(*_columns, scrubs.c.ended_at, scrubs.c.holder, scrubs.c.held_until).where(scrubs.c.id == literal_column("1"))
)

ADD_SCRUB = Statement(
    insert(scrubs)
    .values(
        id=literal_column("1"),
        holder=literal_column("''"),
        held_until=literal_column("0"),
        position=literal_column("''"),
        blobs=literal_column("0"),
        size_bytes=literal_column("0"),
        damaged=literal_column("0"),
        began_at=bindparam("now"),
    )
    .on_conflict_do_nothing()
)

KEEP_SCRUB = Statement(
    update(scrubs)
    .where(
        scrubs.c.id == literal_column("1"),
        or_(
            scrubs.c.holder == bindparam("the_holder"),
            scrubs.c.held_until < bindparam("now"),
            scrubs.c.held_until > bindparam("latest"),
        ),
    )
    .values(
        holder=bindparam("the_holder"),
        held_until=bindparam("new_held_until"),
        position=bindparam("new_position"),
        blobs=bindparam("new_blobs"),
        size_bytes=bindparam("new_size_bytes"),
        damaged=bindparam("new_damaged"),
        began_at=bindparam("new_began_at"),
        ended_at=bindparam("new_ended_at"),
    )
)

RELEASE_SCRUB = Statement(
    update(scrubs).where(scrubs.c.id == literal_column("1")).values(held_until=literal_column("0"))
)

# ======================================================================== blobs


async def list_blobs(tx: Transaction, after: str, limit: int) -> tuple[StoredBlob, ...]:
    """See IUpkeepCatalog."""
    return tuple(_stored_blob(row) for row in await tx.fetch_all(LIST_BLOBS, after=after, row_limit=limit))


async def find_blob(tx: Transaction, sha256: Digest) -> StoredBlob | None:
    """See IUpkeepCatalog."""
    row = await tx.fetch_one(FIND_STORED, sha256=sha256.hex)
    return None if row is None else _stored_blob(row)


async def name_files(tx: Transaction, sha256: Digest, limit: int) -> tuple[str, ...]:
    """See IUpkeepCatalog."""
    rows = await tx.fetch_all(NAME_FILES, sha256=sha256.hex, row_limit=limit)
    return tuple(f"{path}: {' '.join(names)}" for path, *names in rows)


async def mark_blob(tx: Transaction, sha256: Digest, locator: str, damage: Damage | None) -> bool:
    """See IUpkeepCatalog."""
    where = {"the_sha256": sha256.hex, "the_locator": locator}
    if damage is None:
        return await tx.execute(UNMARK_BLOB, **where) > 0
    return await tx.execute(MARK_BLOB, new_damage=damage.value, now=tx.now, **where) > 0


async def set_digests(tx: Transaction, sha256: Digest, digests: Mapping[str, str]) -> bool:
    """See IUpkeepCatalog."""
    text = json.dumps(dict(digests))
    return await tx.execute(SET_DIGESTS, the_sha256=sha256.hex, new_digests_json=text) > 0


async def restore_blob(tx: Transaction, blob: BlobInfo) -> bool:
    """See IUpkeepCatalog."""
    if await tx.fetch_one(USES, sha256=blob.sha256.hex) is None:
        return False
    digests_json = json.dumps(dict(blob.digests))
    if blob.damage is None:
        place = {"new_size_bytes": blob.size_bytes, "new_locator": blob.locator, "new_digests_json": digests_json}
        if await tx.execute(REPLACE_DAMAGED, the_sha256=blob.sha256.hex, **place):
            return True
    added = await tx.execute(
        RESTORE_BLOB,
        sha256=blob.sha256.hex,
        size_bytes=blob.size_bytes,
        locator=blob.locator,
        digests_json=digests_json,
        damage=None if blob.damage is None else blob.damage.value,
        damaged_at=None if blob.damage is None else tx.now,
        now=tx.now,
    )
    return added > 0


def _stored_blob(row: Row) -> StoredBlob:
    *blob, is_used, created_at = row
    return StoredBlob(blob_info(tuple(blob)), bool(is_used), from_microseconds(created_at))


# ======================================================================== scrubs


async def find_scrub(tx: Transaction) -> ScrubState:
    """See IUpkeepCatalog."""
    row = await tx.fetch_one(FIND_SCRUB)
    return ScrubState() if row is None else _state(row)


async def take_scrub(tx: Transaction, holder: str, interval: datetime.timedelta | None) -> ScrubState | None:
    """See IUpkeepCatalog."""
    await tx.execute(ADD_SCRUB, now=tx.now)
    row = await tx.fetch_one(FIND_SCRUB)
    assert row is not None
    *_, held_by, held_until = row
    if interval is None:
        await tx.execute(RELEASE_SCRUB)
    elif held_by != holder and is_held(held_until, tx.now):
        return None
    state = next_round(_state(row), interval, from_microseconds(tx.now))
    if state is not None:
        await keep_scrub(tx, holder, state)
    return state


async def keep_scrub(tx: Transaction, holder: str, state: ScrubState, is_over: bool = False) -> bool:
    """See IUpkeepCatalog."""
    changed = await tx.execute(
        KEEP_SCRUB,
        the_holder=holder,
        new_held_until=tx.now - 1 if is_over else tx.now + SCRUB_LEASE_SECONDS * 1_000_000,
        new_position=state.position,
        new_blobs=state.blobs,
        new_size_bytes=state.size_bytes,
        new_damaged=state.damaged,
        new_began_at=tx.now if state.began_at is None else to_microseconds(state.began_at),
        new_ended_at=None if state.ended_at is None else to_microseconds(state.ended_at),
        now=tx.now,
        latest=tx.now + WRONG_CLOCK_SECONDS * 1_000_000,
    )
    return changed > 0


async def end_scrub(tx: Transaction, holder: str, state: ScrubState) -> bool:
    """See IUpkeepCatalog."""
    return await keep_scrub(tx, holder, ended(state, from_microseconds(tx.now)), is_over=True)


def is_held(held_until: int, now: int) -> bool:
    """Whether somebody has the blobs until then; not if that was said by a clock that has been set back since."""
    return now <= held_until <= now + WRONG_CLOCK_SECONDS * 1_000_000


def ended(state: ScrubState, now: datetime.datetime) -> ScrubState:
    """End a round: after it began, whatever the clock says by now."""
    return evolve(state, ended_at=now if state.began_at is None else max(now, state.began_at))


def next_round(state: ScrubState, interval: datetime.timedelta | None, now: datetime.datetime) -> ScrubState | None:
    """
    Tell where the reading goes on; see IUpkeepCatalog.take_scrub.

    Between two rounds the position is that of the beginning, and a round has ended after it began. One that has not
    ended yet was ended by a clock that has been set back since.
    """
    is_between = state.ended_at is not None and (state.began_at is None or state.ended_at >= state.began_at)
    if interval is None or state.began_at is None:
        return ScrubState(began_at=now, ended_at=state.ended_at)
    if not is_between:
        return state
    assert state.ended_at is not None
    if state.ended_at > now + datetime.timedelta(seconds=WRONG_CLOCK_SECONDS):
        return ScrubState(began_at=now)
    return ScrubState(began_at=now, ended_at=state.ended_at) if now >= state.ended_at + interval else None


def _state(row: Row) -> ScrubState:
    position, count, size_bytes, damaged, began_at, ended_at, *_ = row
    return ScrubState(
        position=position,
        blobs=count,
        size_bytes=size_bytes,
        damaged=damaged,
        began_at=from_microseconds(began_at),
        ended_at=None if ended_at is None else from_microseconds(ended_at),
    )
