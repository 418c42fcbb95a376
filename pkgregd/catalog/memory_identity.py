"""Users, groups, projects and members, as the catalog in memory keeps them."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator, Sequence

from attrs import define, field

from pkgregd.catalog import told
from pkgregd.catalog.memory_trail import MemoryTrail
from pkgregd.catalog.rules import (
    can_be_path,
    check_group_path,
    check_project_path,
    check_user_name,
    from_microseconds,
    is_number,
    key_of,
    merged,
    split_path,
)
from pkgregd.errors import AlreadyExists, GroupNotFound, NotFound
from pkgregd.values import (
    NOTHING_SET,
    OPERATOR,
    AuditAction,
    Level,
    Owner,
    Principal,
    Role,
    Scope,
    Settings,
    Visibility,
)


@define
class User:
    """Somebody."""

    id: int
    name: str
    is_admin: bool
    created_at: datetime.datetime


@define
class Place:
    """A group or a project."""

    level: Level
    id: int
    path: str
    visibility: Visibility
    created_at: datetime.datetime
    group_ids: tuple[int, ...]
    roles: dict[int, Role] = field(factory=dict)
    settings: Settings = NOTHING_SET


class MemoryIdentity(MemoryTrail):
    """
    See IIdentityCatalog: users, groups, projects and members.

    Args:
        seconds: the clock, since 1970.
    """

    def __init__(self, seconds: Callable[[], float]) -> None:
        super().__init__(seconds)
        self._last_ids: dict[str, int] = {}
        self._users: dict[str, User] = {}
        self._places: dict[str, Place] = {}

    def _next_id(self, what: str) -> int:
        self._last_ids[what] = self._last_ids.get(what, 0) + 1
        return self._last_ids[what]

    async def add_user(self, name: str, *, is_admin: bool = False, principal: Principal = OPERATOR) -> int:
        """See IIdentityCatalog."""
        check_user_name(name)
        if key_of(name) in self._users:
            raise AlreadyExists(f"a user named {name} exists already")
        user = User(self._next_id("user"), name, is_admin, from_microseconds(self._now()))
        self._users[key_of(name)] = user
        self._tell(principal, told.of_user(AuditAction.ADD_USER, user.id, name, is_admin=is_admin))
        return user.id

    async def add_group(self, path: str, visibility: Visibility, principal: Principal = OPERATOR) -> int:
        """See IIdentityCatalog."""
        check_group_path(path)
        group_id = self._add_place(Level.GROUP, path, visibility, principal)
        if principal.user_id is not None and "/" not in path:
            self._places[key_of(path)].roles[principal.user_id] = Role.OWNER
        return group_id

    async def add_project(self, path: str, visibility: Visibility, principal: Principal = OPERATOR) -> int:
        """See IIdentityCatalog."""
        check_project_path(path)
        return self._add_place(Level.PROJECT, path, visibility, principal)

    def _add_place(self, level: Level, path: str, visibility: Visibility, principal: Principal) -> int:
        parent_path, name = split_path(path)
        group_ids: tuple[int, ...] = ()
        if parent_path:
            parent = self._places.get(key_of(parent_path))
            if parent is None or parent.level is not Level.GROUP:
                raise GroupNotFound
            group_ids = parent.group_ids
            path = f"{parent.path}/{name}"
        if key_of(path) in self._places:
            raise AlreadyExists(f"a group or project at {path} exists already")
        place_id = self._next_id(level.value)
        if level is Level.GROUP:
            group_ids = (place_id, *group_ids)
        self._places[key_of(path)] = Place(level, place_id, path, visibility, from_microseconds(self._now()), group_ids)
        self._tell(principal, told.of_new_place(level, place_id, path, visibility))
        return place_id

    def _user(self, name: str) -> User:
        user = self._users.get(key_of(name))
        if user is None:
            raise NotFound(f"there is no user named {name}")
        return user

    def _place_by_id(self, level: Level, place_id: int) -> Place | None:
        return next((place for place in self._at(level) if place.id == place_id), None)

    def _path_at(self, level: Level, place_id: int | None) -> str:
        place = None if place_id is None else self._place_by_id(level, place_id)
        return "" if place is None else place.path

    def _at(self, level: Level) -> Iterator[Place]:
        return (place for place in self._places.values() if place.level is level)

    async def set_member(self, user: str, path: str, role: Role, principal: Principal = OPERATOR) -> None:
        """See IIdentityCatalog."""
        user_id = self._user(user).id
        place = self._places.get(key_of(path))
        if place is None:
            raise NotFound(f"there is no group or project at {path}")
        place.roles[user_id] = role
        where = (place.level, place.id, place.path)
        self._tell(principal, told.of_member(AuditAction.SET_MEMBER, *where, user, role=role.name.lower()))

    def _owner_id(self, level: Level, ident: str | None) -> int | None:
        if ident is None:
            return None
        place = self._place_by_id(level, int(ident)) if is_number(ident) else self._places.get(key_of(ident))
        if place is None or place.level is not level:
            raise NotFound(f"there is no {level.value} {ident}")
        return place.id

    async def list_owners(self, project_id: int | None, group_ids: Sequence[int]) -> tuple[Owner, ...]:
        """See IIdentityCatalog."""
        places = [group for group in self._at(Level.GROUP) if group.id in group_ids]
        places += [project for project in self._at(Level.PROJECT) if project.id == project_id]
        return tuple(
            Owner(user.id, user.name)
            for _, user in sorted(self._users.items())
            if any(place.roles.get(user.id, Role.GUEST) >= Role.MAINTAINER for place in places)
        )

    async def find_scope(self, level: Level, ident: int | str, user_id: int | None) -> Scope | None:
        """See IReads."""
        if level is Level.INSTANCE:
            return Scope(Level.INSTANCE, 0, "", Visibility.PUBLIC)
        if isinstance(ident, int):
            place = self._place_by_id(level, ident)
        else:
            place = self._places.get(key_of(ident)) if can_be_path(ident) else None
        return None if place is None or place.level is not level else self._scope(place, user_id)

    def _scope(self, place: Place, user_id: int | None) -> Scope:
        above = [group for group in self._at(Level.GROUP) if group.id in place.group_ids]
        roles = [met.roles[user_id] for met in (place, *above) if user_id is not None and user_id in met.roles]
        return Scope(
            level=place.level,
            id=place.id,
            path=place.path,
            visibility=place.visibility,
            group_ids=place.group_ids,
            role=max(roles, default=None),
            settings=merged([place.settings, *(self._group(group_id).settings for group_id in place.group_ids)]),
        )

    def _group(self, group_id: int) -> Place:
        found = self._place_by_id(Level.GROUP, group_id)
        assert found is not None
        return found
