"""
Reading the audit trail: in GitLab's shape, and as lines of JSON.

Source: GitLab's documentation, `api/audit_events.md`.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from attrs import evolve
from zope.interface import implementer

from pkgregd.errors import InvalidRequest, NotFound
from pkgregd.interfaces import IAuditCatalog, IAuthorisedCall, IRouteTable, ITrail
from pkgregd.manage.answers import AUDIT_EVENT, shown, walked
from pkgregd.manage.keyset import KEYSET_BY_CURSOR, bad_cursor, is_keyset, keyset_rows, read_keyset
from pkgregd.manage.pagination import PAGING, page_headers, read_page
from pkgregd.manage.parameters import EPOCH, bound, choice, described, flag, time
from pkgregd.manage.shapes import json_reply, time_text
from pkgregd.values import (
    AccountPermission,
    Answer,
    AuditEntry,
    AuditPosition,
    AuditQuery,
    FlowBody,
    Level,
    Operation,
    Permission,
    Piece,
    Refusal,
    Reply,
    Route,
    TokenKind,
)

API = "/api/v4"
STREAM = "/-/audit.ndjson"
NDJSON = "application/x-ndjson"
EVENTS, EVENT = "/audit_events", "/audit_events/<number:event_id>"
INSTANCE, BOTH = frozenset({Level.INSTANCE}), frozenset({Level.PROJECT, Level.GROUP})

SORTS: Mapping[str, bool] = {"asc": False, "desc": True}
ORDERS: Mapping[str, str] = {"id": "id", "created_at": "created_at"}

CREATED_AFTER = time("created_after", "Only what was done at that time, or after it")
CREATED_BEFORE = time("created_before", "Only what was done at that time, or before it")
ORDER = choice("order_by", ORDERS, "id", "Both are one order here: by time, and of one time by number")
SORT = choice("sort", SORTS, True, "Downwards unless given, or upwards")
AFTER = bound("after", "The number of the last event that is known: those behind it come")
FOLLOW = flag("follow", "Go on with what is done from now on")

MAX_OFFSET = 50_000
"""Rows before a page that are counted off; a cursor finds a place as far away as one likes."""

AUTHOR_CLASSES: Mapping[TokenKind | None, str] = {
    TokenKind.DEPLOY: "DeployToken",
    TokenKind.JOB: "Ci::Build",
    None: "Gitlab::Audit::UnauthenticatedAuthor",
}
"""All others act as users, as GitLab has it."""

MICROSECOND = datetime.timedelta(microseconds=1)
_KEY = re.compile(r"([0-9]{1,17})-([0-9]{1,18})", re.ASCII)

Headers: TypeAlias = tuple[tuple[str, str], ...]


LIST = Operation(
    "list_audit_events",
    walked(AUDIT_EVENT, "The events"),
    described(CREATED_AFTER, CREATED_BEFORE, ORDER, SORT) + KEYSET_BY_CURSOR + PAGING,
)
LIST_ALL = evolve(LIST, id="list_all_audit_events")
SHOW = Operation("show_audit_event", shown(AUDIT_EVENT, "The event"))
SHOW_ANY = evolve(SHOW, id="show_any_audit_event")
STREAM_ALL = Operation(
    "stream_audit_trail",
    (Answer(200, "A line of JSON for each event, and for a follower also heartbeats", media_type=NDJSON),),
    described(AFTER, FOLLOW),
)


@implementer(IRouteTable)
class AuditManagement:
    """
    See IRouteTable.

    Args:
        catalog: has the entries.
        trail: hands them out as lines.
    """

    name = "manage_audit"
    challenge: str | None = None

    def __init__(self, catalog: IAuditCatalog, trail: ITrail) -> None:
        self._catalog = catalog
        self._trail = trail

    def routes(self) -> Sequence[Route]:
        """See IRouteTable."""
        all_of_it, here = AccountPermission.READ_AUDIT_TRAIL, Permission.READ_AUDIT_EVENTS
        return (
            Route(("GET",), STREAM, all_of_it, self.stream, INSTANCE, operation=STREAM_ALL),
            Route(("GET",), API + EVENTS, all_of_it, self.list_events, INSTANCE, operation=LIST_ALL),
            Route(("GET",), API + EVENT, all_of_it, self.show_event, INSTANCE, operation=SHOW_ANY),
            Route(("GET",), EVENTS, here, self.list_events, BOTH, operation=LIST),
            Route(("GET",), EVENT, here, self.show_event, BOTH, operation=SHOW),
        )

    def render_error(self, refusal: Refusal) -> Reply | None:
        """Leave it to the common JSON, which is GitLab's."""
        return None

    async def stream(self, call: IAuthorisedCall) -> Reply:
        """Answer lines of JSON from a number on, and perhaps go on as more is done."""
        lines = self._trail.lines(AFTER.read(call) or 0, follows=FOLLOW.read(call))
        headers = (("Cache-Control", "no-store"), ("X-Accel-Buffering", "no"))
        return Reply(body=FlowBody(lines), content_type=NDJSON, headers=headers)

    async def show_event(self, call: IAuthorisedCall) -> Reply:
        """Show one."""
        scope = call.scope
        entry = await self._catalog.find_audit_entry(scope.level, scope.id, call.arguments["event_id"])
        if entry is None:
            raise NotFound("there is no such audit event")
        return json_reply(event_fields(entry))

    async def list_events(self, call: IAuthorisedCall) -> Reply:
        """List them, newest first unless asked otherwise."""
        ORDER.read(call)
        query = AuditQuery(
            level=call.scope.level,
            place_id=call.scope.id,
            created_after=CREATED_AFTER.read(call),
            created_before=CREATED_BEFORE.read(call),
            is_descending=SORT.read(call),
        )
        url = call.base_url + (API if call.scope.level is Level.INSTANCE else "") + EVENTS
        find = self._go_on if is_keyset(call, LIST.parameters) else self._turn_to
        entries, headers = await find(call, query, url)
        return json_reply([event_fields(entry) for entry in entries], headers)

    async def _turn_to(
        self, call: IAuthorisedCall, query: AuditQuery, url: str
    ) -> tuple[Sequence[AuditEntry], Headers]:
        """Read a numbered page."""
        page = read_page(call)
        if page.piece.offset > MAX_OFFSET:
            raise InvalidRequest(f"page: there are more than {MAX_OFFSET} events before it; use pagination=keyset")
        listing = await self._catalog.list_audit_entries(query, page.piece)
        return listing.entries, page_headers(call, url, LIST.parameters, page, listing.total)

    async def _go_on(self, call: IAuthorisedCall, query: AuditQuery, url: str) -> tuple[Sequence[AuditEntry], Headers]:
        """Read a page that goes on behind another."""
        page = read_keyset(call, LIST.parameters, is_by_cursor=True, is_descending=query.is_descending)
        query = evolve(query, behind=None if page.behind is None else _position(page.behind))
        listing = await self._catalog.list_audit_entries(query, Piece(0, page.stretch.limit))
        return keyset_rows(call, url, LIST.parameters, page, listing.entries, key_of)


def key_of(entry: AuditEntry) -> str:
    """Write where a listing goes on behind an entry: its time in microseconds, and its number."""
    return f"{(entry.created_at - EPOCH) // MICROSECOND}-{entry.id}"


def _position(key: str) -> AuditPosition:
    match = _KEY.fullmatch(key)
    if match is None:
        raise bad_cursor()
    return AuditPosition(EPOCH + int(match[1]) * MICROSECOND, int(match[2]))


def event_fields(entry: AuditEntry) -> Mapping[str, object]:
    """Show an entry as GitLab shows audit events, with what ours says beside it."""
    who, told = entry.principal, entry.told
    entity_id, entity_type = _entity(entry)
    return {
        "id": entry.id,
        "author_id": -1 if who.user_id is None else who.user_id,
        "entity_id": entity_id,
        "entity_type": entity_type,
        "details": {
            "event_name": told.action.value,
            "custom_message": told.action.value.replace("_", " ").capitalize(),
            "author_name": who.name,
            "author_class": AUTHOR_CLASSES.get(who.token_kind, "User"),
            "target_details": told.subject,
            "entity_path": entry.path,
            "ip_address": None if who.origin is None else who.origin.address,
            "request_id": None if who.origin is None else who.origin.request_id,
            "token_kind": None if who.token_kind is None else who.token_kind.value,
            "token_id": who.token_public_id,
            "change": told.detail,
        },
        "created_at": time_text(entry.created_at),
    }


def _entity(entry: AuditEntry) -> tuple[int, str]:
    told = entry.told
    for entity_id, entity_type in (
        (told.project_id, "Project"),
        (told.group_id, "Group"),
        (told.about_user_id, "User"),
    ):
        if entity_id is not None:
            return entity_id, entity_type
    return 1, "Gitlab::Audit::InstanceScope"
