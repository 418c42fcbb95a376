"""
Publishing: one JSON document with the account of a version and, as base64, its tarball.

The same request without a tarball is how versions are deprecated: it brings the whole document of the name back.
"""

from __future__ import annotations

import json
from functools import partial

from pkgregd.errors import BodyTooLarge, InvalidRequest, PermissionDenied
from pkgregd.formatkit.jsonstream import DocumentLimits, DocumentMemory, read_document
from pkgregd.formats import npm_provenance, npm_readme
from pkgregd.formats.npm_agreement import compare
from pkgregd.formats.npm_changes import MAX_PASSED_BYTES, deprecate, pass_document
from pkgregd.formats.npm_claim import DIGESTS, Claim, Deprecations, NeededMembers, is_tarball, understand
from pkgregd.formats.npm_inspection import Inspection, inspect_tarball, inspection_of
from pkgregd.formats.npm_names import Place, file_name_of
from pkgregd.interfaces import IBlobSink, ICall
from pkgregd.values import BlobInfo, Coordinates, Permission, ProtectedAct, Publication, Reply

FORMAT = "npm"

MAX_REST_BYTES = 4 << 20
"""Of what is kept of a document beside its tarball: some ten milliseconds to read."""

MAX_REST_TOKENS = 200_000

BODY_OVERHEAD_BYTES = 2 << 30
"""What base64 and all else may add to a tarball; check_change() tells it from the size itself."""

_documents = DocumentMemory()


async def check_change(call: ICall) -> None:
    """Refuse what path and size give away."""
    place = Place.parse(call.arguments["where"])
    if place.rest and (len(place.rest) != 2 or place.rest[0] != "-rev"):
        raise InvalidRequest("a document is sent to the address of a package")
    if not place.rest:  # what comes with a revision is read past
        await call.remote.demand_unprotected(place.name, ProtectedAct.PUSH)
    declared = call.body.declared_bytes
    limit = call.remote.limits.max_file_bytes
    if declared is None or declared <= limit // 3 * 4 + 4 + MAX_REST_BYTES:
        return
    try:
        call.demand(Permission.DESTROY_PACKAGE)
    except PermissionDenied:
        raise BodyTooLarge(limit) from None
    if declared > MAX_PASSED_BYTES + MAX_REST_BYTES:  # a document to deprecate by is no tarball
        raise BodyTooLarge(limit)


async def change(call: ICall) -> Reply:
    """Take a document: publish the version in it, or deprecate those that it says are."""
    place = Place.parse(call.arguments["where"])
    if place.rest:
        await pass_document(call)
        return _ok(place.name)
    async with call.remote.start_publish() as draft:
        sink = await draft.open_sink(DIGESTS)
        said = await _read(call, place.name, sink)
        if isinstance(said, Deprecations):
            await deprecate(call, place.name, said)
            return _ok(place.name)
        blob = await sink.commit(said.promised)
        found = inspection_of(await draft.inspect(blob, inspect_tarball))
        runs_script = await call.remote.compute(partial(compare, said.manifest, found))
        make = partial(_publication, call.scope.id, said, blob, found, runs_script=runs_script)
        await draft.publish(await call.remote.compute(make))
    return _ok(place.name)


async def _read(call: ICall, name: str, sink: IBlobSink) -> Claim | Deprecations:
    """Read the body; what is left of it is small."""
    limits = DocumentLimits(
        max_file_bytes=call.remote.limits.max_file_bytes,
        max_rest_bytes=MAX_REST_BYTES,
        max_tokens=MAX_REST_TOKENS,
        max_passed_bytes=MAX_PASSED_BYTES,
    )
    with _documents.share() as share:
        document = await read_document(
            call.body, is_file=is_tarball, sink=sink, limits=limits, share=share, is_kept=NeededMembers()
        )
        return await call.remote.compute(partial(understand, document, name))


def _ok(name: str) -> Reply:
    return Reply(200, json.dumps({"ok": True, "success": True, "id": name}).encode(), "application/json")


def _publication(project_id: int, claim: Claim, blob: BlobInfo, found: Inspection, *, runs_script: bool) -> Publication:
    """Put together all that is written."""
    manifest, provenance = claim.manifest, claim.provenance
    dist: dict[str, object] = {"fileCount": found.files, "unpackedSize": found.unpacked_bytes}
    if provenance is not None:
        dist |= provenance.shown
    documents = {} if provenance is None else {npm_provenance.DOCUMENT: provenance.text.encode("utf-8")}
    if claim.readme is not None:
        documents[npm_readme.DOCUMENT] = claim.readme.kept()
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
        file_metadata_json=manifest.kept(has_install_script=runs_script, dist=dist),
        documents=documents,
        respects_tombstones=True,
        tags=claim.tags,
        summary=manifest.summary,
    )
