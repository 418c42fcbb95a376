"""
Projects and groups.

Source: GitLab's documentation, `api/projects.md` and `api/groups.md`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from operator import attrgetter
from typing import Any

from attrs import frozen
from zope.interface import implementer

from pkgregd.errors import InvalidRequest
from pkgregd.interfaces import IAuthorisedCall, IDirectories, IDirectory, IRouteTable
from pkgregd.manage import bodies, parameters
from pkgregd.manage.answers import ACCEPTED, GROUP, PLACE, PROJECT, made, shown, walked
from pkgregd.manage.bodies import ROLES, VISIBILITIES, Body, Field
from pkgregd.manage.keyset import KEYSET_BY_PATH, is_keyset, keyset_rows, read_keyset
from pkgregd.manage.pagination import PAGING, page_headers, read_page
from pkgregd.manage.parameters import choice, described, flag
from pkgregd.manage.people_shapes import place_fields
from pkgregd.manage.shapes import json_reply
from pkgregd.values import (
    AccountPermission,
    Answer,
    JsonSchema,
    Level,
    Operation,
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
INSTANCE, GROUP_ONLY = frozenset({Level.INSTANCE}), frozenset({Level.GROUP})
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
IGNORED = frozenset(
    {
        "name", "description", "initialize_with_readme", "default_branch", "issues_enabled",
        "wiki_enabled", "jobs_enabled", "snippets_enabled", "merge_requests_enabled", "container_registry_enabled",
        "lfs_enabled", "request_access_enabled", "emails_disabled", "project_creation_level", "subgroup_creation_level",
        "membership_lock", "share_with_group_lock", "require_two_factor_authentication", "two_factor_grace_period",
        "auto_devops_enabled", "mentions_disabled", "topics", "tag_list", "shared_runners_enabled",
    }
)  # fmt: skip
"""Fields of GitLab's that mean nothing here: there are packages, and nothing else."""


def _only(value: Any, field: Field[Any], schema: JsonSchema) -> Field[None]:
    """Declare a field of GitLab's of which one value is how things are, and the others are settings elsewhere."""

    def parse(name: str, given: object) -> None:
        if field(name, given) != value:
            raise InvalidRequest(f"{name} is not changed here: see PUT /projects/:id/packages/settings")

    return Field(parse, schema)


_SWITCHES: Mapping[str, Field[None]] = {
    "packages_enabled": _only(True, bodies.flag, {"enum": [True, "true", "1"]}),
    "package_registry_access_level": _only("enabled", bodies.text, {"const": "enabled"}),
}
"""What would be silently wrong if it were taken and ignored."""

SEARCH = parameters.text("search", "A part of the path")
VISIBILITY = choice("visibility", VISIBILITY_WORDS, None, "Only those of this visibility")
LEAST_ROLE = choice("min_access_level", LEAST_ROLES, None, "Only those where the caller has at least this role")
OWNED = flag("owned", "Only those that the caller owns")
MEMBERSHIP = flag("membership", "Only those that the caller is a member of")
TOP_ONLY = flag("top_level_only", "Of groups only those at the top")
DEEP = flag("include_subgroups", "Also what lies deeper below the group")
PROJECT_ORDER = choice("order_by", ORDERS, PlaceOrder.ID, "By what they are sorted: by number unless given")
GROUP_ORDER = choice("order_by", ORDERS, PlaceOrder.PATH, "By what they are sorted: by path unless given")
PROJECT_SORT = choice("sort", SORTS, True, "Upwards, or downwards unless given")
GROUP_SORT = choice("sort", SORTS, False, "Upwards unless given, or downwards")

_COMMON = (SEARCH, VISIBILITY, LEAST_ROLE, OWNED, MEMBERSHIP, DEEP)
PROJECT_PARAMETERS = described(*_COMMON, PROJECT_ORDER, PROJECT_SORT) + KEYSET_BY_PATH + PAGING
GROUP_PARAMETERS = described(*_COMMON, TOP_ONLY, GROUP_ORDER, GROUP_SORT) + KEYSET_BY_PATH + PAGING

NEW_PROJECT = Body(
    {
        "path": bodies.text,
        "name": bodies.text,
        "namespace_id": bodies.number,
        "visibility": bodies.visibility,
        **_SWITCHES,
    },
    ("namespace_id",),
    IGNORED - {"name"},
    example={"path": "web", "namespace_id": 1, "visibility": "private"},
)
NEW_GROUP = Body(
    {"path": bodies.text, "name": bodies.text, "parent_id": bodies.number, "visibility": bodies.visibility},
    ignored=IGNORED - {"name"},
    example={"path": "tools", "parent_id": 1, "visibility": "private"},
)
CHANGED_PLACE = Body(
    {"visibility": bodies.visibility, "path": bodies.text, **_SWITCHES},
    ignored=IGNORED,
    example={"visibility": "internal"},
)


@frozen
class Listing:
    """
    A list of projects or groups.

    Attributes:
        path: of its route, below the call's base URL.
        is_deep: whatever the caller asks for.
    """

    operation: Operation
    level: Level
    path: str
    is_deep: bool = False

    @classmethod
    def of(cls, level: Level, path: str, id: str, summary: str, *, is_deep: bool = False) -> Listing:
        """Make one, with what is said of it."""
        shape, parameters = (GROUP, GROUP_PARAMETERS) if level is Level.GROUP else (PROJECT, PROJECT_PARAMETERS)
        operation = Operation(id, walked(shape, "A page of the list"), parameters, summary=summary)
        return cls(operation, level, path, is_deep)


ALL = (
    Listing.of(Level.PROJECT, f"{API}/projects", "list_projects", "List the projects that the caller sees."),
    Listing.of(Level.GROUP, f"{API}/groups", "list_groups", "List the groups that the caller sees."),
)
BELOW = (
    Listing.of(Level.PROJECT, "/projects", "list_group_projects", "List the projects of a group."),
    Listing.of(Level.GROUP, "/subgroups", "list_subgroups", "List the groups of a group."),
    Listing.of(
        Level.GROUP, "/descendant_groups", "list_descendant_groups", "List all groups below a group.", is_deep=True
    ),
)

ADD_PROJECT = Operation(
    "add_project", made(PROJECT, "The project"), body=NEW_PROJECT.described, refusals=(403, 404, 409)
)
ADD_GROUP = Operation("add_group", made(GROUP, "The group"), body=NEW_GROUP.described, refusals=(403, 404, 409))
SHOW = Operation("show", shown(PLACE, "The project or group"))
CHANGE = Operation("change", shown(PLACE, "The project or group"), body=CHANGED_PLACE.described)
REMOVE = Operation("remove", (Answer(202, "It is done", ACCEPTED),))


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
        read, administer, remove = Permission.READ_PROJECT, Permission.ADMINISTER, Permission.REMOVE_PROJECT
        return (
            *(self._listing(listing, nothing, INSTANCE) for listing in ALL),
            Route(("POST",), f"{API}/projects", known, self.add_project, INSTANCE, operation=ADD_PROJECT),
            Route(("POST",), f"{API}/groups", known, self.add_group, INSTANCE, operation=ADD_GROUP),
            Route(("GET",), "", read, self.show, BOTH, operation=SHOW),
            Route(("PUT",), "", administer, self.change, BOTH, operation=CHANGE),
            Route(("DELETE",), "", remove, self.remove, BOTH, operation=REMOVE),
            *(self._listing(listing, read, GROUP_ONLY) for listing in BELOW),
        )

    def _listing(self, listing: Listing, permission: Permission | AccountPermission, levels: frozenset[Level]) -> Route:
        handler = partial(self._list, listing)
        return Route(("GET",), listing.path, permission, handler, levels, operation=listing.operation)

    def render_error(self, refusal: Refusal) -> Reply | None:
        """Leave it to the common JSON, which is GitLab's."""
        return None

    def _directory(self, call: IAuthorisedCall) -> IDirectory:
        return self._directories.directory(call.principal)

    async def _list(self, listing: Listing, call: IAuthorisedCall) -> Reply:
        """List what the caller sees, of everything or of a group."""
        directory, query, url = self._directory(call), _query(listing, call), call.base_url + listing.path
        parameters = listing.operation.parameters
        if is_keyset(call, parameters):
            is_by_path = query.order is PlaceOrder.PATH
            if is_by_path and query.is_descending:
                raise InvalidRequest("sort can only be asc with pagination=keyset and this order_by")
            keyset = read_keyset(call, parameters, is_by_cursor=is_by_path, is_descending=query.is_descending)
            rows = await directory.list_places_onward(listing.level, query, keyset.stretch)
            key = attrgetter("path" if is_by_path else "id")
            places, headers = keyset_rows(call, url, parameters, keyset, rows, key)
        else:
            page = read_page(call)
            found = await directory.list_places(listing.level, query, page.piece)
            places, headers = found.places, page_headers(call, url, parameters, page, found.total)
        return json_reply([place_fields(place) for place in places], headers)

    async def show(self, call: IAuthorisedCall) -> Reply:
        """Show a project or group."""
        return json_reply(place_fields(await self._directory(call).find_place(call.scope)))

    async def add_project(self, call: IAuthorisedCall) -> Reply:
        """Add a project to a group."""
        given = await NEW_PROJECT.read(call)
        visibility = given.get("visibility", Visibility.PRIVATE)
        return _made(await self._directory(call).add_project(given["namespace_id"], _name(given), visibility))

    async def add_group(self, call: IAuthorisedCall) -> Reply:
        """Add a group, at the top or below another."""
        given = await NEW_GROUP.read(call)
        visibility = given.get("visibility", Visibility.PRIVATE)
        return _made(await self._directory(call).add_group(given.get("parent_id"), _name(given), visibility))

    async def change(self, call: IAuthorisedCall) -> Reply:
        """Change the visibility of a project or group; its path stays."""
        given = await CHANGED_PLACE.read(call)
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


def _query(listing: Listing, call: IAuthorisedCall) -> PlaceQuery:
    is_of_groups = listing.level is Level.GROUP
    order, sort = (GROUP_ORDER, GROUP_SORT) if is_of_groups else (PROJECT_ORDER, PROJECT_SORT)
    least_role, is_owned = LEAST_ROLE.read(call), OWNED.read(call)
    is_member, is_deep = MEMBERSHIP.read(call), DEEP.read(call)
    if is_owned:
        least_role = Role.OWNER
    elif is_member:
        least_role = least_role or Role.GUEST
    return PlaceQuery(
        text=SEARCH.read(call),
        visibility=VISIBILITY.read(call),
        parent_id=call.scope.id if call.scope.level is Level.GROUP else None,
        is_deep=is_deep or listing.is_deep,
        top_only=is_of_groups and TOP_ONLY.read(call),
        least_role=least_role,
        order=order.read(call),
        is_descending=sort.read(call),
    )


def _made(place: PlaceRecord) -> Reply:
    return Reply(201, json.dumps(place_fields(place)).encode(), "application/json", (("Cache-Control", "no-store"),))
