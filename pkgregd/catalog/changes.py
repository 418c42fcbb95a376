"""Changes of indexes: counted, and the last ones remembered, so that pages need not be made from nothing."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, and_, bindparam, delete, literal_column, select, update

from pkgregd.catalog.rules import KEPT_CHANGES, MAX_ID, search_text
from pkgregd.catalog.statement import Statement, Transaction, insert
from pkgregd.catalog.tables import index_changes, index_revisions

_first_revision = insert(index_revisions).values(
    project_id=bindparam("project_id"),
    format=bindparam("format"),
    canonical_name=bindparam("canonical_name"),
    revision=literal_column("1"),
    changed_at=bindparam("now"),
    search_text=bindparam("search_text"),
)

BUMP_REVISION = Statement(
    _first_revision.on_conflict_do_update(
        index_elements=["project_id", "format", "canonical_name"],
        set_={
            "revision": index_revisions.c.revision + literal_column("1"),
            "changed_at": _first_revision.excluded.changed_at,
        },
    )
)

_of_name: ColumnElement[bool] = and_(
    index_changes.c.project_id == bindparam("project_id"),
    index_changes.c.format == bindparam("format"),
    index_changes.c.canonical_name == bindparam("canonical_name"),
)

_present_revision = (
    select(index_revisions.c.revision)
    .where(
        index_revisions.c.project_id == bindparam("project_id"),
        index_revisions.c.format == bindparam("format"),
        index_revisions.c.canonical_name == bindparam("canonical_name"),
    )
    .scalar_subquery()
)

ADD_CHANGE = Statement(
    insert(index_changes).from_select(
        ["project_id", "format", "canonical_name", "revision", "canonical_version"],
        select(
            index_revisions.c.project_id,
            index_revisions.c.format,
            index_revisions.c.canonical_name,
            index_revisions.c.revision,
            bindparam("canonical_version", type_=index_changes.c.canonical_version.type),
        ).where(
            index_revisions.c.project_id == bindparam("project_id"),
            index_revisions.c.format == bindparam("format"),
            index_revisions.c.canonical_name == bindparam("canonical_name"),
        ),
    )
)

FORGET_CHANGES = Statement(
    delete(index_changes).where(
        _of_name, index_changes.c.revision <= _present_revision - literal_column(str(KEPT_CHANGES))
    )
)

LIST_CHANGES = Statement(
    select(index_changes.c.canonical_version).where(
        _of_name, index_changes.c.revision > bindparam("after"), index_changes.c.revision <= bindparam("upto")
    )
)


KEEP_SUMMARY = Statement(
    update(index_revisions)
    .where(
        index_revisions.c.project_id == bindparam("project_id"),
        index_revisions.c.format == bindparam("format"),
        index_revisions.c.canonical_name == bindparam("canonical_name"),
        index_revisions.c.search_text != bindparam("new_search_text"),
    )
    .values(search_text=bindparam("new_search_text"))
)


async def count_change(tx: Transaction, project_id: int, format: str, canonical_name: str) -> None:
    """Move an index on by one."""
    await tx.execute(
        BUMP_REVISION,
        project_id=project_id,
        format=format,
        canonical_name=canonical_name,
        search_text=search_text(canonical_name),
        now=tx.now,
    )


async def record_change(
    tx: Transaction, project_id: int, format: str, canonical_name: str, canonical_version: str
) -> None:
    """Move the index of a name on by one, keep which version that was about, and forget what is long ago."""
    name = {"project_id": project_id, "format": format, "canonical_name": canonical_name}
    await count_change(tx, project_id, format, canonical_name)
    await tx.execute(ADD_CHANGE, canonical_version=canonical_version, **name)
    await tx.execute(FORGET_CHANGES, **name)


async def record_changes(
    tx: Transaction, project_id: int, format: str, canonical_name: str, canonical_versions: Sequence[str]
) -> None:
    """
    Do so for some versions; of more than are remembered none is, and the index moves on by one.

    A page is then made anew: who asks what changed is told that it is not known.
    """
    if len(canonical_versions) <= KEPT_CHANGES:
        for canonical_version in canonical_versions:
            await record_change(tx, project_id, format, canonical_name, canonical_version)
    else:
        await count_change(tx, project_id, format, canonical_name)


async def keep_summary(tx: Transaction, project_id: int, format: str, canonical_name: str, summary: str) -> None:
    """Have a name found by what was said of it, if anything was."""
    if summary:
        await tx.execute(
            KEEP_SUMMARY,
            project_id=project_id,
            format=format,
            canonical_name=canonical_name,
            new_search_text=search_text(canonical_name, summary),
        )


async def list_changes(
    tx: Transaction, project_id: int, format: str, canonical_name: str, after: int, upto: int
) -> frozenset[str] | None:
    """See IPackageCatalog."""
    if not 0 <= upto - after <= KEPT_CHANGES or upto > MAX_ID:
        return None
    rows = await tx.fetch_all(
        LIST_CHANGES, project_id=project_id, format=format, canonical_name=canonical_name, after=after, upto=upto
    )
    return frozenset(row[0] for row in rows) if len(rows) == upto - after else None
