"""
Users, and the members of projects and groups.

Source: GitLab's documentation, `api/users.md` and `api/members.md`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from zope.interface import implementer

from pkgregd.errors import NotFound
from pkgregd.interfaces import IAuthorisedCall, IDirectories, IDirectory, IRouteTable
from pkgregd.manage import bodies
from pkgregd.manage.answers import BEARER, GONE, MEMBER, USER, WHOLE_USER, listed, made, shown, walked
from pkgregd.manage.bodies import Body
from pkgregd.manage.keyset import KEYSET, is_keyset, keyset_rows, read_keyset
from pkgregd.manage.pagination import PAGING, page_headers, read_page
from pkgregd.manage.parameters import choice, described, text
from pkgregd.manage.people_shapes import member_fields, user_fields
from pkgregd.manage.shapes import json_reply
from pkgregd.values import AccountPermission, Level, Operation, Permission, Piece, Principal, Refusal, Reply, Route

API = "/api/v4"
INSTANCE = frozenset({Level.INSTANCE})
BOTH = frozenset({Level.PROJECT, Level.GROUP})
IGNORED_OF_USERS = frozenset(
    {
        "name", "email", "password", "reset_password", "force_random_password", "skip_confirmation", "projects_limit",
        "bio", "can_create_group", "location", "organization", "public_email", "private_profile", "note",
    }
)  # fmt: skip
"""Fields of GitLab's that mean nothing here: users have a name and tokens."""

IGNORED_OF_MEMBERS = frozenset({"invite_source", "tasks_to_be_done"})
"""Not those that would make a membership less: one that was asked to end would not."""

USERNAME = text("username", "The whole name of a user")
SEARCH = text("search", "A part of the name")
ORDER = choice("order_by", {"id": True}, True, "By what they are sorted with `keyset`")
SORT = choice("sort", {"asc": False, "desc": True}, False, "With `keyset` upwards unless given, or downwards")
MEMBER_NAME = text("query", "A part of the name")

NEW_USER = Body(
    {"username": bodies.text, "admin": bodies.flag},
    ("username",),
    IGNORED_OF_USERS,
    example={"username": "grace", "admin": False},
)
CHANGED_USER = Body({"admin": bodies.flag}, ignored=IGNORED_OF_USERS, example={"admin": True})
NEW_MEMBER = Body(
    {"user_id": bodies.number, "username": bodies.text, "access_level": bodies.role},
    ("access_level",),
    IGNORED_OF_MEMBERS,
    one_of=("user_id", "username"),
    example={"username": "grace", "access_level": 30},
)
CHANGED_MEMBER = Body(
    {"access_level": bodies.role}, ("access_level",), IGNORED_OF_MEMBERS, example={"access_level": 40}
)

_MEMBER_LIST = listed(MEMBER, "The members")
_MEMBER_PARAMETERS = described(MEMBER_NAME) + PAGING
SHOW_SELF = Operation(
    "show_current_user", shown(BEARER, "The user; of a token that is nobody's, a bot"), refusals=(404,)
)
LIST_USERS = Operation(
    "list_users", walked(USER, "The users"), described(USERNAME, SEARCH, ORDER, SORT) + KEYSET + PAGING
)
ADD_USER = Operation("add_user", made(WHOLE_USER, "The user"), body=NEW_USER.described, refusals=(409,))
SHOW_USER = Operation("show_user", shown(USER, "The user"))
CHANGE_USER = Operation("change_user", shown(WHOLE_USER, "The user"), body=CHANGED_USER.described, refusals=(409,))
REMOVE_USER = Operation("remove_user", GONE, refusals=(409,))
LIST_MEMBERS = Operation("list_members", _MEMBER_LIST, _MEMBER_PARAMETERS)
LIST_ALL_MEMBERS = Operation("list_all_members", _MEMBER_LIST, _MEMBER_PARAMETERS)
SHOW_MEMBER = Operation("show_member", shown(MEMBER, "The member"))
SHOW_ANY_MEMBER = Operation("show_any_member", shown(MEMBER, "The member"))
ADD_MEMBER = Operation("add_member", made(MEMBER, "The member"), body=NEW_MEMBER.described, refusals=(409,))
CHANGE_MEMBER = Operation("change_member", shown(MEMBER, "The member"), body=CHANGED_MEMBER.described, refusals=(409,))
REMOVE_MEMBER = Operation("remove_member", GONE, refusals=(409,))


@implementer(IRouteTable)
class PeopleManagement:
    """See IRouteTable."""

    name = "manage_people"
    challenge: str | None = None

    def __init__(self, directories: IDirectories) -> None:
        self._directories = directories

    def routes(self) -> Sequence[Route]:
        """See IRouteTable."""
        known, instance = AccountPermission.READ_USERS, AccountPermission.ADMINISTER_INSTANCE
        users, user = f"{API}/users", f"{API}/users/<number:user_id>"
        read, administer = Permission.READ_MEMBERS, Permission.ADMINISTER
        members, member, every = "/members", "/members/<number:user_id>", "/members/all"
        return (
            Route(("GET",), f"{API}/user", AccountPermission.READ_USER, self.show_self, INSTANCE, operation=SHOW_SELF),
            Route(("GET",), users, known, self.list_users, INSTANCE, operation=LIST_USERS),
            Route(("POST",), users, instance, self.add_user, INSTANCE, operation=ADD_USER),
            Route(("GET",), user, known, self.show_user, INSTANCE, operation=SHOW_USER),
            Route(("PUT",), user, instance, self.change_user, INSTANCE, operation=CHANGE_USER),
            Route(("DELETE",), user, instance, self.remove_user, INSTANCE, operation=REMOVE_USER),
            Route(("GET",), members, read, self.list_members, BOTH, operation=LIST_MEMBERS),
            Route(("GET",), every, read, self.list_all_members, BOTH, operation=LIST_ALL_MEMBERS),
            Route(("GET",), member, read, self.show_member, BOTH, operation=SHOW_MEMBER),
            Route(("GET",), every + "/<number:user_id>", read, self.show_any_member, BOTH, operation=SHOW_ANY_MEMBER),
            Route(("POST",), members, administer, self.add_member, BOTH, operation=ADD_MEMBER),
            Route(("PUT",), member, administer, self.change_member, BOTH, operation=CHANGE_MEMBER),
            Route(("DELETE",), member, administer, self.remove_member, BOTH, operation=REMOVE_MEMBER),
        )

    def render_error(self, refusal: Refusal) -> Reply | None:
        """Leave it to the common JSON, which is GitLab's."""
        return None

    def _directory(self, call: IAuthorisedCall) -> IDirectory:
        return self._directories.directory(call.principal)

    # ---------------------------------------------------------------------- users

    async def show_self(self, call: IAuthorisedCall) -> Reply:
        """Show the user whose token it is; a token that is nobody's is shown as a bot."""
        if call.principal.user_id is None:
            return json_reply(_bot(call.principal))
        user = await self._directory(call).find_user(call.principal.user_id)
        return json_reply(user_fields(user, is_whole=True))

    async def list_users(self, call: IAuthorisedCall) -> Reply:
        """List users, or find one by name."""
        directory, url, parameters = self._directory(call), f"{call.base_url}{API}/users", LIST_USERS.parameters
        text, name, is_descending = SEARCH.read(call), USERNAME.read(call), SORT.read(call)
        ORDER.read(call)  # there is one, and no other may be asked for
        if is_keyset(call, parameters):
            keyset = read_keyset(call, parameters, is_descending=is_descending)
            found = await directory.list_users_onward(text, name, keyset.stretch, is_descending=keyset.is_descending)
            users, headers = keyset_rows(call, url, parameters, keyset, found, lambda user: user.id)
        else:
            page = read_page(call)
            listing = await directory.list_users(text, name, page.piece)
            users, headers = listing.users, page_headers(call, url, parameters, page, listing.total)
        is_whole = call.principal.is_admin
        return json_reply([user_fields(user, is_whole=is_whole) for user in users], headers)

    async def show_user(self, call: IAuthorisedCall) -> Reply:
        """Show a user."""
        user = await self._directory(call).find_user(call.arguments["user_id"])
        return json_reply(user_fields(user, is_whole=call.principal.is_admin))

    async def add_user(self, call: IAuthorisedCall) -> Reply:
        """Add a user."""
        given = await NEW_USER.read(call)
        user = await self._directory(call).add_user(given["username"], is_admin=given.get("admin", False))
        return _made(user_fields(user, is_whole=True))

    async def change_user(self, call: IAuthorisedCall) -> Reply:
        """Make a user an administrator or a common user."""
        given = await CHANGED_USER.read(call)
        directory, user_id = self._directory(call), call.arguments["user_id"]
        if "admin" in given:
            user = await directory.change_user(user_id, is_admin=given["admin"])
        else:
            user = await directory.find_user(user_id)
        return json_reply(user_fields(user, is_whole=True))

    async def remove_user(self, call: IAuthorisedCall) -> Reply:
        """Remove a user with tokens and memberships."""
        await self._directory(call).remove_user(call.arguments["user_id"])
        return Reply(204)

    # -------------------------------------------------------------------- members

    async def _list(self, call: IAuthorisedCall, path: str, *, is_inherited: bool) -> Reply:
        page = read_page(call)
        listing = await self._directory(call).list_members(
            call.scope, MEMBER_NAME.read(call), page.piece, is_inherited=is_inherited
        )
        headers = page_headers(call, call.base_url + path, _MEMBER_PARAMETERS, page, listing.total)
        return json_reply([member_fields(member) for member in listing.members], headers)

    async def list_members(self, call: IAuthorisedCall) -> Reply:
        """List the members of a project or group itself."""
        return await self._list(call, "/members", is_inherited=False)

    async def list_all_members(self, call: IAuthorisedCall) -> Reply:
        """List them with those of the groups above, each with the greatest role."""
        return await self._list(call, "/members/all", is_inherited=True)

    async def show_member(self, call: IAuthorisedCall) -> Reply:
        """Show a member of a project or group itself."""
        member = await self._directory(call).find_member(call.scope, call.arguments["user_id"], is_inherited=False)
        return json_reply(member_fields(member))

    async def show_any_member(self, call: IAuthorisedCall) -> Reply:
        """Show a member of a project or group, or of a group above."""
        member = await self._directory(call).find_member(call.scope, call.arguments["user_id"], is_inherited=True)
        return json_reply(member_fields(member))

    async def add_member(self, call: IAuthorisedCall) -> Reply:
        """Make a user a member."""
        given = await NEW_MEMBER.read(call)
        directory = self._directory(call)
        user_id = await self._user_meant(directory, given)
        return _made(member_fields(await directory.add_member(call.scope, user_id, given["access_level"])))

    async def _user_meant(self, directory: IDirectory, given: Mapping[str, object]) -> int:
        if "user_id" in given:
            return int(str(given["user_id"]))
        listing = await directory.list_users(None, str(given["username"]), Piece(0, 1))
        if not listing.users:
            raise NotFound("there is no such user")
        return listing.users[0].id

    async def change_member(self, call: IAuthorisedCall) -> Reply:
        """Change the role of a member."""
        given = await CHANGED_MEMBER.read(call)
        member = await self._directory(call).change_member(call.scope, call.arguments["user_id"], given["access_level"])
        return json_reply(member_fields(member))

    async def remove_member(self, call: IAuthorisedCall) -> Reply:
        """Remove a member."""
        await self._directory(call).remove_member(call.scope, call.arguments["user_id"])
        return Reply(204)


def _made(fields: Mapping[str, object]) -> Reply:
    return Reply(201, json.dumps(fields).encode(), "application/json", (("Cache-Control", "no-store"),))


def _bot(principal: Principal) -> Mapping[str, object]:
    return {"id": None, "username": principal.name, "name": principal.name, "state": "active", "bot": True}
