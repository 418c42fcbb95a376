"""The audit trail: what keeps it, and what hands it out as it grows."""

from __future__ import annotations

import datetime
from collections.abc import AsyncGenerator

from zope.interface import Interface

from pkgregd.values import AuditEntry, AuditListing, AuditQuery, Level, Piece, Principal, Told


class IAuditCatalog(Interface):
    """
    The entries of the trail.

    Every verb of the catalog that changes something adds one entry for each thing it changed, in its own transaction;
    one that finds everything as it should be adds none. What is nobody's doing, or nothing anybody could see, is not
    told: clients that wait to be signed in, checksums that arrive, bytes that nothing refers to.
    """

    async def tell(principal: Principal, told: Told) -> None:
        """Add an entry of its own, for what is done outside of the database."""

    async def list_audit_entries(query: AuditQuery, piece: Piece) -> AuditListing:
        """A piece of the entries, by time and then number."""

    async def find_audit_entry(level: Level, place_id: int, entry_id: int) -> AuditEntry | None:
        """Find an entry of a project, a group, or of anything."""

    async def follow_trail(after: int, limit: int) -> tuple[AuditEntry, ...]:
        """
        The next entries beyond a number, by number.

        Whoever asks again with the last number gets every entry once, although several writers may make a lower number
        visible after a higher one: what stands behind a gap is held back until nothing can come into the gap any more.
        """

    async def forget_audit_entries(before: datetime.datetime, limit: int) -> int:
        """Remove entries that were made before a time, the oldest first; returns how many."""


class ITrail(Interface):
    """Hands the audit trail out as lines of JSON."""

    def lines(after: int, *, follows: bool) -> AsyncGenerator[bytes, None]:
        """
        Return pieces of at most some hundred lines, a line for each entry beyond a number.

        Args:
            follows: whether it goes on with what is done from now on, until stop(); a line with a `heartbeat` comes
                when there was nothing for a while.
        """

    def stop() -> None:
        """End what follows, each at the end of a line."""
