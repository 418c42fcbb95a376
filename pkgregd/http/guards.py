"""What the guards before every route answer, for who describes routes: statuses, and how a caller shows who he is."""

from __future__ import annotations

from collections.abc import Mapping

from pkgregd.http.mounts import Mount
from pkgregd.interfaces import IRouteTable
from pkgregd.values import AccountPermission, Permission, Refusal

SECURITY_SCHEMES: Mapping[str, Mapping[str, str]] = {
    "private_token": {
        "type": "apiKey",
        "in": "header",
        "name": "PRIVATE-TOKEN",
        "description": "A personal, project or group access token",
    },
    "job_token": {"type": "apiKey", "in": "header", "name": "JOB-TOKEN", "description": "A job token"},
    "deploy_token": {"type": "apiKey", "in": "header", "name": "Deploy-Token", "description": "A deploy token"},
    "bearer": {"type": "http", "scheme": "bearer", "description": "Any token"},
    "basic": {
        "type": "http",
        "scheme": "basic",
        "description": "Any token as the password; for NuGet the user name has to be its own",
    },
    "bare": {
        "type": "apiKey",
        "in": "header",
        "name": "Authorization",
        "description": "Any token, alone, as cargo sends it",
    },
    "api_key": {
        "type": "apiKey",
        "in": "header",
        "name": "X-NuGet-ApiKey",
        "description": "Any token, where no other header shows one",
    },
}
"""What carries a token; each does so on every route."""

OPEN_PERMISSIONS = frozenset({Permission.READ_PACKAGE, Permission.READ_PROJECT, AccountPermission.NOTHING})
"""Those that somebody has who shows nothing, where it is public."""

MEANINGS: Mapping[int, str] = {
    206: "The part that was asked for",
    304: "What the client has still holds",
    400: "Something in the request cannot be: it is named",
    401: "No credentials where some are needed, or bad ones",
    403: "In sight, without the right, which is named",
    404: "No such thing, or none that the caller may know of",
    405: "Another method is needed: `Allow` says which",
    406: "None of what the client takes can be had",
    408: "The body was too slow",
    409: "It is there already, or the last one of its kind",
    412: "It has changed since",
    413: "The body is too large",
    414: "The address is too long",
    416: "There is no such part",
    417: "`Expect` asks for something other than `100-continue`",
    422: "The bytes are not those that were promised",
    429: "Too many requests: `Retry-After` says when to come back",
    431: "The headers are too large",
    503: "Too busy: `Retry-After` says when to come back",
    507: "The storage is full",
}

BEFORE_ANY_TABLE = frozenset({405, 414, 417, 431})
"""What is refused before it is known whose route it is."""

RETRIED_STATUSES = (429, 503)
"""What says in seconds when to come back."""

VALIDATED_STATUSES = (304, 412)
"""What a GET with conditions may be answered with, without a body."""


def guard_statuses(mount: Mount, method: str) -> frozenset[int]:
    """Tell which refusals a route can answer whatever its handler does."""
    route = mount.route
    found = {400, 413, 414, 417, 429, 431, 503}
    if route.permission is not AccountPermission.SIGN_IN:
        found.add(401)
    if isinstance(route.permission, Permission):
        found |= {403, 404}
    elif route.permission not in (AccountPermission.SIGN_IN, AccountPermission.NOTHING, AccountPermission.READ_USER):
        found.add(403)
    if "<" in mount.prefix + route.path:
        found |= {404, 405}  # another rule may have what is in the place of the argument
    if method != "GET":
        found.add(408)
    return frozenset(found)


def format_statuses(method: str) -> frozenset[int]:
    """Tell which further refusals handlers of formats have, each where it fits: clients log in by them, too."""
    return frozenset({401, 403, 404}) | ({406, 412} if method == "GET" else {409, 412, 422, 507})


def security_of(permission: Permission | AccountPermission) -> list[dict[str, list[str]]]:
    """Tell how a caller shows that he has a permission: by one of these, or by nothing where the empty one is."""
    if permission is AccountPermission.SIGN_IN:
        return []
    by_token: list[dict[str, list[str]]] = [{name: []} for name in SECURITY_SCHEMES]
    return [{}, *by_token] if permission in OPEN_PERMISSIONS else by_token


def refusal_media_type(table: IRouteTable, status: int) -> str | None:
    """Tell what a table's own refusals are written in; None for the common JSON."""
    if status in BEFORE_ANY_TABLE:
        return None
    dressed = table.render_error(Refusal(status, "", "", ""))
    return None if dressed is None else (dressed.content_type or "").partition(";")[0]
