"""What `cargo yank`, `cargo owner` and `cargo search` ask for."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial

from pkgregd.errors import InvalidRequest, PackageNotFound
from pkgregd.formats.cargo_metadata import CrateMetadata
from pkgregd.formats.cargo_names import canonical_name, canonical_version, version_key
from pkgregd.interfaces import ICall
from pkgregd.values import PackageFile, PackageName, PageLayout, PageSection, Reply

REVISION = 1
"""Goes up when the same rows come to look differently in a search."""

PAGE_CRATES = 10
MAX_PAGE_CRATES = 100
MAX_QUERY_CHARACTERS = 256
MAX_PAGE = 10_000

_OK = b'{"ok":true}'


async def yank(call: ICall) -> Reply:
    """Have new resolutions pass a version over; whoever has it in a lock file still gets it."""
    await _set_yanked(call, "")
    return Reply(200, _OK, "application/json")


async def unyank(call: ICall) -> Reply:
    """Offer a version again."""
    await _set_yanked(call, None)
    return Reply(200, _OK, "application/json")


async def _set_yanked(call: ICall, reason: str | None) -> None:
    name, version = canonical_name(call.arguments["name"]), canonical_version(call.arguments["version"])
    await call.remote.yank(name, version, reason)


async def list_owners(call: ICall) -> Reply:
    """List who decides about a crate: the maintainers of its project."""
    if await call.remote.find_name(canonical_name(call.arguments["name"])) is None:
        raise PackageNotFound
    owners = await call.remote.list_owners()
    users = [{"id": owner.id, "login": owner.name, "name": owner.name} for owner in owners]
    return _json({"users": users})


async def change_owners(call: ICall) -> Reply:
    """
    Refuse to change owners.

    Raises:
        InvalidRequest: always.
    """
    canonical_name(call.arguments["name"])
    raise InvalidRequest(
        f"the owners of a crate are the maintainers of the project {call.scope.path}: change its members instead"
    )


async def search(call: ICall) -> Reply:
    """Find crates by name, description and keywords."""
    text = call.query("q") or ""
    if len(text) > MAX_QUERY_CHARACTERS:
        raise InvalidRequest(f"the query is longer than {MAX_QUERY_CHARACTERS} characters")
    limit = _number(call, "per_page", PAGE_CRATES, MAX_PAGE_CRATES)
    offset = (_number(call, "page", 1, MAX_PAGE) - 1) * limit
    listing = await call.remote.search(text, offset, limit)
    crates = [shown for name in listing.names if (shown := await _shown(call, name)) is not None]
    return _json({"crates": crates, "meta": {"total": listing.total}})


async def _shown(call: ICall, name: PackageName) -> dict[str, object] | None:
    """Show a crate by its best version; None if it is gone meanwhile."""
    state = await call.remote.index_state(name.canonical_name)
    try:
        page = await call.remote.render_files(name.canonical_name, state, f"search-{REVISION}", _LAYOUT)
    except PackageNotFound:
        return None
    version, description = await call.remote.compute(partial(_best, page.body))
    return {"name": name.name, "max_version": version, "description": description or None}


def _line(files: Sequence[PackageFile]) -> bytes:
    """Write what a search has to know of a version; of several projects' the newest counts."""
    file = files[-1]
    description = CrateMetadata.from_json(file.file_metadata_json).description
    return json.dumps([file.version, file.yanked_reason is None, description]).encode("ascii") + b"\n"


_LAYOUT = PageLayout((PageSection(b"", b"", _line),), b"", version_key)


def _best(page: bytes) -> tuple[str, str]:
    """
    Choose the version that is shown: the greatest, final ones and those that are not yanked first.

    Returns:
        The version, and its description.
    """
    rows = list(map(json.loads, page.splitlines()))
    # they come in their order, and max() keeps the first of equals
    version, _, description = max(reversed(rows), key=lambda row: (row[1], version_key(row[0])[3]))
    return version, description


def _number(call: ICall, key: str, otherwise: int, greatest: int) -> int:
    text = call.query(key)
    if text is None:
        return otherwise
    if not (text.isascii() and text.isdecimal() and len(text) <= 6 and int(text) >= 1):
        raise InvalidRequest(f"{key} is a number from 1 to {greatest}")
    return min(int(text), greatest)


def _json(fields: object) -> Reply:
    return Reply(200, json.dumps(fields).encode(), "application/json", (("Cache-Control", "no-cache"),))
