"""Who and what there is, for one caller: what may be looked at and changed, and by whom."""

from __future__ import annotations

from attrs import frozen
from zope.interface import implementer

from pkgregd.errors import InvalidRequest, NotFound, PermissionDenied
from pkgregd.interfaces import IAccessPolicy, ICatalog, IDirectories, IDirectory
from pkgregd.values import (
    AccountPermission,
    Level,
    MemberListing,
    MemberRecord,
    Permission,
    Piece,
    PlaceListing,
    PlaceQuery,
    PlaceRecord,
    Principal,
    Role,
    Scope,
    Stretch,
    UserListing,
    UserRecord,
    Visibility,
)


@implementer(IDirectories)
@frozen
class Directories:
    """See IDirectories."""

    catalog: ICatalog
    policy: IAccessPolicy

    def directory(self, principal: Principal) -> IDirectory:
        """See IDirectories."""
        return Directory(self.catalog, self.policy, principal)


@implementer(IDirectory)
@frozen
class Directory:
    """See IDirectory."""

    catalog: ICatalog
    policy: IAccessPolicy
    principal: Principal

    # --- users

    async def list_users(self, text: str | None, name: str | None, piece: Piece) -> UserListing:
        """See IDirectory."""
        return await self.catalog.list_users(text, name, piece)

    async def list_users_onward(
        self, text: str | None, name: str | None, stretch: Stretch, *, is_descending: bool = False
    ) -> tuple[UserRecord, ...]:
        """See IDirectory."""
        return await self.catalog.list_users_onward(text, name, stretch, is_descending=is_descending)

    async def find_user(self, user_id: int) -> UserRecord:
        """See IDirectory."""
        user = await self.catalog.find_user(user_id)
        if user is None:
            raise NotFound("there is no such user")
        return user

    async def add_user(self, name: str, *, is_admin: bool) -> UserRecord:
        """See IDirectory."""
        return await self.find_user(await self.catalog.add_user(name, is_admin=is_admin, principal=self.principal))

    async def change_user(self, user_id: int, *, is_admin: bool) -> UserRecord:
        """See IDirectory."""
        self._check_other(user_id)
        if not await self.catalog.change_user(user_id, is_admin, self.principal):
            raise NotFound("there is no such user")
        return await self.find_user(user_id)

    async def remove_user(self, user_id: int) -> None:
        """See IDirectory."""
        self._check_other(user_id)
        if not await self.catalog.remove_user(user_id, self.principal):
            raise NotFound("there is no such user")

    def _check_other(self, user_id: int) -> None:
        """Keep administrators from locking themselves, and perhaps everybody, out."""
        if user_id == self.principal.user_id:
            raise InvalidRequest("this is your own user: let another administrator do it")

    # --- projects and groups

    async def list_places(self, level: Level, query: PlaceQuery, piece: Piece) -> PlaceListing:
        """See IDirectory."""
        return await self.catalog.list_places(level, self.principal, query, piece)

    async def list_places_onward(self, level: Level, query: PlaceQuery, stretch: Stretch) -> tuple[PlaceRecord, ...]:
        """See IDirectory."""
        return await self.catalog.list_places_onward(level, self.principal, query, stretch)

    async def find_place(self, scope: Scope) -> PlaceRecord:
        """See IDirectory."""
        return await self._place(scope.level, scope.id)

    async def _place(self, level: Level, place_id: int) -> PlaceRecord:
        place = await self.catalog.find_place(level, place_id)
        if place is None:
            raise NotFound(f"there is no such {level.value}")
        return place

    async def add_group(self, parent: int | str | None, name: str, visibility: Visibility) -> PlaceRecord:
        """See IDirectory."""
        if parent is None:
            self.policy.demand_account(self.principal, AccountPermission.ADMINISTER_INSTANCE)
            path = name
        else:
            path = await self._path_in(parent, name, Permission.ADMINISTER)
        return await self._place(Level.GROUP, await self.catalog.add_group(path, visibility, self.principal))

    async def add_project(self, parent: int | str, name: str, visibility: Visibility) -> PlaceRecord:
        """See IDirectory."""
        path = await self._path_in(parent, name, Permission.CREATE_PROJECT)
        return await self._place(Level.PROJECT, await self.catalog.add_project(path, visibility, self.principal))

    async def _path_in(self, parent: int | str, name: str, permission: Permission) -> str:
        """Make a path of a name, in a group where the caller has a permission."""
        if "/" in name:
            raise InvalidRequest("path: the last part alone; what is before it is the group's")
        scope = await self.catalog.find_scope(Level.GROUP, parent, self.principal.user_id)
        self.policy.demand(self.principal, permission, scope, Level.GROUP)
        assert scope is not None, "demand() refuses a missing scope"
        return f"{scope.path}/{name}"

    async def change_place(self, scope: Scope, visibility: Visibility) -> PlaceRecord:
        """See IDirectory."""
        if not await self.catalog.change_place(scope.level, scope.id, visibility, self.principal):
            raise NotFound(f"there is no such {scope.level.value}")
        return await self.find_place(scope)

    async def remove_place(self, scope: Scope) -> None:
        """See IDirectory."""
        if not await self.catalog.remove_place(scope.level, scope.id, self.principal):
            raise NotFound(f"there is no such {scope.level.value}")

    # --- members

    async def list_members(self, scope: Scope, text: str | None, piece: Piece, *, is_inherited: bool) -> MemberListing:
        """See IDirectory."""
        return await self.catalog.list_members(scope, text, piece, is_inherited=is_inherited)

    async def find_member(self, scope: Scope, user_id: int, *, is_inherited: bool) -> MemberRecord:
        """See IDirectory."""
        member = await self.catalog.find_member(scope, user_id, is_inherited=is_inherited)
        if member is None:
            raise NotFound("there is no such member")
        return member

    async def add_member(self, scope: Scope, user_id: int, role: Role) -> MemberRecord:
        """See IDirectory."""
        self.check_role(scope, role)
        if not await self.catalog.set_member_role(scope, user_id, role, self.principal, is_new=True):
            raise NotFound("there is no such user")
        return await self.find_member(scope, user_id, is_inherited=False)

    async def change_member(self, scope: Scope, user_id: int, role: Role) -> MemberRecord:
        """See IDirectory."""
        self.check_role(scope, (await self.find_member(scope, user_id, is_inherited=False)).role)
        self.check_role(scope, role)
        if not await self.catalog.set_member_role(scope, user_id, role, self.principal, is_new=False):
            raise NotFound("there is no such member")
        return await self.find_member(scope, user_id, is_inherited=False)

    async def remove_member(self, scope: Scope, user_id: int) -> None:
        """See IDirectory."""
        self.check_role(scope, (await self.find_member(scope, user_id, is_inherited=False)).role)
        if not await self.catalog.remove_member(scope, user_id, self.principal):
            raise NotFound("there is no such member")

    def check_role(self, scope: Scope, role: Role) -> None:
        """See IDirectory."""
        if not self.principal.is_admin and (scope.role is None or role > scope.role):
            raise PermissionDenied(f"to hand out the role {role.name.lower()}", "ask somebody who has that role")
