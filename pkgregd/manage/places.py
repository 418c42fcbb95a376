"""
Projects and groups.

Source: GitLab's documentation, `api/projects.md` and `api/groups.md`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial

from zope.interface import implementer

from pkgregd.errors import InvalidRequest
from pkgregd.interfaces import IAuthorisedCall, IDirectories, IDirectory, IRouteTable
from pkgregd.manage.bodies import ROLES, VISIBILITIES, number, read_fields, text
from pkgregd.manage.bodies import visibility as read_visibility
from pkgregd.manage.pagination import page_headers, read_page
from pkgregd.manage.parameters import read_choice, read_flag, read_text
from pkgregd.manage.people_shapes import place_fields
from pkgregd.manage.shapes import json_reply
from pkgregd.values import (
    AccountPermission,
    Level,
    Permission,
    PlaceOrder,
    PlaceQuery,
    PlaceRecord,
    Refusal,
    Reply,
    Role,
    Route,
    Visibility,
)

API = "/api/v4"
INSTANCE, GROUP = frozenset({Level.INSTANCE}), frozenset({Level.GROUP})
BOTH = frozenset({Level.PROJECT, Level.GROUP})

ORDERS: Mapping[str, PlaceOrder] = {
    "id": PlaceOrder.ID,
    "created_at": PlaceOrder.ID,
    "name": PlaceOrder.PATH,
    "path": PlaceOrder.PATH,
}
SORTS: Mapping[str, bool] = {"asc": False, "desc": True}
LEAST_ROLES: Mapping[str, Role | None] = {str(value): role for value, role in ROLES.items()}
VISIBILITY_WORDS: Mapping[str, Visibility | None] = dict(VISIBILITIES)
PARAMETERS = (
    "search", "visibility", "order_by", "sort", "owned", "membership", "min_access_level", "top_level_only",
    "include_subgroups",
)  # fmt: skip

IGNORED = frozenset(
    {
        "name", "description", "packages_enabled", "initialize_with_readme", "default_branch", "issues_enabled",
        "wiki_enabled", "jobs_enabled", "snippets_enabled", "merge_requests_enabled", "container_registry_enabled",
        "lfs_enabled", "request_access_enabled", "emails_disabled", "project_creation_level", "subgroup_creation_level",
        "membership_lock", "share_with_group_lock", "require_two_factor_authentication", "two_factor_grace_period",
        "auto_devops_enabled", "mentions_disabled", "package_registry_access_level", "topics", "tag_list",
        "shared_runners_enabled",
    }
)  # fmt: skip
"""Fields of GitLab's that mean nothing here: there are packages, and nothing else."""


@implementer(IRouteTable)
class PlaceManagement:
    """See IRouteTable."""

    name = "manage_places"
    challenge: str | None = None

    def __init__(self, directories: IDirectories) -> None:
        self._directories = directories

    def routes(self) -> Sequence[Route]:
        """See IRouteTable."""
        nothing, known = AccountPermission.NOTHING, AccountPermission.READ_USER
        read = Permission.READ_PROJECT
        all_projects, all_groups = f"{API}/projects", f"{API}/groups"
        return (
            Route(("GET",), all_projects, nothing, partial(self._list, Level.PROJECT, all_projects), INSTANCE),
            Route(("GET",), all_groups, nothing, partial(self._list, Level.GROUP, all_groups), INSTANCE),
            Route(("POST",), all_projects, known, self.add_project, INSTANCE),
            Route(("POST",), all_groups, known, self.add_group, INSTANCE),
            Route(("GET",), "", read, self.show, BOTH),
            Route(("PUT",), "", Permission.ADMINISTER, self.change, BOTH),
            Route(("DELETE",), "", Permission.REMOVE_PROJECT, self.remove, BOTH),
            Route(("GET",), "/projects", read, partial(self._list, Level.PROJECT, "/projects"), GROUP),
            Route(("GET",), "/subgroups", read, partial(self._list, Level.GROUP, "/subgroups"), GROUP),
            Route(("GET",), "/descendant_groups", read, self._list_descendants, GROUP),
        )

    def render_error(self, refusal: Refusal) -> Reply | None:
        """Leave it to the common JSON, which is GitLab's."""
        return None

    def _directory(self, call: IAuthorisedCall) -> IDirectory:
        return self._directories.directory(call.principal)

    async def _list_descendants(self, call: IAuthorisedCall) -> Reply:
        return await self._list(Level.GROUP, "/descendant_groups", call, is_deep=True)

    async def _list(self, level: Level, path: str, call: IAuthorisedCall, *, is_deep: bool = False) -> Reply:
        """List what the caller sees, of everything or of a group."""
        page = read_page(call)
        listing = await self._directory(call).list_places(level, _query(level, call, is_deep), page.piece)
        headers = page_headers(call, call.base_url + path, PARAMETERS, page, listing.total)
        return json_reply([place_fields(place) for place in listing.places], headers)

    async def show(self, call: IAuthorisedCall) -> Reply:
        """Show a project or group."""
        return json_reply(place_fields(await self._directory(call).find_place(call.scope)))

    async def add_project(self, call: IAuthorisedCall) -> Reply:
        """Add a project to a group."""
        readers = {"path": text, "name": text, "namespace_id": number, "visibility": read_visibility}
        given = await read_fields(call, readers, required=("namespace_id",), ignored=IGNORED - {"name"})
        visibility = given.get("visibility", Visibility.PRIVATE)
        return _made(await self._directory(call).add_project(given["namespace_id"], _name(given), visibility))

    async def add_group(self, call: IAuthorisedCall) -> Reply:
        """Add a group, at the top or below another."""
        readers = {"path": text, "name": text, "parent_id": number, "visibility": read_visibility}
        given = await read_fields(call, readers, ignored=IGNORED - {"name"})
        visibility = given.get("visibility", Visibility.PRIVATE)
        return _made(await self._directory(call).add_group(given.get("parent_id"), _name(given), visibility))

    async def change(self, call: IAuthorisedCall) -> Reply:
        """Change the visibility of a project or group; its path stays."""
        given = await read_fields(call, {"visibility": read_visibility, "path": text}, ignored=IGNORED)
        directory = self._directory(call)
        if "path" in given and given["path"] != call.scope.path.rpartition("/")[2]:
            raise InvalidRequest("path: it cannot be changed, since clients know packages by it")
        if "visibility" in given:
            return json_reply(place_fields(await directory.change_place(call.scope, given["visibility"])))
        return json_reply(place_fields(await directory.find_place(call.scope)))

    async def remove(self, call: IAuthorisedCall) -> Reply:
        """Remove a project or group with all that is in it."""
        await self._directory(call).remove_place(call.scope)
        return Reply(202, b'{"message":"202 Accepted"}', "application/json")


def _name(given: Mapping[str, str]) -> str:
    """The last part of the path: as it is given, or made of the name."""
    name = given.get("path") or given.get("name", "").strip().replace(" ", "-")
    if not name:
        raise InvalidRequest("path is missing")
    return name


def _query(level: Level, call: IAuthorisedCall, is_deep: bool) -> PlaceQuery:
    least_role = read_choice(call, "min_access_level", LEAST_ROLES, None)
    if read_flag(call, "owned"):
        least_role = Role.OWNER
    elif read_flag(call, "membership"):
        least_role = least_role or Role.GUEST
    return PlaceQuery(
        text=read_text(call, "search"),
        visibility=read_choice(call, "visibility", VISIBILITY_WORDS, None),
        parent_id=call.scope.id if call.scope.level is Level.GROUP else None,
        is_deep=is_deep or read_flag(call, "include_subgroups"),
        top_only=level is Level.GROUP and read_flag(call, "top_level_only"),
        least_role=least_role,
        order=read_choice(call, "order_by", ORDERS, PlaceOrder.ID if level is Level.PROJECT else PlaceOrder.PATH),
        is_descending=read_choice(call, "sort", SORTS, level is Level.PROJECT),
    )


def _made(place: PlaceRecord) -> Reply:
    return Reply(201, json.dumps(place_fields(place)).encode(), "application/json", (("Cache-Control", "no-store"),))
