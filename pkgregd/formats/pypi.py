"""
Python packages: what twine and its like upload, and the simple index that pip and its like install from.

Compatible with GitLab's PyPI packages. Beyond it: promised digests are verified, names and versions are
taken from the archive and must agree with form and file name, indexes carry validators, and publishing
the same bytes again succeeds.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from functools import partial
from typing import IO
from urllib.parse import quote

from attrs import field, frozen
from zope.interface import implementer

from pkgregd.errors import FileNotFound, InvalidDigest, InvalidRequest, MalformedBody, MetadataMismatch
from pkgregd.formatkit.archives import read_sdist_metadata, read_wheel_metadata
from pkgregd.formatkit.coremetadata import CoreMetadata, parse_core_metadata
from pkgregd.formatkit.multipart import Form, FormLimits, read_form
from pkgregd.formatkit.refusals import bad_request
from pkgregd.formats.pypi_index import (
    REVISION,
    FileMetadata,
    Representation,
    choose_representation,
    render_files,
    render_names,
)
from pkgregd.formats.pypi_names import (
    WHEEL,
    FileName,
    canonical_name,
    canonical_version,
    demand_dist_info,
)
from pkgregd.interfaces import IBlobSink, ICall, IPackageFormat
from pkgregd.values import (
    Coordinates,
    Digest,
    FileLookup,
    FormatLimits,
    IndexLookup,
    IndexState,
    Level,
    OnDuplicate,
    Page,
    PageBody,
    Permission,
    Publication,
    Refusal,
    Reply,
    Route,
    StreamBody,
)

FORM_OVERHEAD_BYTES = 1 << 20
"""What the fields and boundaries of a form may add to the file."""

DIGEST_FIELDS: Mapping[str, str] = {
    "sha256_digest": "sha256",
    "md5_digest": "md5",
    "blake2_256_digest": "blake2b_256",
}
"""The fields that promise digests, by the algorithm each stands for."""

_READ_LEVELS = frozenset({Level.PROJECT, Level.GROUP})


@frozen
class _Claim:
    """What the form says, checked by itself and against the file's name."""

    name: str
    version: str
    file_name: FileName
    requires_python: str | None
    promised: Sequence[Digest] = field(repr=False)


@implementer(IPackageFormat)
class PyPIFormat:
    """See IPackageFormat."""

    name = "pypi"
    title = "PyPI"
    default_limits = FormatLimits(max_file_bytes=3 << 30)
    challenge: str | None = 'Basic realm="pkgregd"'

    def canonical_name(self, name: str) -> str:
        """See IPackageFormat."""
        return canonical_name(name)

    def routes(self) -> Sequence[Route]:
        """See IPackageFormat."""
        read, create = Permission.READ_PACKAGE, Permission.CREATE_PACKAGE
        return (
            Route(("POST",), "", create, self.upload, body_overhead_bytes=FORM_OVERHEAD_BYTES),
            Route(("POST",), "/", create, self.upload, body_overhead_bytes=FORM_OVERHEAD_BYTES),
            Route(("GET",), "/simple", read, partial(self.list_names, link_prefix="simple/"), _READ_LEVELS),
            Route(("GET",), "/simple/", read, self.list_names, _READ_LEVELS),
            Route(("GET",), "/simple/<segment:name>", read, self.redirect_to_files, _READ_LEVELS),
            Route(
                ("GET",),
                "/simple/<segment:name>/",
                read,
                self.list_files,
                _READ_LEVELS,
                foresee=lambda arguments: IndexLookup(canonical_name(arguments["name"])),
            ),
            Route(
                ("GET",),
                "/files/<segment:sha256>/<segment:file_name>",
                read,
                self.download,
                _READ_LEVELS,
                foresee=_file_lookup,
            ),
        )

    def render_error(self, refusal: Refusal) -> Reply | None:
        """Refuse other bytes under a known file name in the words that twine looks for."""
        if refusal.code == "file_exists":
            return bad_request(refusal, "Validation failed: File name has already been taken")
        return None

    # ------------------------------------------------------------------ publishing

    async def upload(self, call: ICall) -> Reply:
        """Publish the file of a form."""
        async with call.remote.start_publish() as draft:
            sink = await draft.open_sink()
            form = await read_form(
                call.body,
                call.header("Content-Type"),
                file_field="content",
                sink=sink,
                limits=FormLimits(call.remote.limits.max_file_bytes, max_fields_bytes=FORM_OVERHEAD_BYTES),
                on_file=partial(_begin_file, sink),
            )
            claim = _check_form(form)
            blob = await sink.commit(claim.promised)
            metadata = await draft.inspect(blob, partial(_read_metadata, claim.file_name))
            _demand_agreement(claim, metadata)
            published = await draft.publish(
                Publication(
                    coordinates=Coordinates(
                        format=self.name,
                        project_id=call.scope.id,
                        name=metadata.name,
                        canonical_name=canonical_name(metadata.name),
                        version=metadata.version,
                        canonical_version=canonical_version(metadata.version),
                        file_name=claim.file_name.text,
                    ),
                    blob=blob,
                    file_metadata_json=FileMetadata(claim.file_name.filetype, metadata.requires_python).to_json(),
                    on_duplicate=OnDuplicate.REFUSE,
                    respects_tombstones=True,
                )
            )
        if published.created:
            return Reply(201, b'{"message": "201 Created"}', "application/json")
        return Reply(200, b'{"message": "200 OK - the same file was there already"}', "application/json")

    # ------------------------------------------------------------------ reading

    async def list_names(self, call: ICall, link_prefix: str = "") -> Reply:
        """List the names that have something to install."""
        representation = choose_representation(call.header("Accept"))
        if representation is None:
            return _not_acceptable()
        state = await call.remote.index_state()
        variant = f"{_variant(representation)}-{len(link_prefix)}"
        render = partial(render_names, representation=representation, link_prefix=link_prefix)
        return _page(partial(call.remote.render_names, state, variant, render), representation.value, state, variant)

    async def redirect_to_files(self, call: ICall) -> Reply:
        """Lead to the page, whose links are relative to its slash."""
        name = call.arguments["name"]
        canonical_name(name)
        return Reply(301, headers=(("Location", f"{quote(name)}/"),))

    async def list_files(self, call: ICall) -> Reply:
        """List the files of a name, in any spelling of it."""
        name = canonical_name(call.arguments["name"])
        representation = choose_representation(call.header("Accept"))
        if representation is None:
            return _not_acceptable()
        # the state first: what is published in between is then shown under an ETag that does not last
        state = await call.remote.index_state(name)
        variant = _variant(representation)
        render = partial(render_files, name, representation=representation)
        page = partial(call.remote.render_files, name, state, variant, render)
        return _page(page, representation.value, state, variant)

    async def download(self, call: ICall) -> Reply:
        """Send a file; its URL names its bytes, so they never change."""
        lookup = _file_lookup(call.arguments)
        file = await call.remote.find_file(
            lookup.canonical_name, lookup.canonical_version, lookup.file_name, lookup.sha256
        )
        return Reply(
            body=StreamBody(file.blob.size_bytes, partial(call.remote.open_file, file)),
            content_type="application/octet-stream",
            headers=(("Cache-Control", "private, max-age=31536000, immutable"),),
            etag=file.blob.sha256.hex,
            last_modified=file.created_at,
            download_name=file.file_name,
        )


def _file_lookup(arguments: Mapping[str, str]) -> FileLookup:
    """Read the URL of a file, which names it by its digest."""
    try:
        sha256 = Digest.sha256(arguments["sha256"])
    except InvalidDigest:
        raise FileNotFound from None
    return FileLookup("", None, arguments["file_name"], sha256)


# ---------------------------------------------------------------------- the form


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
    promised = [
        Digest(algorithm, text.strip().lower())
        for field_name, algorithm in DIGEST_FIELDS.items()
        if (text := form.one(field_name)) is not None
    ]
    computed = {"sha256", *_computed(Form(form.fields[: form.fields_before_file]))}
    if not computed >= {digest.algorithm for digest in promised}:
        raise MalformedBody("digests must come before the file, or all fields behind it")
    return _Claim(name, version, file_name, form.one("requires_python"), promised)


def _allow(form: Form, name: str, values: Sequence[str]) -> None:
    value = form.one(name)
    if value is not None and value not in values:
        raise InvalidRequest(f"the field {name} can be {' or '.join(values)}, not {value[:64]!a}")


def _read_metadata(file_name: FileName, file: IO[bytes]) -> CoreMetadata:
    """Read the archive's own metadata; on a worker thread."""
    if file_name.filetype == WHEEL:
        data, folder = read_wheel_metadata(file)
        demand_dist_info(folder, file_name)
    else:
        data, _ = read_sdist_metadata(file)
    return parse_core_metadata(data)


def _demand_agreement(claim: _Claim, metadata: CoreMetadata) -> None:
    """Pass if form and archive are about the same package."""
    if canonical_name(metadata.name) != canonical_name(claim.name):
        raise MetadataMismatch("name", ("form", claim.name), ("archive", metadata.name))
    if canonical_version(metadata.version) != canonical_version(claim.version):
        raise MetadataMismatch("version", ("form", claim.version), ("archive", metadata.version))
    said, found = claim.requires_python, metadata.requires_python
    if said and found and _clauses(said) != _clauses(found):
        raise MetadataMismatch("Requires-Python", ("form", said), ("archive", found))


def _clauses(specifier: str) -> set[str]:
    return {"".join(clause.split()) for clause in specifier.split(",")}


# ---------------------------------------------------------------------- pages


def _variant(representation: Representation) -> str:
    return f"{representation.name.lower()}-{REVISION}"


def _page(render: Callable[[], Awaitable[Page]], content_type: str, state: IndexState, variant: str) -> Reply:
    return Reply(
        body=PageBody(render),
        content_type=content_type,
        headers=(("Vary", "Accept"), ("Cache-Control", "no-cache")),
        etag=f"{state.token}-{variant}",
        last_modified=state.changed_at,
    )


def _not_acceptable() -> Reply:
    known = ", ".join(representation.value.partition(";")[0] for representation in Representation)
    return Reply(406, f"this index is there as {known}\n".encode(), "text/plain; charset=utf-8", (("Vary", "Accept"),))
