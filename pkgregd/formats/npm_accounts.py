"""
What npm asks about its user: logging in and out, tokens, and a profile.

Whoever logs in shows a personal access token once, as a password or on a page, and the client gets one of its own.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from pkgregd.errors import InvalidRequest
from pkgregd.formatkit.strictjson import read_strict_json
from pkgregd.formats.npm_document import moment
from pkgregd.interfaces import ICall
from pkgregd.values import AccountPermission, Level, NewToken, Piece, Reply, Route

MAX_BODY_BYTES = 16 << 10
MAX_DEPTH = 4
POLL_SECONDS = 2
TOKENS_PER_PAGE = 100
DEFAULT_LIFETIME_DAYS = 30
MAX_LIFETIME_DAYS = 365

_ALL_LEVELS = frozenset(Level)
_USER = "org.couchdb.user:"
_PERMISSION = "packages_and_scopes_permission"
_PERMISSIONS = ("read-only", "read-write")
_NO_STORE = (("Cache-Control", "no-store"),)
_TOKEN_FIELDS = frozenset(
    {"name", "password", "description", "expires", "readonly", "packages_all", "bypass_2fa", _PERMISSION}
)
"""What is known of a token to be made; whatever else npm would bind it to is refused, for it would not be bound."""


def account_routes() -> tuple[Route, ...]:
    """Routes that are about no package, at every level that npm is pointed at."""
    sign_in, manage = AccountPermission.SIGN_IN, AccountPermission.MANAGE_TOKENS
    known = AccountPermission.READ_USER
    tokens = "/-/npm/v1/tokens"
    return (
        Route(("GET",), "/-/whoami", known, whoami, _ALL_LEVELS),
        Route(("GET",), "/-/npm/v1/user", known, tell_profile, _ALL_LEVELS),
        Route(("POST",), "/-/v1/login", sign_in, start_login, _ALL_LEVELS),
        Route(("GET",), "/-/v1/done", sign_in, finish_login, _ALL_LEVELS),
        Route(("PUT",), "/-/user/<segment:user>", sign_in, log_in, _ALL_LEVELS),
        Route(("DELETE",), "/-/user/token/<segment:secret>", sign_in, log_out, _ALL_LEVELS),
        Route(("GET",), tokens, manage, list_tokens, _ALL_LEVELS),
        Route(("POST",), tokens, manage, create_token, _ALL_LEVELS),
        Route(("DELETE",), f"{tokens}/token/<segment:key>", manage, revoke_token, _ALL_LEVELS),
    )


async def whoami(call: ICall) -> Reply:
    """Tell who is asking."""
    return _json(200, {"username": call.principal.name})


async def tell_profile(call: ICall) -> Reply:
    """Tell what is known of who is asking."""
    return _json(200, {"name": call.principal.name, "tfa": None, "email": "", "email_verified": False})


async def start_login(call: ICall) -> Reply:
    """Have npm's user sign in on a page."""
    await _read_fields(call)
    started = await call.account.start_sign_in(call.header("user-agent") or "")
    done = f"{call.base_url}/-/v1/done?session={quote(started.poll_secret, safe='')}"
    return _json(200, {"loginUrl": started.page_url, "doneUrl": done})


async def finish_login(call: ICall) -> Reply:
    """Hand over the token, or say that nobody signed in yet."""
    if call.method == "HEAD":  # whoever asks for no body would lose the token that comes but once
        return Reply(202, b"", "application/json", _NO_STORE)
    secret = await call.account.finish_sign_in(call.query("session") or "", call.header("user-agent") or "")
    if secret is None:
        return Reply(202, b"{}", "application/json", (("Retry-After", str(POLL_SECONDS)), *_NO_STORE))
    return _json(200, {"token": secret})


async def log_in(call: ICall) -> Reply:
    """Take a name and a password, which is a personal access token."""
    fields = await _read_fields(call)
    name, password = _text(fields, "name"), _text(fields, "password")
    if call.arguments["user"] != _USER + name:
        raise InvalidRequest("the address is not that of the user in the document")
    secret = await call.account.sign_in(name, password, call.header("user-agent") or "")
    return _json(201, {"ok": True, "id": _USER + name, "rev": "1", "token": secret})


async def log_out(call: ICall) -> Reply:
    """Revoke the token that the client has."""
    await call.account.sign_out(call.arguments["secret"])
    return _json(200, {"ok": True})


async def list_tokens(call: ICall) -> Reply:
    """List the tokens of the user, a page at a time; of each only what may be seen."""
    page = _page_number(call.query("page"))
    records = await call.account.list_tokens(Piece(page * TOKENS_PER_PAGE, TOKENS_PER_PAGE + 1))
    objects = [
        {
            "key": record.public_id,
            "token": f"pkgr_usr_{record.public_id}",
            "name": record.name,
            "cidr_whitelist": None,
            "readonly": "api" not in record.principal.scopes,
            "created": moment(record.created_at),
            "updated": moment(record.created_at),
            "expires": _moment(record.expires_at),
        }
        for record in records[:TOKENS_PER_PAGE]
    ]
    urls = {}
    if len(records) > TOKENS_PER_PAGE:
        urls["next"] = f"{call.base_url}/-/npm/v1/tokens?page={page + 1}"
    return _json(200, {"objects": objects, "urls": urls})


async def create_token(call: ICall) -> Reply:
    """Make a token of the user's; the password is a personal access token."""
    fields = await _read_fields(call)
    for name in sorted(set(fields) - _TOKEN_FIELDS):
        if fields[name]:
            raise InvalidRequest(f"{name[:100]}: a token cannot have that here; a deploy token is bound to a project")
    issued = await call.account.add_token(
        _text(fields, "password"),
        str(fields.get("name") or f"npm token of {call.principal.name}"),
        is_read_only=_is_read_only(fields),
        lifetime=datetime.timedelta(days=_days(fields.get("expires"))),
    )
    return _json(200, _tell(issued.token, issued.created_at, issued.secret))


def _is_read_only(fields: Mapping[str, Any]) -> bool:
    """Whether a token may only read: unless it says that it may write, in the words of new clients or of old ones."""
    permission, readonly = fields.get(_PERMISSION), fields.get("readonly")
    if permission not in (None, *_PERMISSIONS):
        raise InvalidRequest(f"{_PERMISSION} is {' or '.join(_PERMISSIONS)}")
    if readonly not in (None, True, False):
        raise InvalidRequest("readonly is true or false")
    writes = permission == "read-write" or (permission is None and readonly is False)
    return readonly is True or not writes


def _tell(token: NewToken, created_at: datetime.datetime, secret: str) -> dict[str, Any]:
    created = moment(created_at)
    return {
        "token": secret,
        "key": token.public_id,
        "name": token.name,
        "readonly": "api" not in token.scopes,
        "cidr_whitelist": None,
        "created": created,
        "updated": created,
        "expires": _moment(token.expires_at),
    }


async def revoke_token(call: ICall) -> Reply:
    """Revoke a token of the user's, by its key or as a whole."""
    key = call.arguments["key"]
    if key.startswith("pkgr_usr_"):
        key = key.split("_")[2]
    await call.account.revoke_token(key)
    return Reply(204, b"", "application/json", _NO_STORE)


async def _read_fields(call: ICall) -> Mapping[str, Any]:
    """Read an object of JSON. Raises InvalidRequest."""
    body = await call.body.read_all(MAX_BODY_BYTES)
    await call.authorise_again()
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidRequest("the body is not in UTF-8") from None
    fields = read_strict_json(text or "{}", "the body", max_characters=MAX_BODY_BYTES, max_depth=MAX_DEPTH)
    if not isinstance(fields, dict):
        raise InvalidRequest("the body is not an object")
    return fields


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not value:
        raise InvalidRequest(f"the body has no {name}")
    return value


def _days(value: object) -> int:
    if value is None:
        return DEFAULT_LIFETIME_DAYS
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= MAX_LIFETIME_DAYS:
        raise InvalidRequest(f"expires is a number of days, 1 to {MAX_LIFETIME_DAYS}")
    return value


def _page_number(text: str | None) -> int:
    if text is None:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) < 6):
        raise InvalidRequest("page is a number")
    return int(text)


def _moment(when: datetime.datetime | None) -> str | None:
    return None if when is None else moment(when)


def _json(status: int, fields: Mapping[str, object]) -> Reply:
    return Reply(status, json.dumps(fields).encode("ascii"), "application/json", _NO_STORE)
