"""Who may do what, how fast."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping

from zope.interface import Interface

from pkgregd.interfaces.catalog import IReads
from pkgregd.values import (
    AccountPermission,
    IssuedToken,
    Level,
    Permission,
    Piece,
    Principal,
    RouteClass,
    Scope,
    SignIn,
    SignInStart,
    TokenRecord,
    Verdict,
)


class IAuthenticator(Interface):
    """Credentials to a Principal."""

    async def authenticate(carried: Mapping[str, str], reads: IReads, *, is_strict: bool = False) -> Principal:
        """
        Find out who is asking.

        Args:
            carried: the request's credential headers by lower-case name, and query parameters that carry a token by
                their names with a `?` before them; what is repeated never gets here.
            reads: where tokens are found.
            is_strict: whether a user name beside the token has to be its own; see IStrictTable.

        Returns:
            ANONYMOUS when there is no credential at all.

        Raises:
            InvalidCredentials: a credential is there and not good. It never falls back to anonymous.
        """


class ITokenUses(Interface):
    """Remembers when tokens were used."""

    def note(token_id: int) -> None:
        """Note that a token is being used. Writes nothing; bounded."""

    async def write() -> None:
        """
        Write what was noted. What cannot be written stays noted.

        Raises:
            Unavailable.
        """


class IAccessPolicy(Interface):
    """Who may do what: pure."""

    def permits(principal: Principal, permission: Permission, scope: Scope) -> bool:
        """Whether the principal has the permission there."""

    def sees(principal: Principal, scope: Scope) -> bool:
        """Whether the principal may know that the scope exists."""

    def demand(principal: Principal, permission: Permission, scope: Scope | None, level: Level) -> None:
        """
        Pass, or say why not, the same way for what is missing and what is hidden.

        Args:
            scope: None when there is none of that name.
            level: what was asked for, a project or a group.

        Raises:
            AuthenticationRequired: anonymous without the right, or without a scope.
            ProjectNotFound, GroupNotFound: authenticated, and it is missing or out of sight.
            PermissionDenied: in sight without the right.
        """

    def demand_account(principal: Principal, permission: AccountPermission) -> None:
        """
        Pass, or say why not.

        Raises:
            AuthenticationRequired, PermissionDenied.
        """


class IIdTokenExchange(Interface):
    """Exchanges ID tokens of CI systems for tokens of jobs."""

    def audience() -> str:
        """The audience that ID tokens have to be for. Raises NotFound: there are none, or it depends on the issuer."""

    async def exchange(id_token: str, asker: Principal, project: str | None = None) -> IssuedToken:
        """
        Make a job token of one project, which lives for some minutes; the ID token cannot be exchanged again.

        Args:
            id_token: whatever was shown.
            asker: who shows it, for the audit trail.
            project: path of the only project that will do; None for that of the first rule that matches.

        Raises:
            InvalidIdToken: says what is wrong, and repeats nothing of it. NotFound: there is no such project.
            Unavailable: the keys of the issuer cannot be had.
        """


class IAccount(Interface):
    """What the caller may do about being known here; secrets are texts of tokens, good for once or for long."""

    async def sign_in(user_name: str, secret: str, client: str) -> str:
        """
        Exchange a personal token for one of the same user and scopes that is the client's alone.

        Args:
            user_name: whose the token must be.
            client: the client's own words for itself, unchecked.

        Returns:
            The secret of the new token.

        Raises:
            WrongPassword, RateLimited.
        """

    async def start_sign_in(client: str) -> SignInStart:
        """Have somebody sign the client in on a page. Raises RateLimited when too many wait."""

    async def find_sign_in(public_id: str) -> SignIn:
        """Find what was started. Raises NotFound: never, or too long ago."""

    async def approve_sign_in(public_id: str, secret: str) -> str:
        """
        Sign a client in with a personal token; returns the user's name.

        Raises:
            WrongPassword, RateLimited; NotFound: as find_sign_in(), or it is done already.
        """

    async def finish_sign_in(poll_secret: str, client: str) -> str | None:
        """
        Return the secret of the client's own token, once, or None while nobody signed it in.

        Args:
            client: the client's own words for itself, unchecked.

        Raises:
            NotFound: never started, too long ago, or the token by which it was signed in is not good any more.
        """

    async def sign_out(secret: str) -> None:
        """Revoke a personal token; one of another kind, which others may use too, stays. Raises WrongPassword."""

    def audience() -> str:
        """See IIdTokenExchange."""

    async def exchange(id_token: str, project: str | None = None) -> IssuedToken:
        """See IIdTokenExchange; one that is not good counts against the address. Raises RateLimited, too."""

    async def end_job(secret: str) -> None:
        """
        Revoke the token of a job.

        Raises:
            WrongPassword: it is not a good one. RateLimited.
        """

    async def list_tokens(piece: Piece) -> tuple[TokenRecord, ...]:
        """The caller's own personal tokens that are good, newest first."""

    async def add_token(secret: str, name: str, *, is_read_only: bool, lifetime: datetime.timedelta) -> IssuedToken:
        """
        Make a token of the caller's, not better than the one that is shown for it, nor good for longer.

        Raises:
            WrongPassword: what is shown is not a good personal token of the caller's own, or may only read.
            InvalidRequest: the name.
        """

    async def revoke_token(public_id: str) -> None:
        """Revoke a token of the caller's own. Raises NotFound."""


class IAccounts(Interface):
    """Where accounts are had."""

    def account(principal: Principal, address: str) -> IAccount:
        """Return what a caller at an address may do; failures count against the address."""


class IDueTimes(Interface):
    """
    Where limiters keep one number for each caller: the time at which its budget is whole again.

    Synchronous, and for the reactor thread alone. Bounded: of too many callers some are forgotten, which gives
    them a whole budget. A store that fails admits, and counts how often.
    """

    def push(key: str, now: float, by_seconds: float, most_seconds: float) -> float:
        """
        Move a due time, which lies neither before now nor beyond now + most_seconds, whatever is remembered.

        No other call for the key, in whatever process, sees or changes it meanwhile.

        Args:
            now: on the clock that all who share the store have.
            by_seconds: how far; a negative one takes back what an earlier call did, and 0 only looks.
            most_seconds: how far in the future it may get.

        Returns:
            The new due time. One that is too far in the future is told, and not remembered.
        """


class IRateLimiter(Interface):
    """Admission by key. Synchronous; a broken limiter admits."""

    def admit(key: str, cost: float = 1.0) -> Verdict:
        """Count a request of that weight if it is admitted, and say so; what is refused costs nothing."""


class IRequestLimits(Interface):
    """The configured rate limits, by class of routes and URL prefix. Synchronous; a broken limiter admits."""

    def admit(
        path: str,
        principal: Principal,
        address: str,
        routes: RouteClass,
        cost: float = 1.0,
        caller: Callable[[], bytes] | None = None,
    ) -> Verdict | None:
        """
        Count one request.

        Args:
            path: the raw URL path; the longest configured prefix decides (`:id` stands for any one segment).
            principal: anonymous ones share their address's budget, others have their own.
            address: the client's IP address.
            routes: what the request is for.
            cost: in requests.
            caller: makes what foretell() will know the same caller by: a digest of all by which the principal was
                found, and of the address. Asked for only if the budget is spent now.

        Returns:
            What to tell the client, who has to be refused if it says when to come back; None where no rule holds.
        """

    def foretell(path: str, caller: Callable[[], bytes], routes: RouteClass, cost: float = 1.0) -> Verdict | None:
        """
        Say that admit() or admit_failure() would refuse a request, as far as that is known without its principal.

        Counts nothing. A caller is known from the moment when his budget was spent until there may be something in it
        again, and refused only if there is nothing: so whoever is let pass by admit() is not refused here.

        Args:
            caller: makes what admit() was given. Asked for only if anybody is remembered.

        Returns:
            A refusal; None if it takes a look at who it is.
        """

    def hold_seconds(verdict: Verdict) -> float:
        """
        Say how long to keep a refusal back, and count it.

        Some are answered at once. Whoever asks on without waiting for as long as he is told is answered the later the
        more he asks, at most a second: a connection that waits sends nothing.
        """

    def give_back(verdict: Verdict, cost: float) -> None:
        """Make an admitted request cheaper, now that it is known what it took."""

    def admit_failure(address: str, caller: Callable[[], bytes] | None = None) -> Verdict:
        """Count a failed authentication of an address, which has to be refused if there were too many; see admit()."""
