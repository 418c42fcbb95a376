"""
Search and completion.

Source: NuGet Server API, "Search" and "Autocomplete".
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial

from attrs import frozen

from pkgregd.errors import InvalidRequest
from pkgregd.formats.nuget_index import Registration, described, newest_files
from pkgregd.formats.nuget_names import Version, canonical_name, version_key
from pkgregd.formats.nuget_nuspec import Nuspec
from pkgregd.interfaces import ICall
from pkgregd.values import NameListing, PackageFile, Reply

DEFAULT_TAKE = 20
MAX_TAKE = 100
MAX_SKIP = 100_000
_ID_PREFIXES = ("packageid:", "id:")


@frozen
class Wanted:
    """
    Which versions a client can use.

    Attributes:
        prerelease: whether it takes those that are no releases.
        semver2: whether it can read versions of SemVer 2.0.0.
        package_type: only packages of this type; empty for any.
    """

    prerelease: bool
    semver2: bool
    package_type: str

    @classmethod
    def of(cls, call: ICall) -> Wanted:
        """Read the query."""
        return cls(
            prerelease=(call.query("prerelease") or "false").lower() == "true",
            semver2=(call.query("semVerLevel") or "").startswith("2"),
            package_type=(call.query("packageType") or "").lower(),
        )

    def takes(self, file: PackageFile) -> bool:
        """Whether a version is one of them."""
        version = Version.parse(file.version)
        if file.yanked_reason is not None or (version.prerelease and not self.prerelease):
            return False
        return self.semver2 or not version.needs_semver2


async def search(call: ICall) -> Reply:
    """Find packages by id, title, tags and description."""
    wanted = Wanted.of(call)
    listing = await _names(call)
    found = []
    for name in listing.names:
        files = [file for file in await call.remote.list_files(name.canonical_name) if wanted.takes(file)]
        if files:
            found.append((name.canonical_name, files))
    body = await call.remote.compute(partial(_render, call.base_url, wanted, found, listing, len(listing.names)))
    return _answer(body)


async def autocomplete(call: ICall) -> Reply:
    """List ids, or the versions of one."""
    wanted = Wanted.of(call)
    asked = call.query("id")
    if asked is not None:
        files = await call.remote.list_files(canonical_name(asked))
        versions = {file.version for file in files if wanted.takes(file)}
        return _answer(json.dumps({"data": sorted(versions, key=version_key)}).encode())
    listing = await _names(call)
    return _answer(json.dumps({"totalHits": listing.total, "data": [name.name for name in listing.names]}).encode())


async def _names(call: ICall) -> NameListing:
    text = (call.query("q") or "").strip()
    for prefix in _ID_PREFIXES:
        if text.lower().startswith(prefix):
            text = text[len(prefix) :].strip()
    return await call.remote.search(
        text, _number(call, "skip", 0, MAX_SKIP), _number(call, "take", DEFAULT_TAKE, MAX_TAKE)
    )


def _number(call: ICall, name: str, default: int, most: int) -> int:
    text = call.query(name)
    if text is None or text == "":
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise InvalidRequest(f"{name} is a number of at most {most}")
    return min(int(text), most)


def _render(
    base_url: str, wanted: Wanted, found: Sequence[tuple[str, Sequence[PackageFile]]], listing: NameListing, asked: int
) -> bytes:
    shown = [entry for name, files in found if (entry := _entry(Registration(base_url, name), wanted, files))]
    # what is left out of this piece does not count; what later pieces leave out is not known yet
    return json.dumps({"totalHits": listing.total - (asked - len(shown)), "data": shown}, ensure_ascii=False).encode()


def _entry(registration: Registration, wanted: Wanted, files: Sequence[PackageFile]) -> dict[str, object] | None:
    versions = newest_files(files)
    nuspec = Nuspec.from_json(versions[-1].package_metadata_json)
    types = list(nuspec.package_types) or ["Dependency"]
    if wanted.package_type and wanted.package_type not in map(str.lower, types):
        return None
    return {
        "@id": registration.url,
        "@type": "Package",
        "registration": registration.url,
        "id": nuspec.id,
        "version": nuspec.version,
        "packageTypes": [{"name": name} for name in types],
        "totalDownloads": 0,
        "verified": False,
        "versions": [
            {"@id": registration.leaf_url(file.canonical_version), "version": file.version, "downloads": 0}
            for file in versions
        ],
        **described(nuspec),
    }


def _answer(body: bytes) -> Reply:
    return Reply(200, body, "application/json", headers=(("Cache-Control", "no-cache"),))
