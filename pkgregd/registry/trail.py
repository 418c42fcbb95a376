"""The audit trail as lines of JSON: all that there is, and what is done from now on."""

from __future__ import annotations

import datetime
import json
from collections.abc import AsyncGenerator, Callable, Mapping

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from zope.interface import implementer

from pkgregd.errors import Unavailable
from pkgregd.interfaces import IAuditCatalog, ITrail
from pkgregd.values import AuditEntry

PIECE_ENTRIES = 200
"""How many entries are read, and held in memory, at once."""

LOOK_SECONDS = 0.5
"""How often whoever follows looks for new entries: another process may have made them."""

HEARTBEAT_SECONDS = 15.0
"""How long a follower is left without a line: proxies close connections that are silent for a minute."""

FORGOTTEN_TOGETHER = 500
"""How many entries are removed in one transaction."""

MAX_FOLLOWERS = 32
"""Each of them asks the database every LOOK_SECONDS."""


@implementer(ITrail)
class Trail:
    """
    See ITrail.

    Args:
        clock: for looking again, and for the time of heartbeats.
        catalog: has the entries.
    """

    def __init__(self, clock: IReactorTime, catalog: IAuditCatalog) -> None:
        self._clock = clock
        self._catalog = catalog
        self._followers = 0
        self._pauses: dict[Deferred[None], IDelayedCall] = {}
        self._is_stopped = False

    def lines(self, after: int, *, follows: bool) -> AsyncGenerator[bytes, None]:
        """See ITrail. Raises Unavailable: too many follow it already."""
        if follows and self._followers >= MAX_FOLLOWERS:
            raise Unavailable(f"{MAX_FOLLOWERS} clients follow the audit trail already: close one of them")
        return self._follow(after) if follows else self._read(after)

    async def _read(self, after: int) -> AsyncGenerator[bytes, None]:
        while not self._is_stopped and (entries := await self._catalog.follow_trail(after, PIECE_ENTRIES)):
            yield b"".join(map(entry_line, entries))
            after = entries[-1].id

    async def _follow(self, after: int) -> AsyncGenerator[bytes, None]:
        self._followers += 1
        try:
            told_at = self._clock.seconds()
            while not self._is_stopped:
                if entries := await self._catalog.follow_trail(after, PIECE_ENTRIES):
                    after, told_at = entries[-1].id, self._clock.seconds()
                    yield b"".join(map(entry_line, entries))
                    continue
                if self._clock.seconds() - told_at >= HEARTBEAT_SECONDS:
                    told_at = self._clock.seconds()
                    yield heartbeat_line(after, datetime.datetime.fromtimestamp(told_at, datetime.UTC))
                await self._pause()
        finally:
            self._followers -= 1

    async def _pause(self) -> None:
        """Wait until it is time to look again, or to stop."""
        if self._is_stopped:
            return
        pause: Deferred[None] = Deferred()
        self._pauses[pause] = self._clock.callLater(LOOK_SECONDS, pause.callback, None)
        try:
            await pause
        finally:
            call = self._pauses.pop(pause)
            if call.active():
                call.cancel()

    def stop(self) -> None:
        """See ITrail."""
        self._is_stopped = True
        for pause in list(self._pauses):
            pause.callback(None)


async def forget(catalog: IAuditCatalog, before: datetime.datetime, is_over: Callable[[], bool] = lambda: False) -> int:
    """
    Remove the entries that were made before a time, in small transactions, which other writers wait for.

    Args:
        is_over: asked between them.

    Returns:
        How many were removed.
    """
    removed = 0
    while not is_over() and (count := await catalog.forget_audit_entries(before, FORGOTTEN_TOGETHER)):
        removed += count
    return removed


def entry_line(entry: AuditEntry) -> bytes:
    """Write an entry: an object of JSON in ASCII, and a line end."""
    who, told = entry.principal, entry.told
    return _line(
        {
            "id": entry.id,
            "time": _time_text(entry.created_at),
            "action": told.action.value,
            "subject": told.subject,
            "place": _place(entry),
            "principal": {
                "name": who.name,
                "user_id": who.user_id,
                "token_kind": None if who.token_kind is None else who.token_kind.value,
                "token": who.token_public_id,
            },
            "address": None if who.origin is None else who.origin.address,
            "request_id": None if who.origin is None else who.origin.request_id,
            "about_user_id": told.about_user_id,
            "details": told.detail,
        }
    )


def _place(entry: AuditEntry) -> Mapping[str, object] | None:
    for name, place_id in (("project", entry.told.project_id), ("group", entry.told.group_id)):
        if place_id is not None:
            return {"type": name, "id": place_id, "path": entry.path}
    return None


def heartbeat_line(after: int, now: datetime.datetime) -> bytes:
    """Say that nothing was done: with the number that the stream can be resumed from."""
    return _line({"heartbeat": _time_text(now), "after": after})


def _line(fields: Mapping[str, object]) -> bytes:
    return json.dumps(fields, separators=(",", ":")).encode("ascii") + b"\n"


def _time_text(moment: datetime.datetime) -> str:
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
