"""
Search and completion.

Source: NuGet Server API, "Search" and "Autocomplete".
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TypeAlias

from attrs import frozen

from pkgregd.errors import InvalidRequest
from pkgregd.formats.nuget_index import Registration, described, newest_files
from pkgregd.formats.nuget_names import Version, canonical_name
from pkgregd.formats.nuget_nuspec import Nuspec
from pkgregd.interfaces import ICall
from pkgregd.values import PackageFile, PackageName, Reply

Show: TypeAlias = Callable[[PackageName, Sequence[PackageFile]], object]
"""Makes what is shown of a name, None if it has no version that is wanted. Pure."""

DEFAULT_TAKE = 20
MAX_TAKE = 100
MAX_SKIP = 100_000
MAX_NAMES = 1000
"""How many names are gone through for one piece."""

MIN_NAMES_AT_ONCE = 20


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
    return await _answer(call, *await _find(call, partial(_entry, call.base_url, wanted)))


async def autocomplete(call: ICall) -> Reply:
    """List ids, or the versions of one."""
    wanted = Wanted.of(call)
    asked = call.query("id")
    if asked is None:
        return await _answer(call, *await _find(call, partial(_id, wanted)))
    files = await call.remote.list_files(canonical_name(asked))
    versions = await call.remote.compute(lambda: [file.version for file in wanted.choose(files)])
    return await _answer(call, versions, len(versions))


async def _find(call: ICall, show: Show) -> tuple[Sequence[object], int]:
    """
    Find the piece that is asked for, of the names that have something to show.

    Up to MAX_NAMES, names are gone through from the first one on, so that a piece is full whatever was passed over. A
    piece beyond them begins at the name of that number.

    Returns:
        The piece; and how many there are in all, as if all that was not looked at had something to show.
    """
    text, is_id = _text(call)
    skip, take = _number(call, "skip", 0, MAX_SKIP), _number(call, "take", DEFAULT_TAKE, MAX_TAKE)
    offset, first = (0, skip) if skip + take <= MAX_NAMES else (skip, 0)
    if is_id:
        name = await call.remote.find_name(text.lower())
        entry = None if name is None else await _show_name(call, show, name)
        entries = [] if entry is None else [entry]
        return entries[skip : skip + take], len(entries)
    shown: list[object] = []
    seen, passed_over, at_once = 0, 0, max(take, MIN_NAMES_AT_ONCE)
    while True:
        listing = await call.remote.search(text, offset, at_once)
        for name in listing.names:  # one after the other: no more than one's versions are in memory
            entry = await _show_name(call, show, name)
            if entry is None:
                passed_over += 1
                continue
            if first <= seen < first + take:
                shown.append(entry)
            seen += 1
            if seen >= first + take:
                return shown, max(listing.total - passed_over, 0)
        offset += len(listing.names)
        at_once *= 2
        if not listing.names or offset >= min(listing.total, max(MAX_NAMES, skip + take)):
            return shown, max(listing.total - passed_over, 0)


async def _show_name(call: ICall, show: Show, name: PackageName) -> object:
    files = await call.remote.list_files(name.canonical_name)
    return await call.remote.compute(partial(show, name, files))


def _text(call: ICall) -> tuple[str, bool]:
    """Return what to search for, and whether it is a whole id."""
    text = (call.query("q") or "").strip()
    kind, colon, rest = text.partition(":")
    if not colon or kind.lower() not in ("id", "packageid"):
        return text, False
    return rest.strip(), kind.lower() == "packageid"


def _number(call: ICall, name: str, default: int, most: int) -> int:
    text = call.query(name)
    if text is None or text == "":
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise InvalidRequest(f"{name} is a number of at most {most}")
    return min(int(text), most)


def _id(wanted: Wanted, name: PackageName, files: Sequence[PackageFile]) -> str | None:
    return None if _newest(wanted, wanted.choose(files)) is None else name.name


def _entry(base_url: str, wanted: Wanted, name: PackageName, files: Sequence[PackageFile]) -> dict[str, object] | None:
    registration = Registration(base_url, name.canonical_name)
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


async def _answer(call: ICall, data: Sequence[object], total: int) -> Reply:
    document = {"totalHits": total, "data": data}
    body = await call.remote.compute(lambda: json.dumps(document, ensure_ascii=False).encode())
    return Reply(200, body, "application/json", headers=(("Cache-Control", "no-cache"),))
