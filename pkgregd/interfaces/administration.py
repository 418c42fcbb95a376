"""What the management API does."""

from __future__ import annotations

import datetime

from zope.interface import Attribute, Interface

from pkgregd.interfaces.blobs import IBlobSource
from pkgregd.values import (
    ByteRange,
    FileListing,
    FileOrder,
    IssuedToken,
    Level,
    MemberListing,
    MemberRecord,
    PackageFile,
    PackageListing,
    PackageQuery,
    PackageRecord,
    Piece,
    PlaceListing,
    PlaceQuery,
    PlaceRecord,
    Precondition,
    Principal,
    Role,
    Scope,
    Stretch,
    TokenListing,
    TokenOrder,
    TokenOwner,
    TokenQuery,
    TokenRecord,
    UserListing,
    UserRecord,
    Visibility,
)


class IInventory(Interface):
    """
    The packages of all formats at one project or group: all that their management may do with storage.

    A group's inventory lists the packages of the projects below it that the principal may read;
    everything else is done at the project.
    """

    scope: Scope = Attribute("where")

    async def list_packages(query: PackageQuery, piece: Piece, *, direct_only: bool = False) -> PackageListing:
        """
        List packages.

        Args:
            direct_only: at a group, leave out the projects of the groups below it.
        """

    async def list_packages_onward(
        query: PackageQuery, stretch: Stretch, *, direct_only: bool = False
    ) -> tuple[PackageRecord, ...]:
        """List packages by their numbers; see list_packages() and IInventoryCatalog.list_packages_onward."""

    async def find_package(package_id: int) -> PackageRecord:
        """Find a package, whatever its status. Raises PackageNotFound."""

    async def list_files(
        package_id: int, order: FileOrder, piece: Piece, *, is_descending: bool = False
    ) -> FileListing:
        """List files of a package. Raises PackageNotFound."""

    async def find_file(package_id: int, file_id: int) -> PackageFile:
        """Find a file of a package. Raises FileNotFound."""

    async def open_file(file: PackageFile, byte_range: ByteRange | None = None) -> IBlobSource:
        """See IRemote.open_file."""

    async def delete_package(package_id: int, precondition: Precondition) -> None:
        """
        Delete a package with all its files; see IInventoryCatalog.delete_package.

        Raises:
            PackageNotFound, PreconditionFailed.
        """

    async def delete_file(package_id: int, file_id: int, precondition: Precondition) -> None:
        """
        Delete a file, and the package with its last one; see IPackageCatalog.delete_file.

        Raises:
            FileNotFound, PreconditionFailed.
        """


class IInventories(Interface):
    """Makes inventories."""

    def inventory(scope: Scope, principal: Principal) -> IInventory:
        """
        Make the inventory of an authorised scope, for this principal.

        Raises:
            SwitchedOff: there is no package registry in the project.
        """


class ITokenDesk(Interface):
    """Tokens of users, projects and groups, for those who administer them."""

    async def issue(order: TokenOrder, principal: Principal) -> IssuedToken:
        """
        Make a token.

        Args:
            principal: who asks for it, and may.

        Raises:
            InvalidRequest: its name, its scopes, or a time of expiry that is past.
            NotFound: whose it would be.
        """

    async def list_tokens(query: TokenQuery, piece: Piece) -> TokenListing:
        """A piece of somebody's tokens."""

    async def find_token(owner: TokenOwner, token_id: int) -> TokenRecord:
        """Find one of somebody's tokens. Raises NotFound."""

    async def revoke(owner: TokenOwner, token_id: int, principal: Principal) -> None:
        """Revoke one of somebody's tokens; it works from the next request on. Raises NotFound."""

    async def rotate(
        owner: TokenOwner, token_id: int, expires_at: datetime.datetime | None, principal: Principal
    ) -> IssuedToken:
        """
        Revoke a good token, and make another that is the same but for its secret.

        Args:
            expires_at: when the new one ends at the latest; it ends no later than the old one, either, nor, if it is a
                user's, than the token by which this is asked for.

        Raises:
            NotFound. InvalidRequest: that is past.
        """


class IDirectory(Interface):
    """
    Users, members, projects and groups, for one caller.

    What takes a scope is for who is authorised at it; the rest says what it asks for.
    """

    async def list_users(text: str | None, name: str | None, piece: Piece) -> UserListing:
        """See IDirectoryCatalog."""

    async def list_users_onward(
        text: str | None, name: str | None, stretch: Stretch, *, is_descending: bool = False
    ) -> tuple[UserRecord, ...]:
        """See IDirectoryCatalog."""

    async def find_user(user_id: int) -> UserRecord:
        """Find a user. Raises NotFound."""

    async def add_user(name: str, *, is_admin: bool) -> UserRecord:
        """Add a user. Raises AlreadyExists, InvalidName."""

    async def change_user(user_id: int, *, is_admin: bool) -> UserRecord:
        """Make a user an administrator or a common user. Raises NotFound; InvalidRequest: it is the caller's own."""

    async def remove_user(user_id: int) -> None:
        """Remove a user. Raises NotFound; InvalidRequest: it is the caller's own."""

    async def list_places(level: Level, query: PlaceQuery, piece: Piece) -> PlaceListing:
        """What the caller sees; see IDirectoryCatalog."""

    async def list_places_onward(level: Level, query: PlaceQuery, stretch: Stretch) -> tuple[PlaceRecord, ...]:
        """What the caller sees; see IDirectoryCatalog."""

    async def find_place(scope: Scope) -> PlaceRecord:
        """Return the project or group of a scope. Raises NotFound: gone meanwhile."""

    async def add_group(parent: int | str | None, name: str, visibility: Visibility) -> PlaceRecord:
        """
        Add a group: at the top as an administrator, else as an owner of the group above.

        Args:
            parent: number or path of the group above; None at the top.

        Raises:
            AuthenticationRequired, PermissionDenied, GroupNotFound, AlreadyExists, InvalidName.
        """

    async def add_project(parent: int | str, name: str, visibility: Visibility) -> PlaceRecord:
        """Add a project to a group, as somebody who may. Raises what add_group() raises."""

    async def change_place(scope: Scope, visibility: Visibility) -> PlaceRecord:
        """Change a visibility. Raises NotFound."""

    async def remove_place(scope: Scope) -> None:
        """Remove a project or group with all that is in it. Raises NotFound."""

    async def list_members(scope: Scope, text: str | None, piece: Piece, *, is_inherited: bool) -> MemberListing:
        """See IDirectoryCatalog."""

    async def find_member(scope: Scope, user_id: int, *, is_inherited: bool) -> MemberRecord:
        """Find a member. Raises NotFound."""

    async def add_member(scope: Scope, user_id: int, role: Role) -> MemberRecord:
        """
        Make a user a member.

        Raises:
            NotFound: no such user. AlreadyExists.
            PermissionDenied: the role is greater than the caller's.
        """

    async def change_member(scope: Scope, user_id: int, role: Role) -> MemberRecord:
        """
        Change the role of a member.

        Raises:
            NotFound, LastOwner.
            PermissionDenied: the role, or the one before, is greater than the caller's.
        """

    async def remove_member(scope: Scope, user_id: int) -> None:
        """Remove a member. Raises what change_member() raises."""

    def check_role(scope: Scope, role: Role) -> None:
        """Pass if the caller may hand out a role there. Raises PermissionDenied."""


class IDirectories(Interface):
    """Where directories are had."""

    def directory(principal: Principal) -> IDirectory:
        """Return the directory of a caller."""
