"""
Tokens of users, projects and groups.

Source: GitLab's documentation, `api/deploy_tokens.md`, `api/personal_access_tokens.md`, `api/project_access_tokens.md`
and `api/group_access_tokens.md`.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from zope.interface import implementer

from pkgregd.interfaces import IAuthorisedCall, IDirectories, IRouteTable, ITokenDesk
from pkgregd.manage.answers import (
    ACCESS_TOKEN,
    DEPLOY_TOKEN,
    GONE,
    NEW_ACCESS_TOKEN,
    NEW_DEPLOY_TOKEN,
    OWN_TOKEN,
    listed,
    made,
    shown,
)
from pkgregd.manage.bodies import Body, Field, day, text, texts
from pkgregd.manage.bodies import role as role_field
from pkgregd.manage.pagination import PAGING, page_headers, read_page
from pkgregd.manage.parameters import choice, described, flag, number
from pkgregd.manage.people_shapes import issued_fields, token_fields
from pkgregd.manage.shapes import json_reply
from pkgregd.values import (
    AccountPermission,
    Answer,
    IssuedToken,
    Level,
    Operation,
    Parameter,
    Permission,
    Refusal,
    Reply,
    Role,
    Route,
    TokenKind,
    TokenOrder,
    TokenOwner,
    TokenQuery,
)

API = "/api/v4"
INSTANCE = frozenset({Level.INSTANCE})
BOTH = frozenset({Level.PROJECT, Level.GROUP})
NO_STORE = (("Cache-Control", "no-store"),)
STATES: Mapping[str, bool | None] = {"active": True, "inactive": False}
IGNORED_OF_TOKENS = frozenset({"description", "username"})
IGNORED_OF_DEPLOY_TOKENS = frozenset({"description"})

STATE = choice("state", STATES, None, "Only those that can be used, or only those that cannot")
ACTIVE = flag("active", "Only those that can be used")
USER_ID = number("user_id", None, "Whose: of another user only an administrator is told")

_NAME_AND_SCOPES: Mapping[str, Field[Any]] = {"name": text, "scopes": texts, "expires_at": day}
NEW_DEPLOY = Body(
    {**_NAME_AND_SCOPES, "username": text},
    ("name", "scopes"),
    IGNORED_OF_DEPLOY_TOKENS,
    example={"name": "fleet", "scopes": ["read_package_registry"]},
)
NEW_ACCESS = Body(
    {**_NAME_AND_SCOPES, "access_level": role_field},
    ("name", "scopes"),
    IGNORED_OF_TOKENS,
    example={"name": "pipeline", "scopes": ["api"], "access_level": 30, "expires_at": "2099-12-31"},
)
NEW_PERSONAL = Body(
    _NAME_AND_SCOPES, ("name", "scopes"), IGNORED_OF_TOKENS, example={"name": "laptop", "scopes": ["read_api"]}
)
ROTATION = Body({"expires_at": day}, example={"expires_at": "2099-12-31"})

DEPLOY_PARAMETERS = described(ACTIVE) + PAGING
ACCESS_PARAMETERS = described(STATE) + PAGING
PERSONAL_PARAMETERS = described(STATE, USER_ID) + PAGING

_DEPLOY_LIST = listed(DEPLOY_TOKEN, "The tokens, without their secrets")
_ACCESS_LIST = listed(ACCESS_TOKEN, "The tokens, without their secrets")
_ROTATED = (Answer(200, "The new token, with its secret", NEW_ACCESS_TOKEN),)
_MADE = made(NEW_ACCESS_TOKEN, "The token, with its secret")
LIST_DEPLOY = Operation("list_deploy_tokens", _DEPLOY_LIST, DEPLOY_PARAMETERS)
ADD_DEPLOY = Operation(
    "add_deploy_token", made(NEW_DEPLOY_TOKEN, "The token, with its secret"), body=NEW_DEPLOY.described
)
SHOW_DEPLOY = Operation("show_deploy_token", shown(DEPLOY_TOKEN, "The token"))
REVOKE_DEPLOY = Operation("revoke_deploy_token", GONE)
LIST_ALL_DEPLOY = Operation("list_all_deploy_tokens", _DEPLOY_LIST, DEPLOY_PARAMETERS)
LIST_ACCESS = Operation("list_access_tokens", _ACCESS_LIST, ACCESS_PARAMETERS)
ADD_ACCESS = Operation("add_access_token", _MADE, body=NEW_ACCESS.described)
SHOW_ACCESS = Operation("show_access_token", shown(ACCESS_TOKEN, "The token"))
REVOKE_ACCESS = Operation("revoke_access_token", GONE)
ROTATE_ACCESS = Operation("rotate_access_token", _ROTATED, body=ROTATION.described)
LIST_PERSONAL = Operation("list_personal_access_tokens", _ACCESS_LIST, PERSONAL_PARAMETERS)
SHOW_OWN = Operation("show_own_token", shown(OWN_TOKEN, "The token"), refusals=(404,))
REVOKE_OWN = Operation("revoke_own_token", GONE, refusals=(404,))
SHOW_PERSONAL = Operation("show_personal_access_token", shown(ACCESS_TOKEN, "The token"))
REVOKE_PERSONAL = Operation("revoke_personal_access_token", GONE)
ROTATE_PERSONAL = Operation("rotate_personal_access_token", _ROTATED, body=ROTATION.described)
ROTATE_OWN = Operation("rotate_own_token", _ROTATED, body=ROTATION.described, refusals=(404,))
ADD_PERSONAL = Operation("add_personal_access_token", _MADE, body=NEW_PERSONAL.described)

_ACCESS_KINDS = {Level.PROJECT: TokenKind.PROJECT, Level.GROUP: TokenKind.GROUP}


@implementer(IRouteTable)
class TokenManagement:
    """
    See IRouteTable.

    Args:
        desk: makes and keeps tokens.
        directories: tell which roles may be handed out.
        clock: tells the time, aware.
    """

    name = "manage_tokens"
    challenge: str | None = None

    def __init__(self, desk: ITokenDesk, directories: IDirectories, clock: Callable[[], datetime.datetime]) -> None:
        self._desk = desk
        self._directories = directories
        self._clock = clock

    def routes(self) -> Sequence[Route]:
        """See IRouteTable."""
        administer, own = Permission.ADMINISTER, AccountPermission.MANAGE_TOKENS
        instance, users = AccountPermission.ADMINISTER_INSTANCE, AccountPermission.READ_USERS
        of_user = f"{API}/users/<number:user_id>/personal_access_tokens"
        deploy, access, personal = "/deploy_tokens", "/access_tokens", f"{API}/personal_access_tokens"
        by_id = "/<number:token_id>"
        return (
            Route(("GET",), deploy, administer, self.list_deploy, BOTH, operation=LIST_DEPLOY),
            Route(("POST",), deploy, administer, self.add_deploy, BOTH, operation=ADD_DEPLOY),
            Route(("GET",), deploy + by_id, administer, self.show_deploy, BOTH, operation=SHOW_DEPLOY),
            Route(("DELETE",), deploy + by_id, administer, self.revoke_deploy, BOTH, operation=REVOKE_DEPLOY),
            Route(("GET",), API + deploy, instance, self.list_all_deploy, INSTANCE, operation=LIST_ALL_DEPLOY),
            Route(("GET",), access, administer, self.list_access, BOTH, operation=LIST_ACCESS),
            Route(("POST",), access, administer, self.add_access, BOTH, operation=ADD_ACCESS),
            Route(("GET",), access + by_id, administer, self.show_access, BOTH, operation=SHOW_ACCESS),
            Route(("DELETE",), access + by_id, administer, self.revoke_access, BOTH, operation=REVOKE_ACCESS),
            Route(("POST",), access + by_id + "/rotate", administer, self.rotate_access, BOTH, operation=ROTATE_ACCESS),
            Route(("GET",), personal, own, self.list_personal, INSTANCE, operation=LIST_PERSONAL),
            Route(("GET",), personal + "/self", users, self.show_self, INSTANCE, operation=SHOW_OWN),
            Route(("DELETE",), personal + "/self", users, self.revoke_self, INSTANCE, operation=REVOKE_OWN),
            Route(("POST",), personal + "/self/rotate", own, self.rotate_self, INSTANCE, operation=ROTATE_OWN),
            Route(("GET",), personal + by_id, own, self.show_personal, INSTANCE, operation=SHOW_PERSONAL),
            Route(("DELETE",), personal + by_id, own, self.revoke_personal, INSTANCE, operation=REVOKE_PERSONAL),
            Route(
                ("POST",), personal + by_id + "/rotate", own, self.rotate_personal, INSTANCE, operation=ROTATE_PERSONAL
            ),
            Route(("POST",), of_user, instance, self.add_personal, INSTANCE, operation=ADD_PERSONAL),
        )

    def render_error(self, refusal: Refusal) -> Reply | None:
        """Leave it to the common JSON, which is GitLab's."""
        return None

    # ---------------------------------------------------------------------- whose

    def _of(self, call: IAuthorisedCall, kind: TokenKind) -> TokenOwner:
        if call.scope.level is Level.PROJECT:
            return TokenOwner(kind, project_id=call.scope.id)
        return TokenOwner(kind, group_id=call.scope.id)

    def _access(self, call: IAuthorisedCall) -> TokenOwner:
        return self._of(call, _ACCESS_KINDS[call.scope.level])

    def _deploy(self, call: IAuthorisedCall) -> TokenOwner:
        return self._of(call, TokenKind.DEPLOY)

    def _personal(self, call: IAuthorisedCall) -> TokenOwner:
        """The caller's own personal tokens; all of them for an administrator."""
        return TokenOwner(TokenKind.PERSONAL, user_id=None if call.principal.is_admin else call.principal.user_id)

    # --------------------------------------------------------------------- common

    async def _list(
        self,
        call: IAuthorisedCall,
        owner: TokenOwner,
        path: str,
        parameters: Sequence[Parameter],
        *,
        is_active: bool | None,
    ) -> Reply:
        page = read_page(call)
        listing = await self._desk.list_tokens(TokenQuery(owner, is_active), page.piece)
        now = self._clock()
        headers = page_headers(call, call.base_url + path, parameters, page, listing.total)
        return json_reply([token_fields(record, now) for record in listing.tokens], headers)

    async def _show(self, call: IAuthorisedCall, owner: TokenOwner) -> Reply:
        record = await self._desk.find_token(owner, call.arguments["token_id"])
        return json_reply(token_fields(record, self._clock()))

    async def _revoke(self, call: IAuthorisedCall, owner: TokenOwner) -> Reply:
        await self._desk.revoke(owner, call.arguments["token_id"], call.principal)
        return Reply(204)

    async def _rotate(self, call: IAuthorisedCall, owner: TokenOwner, token_id: int) -> Reply:
        given = await ROTATION.read(call)
        before = await self._desk.find_token(owner, token_id)
        issued = await self._desk.rotate(owner, token_id, given.get("expires_at"), call.principal)
        return _issued(200, issued, before.principal.user_id)

    # --------------------------------------------------------------------- deploy

    async def list_deploy(self, call: IAuthorisedCall) -> Reply:
        """List the deploy tokens of a project or group."""
        is_active = ACTIVE.read(call) or None
        return await self._list(call, self._deploy(call), "/deploy_tokens", DEPLOY_PARAMETERS, is_active=is_active)

    async def list_all_deploy(self, call: IAuthorisedCall) -> Reply:
        """List all deploy tokens there are."""
        owner = TokenOwner(TokenKind.DEPLOY)
        is_active = ACTIVE.read(call) or None
        return await self._list(call, owner, f"{API}/deploy_tokens", DEPLOY_PARAMETERS, is_active=is_active)

    async def add_deploy(self, call: IAuthorisedCall) -> Reply:
        """Make a deploy token."""
        given = await NEW_DEPLOY.read(call)
        ends, username = given.get("expires_at"), given.get("username")
        order = TokenOrder(self._deploy(call), given["name"], given["scopes"], expires_at=ends, username=username)
        return _issued(201, await self._desk.issue(order, call.principal), None)

    async def show_deploy(self, call: IAuthorisedCall) -> Reply:
        """Show a deploy token."""
        return await self._show(call, self._deploy(call))

    async def revoke_deploy(self, call: IAuthorisedCall) -> Reply:
        """Revoke a deploy token."""
        return await self._revoke(call, self._deploy(call))

    # --------------------------------------------------------------------- access

    async def list_access(self, call: IAuthorisedCall) -> Reply:
        """List the access tokens of a project or group."""
        is_active = STATE.read(call)
        return await self._list(call, self._access(call), "/access_tokens", ACCESS_PARAMETERS, is_active=is_active)

    async def add_access(self, call: IAuthorisedCall) -> Reply:
        """Make an access token, with at most the role of who makes it."""
        given = await NEW_ACCESS.read(call)
        role: Role = given.get("access_level", Role.MAINTAINER)
        self._directories.directory(call.principal).check_role(call.scope, role)
        order = TokenOrder(self._access(call), given["name"], given["scopes"], role, given.get("expires_at"))
        return _issued(201, await self._desk.issue(order, call.principal), None)

    async def show_access(self, call: IAuthorisedCall) -> Reply:
        """Show an access token."""
        return await self._show(call, self._access(call))

    async def revoke_access(self, call: IAuthorisedCall) -> Reply:
        """Revoke an access token."""
        return await self._revoke(call, self._access(call))

    async def rotate_access(self, call: IAuthorisedCall) -> Reply:
        """Replace an access token, with at most the role of who does it."""
        record = await self._desk.find_token(self._access(call), call.arguments["token_id"])
        role = record.principal.role
        if role is not None:
            self._directories.directory(call.principal).check_role(call.scope, role)
        return await self._rotate(call, self._access(call), call.arguments["token_id"])

    # ------------------------------------------------------------------- personal

    async def list_personal(self, call: IAuthorisedCall) -> Reply:
        """List the caller's personal tokens; for an administrator those of one user, or all."""
        owner = self._personal(call)
        user_id = USER_ID.read(call)
        if user_id is not None:
            is_own = call.principal.is_admin or user_id == call.principal.user_id
            owner = TokenOwner(TokenKind.PERSONAL, user_id=user_id if is_own else -1)
        is_active = STATE.read(call)
        return await self._list(call, owner, f"{API}/personal_access_tokens", PERSONAL_PARAMETERS, is_active=is_active)

    async def show_personal(self, call: IAuthorisedCall) -> Reply:
        """Show a personal token."""
        return await self._show(call, self._personal(call))

    async def revoke_personal(self, call: IAuthorisedCall) -> Reply:
        """Revoke a personal token."""
        return await self._revoke(call, self._personal(call))

    async def rotate_personal(self, call: IAuthorisedCall) -> Reply:
        """Replace one of the caller's own personal tokens."""
        owner = TokenOwner(TokenKind.PERSONAL, user_id=call.principal.user_id)
        return await self._rotate(call, owner, call.arguments["token_id"])

    async def add_personal(self, call: IAuthorisedCall) -> Reply:
        """Make a personal token for a user, as an administrator."""
        given = await NEW_PERSONAL.read(call)
        user_id: int = call.arguments["user_id"]
        owner = TokenOwner(TokenKind.PERSONAL, user_id=user_id)
        order = TokenOrder(owner, given["name"], given["scopes"], expires_at=given.get("expires_at"))
        return _issued(201, await self._desk.issue(order, call.principal), user_id)

    async def show_self(self, call: IAuthorisedCall) -> Reply:
        """Show the token that the request shows."""
        record = await self._desk.find_token(*_shown(call))
        return json_reply(token_fields(record, self._clock()))

    async def revoke_self(self, call: IAuthorisedCall) -> Reply:
        """Revoke the token that the request shows."""
        await self._desk.revoke(*_shown(call), call.principal)
        return Reply(204)

    async def rotate_self(self, call: IAuthorisedCall) -> Reply:
        """Replace the personal token that the request shows."""
        return await self._rotate(call, *_shown(call))


def _shown(call: IAuthorisedCall) -> tuple[TokenOwner, int]:
    """The token that a request shows."""
    bearer = call.principal
    assert bearer.token_kind is not None, "the caller is known"
    assert bearer.token_id is not None, "the caller is known"
    return TokenOwner(bearer.token_kind, bearer.user_id, bearer.project_id, bearer.group_id), bearer.token_id


def _issued(status: int, issued: IssuedToken, user_id: int | None) -> Reply:
    body = json.dumps(issued_fields(issued, user_id)).encode()
    return Reply(status, body, "application/json", NO_STORE)
