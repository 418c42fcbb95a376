"""
Yanking: a version stays where it is for those who pinned it, and everybody else passes it over.

Source: PEP 592.
"""

from __future__ import annotations

from pkgregd.errors import MalformedBody
from pkgregd.formatkit.names import is_printable
from pkgregd.formatkit.strictjson import read_strict_json
from pkgregd.formats.pypi_names import canonical_name, canonical_version
from pkgregd.interfaces import ICall
from pkgregd.values import Reply

MAX_REASON_CHARACTERS = 1000
MAX_BODY_BYTES = 16 << 10


async def yank(call: ICall) -> Reply:
    """Yank a version, or give it another reason."""
    name, version = canonical_name(call.arguments["name"]), canonical_version(call.arguments["version"])
    reason = _read_reason(await call.body.read_all(MAX_BODY_BYTES))
    await call.remote.yank(name, version, reason)
    return Reply(204)


async def unyank(call: ICall) -> Reply:
    """Offer a version again."""
    name, version = canonical_name(call.arguments["name"]), canonical_version(call.arguments["version"])
    await call.remote.yank(name, version, None)
    return Reply(204)


def _read_reason(body: bytes) -> str:
    """
    Read the body of a yank: nothing, or a JSON object with at most a reason.

    Returns:
        The reason, perhaps empty.

    Raises:
        MalformedBody.
    """
    if not body.strip():
        return ""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise MalformedBody("the body is not UTF-8") from None
    found = read_strict_json(text, "the body", max_characters=MAX_BODY_BYTES, max_depth=1)
    if not isinstance(found, dict) or found.keys() - {"reason"}:
        raise MalformedBody('the body can be {"reason": "…"}, and nothing else')
    reason = found.get("reason") or ""
    if not isinstance(reason, str) or len(reason) > MAX_REASON_CHARACTERS or not is_printable(reason):
        raise MalformedBody(f"the reason is a line of plain text of at most {MAX_REASON_CHARACTERS} characters")
    return reason
