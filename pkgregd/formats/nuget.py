"""
NuGet packages: the third version of the protocol, that `nuget` and `dotnet` push to, search and restore from.

Compatible with GitLab's NuGet packages. Beyond it: the nuspec is read before a package is there, versions are compared
normalised, big registrations come in pages, everything has validators, and versions can be unlisted and listed again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import TypeAlias

from zope.interface import implementer

from pkgregd.errors import FileNotFound, InvalidRequest, PackageNotFound
from pkgregd.formatkit.challenges import ask_who
from pkgregd.formats.nuget_index import REVISION, Registration, service_index, versions_layout
from pkgregd.formats.nuget_names import (
    PACKAGE_SUFFIX,
    SYMBOLS_SUFFIX,
    canonical_name,
    canonical_pattern,
    canonical_version,
    file_name,
    symbols_file_name,
)
from pkgregd.formats.nuget_nuspec import NUSPEC_DOCUMENT
from pkgregd.formats.nuget_push import FORM_OVERHEAD_BYTES, FORMAT, push, relist, unlist
from pkgregd.formats.nuget_search import autocomplete, search
from pkgregd.formats.nuget_symbols import download_symbols, push_symbols
from pkgregd.formats.nuget_v2 import show_count, show_resource, show_service
from pkgregd.interfaces import ICall, IReplacingFormat, IStrictTable
from pkgregd.values import (
    FileLookup,
    FormatLimits,
    IndexLookup,
    Level,
    PackageFile,
    PageBody,
    Permission,
    Refusal,
    Reply,
    Route,
    StreamBody,
    VersionLayout,
)

Handler: TypeAlias = Callable[[ICall], Awaitable[Reply]]
Foresee: TypeAlias = Callable[[Mapping[str, str]], IndexLookup | FileLookup]

_READ_LEVELS = frozenset({Level.PROJECT, Level.GROUP})
_FOR_EVER = ("Cache-Control", "private, max-age=31536000, immutable")
_ASK_AGAIN = ("Cache-Control", "no-cache")


@implementer(IReplacingFormat, IStrictTable)
class NuGetFormat:
    """See IPackageFormat."""

    name = FORMAT
    title = "NuGet"
    default_limits = FormatLimits(max_file_bytes=500 << 20, duplicates_allowed=False)
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
        reads: Sequence[tuple[str, Handler, Foresee | None]] = (
            ("/index.json", show_service_index, None),
            ("/query", search, None),
            ("/autocomplete", autocomplete, None),
            ("/download/<segment:id>/index.json", list_versions, _index_lookup),
            ("/download/<segment:id>/<segment:version>/<segment:file>", download, _file_lookup),
            ("/metadata/<segment:id>/index.json", show_registration, _index_lookup),
            ("/metadata/<segment:id>/page/<segment:lower>/<segment:upper>", show_page, _index_lookup),
            ("/metadata/<segment:id>/<segment:leaf>", show_leaf, None),
            ("/v2", show_service, None),
            ("/v2/", show_service, None),
            ("/v2/<segment:resource>", show_resource, None),
            ("/v2/<segment:resource>/<segment:option>", show_count, None),
            ("/v2/package/<segment:id>/<segment:version>", download_v2, _file_lookup),
            ("/symbolfiles/<segment:file>/<segment:signature>/<segment:same>", download_symbols, None),
        )
        return (
            *(
                Route(("PUT",), path + slash, create, handler, body_overhead_bytes=FORM_OVERHEAD_BYTES)
                for path, handler in (
                    ("", push),
                    ("/v2", push),
                    ("/v2/package", push),
                    ("/symbolpackage", push_symbols),
                )
                for slash in ("", "/")  # clients add one
            ),
            *(
                Route(("GET",), path, read, partial(ask_who, handler), _READ_LEVELS, foresee=foresee)
                for path, handler, foresee in reads
            ),
            *(
                Route(("DELETE",), path + "/<segment:id>/<segment:version>", destroy, unlist)
                for path in ("", "/v2", "/v2/package")
            ),
            Route(("POST",), "/<segment:id>/<segment:version>", destroy, relist),
        )

    def render_error(self, refusal: Refusal) -> Reply | None:
        """Leave it as it is: clients show the status line, which has the reason in it."""
        return None


def _index_lookup(arguments: Mapping[str, str]) -> IndexLookup:
    return IndexLookup(canonical_name(arguments["id"]))


def _file_lookup(arguments: Mapping[str, str]) -> FileLookup:
    name, version = canonical_name(arguments["id"]), canonical_version(arguments["version"])
    return FileLookup(name, version, file_name(name, version))


async def show_service_index(call: ICall) -> Reply:
    """Tell where everything is."""
    body = service_index(call.base_url, publishes=call.scope.level is Level.PROJECT)
    return Reply(200, body, "application/json", (_ASK_AGAIN,), etag=hashlib.sha256(body).hexdigest()[:32])


async def list_versions(call: ICall) -> Reply:
    """List the versions of a name."""
    return await _page(call, "flat", versions_layout())


async def show_registration(call: ICall) -> Reply:
    """Tell of all versions of a name."""
    return await _page(call, "index", _registration(call).index_layout())


async def show_page(call: ICall) -> Reply:
    """Tell of some versions of a name."""
    lower, upper = canonical_version(call.arguments["lower"]), call.arguments["upper"]
    if not upper.endswith(".json"):
        raise FileNotFound
    upper = canonical_version(upper.removesuffix(".json"))
    return await _page(call, f"page-{lower}-{upper}", _registration(call).page_layout(lower, upper))


async def show_leaf(call: ICall) -> Reply:
    """Tell of one version."""
    leaf = call.arguments["leaf"]
    if not leaf.endswith(".json"):
        raise FileNotFound
    registration = _registration(call)
    versions = await call.remote.list_versions(registration.name, canonical_version(leaf.removesuffix(".json")))
    if not versions:
        raise FileNotFound
    body = registration.render_leaf(versions[0])
    etag = hashlib.sha256(body).hexdigest()[:32]
    return Reply(200, body, "application/json", (_ASK_AGAIN,), etag=etag)


async def download(call: ICall) -> Reply:
    """Send a package, its symbols, or its nuspec."""
    name, version = canonical_name(call.arguments["id"]), canonical_version(call.arguments["version"])
    asked = call.arguments["file"].lower()
    if asked == f"{name}.nuspec":
        file = await _find(call, name, version)
        body = await call.remote.find_document(file, NUSPEC_DOCUMENT)
        return Reply(200, body, "application/xml", (_ASK_AGAIN,), etag=f"{file.blob.sha256.hex}-nuspec")
    if _is_file(asked, name, version, SYMBOLS_SUFFIX):
        file = await call.remote.find_file(name, version, symbols_file_name(name, version))
    elif _is_file(asked, name, version, PACKAGE_SUFFIX):
        file = await _find(call, name, version)
    else:
        raise FileNotFound
    return _send(call, file, name, version)


async def download_v2(call: ICall) -> Reply:
    """Send the package of an id and a version."""
    name, version = canonical_name(call.arguments["id"]), canonical_version(call.arguments["version"])
    return _send(call, await _find(call, name, version), name, version)


def _send(call: ICall, file: PackageFile, name: str, version: str) -> Reply:
    return Reply(
        body=StreamBody.of(file, call.remote.open_file),
        content_type="application/octet-stream",
        headers=(_FOR_EVER if _is_for_ever(call, name, version) else _ASK_AGAIN,),
        etag=file.blob.sha256.hex,
        last_modified=file.created_at,
        download_name=file.file_name,
    )


def _is_file(asked: str, name: str, version: str, suffix: str) -> bool:
    """Whether this is the name of the version's file of that kind, with the version written in any way."""
    if not (asked.startswith(f"{name}.") and asked.endswith(suffix)):
        return False
    try:
        return canonical_version(asked[len(name) + 1 : -len(suffix)]) == version
    except InvalidRequest:
        return False


def _is_for_ever(call: ICall, name: str, version: str) -> bool:
    """
    Whether these bytes are the only ones that this address will ever have.

    A group has the version of another project when the first one deletes it, or a caller may read one more project.
    """
    return call.scope.level is Level.PROJECT and not call.remote.duplicate_rule(name, version, ignores_case=True)


async def _find(call: ICall, name: str, version: str) -> PackageFile:
    """Find a package; at a group that of the project which was the first to have it, as its registration tells."""
    wanted = file_name(name, version)
    if call.scope.level is Level.PROJECT:
        return await call.remote.find_file(name, version, wanted)
    files = await call.remote.list_files(name, version)
    found = [file for file in files if file.file_name == wanted]
    if not found:
        raise FileNotFound
    return min(found, key=lambda file: file.package_id)


def _registration(call: ICall) -> Registration:
    return Registration(call.base_url, canonical_name(call.arguments["id"]))


async def _page(call: ICall, variant: str, layout: VersionLayout) -> Reply:
    name = canonical_name(call.arguments["id"])
    state = await call.remote.index_state(name)
    if state.changed_at is None:
        raise PackageNotFound  # here and not when the page is rendered: who is anonymous may have to be asked
    base = hashlib.sha256(call.base_url.encode()).hexdigest()[:16]
    variant = f"nuget-{variant}-{REVISION}-{base}"
    return Reply(
        body=PageBody(partial(call.remote.render_versions, name, state, variant, layout)),
        content_type="application/json",
        headers=(_ASK_AGAIN,),
        etag=f"{state.token}-{variant}",
        last_modified=state.changed_at,
    )
