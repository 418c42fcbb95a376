"""When tokens were last used."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.trial.unittest import SynchronousTestCase

from pkgregd.auth.tokenuses import MAX_NOTED, MAX_WRITTEN, TokenUses
from pkgregd.errors import Unavailable
from pkgregd.interfaces import ITokenUses
from pkgregd.testing.calls import now

NOW = datetime.datetime(2030, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
SECOND = datetime.timedelta(seconds=1)


class KeptUses:
    """The one verb that is asked for."""

    def __init__(self) -> None:
        self.written: list[Mapping[int, datetime.datetime]] = []
        self.waiting: Deferred[None] | None = None

    async def note_uses(self, used_at: Mapping[int, datetime.datetime]) -> None:
        """See IIdentityCatalog."""
        if self.waiting is not None:
            await self.waiting
        self.written.append(used_at)


class TokenUsesTests(SynchronousTestCase):
    """Noting and writing."""

    def setUp(self) -> None:
        """Have nothing noted."""
        self.now = NOW
        catalog: Any = KeptUses()
        self.catalog: KeptUses = catalog
        self.uses = TokenUses(catalog, lambda: self.now)

    def test_provides(self) -> None:
        """What the seam promises."""
        self.assertTrue(ITokenUses.providedBy(self.uses))

    def test_many_uses_are_one_write(self) -> None:
        """Only the last time of each token is written, once; noting writes nothing."""
        for number in range(1000):
            self.now = NOW + number * SECOND
            self.uses.note(number % 2)
        self.assertEqual(self.catalog.written, [])
        now(self.uses.write())
        now(self.uses.write())
        self.assertEqual(self.catalog.written, [{0: NOW + 998 * SECOND, 1: NOW + 999 * SECOND}])

    def test_what_is_used_during_a_write_is_written_next(self) -> None:
        """Nothing is lost between the two."""
        self.uses.note(1)
        self.catalog.waiting = Deferred()
        writing = ensureDeferred(self.uses.write())
        self.now = NOW + SECOND
        self.uses.note(1)
        self.catalog.waiting.callback(None)
        self.successResultOf(writing)
        now(self.uses.write())
        self.assertEqual(self.catalog.written, [{1: NOW}, {1: NOW + SECOND}])

    def test_a_failed_write_is_tried_again(self) -> None:
        """What could not be written stays noted."""
        self.uses.note(1)
        self.catalog.waiting = Deferred()
        writing = ensureDeferred(self.uses.write())
        self.catalog.waiting.errback(Unavailable("the disk is full"))
        self.failureResultOf(writing, Unavailable)
        self.catalog.waiting = None
        now(self.uses.write())
        self.assertEqual(self.catalog.written, [{1: NOW}])

    def test_bounds(self) -> None:
        """No more is kept than there is room for, and no transaction has more than its share."""
        for number in range(MAX_NOTED + 10):
            self.uses.note(number)
        now(self.uses.write())
        sizes = [len(batch) for batch in self.catalog.written]
        self.assertEqual((sum(sizes), max(sizes)), (MAX_NOTED, MAX_WRITTEN))
