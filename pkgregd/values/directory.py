"""Users, members, groups and projects, as they are administered."""

from __future__ import annotations

import datetime
import enum

from attrs import frozen

from pkgregd.values.access import Level, Role, Visibility


@frozen
class UserRecord:
    """
    A user.

    Attributes:
        created_at: aware UTC.
    """

    id: int
    name: str
    is_admin: bool
    created_at: datetime.datetime


@frozen
class UserListing:
    """A piece of a listing of users, and how long the whole is."""

    users: tuple[UserRecord, ...]
    total: int


@frozen
class MemberRecord:
    """
    A user's role in a project or group.

    Attributes:
        role: the greatest one, if those of the groups above count.
    """

    user_id: int
    name: str
    role: Role


@frozen
class MemberListing:
    """A piece of a listing of members, and how long the whole is."""

    members: tuple[MemberRecord, ...]
    total: int


@frozen
class PlaceRecord:
    """
    A project or a group.

    Attributes:
        path: from the top.
        parent_id: the group that it lies in; None for a group at the top.
        created_at: aware UTC.
    """

    level: Level
    id: int
    path: str
    visibility: Visibility
    parent_id: int | None
    created_at: datetime.datetime


@frozen
class PlaceListing:
    """A piece of a listing of projects or of groups, and how long the whole is."""

    places: tuple[PlaceRecord, ...]
    total: int


class PlaceOrder(enum.Enum):
    """By what projects and groups are ordered; numbers follow the times at which they were made."""

    ID = "id"
    PATH = "path"


@frozen
class PlaceQuery:
    """
    Which projects or groups are listed.

    Attributes:
        text: a part of the path, whatever the case of its letters; None for any.
        visibility: None for any.
        parent_id: only what lies in that group; None for anywhere.
        is_deep: what lies in groups below that group, too.
        top_only: only groups at the top.
        least_role: only where the viewer, a user, has at least that role.
    """

    text: str | None = None
    visibility: Visibility | None = None
    parent_id: int | None = None
    is_deep: bool = False
    top_only: bool = False
    least_role: Role | None = None
    order: PlaceOrder = PlaceOrder.ID
    is_descending: bool = False
