"""Who is asking: from the credential headers of a request to a Principal, over twisted.cred."""

from __future__ import annotations

import base64
import datetime
import hmac
from collections.abc import Callable, Mapping
from typing import Any

from attrs import field, frozen
from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.credentials import ICredentials
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from zope.interface import Attribute, implementer

from pkgregd.auth.tokens import parse, secret_sha256
from pkgregd.errors import InvalidCredentials
from pkgregd.interfaces import IAuthenticator, IReads
from pkgregd.values import ANONYMOUS, Principal, TokenKind, TokenRecord

log = Logger()

MAX_HEADER_LETTERS = 4096
"""Far above any token with a user name beside it, and a bound for what is decoded before anyone is known."""

ANY_KIND = frozenset(TokenKind)
TOKEN_HEADERS: Mapping[str, frozenset[TokenKind]] = {
    "private-token": frozenset({TokenKind.PERSONAL, TokenKind.PROJECT, TokenKind.GROUP}),
    "job-token": frozenset({TokenKind.JOB}),
    "deploy-token": frozenset({TokenKind.DEPLOY}),
}
"""The headers that carry a bare token, and the kinds that each of them takes."""

API_KEY = "x-nuget-apikey"
"""Of NuGet's clients, which demand a key for a push: with other credentials beside it, it may be anything."""

# Compared against when no token has the id, so that both answers take the same work.
# No text has this digest, as far as anyone knows.
_NO_DIGEST = "0" * 64


class ITokenCredentials(ICredentials):
    """A token, and the kinds that whatever carried it takes."""

    text: str = Attribute("what was shown, unchecked")
    kinds: frozenset[TokenKind] = Attribute("the kinds of token that are good here")
    reads: IReads = Attribute("where the token is found")


@implementer(ITokenCredentials)
@frozen
class TokenCredentials:
    """The token that a request showed; see ITokenCredentials."""

    text: str = field(repr=False)
    kinds: frozenset[TokenKind]
    reads: IReads = field(repr=False, eq=False)


@implementer(ICredentialsChecker)
class TokenChecker:
    """
    Check tokens against the catalog, afresh every time: a revoked one stops working at once.

    Args:
        clock: tells the time, aware.
    """

    credentialInterfaces = (ITokenCredentials,)

    def __init__(self, clock: Callable[[], datetime.datetime]) -> None:
        self._clock = clock

    def requestAvatarId(self, credentials: ITokenCredentials) -> Deferred[Any]:
        """
        Find the principal of a token.

        Raises:
            InvalidCredentials: with the same words whatever is wrong.
        """
        return Deferred.fromCoroutine(self.find_principal(credentials))

    async def find_principal(self, credentials: ITokenCredentials) -> Principal:
        """Do what requestAvatarId() does, for who awaits."""
        return (await self.find_record(credentials)).principal

    async def find_record(self, credentials: ITokenCredentials) -> TokenRecord:
        """Find what is stored of a good token. Raises as requestAvatarId()."""
        record = await credentials.reads.find_token(parse(credentials.text))
        stored_sha256 = _NO_DIGEST if record is None else record.secret_sha256
        is_equal = hmac.compare_digest(secret_sha256(credentials.text), stored_sha256)
        if record is None or not is_equal:
            raise InvalidCredentials()
        if record.revoked_at is not None:
            reason = "revoked"
        elif record.expires_at is not None and record.expires_at <= self._clock():
            reason = "expired"
        elif record.principal.token_kind not in credentials.kinds:
            reason = "shown in a header for other kinds of token"
        else:
            return record
        # The bearer is told nothing, so the operator has to be.
        log.info("token {public_id} refused: {reason}", public_id=record.public_id, reason=reason, event="auth.refused")
        raise InvalidCredentials()


@implementer(IAuthenticator)
class TokenAuthenticator:
    """
    Authenticate by the tokens of a catalog.

    Args:
        clock: tells the time, aware.
    """

    def __init__(self, clock: Callable[[], datetime.datetime]) -> None:
        self._checker = TokenChecker(clock)

    async def authenticate(self, headers: Mapping[str, str], reads: IReads) -> Principal:
        """See IAuthenticator."""
        shown = find_token(headers)
        if shown is None:
            return ANONYMOUS
        credentials = TokenCredentials(*shown, reads)
        # not by way of a portal: the avatar is the principal, and there is nothing to do at logout
        return await self._checker.find_principal(credentials)


def find_token(headers: Mapping[str, str]) -> tuple[str, frozenset[TokenKind]] | None:
    """
    Take the token out of the headers that may carry one.

    An empty header, and Basic with an empty password, show nothing. The same token in several headers
    must be good in each of them.

    Args:
        headers: by lower-case name.

    Returns:
        What was shown, unchecked, and the kinds of token that are good there; None when nothing was.

    Raises:
        InvalidCredentials: a malformed header, an unknown scheme, or two different tokens.
    """
    shown = [(_bounded(headers[name]), kinds) for name, kinds in TOKEN_HEADERS.items() if name in headers]
    if "authorization" in headers:
        shown.append((_authorization_token(_bounded(headers["authorization"])), ANY_KIND))
    shown = [(text, kinds) for text, kinds in shown if text]
    if not shown and API_KEY in headers:
        shown = [(text, ANY_KIND) for text in (_bounded(headers[API_KEY]),) if text]
    if not shown:
        return None
    if len({text for text, _ in shown}) > 1:
        raise InvalidCredentials("the request shows two different credentials")
    return shown[0][0], frozenset.intersection(*(kinds for _, kinds in shown))


def _bounded(value: str) -> str:
    if len(value) > MAX_HEADER_LETTERS:
        raise InvalidCredentials()
    return value.strip(" \t")


def _authorization_token(value: str) -> str:
    """Return the token of an Authorization header; empty when it shows none."""
    scheme, space, parameter = value.partition(" ")
    parameter = parameter.strip(" \t")
    if not space:
        # cargo and gem send the token alone.
        return value
    if scheme.lower() == "bearer":
        return parameter
    if scheme.lower() == "basic":
        return _basic_password(parameter)
    raise InvalidCredentials("the authorization scheme is not supported: use Bearer or Basic")


def _basic_password(parameter: str) -> str:
    """Return the password of Basic credentials (RFC 7617); the user name may be anything."""
    try:
        user_and_password = base64.b64decode(parameter, validate=True).decode("utf-8")
    except ValueError:
        raise InvalidCredentials() from None
    _, colon, password = user_and_password.partition(":")
    if not colon:
        raise InvalidCredentials()
    return password
