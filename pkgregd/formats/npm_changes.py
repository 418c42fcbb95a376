"""Tags, and unpublishing."""

from __future__ import annotations

import json

from pkgregd.errors import (
    FileNotFound,
    InvalidRequest,
    MalformedBody,
    NotFound,
    PackageNotFound,
    PreconditionFailed,
)
from pkgregd.formats.npm_document import revision
from pkgregd.formats.npm_downloads import tags_of
from pkgregd.formats.npm_names import Place, canonical_name, canonical_version, check_tag, file_name_of, version_in
from pkgregd.interfaces import ICall
from pkgregd.values import NO_PRECONDITION, Reply

MAX_VERSION_BYTES = 1024
"""Of the body that sets a tag."""


async def list_tags(call: ICall) -> Reply:
    """Tell the tags of a name."""
    tags = await tags_of(call, canonical_name(call.arguments["name"]))
    return Reply(200, json.dumps(tags).encode("ascii"), "application/json", headers=(("Cache-Control", "no-cache"),))


async def check_tag_path(call: ICall) -> None:
    """Refuse what the path gives away."""
    canonical_name(call.arguments["name"])
    check_tag(call.arguments["tag"])


async def set_tag(call: ICall) -> Reply:
    """Have a tag point at the version in the body."""
    body = await call.body.read_all(MAX_VERSION_BYTES)
    try:
        version = json.loads(body)
    except (ValueError, RecursionError):
        version = None
    if not isinstance(version, str):
        raise MalformedBody("the body is a version as a JSON string")
    await call.remote.set_tag(call.arguments["name"], canonical_version(version), call.arguments["tag"])
    return Reply(204)


async def remove_tag(call: ICall) -> Reply:
    """Remove a tag."""
    if not await call.remote.remove_tag(call.arguments["name"], call.arguments["tag"]):
        raise _NoTag
    return Reply(204)


class _NoTag(NotFound):
    """No tag of that name."""

    def __init__(self) -> None:
        super().__init__("the package has no such tag")


async def unpublish(call: ICall) -> Reply:
    """
    Delete a name, or the tarball of a version and so the version.

    npm sends the whole path of a tarball below the registry's own.
    """
    path = call.arguments["where"].rpartition("/packages/npm/")[2]
    place = Place.parse(path)
    *what, marker, known = place.rest if len(place.rest) > 1 else ("", "", "")
    if marker != "-rev":
        raise InvalidRequest("a package or a tarball is deleted with the revision that is known of it")
    if not what:
        # the state first: what is published in between is not among what the client meant
        state = await call.remote.index_state(place.name)
        files = await call.remote.list_files(place.name)
        if not files:
            raise PackageNotFound
        if known != revision(state):
            raise PreconditionFailed("the package has changed meanwhile: look again what is in it")
    elif what[0] == "-" and len(what) > 1:
        version = version_in(place.name, "/".join(what[1:]))
        files = (await call.remote.find_file(place.name, version, file_name_of(place.name, version)),)
    else:
        raise FileNotFound
    for file in files:
        await call.remote.delete_file(file, NO_PRECONDITION)
    return Reply(200, b'{"ok": true}', "application/json")
