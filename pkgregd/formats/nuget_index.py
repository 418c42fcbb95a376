"""
What clients resolve from: the service index, registrations, and the versions of the flat container.

Source: NuGet Server API, "Service index", "Package metadata" and "Package content".
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from attrs import frozen

from pkgregd.errors import PackageNotFound
from pkgregd.formats.nuget_names import file_name, version_key
from pkgregd.formats.nuget_nuspec import DependencyGroup, Nuspec
from pkgregd.values import PackageFile

REVISION = "1"
"""Of how these documents look: part of their validators."""

PAGE_VERSIONS = 64
"""How many versions a page has. A name with no more than two pages has them in its index."""

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


def render_versions(files: Sequence[PackageFile]) -> bytes:
    """
    List all versions of a name, those that are not listed, too: they can be fetched.

    Raises:
        PackageNotFound: there are none.
    """
    return _json({"versions": [file.canonical_version for file in some_files(files)]})


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

    def render_index(self, files: Sequence[PackageFile]) -> bytes:
        """Write the index: with all that there is in it, or with the addresses of pages."""
        versions = some_files(files)
        pages = [versions[first : first + PAGE_VERSIONS] for first in range(0, len(versions), PAGE_VERSIONS)]
        is_whole = len(pages) <= 2
        return _json(
            {
                "@id": self.url,
                "@type": ["catalog:CatalogRoot", "PackageRegistration", "catalog:Permalink"],
                "commitTimeStamp": _moment(max(file.created_at for file in versions)),
                "count": len(pages),
                "items": [self._page(page, is_whole=is_whole) for page in pages],
            }
        )

    def render_page(self, lower: str, upper: str, files: Sequence[PackageFile]) -> bytes:
        """
        Write a page.

        Raises:
            PackageNotFound: there is no version in it.
        """
        least, most = version_key(lower), version_key(upper)
        versions = [file for file in newest_files(files) if least <= version_key(file.canonical_version) <= most]
        if not versions:
            raise PackageNotFound
        return _json(self._page(versions, is_whole=True))

    def render_leaf(self, file: PackageFile) -> bytes:
        """Write what is told of one version by itself."""
        return _json(
            {
                "@id": self.leaf_url(file.canonical_version),
                "@type": ["Package", "http://schema.nuget.org/catalog#Permalink"],
                "catalogEntry": self.leaf_url(file.canonical_version),
                "listed": file.yanked_reason is None,
                "packageContent": self.content_url(file.canonical_version),
                "published": _published(file),
                "registration": self.url,
            }
        )

    def _page(self, files: Sequence[PackageFile], *, is_whole: bool) -> Mapping[str, object]:
        lower, upper = files[0].canonical_version, files[-1].canonical_version
        page: dict[str, object] = {
            "@id": f"{self.base_url}/metadata/{self.name}/page/{lower}/{upper}.json",
            "@type": "catalog:CatalogPage",
            "commitTimeStamp": _moment(max(file.created_at for file in files)),
            "count": len(files),
            "lower": lower,
            "upper": upper,
        }
        if is_whole:
            page |= {"parent": self.url, "items": [self._item(file) for file in files]}
        return page

    def _item(self, file: PackageFile) -> Mapping[str, object]:
        version = file.canonical_version
        return {
            "@id": self.leaf_url(version),
            "@type": "Package",
            "commitTimeStamp": _moment(file.created_at),
            "catalogEntry": self._entry(file, Nuspec.from_json(file.package_metadata_json)),
            "packageContent": self.content_url(version),
            "registration": self.url,
        }

    def _entry(self, file: PackageFile, nuspec: Nuspec) -> Mapping[str, object]:
        version = file.canonical_version
        return {
            "@id": self.leaf_url(version),
            "@type": "PackageDetails",
            "id": nuspec.id,
            "version": nuspec.version,
            "listed": file.yanked_reason is None,
            "published": _published(file),
            "packageContent": self.content_url(version),
            "requireLicenseAcceptance": nuspec.requires_acceptance,
            "licenseExpression": nuspec.license_expression,
            "minClientVersion": nuspec.min_client_version,
            "dependencyGroups": [self._group(group) for group in nuspec.groups],
            **described(nuspec),
        }

    def _group(self, group: DependencyGroup) -> Mapping[str, object]:
        found: dict[str, Any] = {"@type": "PackageDependencyGroup"}
        if group.target_framework:
            found["targetFramework"] = group.target_framework
        if group.dependencies:
            found["dependencies"] = [
                {
                    "@type": "PackageDependency",
                    "id": dependency.id,
                    "range": dependency.range or "(, )",
                    "registration": f"{self.base_url}/metadata/{dependency.id.lower()}/index.json",
                }
                for dependency in group.dependencies
            ]
        return found


def described(nuspec: Nuspec) -> Mapping[str, object]:
    """What people are told of a version, in registrations and search results alike."""
    texts = nuspec.texts
    names = ("title", "authors", "description", "summary", "projectUrl", "iconUrl", "licenseUrl", "language")
    return {name: texts.get(name, "") for name in names} | {"tags": texts.get("tags", "").split()}


def some_files(files: Iterable[PackageFile]) -> list[PackageFile]:
    """Do what newest_files() does. Raises PackageNotFound: there are none."""
    found = newest_files(files)
    if not found:
        raise PackageNotFound
    return found


def newest_files(files: Iterable[PackageFile]) -> list[PackageFile]:
    """Take the newest file of each version, in the order of the versions."""
    by_version = {file.canonical_version: file for file in files}
    return [by_version[version] for version in sorted(by_version, key=version_key)]


def _published(file: PackageFile) -> str:
    return _moment(file.created_at) if file.yanked_reason is None else _UNLISTED_AT


def _moment(moment: datetime.datetime) -> str:
    return moment.astimezone(datetime.UTC).isoformat(timespec="milliseconds")


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
