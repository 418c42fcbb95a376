"""What the management answers with: the shapes of its JSON, field by field, each with an example."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pkgregd.manage.bodies import ROLES, VISIBILITIES
from pkgregd.values import Answer, AuditAction, JsonSchema, PackageStatus, Shape, TokenKind

_ID: JsonSchema = {"type": "integer", "minimum": 1}
_TEXT: JsonSchema = {"type": "string"}
_FLAG: JsonSchema = {"type": "boolean"}
_TIME: JsonSchema = {"type": "string", "format": "date-time"}
_NOTHING: JsonSchema = {"type": "null", "description": "For scripts that look for it: always null here"}
_NONE: JsonSchema = {"type": "array", "maxItems": 0, "description": "For scripts that look for it: always empty here"}
_ROLE: JsonSchema = {"type": "integer", "enum": sorted(ROLES)}
_VISIBILITY: JsonSchema = {"type": "string", "enum": list(VISIBILITIES)}
_SCOPES: JsonSchema = {"type": "array", "items": _TEXT}


def made_of(fields: Mapping[str, JsonSchema], *, optional: Sequence[str] = ()) -> JsonSchema:
    """Describe an object that has these fields, no others, and all of them but the optional ones."""
    return {
        "type": "object",
        "properties": dict(fields),
        "required": [name for name in fields if name not in optional],
        "additionalProperties": False,
    }


def or_null(schema: JsonSchema) -> JsonSchema:
    """Describe the same, or null."""
    return {"anyOf": [schema, {"type": "null"}]}


def shown(shape: Shape, meaning: str) -> tuple[Answer]:
    """Answer with one of them, under an entity tag."""
    return (Answer(200, meaning, shape, is_validated=True),)


def listed(shape: Shape, meaning: str) -> tuple[Answer]:
    """Answer with a page of a list of them, under an entity tag."""
    return (Answer(200, meaning, shape, is_list=True, is_validated=True),)


def walked(shape: Shape, meaning: str) -> tuple[Answer]:
    """Answer with a page of a list of them, numbered or behind another one, under an entity tag."""
    return (Answer(200, meaning, shape, is_list=True, is_keyset=True, is_validated=True),)


def made(shape: Shape, meaning: str) -> tuple[Answer]:
    """Answer with what there is now."""
    return (Answer(201, meaning, shape),)


GONE = (Answer(204, "It is done", media_type=None),)


# ---------------------------------------------------------------------- packages

_PACKAGE = {
    "id": _ID,
    "name": _TEXT,
    "version": _TEXT,
    "package_type": _TEXT,
    "status": {"type": "string", "enum": [status.value for status in PackageStatus]},
    "_links": made_of({"web_path": _NOTHING, "delete_api_path": {"type": "string", "format": "uri"}}),
    "created_at": _TIME,
    "last_downloaded_at": _NOTHING,
    "creator_id": _NOTHING,
    "tags": _NONE,
    "pipelines": _NONE,
    "versions": _NONE,
    "yanked_reason": {"type": "string", "description": "Only of a yanked package; perhaps empty"},
}
_PACKAGE_EXAMPLE = {
    "id": 7,
    "name": "notes",
    "version": "2.0",
    "package_type": "generic",
    "status": "default",
    "_links": {
        "web_path": None,
        "delete_api_path": "https://packages.example.com/api/v4/projects/1/packages/7",
    },
    "created_at": "2026-11-24T09:30:00.000Z",
    "last_downloaded_at": None,
    "creator_id": None,
    "tags": [],
    "pipelines": [],
    "versions": [],
}

PACKAGE = Shape("Package", made_of(_PACKAGE, optional=("yanked_reason",)), _PACKAGE_EXAMPLE)
GROUP_PACKAGE = Shape(
    "PackageOfProject",
    made_of({**_PACKAGE, "project_id": _ID, "project_path": _TEXT}, optional=("yanked_reason",)),
    {**_PACKAGE_EXAMPLE, "project_id": 1, "project_path": "acme/web"},
)
PIPELINES = Shape("Pipelines", {**_NONE, "description": "Nothing is known of pipelines here"}, [])

FILE = Shape(
    "PackageFile",
    made_of(
        {
            "id": _ID,
            "package_id": _ID,
            "created_at": _TIME,
            "file_name": _TEXT,
            "size": {"type": "integer", "minimum": 0},
            "file_md5": or_null({"type": "string", "pattern": "^[0-9a-f]{32}$"}),
            "file_sha1": or_null({"type": "string", "pattern": "^[0-9a-f]{40}$"}),
            "file_sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
            "pipelines": _NONE,
        }
    ),
    {
        "id": 12,
        "package_id": 7,
        "created_at": "2026-11-24T09:30:00.000Z",
        "file_name": "notes.txt",
        "size": 12,
        "file_md5": None,
        "file_sha1": None,
        "file_sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "pipelines": [],
    },
)

# ---------------------------------------------------------------- users, members

_PERSON = {
    "id": _ID,
    "username": _TEXT,
    "name": _TEXT,
    "state": {"type": "string", "enum": ["active"]},
    "locked": _FLAG,
    "avatar_url": _NOTHING,
    "web_url": _NOTHING,
}
_PERSON_EXAMPLE = {
    "id": 3,
    "username": "grace",
    "name": "grace",
    "state": "active",
    "locked": False,
    "avatar_url": None,
    "web_url": None,
}
_WHOLE = {"is_admin": _FLAG, "bot": _FLAG, "email": _NOTHING}

WHOLE_USER = Shape(
    "WholeUser",
    made_of({**_PERSON, "created_at": _TIME, **_WHOLE}),
    {**_PERSON_EXAMPLE, "created_at": "2026-11-24T09:30:00.000Z", "is_admin": False, "bot": False, "email": None},
)
USER = Shape(
    "User",
    {
        **made_of({**_PERSON, "created_at": _TIME, **_WHOLE}, optional=tuple(_WHOLE)),
        "description": f"Administrators are also shown {', '.join(_WHOLE)}",
    },
    {**_PERSON_EXAMPLE, "created_at": "2026-11-24T09:30:00.000Z"},
)
_BOT = made_of(
    {"id": _NOTHING, "username": _TEXT, "name": _TEXT, "state": _PERSON["state"], "bot": {"type": "boolean"}}
)
BEARER = Shape("Bearer", {"anyOf": [WHOLE_USER.schema, _BOT]}, WHOLE_USER.example)
MEMBER = Shape(
    "Member",
    made_of({**_PERSON, "access_level": _ROLE, "created_at": _NOTHING, "expires_at": _NOTHING}),
    {**_PERSON_EXAMPLE, "access_level": 30, "created_at": None, "expires_at": None},
)

# --------------------------------------------------------------- groups, projects

GROUP = Shape(
    "Group",
    made_of(
        {
            "id": _ID,
            "web_url": _NOTHING,
            "name": _TEXT,
            "path": _TEXT,
            "description": {"type": "string", "maxLength": 0},
            "visibility": _VISIBILITY,
            "full_name": _TEXT,
            "full_path": _TEXT,
            "created_at": _TIME,
            "parent_id": or_null(_ID),
        }
    ),
    {
        "id": 2,
        "web_url": None,
        "name": "tools",
        "path": "tools",
        "description": "",
        "visibility": "private",
        "full_name": "acme / tools",
        "full_path": "acme/tools",
        "created_at": "2026-11-24T09:30:00.000Z",
        "parent_id": 1,
    },
)
_NAMESPACE = {
    "id": _ID,
    "name": _TEXT,
    "path": _TEXT,
    "kind": {"type": "string", "enum": ["group"]},
    "full_path": _TEXT,
}
PROJECT = Shape(
    "Project",
    made_of(
        {
            "id": _ID,
            "description": _NOTHING,
            "name": _TEXT,
            "name_with_namespace": _TEXT,
            "path": _TEXT,
            "path_with_namespace": _TEXT,
            "created_at": _TIME,
            "visibility": _VISIBILITY,
            "namespace": made_of(_NAMESPACE),
            "packages_enabled": _FLAG,
            "archived": _FLAG,
            "web_url": _NOTHING,
        }
    ),
    {
        "id": 1,
        "description": None,
        "name": "web",
        "name_with_namespace": "acme / web",
        "path": "web",
        "path_with_namespace": "acme/web",
        "created_at": "2026-11-24T09:30:00.000Z",
        "visibility": "private",
        "namespace": {"id": 1, "name": "acme", "path": "acme", "kind": "group", "full_path": "acme"},
        "packages_enabled": True,
        "archived": False,
        "web_url": None,
    },
)
PLACE = Shape("ProjectOrGroup", {"anyOf": [PROJECT.schema, GROUP.schema]}, PROJECT.example)
ACCEPTED = Shape("Accepted", made_of({"message": _TEXT}), {"message": "202 Accepted"})

# ------------------------------------------------------------------------ tokens

_DEPLOY = {
    "id": _ID,
    "name": _TEXT,
    "revoked": _FLAG,
    "scopes": _SCOPES,
    "username": _TEXT,
    "expires_at": or_null(_TIME),
    "expired": _FLAG,
}
_DEPLOY_EXAMPLE = {
    "id": 4,
    "name": "fleet",
    "revoked": False,
    "scopes": ["read_package_registry"],
    "username": "gitlab+deploy-token-4",
    "expires_at": None,
    "expired": False,
}
_ACCESS = {
    "id": _ID,
    "name": _TEXT,
    "revoked": _FLAG,
    "scopes": _SCOPES,
    "created_at": _TIME,
    "description": _NOTHING,
    "user_id": or_null(_ID),
    "last_used_at": or_null(_TIME),
    "active": _FLAG,
    "expires_at": or_null({"type": "string", "format": "date"}),
    "access_level": _ROLE,
}
_ACCESS_EXAMPLE = {
    "id": 5,
    "name": "pipeline",
    "revoked": False,
    "scopes": ["api"],
    "created_at": "2026-11-24T09:30:00.000Z",
    "description": None,
    "user_id": None,
    "last_used_at": None,
    "active": True,
    "expires_at": "2027-01-31",
    "access_level": 30,
}
_SECRET: JsonSchema = {"type": "string", "description": "The secret, which is shown here and nowhere else"}
_SECRET_EXAMPLE = {"token": "the secret"}
_ROLELESS = ("access_level",)

DEPLOY_TOKEN = Shape("DeployToken", made_of(_DEPLOY), _DEPLOY_EXAMPLE)
NEW_DEPLOY_TOKEN = Shape(
    "NewDeployToken", made_of({**_DEPLOY, "token": _SECRET}), {**_DEPLOY_EXAMPLE, **_SECRET_EXAMPLE}
)
ACCESS_TOKEN = Shape("AccessToken", made_of(_ACCESS, optional=_ROLELESS), _ACCESS_EXAMPLE)
NEW_ACCESS_TOKEN = Shape(
    "NewAccessToken",
    made_of({**_ACCESS, "token": _SECRET}, optional=_ROLELESS),
    {**_ACCESS_EXAMPLE, **_SECRET_EXAMPLE},
)
OWN_TOKEN = Shape("OwnToken", {"anyOf": [ACCESS_TOKEN.schema, DEPLOY_TOKEN.schema]}, ACCESS_TOKEN.example)

# ------------------------------------------------------------------- audit trail

AUDIT_EVENT = Shape(
    "AuditEvent",
    made_of(
        {
            "id": _ID,
            "author_id": {"type": "integer", "description": "A user; -1 for what has none"},
            "entity_id": _ID,
            "entity_type": {"type": "string", "enum": ["Project", "Group", "User", "Gitlab::Audit::InstanceScope"]},
            "details": made_of(
                {
                    "event_name": {"type": "string", "enum": [action.value for action in AuditAction]},
                    "custom_message": _TEXT,
                    "author_name": _TEXT,
                    "author_class": _TEXT,
                    "target_details": _TEXT,
                    "entity_path": {"type": "string", "description": "As it was then"},
                    "ip_address": or_null(_TEXT),
                    "request_id": or_null(_TEXT),
                    "token_kind": or_null({"type": "string", "enum": [kind.value for kind in TokenKind]}),
                    "token_id": or_null({"type": "string", "description": "The public part of a token"}),
                    "change": {"type": "object", "description": "What else there is to say, by kind of event"},
                }
            ),
            "created_at": _TIME,
        }
    ),
    {
        "id": 9,
        "author_id": 3,
        "entity_id": 1,
        "entity_type": "Project",
        "details": {
            "event_name": "delete_package",
            "custom_message": "Delete package",
            "author_name": "grace",
            "author_class": "User",
            "target_details": "generic notes 2.0",
            "entity_path": "acme/web",
            "ip_address": "192.0.2.9",
            "request_id": "5e1f0c",
            "token_kind": "personal",
            "token_id": "k3v9",
            "change": {"format": "generic", "name": "notes", "version": "2.0"},
        },
        "created_at": "2026-11-24T09:30:00.000Z",
    },
)

# -------------------------------------------------------------------- protection

PROTECTION_RULE = Shape(
    "PackageProtectionRule",
    made_of(
        {
            "id": _ID,
            "project_id": _ID,
            "package_name_pattern": _TEXT,
            "package_type": _TEXT,
            "minimum_access_level_for_push": or_null({"type": "string", "enum": ["maintainer", "owner", "admin"]}),
            "minimum_access_level_for_delete": or_null({"type": "string", "enum": ["owner", "admin"]}),
        }
    ),
    {
        "id": 1,
        "project_id": 7,
        "package_name_pattern": "acme-*",
        "package_type": "pypi",
        "minimum_access_level_for_push": "maintainer",
        "minimum_access_level_for_delete": None,
    },
)

# --------------------------------------------------------------------- the server

_VERSION = {"version": _TEXT, "revision": _TEXT}
VERSION = Shape("Version", made_of(_VERSION), {"version": "1.0.0", "revision": ""})
METADATA = Shape(
    "Metadata",
    made_of({**_VERSION, "enterprise": _FLAG, "kas": made_of({"enabled": _FLAG})}),
    {"version": "1.0.0", "revision": "", "enterprise": False, "kas": {"enabled": False}},
)

# ------------------------------------------------------------------- jobs, exchanges

_TEXT_OR_NULL = or_null(_TEXT)
_ORIGIN = dict.fromkeys(("issuer", "subject", "repository", "ref", "run_id"), _TEXT_OR_NULL)
JOB = Shape(
    "Job",
    made_of(
        {
            "id": _ID,
            "name": _TEXT,
            "status": {"type": "string", "enum": ["running", "success"]},
            "stage": _NOTHING,
            "ref": _TEXT_OR_NULL,
            "tag": _FLAG,
            "created_at": _TIME,
            "started_at": _TIME,
            "finished_at": or_null(_TIME),
            "expires_at": or_null(_TIME),
            "last_used_at": or_null(_TIME),
            "user": _NOTHING,
            "project": made_of({"id": _ID, "path_with_namespace": _TEXT}),
            "pipeline": made_of({"id": _TEXT_OR_NULL, "project_id": _ID, "ref": _TEXT_OR_NULL}),
            "origin": made_of(_ORIGIN),
            "web_url": _NOTHING,
        }
    ),
    {
        "id": 9,
        "name": "acme/tool 42",
        "status": "running",
        "stage": None,
        "ref": "refs/tags/v1",
        "tag": True,
        "created_at": "2026-11-24T09:30:00.000Z",
        "started_at": "2026-11-24T09:30:00.000Z",
        "finished_at": None,
        "expires_at": "2026-11-24T09:45:00.000Z",
        "last_used_at": None,
        "user": None,
        "project": {"id": 1, "path_with_namespace": "acme/web"},
        "pipeline": {"id": "42", "project_id": 1, "ref": "refs/tags/v1"},
        "origin": {
            "issuer": "https://ci.example.com",
            "subject": "project_path:acme/tool",
            "repository": "acme/tool",
            "ref": "refs/tags/v1",
            "run_id": "42",
        },
        "web_url": None,
    },
)
_SECONDS: JsonSchema = {"type": "integer", "minimum": 0}
EXCHANGED = Shape(
    "ExchangedToken",
    made_of(
        {
            "token": _SECRET,
            "token_type": _TEXT,
            "expires_in": _SECONDS,
            "expires_at": _TIME,
            "job": made_of({"id": _ID, "name": _TEXT}),
            "project": made_of({"path_with_namespace": _TEXT}),
        }
    ),
    {
        **_SECRET_EXAMPLE,
        "token_type": "Bearer",
        "expires_in": 900,
        "expires_at": "2026-11-24T09:45:00.000Z",
        "job": {"id": 9, "name": "acme/tool 42"},
        "project": {"path_with_namespace": "acme/web"},
    },
)
AUDIENCE = Shape("Audience", made_of({"audience": _TEXT}), {"audience": "packages.example.com"})
MINTED = Shape(
    "MintedToken",
    made_of({"success": _FLAG, "token": _SECRET, "expires": _SECONDS}),
    {"success": True, **_SECRET_EXAMPLE, "expires": 1795513500},
)
GRANTED = Shape(
    "GrantedToken",
    made_of({"access_token": _SECRET, "issued_token_type": _TEXT, "token_type": _TEXT, "expires_in": _SECONDS}),
    {
        "access_token": "the secret",
        "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "token_type": "Bearer",
        "expires_in": 900,
    },
)
