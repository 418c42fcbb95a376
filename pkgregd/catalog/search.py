"""Search for names: by the name itself and by what was said of it at its last publish."""

from __future__ import annotations

import json
from collections.abc import Sequence

from sqlalchemy import ColumnElement, Text, and_, bindparam, func, literal_column, select

from pkgregd.catalog.packages import listed_name
from pkgregd.catalog.rules import MAX_SEARCH_WORDS, search_words
from pkgregd.catalog.statement import LIKE_ESCAPE, Statement, Transaction, containing, each_id
from pkgregd.catalog.tables import index_revisions, packages
from pkgregd.values import NameListing, PackageName, Piece

_listed = select(packages.c.name).where(
    packages.c.project_id == index_revisions.c.project_id,
    packages.c.format == index_revisions.c.format,
    packages.c.canonical_name == index_revisions.c.canonical_name,
    packages.c.status == literal_column("'default'"),
)


def _matches() -> ColumnElement[bool]:
    return and_(
        index_revisions.c.project_id.op("IN")(each_id(bindparam("project_ids"))),
        index_revisions.c.format == bindparam("format"),
        index_revisions.c.canonical_name != literal_column("''"),
        *(
            index_revisions.c.search_text.like(bindparam(f"word_{number}", type_=Text), escape=LIKE_ESCAPE)
            for number in range(MAX_SEARCH_WORDS)
        ),
        _listed.exists(),
    )


_is_other = index_revisions.c.canonical_name != bindparam("exact")

FIND_NAMES = Statement(
    select(
        index_revisions.c.canonical_name,
        func.max(index_revisions.c.project_id),
    )
    .where(_matches())
    .group_by(index_revisions.c.canonical_name)
    .order_by(_is_other, index_revisions.c.canonical_name)
    .limit(bindparam("limit"))
    .offset(bindparam("offset"))
)

COUNT_NAMES = Statement(select(func.count(index_revisions.c.canonical_name.distinct())).where(_matches()))


async def search_names(
    tx: Transaction, project_ids: Sequence[int], format: str, text: str, piece: Piece
) -> NameListing:
    """See IPackageCatalog."""
    words = search_words(text)
    patterns = [containing(word) for word in words] + ["%"] * (MAX_SEARCH_WORDS - len(words))
    parameters: dict[str, object] = {f"word_{number}": pattern for number, pattern in enumerate(patterns)}
    parameters |= {"project_ids": json.dumps(list(project_ids)), "format": format}
    counted = await tx.fetch_one(COUNT_NAMES, **parameters)
    assert counted is not None
    rows = await tx.fetch_all(
        FIND_NAMES, exact=text.strip().casefold(), limit=piece.limit, offset=piece.offset, **parameters
    )
    names = []
    for canonical_name, project_id in rows:
        name = await listed_name(tx, project_id, format, canonical_name)
        assert name is not None
        names.append(PackageName(canonical_name, name))
    return NameListing(tuple(names), counted[0])
