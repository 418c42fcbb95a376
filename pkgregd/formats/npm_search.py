"""Searching, and answering audits."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from twisted.internet.interfaces import IConsumer, IProducer
from zope.interface import implementer

from pkgregd.errors import BodyTooLarge, InvalidRequest, NotFound, PackageNotFound
from pkgregd.formats.npm_document import LATEST, dist_tags, moment
from pkgregd.formats.npm_names import version_key
from pkgregd.interfaces import ICall
from pkgregd.values import PackageFile, PageLayout, PageSection, Reply

REVISION = 1
"""Goes up when the same rows come to look differently in a search."""

MAX_RESULTS = 50
"""Of one answer: each costs some queries."""

MAX_AUDIT_BYTES = 8 << 20
"""Of what a client asks about: all that it has installed."""

DEFAULT_RESULTS = 20
MAX_TEXT_CHARACTERS = 250

_SHOWN = ("description", "keywords", "author", "license")


async def ping(call: ICall) -> Reply:
    """Say that somebody is there."""
    return Reply(200, b"{}", "application/json")


async def tell_keys(call: ICall) -> Reply:
    """
    Tell the keys that packages are signed with.

    Raises:
        NotFound: always; clients then know that there are no signatures to be checked.
    """
    raise NotFound("this registry signs no packages: it has no keys")


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
    state = await call.remote.index_state(name)

    async def make() -> PageLayout:
        tags = {tag.name: tag.version for tag in await call.remote.list_tags(name)}
        return PageLayout((_LINES,), b"", version_key, partial(_last_line, tags))

    try:
        page = await call.remote.render_files(name, state, f"search-{REVISION}", make)
    except PackageNotFound:
        return None
    shown = await call.remote.compute(partial(_shown, page.body))
    package = {"name": name, "links": {}, "maintainers": [], **shown}
    return {"package": package, "score": {"final": 1, "detail": {}}, "searchScore": 1}


def _line(files: Sequence[PackageFile]) -> bytes:
    """Write what a search tells of a version; of several projects' the newest counts."""
    file = files[-1]
    fields = json.loads(file.file_metadata_json)
    shown = {key: fields[key] for key in _SHOWN if key in fields}
    shown |= {"version": file.version, "date": moment(file.created_at)}
    return json.dumps([file.version, shown]).encode("ascii") + b"\n"


def _last_line(tags: Mapping[str, str], versions: Sequence[str]) -> bytes:
    return json.dumps(dist_tags(versions, tags)[LATEST]).encode("ascii")


_LINES = PageSection(b"\n", b"", _line)


def _shown(page: bytes) -> dict[str, Any]:
    """Read the line of the version that the last line names; of one that came meanwhile the line before that."""
    end = page.rindex(b"\n")
    start = page.find(b"\n[%s," % page[end + 1 :])
    if start < 0:
        start = page.rindex(b"\n", 0, end)
    _, shown = json.loads(page[start + 1 : page.index(b"\n", start + 1)])
    return dict(shown)


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
            raise BodyTooLarge(MAX_AUDIT_BYTES, is_file=False)


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
