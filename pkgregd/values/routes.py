"""Routes, and what is answered there."""

from __future__ import annotations

import datetime
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, TypeAlias

from attrs import field, frozen

from pkgregd.values.access import AccountPermission, Level, Permission
from pkgregd.values.operations import Operation
from pkgregd.values.packages import FileLookup, IndexLookup
from pkgregd.values.pages import FlowBody, PageBody, StreamBody

if TYPE_CHECKING:
    from pkgregd.interfaces import ICall


@frozen
class Reply:
    """
    What a handler answers.

    Attributes:
        status: HTTP status.
        explanation: put behind the standard phrase in the status line; set for every refusal.
        body: bytes in hand, a page, a stream, or what comes piece by piece.
        content_type: media type with parameters; None sends none.
        headers: further headers in order.
        etag: opaque part of a strong ETag, without quotes: conditional requests and ranges follow from it. A
            compressed page gets one of its own.
        last_modified: aware UTC.
        download_name: sent as `Content-Disposition: attachment`, safely quoted.
    """

    status: int = 200
    explanation: str | None = field(default=None, kw_only=True)
    body: bytes | PageBody | StreamBody | FlowBody = b""
    content_type: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    etag: str | None = None
    last_modified: datetime.datetime | None = None
    download_name: str | None = None


PublicPages: TypeAlias = Mapping[str, Callable[[], Awaitable[Reply]]]
"""What answers for pages that everybody may read, by path: ASCII, without an escape, a query or a `<`."""


@frozen
class Refusal:
    """
    A failed request, before a format dresses it.

    Attributes:
        status: HTTP status.
        code: stable word for programs, e.g. `file_exists`.
        message: one sentence for the person at the client.
        request_id: also in the access log.
        headers: e.g. `WWW-Authenticate`, `Retry-After`.
    """

    status: int
    code: str
    message: str
    request_id: str
    headers: tuple[tuple[str, str], ...] = ()


@frozen
class Route:
    """
    One thing that a format, or another table of routes, answers.

    Attributes:
        methods: upper-case; GET also answers HEAD.
        path: below the prefix of its table, empty or starting with `/`. `<segment:x>` is one decoded path
            segment without a slash, `<path:x>` one or more, decoded and joined with `/`, `<number:x>` a
            segment of digits alone, as an int.
        permission: what the caller needs at the level's scope; an AccountPermission at none, wherever it is mounted,
            and then the call's scope is the instance.
        handler: answers, or raises an error of `pkgregd.errors`.
        levels: where the route is mounted.
        check: refuses by URL and headers alone, before any body byte is read.
        body_overhead_bytes: what the body may exceed the file limit by (form fields, base64).
        foresee: tells from the route's arguments what the handler will ask first, or raises an error of
            `pkgregd.errors`. Wrong or missing, it costs a second query and changes nothing.
        is_question: asks with a body, by POST, and changes nothing.
        owner: tells from the route's arguments the path of the group that owns what is asked for, by the format's
            naming convention, or raises an error of `pkgregd.errors`. Needed for packages at the level of the instance,
            where that group's remote answers: so nobody can slip a package in under a name of somebody else's.
        operation: describes it. Tables beside the formats have one for each route; of a format's route it is said what
            the rest tells, and the first line of the handler's docstring.
    """

    methods: tuple[str, ...]
    path: str
    permission: Permission | AccountPermission
    handler: Callable[[ICall], Awaitable[Reply]]
    levels: frozenset[Level] = frozenset({Level.PROJECT})
    check: Callable[[ICall], Awaitable[None]] | None = None
    body_overhead_bytes: int = 0
    foresee: Callable[[Mapping[str, str]], IndexLookup | FileLookup | None] | None = None
    is_question: bool = False
    owner: Callable[[Mapping[str, str]], str] | None = None
    operation: Operation | None = None

    def __attrs_post_init__(self) -> None:
        is_of_packages = isinstance(self.permission, Permission)
        if Level.INSTANCE in self.levels and is_of_packages and self.owner is None:
            raise TypeError(f"the route {self.path} at the instance does not tell whose the packages are")
