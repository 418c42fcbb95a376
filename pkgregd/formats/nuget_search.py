"""
Search and completion.

Source: NuGet Server API, "Search" and "Autocomplete".
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import partial
from typing import TypeAlias

from attrs import frozen

from pkgregd.errors import InvalidRequest
from pkgregd.formats.nuget_index import Registration, described, newest_files
from pkgregd.formats.nuget_names import Version, canonical_name
from pkgregd.formats.nuget_nuspec import Nuspec
from pkgregd.interfaces import ICall
from pkgregd.values import NameListing, PackageFile, PackageName, Reply

Found: TypeAlias = Sequence[tuple[PackageName, Sequence[PackageFile]]]
"""Names, each with all its files."""

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

    def choose(self, files: Iterable[PackageFile]) -> list[PackageFile]:
        """Take the packages that are wanted, in the order of their versions."""
        return [file for file in newest_files(files) if self.takes(file)]

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
    found = [(name, await call.remote.list_files(name.canonical_name)) for name in listing.names]
    return _answer(await call.remote.compute(partial(_render, call.base_url, wanted, found, listing.total)))


async def autocomplete(call: ICall) -> Reply:
    """List ids, or the versions of one."""
    wanted = Wanted.of(call)
    asked = call.query("id")
    if asked is not None:
        files = await call.remote.list_files(canonical_name(asked))
        return _answer(await call.remote.compute(partial(_render_versions, wanted, files)))
    listing = await _names(call)
    found = [(name, await call.remote.list_files(name.canonical_name)) for name in listing.names]
    return _answer(await call.remote.compute(partial(_render_ids, wanted, found, listing.total)))


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


def _render(base_url: str, wanted: Wanted, found: Found, total: int) -> bytes:
    entries = (_entry(Registration(base_url, name.canonical_name), wanted, files) for name, files in found)
    return _render_piece([entry for entry in entries if entry is not None], len(found), total)


def _render_ids(wanted: Wanted, found: Found, total: int) -> bytes:
    ids = [name.name for name, files in found if _newest(wanted, wanted.choose(files)) is not None]
    return _render_piece(ids, len(found), total)


def _render_versions(wanted: Wanted, files: Sequence[PackageFile]) -> bytes:
    return json.dumps({"data": [file.version for file in wanted.choose(files)]}).encode()


def _render_piece(shown: Sequence[object], asked: int, total: int) -> bytes:
    # what is left out of this piece does not count; what later pieces leave out is not known yet
    return json.dumps({"totalHits": total - (asked - len(shown)), "data": shown}, ensure_ascii=False).encode()


def _entry(registration: Registration, wanted: Wanted, files: Sequence[PackageFile]) -> dict[str, object] | None:
    versions = wanted.choose(files)
    nuspec = _newest(wanted, versions)
    if nuspec is None:
        return None
    return {
        "@id": registration.url,
        "@type": "Package",
        "registration": registration.url,
        "id": nuspec.id,
        "version": nuspec.version,
        "packageTypes": [{"name": name} for name in nuspec.types],
        "totalDownloads": 0,
        "verified": False,
        "versions": [
            {"@id": registration.leaf_url(file.canonical_version), "version": file.version, "downloads": 0}
            for file in versions
        ],
        **described(nuspec),
    }


def _newest(wanted: Wanted, versions: Sequence[PackageFile]) -> Nuspec | None:
    """Return what the newest of some versions says, None if it is not of the type that is wanted."""
    if not versions:
        return None
    nuspec = Nuspec.from_json(versions[-1].package_metadata_json)
    is_wanted = not wanted.package_type or wanted.package_type in map(str.lower, nuspec.types)
    return nuspec if is_wanted else None


def _answer(body: bytes) -> Reply:
    return Reply(200, body, "application/json", headers=(("Cache-Control", "no-cache"),))
