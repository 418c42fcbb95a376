"""
Python packages: uploads as twine, uv, flit, hatch and poetry send them, and the simple index.

Source: the upload API and the simple repository API of the Python packaging specifications;
GitLab's PyPI packages API for URLs.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from typing import IO
from urllib.parse import quote

from attrs import frozen
from packaging.metadata import parse_email
from packaging.version import Version
from zope.interface import implementer

from pkgregd.errors import InvalidArchive, InvalidRequest, MalformedBody, MetadataMismatch, PackageNotFound
from pkgregd.formatkit.archives import read_sdist_metadata, read_wheel_metadata
from pkgregd.formatkit.multipart import Form, FormLimits, read_form
from pkgregd.formatkit.negotiation import choose_media_type
from pkgregd.formatkit.python_names import (
    ArchiveName,
    canonical_version,
    check_name,
    check_version,
    parse_file_name,
)
from pkgregd.formats.pypi_index import JSON_TYPE, LATEST, OFFERED, FileFacts, render_files, render_names
from pkgregd.interfaces import IBlobSink, ICall, IPackageFormat
from pkgregd.values import (
    Coordinates,
    Digest,
    FormatLimits,
    IndexState,
    Level,
    OnDuplicate,
    Permission,
    Publication,
    Refusal,
    Reply,
    Route,
    StreamBody,
)

GIB = 1 << 30
FORM_BYTES = 2 << 20
"""What the fields and headers of a form may add to the file."""

DIGEST_FIELDS = {"sha256_digest": "sha256", "md5_digest": "md5", "blake2_256_digest": "blake2b_256"}
ALL_DIGESTS = tuple(DIGEST_FIELDS.values())
FILE_TYPES = {"bdist_wheel": True, "sdist": False}
MAX_REQUIRES_PYTHON_CHARACTERS = 1024

_EVERYWHERE = frozenset({Level.PROJECT, Level.GROUP})


@frozen
class ArchiveFacts:
    """What an archive's own metadata says."""

    name: str
    version: str
    requires_python: str | None
    directory: str


@implementer(IPackageFormat)
class PyPIFormat:
    """See IPackageFormat."""

    name = "pypi"
    title = "PyPI"
    default_limits = FormatLimits(max_file_bytes=3 * GIB, duplicates_allowed=False)
    challenge = 'Basic realm="pkgregd"'

    def canonical_name(self, name: str) -> str:
        """See IPackageFormat."""
        return check_name(name)

    def routes(self) -> Sequence[Route]:
        """See IPackageFormat."""
        create, read = Permission.CREATE_PACKAGE, Permission.READ_PACKAGE
        return (
            Route(("POST",), "", create, self._upload, body_overhead_bytes=FORM_BYTES),
            Route(("POST",), "/", create, self._upload, body_overhead_bytes=FORM_BYTES),
            Route(("GET",), "/simple/", read, self._names, _EVERYWHERE),
            Route(("GET",), "/simple", read, self._to_names, _EVERYWHERE),
            Route(("GET",), "/simple/<segment:name>/", read, self._files, _EVERYWHERE),
            Route(("GET",), "/simple/<segment:name>", read, self._to_files, _EVERYWHERE),
            Route(("GET",), "/files/<segment:sha256>/<segment:file_name>", read, self._download, _EVERYWHERE),
        )

    def render_error(self, refusal: Refusal) -> Reply | None:
        """Say a duplicate in the words that clients look for; the common JSON is right for the rest."""
        if refusal.code != "file_exists":
            return None
        fields = {
            "message": f"400 Bad request - File name has already been taken: {refusal.message}",
            "error": refusal.code,
            "request_id": refusal.request_id,
        }
        return Reply(400, json.dumps(fields).encode(), "application/json")

    # ------------------------------------------------------------------ publish

    async def _upload(self, call: ICall) -> Reply:
        async with call.remote.start_publish() as draft:
            sink = await draft.open_sink()
            computed: list[str] = []
            limits = FormLimits(max_file_bytes=call.remote.limits.max_file_bytes, max_fields_bytes=FORM_BYTES // 2)
            form = await read_form(
                call.body,
                call.header("content-type"),
                file_field="content",
                sink=sink,
                limits=limits,
                on_file=partial(_choose_digests, sink, computed),
            )
            named = _check_form(form)
            blob = await sink.commit(_promised_digests(form, computed))
            facts = await draft.inspect(blob, partial(read_facts, named))
            coordinates = _coordinates(call.scope.id, form, named, facts)
            published = await draft.publish(
                Publication(
                    coordinates,
                    blob,
                    file_metadata_json=FileFacts(
                        "bdist_wheel" if named.is_wheel else "sdist", facts.requires_python
                    ).to_json(),
                    on_duplicate=OnDuplicate.REFUSE,
                    respects_tombstones=True,
                )
            )
        status, message = (201, b'{"message":"201 Created"}') if published.created else (200, b'{"message":"200 OK"}')
        return Reply(status, message, "application/json")

    # ------------------------------------------------------------------ read

    async def _names(self, call: ICall) -> Reply:
        media_type = _media_type(call)
        if media_type is None:
            return _not_acceptable()
        state = await call.remote.index_state()
        return _index(render_names(await call.remote.list_names(), media_type), media_type, state)

    async def _files(self, call: ICall) -> Reply:
        canonical_name = check_name(call.arguments["name"])
        media_type = _media_type(call)
        if media_type is None:
            return _not_acceptable()
        # the state first: a page may be newer than its ETag, never older
        state = await call.remote.index_state(canonical_name)
        files = await call.remote.list_files(canonical_name)
        if not files:
            raise PackageNotFound
        return _index(render_files(canonical_name, files, media_type), media_type, state)

    async def _to_names(self, call: ICall) -> Reply:
        return Reply(301, headers=(("Location", "simple/"),))

    async def _to_files(self, call: ICall) -> Reply:
        return Reply(301, headers=(("Location", f"{quote(check_name(call.arguments['name']))}/"),))

    async def _download(self, call: ICall) -> Reply:
        sha256 = Digest.sha256(call.arguments["sha256"])
        file = await call.remote.find_file("", None, call.arguments["file_name"], sha256)
        return Reply(
            200,
            StreamBody(file.blob.size_bytes, lambda piece: call.remote.open_file(file, piece)),
            "application/octet-stream",
            etag=file.blob.sha256.hex,
            last_modified=file.created_at,
            download_name=file.file_name,
        )


# ---------------------------------------------------------------------- the form


def _choose_digests(sink: IBlobSink, computed: list[str], file_name: str, form: Form) -> None:
    """Compute what was promised before the file; without a promise yet, whatever may still be promised."""
    parse_file_name(file_name)
    promised = [DIGEST_FIELDS[name] for name, value in form.fields if name in DIGEST_FIELDS and value]
    computed.extend(promised or ALL_DIGESTS)
    sink.compute(computed)


def _promised_digests(form: Form, computed: Sequence[str]) -> tuple[Digest, ...]:
    """
    Return the digests of the form.

    Raises:
        MalformedBody: one came too late to be computed, after others that came before the file. No client
            does that, and nothing promised is left unchecked.
    """
    found = []
    for name, algorithm in DIGEST_FIELDS.items():
        value = form.one(name)
        if value:
            if algorithm not in (*computed, "sha256"):
                raise MalformedBody(f"{name} has to come before the file, as the other digests do")
            found.append(Digest(algorithm, value.strip().lower()))
    return tuple(found)


def _check_form(form: Form) -> ArchiveName:
    """
    Check the fields against each other and against the file's name.

    Raises:
        InvalidRequest and its kinds.
    """
    action = form.one(":action")
    if action not in (None, "file_upload"):
        raise InvalidRequest("the only :action is file_upload")
    if form.one("protocol_version") not in (None, "1"):
        raise InvalidRequest("the only protocol_version is 1")
    named = parse_file_name(form.file_name or "")
    file_type = form.one("filetype")
    if file_type is not None and FILE_TYPES.get(file_type) is not named.is_wheel:
        raise MetadataMismatch("the kind of file", ("the form", file_type), ("the file name", form.file_name or ""))
    name, version = _required(form, "name"), _required(form, "version")
    if check_name(name) != named.canonical_name:
        raise MetadataMismatch("the name", ("the form", name), ("the file name", named.canonical_name))
    if check_version(version) != named.version:
        raise MetadataMismatch("the version", ("the form", version), ("the file name", str(named.version)))
    return named


def _required(form: Form, name: str) -> str:
    value = form.one(name)
    if not value:
        raise MalformedBody(f"the form has no {name}")
    return value


# ---------------------------------------------------------------------- the archive


def read_facts(named: ArchiveName, file: IO[bytes]) -> ArchiveFacts:
    """
    Read what an archive says of itself. Blocks.

    Raises:
        InvalidArchive.
    """
    read = read_wheel_metadata if named.is_wheel else partial(read_sdist_metadata, is_zip=named.is_zip)
    raw, directory = read(file)
    fields, _ = parse_email(raw)
    name, version = fields.get("name"), fields.get("version")
    if not name or not version:
        raise InvalidArchive("the metadata of the archive has no Name or no Version")
    requires_python = fields.get("requires_python")
    if requires_python is not None:
        requires_python = requires_python.strip()
        if len(requires_python) > MAX_REQUIRES_PYTHON_CHARACTERS or not requires_python.isprintable():
            raise InvalidArchive("the Requires-Python of the archive is not one")
    return ArchiveFacts(name, version, requires_python or None, directory)


def _coordinates(project_id: int, form: Form, named: ArchiveName, facts: ArchiveFacts) -> Coordinates:
    """
    Make the one name of the file, of form, file name and archive together.

    Raises:
        MetadataMismatch.
    """
    name, version = _required(form, "name"), _required(form, "version")
    if check_name(facts.name) != named.canonical_name:
        raise MetadataMismatch("the name", ("the form", name), ("the archive", facts.name))
    if check_version(facts.version) != named.version:
        raise MetadataMismatch("the version", ("the form", version), ("the archive", facts.version))
    requires_python = (form.one("requires_python") or "").strip()
    if requires_python and requires_python != (facts.requires_python or ""):
        raise MetadataMismatch(
            "Requires-Python", ("the form", requires_python), ("the archive", facts.requires_python or "")
        )
    _check_directory(named, facts)
    parsed: Version = named.version
    return Coordinates(
        "pypi", project_id, name, named.canonical_name, version, canonical_version(parsed), form.file_name or ""
    )


def _check_directory(named: ArchiveName, facts: ArchiveFacts) -> None:
    """Check the name of the directory that holds the metadata."""
    name, _, version = facts.directory.removesuffix(".dist-info").rpartition("-")
    if not name or check_name(name) != named.canonical_name or check_version(version) != named.version:
        raise MetadataMismatch(
            "name and version",
            ("the file name", f"{named.canonical_name}-{named.version}"),
            ("the archive's directory", facts.directory),
        )


# ---------------------------------------------------------------------- the index


def _media_type(call: ICall) -> str | None:
    chosen = choose_media_type(call.header("accept"), OFFERED)
    return None if chosen is None else LATEST.get(chosen, chosen)


def _not_acceptable() -> Reply:
    text = f'{{"message":"406 Not Acceptable - the index is served as {", ".join(OFFERED)}","error":"not_acceptable"}}'
    return Reply(406, text.encode(), "application/json", headers=(("Vary", "Accept"),))


def _index(body: bytes, media_type: str, state: IndexState) -> Reply:
    kind = "json" if media_type == JSON_TYPE else "html"
    return Reply(
        200,
        body,
        media_type if kind == "json" else f"{media_type}; charset=utf-8",
        headers=(("Vary", "Accept"), ("Cache-Control", "private, no-cache")),
        etag=f"{state.token}-{kind}",
        last_modified=state.changed_at,
    )
