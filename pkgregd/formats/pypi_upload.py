"""
Publishing: the form that twine, uv, poetry, flit and hatch send.

Form, file name and archive have to be about the same package. The archive is what will be installed, so it is
what the index speaks of: the form is compared with it in what decides about an installation (name, version,
Requires-Python, Requires-Dist) and otherwise not looked at. Signatures by GPG are read past.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from functools import partial

from attrs import field, frozen

from pkgregd.errors import InvalidRequest, MalformedBody, MetadataMismatch
from pkgregd.formatkit.coremetadata import MAX_LINE_CHARACTERS
from pkgregd.formatkit.multipart import Form, FormLimits, read_form
from pkgregd.formats.pypi_attestations import Subject, demand_subject, provenance_of, read_attestations
from pkgregd.formats.pypi_files import FORMAT, METADATA_DOCUMENT, PROVENANCE_DOCUMENT, FileMetadata
from pkgregd.formats.pypi_inspection import Inspection, inspect_package, inspection_of
from pkgregd.formats.pypi_names import FileName, canonical_name, canonical_version, file_key
from pkgregd.interfaces import IBlobSink, ICall
from pkgregd.values import BlobInfo, Coordinates, Digest, OnDuplicate, ProtectedAct, Publication, Reply

FORM_OVERHEAD_BYTES = 1 << 20
"""What the fields and boundaries of a form may add to the file."""

MAX_COMPARED_BYTES = 12 << 10
"""Of the form's Requires-Dist, as JSON; a longer list is not compared with the archive's."""

DIGEST_FIELDS: Mapping[str, str] = {
    "sha256_digest": "sha256",
    "md5_digest": "md5",
    "blake2_256_digest": "blake2b_256",
}
"""The fields that promise digests, by the algorithm each stands for."""


@frozen
class _Claim:
    """
    What the form says, checked by itself and against the file's name.

    Attributes:
        attestations: the field as it was sent, None without one.
        subjects: what each attestation is about.
    """

    name: str
    version: str
    file_name: FileName
    requires_python: str | None
    requires_dist: Sequence[str] = field(repr=False)
    promised: Sequence[Digest] = field(repr=False)
    attestations: str | None = field(repr=False)
    subjects: Sequence[Subject] = field(repr=False)


async def upload(call: ICall) -> Reply:
    """Publish the file of a form."""
    async with call.remote.start_publish() as draft:
        sink = await draft.open_sink()
        form = await read_form(
            call.body,
            call.header("Content-Type"),
            file_field="content",
            sink=sink,
            limits=FormLimits(
                call.remote.limits.max_file_bytes,
                max_fields_bytes=FORM_OVERHEAD_BYTES,
                ignored_files=frozenset({"gpg_signature"}),
            ),
            on_file=partial(_begin_file, sink),
        )
        claim = _check_form(form)
        await call.remote.demand_unprotected(canonical_name(claim.name), ProtectedAct.PUSH)
        blob = await sink.commit(claim.promised)
        answer = await draft.inspect(blob, inspect_package, **_told(claim))
        found = inspection_of(answer, claim.name, claim.version)
        for subject in claim.subjects:
            demand_subject(subject, claim.file_name, found.name, found.version, blob.sha256)
        published = await draft.publish(_publication(call.scope.id, claim, blob, found))
    if published.created:
        return Reply(201, b'{"message": "201 Created"}', "application/json")
    return Reply(200, b'{"message": "200 OK - the same file was there already"}', "application/json")


def _begin_file(sink: IBlobSink, file_name: str, form: Form) -> None:
    """Refuse early what can be, and compute the digests that will be compared."""
    FileName.parse(file_name)
    sink.compute(_computed(form))


def _computed(before_file: Form) -> Collection[str]:
    """Choose the digests to compute: those that are promised, or all when the fields are still to come."""
    if not before_file.fields:
        return DIGEST_FIELDS.values()
    return [algorithm for name, algorithm in DIGEST_FIELDS.items() if before_file.one(name) is not None]


def _check_form(form: Form) -> _Claim:
    """
    Check what the form says.

    Raises:
        InvalidRequest: MetadataMismatch among others.
    """
    _allow(form, ":action", ("file_upload",))
    _allow(form, "protocol_version", ("1",))
    _allow(form, "filetype", ("bdist_wheel", "sdist"))
    name, version = form.one("name"), form.one("version")
    if name is None or version is None:
        raise MalformedBody("the form needs the fields name and version")
    canonical_name(name)
    canonical_version(version)
    assert form.file_name is not None, "read_form() returns with a file"
    file_name = FileName.parse(form.file_name)
    file_name.demand(name, version)
    filetype = form.one("filetype")
    if filetype not in (None, file_name.filetype):
        raise MetadataMismatch("filetype", ("form", filetype or ""), ("file name", file_name.filetype))
    requires_python, attestations = form.one("requires_python"), form.one("attestations")
    if len(requires_python or "") > MAX_LINE_CHARACTERS:
        raise InvalidRequest(f"the field requires_python is longer than {MAX_LINE_CHARACTERS} characters")
    return _Claim(
        name=name,
        version=version,
        file_name=file_name,
        requires_python=requires_python,
        requires_dist=[text for text in form.all("requires_dist") if text],
        promised=_promised_digests(form),
        attestations=attestations,
        subjects=() if attestations is None else read_attestations(attestations),
    )


def _promised_digests(form: Form) -> Sequence[Digest]:
    promised = [
        Digest(algorithm, text.strip().lower())
        for field_name, algorithm in DIGEST_FIELDS.items()
        if (text := form.one(field_name)) is not None
    ]
    computed = {"sha256", *_computed(Form(form.fields[: form.fields_before_file]))}
    if not computed >= {digest.algorithm for digest in promised}:
        raise MalformedBody("digests must come before the file, or all fields behind it")
    return promised


def _allow(form: Form, name: str, values: Sequence[str]) -> None:
    value = form.one(name)
    if value is not None and value not in values:
        raise InvalidRequest(f"the field {name} can be {' or '.join(values)}, not {value[:64]!a}")


def _told(claim: _Claim) -> Mapping[str, object]:
    """Return what the inspector is told of the form, to compare it with the archive."""
    requires_dist = list(claim.requires_dist)
    if len(json.dumps(requires_dist)) > MAX_COMPARED_BYTES:
        requires_dist = []  # the archive decides anyway
    return {
        "file_name": claim.file_name.text,
        "name": claim.name,
        "version": claim.version,
        "requires_python": claim.requires_python,
        "requires_dist": requires_dist,
    }


def _publication(project_id: int, claim: _Claim, blob: BlobInfo, found: Inspection) -> Publication:
    """Put together all that is written."""
    documents: dict[str, bytes] = {}
    metadata = found.metadata
    metadata_sha256 = None
    if metadata is not None:
        documents[METADATA_DOCUMENT] = metadata
        metadata_sha256 = hashlib.sha256(metadata).hexdigest()
    if claim.attestations is not None:
        documents[PROVENANCE_DOCUMENT] = provenance_of(claim.attestations)
    kept = FileMetadata(
        claim.file_name.filetype,
        found.requires_python,
        metadata_sha256,
        has_provenance=claim.attestations is not None,
    )
    return Publication(
        coordinates=Coordinates(
            format=FORMAT,
            project_id=project_id,
            name=found.name,
            canonical_name=canonical_name(found.name),
            version=found.version,
            canonical_version=canonical_version(found.version),
            file_name=claim.file_name.text,
        ),
        blob=blob,
        file_metadata_json=kept.to_json(),
        documents=documents,
        on_duplicate=OnDuplicate.REFUSE,
        respects_tombstones=True,
        file_key=file_key,
    )
