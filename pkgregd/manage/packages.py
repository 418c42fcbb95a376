"""
Packages of all formats and their files: listed, looked at, fetched and deleted.

Compatible with GitLab's packages API; beyond it: `yanked_reason`, validators and ranges.

Source: GitLab's documentation, `api/packages.md`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from zope.interface import implementer

from pkgregd.errors import InvalidRequest, PackageNotFound, PreconditionFailed, SwitchedOff
from pkgregd.interfaces import IAuthorisedCall, IInventories, IInventory, IRouteTable
from pkgregd.manage.answers import FILE, GONE, GROUP_PACKAGE, PACKAGE, PIPELINES, listed, shown, walked
from pkgregd.manage.keyset import KEYSET, is_keyset, keyset_rows, read_keyset
from pkgregd.manage.pagination import PAGING, PER_PAGE, page_headers, read_page
from pkgregd.manage.parameters import (
    PRECONDITIONS,
    QueryParameter,
    choice,
    described,
    flag,
    read_precondition,
    text,
)
from pkgregd.manage.shapes import file_fields, group_package_fields, json_reply, package_fields
from pkgregd.values import (
    Answer,
    FileOrder,
    Level,
    Operation,
    PackageListing,
    PackageOrder,
    PackageQuery,
    PackageRecord,
    PackageStatus,
    Parameter,
    Permission,
    Refusal,
    Reply,
    Route,
    StreamBody,
)

GITLAB_TYPES = (
    "cargo", "composer", "conan", "debian", "generic", "golang", "helm", "maven", "ml_model", "npm", "nuget", "pypi",
    "rpm", "rubygems", "terraform_module",
)  # fmt: skip
"""Types that scripts written for GitLab may ask for, whether or not there is such a format here."""

STATUSES: Mapping[str, PackageStatus | None] = {
    **{status.value: status for status in PackageStatus},
    **dict.fromkeys(("processing", "error", "pending_destruction", "deprecated")),
}
"""GitLab's statuses; None for those that no package has here."""

SORTS: Mapping[str, bool] = {"asc": False, "desc": True}
GROUP_ORDERS: Mapping[str, PackageOrder | None] = {**{order.value: order for order in PackageOrder}, "id": None}
PROJECT_ORDERS: Mapping[str, PackageOrder | None] = {
    word: order for word, order in GROUP_ORDERS.items() if order is not PackageOrder.PROJECT_PATH
}
"""Of which `id` is for pages that go on behind each other, and the only one of those."""

FILE_ORDERS: Mapping[str, FileOrder] = {order.value: order for order in FileOrder}

NAME = text("package_name", "A part of the name, whatever the case of its letters")
VERSION = text("package_version", "The whole version, as it was published")
STATUS = choice("status", STATUSES, PackageStatus.DEFAULT, "The status; no package here has one but default and hidden")
VERSIONLESS = flag("include_versionless", "Taken and without effect: every package here has a version")
DIRECT = flag("exclude_subgroups", "Only the projects of the group itself")
SORT = choice("sort", SORTS, False, "Upwards, unless given, or downwards")
_SORTED = "By what they are sorted: by time unless given; with `keyset` by number alone"
PROJECT_ORDER = choice("order_by", PROJECT_ORDERS, PackageOrder.CREATED_AT, _SORTED)
GROUP_ORDER = choice("order_by", GROUP_ORDERS, PackageOrder.CREATED_AT, _SORTED)
FILE_ORDER = choice("order_by", FILE_ORDERS, FileOrder.ID, "By what they are sorted: by number unless given")

MAX_PIPELINES = 20
PIPELINE_STYLE = choice("pagination", {"keyset": True}, True, "Such a list has no numbered pages")
PIPELINE_CURSOR = text("cursor", "Taken and without effect: there is no next page")
PIPELINE_COUNT: QueryParameter[int] = QueryParameter(
    Parameter(
        "per_page",
        {"type": "integer", "minimum": 1, "maximum": MAX_PIPELINES, "default": MAX_PIPELINES},
        f"How many make a page, at most {MAX_PIPELINES}",
    ),
    lambda name, given: _pipeline_count(name, given),
    MAX_PIPELINES,
)

SHOW = Operation("show_package", shown(PACKAGE, "The package"))
DELETE = Operation("delete_package", GONE, PRECONDITIONS, refusals=(412,))
LIST_FILES = Operation("list_package_files", listed(FILE, "Its files"), described(FILE_ORDER, SORT) + PAGING)
LIST_PIPELINES = Operation(
    "list_package_pipelines",
    shown(PIPELINES, "An empty list"),
    described(PIPELINE_STYLE, PIPELINE_CURSOR, PIPELINE_COUNT),
)
DELETE_FILE = Operation("delete_package_file", GONE, PRECONDITIONS, refusals=(412,))
DOWNLOAD = Operation(
    "download_package_file",
    (Answer(200, "The file", media_type="application/octet-stream", is_validated=True, is_ranged=True),),
)

Headers: TypeAlias = tuple[tuple[str, str], ...]

_PACKAGES = "/packages"
_PACKAGE = "/packages/<number:package_id>"
_FILES = _PACKAGE + "/package_files"
_FILE = _FILES + "/<number:file_id>"


@implementer(IRouteTable)
class PackageManagement:
    """
    See IRouteTable.

    Args:
        inventories: where packages are.
        format_names: of the formats that are served.
    """

    name = "manage_packages"
    challenge: str | None = None

    def __init__(self, inventories: IInventories, format_names: Sequence[str]) -> None:
        self._inventories = inventories
        types: Mapping[str, str | None] = {name: name for name in (*GITLAB_TYPES, *format_names)}
        self._type = choice("package_type", types, None, "The format; one of GitLab's that is not here has no packages")
        common = (self._type, NAME, VERSION, STATUS, VERSIONLESS)
        self._list_of_project = Operation(
            "list_packages",
            walked(PACKAGE, "The packages"),
            described(*common, PROJECT_ORDER, SORT) + KEYSET + PAGING,
        )
        self._list_of_group = Operation(
            "list_packages_below",
            walked(GROUP_PACKAGE, "The packages, each with its project"),
            described(*common, DIRECT, GROUP_ORDER, SORT) + KEYSET + PAGING,
        )

    def routes(self) -> Sequence[Route]:
        """See IRouteTable."""
        read, destroy = Permission.READ_PACKAGE, Permission.DESTROY_PACKAGE
        group = frozenset({Level.GROUP})
        return (
            Route(("GET",), _PACKAGES, read, self.list_of_project, operation=self._list_of_project),
            Route(("GET",), _PACKAGES, read, self.list_of_group, group, operation=self._list_of_group),
            Route(("GET",), _PACKAGE, read, self.show, operation=SHOW),
            Route(("DELETE",), _PACKAGE, destroy, self.delete_package, operation=DELETE),
            Route(("GET",), _PACKAGE + "/pipelines", read, self.list_pipelines, operation=LIST_PIPELINES),
            Route(("GET",), _FILES, read, self.list_files, operation=LIST_FILES),
            Route(("DELETE",), _FILE, destroy, self.delete_file, operation=DELETE_FILE),
            Route(("GET",), _FILE + "/download", read, self.download, operation=DOWNLOAD),
        )

    def render_error(self, refusal: Refusal) -> Reply | None:
        """Leave it to the common JSON, which is GitLab's."""
        return None

    def _inventory(self, call: IAuthorisedCall) -> IInventory:
        return self._inventories.inventory(call.scope, call.principal)

    # -------------------------------------------------------------------- packages

    async def list_of_project(self, call: IAuthorisedCall) -> Reply:
        """List the packages of a project."""
        return await self._list(call, self._list_of_project, PROJECT_ORDER.read(call), direct_only=False)

    async def list_of_group(self, call: IAuthorisedCall) -> Reply:
        """List the packages of the projects below a group, each with its project."""
        return await self._list(call, self._list_of_group, GROUP_ORDER.read(call), direct_only=DIRECT.read(call))

    async def _list(
        self, call: IAuthorisedCall, operation: Operation, order: PackageOrder | None, *, direct_only: bool
    ) -> Reply:
        find = self._go_on if is_keyset(call, operation.parameters) else self._turn_to
        packages, headers = await find(call, operation.parameters, order, direct_only=direct_only)
        show = package_fields if call.scope.level is Level.PROJECT else group_package_fields
        return json_reply([show(package, _api_url(call)) for package in packages], headers)

    async def _turn_to(
        self,
        call: IAuthorisedCall,
        parameters: Sequence[Parameter],
        order: PackageOrder | None,
        *,
        direct_only: bool,
    ) -> tuple[Sequence[PackageRecord], Headers]:
        """Find a numbered page."""
        if order is None:
            raise InvalidRequest("order_by=id is for pagination=keyset")
        page = read_page(call)
        query = self._query(call, order)
        if query is None:
            listing = PackageListing((), 0)
        else:
            listing = await self._inventory(call).list_packages(query, page.piece, direct_only=direct_only)
        return listing.packages, page_headers(call, call.base_url + _PACKAGES, parameters, page, listing.total)

    async def _go_on(
        self,
        call: IAuthorisedCall,
        parameters: Sequence[Parameter],
        order: PackageOrder | None,
        *,
        direct_only: bool,
    ) -> tuple[Sequence[PackageRecord], Headers]:
        """Find a page behind another one; by number, which alone stays as it is while packages come and go."""
        if order is not None and call.query("order_by") is not None:
            raise InvalidRequest("order_by can only be id with pagination=keyset")
        page = read_keyset(call, parameters, is_descending=SORT.read(call))
        query = self._query(call, PackageOrder.CREATED_AT)
        found: Sequence[PackageRecord] = ()
        if query is not None:
            found = await self._inventory(call).list_packages_onward(query, page.stretch, direct_only=direct_only)
        return keyset_rows(call, call.base_url + _PACKAGES, parameters, page, found, lambda package: package.id)

    def _query(self, call: IAuthorisedCall, order: PackageOrder) -> PackageQuery | None:
        """
        Read what is asked for; None if no package can be it.

        Raises:
            InvalidRequest.
        """
        VERSIONLESS.read(call)
        status = STATUS.read(call)
        query = PackageQuery(
            format=self._type.read(call),
            name_part=NAME.read(call),
            version=VERSION.read(call),
            status=status or PackageStatus.DEFAULT,
            order=order,
            is_descending=SORT.read(call),
        )
        return None if status is None else query

    async def show(self, call: IAuthorisedCall) -> Reply:
        """Show one package; a hidden one is only shown among the hidden ones."""
        return json_reply(package_fields(await self._find(call), _api_url(call)))

    async def _find(self, call: IAuthorisedCall) -> PackageRecord:
        package = await self._inventory(call).find_package(call.arguments["package_id"])
        if package.status is PackageStatus.HIDDEN:
            raise PackageNotFound
        return package

    async def list_pipelines(self, call: IAuthorisedCall) -> Reply:
        """List the pipelines that made a package: none, since nothing is known of pipelines here."""
        PIPELINE_STYLE.read(call)
        PIPELINE_CURSOR.read(call)
        headers = (("X-Per-Page", str(PIPELINE_COUNT.read(call))),)
        await self._find(call)
        return json_reply([], headers)

    async def delete_package(self, call: IAuthorisedCall) -> Reply:
        """Delete a package with all its files."""
        precondition = read_precondition(call)
        if precondition.sha256_any_of not in ((), ("*",)):
            # no entity tag stands for the state of a whole package, so none can hold
            raise PreconditionFailed("If-Match cannot hold for a package: use If-Unmodified-Since")
        await self._inventory(call).delete_package(call.arguments["package_id"], precondition)
        return Reply(204)

    # ----------------------------------------------------------------------- files

    async def list_files(self, call: IAuthorisedCall) -> Reply:
        """List the files of a package."""
        page = read_page(call)
        package_id: int = call.arguments["package_id"]
        listing = await self._inventory(call).list_files(
            package_id,
            FILE_ORDER.read(call),
            page.piece,
            is_descending=SORT.read(call),
        )
        url = f"{call.base_url}/packages/{package_id}/package_files"
        headers = page_headers(call, url, LIST_FILES.parameters, page, listing.total)
        return json_reply([file_fields(file) for file in listing.files], headers)

    async def download(self, call: IAuthorisedCall) -> Reply:
        """Send a file."""
        inventory = self._inventory(call)
        file = await inventory.find_file(call.arguments["package_id"], call.arguments["file_id"])
        if not call.scope.settings.has_format(file.format):
            raise SwitchedOff(file.format)
        sha256 = file.blob.sha256.hex
        return Reply(
            body=StreamBody.of(file, inventory.open_file),
            content_type="application/octet-stream",
            headers=(("X-Checksum-SHA256", sha256),),
            etag=sha256,
            last_modified=file.created_at,
            download_name=file.file_name.rpartition("/")[2],
        )

    async def delete_file(self, call: IAuthorisedCall) -> Reply:
        """Delete a file, and the package with its last one."""
        arguments = call.arguments
        await self._inventory(call).delete_file(arguments["package_id"], arguments["file_id"], read_precondition(call))
        return Reply(204)


def _pipeline_count(name: str, given: str) -> int:
    count = PER_PAGE.parse(name, given)
    if count > MAX_PIPELINES:
        raise InvalidRequest(f"{name} is not valid: it is a number from 1 to {MAX_PIPELINES}")
    return count


def _api_url(call: IAuthorisedCall) -> str:
    """The absolute URL up to `/api/v4`: above `/projects/:id` or `/groups/:id`."""
    return call.base_url.rsplit("/", 2)[0]
