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
from pkgregd.formats.nuget_facts import RELEASE, SEMVER1, Facts, type_trait
from pkgregd.formats.nuget_index import Registration, described, ordered
from pkgregd.formats.nuget_names import canonical_name
from pkgregd.formats.nuget_nuspec import METADATA_DOCUMENT, Nuspec
from pkgregd.interfaces import ICall
from pkgregd.values import NameListing, PackageVersion, Reply

DEFAULT_TAKE = 20
MAX_TAKE = 100
MAX_SKIP = 100_000
MAX_VERSIONS = 128
"""How many versions of a name a search tells of: the newest ones. The registration has them all."""

MAX_TYPE_CHARACTERS = 100


@frozen
class Wanted:
    """
    Which versions a client can use.

    Attributes:
        traits: what Facts.traits has of each of them.
    """

    traits: tuple[str, ...]

    @classmethod
    def of(cls, call: ICall) -> Wanted:
        """Read the query: whether it takes prereleases, can read SemVer 2.0.0, and wants one type alone."""
        traits = []
        if (call.query("prerelease") or "false").lower() != "true":
            traits.append(RELEASE)
        if not (call.query("semVerLevel") or "").startswith("2"):
            traits.append(SEMVER1)
        package_type = call.query("packageType") or ""
        if package_type:
            if package_type.split() != [package_type] or len(package_type) > MAX_TYPE_CHARACTERS:
                raise InvalidRequest(f"packageType is a word of at most {MAX_TYPE_CHARACTERS} characters")
            traits.append(type_trait(package_type))
        return cls(tuple(traits))

    def takes(self, version: PackageVersion) -> bool:
        """Whether a version is one of them."""
        return version.yanked_reason is None and set(self.traits) <= {*Facts.from_json(version.metadata_json).traits}

    def choose(self, versions: Sequence[PackageVersion]) -> list[PackageVersion]:
        """Choose versions out of all of a name, in their order."""
        return [version for version in ordered(versions) if self.takes(version)]


async def search(call: ICall) -> Reply:
    """Find packages by id, title, tags and description."""
    wanted = Wanted.of(call)
    listing = await _names(call, wanted)
    entries = []
    for name in listing.names:  # one after the other: a name can have any number of versions
        entry = await _find_entry(call, wanted, name.canonical_name)
        if entry is not None:
            entries.append(entry)
    total = listing.total - (len(listing.names) - len(entries))
    return _answer(b'{"totalHits":%d,"data":[%s]}' % (total, b",".join(entries)))


async def autocomplete(call: ICall) -> Reply:
    """List ids, or the versions of one."""
    wanted = Wanted.of(call)
    asked = call.query("id")
    if asked is not None:
        versions = await call.remote.list_versions(canonical_name(asked))
        return _answer(await call.remote.compute(partial(_render_versions, wanted, versions)))
    listing = await _names(call, wanted)
    return _answer(json.dumps({"totalHits": listing.total, "data": [name.name for name in listing.names]}).encode())


async def _names(call: ICall, wanted: Wanted) -> NameListing:
    text, is_id = _text(call)
    skip, take = _number(call, "skip", 0, MAX_SKIP), _number(call, "take", DEFAULT_TAKE, MAX_TAKE)
    if not is_id:
        return await call.remote.search(text, skip, take, wanted.traits)
    name = await call.remote.find_name(text.lower())
    if name is None or not await _choose(call, wanted, name.canonical_name):
        return NameListing((), 0)
    return NameListing((name,)[skip : skip + take], 1)


def _text(call: ICall) -> tuple[str, bool]:
    """Return what to search for, and whether it is a whole id."""
    text = (call.query("q") or "").strip()
    kind, colon, rest = text.partition(":")
    if not colon or kind.lower() not in ("id", "packageid"):
        return text, False
    return rest.strip(), kind.lower() == "packageid"


async def _choose(call: ICall, wanted: Wanted, name: str) -> Sequence[PackageVersion]:
    versions = await call.remote.list_versions(name)
    return await call.remote.compute(partial(wanted.choose, versions))


def _number(call: ICall, name: str, default: int, most: int) -> int:
    text = call.query(name)
    if text is None or text == "":
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise InvalidRequest(f"{name} is a number of at most {most}")
    return min(int(text), most)


async def _find_entry(call: ICall, wanted: Wanted, name: str) -> bytes | None:
    """
    Tell of a name.

    Returns:
        None if there is nothing to tell: it went away meanwhile, or a group's search found a version in one project
        that another project was the first to have, and has taken out of sight.
    """
    chosen = await _choose(call, wanted, name)
    documents = await call.remote.list_documents(chosen[-1:], METADATA_DOCUMENT)
    if not documents:
        return None
    (document,) = documents.values()
    return await call.remote.compute(partial(_render_entry, Registration(call.base_url, name), chosen, document))


def _render_entry(registration: Registration, versions: Sequence[PackageVersion], document: bytes) -> bytes:
    nuspec = Nuspec.from_json(document)
    shown = [
        (version.canonical_version, Facts.from_json(version.metadata_json)) for version in versions[-MAX_VERSIONS:]
    ]
    entry = {
        "@id": registration.url,
        "@type": "Package",
        "registration": registration.url,
        "id": nuspec.id,
        "version": nuspec.version,
        "packageTypes": [{"name": name} for name in shown[-1][1].package_types],
        "totalDownloads": 0,
        "verified": False,
        "versions": [
            {"@id": registration.leaf_url(version), "version": facts.version, "downloads": 0}
            for version, facts in shown
        ],
        **described(nuspec),
    }
    return json.dumps(entry, separators=(",", ":"), ensure_ascii=False).encode()


def _render_versions(wanted: Wanted, versions: Sequence[PackageVersion]) -> bytes:
    shown = [Facts.from_json(version.metadata_json).version for version in wanted.choose(versions)]
    return json.dumps({"data": shown}).encode()


def _answer(body: bytes) -> Reply:
    return Reply(200, body, "application/json", headers=(("Cache-Control", "no-cache"),))
