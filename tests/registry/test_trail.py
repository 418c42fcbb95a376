"""The audit trail as lines: nothing twice, nothing left out, and an end when it is wanted."""

from __future__ import annotations

import datetime
import json
from collections.abc import AsyncGenerator
from typing import Any

from attrs import evolve
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pkgregd.catalog.memory import MemoryCatalog
from pkgregd.errors import Unavailable
from pkgregd.registry.trail import (
    HEARTBEAT_SECONDS,
    LOOK_SECONDS,
    MAX_FOLLOWERS,
    PIECE_ENTRIES,
    Trail,
    entry_line,
    forget,
)
from pkgregd.testing.calls import now
from pkgregd.values import AuditAction, Origin, Principal, TokenKind, Told

WHO = evolve(Principal("jane", TokenKind.PERSONAL, 3, 7), token_public_id="abc", origin=Origin("192.0.2.1", "0" * 16))


class TrailCase(SynchronousTestCase):
    """A trail over a catalog in memory."""

    def setUp(self) -> None:
        """Make it."""
        self.clock = Clock()
        self.clock.advance(1_800_000_000)
        self.catalog = MemoryCatalog(self.clock.seconds)
        self.trail = Trail(self.clock, self.catalog)
        self.received: list[dict[str, Any]] = []
        self.pieces = 0

    def tell(self, count: int = 1) -> None:
        """Add entries."""
        for _ in range(count):
            now(self.catalog.tell(WHO, Told(AuditAction.SWEEP, "blobs \u2028")))

    def receive(self, after: int = 0, *, follows: bool = False) -> Deferred[None]:
        """Take lines as they come."""
        lines: AsyncGenerator[bytes, None] = self.trail.lines(after, follows=follows)

        async def take() -> None:
            async for piece in lines:
                self.pieces += 1
                self.assertTrue(piece.endswith(b"\n"))
                self.received += map(json.loads, piece.splitlines())

        return Deferred.fromCoroutine(take())

    def numbers(self) -> list[int]:
        """The numbers of the entries that came."""
        return [line["id"] for line in self.received if "id" in line]


class LinesTests(TrailCase):
    """lines()."""

    def test_a_line(self) -> None:
        """Everything that the trail knows, in ASCII, in one line."""
        self.tell()
        (entry,) = self.catalog.trail
        line = entry_line(entry)
        self.assertEqual((line.count(b"\n"), line.isascii()), (1, True))
        self.assertEqual(
            json.loads(line),
            {
                "id": 1,
                "time": "2027-01-15T08:00:00.000000Z",
                "action": "sweep",
                "subject": "blobs \u2028",
                "place": None,
                "principal": {"name": "jane", "user_id": 7, "token_kind": "personal", "token": "abc"},
                "address": "192.0.2.1",
                "request_id": "0" * 16,
                "about_user_id": None,
                "details": {},
            },
        )
        at_project = evolve(entry, told=evolve(entry.told, project_id=5), path="acme/x")
        self.assertEqual(json.loads(entry_line(at_project))["place"], {"type": "project", "id": 5, "path": "acme/x"})

    def test_all_that_there_is(self) -> None:
        """In pieces of a bounded size, and then it ends."""
        self.tell(2 * PIECE_ENTRIES + 1)
        self.successResultOf(self.receive(after=1))
        self.assertEqual(self.numbers(), list(range(2, 2 * PIECE_ENTRIES + 2)))
        self.assertEqual(self.pieces, 2)

    def test_following(self) -> None:
        """What is done later comes within a second, once."""
        self.tell(2)
        receiving = self.receive(follows=True)
        self.assertEqual(self.numbers(), [1, 2])
        for count in (1, 3):
            self.tell(count)
            self.clock.pump([LOOK_SECONDS] * 2)
        self.assertEqual(self.numbers(), [1, 2, 3, 4, 5, 6])
        self.assertNoResult(receiving)

    def test_heartbeats(self) -> None:
        """Silence is broken by a line that tells where to go on."""
        self.tell(3)
        self.receive(after=2, follows=True)
        self.clock.pump([LOOK_SECONDS] * int(2 * HEARTBEAT_SECONDS / LOOK_SECONDS + 2))
        beats = [line for line in self.received if "heartbeat" in line]
        self.assertEqual([beat["after"] for beat in beats], [3, 3])

    def test_stopping(self) -> None:
        """Followers end, and whoever comes later gets nothing."""
        receiving = self.receive(follows=True)
        self.trail.stop()
        self.successResultOf(receiving)
        self.tell()
        self.successResultOf(self.receive(follows=True))
        self.assertEqual(self.received, [])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_follower_who_leaves(self) -> None:
        """Nothing is left of it."""
        receiving = self.receive(follows=True)
        receiving.cancel()
        self.failureResultOf(receiving, CancelledError)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_too_many_followers(self) -> None:
        """One more is refused before anything is sent; when one has left there is room again."""
        followers = [self.receive(follows=True) for _ in range(MAX_FOLLOWERS)]
        self.assertRaises(Unavailable, self.receive, follows=True)
        self.successResultOf(self.receive())
        followers[0].cancel()
        self.failureResultOf(followers[0], CancelledError)
        self.assertNoResult(self.receive(follows=True))


class ForgetTests(TrailCase):
    """forget()."""

    def test_old_entries_go(self) -> None:
        """All that were made before, however many; it can be ended between pieces."""
        self.tell(1200)
        border = datetime.datetime.fromtimestamp(self.clock.seconds() + 1, datetime.UTC)
        self.clock.advance(2)
        self.tell(2)
        self.assertEqual(now(forget(self.catalog, border, lambda: len(self.catalog.trail) < 1000)), 500)
        self.assertEqual(now(forget(self.catalog, border)), 700)
        self.assertEqual([entry.id for entry in self.catalog.trail], [1201, 1202])
