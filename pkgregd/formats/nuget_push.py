"""
Publishing, and taking out of sight.

Source: NuGet Server API, "Push and delete".
"""

from __future__ import annotations

from functools import partial

from pkgregd.errors import FileExists, InvalidRequest
from pkgregd.formatkit.multipart import FormLimits, read_form
from pkgregd.formats.nuget_facts import Facts
from pkgregd.formats.nuget_names import Version, canonical_name, canonical_version, file_name
from pkgregd.formats.nuget_nuspec import METADATA_DOCUMENT, NUSPEC_DOCUMENT, Nuspec, inspect_nupkg, nuspec_of
from pkgregd.interfaces import ICall, IDraft
from pkgregd.values import BlobInfo, Coordinates, OnDuplicate, ProtectedAct, Publication, Reply

FORMAT = "nuget"

FORM_OVERHEAD_BYTES = 64 << 10


async def push(call: ICall) -> Reply:
    """Publish the package of a form."""
    async with call.remote.start_publish() as draft:
        blob = await receive(call, draft)
        answer = await draft.inspect(blob, inspect_nupkg)
        nuspec, data = await call.remote.compute(partial(nuspec_of, answer))
        if nuspec.is_of_symbols:
            raise InvalidRequest("this is a symbol package: it is pushed to .../nuget/symbolpackage")
        kept = await call.remote.compute(lambda: nuspec.to_json().encode())
        facts = Facts.of(nuspec, kept)
        name, version = canonical_name(nuspec.id), Version.parse(nuspec.version)
        replaces = call.remote.duplicate_rule(name, version.canonical, ignores_case=True)
        published = await draft.publish(
            Publication(
                coordinates=coordinates_of(call, nuspec, file_name(name, version.canonical)),
                blob=blob,
                package_metadata_json=facts.to_json(),
                documents={NUSPEC_DOCUMENT: data, METADATA_DOCUMENT: kept},
                on_duplicate=OnDuplicate.REPLACE if replaces else OnDuplicate.REFUSE,
                respects_tombstones=not replaces,
                summary=nuspec.summary,
                traits=facts.traits,
            )
        )
    if not published.created and not replaces:
        # also of the same bytes: the client has a switch for this answer
        raise FileExists(published.file.file_name)
    return Reply(201, b"{}", "application/json")


async def receive(call: ICall, draft: IDraft) -> BlobInfo:
    """Store the package of a form."""
    sink = await draft.open_sink(("sha512",))
    await read_form(
        call.body,
        call.header("Content-Type"),
        file_field="package",
        sink=sink,
        limits=FormLimits(
            call.remote.limits.max_file_bytes,
            max_parts=8,
            max_fields_bytes=FORM_OVERHEAD_BYTES,
            takes_extended_names=True,
        ),
    )
    return await sink.commit()


def coordinates_of(call: ICall, nuspec: Nuspec, file_name: str) -> Coordinates:
    """Name a file of the package that a nuspec is about."""
    version = Version.parse(nuspec.version)
    return Coordinates(
        format=FORMAT,
        project_id=call.scope.id,
        name=nuspec.id,
        canonical_name=canonical_name(nuspec.id),
        version=version.full,
        canonical_version=version.canonical,
        file_name=file_name,
    )


async def unlist(call: ICall) -> Reply:
    """Take a version out of sight: whoever names it still gets it."""
    name, version = canonical_name(call.arguments["id"]), canonical_version(call.arguments["version"])
    await call.remote.yank(name, version, "", act=ProtectedAct.DELETE)
    return Reply(204)


async def relist(call: ICall) -> Reply:
    """Show a version again."""
    await call.remote.yank(canonical_name(call.arguments["id"]), canonical_version(call.arguments["version"]), None)
    return Reply(200, b"{}", "application/json")
