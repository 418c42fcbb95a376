"""Crates themselves, at both addresses that clients know."""

from __future__ import annotations

from collections.abc import Mapping

from pkgregd.errors import FileNotFound, InvalidVersion, PackageNotFound
from pkgregd.formats.cargo_index import show_index_file
from pkgregd.formats.cargo_names import canonical_name, canonical_version, file_name, owner_of
from pkgregd.interfaces import ICall
from pkgregd.values import FileLookup, PackageFile, Reply, StreamBody

_FOR_EVER = ("Cache-Control", "private, max-age=31536000, immutable")


async def send_crate(call: ICall) -> Reply:
    """Send the crate of a version, in any spelling of its name; its bytes never change."""
    name, version = call.arguments["name"], call.arguments["version"]
    if _is_index_file(call.arguments):
        return await show_index_file(call, "download", f"{name}/{version}/download")
    file = await _find(call, name, version)
    if file.version != version:
        raise PackageNotFound
    return Reply(
        body=StreamBody.of(file, call.remote.open_file),
        content_type="application/gzip",
        headers=(_FOR_EVER,),
        etag=file.blob.sha256.hex,
        last_modified=file.created_at,
        download_name=f"{file.name}-{file.version}.crate",
    )


def file_lookup(arguments: Mapping[str, str]) -> FileLookup | None:
    """Tell what send_crate() asks first."""
    name, version = arguments["name"], arguments["version"]
    try:
        return FileLookup(canonical_name(name), canonical_version(version), file_name(name, version))
    except InvalidVersion:
        return None  # the index file of the crate `download`, or nothing


def owner(arguments: Mapping[str, str]) -> str:
    """Tell whose the crate is that is asked for by the path of a download."""
    return owner_of("download" if _is_index_file(arguments) else arguments["name"])


async def _find(call: ICall, name: str, version: str) -> PackageFile:
    try:
        canonical = canonical_version(version)
    except InvalidVersion:
        canonical_name(name)
        raise PackageNotFound from None
    try:
        return await call.remote.find_file(canonical_name(name), canonical, file_name(name, version))
    except FileNotFound:
        files = await call.remote.list_files(canonical_name(name), canonical, listed_only=False)
        if not files:
            raise PackageNotFound from None
        return files[-1]


def _is_index_file(arguments: Mapping[str, str]) -> bool:
    """Whether it is not a crate that is asked for, but the index file of the crate `download`."""
    return (arguments["name"].lower(), arguments["version"].lower()) == ("do", "wn")
