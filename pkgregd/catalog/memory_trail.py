"""The audit trail, as the catalog in memory keeps it."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable

from attrs import evolve

from pkgregd.catalog.audit import happened_at
from pkgregd.catalog.rules import from_microseconds
from pkgregd.catalog.told import MAX_COUNTED, settled
from pkgregd.values import AuditEntry, AuditListing, AuditPosition, AuditQuery, Level, Piece, Principal, Told


class MemoryTrail:
    """
    See IAuditCatalog.

    Args:
        seconds: the clock, since 1970.

    Attributes:
        trail: all entries, oldest first.
    """

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._last_entry = 0
        self.trail: list[AuditEntry] = []

    def _now(self) -> int:
        return int(self._seconds() * 1_000_000)

    def _path_at(self, level: Level, place_id: int | None) -> str:
        """The path of a project or group; empty if there is none."""
        raise NotImplementedError

    def _tell(self, principal: Principal, told: Told) -> None:
        self._last_entry += 1
        kept = Principal(
            name=principal.name,
            token_kind=principal.token_kind,
            token_id=principal.token_id,
            user_id=principal.user_id,
            token_public_id=principal.token_public_id,
            origin=principal.origin,
        )
        path = self._path_at(Level.PROJECT, told.project_id) or self._path_at(Level.GROUP, told.group_id)
        # by way of JSON: a later change of the caller's dictionary must not reach us
        detail = json.loads(json.dumps(dict(told.detail)))
        time = from_microseconds(self._now())
        self.trail.append(AuditEntry(self._last_entry, time, kept, path, evolve(told, detail=detail)))

    async def tell(self, principal: Principal, told: Told) -> None:
        """See IAuditCatalog."""
        self._tell(principal, told)

    async def list_audit_entries(self, query: AuditQuery, piece: Piece) -> AuditListing:
        """See IAuditCatalog."""
        found = [
            entry
            for entry in self.trail
            if happened_at(entry, query.level, query.place_id)
            and (query.created_after is None or entry.created_at >= query.created_after)
            and (query.created_before is None or entry.created_at <= query.created_before)
        ]
        total = None if len(found) > MAX_COUNTED else len(found)
        found.sort(key=_position, reverse=query.is_descending)
        if query.behind is not None:
            border = (query.behind.created_at, query.behind.id)
            found = [
                entry
                for entry in found
                if (_position(entry) < border if query.is_descending else _position(entry) > border)
            ]
        return AuditListing(tuple(found[piece.offset : piece.offset + piece.limit]), total)

    async def find_audit_entry(self, level: Level, place_id: int, entry_id: int) -> AuditEntry | None:
        """See IAuditCatalog."""
        found = (entry for entry in self.trail if entry.id == entry_id and happened_at(entry, level, place_id))
        return next(found, None)

    async def follow_trail(self, after: int, limit: int) -> tuple[AuditEntry, ...]:
        """See IAuditCatalog."""
        beyond = [entry for entry in self.trail if entry.id > after][:limit]
        return settled(beyond, after, from_microseconds(self._now()))

    async def forget_audit_entries(self, before: datetime.datetime, limit: int) -> int:
        """See IAuditCatalog."""
        gone = sorted((entry for entry in self.trail if entry.created_at < before), key=_position)[:limit]
        self.trail = [entry for entry in self.trail if entry not in gone]
        return len(gone)


def _position(entry: AuditEntry | AuditPosition) -> tuple[datetime.datetime, int]:
    return entry.created_at, entry.id
