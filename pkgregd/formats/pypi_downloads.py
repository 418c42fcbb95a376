"""Files, and what is kept beside them: METADATA and provenance, each at the file's own address with an ending."""

from __future__ import annotations

from collections.abc import Mapping

from pkgregd.errors import FileNotFound, InvalidDigest
from pkgregd.formats.pypi_files import METADATA_DOCUMENT, PROVENANCE_DOCUMENT, FileMetadata
from pkgregd.formats.pypi_names import canonical_name, canonical_version
from pkgregd.interfaces import ICall
from pkgregd.values import Digest, FileLookup, PackageFile, Reply, StreamBody

METADATA_ENDING = ".metadata"
PROVENANCE_ENDING = ".provenance"
"""No file that is published ends like these."""

PROVENANCE_TYPE = "application/vnd.pypi.integrity.v1+json"

_FOR_EVER = ("Cache-Control", "private, max-age=31536000, immutable")


async def send_file(call: ICall) -> Reply:
    """Send a file; its URL names its bytes, so they never change. Or send what is kept beside it."""
    lookup = file_lookup(call.arguments)
    file = await call.remote.find_file(lookup.canonical_name, lookup.canonical_version, lookup.file_name, lookup.sha256)
    asked = call.arguments["file_name"]
    if asked.endswith(METADATA_ENDING):
        return await _send_metadata(call, file)
    if asked.endswith(PROVENANCE_ENDING):
        return await _send_provenance(call, file)
    return Reply(
        body=StreamBody.of(file, call.remote.open_file),
        content_type="application/octet-stream",
        headers=(_FOR_EVER,),
        etag=file.blob.sha256.hex,
        last_modified=file.created_at,
        download_name=file.file_name,
    )


async def send_provenance(call: ICall) -> Reply:
    """Send the provenance of a file that is known by name and version."""
    name, version = canonical_name(call.arguments["name"]), canonical_version(call.arguments["version"])
    return await _send_provenance(call, await call.remote.find_file(name, version, call.arguments["file_name"]))


def file_lookup(arguments: Mapping[str, str]) -> FileLookup:
    """
    Read the URL of a file, or of what is kept beside one.

    Raises:
        FileNotFound: it names no digest.
    """
    try:
        sha256 = Digest.sha256(arguments["sha256"])
    except InvalidDigest:
        raise FileNotFound from None
    file_name = arguments["file_name"].removesuffix(METADATA_ENDING).removesuffix(PROVENANCE_ENDING)
    return FileLookup("", None, file_name, sha256)


async def _send_metadata(call: ICall, file: PackageFile) -> Reply:
    sha256 = FileMetadata.from_json(file.file_metadata_json).wheel_metadata_sha256
    if sha256 is None:
        raise FileNotFound
    return Reply(
        body=await call.remote.find_document(file, METADATA_DOCUMENT),
        content_type="application/octet-stream",
        headers=(_FOR_EVER,),
        etag=sha256,
        last_modified=file.created_at,
        download_name=file.file_name + METADATA_ENDING,
    )


async def _send_provenance(call: ICall, file: PackageFile) -> Reply:
    return Reply(
        body=await call.remote.find_document(file, PROVENANCE_DOCUMENT),
        content_type=PROVENANCE_TYPE,
        headers=(("Cache-Control", "no-cache"),),
        etag=f"{file.id}-{file.blob.sha256.hex}",
        last_modified=file.created_at,
    )
