"""Numbered pages of a listing, as GitLab numbers them."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlencode

from attrs import frozen

from pkgregd.interfaces import IAuthorisedCall
from pkgregd.manage.parameters import described, number
from pkgregd.values import Parameter, Piece

DEFAULT_PER_PAGE = 20
MAX_PER_PAGE = 100

PAGE = number("page", 1, "Which page of the listing, from 1")
PER_PAGE = number("per_page", DEFAULT_PER_PAGE, f"How many make a page; of more than {MAX_PER_PAGE} that many count")
PAGING = described(PAGE, PER_PAGE)
"""What read_page() reads: the last parameters of every listing."""


@frozen
class NumberedPage:
    """
    Which page is wanted.

    Attributes:
        number: from 1; there may be no such page.
        size: how many rows make a page.
    """

    number: int
    size: int

    @property
    def piece(self) -> Piece:
        """The rows of the page."""
        return Piece((self.number - 1) * self.size, self.size)


def read_page(call: IAuthorisedCall) -> NumberedPage:
    """
    Read `page` and `per_page`; of the latter MAX_PER_PAGE counts at most.

    Raises:
        InvalidRequest.
    """
    size = PER_PAGE.read(call)
    return NumberedPage(PAGE.read(call), min(size, MAX_PER_PAGE))


def page_headers(
    call: IAuthorisedCall, url: str, parameters: Iterable[Parameter], page: NumberedPage, total: int | None
) -> tuple[tuple[str, str], ...]:
    """
    Say where a page lies in its listing, and link to its neighbours.

    Args:
        url: of the listing, absolute, without a query.
        parameters: of the listing, which the links repeat.
        total: how many rows the listing has; None for more than are worth counting: then nothing tells the last page.
    Source: GitLab REST API, offset-based pagination; RFC 8288 for `Link`.
    """
    last = None if total is None else max(1, -(-total // page.size))
    is_within = last is None or page.number <= last
    before = page.number - 1 if page.number > 1 and is_within else None
    after = page.number + 1 if last is None or page.number < last else None
    names = [parameter.name for parameter in parameters if parameter not in PAGING]
    given = [(name, value) for name in names if (value := call.query(name)) is not None]

    def link(relation: str, number: int) -> str:
        query = urlencode([*given, ("page", number), ("per_page", page.size)])
        return f'<{url}?{query}>; rel="{relation}"'

    wanted = (("prev", before), ("next", after), ("first", 1), ("last", last))
    return (
        ("Link", ", ".join(link(relation, number) for relation, number in wanted if number is not None)),
        ("X-Next-Page", "" if after is None else str(after)),
        ("X-Page", str(page.number)),
        ("X-Per-Page", str(page.size)),
        ("X-Prev-Page", "" if before is None else str(before)),
        *(() if last is None else (("X-Total", str(total)), ("X-Total-Pages", str(last)))),
    )
