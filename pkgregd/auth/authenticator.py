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
from pkgregd.values import ANONYMOUS, JOB_USER_NAME, Principal, TokenKind, TokenRecord

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

QUERY_PARAMETERS: Mapping[str, frozenset[TokenKind]] = {
    "?private_token": TOKEN_HEADERS["private-token"],
    "?job_token": TOKEN_HEADERS["job-token"],
    "?access_token": ANY_KIND,
}
"""The query parameters that carry a bare token, where the operator lets them; the mark tells them from headers."""

NO_PASSWORDS = (
    "the credentials are not valid: there are no passwords here; send a token as the password of Basic authentication"
)

# Compared against when no token has the id, so that both answers take the same work.
# No text has this digest, as far as anyone knows.
_NO_DIGEST = "0" * 64


@frozen
class ShownToken:
    """
    What a request showed, unchecked.

    Attributes:
        text: of the token.
        kinds: those that are good in all that carried it.
        user_name: beside it in Basic authentication; None if that did not carry it.
    """

    text: str = field(repr=False)
    kinds: frozenset[TokenKind]
    user_name: str | None = None


class ITokenCredentials(ICredentials):
    """A token, and what whatever carried it demands of it."""

    shown: ShownToken = Attribute("what was shown")
    reads: IReads = Attribute("where the token is found")
    is_strict: bool = Attribute("whether a user name beside it has to be its own")


@implementer(ITokenCredentials)
@frozen
class TokenCredentials:
    """The token that a request showed; see ITokenCredentials."""

    shown: ShownToken
    reads: IReads = field(repr=False, eq=False)
    is_strict: bool = False


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
        shown = credentials.shown
        record = await credentials.reads.find_token(_public_id(shown))
        stored_sha256 = _NO_DIGEST if record is None else record.secret_sha256
        is_equal = hmac.compare_digest(secret_sha256(shown.text), stored_sha256)
        if record is None or not is_equal:
            raise InvalidCredentials()
        if record.revoked_at is not None:
            reason = "revoked"
        elif record.expires_at is not None and record.expires_at <= self._clock():
            reason = "expired"
        elif record.principal.token_kind not in shown.kinds:
            reason = "shown in a header for other kinds of token"
        elif not _fits(record, shown.user_name, credentials.is_strict):
            reason = "shown beside another user name"
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
        note_use: is told the number of each token that was good.
    """

    def __init__(
        self, clock: Callable[[], datetime.datetime], note_use: Callable[[int], None] = lambda token_id: None
    ) -> None:
        self._checker = TokenChecker(clock)
        self._note_use = note_use

    async def authenticate(self, carried: Mapping[str, str], reads: IReads, *, is_strict: bool = False) -> Principal:
        """See IAuthenticator."""
        shown = find_token(carried)
        if shown is None:
            return ANONYMOUS
        # not by way of a portal: the avatar is the principal, and there is nothing to do at logout
        principal = await self._checker.find_principal(TokenCredentials(shown, reads, is_strict))
        assert principal.token_id is not None, "a stored token has a number"
        self._note_use(principal.token_id)
        return principal


def _public_id(shown: ShownToken) -> str:
    """Check a token's shape; whoever has a password in mind is told that there are none."""
    try:
        return parse(shown.text)
    except InvalidCredentials:
        if shown.user_name is not None:
            raise InvalidCredentials(NO_PASSWORDS) from None
        raise


def _fits(record: TokenRecord, user_name: str | None, is_strict: bool) -> bool:
    """
    Say whether a token is good beside a user name.

    Source: GitLab, lib/gitlab/api_authentication/token_resolver.rb; lib/gitlab/auth/auth_finders.rb for jobs.
    """
    kind = record.principal.token_kind
    if user_name == JOB_USER_NAME:
        return kind is TokenKind.JOB
    if not is_strict or user_name is None or record.username is None:
        return True
    if kind is TokenKind.PERSONAL:
        return user_name.casefold() == record.username.casefold()
    return user_name == record.username


def find_token(carried: Mapping[str, str]) -> ShownToken | None:
    """
    Take the token out of what may carry one.

    An empty header, Bearer without a token, and Basic with an empty password, show nothing. The same token in several
    headers must be good in each of them.

    Args:
        carried: values of headers by their lower-case names, and of QUERY_PARAMETERS.

    Returns:
        None when nothing was shown.

    Raises:
        InvalidCredentials: a malformed header, an unknown scheme, or two different tokens.
    """
    bare = {**TOKEN_HEADERS, **QUERY_PARAMETERS}
    found = [ShownToken(_bounded(carried[name]), kinds) for name, kinds in bare.items() if name in carried]
    if "authorization" in carried:
        found.append(_authorization_token(_bounded(carried["authorization"])))
    found = [shown for shown in found if shown.text]
    if not found and API_KEY in carried:
        found = [shown for shown in (ShownToken(_bounded(carried[API_KEY]), ANY_KIND),) if shown.text]
    if not found:
        return None
    if len({shown.text for shown in found}) > 1:
        raise InvalidCredentials("the request shows two different credentials: send one token")
    kinds = frozenset.intersection(*(shown.kinds for shown in found))
    return ShownToken(found[0].text, kinds, found[-1].user_name)  # what Authorization carries is the last


def _bounded(value: str) -> str:
    if len(value) > MAX_HEADER_LETTERS:
        raise InvalidCredentials()
    return value.strip(" \t")


def _authorization_token(value: str) -> ShownToken:
    """Return the token of an Authorization header; its text is empty when it shows none."""
    scheme, space, parameter = value.partition(" ")
    parameter = parameter.strip(" \t")
    if value.lower() == "bearer":
        return ShownToken("", ANY_KIND)  # a client whose configuration has an empty token, as in Basic
    if not space:
        # cargo and gem send the token alone.
        return ShownToken(value, ANY_KIND)
    if scheme.lower() == "bearer":
        return ShownToken(parameter, ANY_KIND)
    if scheme.lower() == "basic":
        return _basic_password(parameter)
    raise InvalidCredentials("the authorization scheme is not supported: use Bearer or Basic")


def _basic_password(parameter: str) -> ShownToken:
    """Return the password of Basic credentials (RFC 7617), with the user name."""
    try:
        user_and_password = base64.b64decode(parameter, validate=True).decode("utf-8")
    except ValueError:
        raise InvalidCredentials() from None
    user_name, colon, password = user_and_password.partition(":")
    if not colon:
        raise InvalidCredentials()
    return ShownToken(password, ANY_KIND, user_name)
