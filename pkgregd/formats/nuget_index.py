"""
What clients resolve from: the service index, registrations, and the versions of the flat container.

Source: NuGet Server API, "Service index", "Package metadata" and "Package content".
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from attrs import frozen

from pkgregd.errors import PackageNotFound
from pkgregd.formats.nuget_facts import Facts
from pkgregd.formats.nuget_names import file_name, version_key
from pkgregd.formats.nuget_nuspec import METADATA_DOCUMENT, DependencyGroup, Nuspec
from pkgregd.values import ChosenVersions, PackageVersion, VersionLayout

REVISION = "2"
"""Of how these documents look: part of their validators."""

PAGE_VERSIONS = 64
PAGE_BYTES = 256 << 10
"""
How many versions a page has at most, and how much may be kept of their nuspecs; one version is never too much.

A name with no more than two pages has them in its index.
"""

_RESOURCES: Sequence[tuple[str, str, Sequence[str]]] = (
    ("download/", "PackageBaseAddress", ("/3.0.0",)),
    ("metadata/", "RegistrationsBaseUrl", ("", "/3.0.0-beta", "/3.0.0-rc", "/3.4.0", "/3.6.0", "/Versioned")),
    ("query", "SearchQueryService", ("", "/3.0.0-beta", "/3.0.0-rc", "/3.5.0")),
    ("autocomplete", "SearchAutocompleteService", ("", "/3.0.0-beta", "/3.0.0-rc", "/3.5.0")),
    ("", "PackagePublish", ("/2.0.0",)),
    ("symbolpackage", "SymbolPackagePublish", ("/4.9.0",)),
)

_UNLISTED_AT = "1900-01-01T00:00:00+00:00"
"""When clients take a package to be published that is not listed."""


def service_index(base_url: str, *, publishes: bool) -> bytes:
    """
    Tell where everything is.

    Args:
        publishes: whether packages can be pushed here.
    """
    resources = [
        {"@id": f"{base_url}/{path}".removesuffix("/") if not path else f"{base_url}/{path}", "@type": kind + version}
        for path, kind, versions in _RESOURCES
        for version in versions
        if publishes or not kind.endswith("Publish")
    ]
    return _json({"version": "3.0.0", "resources": resources})


def ordered(versions: Iterable[PackageVersion]) -> list[PackageVersion]:
    """
    Take each version once, in their order.

    Args:
        versions: as they came: of several projects' packages of one version the first one counts, so that nobody
            takes the place of what is there.
    """
    first: dict[str, PackageVersion] = {}
    for version in versions:
        first.setdefault(version.canonical_version, version)
    return [first[version] for version in sorted(first, key=version_key)]


def versions_layout() -> VersionLayout:
    """Lay out the list of all versions of a name, those that are not listed, too: they can be fetched."""
    return VersionLayout(lambda _: ChosenVersions(()), METADATA_DOCUMENT, _render_versions)


def _render_versions(
    versions: Sequence[PackageVersion], chosen: Sequence[PackageVersion], documents: Mapping[int, bytes]
) -> Iterator[bytes]:
    yield _json({"versions": [version.canonical_version for version in ordered(versions)]})


def _pages(versions: Sequence[PackageVersion]) -> list[list[PackageVersion]]:
    """Cut versions in their order into pages."""
    pages: list[list[PackageVersion]] = []
    size_bytes = 0
    for version in versions:
        size_bytes += _size_bytes(version)
        if not pages or len(pages[-1]) == PAGE_VERSIONS or size_bytes > PAGE_BYTES:
            pages.append([])
            size_bytes = _size_bytes(version)
        pages[-1].append(version)
    return pages


def _size_bytes(version: PackageVersion) -> int:
    return Facts.from_json(version.metadata_json).size_bytes


def _choose_for_index(versions: Sequence[PackageVersion]) -> ChosenVersions:
    """Choose all versions if the index has them, none if it tells where they are."""
    all_of_them = ordered(versions)
    return ChosenVersions(all_of_them if len(_pages(all_of_them)) <= 2 else ())


def _choose_for_page(lower: str, upper: str, versions: Sequence[PackageVersion]) -> ChosenVersions:
    """
    Choose the versions of a page.

    Raises:
        PackageNotFound: it is none, and cannot have been one a while ago.
    """
    all_of_them = ordered(versions)
    for page in _pages(all_of_them):
        if (page[0].canonical_version, page[-1].canonical_version) == (lower, upper):
            return ChosenVersions(page)
    return ChosenVersions(_earlier_page(lower, upper, all_of_them), is_kept=False)


def _earlier_page(lower: str, upper: str, versions: Sequence[PackageVersion]) -> Sequence[PackageVersion]:
    """
    Find what a page has become whose address a client took from an earlier index, which it keeps for half an hour.

    Raises:
        PackageNotFound: see _choose_for_page.
    """
    places = {version.canonical_version: place for place, version in enumerate(versions)}
    if lower not in places or upper not in places:
        raise PackageNotFound
    found = versions[places[lower] : places[upper] + 1]
    if not 0 < len(found) <= 2 * PAGE_VERSIONS or sum(map(_size_bytes, found)) > 2 * PAGE_BYTES:
        raise PackageNotFound
    return found


@frozen
class Registration:
    """
    The registration of a name at an address.

    Attributes:
        base_url: of the format there.
        name: canonical.
    """

    base_url: str
    name: str

    @property
    def url(self) -> str:
        """Of its index."""
        return f"{self.base_url}/metadata/{self.name}/index.json"

    def content_url(self, version: str) -> str:
        """Where the package is."""
        return f"{self.base_url}/download/{self.name}/{version}/{file_name(self.name, version)}"

    def leaf_url(self, version: str) -> str:
        """Where a version is told of by itself."""
        return f"{self.base_url}/metadata/{self.name}/{version}.json"

    # ------------------------------------------------------------------ documents

    def index_layout(self) -> VersionLayout:
        """Lay out the index: with all that there is in it, or with the addresses of pages."""
        return VersionLayout(_choose_for_index, METADATA_DOCUMENT, self._render_index)

    def page_layout(self, lower: str, upper: str) -> VersionLayout:
        """Lay out a page, from one canonical version to another."""
        return VersionLayout(partial(_choose_for_page, lower, upper), METADATA_DOCUMENT, self._render_page)

    def render_leaf(self, version: PackageVersion) -> bytes:
        """Write what is told of one version by itself."""
        return _json(
            {
                "@id": self.leaf_url(version.canonical_version),
                "@type": ["Package", "http://schema.nuget.org/catalog#Permalink"],
                "catalogEntry": self.leaf_url(version.canonical_version),
                "listed": version.yanked_reason is None,
                "packageContent": self.content_url(version.canonical_version),
                "published": _published(version),
                "registration": self.url,
            }
        )

    def _render_index(
        self, versions: Sequence[PackageVersion], chosen: Sequence[PackageVersion], documents: Mapping[int, bytes]
    ) -> Iterator[bytes]:
        pages = _pages(_told(chosen, documents) if chosen else ordered(versions))
        head = {
            "@id": self.url,
            "@type": ["catalog:CatalogRoot", "PackageRegistration", "catalog:Permalink"],
            "commitTimeStamp": _moment(max(version.created_at for version in versions)),
            "count": len(pages),
        }
        yield _opened(head)
        for number, page in enumerate(pages):
            yield b"," if number else b""
            if chosen:
                yield from self._page(page, documents)
            else:
                yield _json(self._page_head(page))
        yield b"]}"

    def _render_page(
        self, versions: Sequence[PackageVersion], chosen: Sequence[PackageVersion], documents: Mapping[int, bytes]
    ) -> Iterator[bytes]:
        told = _told(chosen, documents)
        if not told:
            raise PackageNotFound
        yield from self._page(told, documents)

    def _page(self, versions: Sequence[PackageVersion], documents: Mapping[int, bytes]) -> Iterator[bytes]:
        yield _opened({**self._page_head(versions), "parent": self.url})
        for number, version in enumerate(versions):
            yield b"," if number else b""
            yield _json(self._item(version, Nuspec.from_json(documents[version.package_id])))
        yield b"]}"

    def _page_head(self, versions: Sequence[PackageVersion]) -> Mapping[str, object]:
        lower, upper = versions[0].canonical_version, versions[-1].canonical_version
        return {
            "@id": f"{self.base_url}/metadata/{self.name}/page/{lower}/{upper}.json",
            "@type": "catalog:CatalogPage",
            "commitTimeStamp": _moment(max(version.created_at for version in versions)),
            "count": len(versions),
            "lower": lower,
            "upper": upper,
        }

    def _item(self, version: PackageVersion, nuspec: Nuspec) -> Mapping[str, object]:
        return {
            "@id": self.leaf_url(version.canonical_version),
            "@type": "Package",
            "commitTimeStamp": _moment(version.created_at),
            "catalogEntry": self._entry(version, nuspec),
            "packageContent": self.content_url(version.canonical_version),
            "registration": self.url,
        }

    def _entry(self, version: PackageVersion, nuspec: Nuspec) -> Mapping[str, object]:
        return {
            "@id": self.leaf_url(version.canonical_version),
            "@type": "PackageDetails",
            "id": nuspec.id,
            "version": nuspec.version,
            "listed": version.yanked_reason is None,
            "published": _published(version),
            "packageContent": self.content_url(version.canonical_version),
            "requireLicenseAcceptance": nuspec.requires_acceptance,
            "licenseExpression": nuspec.license_expression,
            "minClientVersion": nuspec.min_client_version,
            "dependencyGroups": [_group(group) for group in nuspec.groups],
            **described(nuspec),
        }


def _group(group: DependencyGroup) -> Mapping[str, object]:
    found: dict[str, Any] = {"@type": "PackageDependencyGroup"}
    if group.target_framework:
        found["targetFramework"] = group.target_framework
    if group.dependencies:
        # without the addresses of their registrations, which nobody needs and which would be most of the page
        found["dependencies"] = [
            {"@type": "PackageDependency", "id": dependency.id, "range": dependency.range or "(, )"}
            for dependency in group.dependencies
        ]
    return found


def _told(versions: Sequence[PackageVersion], documents: Mapping[int, bytes]) -> Sequence[PackageVersion]:
    """Leave out versions that were deleted while others were read."""
    return [version for version in versions if version.package_id in documents]


def described(nuspec: Nuspec) -> Mapping[str, object]:
    """What people are told of a version, in registrations and search results alike."""
    texts = nuspec.texts
    names = ("title", "authors", "description", "summary", "projectUrl", "iconUrl", "licenseUrl", "language")
    return {name: texts.get(name, "") for name in names} | {"tags": texts.get("tags", "").split()}


def _published(version: PackageVersion) -> str:
    return _moment(version.created_at) if version.yanked_reason is None else _UNLISTED_AT


def _moment(moment: datetime.datetime) -> str:
    return moment.astimezone(datetime.UTC).isoformat(timespec="milliseconds")


def _opened(head: Mapping[str, object]) -> bytes:
    """Write an object up to the first of its items."""
    return _json(head)[:-1] + b',"items":['


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
