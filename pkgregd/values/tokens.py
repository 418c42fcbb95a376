"""Tokens, and clients that wait to be signed in."""

from __future__ import annotations

import datetime

from attrs import field, frozen

from pkgregd.values.access import Principal, Role, TokenKind

JOB_USER_NAME = "gitlab-ci-token"
"""The user name that goes with every job token, and with no other."""


@frozen
class JobOrigin:
    """
    What a CI system said of a job when its ID token was exchanged; each text is empty if it said nothing.

    Attributes:
        issuer, subject: who said it, and of whom.
        repository: where the job's code is.
        ref: branch or tag.
        run_id: which run of it.
    """

    issuer: str
    subject: str = ""
    repository: str = ""
    ref: str = ""
    run_id: str = ""


@frozen
class SpentIdToken:
    """
    An ID token that is being exchanged, and cannot be again.

    Attributes:
        issuer, jti: what it is known by.
        forget_at: aware UTC; long after it has expired.
    """

    issuer: str
    jti: str
    forget_at: datetime.datetime


@frozen
class NewToken:
    """
    A token about to be stored.

    Attributes:
        public_id: the part of the secret that may be shown: looked up, listed and revoked by.
        secret_sha256: hex digest of the whole secret text.
        kind: what it stands for.
        name: the operator's words.
        scopes: what it allows.
        role: of a project or group access token.
        user: user name, for a personal token.
        project: project path, or its number in digits.
        group: group path, or its number in digits.
        expires_at: aware UTC; None means never.
        username: of a deploy token; without, its number makes it.
        origin: of a job token that was made for an ID token.
    """

    public_id: str
    secret_sha256: str = field(repr=False)
    kind: TokenKind
    name: str
    scopes: frozenset[str] = frozenset()
    role: Role | None = None
    user: str | None = None
    project: str | None = None
    group: str | None = None
    expires_at: datetime.datetime | None = None
    username: str | None = None
    origin: JobOrigin | None = None


@frozen
class TokenRecord:
    """
    A stored token, with what authentication needs of its owner.

    Attributes:
        public_id, secret_sha256, name, expires_at, origin: see NewToken.
        principal: who the token makes its bearer, scopes and bounds included.
        created_at, revoked_at, last_used_at: aware UTC. The last one may be late by a minute.
        username: the user name that belongs beside it in Basic authentication; None where none does.
        parent_id: number of the token that was shown to make it.
    """

    public_id: str
    secret_sha256: str = field(repr=False)
    name: str
    principal: Principal
    created_at: datetime.datetime
    expires_at: datetime.datetime | None = None
    revoked_at: datetime.datetime | None = None
    last_used_at: datetime.datetime | None = None
    username: str | None = None
    parent_id: int | None = None
    origin: JobOrigin | None = None


def user_name_beside(kind: TokenKind, token_id: int, user: str | None, username: str | None) -> str | None:
    """
    Say which user name belongs beside a token.

    Args:
        user: whose it is.
        username: that a deploy token was given.
    """
    if kind is TokenKind.DEPLOY:
        return username or f"gitlab+deploy-token-{token_id}"
    return JOB_USER_NAME if kind is TokenKind.JOB else user


@frozen
class MintedToken:
    """
    A new token, the only time its secret is known.

    Attributes:
        secret: the whole text that its bearer shows.
        public_id: the part of it that may be shown to others.
        secret_sha256: hex digest of the whole text, to be stored.
    """

    secret: str = field(repr=False)
    public_id: str
    secret_sha256: str = field(repr=False)


@frozen
class TokenOwner:
    """
    Whose tokens of which kind; the tokens of one kind belong to users, projects or groups, as NewToken tells.

    Attributes:
        kind: of the tokens.
        user_id, project_id, group_id: at most one of them; without any, tokens of that kind whoever has them.
    """

    kind: TokenKind
    user_id: int | None = None
    project_id: int | None = None
    group_id: int | None = None


@frozen
class TokenOrder:
    """
    A token that somebody wants made.

    Attributes:
        owner: whose it will be, and of which kind.
        name: the orderer's words.
        scopes: what it allows.
        role: of a project or group access token.
        expires_at: aware; None means never.
        username: of a deploy token; None for the usual one.
    """

    owner: TokenOwner
    name: str
    scopes: frozenset[str]
    role: Role | None = None
    expires_at: datetime.datetime | None = None
    username: str | None = None


@frozen
class TokenQuery:
    """
    Which tokens are listed.

    Attributes:
        owner: whose they are.
        is_active: only those that are neither revoked nor expired, or only the others; None for all.
        is_descending: newest first.
    """

    owner: TokenOwner
    is_active: bool | None = None
    is_descending: bool = False


@frozen
class TokenListing:
    """A piece of a listing of tokens, and how long the whole is."""

    tokens: tuple[TokenRecord, ...]
    total: int


@frozen
class NewSignIn:
    """
    The request of a client without a credential that somebody signs it in.

    Attributes:
        public_id: of the page on which that is done; past guessing, like a secret.
        poll_sha256: hex digest of the secret by which the client asks whether it was done.
        address: where the client is.
        client: its own words for itself.
        expires_at: aware UTC; nothing is known of it from then on.
    """

    public_id: str
    poll_sha256: str = field(repr=False)
    address: str
    client: str
    expires_at: datetime.datetime


@frozen
class SignIn:
    """
    A stored request to be signed in.

    Attributes:
        public_id, address, client, expires_at: see NewSignIn.
        created_at: aware UTC.
        is_approved: whether somebody has said yes, and the client has not come back yet.
    """

    public_id: str
    address: str
    client: str
    created_at: datetime.datetime
    expires_at: datetime.datetime
    is_approved: bool = False


@frozen
class SignInStart:
    """
    What a client needs to be signed in.

    Attributes:
        poll_secret: what it asks with whether it was done.
        page_url: where somebody does it.
    """

    poll_secret: str = field(repr=False)
    page_url: str


@frozen
class IssuedToken:
    """
    A token that was just made, the only time its secret is known.

    Attributes:
        token: what was stored.
        secret: the whole text that its bearer shows.
        created_at: aware UTC.
        token_id: its number.
    """

    token: NewToken
    secret: str = field(repr=False)
    created_at: datetime.datetime
    token_id: int = 0
