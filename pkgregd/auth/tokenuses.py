"""When tokens were last used: kept in memory, and written now and then, so that no request waits for a write."""

from __future__ import annotations

import datetime
from collections.abc import Callable

from zope.interface import implementer

from pkgregd.interfaces import IIdentityCatalog, ITokenUses

WRITE_SECONDS = 60.0
"""A process that dies loses what was noted since the last time."""

MAX_NOTED = 20_000
"""How many tokens are kept in memory; the uses of more wait for the next time."""

MAX_WRITTEN = 500
"""How many go into one transaction: others that want to write wait for it."""


@implementer(ITokenUses)
class TokenUses:
    """
    See ITokenUses.

    Args:
        catalog: gets the times.
        clock: tells the time, aware.
    """

    def __init__(self, catalog: IIdentityCatalog, clock: Callable[[], datetime.datetime]) -> None:
        self._catalog = catalog
        self._clock = clock
        self._noted: dict[int, datetime.datetime] = {}

    def note(self, token_id: int) -> None:
        """See ITokenUses."""
        if token_id in self._noted or len(self._noted) < MAX_NOTED:
            self._noted[token_id] = self._clock()

    async def write(self) -> None:
        """See ITokenUses."""
        noted = list(self._noted.items())
        for start in range(0, len(noted), MAX_WRITTEN):
            batch = dict(noted[start : start + MAX_WRITTEN])
            await self._catalog.note_uses(batch)
            for token_id, used_at in batch.items():
                if self._noted.get(token_id) == used_at:  # else it was used meanwhile
                    del self._noted[token_id]
