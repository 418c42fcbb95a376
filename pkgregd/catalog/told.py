"""What each kind of change tells the audit trail of itself; the same in every catalog. Never a secret."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence

from attrs import asdict

from pkgregd.values import (
    AuditAction,
    AuditEntry,
    Level,
    NewToken,
    PackageFile,
    PlaceRecord,
    ProtectionRule,
    RuleTerms,
    Settings,
    Told,
    Visibility,
)

MAX_COUNTED = 10_000
"""Beyond so many entries a listing does not say how many there are: counting takes longer than reading a page."""

SETTLED_AFTER = datetime.timedelta(seconds=60)
"""
When a number that is missing in the trail is taken for one that will never come.

A database with several writers gives numbers out before transactions end, so a lower one may become visible after a
higher one; twice as long as a transaction may take.
"""

CHANGES = {Level.PROJECT: AuditAction.CHANGE_PROJECT, Level.GROUP: AuditAction.CHANGE_GROUP}
REMOVALS = {Level.PROJECT: AuditAction.REMOVE_PROJECT, Level.GROUP: AuditAction.REMOVE_GROUP}


def of_file(action: AuditAction, file: PackageFile, *, replaced_sha256: str | None = None) -> Told:
    """Tell of one file."""
    detail: dict[str, object] = {
        "format": file.format,
        "name": file.name,
        "version": file.version,
        "file_name": file.file_name,
        "sha256": file.blob.sha256.hex,
        "status": file.status.value,
    }
    if replaced_sha256 is not None:
        detail["replaced_sha256"] = replaced_sha256
    subject = f"{file.format} {file.name} {file.version} {file.file_name}"
    return Told(action, subject, project_id=file.project_id, detail=detail)


def of_version(action: AuditAction, project_id: int, format: str, name: str, version: str, **detail: object) -> Told:
    """Tell of a package."""
    return Told(
        action,
        f"{format} {name} {version}",
        project_id=project_id,
        detail={"format": format, "name": name, "version": version, **detail},
    )


def of_name(action: AuditAction, project_id: int, format: str, name: str, **detail: object) -> Told:
    """Tell of all packages of a name."""
    return Told(action, f"{format} {name}", project_id=project_id, detail={"format": format, "name": name, **detail})


def of_yank(project_id: int, format: str, name: str, version: str, reason: str | None) -> Told:
    """Tell that a version was yanked, or that it was taken back."""
    action = AuditAction.UNYANK if reason is None else AuditAction.YANK
    return of_version(action, project_id, format, name, version, reason=reason)


def of_user(action: AuditAction, user_id: int, name: str, **detail: object) -> Told:
    """Tell of a user."""
    return Told(action, name, about_user_id=user_id, detail={"name": name, **detail})


def of_new_place(level: Level, place_id: int, path: str, visibility: Visibility) -> Told:
    """Tell of a project or group that was added."""
    action = AuditAction.ADD_PROJECT if level is Level.PROJECT else AuditAction.ADD_GROUP
    return _at(level, place_id, action, path, {"path": path, "visibility": visibility.value})


def of_changed_place(place: PlaceRecord, visibility: Visibility) -> Told:
    """Tell of a project or group whose visibility is another now."""
    detail = {"path": place.path, "visibility": visibility.value, "before": place.visibility.value}
    return _at(place.level, place.id, CHANGES[place.level], place.path, detail)


def of_changed_settings(level: Level, place_id: int, path: str, before: Settings, after: Settings) -> Told:
    """Tell of settings of a project or group that are others now, and what they were; None where nothing is set."""
    names = {*before.values, *after.values}
    differing = sorted(name for name in names if before.values.get(name) != after.values.get(name))
    detail = {
        "path": path,
        "before": {name: before.values.get(name) for name in differing},
        "after": {name: after.values.get(name) for name in differing},
    }
    return _at(level, place_id, AuditAction.CHANGE_SETTINGS, path, detail)


def of_removed_place(place: PlaceRecord) -> Told:
    """Tell of a project or group that was removed; the group above is where that can still be read."""
    detail = {"path": place.path, "id": place.id}
    return Told(REMOVALS[place.level], place.path, group_id=place.parent_id, detail=detail)


def of_member(action: AuditAction, level: Level, place_id: int, path: str, user: str, **detail: object) -> Told:
    """Tell of a member."""
    return _at(level, place_id, action, user, {"path": path, "user": user, **detail})


def of_token(
    action: AuditAction,
    public_id: str,
    name: str,
    *,
    project_id: int | None = None,
    group_id: int | None = None,
    user_id: int | None = None,
    **detail: object,
) -> Told:
    """Tell of a token, by its public id."""
    told = {"public_id": public_id, "name": name, **detail}
    is_personal = project_id is None and group_id is None
    return Told(action, public_id, project_id, group_id, user_id if is_personal else None, told)


def of_new_token(
    token: NewToken, *, project_id: int | None = None, group_id: int | None = None, user_id: int | None = None
) -> Told:
    """Tell of a token that was made, and what it is good for."""
    return of_token(
        AuditAction.ADD_TOKEN,
        token.public_id,
        token.name,
        project_id=project_id,
        group_id=group_id,
        user_id=user_id,
        kind=token.kind.value,
        scopes=sorted(token.scopes),
        role=None if token.role is None else token.role.name.lower(),
        expires_at=None if token.expires_at is None else token.expires_at.isoformat(),
        **({} if token.origin is None else {"origin": asdict(token.origin)}),
    )


def of_rule(action: AuditAction, rule: ProtectionRule, before: RuleTerms | None = None) -> Told:
    """Tell of a protection rule, as it is now or was last; of one that was changed also how it was before."""
    detail: dict[str, object] = {"rule_id": rule.id, **_terms(rule.terms)}
    if before is not None:
        detail["before"] = _terms(before)
    return Told(action, f"{rule.terms.format} {rule.terms.pattern}", project_id=rule.project_id, detail=detail)


def _terms(terms: RuleTerms) -> Mapping[str, object]:
    levels = {"push": terms.push_level, "delete": terms.delete_level}
    names = {act: None if level is None else level.name.lower() for act, level in levels.items()}
    return {"format": terms.format, "pattern": terms.pattern, **names}


def of_approval(user_id: int | None, client: str, address: str) -> Told:
    """Tell that a user said yes to a client."""
    subject = client or address
    detail = {"client": client, "client_address": address}
    return Told(AuditAction.APPROVE_SIGN_IN, subject, about_user_id=user_id, detail=detail)


def of_tasks(kind: str, count: int) -> Told:
    """Tell that all tasks of a kind were made due."""
    return Told(AuditAction.RUN_TASKS, kind, detail={"kind": kind, "tasks": count})


def of_task(task_id: int, kind: str, key: str) -> Told:
    """Tell that a task begins anew."""
    detail = {"task_id": task_id, "kind": kind, "key": key}
    return Told(AuditAction.RETRY_TASK, f"{kind} {key}".strip(), detail=detail)


def _at(level: Level, place_id: int, action: AuditAction, subject: str, detail: Mapping[str, object]) -> Told:
    if level is Level.PROJECT:
        return Told(action, subject, project_id=place_id, detail=detail)
    return Told(action, subject, group_id=place_id, detail=detail)


def settled(entries: Sequence[AuditEntry], after: int, now: datetime.datetime) -> tuple[AuditEntry, ...]:
    """
    Return the first of some entries between which no other can come any more.

    Args:
        entries: by number, all of them beyond `after`.
    """
    certain: list[AuditEntry] = []
    for entry in entries:
        if entry.id != after + 1 and entry.created_at > now - SETTLED_AFTER:
            break
        certain.append(entry)
        after = entry.id
    return tuple(certain)
