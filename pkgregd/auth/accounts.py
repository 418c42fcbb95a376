"""Being known here: how a client comes by a token of its own, and what becomes of it."""

from __future__ import annotations

import datetime
import hashlib
import re
import secrets
from collections.abc import Callable

from attrs import evolve, frozen
from zope.interface import implementer

from pkgregd.auth.authenticator import ANY_KIND, ShownToken, TokenChecker, TokenCredentials
from pkgregd.auth.tokendesk import check_name
from pkgregd.auth.tokens import is_public_id, mint
from pkgregd.errors import InvalidCredentials, InvalidIdToken, NotFound, RateLimited, WrongPassword
from pkgregd.interfaces import IAccount, IAccounts, ICatalog, IIdTokenExchange, IRequestLimits
from pkgregd.values import (
    IssuedToken,
    NewSignIn,
    NewToken,
    Piece,
    Principal,
    SignIn,
    SignInStart,
    TokenKind,
    TokenOwner,
    TokenQuery,
    TokenRecord,
)

SIGN_IN_LIFETIME = datetime.timedelta(days=30)
"""How long the token of a client that was signed in is good, unless what it was signed in with expires earlier."""

WAIT = datetime.timedelta(minutes=10)
"""How long a client waits to be signed in."""

MAX_WAITING_PER_ADDRESS = 1000
"""Whole offices have one address, and a client that is given up waits to the end of its time."""

TOO_MANY_WAIT = (
    "too many clients at this address wait to be signed in; finish those with a browser, "
    "or configure a token instead of signing in"
)

_PRODUCT = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,31}(?:/v?[0-9][A-Za-z0-9.+-]{0,31})?(?![^ ])", re.ASCII)


@frozen
class AccountSettings:
    """
    What accounts work with.

    Attributes:
        catalog: keeps tokens, and clients that wait.
        request_limits: count what is shown and not good.
        address_key: brings addresses of one host to one form.
        page_url: what the id of a client that waits is put behind, with a slash, to make the address of its page.
        clock: tells the time, aware.
        exchange: takes ID tokens; None where none are taken.
    """

    catalog: ICatalog
    request_limits: IRequestLimits
    address_key: Callable[[str], str]
    page_url: str
    clock: Callable[[], datetime.datetime]
    exchange: IIdTokenExchange | None = None


@implementer(IAccounts)
class Accounts:
    """See IAccounts."""

    def __init__(self, settings: AccountSettings) -> None:
        self._settings = settings

    def account(self, principal: Principal, address: str) -> IAccount:
        """See IAccounts."""
        return Account(self._settings, principal, address)


@implementer(IAccount)
@frozen
class Account:
    """
    See IAccount.

    Attributes:
        principal: who is asking.
        address: from where.
    """

    settings: AccountSettings
    principal: Principal
    address: str

    async def sign_in(self, user_name: str, secret: str, client: str) -> str:
        """See IAccount."""
        record = await self._check_whole(secret)
        if record.principal.name.casefold() != user_name.casefold():
            self._count_failure()
            raise WrongPassword("the password is not a personal access token of this user")
        return (await self._issue(record, self._name(client), record.principal.scopes, SIGN_IN_LIFETIME)).secret

    async def start_sign_in(self, client: str) -> SignInStart:
        """See IAccount."""
        poll_secret, public_id = secrets.token_urlsafe(32), secrets.token_urlsafe(16)
        sign_in = NewSignIn(
            public_id=public_id,
            poll_sha256=_sha256(poll_secret),
            address=self.settings.address_key(self.address),
            client=_product(client),
            expires_at=self.settings.clock() + WAIT,
        )
        if not await self.settings.catalog.add_sign_in(sign_in, MAX_WAITING_PER_ADDRESS):
            raise RateLimited(WAIT.total_seconds(), TOO_MANY_WAIT)
        return SignInStart(poll_secret, f"{self.settings.page_url}/{public_id}")

    async def find_sign_in(self, public_id: str) -> SignIn:
        """See IAccount."""
        found = await self.settings.catalog.find_sign_in(public_id)
        if found is None:
            raise NotFound("nobody waits to be signed in here; start again in the client")
        return found

    async def approve_sign_in(self, public_id: str, secret: str) -> str:
        """See IAccount."""
        await self.find_sign_in(public_id)
        record = await self._check_whole(secret)
        expires_at = self._expiry(record, SIGN_IN_LIFETIME)
        if not await self.settings.catalog.approve_sign_in(public_id, self._bearer(record), expires_at):
            raise NotFound("this was done already; start again in the client")
        return record.principal.name

    async def finish_sign_in(self, poll_secret: str, client: str) -> str | None:
        """See IAccount."""
        minted = mint(TokenKind.PERSONAL)
        is_taken = await self.settings.catalog.take_sign_in(
            _sha256(poll_secret), minted.public_id, minted.secret_sha256, self._name(client), self.principal.origin
        )
        if is_taken is None:
            raise NotFound("nobody waits to be signed in by this; start again")
        return minted.secret if is_taken else None

    async def sign_out(self, secret: str) -> None:
        """See IAccount."""
        record = await self._check(secret, ANY_KIND)
        if record.principal.token_kind is TokenKind.PERSONAL:
            await self._revoke(record, self._bearer(record))

    def audience(self) -> str:
        """See IAccount."""
        return self._exchange.audience()

    async def exchange(self, id_token: str, project: str | None = None) -> IssuedToken:
        """See IAccount."""
        try:
            return await self._exchange.exchange(id_token, self.principal, project)
        except InvalidIdToken:
            self._count_failure()
            raise

    @property
    def _exchange(self) -> IIdTokenExchange:
        if self.settings.exchange is None:
            raise NotFound("no ID tokens are exchanged here: the operator has configured no issuer ([[oidc]])")
        return self.settings.exchange

    async def end_job(self, secret: str) -> None:
        """See IAccount."""
        record = await self._check(secret, frozenset({TokenKind.JOB}))
        bearer = record.principal
        assert bearer.token_id is not None, "a stored token has a number"
        owner = TokenOwner(TokenKind.JOB, project_id=bearer.project_id)
        await self.settings.catalog.revoke_token_of(owner, bearer.token_id, self._bearer(record))

    async def list_tokens(self, piece: Piece) -> tuple[TokenRecord, ...]:
        """See IAccount."""
        assert self.principal.user_id is not None, "the permission to manage tokens is a user's"
        query = TokenQuery(_personal(self.principal), is_active=True, is_descending=True)
        return (await self.settings.catalog.list_tokens_of(query, piece)).tokens

    async def add_token(
        self, secret: str, name: str, *, is_read_only: bool, lifetime: datetime.timedelta
    ) -> IssuedToken:
        """See IAccount."""
        check_name(name)
        record = await self._check_whole(secret)
        if record.principal.user_id != self.principal.user_id:
            self._count_failure()
            raise WrongPassword("the password is not a personal access token of yours")
        scopes = frozenset({"read_api"}) if is_read_only else record.principal.scopes
        return await self._issue(record, name, scopes, lifetime)

    async def _issue(
        self, parent: TokenRecord, name: str, scopes: frozenset[str], lifetime: datetime.timedelta
    ) -> IssuedToken:
        """Make a personal token of the same user, which ends no later than the one that was shown."""
        minted = mint(TokenKind.PERSONAL)
        token = NewToken(
            public_id=minted.public_id,
            secret_sha256=minted.secret_sha256,
            kind=TokenKind.PERSONAL,
            name=name,
            scopes=scopes,
            user=parent.principal.name,
            expires_at=self._expiry(parent, lifetime),
        )
        token_id = await self.settings.catalog.add_token(token, self._bearer(parent))
        return IssuedToken(token, minted.secret, self.settings.clock(), token_id)

    async def revoke_token(self, public_id: str) -> None:
        """See IAccount."""
        record = await self.settings.catalog.find_token(public_id) if is_public_id(public_id) else None
        if record is None or not await self._revoke(record, self.principal):
            raise NotFound("you have no token of this id")

    async def _revoke(self, record: TokenRecord, principal: Principal) -> bool:
        """Revoke a token if it is one of the user's own."""
        token_id = record.principal.token_id
        assert token_id is not None, "a stored token has a number"
        return await self.settings.catalog.revoke_token_of(_personal(principal), token_id, principal)

    async def _check_whole(self, secret: str) -> TokenRecord:
        """Find a personal token that may do what its user may: what others made would outlive them."""
        record = await self._check(secret)
        if "api" not in record.principal.scopes:
            raise WrongPassword(
                "the password is a personal access token that may only read: one with the scope api is needed"
            )
        return record

    async def _check(self, secret: str, kinds: frozenset[TokenKind] = frozenset({TokenKind.PERSONAL})) -> TokenRecord:
        """Find the token of a secret; one that is not good counts against the address."""
        credentials = TokenCredentials(ShownToken(secret.strip(), kinds), self.settings.catalog)
        try:
            return await TokenChecker(self.settings.clock).find_record(credentials)
        except InvalidCredentials:
            self._count_failure()
            raise WrongPassword from None

    def _bearer(self, record: TokenRecord) -> Principal:
        """Who showed a token in the body of this request."""
        return evolve(record.principal, origin=self.principal.origin)

    def _count_failure(self) -> None:
        verdict = self.settings.request_limits.admit_failure(self.address)
        if verdict.retry_after_seconds is not None:
            raise RateLimited(verdict.retry_after_seconds)

    def _expiry(self, record: TokenRecord, lifetime: datetime.timedelta) -> datetime.datetime:
        """Say when a token expires that is made by another: not after it."""
        wanted = self.settings.clock() + lifetime
        return wanted if record.expires_at is None else min(wanted, record.expires_at)

    def _name(self, client: str) -> str:
        """Name the token of a client that was signed in."""
        return f"{_product(client).partition('/')[0] or 'client'} at {self.address}"


def _personal(principal: Principal) -> TokenOwner:
    return TokenOwner(TokenKind.PERSONAL, user_id=principal.user_id)


def _product(client: str) -> str:
    """Take the name and version with which a client's own words begin; free text could speak to whoever reads it."""
    match = _PRODUCT.match(client)
    return "" if match is None else match[0]


def _sha256(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
