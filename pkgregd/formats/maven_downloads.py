"""Reading: files, their checksums, and metadata made from what is published."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Mapping, Sequence
from functools import partial

from pkgregd.errors import FileNotFound, PackageNotFound
from pkgregd.formats.maven_metadata import (
    CONTENT_TYPE,
    REVISION,
    Plugin,
    artifact_layout,
    render_plugins,
    render_snapshot,
)
from pkgregd.formats.maven_paths import METADATA, FilePath, artifact_of, parse_file, split_checksum
from pkgregd.formats.maven_pom import PLUGIN, PackageMetadata
from pkgregd.formats.maven_versions import is_snapshot
from pkgregd.interfaces import ICall
from pkgregd.values import FileLookup, IndexState, PackageFile, Page, PageBody, Reply, StreamBody

MAX_PLUGINS = 500
"""Of one group."""

_CHECKSUM_TYPE = "text/plain; charset=utf-8"
_FOR_EVER = ("Cache-Control", "private, max-age=31536000, immutable")
_ASK_AGAIN = ("Cache-Control", "no-cache")


async def download(call: ICall) -> Reply:
    """Send a file, metadata, or the checksum of either."""
    folder, _, file_name = call.arguments["file"].rpartition("/")
    base, algorithm = split_checksum(file_name)
    if base == METADATA:
        return await _send_metadata(call, folder, algorithm)
    place = parse_file(f"{folder}/{base}")
    file = await call.remote.find_file(place.name, place.version, place.file_name)
    if algorithm is None:
        return _send_file(call, place, file)
    digest = file.blob.digests.get(algorithm)
    if digest is None:
        raise FileNotFound
    return Reply(
        200, digest.encode(), _CHECKSUM_TYPE, headers=(_ASK_AGAIN,), etag=f"{file.blob.sha256.hex}-{algorithm}"
    )


def file_lookup(arguments: Mapping[str, str]) -> FileLookup | None:
    """Say which file a path is about, if it is about one."""
    folder, _, file_name = arguments["file"].rpartition("/")
    base, _ = split_checksum(file_name)
    if base == METADATA:
        return None
    place = parse_file(f"{folder}/{base}")
    return FileLookup(place.name, place.version, place.file_name)


def _send_file(call: ICall, place: FilePath, file: PackageFile) -> Reply:
    digests = file.blob.digests
    artifact = artifact_of(place)
    is_final = not is_snapshot(place.version) or (artifact is not None and artifact.build is not None)
    return Reply(
        body=StreamBody(file.blob.size_bytes, partial(call.remote.open_file, file)),
        content_type="application/octet-stream",
        headers=(
            _FOR_EVER if is_final and not call.remote.duplicate_rule(place.name, place.version) else _ASK_AGAIN,
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
    """Find out what lies at a folder: a snapshot, an artifact or a group with plugins."""
    above, _, last = folder.rpartition("/")
    if above and is_snapshot(last):
        return await _snapshot(call, above, last)
    state = await call.remote.index_state(folder)
    try:
        if state.changed_at is None:
            raise PackageNotFound
        return await _artifact(call, folder, state)
    except PackageNotFound:
        return await _group(call, folder)


async def _artifact(call: ICall, name: str, state: IndexState) -> Reply:
    group, _, artifact_id = name.rpartition("/")
    layout = artifact_layout(group.replace("/", "."), artifact_id, state.changed_at)
    # rendered at once: a name whose last version is gone may still be a group
    page = await call.remote.render_files(name, state, f"maven-{REVISION}", layout)
    return _page(page, f"{state.token}-{REVISION}", state.changed_at)


async def _snapshot(call: ICall, name: str, version: str) -> Reply:
    state = await call.remote.index_state(name)
    files = await call.remote.list_files(name, version)
    if not files:
        raise FileNotFound
    body = await call.remote.compute(partial(render_snapshot, name, version, files))
    return _page(Page(body, None), f"{state.token}-{version}-{REVISION}", state.changed_at)


async def _group(call: ICall, group: str) -> Reply:
    state = await call.remote.index_state()
    plugins = await _find_plugins(call, group)
    if not plugins:
        raise FileNotFound
    return _page(Page(render_plugins(plugins), None), f"{state.token}-plugins-{REVISION}", state.changed_at)


async def _find_plugins(call: ICall, group: str) -> Sequence[Plugin]:
    listing = await call.remote.search(f"{group}/ {PLUGIN}", 0, MAX_PLUGINS)
    plugins = []
    for found in listing.names:
        above, _, artifact_id = found.canonical_name.rpartition("/")
        if above != group:
            continue
        files = await call.remote.list_files(found.canonical_name)
        metadata = PackageMetadata.from_json(files[-1].package_metadata_json) if files else PackageMetadata()
        if metadata.packaging == PLUGIN:
            plugins.append(Plugin(artifact_id, metadata.name or artifact_id))
    return plugins


def _page(page: Page, etag: str, changed_at: datetime.datetime | None) -> Reply:
    async def render() -> Page:
        return page

    return Reply(
        body=PageBody(render), content_type=CONTENT_TYPE, headers=(_ASK_AGAIN,), etag=etag, last_modified=changed_at
    )
