"""
Publishing: one JSON document with the account of a version and, as base64, its tarball.

The same request without a tarball is how versions are deprecated: it brings the whole document of the name back.
"""

from __future__ import annotations

import binascii
import json
from collections.abc import Mapping, Sequence
from functools import partial

from attrs import field, frozen

from pkgregd.errors import BodyTooLarge, InvalidRequest, MalformedBody, MetadataMismatch
from pkgregd.formatkit.jsonstream import DocumentLimits, StreamedDocument, read_document
from pkgregd.formatkit.names import has_control
from pkgregd.formats.npm_agreement import compare
from pkgregd.formats.npm_inspection import inspect_tarball, inspection_of
from pkgregd.formats.npm_manifest import Manifest
from pkgregd.formats.npm_names import Place, canonical_version, check_tag, file_name_of
from pkgregd.interfaces import ICall
from pkgregd.values import (
    HEX_LENGTHS,
    MAX_DOCUMENT_BYTES,
    BlobInfo,
    Coordinates,
    Digest,
    Permission,
    Publication,
    Reply,
)

FORMAT = "npm"

MAX_REST_BYTES = 16 << 20
"""Of a document beside its tarball: to deprecate a version all that is known of a package comes back."""

BODY_OVERHEAD_BYTES = 2 << 30
"""What base64 and all else may add to a tarball; check_change() tells it from the size itself."""

MAX_TAGS = 16
MAX_REASON_CHARACTERS = 1000
PROVENANCE_DOCUMENT = "provenance"

_ATTACHMENTS = "_attachments"
_BUNDLE = ".sigstore"
_DIGESTS = ("sha1", "sha512")


@frozen
class _Claim:
    """
    What the document says, checked by itself and against the path.

    Attributes:
        manifest: the account of the version.
        promised: digests of the tarball.
        tags: what will point at the version.
        provenance: the bundle that came beside the tarball.
    """

    manifest: Manifest
    promised: Sequence[Digest] = field(repr=False)
    tags: tuple[str, ...]
    provenance: bytes | None = field(repr=False)


async def check_change(call: ICall) -> None:
    """Refuse what path and size give away."""
    place = Place.parse(call.arguments["where"])
    if place.rest and (len(place.rest) != 2 or place.rest[0] != "-rev"):
        raise InvalidRequest("a document is sent to the address of a package")
    declared = call.body.declared_bytes
    limit = call.remote.limits.max_file_bytes
    if declared is not None and declared > limit // 3 * 4 + 4 + MAX_REST_BYTES:
        raise BodyTooLarge(limit)


async def change(call: ICall) -> Reply:
    """Take a document: publish the version in it, or deprecate those that it says are."""
    place = Place.parse(call.arguments["where"])
    async with call.remote.start_publish() as draft:
        sink = await draft.open_sink(_DIGESTS)
        limits = DocumentLimits(call.remote.limits.max_file_bytes, MAX_REST_BYTES)
        document = await read_document(call.body, is_file=_is_tarball, sink=sink, limits=limits)
        fields = await call.remote.compute(partial(_read, document, place.name))
        if place.rest:
            # a version less, before its tarball is deleted: that does it
            return _ok(place.name)
        if document.file_path is None:
            return await _deprecate(call, place.name, fields)
        claim = await call.remote.compute(partial(_check, document, fields, place.name))
        blob = await sink.commit(claim.promised)
        found = inspection_of(await draft.inspect(blob, inspect_tarball))
        runs_script = await call.remote.compute(partial(compare, claim.manifest, found))
        make = partial(_publication, call.scope.id, claim, blob, runs_script=runs_script)
        await draft.publish(await call.remote.compute(make))
    return _ok(place.name)


def _ok(name: str) -> Reply:
    return Reply(200, json.dumps({"ok": True, "success": True, "id": name}).encode(), "application/json")


def _is_tarball(path: Sequence[str]) -> bool:
    return len(path) == 3 and path[0] == _ATTACHMENTS and path[2] == "data" and not path[1].endswith(_BUNDLE)


def _read(document: StreamedDocument, name: str) -> Mapping[str, object]:
    """Read the document. Raises MalformedBody, MetadataMismatch."""
    fields = document.read()
    if not isinstance(fields, dict):
        raise MalformedBody("the document is not an object")
    for key in ("name", "_id"):
        said = fields.get(key, name)
        if said != name:
            raise MetadataMismatch("name", ("path", name), ("document", str(said)))
    return fields


def _part(fields: Mapping[str, object], key: str) -> Mapping[str, object]:
    value = fields.get(key) or {}
    if not isinstance(value, dict):
        raise MalformedBody(f"{key} is not an object")
    return value


# -------------------------------------------------------------------- publishing


def _check(document: StreamedDocument, fields: Mapping[str, object], name: str) -> _Claim:
    """
    Check what a document with a tarball says.

    Raises:
        InvalidRequest: MetadataMismatch among others.
    """
    versions = _part(fields, "versions")
    if len(versions) != 1:
        raise MalformedBody(f"a tarball comes with one version, not with {len(versions)}")
    ((key, value),) = versions.items()
    manifest = Manifest.of(value, "the version in the document")
    if manifest.name != name:
        raise MetadataMismatch("name", ("path", name), ("version in the document", manifest.name))
    if canonical_version(key) != manifest.version:
        raise MetadataMismatch("version", ("document", key), ("version in the document", manifest.version))
    provenance = _check_attachments(document, _part(fields, _ATTACHMENTS), manifest)
    promised = _promised(_part(manifest.fields, "dist"))
    return _Claim(manifest, promised, _tags(_part(fields, "dist-tags"), manifest.version), provenance)


def _check_attachments(
    document: StreamedDocument, attachments: Mapping[str, object], manifest: Manifest
) -> bytes | None:
    """Pass if tarball and bundle are named after the version; returns the bundle."""
    assert document.file_path is not None
    key = document.file_path[1]
    file_name = file_name_of(manifest.name, manifest.version)
    scope = manifest.name.rpartition("/")[0]
    if key not in (file_name, f"{scope}/{file_name}"):
        raise MetadataMismatch("file name", ("attachment", key), ("name and version", file_name))
    length = _part(attachments, key).get("length", document.file_bytes)
    if isinstance(length, bool) or length != document.file_bytes:
        raise MetadataMismatch("length", ("document", str(length)), ("attachment", str(document.file_bytes)))
    others = attachments.keys() - {key}
    if not others:
        return None
    if len(others) > 1 or not all(other.endswith(_BUNDLE) for other in others):
        raise MalformedBody("beside the tarball one attachment can come: its provenance")
    bundle = _part(attachments, others.pop()).get("data")
    if not isinstance(bundle, str) or not 0 < len(bundle) <= MAX_DOCUMENT_BYTES // 4:
        raise MalformedBody(f"a provenance is a text of at most {MAX_DOCUMENT_BYTES // 4} characters")
    return bundle.encode("utf-8")


def _promised(dist: Mapping[str, object]) -> Sequence[Digest]:
    """Read the digests; of other algorithms than we compute there may be some in `integrity`."""
    shasum, integrity = dist.get("shasum"), dist.get("integrity")
    found: list[Digest] = []
    if shasum is not None:
        found.append(Digest("sha1", str(shasum).lower()))
    if integrity is not None:
        if not isinstance(integrity, str) or len(integrity) > 2048:
            raise MalformedBody("dist.integrity is not a text of digests")
        for item in integrity.split():
            algorithm, _, text = item.partition("?")[0].partition("-")
            if algorithm in ("sha256", *_DIGESTS):
                found.append(_digest(algorithm, text))
    return found


def _digest(algorithm: str, text: str) -> Digest:
    try:
        raw = binascii.a2b_base64(text.encode("ascii"), strict_mode=True)
    except ValueError:
        raise MalformedBody("dist.integrity is not valid base64") from None
    if 2 * len(raw) != HEX_LENGTHS[algorithm]:
        raise MalformedBody(f"dist.integrity has a {algorithm} of a wrong length")
    return Digest(algorithm, raw.hex())


def _tags(tags: Mapping[str, object], version: str) -> tuple[str, ...]:
    if len(tags) > MAX_TAGS:
        raise MalformedBody(f"a version comes with at most {MAX_TAGS} tags")
    for tag, said in tags.items():
        check_tag(tag)
        if not isinstance(said, str) or canonical_version(said) != version:
            raise MetadataMismatch(f"version of the tag {tag}", ("document", str(said)), ("version", version))
    return tuple(tags)


def _publication(project_id: int, claim: _Claim, blob: BlobInfo, *, runs_script: bool) -> Publication:
    """Put together all that is written."""
    manifest = claim.manifest
    return Publication(
        coordinates=Coordinates(
            format=FORMAT,
            project_id=project_id,
            name=manifest.name,
            canonical_name=manifest.name,
            version=manifest.version,
            canonical_version=manifest.version,
            file_name=file_name_of(manifest.name, manifest.version),
        ),
        blob=blob,
        file_metadata_json=manifest.kept(has_install_script=runs_script),
        documents={} if claim.provenance is None else {PROVENANCE_DOCUMENT: claim.provenance},
        respects_tombstones=True,
        tags=claim.tags,
        summary=manifest.summary,
    )


# -------------------------------------------------------------------- deprecating


async def _deprecate(call: ICall, name: str, fields: Mapping[str, object]) -> Reply:
    """Bring deprecations up to what the document says; a version that says nothing keeps what it has."""
    call.demand(Permission.DESTROY_PACKAGE)  # as for a yank elsewhere; only the body tells it from a publish
    wanted: dict[str, str] = {}
    for key, value in _part(fields, "versions").items():
        reason = value.get("deprecated") if isinstance(value, dict) else None
        if reason is None:
            continue
        if not isinstance(reason, str) or len(reason) > MAX_REASON_CHARACTERS or has_control(reason):
            raise InvalidRequest(f"a deprecation is a plain text of at most {MAX_REASON_CHARACTERS} characters")
        wanted[canonical_version(key)] = reason
    if not wanted:
        raise InvalidRequest("the document has neither a tarball nor a version that is deprecated")
    known = {file.canonical_version: file.yanked_reason or "" for file in await call.remote.list_files(name)}
    for version in sorted(wanted.keys() & known.keys()):
        if wanted[version] != known[version]:
            await call.remote.yank(name, version, wanted[version] or None)
    if not wanted.keys() & known.keys():
        raise InvalidRequest("none of the versions in the document is here")
    return _ok(name)
