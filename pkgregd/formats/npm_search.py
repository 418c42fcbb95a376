"""Searching, and answering audits."""

from __future__ import annotations

import json
from typing import Any

from twisted.internet.interfaces import IConsumer, IProducer
from zope.interface import implementer

from pkgregd.errors import BodyTooLarge, InvalidRequest
from pkgregd.formats.npm_document import LATEST, moment
from pkgregd.formats.npm_downloads import tags_of
from pkgregd.interfaces import ICall
from pkgregd.values import Reply

MAX_RESULTS = 50
"""Of one answer: each costs some queries."""

MAX_AUDIT_BYTES = 8 << 20
"""Of what a client asks about: all that it has installed."""

DEFAULT_RESULTS = 20
MAX_TEXT_CHARACTERS = 250


async def ping(call: ICall) -> Reply:
    """Say that somebody is there."""
    return Reply(200, b"{}", "application/json")


async def search(call: ICall) -> Reply:
    """Find names by words in name, description and keywords."""
    text = (call.query("text") or "")[:MAX_TEXT_CHARACTERS]
    offset, limit = _number(call, "from", 0), min(_number(call, "size", DEFAULT_RESULTS), MAX_RESULTS)
    listing = await call.remote.search(text, offset, limit)
    objects = [found for name in listing.names if (found := await _describe(call, name.canonical_name)) is not None]
    answer = {"objects": objects, "total": listing.total, "time": moment(None)}
    return Reply(200, json.dumps(answer).encode("ascii"), "application/json")


async def _describe(call: ICall, name: str) -> dict[str, Any] | None:
    """Describe the version that a name stands for; None if it is gone meanwhile."""
    files = await call.remote.list_files(name)
    latest = (await tags_of(call, name))[LATEST] if files else None
    file = next((file for file in reversed(files) if file.version == latest), None)
    if file is None:
        return None
    fields = json.loads(file.file_metadata_json)
    package = {
        "name": name,
        "version": file.version,
        "date": moment(file.created_at),
        "links": {},
        "maintainers": [],
        **{key: fields[key] for key in ("description", "keywords", "author") if key in fields},
    }
    return {"package": package, "score": {"final": 1, "detail": {}}, "searchScore": 1}


def _number(call: ICall, name: str, default: int) -> int:
    text = call.query(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 9):
        raise InvalidRequest(f"{name} is a number")
    return int(text)


@implementer(IConsumer)
class _Discard:
    """Reads past a body: what a client asks about decides nothing here."""

    def __init__(self) -> None:
        self._left_bytes = MAX_AUDIT_BYTES

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:
        """It is never paused."""

    def unregisterProducer(self) -> None:
        """The body has ended."""

    def write(self, data: bytes) -> None:
        """Count, and keep nothing."""
        self._left_bytes -= len(data)
        if self._left_bytes < 0:
            raise BodyTooLarge(MAX_AUDIT_BYTES)


async def tell_advisories(call: ICall) -> Reply:
    """Tell what is wrong with packages, of which nothing is known here."""
    await call.body.push_to(_Discard())
    return Reply(200, b"{}", "application/json")


async def tell_audit(call: ICall) -> Reply:
    """Do the same in the form of older clients."""
    await call.body.push_to(_Discard())
    counts = dict.fromkeys(("info", "low", "moderate", "high", "critical"), 0)
    report = {"actions": [], "advisories": {}, "muted": [], "metadata": {"vulnerabilities": counts}}
    return Reply(200, json.dumps(report).encode("ascii"), "application/json")
