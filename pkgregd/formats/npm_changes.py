"""Tags, deprecations, and unpublishing."""

from __future__ import annotations

import json
from functools import partial

from twisted.internet.interfaces import IConsumer, IProducer
from zope.interface import implementer

from pkgregd.errors import (
    BodyTooLarge,
    FileNotFound,
    InvalidRequest,
    MalformedBody,
    NotFound,
    PackageNotFound,
    PreconditionFailed,
)
from pkgregd.formats.npm_claim import Deprecations
from pkgregd.formats.npm_document import REVISION, revision
from pkgregd.formats.npm_downloads import tags_page
from pkgregd.formats.npm_names import Place, canonical_name, canonical_version, check_tag, file_name_of, version_in
from pkgregd.interfaces import ICall
from pkgregd.values import NO_PRECONDITION, PageBody, Permission, ProtectedAct, Reply

MAX_VERSION_BYTES = 1024
"""Of the body that sets a tag."""

MAX_OWNERS_BYTES = 64 << 10
"""Of a document that says nothing but who the owners are."""

MAX_PASSED_BYTES = 128 << 20
"""Of a document that is not read: all that was told of a package."""


async def list_tags(call: ICall) -> Reply:
    """Tell the tags of a name."""
    name = canonical_name(call.arguments["name"])
    state = await call.remote.index_state(name)
    if state.changed_at is None:
        raise PackageNotFound
    return Reply(
        body=PageBody(partial(tags_page, call, name, state)),
        content_type="application/json",
        headers=(("Cache-Control", "no-cache"),),
        etag=f"{state.token}-tags-{REVISION}",
        last_modified=state.changed_at,
    )


async def check_tag_path(call: ICall) -> None:
    """Refuse what the path gives away."""
    name = canonical_name(call.arguments["name"])
    check_tag(call.arguments["tag"])
    await call.remote.demand_unprotected(name, ProtectedAct.PUSH)


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


async def deprecate(call: ICall, name: str, wanted: Deprecations) -> None:
    """Bring deprecations up to what a document says, all of them or none."""
    call.demand(Permission.DESTROY_PACKAGE)  # as for a yank elsewhere; only the body tells it from a publish
    await call.remote.yank_each(name, wanted.reasons)


async def pass_document(call: ICall) -> None:
    """
    Read past a document with a version less, which npm sends before it deletes the tarball: that does it.

    Raises:
        InvalidRequest: it is one of `npm owner`, which says nothing but who the owners are to be.
    """
    head = _Head()
    await call.body.push_to(head)
    try:
        said = json.loads(head.data) if len(head.data) <= MAX_OWNERS_BYTES else None
    except (ValueError, RecursionError):
        said = None
    if isinstance(said, dict) and "maintainers" in said and "versions" not in said:
        raise InvalidRequest(
            f"the owners of a package are the maintainers of the project {call.scope.path}: change its members instead"
        )


@implementer(IConsumer)
class _Head:
    """
    Reads past a body.

    Attributes:
        data: its beginning; a little more of it than MAX_OWNERS_BYTES if there is more.
    """

    def __init__(self) -> None:
        self.data = b""
        self._left_bytes = MAX_PASSED_BYTES

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:
        """It is never paused."""

    def unregisterProducer(self) -> None:
        """The body has ended."""

    def write(self, data: bytes) -> None:
        """Keep the beginning, and count."""
        self._left_bytes -= len(data)
        if self._left_bytes < 0:
            raise BodyTooLarge(MAX_PASSED_BYTES, is_file=False)
        if len(self.data) <= MAX_OWNERS_BYTES:
            self.data += data[: MAX_OWNERS_BYTES + 1 - len(self.data)]


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
        state = await call.remote.index_state(place.name)
        if state.changed_at is None:
            raise PackageNotFound
        if known != revision(state):
            raise PreconditionFailed("the package has changed meanwhile: look again what is in it")
        await call.remote.delete_name(place.name, state)
    elif what[0] == "-" and len(what) > 1:
        version = version_in(place.name, "/".join(what[1:]))
        file = await call.remote.find_file(place.name, version, file_name_of(place.name, version))
        await call.remote.delete_file(file, NO_PRECONDITION)
    else:
        raise FileNotFound
    return Reply(200, b'{"ok": true}', "application/json")
