"""Search for names: by the name itself and by what was said of it at its last publish."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, Text, and_, bindparam, func, literal_column, select

from pkgregd.catalog.package_reading import find_name
from pkgregd.catalog.rules import MAX_SEARCH_TRAITS, MAX_SEARCH_WORDS, search_words, trait_texts
from pkgregd.catalog.statement import Statement, Transaction, contains, each_id
from pkgregd.catalog.tables import index_revisions, packages
from pkgregd.catalog.versions import has_own_files
from pkgregd.values import NameListing, Piece

_listed = select(packages.c.name).where(
    packages.c.project_id == index_revisions.c.project_id,
    packages.c.format == index_revisions.c.format,
    packages.c.canonical_name == index_revisions.c.canonical_name,
    packages.c.status == literal_column("'default'"),
)


_with_traits = _listed.where(
    packages.c.yanked_reason.is_(None),
    has_own_files,
    *(contains(packages.c.traits, bindparam(f"trait_{number}", type_=Text)) for number in range(MAX_SEARCH_TRAITS)),
)


def _exists(listed: Select[Any]) -> ColumnElement[bool]:
    """
    Whether there is a package, asked of each name by itself.

    Without the OFFSET PostgreSQL joins all packages with all names, and all files with those, and with statistics of a
    time when there were none it does so by loops in loops: 20 s for a thousand names.
    """
    return listed.offset(literal_column("0")).exists()


def _matches(*, by_traits: bool) -> ColumnElement[bool]:
    return and_(
        index_revisions.c.project_id.op("IN")(each_id(bindparam("project_ids"))),
        index_revisions.c.format == bindparam("format"),
        index_revisions.c.canonical_name != literal_column("''"),
        *(
            contains(index_revisions.c.search_text, bindparam(f"word_{number}", type_=Text))
            for number in range(MAX_SEARCH_WORDS)
        ),
        _exists(_with_traits if by_traits else _listed),
    )


_is_other = index_revisions.c.canonical_name != bindparam("exact")


def _find(*, by_traits: bool) -> Statement:
    return Statement(
        select(index_revisions.c.canonical_name)
        .where(_matches(by_traits=by_traits))
        .group_by(index_revisions.c.canonical_name)
        .order_by(_is_other, index_revisions.c.canonical_name)
        .limit(bindparam("limit"))
        .offset(bindparam("offset"))
    )


def _count(*, by_traits: bool) -> Statement:
    names = func.count(index_revisions.c.canonical_name.distinct())
    return Statement(select(names).where(_matches(by_traits=by_traits)))


FIND_NAMES: Mapping[bool, Statement] = {by_traits: _find(by_traits=by_traits) for by_traits in (False, True)}
COUNT_NAMES: Mapping[bool, Statement] = {by_traits: _count(by_traits=by_traits) for by_traits in (False, True)}
"""By whether traits are asked for."""


async def search_names(
    tx: Transaction,
    project_ids: Sequence[int],
    format: str,
    text: str,
    piece: Piece,
    traits: Sequence[str] | None,
) -> NameListing:
    """See IPackageCatalog."""
    words = search_words(text)
    # every text contains the empty one
    parameters: dict[str, object] = dict.fromkeys((f"word_{number}" for number in range(MAX_SEARCH_WORDS)), "")
    parameters |= {f"word_{number}": word for number, word in enumerate(words)}
    parameters |= {"project_ids": json.dumps(list(project_ids)), "format": format}
    by_traits = traits is not None
    if traits is not None:
        parameters |= dict.fromkeys((f"trait_{number}" for number in range(MAX_SEARCH_TRAITS)), "")
        parameters |= {f"trait_{number}": wanted for number, wanted in enumerate(trait_texts(traits))}
    counted = await tx.fetch_one(COUNT_NAMES[by_traits], **parameters)
    assert counted is not None
    rows = await tx.fetch_all(
        FIND_NAMES[by_traits], exact=text.strip().casefold(), limit=piece.limit, offset=piece.offset, **parameters
    )
    names = [await find_name(tx, project_ids, format, canonical_name) for (canonical_name,) in rows]
    return NameListing(tuple(name for name in names if name is not None), counted[0])
