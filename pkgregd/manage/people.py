"""
Users, and the members of projects and groups.

Source: GitLab's documentation, `api/users.md` and `api/members.md`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from zope.interface import implementer

from pkgregd.errors import InvalidRequest, NotFound
from pkgregd.interfaces import IAuthorisedCall, IDirectories, IDirectory, IRouteTable
from pkgregd.manage import bodies
from pkgregd.manage.bodies import read_fields
from pkgregd.manage.pagination import page_headers, read_page
from pkgregd.manage.parameters import read_text
from pkgregd.manage.people_shapes import member_fields, user_fields
from pkgregd.manage.shapes import json_reply
from pkgregd.values import AccountPermission, Level, Permission, Piece, Principal, Refusal, Reply, Route

API = "/api/v4"
INSTANCE = frozenset({Level.INSTANCE})
BOTH = frozenset({Level.PROJECT, Level.GROUP})
USER_PARAMETERS = ("username", "search")
MEMBER_PARAMETERS = ("query",)
IGNORED_OF_USERS = frozenset(
    {
        "name", "email", "password", "reset_password", "force_random_password", "skip_confirmation", "projects_limit",
        "bio", "can_create_group", "location", "organization", "public_email", "private_profile", "note",
    }
)  # fmt: skip
"""Fields of GitLab's that mean nothing here: users have a name and tokens."""

IGNORED_OF_MEMBERS = frozenset({"invite_source", "tasks_to_be_done"})
"""Not those that would make a membership less: one that was asked to end would not."""


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
            Route(("GET",), f"{API}/user", AccountPermission.READ_USER, self.show_self, INSTANCE),
            Route(("GET",), users, known, self.list_users, INSTANCE),
            Route(("POST",), users, instance, self.add_user, INSTANCE),
            Route(("GET",), user, known, self.show_user, INSTANCE),
            Route(("PUT",), user, instance, self.change_user, INSTANCE),
            Route(("DELETE",), user, instance, self.remove_user, INSTANCE),
            Route(("GET",), members, read, self.list_members, BOTH),
            Route(("GET",), every, read, self.list_all_members, BOTH),
            Route(("GET",), member, read, self.show_member, BOTH),
            Route(("GET",), every + "/<number:user_id>", read, self.show_any_member, BOTH),
            Route(("POST",), members, administer, self.add_member, BOTH),
            Route(("PUT",), member, administer, self.change_member, BOTH),
            Route(("DELETE",), member, administer, self.remove_member, BOTH),
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
        page = read_page(call)
        listing = await self._directory(call).list_users(
            read_text(call, "search"), read_text(call, "username"), page.piece
        )
        headers = page_headers(call, f"{call.base_url}{API}/users", USER_PARAMETERS, page, listing.total)
        is_whole = call.principal.is_admin
        return json_reply([user_fields(user, is_whole=is_whole) for user in listing.users], headers)

    async def show_user(self, call: IAuthorisedCall) -> Reply:
        """Show a user."""
        user = await self._directory(call).find_user(call.arguments["user_id"])
        return json_reply(user_fields(user, is_whole=call.principal.is_admin))

    async def add_user(self, call: IAuthorisedCall) -> Reply:
        """Add a user."""
        readers = {"username": bodies.text, "admin": bodies.flag}
        given = await read_fields(call, readers, required=("username",), ignored=IGNORED_OF_USERS)
        user = await self._directory(call).add_user(given["username"], is_admin=given.get("admin", False))
        return _made(user_fields(user, is_whole=True))

    async def change_user(self, call: IAuthorisedCall) -> Reply:
        """Make a user an administrator or a common user."""
        given = await read_fields(call, {"admin": bodies.flag}, ignored=IGNORED_OF_USERS)
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
            call.scope, read_text(call, "query"), page.piece, is_inherited=is_inherited
        )
        headers = page_headers(call, call.base_url + path, MEMBER_PARAMETERS, page, listing.total)
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
        readers = {"user_id": bodies.number, "username": bodies.text, "access_level": bodies.role}
        given = await read_fields(call, readers, required=("access_level",), ignored=IGNORED_OF_MEMBERS)
        directory = self._directory(call)
        user_id = await self._user_meant(directory, given)
        return _made(member_fields(await directory.add_member(call.scope, user_id, given["access_level"])))

    async def _user_meant(self, directory: IDirectory, given: Mapping[str, object]) -> int:
        if ("user_id" in given) == ("username" in given):
            raise InvalidRequest("user_id, username: exactly one of them is given")
        if "user_id" in given:
            return int(str(given["user_id"]))
        listing = await directory.list_users(None, str(given["username"]), Piece(0, 1))
        if not listing.users:
            raise NotFound("there is no such user")
        return listing.users[0].id

    async def change_member(self, call: IAuthorisedCall) -> Reply:
        """Change the role of a member."""
        readers = {"access_level": bodies.role}
        given = await read_fields(call, readers, required=("access_level",), ignored=IGNORED_OF_MEMBERS)
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
