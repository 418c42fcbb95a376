"""Search for names: by the name itself and by what was said of it at its last publish."""

from __future__ import annotations

import json
from collections.abc import Sequence

from sqlalchemy import ColumnElement, Text, and_, bindparam, func, literal_column, select

from pkgregd.catalog.packages import find_name
from pkgregd.catalog.rules import MAX_SEARCH_WORDS, search_words
from pkgregd.catalog.statement import Statement, Transaction, contains, each_id
from pkgregd.catalog.tables import index_revisions, packages
from pkgregd.values import NameListing, Piece

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
            contains(index_revisions.c.search_text, bindparam(f"word_{number}", type_=Text))
            for number in range(MAX_SEARCH_WORDS)
        ),
        _listed.exists(),
    )


_is_other = index_revisions.c.canonical_name != bindparam("exact")

FIND_NAMES = Statement(
    select(index_revisions.c.canonical_name)
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
    # every text contains the empty one
    parameters: dict[str, object] = dict.fromkeys((f"word_{number}" for number in range(MAX_SEARCH_WORDS)), "")
    parameters |= {f"word_{number}": word for number, word in enumerate(words)}
    parameters |= {"project_ids": json.dumps(list(project_ids)), "format": format}
    counted = await tx.fetch_one(COUNT_NAMES, **parameters)
    assert counted is not None
    rows = await tx.fetch_all(
        FIND_NAMES, exact=text.strip().casefold(), limit=piece.limit, offset=piece.offset, **parameters
    )
    names = [await find_name(tx, project_ids, format, canonical_name) for (canonical_name,) in rows]
    return NameListing(tuple(name for name in names if name is not None), counted[0])
