"""
The sparse index: one file for each crate, one line of JSON for each version.

Source: the Cargo book, "Index Format".
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial

from pkgregd.errors import InvalidName, InvalidRequest, PackageNotFound
from pkgregd.formats.cargo_metadata import CrateMetadata
from pkgregd.formats.cargo_names import canonical_name, index_path, version_key
from pkgregd.interfaces import ICall
from pkgregd.values import (
    IndexLookup,
    IndexState,
    Level,
    PackageFile,
    Page,
    PageBody,
    PageLayout,
    PageSection,
    Reply,
    Visibility,
)

REVISION = 1
"""Goes up when the same rows come to look differently: it is part of every ETag."""

_FRESH = ("Cache-Control", "no-cache")


async def show_config(call: ICall, folder: str = "") -> Reply:
    """
    Tell where the parts of the registry are: all of them at the format's own address.

    Cargo asks for this without its token. It shows the token with whatever follows if it is told to here, or was asked
    for it before; so what a member may read, beyond what everybody may, has an index of its own.

    Args:
        folder: where below the format's address the index of the members is; empty for everybody's.
    """
    url = call.base_url + folder
    fields: dict[str, object] = {"dl": url}
    if call.scope.level is not Level.INSTANCE:
        fields["api"] = url
    fields["auth-required"] = bool(folder) or call.scope.visibility is not Visibility.PUBLIC
    return Reply(200, json.dumps(fields).encode(), "application/json", (_FRESH,))


async def show_crate(call: ICall, folders: str) -> Reply:
    """
    Show the index file of a crate.

    Args:
        folders: where it was asked for, with arguments of the route in it.
    """
    name = call.arguments["name"]
    return await show_index_file(call, name, f"{folders.format_map(call.arguments)}/{name}")


async def show_index_file(call: ICall, name: str, path: str) -> Reply:
    """
    Show the index file of a crate.

    Letter case does not count, as everything in an index is asked for in lower case; a `-` for a `_` does, so that
    cargo finds nothing under a name that the crate does not have, and can say what was meant.

    Args:
        path: where the file was asked for.

    Raises:
        InvalidRequest: no crate of the name has its file there.
        PackageNotFound.
    """
    canonical = canonical_name(name)
    if path.lower() != index_path(name):
        raise InvalidRequest(f"the index has the crate {name} at {index_path(name)}, not at {path.lower()}")
    # the state first: what is published in between is then shown under an ETag that does not last
    state = await call.remote.index_state(canonical)
    variant = f"index-{REVISION}-{name.lower()}"
    return Reply(
        body=PageBody(partial(_render, call, canonical, state, variant, index_layout(name))),
        content_type="text/plain; charset=utf-8",
        headers=(_FRESH,),
        etag=f"{state.token}-{variant}",
        last_modified=state.changed_at,
    )


async def _render(call: ICall, name: str, state: IndexState, variant: str, layout: PageLayout) -> Page:
    page = await call.remote.render_files(name, state, variant, layout)
    if not page.body:
        raise PackageNotFound  # every version is spelt otherwise
    return page


def index_lookup(arguments: Mapping[str, str]) -> IndexLookup | None:
    """Tell what show_crate() asks first."""
    try:
        return IndexLookup(canonical_name(arguments["name"]))
    except InvalidName:
        return None


def index_layout(name: str) -> PageLayout:
    """Tell how the index file of a crate is made, for this spelling of its name."""
    return PageLayout((PageSection(b"", b"", partial(_line, name.lower())),), b"", version_key)


def _line(name: str, files: Sequence[PackageFile]) -> bytes:
    """Write the line of a version; of several projects' the newest counts."""
    spelt = [file for file in files if file.name.lower() == name]
    if not spelt:
        return b""
    file = spelt[-1]
    line = {
        **CrateMetadata.from_json(file.file_metadata_json).line,
        "cksum": file.blob.sha256.hex,
        "yanked": file.yanked_reason is not None,
    }
    return json.dumps(line, separators=(",", ":")).encode("ascii") + b"\n"
