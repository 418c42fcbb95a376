"""An exchange that takes whatever it is shown, once."""

from __future__ import annotations

import datetime
from collections.abc import Callable

from zope.interface import implementer

from pkgregd.auth.tokens import mint
from pkgregd.interfaces import ICatalog, IIdTokenExchange
from pkgregd.values import IssuedToken, NewToken, Principal, SpentIdToken, TokenKind

LIFETIME = datetime.timedelta(minutes=10)


@implementer(IIdTokenExchange)
class AnyExchange:
    """
    See IIdTokenExchange: every text is a good ID token, for one project.

    Args:
        project: its path.
        clock: tells the time, aware.
    """

    def __init__(self, catalog: ICatalog, project: str, clock: Callable[[], datetime.datetime]) -> None:
        self._catalog = catalog
        self._project = project
        self._clock = clock

    def audience(self) -> str:
        """See IIdTokenExchange."""
        return "registry.test"

    async def exchange(self, id_token: str, asker: Principal, project: str | None = None) -> IssuedToken:
        """See IIdTokenExchange."""
        minted, now = mint(TokenKind.JOB), self._clock()
        token = NewToken(
            minted.public_id,
            minted.secret_sha256,
            TokenKind.JOB,
            "job",
            project=self._project,
            expires_at=now + LIFETIME,
        )
        spent = SpentIdToken("https://ci.test", id_token, now + LIFETIME)
        return IssuedToken(token, minted.secret, now, await self._catalog.add_job(token, spent, asker))
