"""Reading: documents, versions and tarballs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import partial

from pkgregd.errors import FileNotFound, InvalidVersion, PackageNotFound
from pkgregd.formats import npm_readme
from pkgregd.formats.npm_document import (
    LATEST,
    REVISION,
    About,
    Representation,
    choose_representation,
    layout,
    tags_layout,
    version_fields,
)
from pkgregd.formats.npm_names import Place, canonical_version, file_name_of, version_in
from pkgregd.formats.npm_readme import Readme
from pkgregd.interfaces import ICall
from pkgregd.values import (
    FileLookup,
    IndexLookup,
    IndexState,
    PackageFile,
    Page,
    PageBody,
    PageLayout,
    Reply,
    StreamBody,
)

_FOR_EVER = ("Cache-Control", "private, max-age=31536000, immutable")
_ASK_AGAIN = ("Cache-Control", "no-cache")
_BY_ACCEPT = ("Vary", "Accept")


async def download(call: ICall) -> Reply:
    """Send the document of a name, one version of it, or a tarball."""
    place = Place.parse(call.arguments["where"])
    if not place.rest:
        return await _send_document(call, place.name)
    if place.rest[0] == "-" and len(place.rest) > 1:
        return await _send_tarball(call, place.name, "/".join(place.rest[1:]))
    if len(place.rest) == 1:
        return await _send_version(call, place.name, place.rest[0])
    raise FileNotFound


def lookup(arguments: Mapping[str, str]) -> IndexLookup | FileLookup | None:
    """Say what a path is about."""
    place = Place.parse(arguments["where"])
    if place.rest[:1] == ("-",):
        version = version_in(place.name, "/".join(place.rest[1:]))
        return FileLookup(place.name, version, file_name_of(place.name, version))
    return IndexLookup(place.name)


async def _send_document(call: ICall, name: str) -> Reply:
    representation = choose_representation(call.header("Accept"))
    # the state first: what changes in between is then shown under an ETag that does not last
    state = await call.remote.index_state(name)
    if state.changed_at is None:
        raise PackageNotFound
    base = hashlib.sha256(call.base_url.encode()).hexdigest()[:16]
    # who decides is no part of the index: what it changes has to be seen in the validator
    owners = await call.remote.list_owners() if representation is Representation.FULL else ()
    known = hashlib.sha256(repr(owners).encode()).hexdigest()[:8]
    variant = f"{representation.name.lower()}-{REVISION}-{base}-{known}"

    async def make() -> PageLayout:
        tags = await _set_tags(call, name)
        if representation is Representation.SHORT:
            return layout(name, call.base_url, representation, state, tags)
        about = About(owners, await call.remote.first_published(name), await _find_readme(call, name, tags))
        return layout(name, call.base_url, representation, state, tags, about)

    return Reply(
        body=PageBody(partial(call.remote.render_files, name, state, variant, make)),
        content_type=representation.value,
        headers=(_BY_ACCEPT, _ASK_AGAIN),
        etag=f"{state.token}-{variant}",
        last_modified=state.changed_at,
    )


async def _find_readme(call: ICall, name: str, tags: Mapping[str, str]) -> Readme | None:
    """Find the readme of the version that a name stands for."""
    latest = tags.get(LATEST) or (await tags_of(call, name))[LATEST]
    files = await call.remote.list_files(name, latest)
    try:
        return Readme.read(await call.remote.find_document(files[-1], npm_readme.DOCUMENT)) if files else None
    except FileNotFound:
        return None


async def _send_version(call: ICall, name: str, wanted: str) -> Reply:
    state = await call.remote.index_state(name)
    file = await find_version(call, name, wanted)
    body = json.dumps(version_fields(file, call.base_url), separators=(",", ":")).encode("ascii")
    return Reply(
        200,
        body,
        Representation.FULL.value,
        headers=(_ASK_AGAIN,),
        etag=f"{state.token}-{hashlib.sha256(body).hexdigest()[:16]}",
        last_modified=state.changed_at,
    )


async def find_version(call: ICall, name: str, wanted: str) -> PackageFile:
    """
    Find a version by itself or by a tag.

    Raises:
        PackageNotFound.
    """
    try:
        version = canonical_version(wanted)
    except InvalidVersion:
        version = (await tags_of(call, name)).get(wanted, "")
    files = await call.remote.list_files(name, version) if version else ()
    if not files:
        raise PackageNotFound
    return files[-1]


async def tags_of(call: ICall, name: str) -> Mapping[str, str]:
    """
    Tell the tags of a name.

    Raises:
        PackageNotFound: there is no version of it.
    """
    state = await call.remote.index_state(name)
    page = await tags_page(call, name, state)
    tags: dict[str, str] = json.loads(page.body)
    return tags


async def tags_page(call: ICall, name: str, state: IndexState) -> Page:
    """
    Write the tags of a name as JSON; what is kept of its versions for it is small.

    Raises:
        PackageNotFound: there is no version of it.
    """

    async def make() -> PageLayout:
        return tags_layout(await _set_tags(call, name))

    return await call.remote.render_files(name, state, f"tags-{REVISION}", make)


async def _set_tags(call: ICall, name: str) -> Mapping[str, str]:
    """Tell those tags that somebody set."""
    return {tag.name: tag.version for tag in await call.remote.list_tags(name)}


async def _send_tarball(call: ICall, name: str, file_name: str) -> Reply:
    version = version_in(name, file_name)
    file = await call.remote.find_file(name, version, file_name_of(name, version))
    return Reply(
        body=StreamBody.of(file, call.remote.open_file),
        content_type="application/octet-stream",
        headers=(_FOR_EVER,),
        etag=file.blob.sha256.hex,
        last_modified=file.created_at,
        download_name=file.file_name,
    )
