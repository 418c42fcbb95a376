"""Who and what there is as administrators see it, in the catalog in memory."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import evolve

from pkgregd.catalog import told
from pkgregd.catalog.memory_identity import Place, User
from pkgregd.catalog.memory_inventory import is_within
from pkgregd.catalog.memory_tokens import MemoryTokens
from pkgregd.catalog.rules import key_of, split_path
from pkgregd.errors import AlreadyExists, LastAdministrator, LastOwner
from pkgregd.values import (
    AuditAction,
    Level,
    MemberListing,
    MemberRecord,
    Piece,
    PlaceListing,
    PlaceOrder,
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


class MemoryDirectory(MemoryTokens):
    """See IDirectoryCatalog."""

    def _clear_project(self, project_id: int) -> None:
        """Forget the packages of a project."""
        raise NotImplementedError

    # --- users

    async def list_users(self, text: str | None, name: str | None, piece: Piece) -> UserListing:
        """See IDirectoryCatalog."""
        found = self._users_meant(text, name)
        return UserListing(tuple(map(_user_record, found[piece.offset : piece.offset + piece.limit])), len(found))

    def _users_meant(self, text: str | None, name: str | None) -> list[User]:
        meant = (
            user
            for key, user in self._users.items()
            if (text is None or key_of(text) in key) and (name is None or key_of(name) == key)
        )
        return sorted(meant, key=lambda user: user.id)

    async def list_users_onward(
        self, text: str | None, name: str | None, stretch: Stretch, *, is_descending: bool = False
    ) -> tuple[UserRecord, ...]:
        """See IDirectoryCatalog."""
        found = [user for user in self._users_meant(text, name) if is_within(user.id, stretch)]
        return tuple(map(_user_record, (found[::-1] if is_descending else found)[: stretch.limit]))

    def _user_by_id(self, user_id: int) -> User | None:
        return next((user for user in self._users.values() if user.id == user_id), None)

    async def find_user(self, user_id: int) -> UserRecord | None:
        """See IDirectoryCatalog."""
        user = self._user_by_id(user_id)
        return None if user is None else _user_record(user)

    async def change_user(self, user_id: int, is_admin: bool, principal: Principal) -> bool:
        """See IDirectoryCatalog."""
        user = self._user_by_id(user_id)
        if user is None:
            return False
        if not is_admin:
            self._keep_an_administrator(user)
        if user.is_admin != is_admin:
            self._tell(principal, told.of_user(AuditAction.CHANGE_USER, user_id, user.name, is_admin=is_admin))
        user.is_admin = is_admin
        for public_id, record in self._tokens.items():
            if record.principal.user_id == user_id:
                self._tokens[public_id] = evolve(record, principal=evolve(record.principal, is_admin=is_admin))
        return True

    async def remove_user(self, user_id: int, principal: Principal) -> bool:
        """See IDirectoryCatalog."""
        user = self._user_by_id(user_id)
        if user is None:
            return False
        self._keep_an_administrator(user)
        for place in self._places.values():
            _keep_an_owner(place, user_id)
        del self._users[key_of(user.name)]
        for record in [kept for kept in self._tokens.values() if kept.principal.user_id == user_id]:
            self._revoke(record)  # and with it what it made for others
        gone = {record.principal.token_id for record in self._tokens.values() if record.principal.user_id == user_id}
        self._tokens = {key: kept for key, kept in self._tokens.items() if kept.principal.user_id != user_id}
        self.sign_ins.forget_approvals_of(gone)
        for place in self._places.values():
            place.roles.pop(user_id, None)
        self._tell(principal, told.of_user(AuditAction.REMOVE_USER, user_id, user.name))
        return True

    def _keep_an_administrator(self, user: User) -> None:
        others = (other.is_admin for other in self._users.values() if other.id != user.id)
        if user.is_admin and not any(others):
            raise LastAdministrator

    # --- projects and groups

    async def list_places(self, level: Level, viewer: Principal, query: PlaceQuery, piece: Piece) -> PlaceListing:
        """See IDirectoryCatalog."""
        found = self._places_meant(level, viewer, query)
        return PlaceListing(tuple(found[piece.offset : piece.offset + piece.limit]), len(found))

    async def list_places_onward(
        self, level: Level, viewer: Principal, query: PlaceQuery, stretch: Stretch
    ) -> tuple[PlaceRecord, ...]:
        """See IDirectoryCatalog."""
        found = self._places_meant(level, viewer, query)
        if query.order is PlaceOrder.ID:
            found = [place for place in found if is_within(place.id, stretch)]
        elif query.is_descending:
            raise ValueError("by path nobody goes on downwards")
        elif stretch.behind is not None:
            found = [place for place in found if key_of(place.path) > key_of(stretch.behind)]
        return tuple(found[: stretch.limit])

    def _places_meant(self, level: Level, viewer: Principal, query: PlaceQuery) -> list[PlaceRecord]:
        found = [
            self._place_record(place)
            for place in self._at(level)
            if self._is_seen(place, viewer) and self._is_meant(place, viewer, query)
        ]
        is_by_path = query.order is PlaceOrder.PATH
        found.sort(key=lambda place: key_of(place.path) if is_by_path else place.id, reverse=query.is_descending)
        return found

    def _is_seen(self, place: Place, viewer: Principal) -> bool:
        bound = {(Level.PROJECT, viewer.project_id), (Level.GROUP, viewer.group_id)}
        return (
            viewer.is_admin
            or place.visibility is Visibility.PUBLIC
            or (viewer.user_id is not None and place.visibility is Visibility.INTERNAL)
            or self._scope(place, viewer.user_id).role is not None
            or (place.level, place.id) in bound
            or viewer.group_id in place.group_ids
        )

    def _is_meant(self, place: Place, viewer: Principal, query: PlaceQuery) -> bool:
        above = place.group_ids if place.level is Level.PROJECT else place.group_ids[1:]
        role = self._scope(place, viewer.user_id).role
        return (
            (query.text is None or key_of(query.text) in key_of(place.path))
            and query.visibility in (None, place.visibility)
            and (query.parent_id is None or query.parent_id in (above if query.is_deep else above[:1]))
            and not (query.top_only and "/" in place.path)
            and (query.least_role is None or (role is not None and role >= query.least_role))
        )

    async def find_place(self, level: Level, place_id: int) -> PlaceRecord | None:
        """See IDirectoryCatalog."""
        place = self._place_by_id(level, place_id)
        return None if place is None else self._place_record(place)

    def _place_record(self, place: Place) -> PlaceRecord:
        parent_path, _ = split_path(place.path)
        parent = self._places[key_of(parent_path)].id if parent_path else None
        return PlaceRecord(place.level, place.id, place.path, place.visibility, parent, place.created_at)

    async def change_place(self, level: Level, place_id: int, visibility: Visibility, principal: Principal) -> bool:
        """See IDirectoryCatalog."""
        place = self._place_by_id(level, place_id)
        if place is None:
            return False
        if place.visibility is not visibility:
            self._tell(principal, told.of_changed_place(self._place_record(place), visibility))
        place.visibility = visibility
        return True

    async def remove_place(self, level: Level, place_id: int, principal: Principal) -> bool:
        """See IDirectoryCatalog."""
        place = self._place_by_id(level, place_id)
        if place is None:
            return False
        record = self._place_record(place)
        inside = [place]
        if level is Level.GROUP:
            inside = [found for found in self._places.values() if place_id in found.group_ids]
        for found in inside:
            self._remove_place(found)
        self._tell(principal, told.of_removed_place(record))
        return True

    def _remove_place(self, place: Place) -> None:
        if place.level is Level.PROJECT:
            self._clear_project(place.id)
        del self._places[key_of(place.path)]
        self._tokens = {
            key: kept
            for key, kept in self._tokens.items()
            if (kept.principal.project_id if place.level is Level.PROJECT else kept.principal.group_id) != place.id
        }

    # --- members

    def _roles(self, scope: Scope, is_inherited: bool) -> dict[int, Role]:
        own = self._place_by_id(scope.level, scope.id)
        places: list[Place] = [] if own is None else [own]
        if is_inherited and own is not None:
            places += [group for group in self._at(Level.GROUP) if group.id in own.group_ids]
        roles: dict[int, Role] = {}
        for place in places:
            for user_id, role in place.roles.items():
                roles[user_id] = max(role, roles.get(user_id, role))
        return roles

    def _members(self, scope: Scope, is_inherited: bool) -> Iterable[MemberRecord]:
        for user_id, role in sorted(self._roles(scope, is_inherited).items()):
            user = self._user_by_id(user_id)
            assert user is not None, "members are users"
            yield MemberRecord(user_id, user.name, role)

    async def list_members(self, scope: Scope, text: str | None, piece: Piece, *, is_inherited: bool) -> MemberListing:
        """See IDirectoryCatalog."""
        found = [
            member
            for member in self._members(scope, is_inherited)
            if text is None or key_of(text) in key_of(member.name)
        ]
        return MemberListing(tuple(found[piece.offset : piece.offset + piece.limit]), len(found))

    async def find_member(self, scope: Scope, user_id: int, *, is_inherited: bool) -> MemberRecord | None:
        """See IDirectoryCatalog."""
        return next((member for member in self._members(scope, is_inherited) if member.user_id == user_id), None)

    async def set_member_role(
        self, scope: Scope, user_id: int, role: Role, principal: Principal, *, is_new: bool
    ) -> bool:
        """See IDirectoryCatalog."""
        place = self._place_by_id(scope.level, scope.id)
        user = self._user_by_id(user_id)
        if place is None or user is None or (user_id not in place.roles and not is_new):
            return False
        if user_id in place.roles and is_new:
            raise AlreadyExists("the user is a member already")
        if role is not Role.OWNER:
            _keep_an_owner(place, user_id)
        place.roles[user_id] = role
        where = (place.level, place.id, place.path)
        self._tell(principal, told.of_member(AuditAction.SET_MEMBER, *where, user.name, role=role.name.lower()))
        return True

    async def remove_member(self, scope: Scope, user_id: int, principal: Principal) -> bool:
        """See IDirectoryCatalog."""
        place = self._place_by_id(scope.level, scope.id)
        user = self._user_by_id(user_id)
        if place is None or user is None or user_id not in place.roles:
            return False
        _keep_an_owner(place, user_id)
        del place.roles[user_id]
        where = (place.level, place.id, place.path)
        self._tell(principal, told.of_member(AuditAction.REMOVE_MEMBER, *where, user.name))
        return True


def _keep_an_owner(place: Place, user_id: int) -> None:
    """Raise LastOwner if a group at the top has no other owner than that user."""
    if place.level is not Level.GROUP or len(place.group_ids) > 1 or place.roles.get(user_id) is not Role.OWNER:
        return
    if not any(role is Role.OWNER for other, role in place.roles.items() if other != user_id):
        raise LastOwner


def _user_record(user: User) -> UserRecord:
    return UserRecord(user.id, user.name, user.is_admin, user.created_at)
