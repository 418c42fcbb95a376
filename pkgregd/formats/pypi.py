"""
Python packages: what twine and its like upload, and the indexes that pip and its like install from.

Compatible with GitLab's PyPI packages. Beyond it: promised digests are verified, names and versions are
taken from the archive and must agree with form and file name, indexes carry validators, metadata is served
beside wheels, versions can be yanked, attestations are kept, there is a JSON API, and publishing the same
bytes again succeeds.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial

from zope.interface import implementer

from pkgregd.formatkit.refusals import bad_request
from pkgregd.formats import pypi_index, pypi_json
from pkgregd.formats.pypi_downloads import file_lookup, send_file, send_provenance
from pkgregd.formats.pypi_files import FORMAT, base_tag
from pkgregd.formats.pypi_index import Representation, choose_representation, files_layout, render_names
from pkgregd.formats.pypi_json import ProjectDocument
from pkgregd.formats.pypi_names import canonical_name, canonical_pattern, canonical_version
from pkgregd.formats.pypi_upload import FORM_OVERHEAD_BYTES, upload
from pkgregd.formats.pypi_yank import unyank, yank
from pkgregd.interfaces import ICall, IPackageFormat
from pkgregd.values import (
    FormatLimits,
    IndexLookup,
    IndexState,
    Level,
    Page,
    PageBody,
    Permission,
    Refusal,
    Reply,
    Route,
)

_READ_LEVELS = frozenset({Level.PROJECT, Level.GROUP})
_BY_ACCEPT = (("Vary", "Accept"),)


@implementer(IPackageFormat)
class PyPIFormat:
    """See IPackageFormat."""

    name = FORMAT
    title = "PyPI"
    default_limits = FormatLimits(max_file_bytes=3 << 30)
    challenge: str | None = 'Basic realm="pkgregd"'

    def canonical_name(self, name: str) -> str:
        """See IPackageFormat."""
        return canonical_name(name)

    def canonical_pattern(self, pattern: str) -> str:
        """See IPackageFormat."""
        return canonical_pattern(pattern)

    def routes(self) -> Sequence[Route]:
        """See IPackageFormat."""
        read, create, destroy = Permission.READ_PACKAGE, Permission.CREATE_PACKAGE, Permission.DESTROY_PACKAGE
        return (
            Route(("POST",), "", create, upload, body_overhead_bytes=FORM_OVERHEAD_BYTES),
            Route(("POST",), "/", create, upload, body_overhead_bytes=FORM_OVERHEAD_BYTES),
            Route(("GET",), "/simple", read, partial(list_names, link_prefix="simple/"), _READ_LEVELS),
            Route(("GET",), "/simple/", read, list_names, _READ_LEVELS),
            Route(("GET",), "/simple/<segment:name>", read, redirect_to_files, _READ_LEVELS),
            Route(("GET",), "/simple/<segment:name>/", read, list_files, _READ_LEVELS, foresee=_index_lookup),
            Route(
                ("GET",),
                "/files/<segment:sha256>/<segment:file_name>",
                read,
                send_file,
                _READ_LEVELS,
                foresee=file_lookup,
            ),
            Route(("GET",), "/pypi/<segment:name>/json", read, show_project, _READ_LEVELS, foresee=_index_lookup),
            Route(
                ("GET",),
                "/pypi/<segment:name>/<segment:version>/json",
                read,
                show_project,
                _READ_LEVELS,
                foresee=_index_lookup,
            ),
            Route(
                ("GET",),
                "/integrity/<segment:name>/<segment:version>/<segment:file_name>/provenance",
                read,
                send_provenance,
                _READ_LEVELS,
            ),
            Route(("PUT",), "/yank/<segment:name>/<segment:version>", destroy, yank),
            Route(("DELETE",), "/yank/<segment:name>/<segment:version>", destroy, unyank),
        )

    def render_error(self, refusal: Refusal) -> Reply | None:
        """Refuse other bytes under a known file name in the words that twine looks for."""
        if refusal.code == "file_exists":
            return bad_request(refusal, "Validation failed: File name has already been taken")
        return None


def _index_lookup(arguments: Mapping[str, str]) -> IndexLookup:
    return IndexLookup(canonical_name(arguments["name"]))


async def list_names(call: ICall, link_prefix: str = "") -> Reply:
    """List the names that have something to install."""
    representation = choose_representation(call.header("Accept"))
    if representation is None:
        return _not_acceptable()
    state = await call.remote.index_state()
    variant = f"{representation.name.lower()}-{pypi_index.REVISION}-{len(link_prefix)}"
    render = partial(render_names, representation=representation, link_prefix=link_prefix)
    page = partial(call.remote.render_names, state, variant, render)
    return _page(page, representation.value, state, variant, _BY_ACCEPT)


async def redirect_to_files(call: ICall) -> Reply:
    """Lead to the page under the name's own spelling and with a slash, which its links are relative to."""
    return Reply(301, headers=(("Location", f"{canonical_name(call.arguments['name'])}/"),))


async def list_files(call: ICall) -> Reply:
    """List the files of a name, in any spelling of it."""
    name = canonical_name(call.arguments["name"])
    representation = choose_representation(call.header("Accept"))
    if representation is None:
        return _not_acceptable()
    # the state first: what is published in between is then shown under an ETag that does not last
    state = await call.remote.index_state(name)
    variant = f"{representation.name.lower()}-{pypi_index.REVISION}-{base_tag(call.base_url)}"
    layout = files_layout(name, call.base_url, representation)
    page = partial(call.remote.render_files, name, state, variant, layout)
    return _page(page, representation.value, state, variant, _BY_ACCEPT)


async def show_project(call: ICall) -> Reply:
    """Tell everything about a name, or about one version of it."""
    name = canonical_name(call.arguments["name"])
    asked = call.arguments.get("version")
    version = None if asked is None else canonical_version(asked)
    state = await call.remote.index_state(name)
    variant = f"api-{pypi_json.REVISION}-{base_tag(f'{call.base_url} {version}')}"
    document = ProjectDocument(name, version, call.base_url, state.changed_at)
    page = partial(call.remote.render_with_document, name, state, variant, document.choose, document.render)
    return _page(page, "application/json", state, variant)


def _page(
    render: Callable[[], Awaitable[Page]],
    content_type: str,
    state: IndexState,
    variant: str,
    headers: tuple[tuple[str, str], ...] = (),
) -> Reply:
    return Reply(
        body=PageBody(render),
        content_type=content_type,
        headers=(*headers, ("Cache-Control", "no-cache")),
        etag=f"{state.token}-{variant}",
        last_modified=state.changed_at,
    )


def _not_acceptable() -> Reply:
    known = ", ".join(representation.value.partition(";")[0] for representation in Representation)
    return Reply(406, f"this index is there as {known}\n".encode(), "text/plain; charset=utf-8", _BY_ACCEPT)
