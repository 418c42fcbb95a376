"""
Pages of a listing that go on behind the last row of the one before, as GitLab has them: keyset pagination.

Nothing is counted, and there is no way to a page but through those before it. Each links to the next one, and the last
one does not. A listing by number says where it goes on by `id_after` or `id_before`, any other by `cursor`.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar
from urllib.parse import urlencode

from attrs import frozen

from pkgregd.errors import InvalidRequest
from pkgregd.interfaces import IAuthorisedCall
from pkgregd.manage.pagination import MAX_PER_PAGE, PAGE, PER_PAGE
from pkgregd.manage.parameters import QueryParameter, bound, choice, described
from pkgregd.values import Parameter, Stretch

T = TypeVar("T")

MAX_CURSOR_CHARACTERS = 2048

STYLE = choice(
    "pagination",
    {"keyset": True, "offset": False, "legacy": False},
    False,
    "`keyset` for pages that go on behind each other; else they are numbered",
)
ID_AFTER = bound("id_after", "With `keyset` only those with a greater number")
ID_BEFORE = bound("id_before", "With `keyset` only those with a lesser number")


def _parse_cursor(name: str, given: str) -> str:
    try:
        if len(given) > MAX_CURSOR_CHARACTERS:
            raise ValueError
        key = base64.b64decode(given.encode("ascii"), b"-_", validate=True).decode("ascii")
    except (ValueError, binascii.Error):
        key = ""
    if not key.isprintable() or not key:
        raise bad_cursor()
    return key


def bad_cursor() -> InvalidRequest:
    """Refuse a cursor that no link has."""
    return InvalidRequest("cursor is not valid: it is only had from the link to a next page")


CURSOR: QueryParameter[str | None] = QueryParameter(
    Parameter(
        "cursor",
        {"type": "string", "minLength": 1, "maxLength": MAX_CURSOR_CHARACTERS},
        "With `keyset`, and not by number, where the page begins: from the link of the page before",
    ),
    _parse_cursor,
    None,
)

KEYSET = described(STYLE, ID_AFTER, ID_BEFORE)
"""What is_keyset() and read_keyset() read in a listing by number."""

KEYSET_BY_PATH = (*KEYSET, CURSOR.described)
"""The same of one that can be by path."""

KEYSET_BY_CURSOR = described(STYLE, CURSOR)
"""The same of one that is never by number."""


@frozen
class KeysetPage:
    """
    Which page is wanted.

    Attributes:
        size: how many rows make a page.
        above, below: see Stretch.
        behind: the key of the row before, from a cursor.
        is_by_cursor: whether the listing is by something else than numbers.
        is_descending: the other way round.
    """

    size: int
    above: int
    below: int | None
    behind: str | None
    is_by_cursor: bool
    is_descending: bool

    @property
    def stretch(self) -> Stretch:
        """The rows of the page, and one more that tells whether there is another page."""
        return Stretch(self.size + 1, self.above, self.below, self.behind)


def is_keyset(call: IAuthorisedCall, parameters: Iterable[Parameter]) -> bool:
    """
    Whether pages are wanted that go on behind each other.

    Args:
        parameters: of the listing.

    Raises:
        InvalidRequest: of a style that there is not, or both of them mixed up.
    """
    wants = STYLE.read(call)
    if wants and call.query(PAGE.described.name) is not None:
        raise InvalidRequest("page is not for pagination=keyset")
    for place in described(ID_AFTER, ID_BEFORE, CURSOR):
        if not wants and place in parameters and call.query(place.name) is not None:
            raise InvalidRequest(f"{place.name} is for pagination=keyset")
    return wants


def read_keyset(
    call: IAuthorisedCall, parameters: Iterable[Parameter], *, is_by_cursor: bool = False, is_descending: bool = False
) -> KeysetPage:
    """
    Read where a page begins.

    Raises:
        InvalidRequest: among others, what only the other kind of listing has.
    """
    for place in described(ID_AFTER, ID_BEFORE) if is_by_cursor else described(CURSOR):
        if place in parameters and call.query(place.name) is not None:
            raise InvalidRequest(f"{place.name} does not go with this order_by")
    return KeysetPage(
        size=min(PER_PAGE.read(call), MAX_PER_PAGE),
        above=0 if is_by_cursor else ID_AFTER.read(call) or 0,
        below=None if is_by_cursor else ID_BEFORE.read(call),
        behind=CURSOR.read(call) if is_by_cursor else None,
        is_by_cursor=is_by_cursor,
        is_descending=is_descending,
    )


def keyset_rows(
    call: IAuthorisedCall,
    url: str,
    parameters: Iterable[Parameter],
    page: KeysetPage,
    found: Sequence[T],
    key: Callable[[T], int | str],
) -> tuple[Sequence[T], tuple[tuple[str, str], ...]]:
    """
    Cut what was found to a page, and say where the next one is.

    Args:
        url: of the listing, absolute, without a query.
        parameters: of the listing, which the link repeats.
        found: the rows of page.stretch.
        key: of a row: its number, or what its cursor holds.

    Returns:
        The rows of the page, and headers.
    Source: GitLab REST API, keyset-based pagination; RFC 8288 for `Link`.
    """
    rows = found[: page.size]
    headers = [("X-Per-Page", str(page.size))]
    if len(found) > len(rows):
        query = {one.name: value for one in parameters if (value := call.query(one.name)) is not None}
        query |= {"pagination": "keyset", "per_page": str(page.size)}
        if page.is_by_cursor:
            query["cursor"] = base64.urlsafe_b64encode(str(key(rows[-1])).encode()).decode()
        else:
            query["id_before" if page.is_descending else "id_after"] = str(key(rows[-1]))
        headers.append(("Link", f'<{url}?{urlencode(query)}>; rel="next"'))
    return rows, tuple(headers)
