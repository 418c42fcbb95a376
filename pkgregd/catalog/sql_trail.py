"""The audit trail over a database; see `pkgregd.catalog.sql`."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from pkgregd.catalog import audit
from pkgregd.catalog.statement import Transaction
from pkgregd.values import AuditEntry, AuditListing, AuditQuery, Level, Piece, Principal, Told

P = ParamSpec("P")
T = TypeVar("T")


class Database(Protocol):
    """What runs verbs; see SqliteDatabase."""

    async def read(
        self, verb: Callable[Concatenate[Transaction, P], Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run a verb on a snapshot; it cannot write."""

    async def read_at_once(
        self, verb: Callable[Concatenate[Transaction, P], Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run a verb of a few small queries on a snapshot, without a thread if the database has them in memory."""

    async def write(
        self, verb: Callable[Concatenate[Transaction, P], Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run a verb that may write; all of it or nothing."""

    async def close(self) -> None:
        """Finish every verb, then let go."""


class SqlTrail:
    """See IAuditCatalog."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def tell(self, principal: Principal, told: Told) -> None:
        """See IAuditCatalog."""
        await self._database.write(audit.tell, principal, told)

    async def list_audit_entries(self, query: AuditQuery, piece: Piece) -> AuditListing:
        """See IAuditCatalog."""
        return await self._database.read(audit.list_audit_entries, query, piece)

    async def find_audit_entry(self, level: Level, place_id: int, entry_id: int) -> AuditEntry | None:
        """See IAuditCatalog."""
        return await self._database.read(audit.find_audit_entry, level, place_id, entry_id)

    async def follow_trail(self, after: int, limit: int) -> tuple[AuditEntry, ...]:
        """See IAuditCatalog."""
        return await self._database.read(audit.follow_trail, after, limit)

    async def forget_audit_entries(self, before: datetime.datetime, limit: int) -> int:
        """See IAuditCatalog."""
        return await self._database.write(audit.forget_audit_entries, before, limit)
