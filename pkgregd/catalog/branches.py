"""Names directly below a path that are found by a word: how far they have moved, and their newest versions."""

from __future__ import annotations

import json
from collections.abc import Sequence

from sqlalchemy import ColumnElement, Integer, Text, and_, bindparam, func, literal_column, not_, select

from pkgregd.catalog.rules import index_state as summed_up
from pkgregd.catalog.statement import Statement, Transaction, contains, each_id
from pkgregd.catalog.tables import index_revisions, package_files, packages
from pkgregd.values import IndexState, NewestVersion

_AFTER_SLASH = chr(ord("/") + 1)


def _is_below() -> ColumnElement[bool]:
    """By a range, which an index finds; what is further below is left out."""
    name = index_revisions.c.canonical_name
    return and_(
        index_revisions.c.project_id.op("IN")(each_id(bindparam("project_ids"))),
        index_revisions.c.format == bindparam("format"),
        name >= bindparam("first"),
        name < bindparam("beyond"),
        not_(contains(func.substr(name, bindparam("behind", type_=Integer)), literal_column("'/'"))),
        contains(index_revisions.c.search_text, bindparam("word", type_=Text)),
    )


BRANCH_STATE = Statement(
    select(index_revisions.c.project_id, func.sum(index_revisions.c.revision), func.max(index_revisions.c.changed_at))
    .where(_is_below())
    .group_by(index_revisions.c.project_id)
)

_newest = (
    select(func.max(packages.c.id))
    .select_from(
        index_revisions.join(
            packages,
            and_(
                packages.c.project_id == index_revisions.c.project_id,
                packages.c.format == index_revisions.c.format,
                packages.c.canonical_name == index_revisions.c.canonical_name,
            ),
        )
    )
    .where(
        _is_below(),
        packages.c.status == literal_column("'default'"),
        packages.c.metadata_json != literal_column("'{}'"),
    )
    .group_by(packages.c.canonical_name)
)

_newest_file = (
    select(package_files.c.metadata_json)
    .where(package_files.c.package_id == packages.c.id, package_files.c.metadata_json != literal_column("'{}'"))
    .order_by(package_files.c.created_at.desc(), package_files.c.id.desc())
    .limit(literal_column("1"))
    .scalar_subquery()
)

LIST_BRANCH = Statement(
    select(packages.c.canonical_name, packages.c.version, packages.c.metadata_json, _newest_file)
    .where(packages.c.id.in_(_newest))
    .order_by(packages.c.canonical_name)
    .limit(bindparam("row_limit"))
)


async def branch_state(tx: Transaction, project_ids: Sequence[int], format: str, branch: str, word: str) -> IndexState:
    """
    See IPackageCatalog.

    Each revision of a name is greater than the one before, so their sum counts the changes of all.
    """
    rows = await tx.fetch_all(BRANCH_STATE, **_parameters(project_ids, format, branch, word))
    return summed_up((project_id, int(revision), changed_at) for project_id, revision, changed_at in rows)


async def list_branch(
    tx: Transaction, project_ids: Sequence[int], format: str, branch: str, word: str, limit: int
) -> tuple[NewestVersion, ...]:
    """See IPackageCatalog."""
    rows = await tx.fetch_all(LIST_BRANCH, row_limit=limit, **_parameters(project_ids, format, branch, word))
    return tuple(NewestVersion(name, version, package, file or "{}") for name, version, package, file in rows)


def _parameters(project_ids: Sequence[int], format: str, branch: str, word: str) -> dict[str, object]:
    return {
        "project_ids": json.dumps(list(project_ids)),
        "format": format,
        "first": f"{branch}/",
        "beyond": branch + _AFTER_SLASH,
        "behind": len(branch) + 2,
        "word": word,
    }
