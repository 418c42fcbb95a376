"""
Symbol packages: pushed beside the package that they belong to, and taken apart for debuggers.

Source: NuGet Server API, "Push symbol packages"; SSQP, the protocol of symbol servers; GitLab's NuGet API, "Download a
symbol file".
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import partial

from pkgregd.errors import BodyTooLarge, FileExists, FileNotFound, InvalidRequest
from pkgregd.formatkit.zips import read_extent
from pkgregd.formats.nuget_names import Version, canonical_name, file_name, symbols_file_name
from pkgregd.formats.nuget_nuspec import SYMBOLS_TYPE, Nuspec, nuspec_of
from pkgregd.formats.nuget_push import coordinates_of, receive
from pkgregd.formats.nuget_snupkg import MAX_PDB_NAME_CHARACTERS, Symbols, inspect_snupkg, symbol_key, symbols_of
from pkgregd.interfaces import ICall, IDraft
from pkgregd.values import BlobInfo, Digest, OnDuplicate, Publication, Reply, StreamBody

CHECKSUM_HEADER = "SymbolChecksum"
MAX_CHECKSUMS = 16

_CHECKSUM = re.compile(r"(?i:sha256):([0-9A-Fa-f]{64})", re.ASCII)
_FOR_EVER = ("Cache-Control", "private, max-age=31536000, immutable")


async def push_symbols(call: ICall) -> Reply:
    """Publish the symbol package of a form, and each PDB in it as a file of its own, all of them together."""
    async with call.remote.start_publish() as draft:
        blob = await receive(call, draft)
        answer = await draft.inspect(blob, inspect_snupkg)
        nuspec, _ = await call.remote.compute(partial(nuspec_of, answer))
        if not nuspec.is_of_symbols:
            raise InvalidRequest(f"the nuspec of a symbol package has the package type {SYMBOLS_TYPE}")
        found = symbols_of(answer)
        if any(each.extent.size_bytes > call.remote.limits.max_file_bytes for each in found):
            raise BodyTooLarge(call.remote.limits.max_file_bytes)
        replaces = await _demand_place(call, nuspec)
        publications = [_publication(call, nuspec, blob, _symbols_name(nuspec), replaces=replaces)]
        publications += [await _extract(call, draft, nuspec, blob, each, replaces=replaces) for each in found]
        published = await draft.publish_all(publications)
    if not published[0].created and not replaces:
        raise FileExists(published[0].file.file_name)
    return Reply(201, b"{}", "application/json")


async def _demand_place(call: ICall, nuspec: Nuspec) -> bool:
    """
    Pass if the package is there, and has no symbols that may not change; the publish asks again.

    Returns:
        Whether other symbols may be replaced.

    Raises:
        FileNotFound: there is no such package. FileExists: it has symbols.
    """
    name, version = canonical_name(nuspec.id), Version.parse(nuspec.version).canonical
    await call.remote.find_file(name, version, file_name(name, version))
    if call.remote.duplicate_rule(name, version, ignores_case=True):
        return True
    try:
        present = await call.remote.find_file(name, version, _symbols_name(nuspec))
    except FileNotFound:
        return False
    raise FileExists(present.file_name)


def _symbols_name(nuspec: Nuspec) -> str:
    return symbols_file_name(canonical_name(nuspec.id), Version.parse(nuspec.version).canonical)


async def _extract(
    call: ICall, draft: IDraft, nuspec: Nuspec, package: BlobInfo, symbols: Symbols, *, replaces: bool
) -> Publication:
    """Make a blob of a PDB, which has to have the bytes that were inspected."""
    expected = (Digest.sha256(symbols.identity.sha256),)
    blob = await draft.derive(package, partial(read_extent, extent=symbols.extent), expected=expected)
    metadata = json.dumps({"checksum": symbols.identity.checksum})
    return _publication(call, nuspec, blob, symbols.key, replaces=replaces, keys=(symbols.key,), metadata=metadata)


def _publication(
    call: ICall,
    nuspec: Nuspec,
    blob: BlobInfo,
    name: str,
    *,
    replaces: bool,
    keys: Sequence[str] = (),
    metadata: str = "{}",
) -> Publication:
    coordinates = coordinates_of(call, nuspec, name)
    return Publication(
        coordinates=coordinates,
        blob=blob,
        file_metadata_json=metadata,
        on_duplicate=OnDuplicate.REPLACE if replaces else OnDuplicate.REFUSE,
        respects_tombstones=not replaces,
        keys=tuple(keys),
        beside=file_name(coordinates.canonical_name, coordinates.canonical_version),
    )


async def download_symbols(call: ICall) -> Reply:
    """
    Send a PDB to a debugger, which names the checksum that its binary has of it.

    Raises:
        InvalidRequest: it names none. FileNotFound: there is none of that name, signature and checksum.
    """
    wanted = _checksums(call.header(CHECKSUM_HEADER))
    name, signature = call.arguments["file"], call.arguments["signature"]
    if name.lower() != call.arguments["same"].lower() or len(name) > MAX_PDB_NAME_CHARACTERS or len(signature) > 64:
        raise FileNotFound
    file = await call.remote.find_by_key(symbol_key(name, signature))
    if json.loads(file.file_metadata_json).get("checksum") not in wanted:
        raise FileNotFound
    return Reply(
        body=StreamBody.of(file, call.remote.open_file),
        content_type="application/octet-stream",
        headers=(_FOR_EVER, ("Vary", CHECKSUM_HEADER)),
        etag=file.blob.sha256.hex,
        last_modified=file.created_at,
        download_name=name.lower(),
    )


def _checksums(header: str | None) -> frozenset[str]:
    """
    Read the SHA-256 checksums of a header, in lower case.

    Raises:
        InvalidRequest: there is none.
    Source: SSQP, "SymbolChecksum"; debuggers put semicolons between several, GitLab takes commas.
    """
    listed = re.split(r"[,;]", header or "", maxsplit=MAX_CHECKSUMS)[:MAX_CHECKSUMS]
    found = [match for each in listed if (match := _CHECKSUM.fullmatch(each.strip(" \t")))]
    if not found:
        raise InvalidRequest(f"the header {CHECKSUM_HEADER} has to say SHA256: and 64 hexadecimal digits")
    return frozenset(match[1].lower() for match in found)
