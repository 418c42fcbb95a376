"""Who is asking, and what may be done where."""

from __future__ import annotations

import enum

from attrs import field, frozen

from pkgregd.values.settings import NOTHING_SET, Settings


class Level(enum.Enum):
    """How much a client sees through a remote."""

    PROJECT = "project"
    GROUP = "group"
    INSTANCE = "instance"


class Visibility(enum.Enum):
    """Who may see a group or project without being a member."""

    PRIVATE = "private"
    INTERNAL = "internal"
    PUBLIC = "public"


class Role(enum.IntEnum):
    """A member's role, with GitLab's numbers; a greater role includes the lesser."""

    GUEST = 10
    REPORTER = 20
    DEVELOPER = 30
    MAINTAINER = 40
    OWNER = 50


class Permission(enum.Enum):
    """
    What a route asks of its caller at a project or group.

    Members:
        READ_PROJECT: know that it is there, and how it is set up.
        READ_MEMBERS: know who belongs to it.
        ADMINISTER: change its members and tokens.
        CREATE_PROJECT: add a project to a group.
        REMOVE_PROJECT: remove it with all that is in it.
        READ_AUDIT_EVENTS: know who did what there.
    """

    READ_PACKAGE = "read_package"
    CREATE_PACKAGE = "create_package"
    DESTROY_PACKAGE = "destroy_package"
    READ_PROJECT = "read_project"
    READ_MEMBERS = "read_members"
    ADMINISTER = "administer"
    CREATE_PROJECT = "create_project"
    REMOVE_PROJECT = "remove_project"
    READ_AUDIT_EVENTS = "read_audit_events"


class AccountPermission(enum.Enum):
    """
    What a route asks of its caller where no project or group is concerned, but who the caller is.

    Members:
        SIGN_IN: nothing; a credential beside it is not looked at, since it may be the one that is out of date.
        NOTHING: nothing, for what is the same for everybody; a credential that is shown has to be good.
        READ_USER: any good credential.
        READ_JOB: the token of a job.
        READ_USERS: a token that stands for a user, or for a member, and not for a machine.
        MANAGE_TOKENS: a personal token that may do what its user may.
        ADMINISTER_INSTANCE: the same, of an administrator.
        READ_AUDIT_TRAIL: a personal token of an administrator, one that only reads included.
    """

    SIGN_IN = "sign_in"
    NOTHING = "nothing"
    READ_USER = "read_user"
    READ_JOB = "read_job"
    READ_USERS = "read_users"
    MANAGE_TOKENS = "manage_tokens"
    ADMINISTER_INSTANCE = "administer_instance"
    READ_AUDIT_TRAIL = "read_audit_trail"


class TokenKind(enum.Enum):
    """What a token stands for."""

    PERSONAL = "personal"
    PROJECT = "project"
    GROUP = "group"
    DEPLOY = "deploy"
    JOB = "job"


@frozen
class Origin:
    """
    By what way somebody asks.

    Attributes:
        address: of the client.
        request_id: also in the access log.
    """

    address: str
    request_id: str


@frozen
class Principal:
    """
    Who is asking.

    Attributes:
        name: for logs and audit: a user's name, `token:NAME`, `operator:LOGIN`, or `anonymous`.
        token_kind: None for anonymous, else the kind of token that was shown.
        token_id: the token's row, None for anonymous.
        user_id: the user a personal token belongs to, else None.
        is_admin: whether that user administers the instance.
        scopes: what the token allows, e.g. `api`, `read_package_registry`.
        project_id: the only project the token is good for, or None.
        project_path: of that project, from the top.
        group_id: the only group (with all below it) the token is good for, or None.
        role: the role a project or group access token carries, else None.
        token_public_id: of that token, for the audit trail: it outlives the row.
        origin: for the audit trail; None for who does not come by way of a request.
    """

    name: str = "anonymous"
    token_kind: TokenKind | None = None
    token_id: int | None = None
    user_id: int | None = None
    is_admin: bool = False
    scopes: frozenset[str] = frozenset()
    project_id: int | None = None
    group_id: int | None = None
    role: Role | None = None
    project_path: str | None = None
    token_public_id: str | None = field(default=None, eq=False)
    origin: Origin | None = field(default=None, eq=False)

    @property
    def is_anonymous(self) -> bool:
        """Whether no credential was shown at all."""
        return self.token_kind is None


ANONYMOUS = Principal()

OPERATOR = Principal("pkgregd:operator")
"""Whoever may write to the database itself; the command says which login it is. No user can have such a name."""


@frozen
class Scope:
    """
    A project, group or the instance as one principal meets it.

    Attributes:
        level: which of the three.
        id: the project's or group's number; 0 for the instance.
        path: full path such as `acme/tools`; empty for the instance.
        visibility: of the project or group itself.
        group_ids: the groups above it, nearest first; a group counts itself.
        role: the asking user's greatest role here, inherited ones included, or None.
        settings: what is set here and in the groups above it, the nearest first.
    """

    level: Level
    id: int
    path: str
    visibility: Visibility
    group_ids: tuple[int, ...] = ()
    role: Role | None = None
    settings: Settings = NOTHING_SET
