"""`token add`, `token list`, `token revoke`."""

from __future__ import annotations

import datetime
from argparse import Namespace
from collections.abc import Mapping

from attrs import asdict, frozen

from pkgregd.auth.tokendesk import API_SCOPES, DEPLOY_SCOPES, check_name, check_username
from pkgregd.auth.tokens import is_public_id, mint, parse
from pkgregd.commands.columns import columns
from pkgregd.commands.instance import Instance, Outcome, UsageError, show_time
from pkgregd.errors import InvalidCredentials, InvalidRequest, NotFound
from pkgregd.values import NewToken, Role, TokenKind, TokenRecord

JOB_LIFETIME = datetime.timedelta(hours=1)
SHOWN = ("public_id", "kind", "state", "expires_at", "last_used_at", "scopes", "name")


@frozen
class KindRules:
    """
    What `token add` takes for one kind of token.

    Attributes:
        owners: the options of which exactly one says whose it is.
        scopes: those to choose from; empty means that the kind has none.
        default_scopes: without any --scope; empty means that one must be given, if there are any.
        has_role: whether --role is taken.
        has_username: whether --username is taken.
    """

    owners: tuple[str, ...]
    scopes: tuple[str, ...] = ()
    default_scopes: tuple[str, ...] = ()
    has_role: bool = False
    has_username: bool = False


RULES: Mapping[TokenKind, KindRules] = {
    TokenKind.PERSONAL: KindRules(("user",), API_SCOPES, ("api",)),
    TokenKind.PROJECT: KindRules(("project",), API_SCOPES, ("api",), has_role=True),
    TokenKind.GROUP: KindRules(("group",), API_SCOPES, ("api",), has_role=True),
    TokenKind.DEPLOY: KindRules(("project", "group"), DEPLOY_SCOPES, has_username=True),
    TokenKind.JOB: KindRules(("project",)),
}


def check_request(arguments: Namespace) -> None:
    """
    Check that the arguments of `token add` fit its kind.

    Raises:
        UsageError.
    """
    kind: TokenKind = arguments.kind
    rules = RULES[kind]
    what = f"a {kind.value} token"
    given = [owner for owner in ("user", "project", "group") if getattr(arguments, owner) is not None]
    if len(given) != 1 or given[0] not in rules.owners:
        raise UsageError(f"{what} takes exactly one of " + ", ".join(f"--{owner}" for owner in rules.owners))
    if arguments.role is not None and not rules.has_role:
        raise UsageError(f"{what} takes no --role")
    if arguments.username is not None and not rules.has_username:
        raise UsageError(f"{what} takes no --username")
    if arguments.scope and not rules.scopes:
        raise UsageError(f"{what} takes no --scope")
    if not set(arguments.scope) <= set(rules.scopes):
        raise UsageError(f"{what} takes the scopes " + ", ".join(rules.scopes))
    if rules.scopes and not rules.default_scopes and not arguments.scope:
        raise UsageError(f"{what} needs at least one --scope of " + ", ".join(rules.scopes))
    name = arguments.name
    if name is not None:
        try:
            check_name(name)
        except InvalidRequest as error:
            raise UsageError(f"--name: {error}") from None
    if arguments.username is not None:
        try:
            check_username(arguments.username)
        except InvalidRequest as error:
            raise UsageError(f"--username: {error}") from None


def new_token(arguments: Namespace, now: datetime.datetime) -> tuple[NewToken, str]:
    """Mint the token that checked arguments ask for; returns what to store and the secret."""
    kind: TokenKind = arguments.kind
    rules = RULES[kind]
    lifetime = arguments.expires or (JOB_LIFETIME if kind is TokenKind.JOB else None)
    minted = mint(kind)
    token = NewToken(
        public_id=minted.public_id,
        secret_sha256=minted.secret_sha256,
        kind=kind,
        name=arguments.name or f"{kind.value}-{minted.public_id}",
        scopes=frozenset(arguments.scope or rules.default_scopes),
        role=(arguments.role or Role.DEVELOPER) if rules.has_role else None,
        user=arguments.user,
        project=arguments.project,
        group=arguments.group,
        expires_at=None if lifetime is None else now + lifetime,
        username=arguments.username,
    )
    return token, minted.secret


async def add_token(instance: Instance, arguments: Namespace) -> Outcome:
    """Make and store a token; answers its secret, which is nowhere else."""
    token, secret = new_token(arguments, instance.clock())
    token_id = await instance.catalog.add_token(token, instance.operator)
    stored = await instance.catalog.find_token(token.public_id)
    data = {
        "id": token_id,
        "public_id": token.public_id,
        "token": secret,
        "kind": token.kind.value,
        "name": token.name,
        "scopes": sorted(token.scopes),
        "role": None if token.role is None else token.role.name.lower(),
        "expires_at": show_time(token.expires_at),
        "username": None if stored is None else stored.username,
    }
    return Outcome(secret, data)


async def list_tokens(instance: Instance, arguments: Namespace) -> Outcome:
    """List all tokens, revoked and expired ones included; no secrets."""
    now = instance.clock()
    rows = [_row(record, now) for record in await instance.catalog.list_tokens()]
    return Outcome(columns(SHOWN, rows), rows)


def _row(record: TokenRecord, now: datetime.datetime) -> dict[str, object]:
    principal = record.principal
    if record.revoked_at is not None:
        state = "revoked"
    elif record.expires_at is not None and record.expires_at <= now:
        state = "expired"
    else:
        state = "active"
    return {
        "public_id": record.public_id,
        "kind": None if principal.token_kind is None else principal.token_kind.value,
        "state": state,
        "name": record.name,
        "scopes": sorted(principal.scopes),
        "role": None if principal.role is None else principal.role.name.lower(),
        "user_id": principal.user_id,
        "project_id": principal.project_id,
        "group_id": principal.group_id,
        "created_at": show_time(record.created_at),
        "username": record.username,
        "expires_at": show_time(record.expires_at),
        "last_used_at": show_time(record.last_used_at),
        "made_by": record.parent_id,
        "origin": None if record.origin is None else asdict(record.origin),
        "revoked_at": show_time(record.revoked_at),
    }


async def revoke_token(instance: Instance, arguments: Namespace) -> Outcome:
    """Revoke a token by its public id or by its whole secret; answers the public id, never the secret."""
    public_id = _public_id(arguments.token)
    if not await instance.catalog.revoke_token(public_id, instance.operator):
        raise NotFound("no token has this id")
    return Outcome(public_id, {"public_id": public_id, "revoked": True})


def _public_id(text: str) -> str:
    if is_public_id(text):
        return text
    try:
        return parse(text)
    except InvalidCredentials:
        # The text may be most of a secret: it is not repeated.
        raise InvalidRequest("this is neither the id of a token nor a whole token") from None
