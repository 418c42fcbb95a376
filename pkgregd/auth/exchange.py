"""From the ID token of a CI system to the token of a job."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Sequence
from typing import Any

from attrs import frozen
from zope.interface import implementer

from pkgregd.auth.fetching import make_fetch
from pkgregd.auth.idtokens import LEEWAY_SECONDS, IdToken, IdTokens
from pkgregd.auth.jwks import IssuerKeys
from pkgregd.auth.tokens import mint
from pkgregd.errors import InvalidIdToken, NotFound
from pkgregd.interfaces import ICatalog, IIdTokenExchange
from pkgregd.values import IssuedToken, JobOrigin, NewToken, OidcIssuer, OidcRule, Principal, SpentIdToken, TokenKind

MARGIN_SECONDS = 300
"""How much longer an ID token is remembered than it could be good for: clocks of several hosts may differ."""

MAX_SHOWN_LETTERS = 255

REPOSITORY_CLAIMS = ("repository", "project_path")
RUN_CLAIMS = ("run_id", "pipeline_id")
"""What CI systems call the same thing."""

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_PATH = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}(?:/[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}){1,20}", re.ASCII)


@implementer(IIdTokenExchange)
@frozen
class Exchange:
    """
    See IIdTokenExchange.

    Attributes:
        issuers: as configured.
        id_tokens: tells which ID tokens are good.
        catalog: keeps tokens, and which ID tokens were exchanged.
        clock: tells the time, aware.
    """

    issuers: Sequence[OidcIssuer]
    id_tokens: IdTokens
    catalog: ICatalog
    clock: Callable[[], datetime.datetime]

    def audience(self) -> str:
        """See IIdTokenExchange."""
        audiences = {issuer.audience for issuer in self.issuers}
        if len(audiences) != 1:
            raise NotFound("there is not one audience for all CI systems here: ask the operator for that of yours")
        return audiences.pop()

    async def exchange(self, id_token: str, asker: Principal, project: str | None = None) -> IssuedToken:
        """See IIdTokenExchange."""
        shown = await self.id_tokens.check(id_token)
        path = choose_project(shown, project)
        minted, now = mint(TokenKind.JOB), self.clock()
        origin = _origin(shown)
        token = NewToken(
            public_id=minted.public_id,
            secret_sha256=minted.secret_sha256,
            kind=TokenKind.JOB,
            name=f"{origin.repository or origin.subject or 'job'} {origin.run_id}".strip()[:MAX_SHOWN_LETTERS],
            project=path,
            expires_at=now + datetime.timedelta(seconds=shown.issuer.lifetime_seconds),
            origin=origin,
        )
        kept = datetime.timedelta(seconds=LEEWAY_SECONDS + MARGIN_SECONDS)
        spent = SpentIdToken(shown.issuer.issuer, shown.jti, shown.expires_at + kept)
        return IssuedToken(token, minted.secret, now, await self.catalog.add_job(token, spent, asker))


def choose_project(shown: IdToken, wanted: str | None) -> str:
    """
    Find the project that a job may have a token of.

    Args:
        wanted: the only one that will do; None for that of the first rule that matches.

    Raises:
        InvalidIdToken: no rule gives it; says which claim is in the way.
    """
    nearest: tuple[int, str] = (-1, "")
    for rule in shown.issuer.rules:
        unmatched = [name for name, pattern in rule.claims if not _matches(pattern, shown.text(name))]
        if unmatched:
            nearest = max(nearest, (len(rule.claims) - len(unmatched), unmatched[0]), key=lambda found: found[0])
            continue
        path = _fill(rule, shown)
        if wanted is None or path.casefold() == wanted.casefold():
            return path
    if not nearest[1]:
        raise InvalidIdToken("no rule gives this job a token of the project that it wants")
    raise InvalidIdToken(f"no rule gives this job a token: the claim {nearest[1]} does not match")


def _fill(rule: OidcRule, shown: IdToken) -> str:
    path = _PLACEHOLDER.sub(lambda match: shown.text(match[1]) or "", rule.project)
    if not _PATH.fullmatch(path):
        raise InvalidIdToken("the claims of the ID token do not make the path of a project")
    return path


def _matches(pattern: str, text: str | None) -> bool:
    """
    Say whether a text is what a pattern describes, in which `*` stands for any letters.

    Each piece is looked for once, from where the one before ended: the time is that of a search, whatever the pattern.
    """
    if text is None:
        return False
    first, *pieces = pattern.split("*")
    if not pieces:
        return text == first
    *middle, last = pieces
    if not text.startswith(first) or not text.endswith(last) or len(text) < len(first) + len(last):
        return False
    at, end = len(first), len(text) - len(last)
    for piece in middle:
        found = text.find(piece, at, end)
        if found < 0:
            return False
        at = found + len(piece)
    return True


def _origin(shown: IdToken) -> JobOrigin:
    def first(*names: str) -> str:
        found = next((text for text in map(shown.text, names) if text), "")
        return "".join(letter if letter.isprintable() else "?" for letter in found[:MAX_SHOWN_LETTERS])

    return JobOrigin(shown.issuer.issuer, first("sub"), first(*REPOSITORY_CLAIMS), first("ref"), first(*RUN_CLAIMS))


def make_exchange(
    reactor: Any, issuers: Sequence[OidcIssuer], catalog: ICatalog, clock: Callable[[], datetime.datetime]
) -> Exchange:
    """Make what exchanges the ID tokens of the issuers that are configured."""
    fetch = make_fetch(reactor)
    keys = {issuer: IssuerKeys(issuer, fetch, reactor.seconds) for issuer in issuers}
    return Exchange(issuers, IdTokens(keys, clock), catalog, clock)
