"""Reading: files, their checksums, and metadata made from what is published."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from pkgregd.errors import FileNotFound, InvalidRequest, PackageNotFound
from pkgregd.formats.maven_metadata import CONTENT_TYPE, REVISION, artifact_layout, render_group, render_snapshot
from pkgregd.formats.maven_paths import METADATA, parse_file, split_checksum
from pkgregd.formats.maven_plugins import render_plugins, render_prefixes
from pkgregd.formats.maven_pom import PLUGIN
from pkgregd.formats.maven_versions import is_snapshot
from pkgregd.interfaces import ICall, IRemote
from pkgregd.values import (
    FileLookup,
    IndexLookup,
    IndexState,
    NewestVersion,
    PackageFile,
    Page,
    PageBody,
    Reply,
    StreamBody,
)

_CHECKSUM_TYPE = "text/plain; charset=utf-8"
_ASK_AGAIN = ("Cache-Control", "no-cache")


async def download(call: ICall) -> Reply:
    """Send a file, metadata, or the checksum of either."""
    folder, _, file_name = call.arguments["file"].rpartition("/")
    base, algorithm = split_checksum(file_name)
    if base == METADATA:
        return await _send_metadata(call, folder, algorithm)
    wanted = lookup(call.arguments)
    if not isinstance(wanted, FileLookup):
        raise FileNotFound
    file = await call.remote.find_file(wanted.canonical_name, wanted.canonical_version, wanted.file_name)
    if algorithm is None:
        return _send_file(call, file)
    digest = file.blob.digests.get(algorithm)
    if digest is None:
        raise FileNotFound
    return Reply(
        200, digest.encode(), _CHECKSUM_TYPE, headers=(_ASK_AGAIN,), etag=f"{file.blob.sha256.hex}-{algorithm}"
    )


def lookup(arguments: Mapping[str, str]) -> FileLookup | IndexLookup | None:
    """Say which file, or whose metadata, a path is about; None if nothing can be there, though clients ask for it."""
    folder, _, file_name = arguments["file"].rpartition("/")
    base, _ = split_checksum(file_name)
    if base == METADATA:
        above, _, last = folder.rpartition("/")
        return IndexLookup(above if above and is_snapshot(last) else folder)
    try:
        place = parse_file(f"{folder}/{base}")
    except InvalidRequest:
        return None
    return FileLookup(place.name, place.version, place.file_name)


def _send_file(call: ICall, file: PackageFile) -> Reply:
    """
    Send a file, which whoever keeps it has to ask about again.

    No file is there for ever: at a group another project may come before the one that had it, its publisher may take
    it back, the project's owner may delete it.
    """
    digests = file.blob.digests
    return Reply(
        body=StreamBody.of(file, call.remote.open_file),
        content_type="application/octet-stream",
        headers=(
            _ASK_AGAIN,
            *((f"X-Checksum-{name.upper()}", digests[name]) for name in ("sha1", "md5", "sha256") if name in digests),
        ),
        etag=file.blob.sha256.hex,
        last_modified=file.created_at,
        download_name=file.file_name,
    )


# ---------------------------------------------------------------------- metadata


async def _send_metadata(call: ICall, folder: str, algorithm: str | None) -> Reply:
    reply = await _metadata(call, folder)
    if algorithm is None:
        return reply
    assert isinstance(reply.body, PageBody)
    page = await reply.body.render()
    digest = await call.remote.compute(lambda: hashlib.new(algorithm, page.body, usedforsecurity=False).hexdigest())
    return Reply(200, digest.encode(), _CHECKSUM_TYPE, headers=(_ASK_AGAIN,), etag=f"{reply.etag}-{algorithm}")


async def _metadata(call: ICall, folder: str) -> Reply:
    """Find out what lies at a folder: a snapshot; or an artifact, a group with plugins, or both in one."""
    above, _, last = folder.rpartition("/")
    if above and is_snapshot(last):
        return await _snapshot(call, above, last)
    state = await call.remote.index_state(folder)
    plugins_state = await call.remote.branch_state(folder, PLUGIN)
    plugins = b""
    if plugins_state.changed_at is not None:
        plugins = await _render_branch(call.remote, folder, plugins_state, "plugins", render_plugins)
    try:
        if state.changed_at is None:
            raise PackageNotFound
        return await _artifact(call, folder, state, plugins, plugins_state)
    except PackageNotFound:
        if not plugins:
            raise FileNotFound from None
    page = Page(render_group(plugins), None)
    return _page(page, f"{plugins_state.token}-plugins-{REVISION}", plugins_state.changed_at)


async def _artifact(call: ICall, name: str, state: IndexState, plugins: bytes, plugins_state: IndexState) -> Reply:
    group, _, artifact_id = name.rpartition("/")
    layout = artifact_layout(group.replace("/", "."), artifact_id, state.changed_at, plugins)
    also = f"-{plugins_state.token}" if plugins else ""
    # rendered at once: a name whose last version is gone may still be a group
    page = await call.remote.render_files(name, state, f"maven-{REVISION}{also}", layout)
    times = [time for time in (state.changed_at, plugins_state.changed_at if plugins else None) if time is not None]
    return _page(page, f"{state.token}{also}-{REVISION}", max(times))


async def _snapshot(call: ICall, name: str, version: str) -> Reply:
    state = await call.remote.index_state(name)
    if state.changed_at is None:
        raise FileNotFound
    return Reply(
        body=PageBody(partial(_render_snapshot, call, name, version, state)),
        content_type=CONTENT_TYPE,
        headers=(_ASK_AGAIN,),
        etag=f"{state.token}-{version}-{REVISION}",
        last_modified=state.changed_at,
    )


async def _render_snapshot(call: ICall, name: str, version: str, state: IndexState) -> Page:
    render = partial(render_snapshot, name, version)
    try:
        return await call.remote.render_version(name, version, state, f"maven-{REVISION}", render)
    except PackageNotFound:
        raise FileNotFound from None


async def read_prefixes(remote: IRemote, group: str) -> bytes:
    """Return the prefixes of a group's plugins, as render_prefixes() writes them."""
    state = await remote.branch_state(group, PLUGIN)
    return await _render_branch(remote, group, state, "prefixes", render_prefixes)


async def _render_branch(
    remote: IRemote, group: str, state: IndexState, what: str, render: Callable[[Sequence[NewestVersion]], bytes]
) -> bytes:
    page = await remote.render_branch(group, PLUGIN, state, f"maven-{what}-{REVISION}", render)
    return page.body


def _page(page: Page, etag: str, changed_at: datetime.datetime | None) -> Reply:
    async def render() -> Page:
        return page

    return Reply(
        body=PageBody(render), content_type=CONTENT_TYPE, headers=(_ASK_AGAIN,), etag=etag, last_modified=changed_at
    )
