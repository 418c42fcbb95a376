"""Users, members, tokens, projects and groups as JSON, in GitLab's fields. What is not here is empty or null."""

from __future__ import annotations

import datetime
from collections.abc import Mapping

from pkgregd.manage.shapes import time_text
from pkgregd.values import (
    IssuedToken,
    Level,
    MemberRecord,
    NewToken,
    PlaceRecord,
    Role,
    TokenKind,
    TokenRecord,
    UserRecord,
    user_name_beside,
)


def user_fields(user: UserRecord, *, is_whole: bool) -> Mapping[str, object]:
    """
    Show a user.

    Args:
        is_whole: also what only administrators, and the user, are shown.
    """
    fields: dict[str, object] = {**_person(user.id, user.name), "created_at": time_text(user.created_at)}
    if is_whole:
        fields |= {"is_admin": user.is_admin, "bot": False, "email": None}
    return fields


def member_fields(member: MemberRecord) -> Mapping[str, object]:
    """Show a member."""
    return {
        **_person(member.user_id, member.name),
        "access_level": member.role.value,
        "created_at": None,
        "expires_at": None,
    }


def _person(user_id: int, name: str) -> dict[str, object]:
    return {
        "id": user_id,
        "username": name,
        "name": name,
        "state": "active",
        "locked": False,
        "avatar_url": None,
        "web_url": None,
    }


def group_fields(group: PlaceRecord) -> Mapping[str, object]:
    """Show a group."""
    name = _name(group)
    return {
        "id": group.id,
        "web_url": None,
        "name": name,
        "path": name,
        "description": "",
        "visibility": group.visibility.value,
        "full_name": group.path.replace("/", " / "),
        "full_path": group.path,
        "created_at": time_text(group.created_at),
        "parent_id": group.parent_id,
    }


def project_fields(project: PlaceRecord) -> Mapping[str, object]:
    """Show a project."""
    name = _name(project)
    group_path = project.path.rpartition("/")[0]
    return {
        "id": project.id,
        "description": None,
        "name": name,
        "name_with_namespace": project.path.replace("/", " / "),
        "path": name,
        "path_with_namespace": project.path,
        "created_at": time_text(project.created_at),
        "visibility": project.visibility.value,
        "namespace": {
            "id": project.parent_id,
            "name": group_path.rpartition("/")[2],
            "path": group_path.rpartition("/")[2],
            "kind": "group",
            "full_path": group_path,
        },
        "packages_enabled": True,
        "archived": False,
        "web_url": None,
    }


def place_fields(place: PlaceRecord) -> Mapping[str, object]:
    """Show a project or a group."""
    return project_fields(place) if place.level is Level.PROJECT else group_fields(place)


def _name(place: PlaceRecord) -> str:
    return place.path.rpartition("/")[2]


def token_fields(record: TokenRecord, now: datetime.datetime) -> Mapping[str, object]:
    """Show a token, but for its secret."""
    bearer = record.principal
    return _token(
        bearer.token_id,
        bearer.token_kind,
        record.name,
        sorted(bearer.scopes),
        bearer.role,
        record.expires_at,
        record.created_at,
        bearer.user_id,
        username=record.username,
        last_used_at=record.last_used_at,
        is_revoked=record.revoked_at is not None,
        is_expired=record.expires_at is not None and record.expires_at <= now,
    )


def issued_fields(issued: IssuedToken, user_id: int | None) -> Mapping[str, object]:
    """Show a token that was just made, its secret included."""
    token: NewToken = issued.token
    fields = _token(
        issued.token_id,
        token.kind,
        token.name,
        sorted(token.scopes),
        token.role,
        token.expires_at,
        issued.created_at,
        user_id,
        username=user_name_beside(token.kind, issued.token_id, None, token.username),
        last_used_at=None,
        is_revoked=False,
        is_expired=False,
    )
    return {**fields, "token": issued.secret}


def _token(
    token_id: int | None,
    kind: TokenKind | None,
    name: str,
    scopes: list[str],
    role: Role | None,
    expires_at: datetime.datetime | None,
    created_at: datetime.datetime,
    user_id: int | None,
    *,
    username: str | None,
    last_used_at: datetime.datetime | None,
    is_revoked: bool,
    is_expired: bool,
) -> dict[str, object]:
    fields: dict[str, object] = {"id": token_id, "name": name, "revoked": is_revoked, "scopes": scopes}
    if kind is TokenKind.DEPLOY:
        expiry = None if expires_at is None else time_text(expires_at)
        return {**fields, "username": username, "expires_at": expiry, "expired": is_expired}
    fields |= {
        "created_at": time_text(created_at),
        "description": None,
        "user_id": user_id,
        "last_used_at": None if last_used_at is None else time_text(last_used_at),
        "active": not is_revoked and not is_expired,
        "expires_at": None if expires_at is None else expires_at.date().isoformat(),
    }
    if role is not None:
        fields["access_level"] = role.value
    return fields
