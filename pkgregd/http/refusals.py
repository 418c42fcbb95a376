"""The one table that turns a domain error into a status."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from http import HTTPStatus

from attrs import evolve

from pkgregd import errors
from pkgregd.values import JsonSchema, Refusal, Reply

_UNQUOTABLE = re.compile(r"[^ !#-\[\]-~]")
"""What RFC 6750 has no place for in a description."""

STATUSES: tuple[tuple[type[errors.PkgregdError], int, str], ...] = (
    # the most special first: the first match counts
    (errors.DigestMismatch, 422, "digest_mismatch"),
    (errors.MetadataMismatch, 400, "metadata_mismatch"),
    (errors.MalformedBody, 400, "malformed_body"),
    (errors.InvalidArchive, 400, "invalid_archive"),
    (errors.InvalidRequest, 400, "bad_request"),
    (errors.InvalidCredentials, 401, "invalid_credentials"),
    (errors.AuthenticationRequired, 401, "authentication_required"),
    (errors.InvalidIdToken, 401, "invalid_id_token"),
    (errors.WrongPassword, 401, "wrong_password"),
    (errors.PermissionDenied, 403, "permission_denied"),
    (errors.PackageProtected, 403, "package_protected"),
    (errors.SwitchedOff, 404, "switched_off"),
    (errors.NotFound, 404, "not_found"),
    (errors.FileExists, 409, "file_exists"),
    (errors.AlreadyExists, 409, "already_exists"),
    (errors.RuleRejected, 422, "rule_rejected"),
    (errors.LastOwner, 409, "last_owner"),
    (errors.LastAdministrator, 409, "last_administrator"),
    (errors.PreconditionFailed, 412, "precondition_failed"),
    (errors.BodyTooSlow, 408, "body_too_slow"),
    (errors.BodyTooLarge, 413, "body_too_large"),
    (errors.QuotaExceeded, 413, "quota_exceeded"),
    (errors.RateLimited, 429, "rate_limited"),
    (errors.ClientGone, 400, "client_gone"),
    (errors.StorageFull, 507, "storage_full"),
    (errors.Unavailable, 503, "unavailable"),
    (errors.BlobDamaged, 503, "blob_damaged"),
    (errors.BlobMissing, 503, "blob_missing"),
)


REFUSAL_SCHEMA: JsonSchema = {
    "type": "object",
    "properties": {
        "message": {"type": "string", "description": "Status, its phrase and what is wrong, as in GitLab"},
        "error": {"type": "string", "description": "What is wrong, in one sentence"},
        "error_code": {"type": "string", "description": "The same as a stable word for programs"},
        "request_id": {"type": "string", "description": "By which the operator finds the request in the log"},
    },
    "required": ["message", "error", "error_code", "request_id"],
    "additionalProperties": False,
}
"""What common_reply() makes."""


def refuse(error: errors.PkgregdError, request_id: str, challenge: str | None) -> Refusal:
    """
    Say what an error means over HTTP.

    Args:
        challenge: the value of `WWW-Authenticate` on 401.
    """
    status, code = _meaning(type(error))
    message = str(error)
    if status == 500:
        message = "something is damaged here; the operator finds the request id in the log"
    elif isinstance(error, errors.BlobMissing):  # its own words are about the store, for the log
        message = "the bytes of this file cannot be read here; the operator finds the request id in the log"
    headers: list[tuple[str, str]] = []
    if isinstance(error, errors.AuthenticationRequired) and challenge is not None:
        headers.append(("WWW-Authenticate", _explained(challenge, error)))
    if isinstance(error, errors.RateLimited | errors.Unavailable):
        headers.append(("Retry-After", str(errors.whole_seconds(error.retry_after_seconds))))
    if isinstance(error, errors.Unavailable):
        message = f"{message}: {errors.try_again(error.retry_after_seconds)}"
    return Refusal(status, code, message, request_id, tuple(headers))


_meanings: dict[type, tuple[int, str]] = {}


def _meaning(error: type) -> tuple[int, str]:
    """Look a kind of error up in the table, once for each."""
    if error not in _meanings:
        found = ((status, code) for kind, status, code in STATUSES if issubclass(error, kind))
        _meanings[error] = next(found, (500, "internal_error"))
    return _meanings[error]


def _explained(challenge: str, error: errors.AuthenticationRequired) -> str:
    """
    Put the reason into a challenge for bearer tokens, which is all of a 401 that npm and bun show.

    Source: RFC 6750, section 3; it would have no reason told to who shows no token.
    """
    if not challenge.startswith("bearer "):
        return challenge
    kind = ', error="invalid_token"' if isinstance(error, errors.InvalidCredentials) else ""
    return f'{challenge}{kind}, error_description="{_UNQUOTABLE.sub("?", str(error))}"'


def internal_error(request_id: str) -> Refusal:
    """What a bug looks like from outside."""
    message = "something went wrong here; the operator finds the request id in the log"
    return Refusal(500, "internal_error", message, request_id)


def dressed(refusal: Refusal, dress: Callable[[Refusal], Reply]) -> Reply:
    """Make the reply of a refusal, with all that it has beside what its table makes of it."""
    reply = dress(refusal)
    return evolve(reply, explanation=refusal.message, headers=(*reply.headers, *refusal.headers))


def common_reply(refusal: Refusal) -> Reply:
    """Dress a refusal as GitLab's API does: JSON with `message`, `error`, and ours: `error_code`, the request id."""
    phrase = HTTPStatus(refusal.status).phrase
    fields = {
        "message": f"{refusal.status} {phrase} - {refusal.message}",
        "error": refusal.message,
        "error_code": refusal.code,
        "request_id": refusal.request_id,
    }
    return Reply(refusal.status, json.dumps(fields).encode(), "application/json")
