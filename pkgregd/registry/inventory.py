"""What those who manage packages may do with storage, at a project or over the projects of a group."""

from __future__ import annotations

from collections.abc import Sequence

from zope.interface import implementer

from pkgregd.errors import FileNotFound, PackageNotFound, SwitchedOff
from pkgregd.interfaces import (
    IAccessPolicy,
    IBlobSource,
    IBlobStore,
    ICatalog,
    IEventSink,
    IInventories,
    IInventory,
)
from pkgregd.registry.reading import emit_for_file, open_package_file
from pkgregd.values import (
    ByteRange,
    Event,
    FileListing,
    FileOrder,
    Level,
    PackageFile,
    PackageListing,
    PackageQuery,
    PackageRecord,
    Permission,
    Piece,
    Precondition,
    Principal,
    Scope,
    Stretch,
)


@implementer(IInventories)
class Inventories:
    """See IInventories."""

    def __init__(self, catalog: ICatalog, blobs: IBlobStore, policy: IAccessPolicy, events: IEventSink) -> None:
        self.catalog = catalog
        self.blobs = blobs
        self.policy = policy
        self.events = events

    def inventory(self, scope: Scope, principal: Principal) -> IInventory:
        """See IInventories."""
        if not scope.settings.has_packages and scope.level is Level.PROJECT:
            raise SwitchedOff("the package registry")
        return Inventory(self, scope, principal)


@implementer(IInventory)
class Inventory:
    """
    See IInventory.

    Args:
        inventories: the stores and the policy.
        scope: already authorised for the route's permission.
        principal: who is asking.
    """

    def __init__(self, inventories: Inventories, scope: Scope, principal: Principal) -> None:
        self.scope = scope
        self._principal = principal
        self._catalog = inventories.catalog
        self._blobs = inventories.blobs
        self._policy = inventories.policy
        self._events = inventories.events

    def _project_id(self) -> int:
        """The number of the project; a group's own number must never be taken for one."""
        if self.scope.level is not Level.PROJECT:
            raise RuntimeError("a group's inventory only lists packages")
        return self.scope.id

    async def _listed_project_ids(self, *, direct_only: bool) -> Sequence[int]:
        if self.scope.level is Level.PROJECT:
            return (self.scope.id,)
        scopes = await self._catalog.projects_below(self.scope.id, self._principal.user_id, direct_only=direct_only)
        return [
            scope.id
            for scope in scopes
            if scope.settings.has_packages and self._policy.permits(self._principal, Permission.READ_PACKAGE, scope)
        ]

    async def list_packages(self, query: PackageQuery, piece: Piece, *, direct_only: bool = False) -> PackageListing:
        """See IInventory."""
        return await self._catalog.list_packages(await self._listed_project_ids(direct_only=direct_only), query, piece)

    async def list_packages_onward(
        self, query: PackageQuery, stretch: Stretch, *, direct_only: bool = False
    ) -> tuple[PackageRecord, ...]:
        """See IInventory."""
        project_ids = await self._listed_project_ids(direct_only=direct_only)
        return await self._catalog.list_packages_onward(project_ids, query, stretch)

    async def find_package(self, package_id: int) -> PackageRecord:
        """See IInventory."""
        package = await self._catalog.find_package(self._project_id(), package_id)
        if package is None:
            raise PackageNotFound
        return package

    async def list_files(
        self, package_id: int, order: FileOrder, piece: Piece, *, is_descending: bool = False
    ) -> FileListing:
        """See IInventory."""
        package = await self.find_package(package_id)
        return await self._catalog.list_package_files(package.id, order, piece, is_descending=is_descending)

    async def find_file(self, package_id: int, file_id: int) -> PackageFile:
        """See IInventory."""
        file = await self._catalog.find_package_file(self._project_id(), package_id, file_id)
        if file is None:
            raise FileNotFound
        return file

    async def open_file(self, file: PackageFile, byte_range: ByteRange | None = None) -> IBlobSource:
        """See IInventory."""
        return await open_package_file(self._blobs, self._events, self._principal, file, byte_range)

    async def delete_package(self, package_id: int, precondition: Precondition) -> None:
        """See IInventory."""
        package = await self.find_package(package_id)
        if not await self._catalog.delete_package(package.project_id, package.id, self._principal, precondition):
            raise PackageNotFound
        text = f"{package.name} {package.version}"
        self._events.emit(Event("delete_package", package.format, package.project_id, self._principal, text))

    async def delete_file(self, package_id: int, file_id: int, precondition: Precondition) -> None:
        """See IInventory."""
        file = await self.find_file(package_id, file_id)
        if not await self._catalog.delete_file(file.id, self._principal, precondition):
            raise FileNotFound
        emit_for_file(self._events, "delete_package", self._principal, file)
