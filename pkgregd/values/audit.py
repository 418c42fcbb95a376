"""The audit trail: what was done, by whom, to what, and from where."""

from __future__ import annotations

import datetime
import enum
from collections.abc import Mapping

from attrs import field, frozen

from pkgregd.values.access import Level, Principal


class AuditAction(enum.Enum):
    """
    What an entry of the trail tells.

    Members:
        WITHDRAW: a file was taken back by who had just published it, because its checksum was another.
        DESCRIBE: what is said of a version was changed, and none of its files.
        APPROVE_SIGN_IN: a user said yes to a client that waited to be signed in.
        MEND: the bytes of a file, which were damaged here, were sent again.
        SWEEP, REPAIR: the operator had bytes removed, or the registry repaired; told before it begins.
        RUN_TASKS, RETRY_TASK: the operator had daemons do something before its time, or once more.
    """

    PUBLISH = "publish"
    REPLACE = "replace"
    SET_STATUS = "set_status"
    DESCRIBE = "describe"
    TAG = "tag"
    UNTAG = "untag"
    YANK = "yank"
    UNYANK = "unyank"
    WITHDRAW = "withdraw"
    DELETE = "delete"
    DELETE_FILES = "delete_files"
    DELETE_PACKAGE = "delete_package"
    DELETE_NAME = "delete_name"
    ADD_USER = "add_user"
    CHANGE_USER = "change_user"
    REMOVE_USER = "remove_user"
    ADD_GROUP = "add_group"
    CHANGE_GROUP = "change_group"
    REMOVE_GROUP = "remove_group"
    ADD_PROJECT = "add_project"
    CHANGE_PROJECT = "change_project"
    CHANGE_SETTINGS = "change_settings"
    REMOVE_PROJECT = "remove_project"
    SET_MEMBER = "set_member"
    REMOVE_MEMBER = "remove_member"
    ADD_TOKEN = "add_token"  # noqa: S105 - the name of an action
    ROTATE_TOKEN = "rotate_token"  # noqa: S105
    REVOKE_TOKEN = "revoke_token"  # noqa: S105
    ADD_PROTECTION_RULE = "add_protection_rule"
    CHANGE_PROTECTION_RULE = "change_protection_rule"
    REMOVE_PROTECTION_RULE = "remove_protection_rule"
    APPROVE_SIGN_IN = "approve_sign_in"
    MEND = "mend"
    SWEEP = "sweep"
    REPAIR = "repair"
    RUN_TASKS = "run_tasks"
    RETRY_TASK = "retry_task"


@frozen
class Told:
    """
    What a change tells the trail of itself.

    Attributes:
        subject: what was changed, in words: a file with its package, a path, a user, the public id of a token.
        project_id, group_id: where it happened, and so who may read of it; at most one of them. A project or group
            that is removed is told of at the group above.
        about_user_id: whose account or token it concerns, where it happened nowhere.
        detail: what else there is to say, fit for JSON; never a secret.
    """

    action: AuditAction
    subject: str
    project_id: int | None = None
    group_id: int | None = None
    about_user_id: int | None = None
    detail: Mapping[str, object] = field(factory=dict)


@frozen
class AuditEntry:
    """
    An entry of the trail; it stays as it is, whatever becomes of who and what it names.

    Attributes:
        id: grows; see IAuditCatalog.follow_trail for what that promises.
        principal: who, as far as the trail keeps it: name, token and user, address and request.
        path: of the project or group where it happened, as it was then; empty if it happened nowhere.
        told: the rest.
    """

    id: int
    created_at: datetime.datetime
    principal: Principal
    path: str
    told: Told


@frozen
class AuditPosition:
    """A place in a listing of the trail: behind this entry."""

    created_at: datetime.datetime
    id: int


@frozen
class AuditQuery:
    """
    Which entries are listed.

    Attributes:
        level, place_id: where they happened; of the instance: anywhere.
        created_after, created_before: both inclusive; None for any.
        is_descending: newest first.
        behind: goes on from here, in the order of the listing.
    """

    level: Level = Level.INSTANCE
    place_id: int = 0
    created_after: datetime.datetime | None = None
    created_before: datetime.datetime | None = None
    is_descending: bool = True
    behind: AuditPosition | None = None


@frozen
class AuditListing:
    """
    A piece of the entries, by time.

    Attributes:
        total: how many there are, None for more than are worth counting.
    """

    entries: tuple[AuditEntry, ...]
    total: int | None
