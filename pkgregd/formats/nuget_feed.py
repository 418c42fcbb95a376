"""
Atom documents of the second version of the protocol, written with every text escaped.

Source: OData 2.0, "Atom format"; the properties are those that NuGet's clients read.
"""

from __future__ import annotations

import base64
import datetime
import re
from collections.abc import Iterable, Mapping, Sequence
from xml.sax.saxutils import escape, quoteattr

from pkgregd.formats.nuget_names import Version
from pkgregd.formats.nuget_nuspec import DependencyGroup, Nuspec
from pkgregd.formats.nuget_rows import Row
from pkgregd.values import PackageFile

XML_TYPE = "application/xml; charset=utf-8"
FEED_TYPE = "application/atom+xml; type=feed; charset=utf-8"
ENTRY_TYPE = "application/atom+xml; type=entry; charset=utf-8"

UNLISTED_AT = datetime.datetime(1900, 1, 1, tzinfo=datetime.UTC)
"""When clients take a package to be published that is not listed."""

_HEAD = '<?xml version="1.0" encoding="utf-8"?>\n'
_NAMESPACES = (
    'xmlns="http://www.w3.org/2005/Atom" xmlns:d="http://schemas.microsoft.com/ado/2007/08/dataservices" '
    'xmlns:m="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata"'
)
_SCHEME = "http://schemas.microsoft.com/ado/2007/08/dataservices/scheme"
_IMPOSSIBLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What no XML document can hold, escaped or not."""

_PROPERTIES: Sequence[tuple[str, str]] = (
    ("Id", "Edm.String"), ("Version", "Edm.String"), ("NormalizedVersion", "Edm.String"), ("Title", "Edm.String"),
    ("Authors", "Edm.String"), ("Description", "Edm.String"), ("Summary", "Edm.String"), ("Tags", "Edm.String"),
    ("Copyright", "Edm.String"), ("Language", "Edm.String"), ("ReleaseNotes", "Edm.String"),
    ("ProjectUrl", "Edm.String"), ("IconUrl", "Edm.String"), ("LicenseUrl", "Edm.String"),
    ("Dependencies", "Edm.String"), ("MinClientVersion", "Edm.String"), ("PackageHash", "Edm.String"),
    ("PackageHashAlgorithm", "Edm.String"), ("PackageSize", "Edm.Int64"), ("Created", "Edm.DateTime"),
    ("LastUpdated", "Edm.DateTime"), ("Published", "Edm.DateTime"), ("DownloadCount", "Edm.Int32"),
    ("VersionDownloadCount", "Edm.Int32"), ("IsLatestVersion", "Edm.Boolean"),
    ("IsAbsoluteLatestVersion", "Edm.Boolean"), ("IsPrerelease", "Edm.Boolean"), ("Listed", "Edm.Boolean"),
    ("RequireLicenseAcceptance", "Edm.Boolean"),
)  # fmt: skip


def render_service(base_url: str) -> bytes:
    """Write the document that tells which collections there are."""
    return (
        f'{_HEAD}<service xml:base={quoteattr(base_url + "/")} xmlns="http://www.w3.org/2007/app" '
        'xmlns:atom="http://www.w3.org/2005/Atom"><workspace><atom:title type="text">Default</atom:title>'
        '<collection href="Packages"><atom:title type="text">Packages</atom:title></collection></workspace></service>'
    ).encode()


def render_metadata() -> bytes:
    """Write the schema: what clients look for in it is which functions and properties there are."""
    properties = "".join(f'<Property Name="{name}" Type="{kind}"/>' for name, kind in _PROPERTIES)
    collection = "Collection(NuGetGallery.OData.V2FeedPackage)"
    functions = "".join(
        f'<FunctionImport Name="{name}" ReturnType="{collection}" EntitySet="Packages" m:HttpMethod="GET">'
        + "".join(f'<Parameter Name="{each}" Type="{kind}"/>' for each, kind in parameters.items())
        + "</FunctionImport>"
        for name, parameters in _FUNCTIONS.items()
    )
    return (
        f'{_HEAD}<edmx:Edmx Version="1.0" xmlns:edmx="http://schemas.microsoft.com/ado/2007/06/edmx">'
        '<edmx:DataServices m:DataServiceVersion="2.0" m:MaxDataServiceVersion="2.0" '
        'xmlns:m="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata">'
        '<Schema Namespace="NuGetGallery.OData" xmlns="http://schemas.microsoft.com/ado/2006/04/edm">'
        '<EntityType Name="V2FeedPackage" m:HasStream="true"><Key><PropertyRef Name="Id"/>'
        f'<PropertyRef Name="Version"/></Key>{properties}</EntityType></Schema>'
        '<Schema Namespace="NuGetGallery" xmlns="http://schemas.microsoft.com/ado/2006/04/edm">'
        '<EntityContainer Name="V2FeedContext" m:IsDefaultEntityContainer="true">'
        f'<EntitySet Name="Packages" EntityType="NuGetGallery.OData.V2FeedPackage"/>{functions}'
        "</EntityContainer></Schema></edmx:DataServices></edmx:Edmx>"
    ).encode()


_FUNCTIONS: Mapping[str, Mapping[str, str]] = {
    "Search": {
        "searchTerm": "Edm.String", "targetFramework": "Edm.String", "includePrerelease": "Edm.Boolean",
        "semVerLevel": "Edm.String",
    },
    "FindPackagesById": {"id": "Edm.String", "semVerLevel": "Edm.String"},
}  # fmt: skip


def render_feed(
    base_url: str, title: str, entries: Sequence[str], updated_at: datetime.datetime, next_url: str | None
) -> bytes:
    """
    Write a feed.

    Args:
        base_url: of the second version of the protocol here.
        title: of the collection or function.
        entries: of render_entries().
        next_url: where it goes on; None if this is all.
    """
    pieces = [
        f"{_HEAD}<feed xml:base={quoteattr(base_url + '/')} {_NAMESPACES}>",
        _element("id", f"{base_url}/{title}"),
        f'<title type="text">{escape(title)}</title>',
        _element("updated", _moment(updated_at) + "Z"),
        f'<link rel="self" title={quoteattr(title)} href={quoteattr(title)}/>',
        *entries,
        "" if next_url is None else f'<link rel="next" href={quoteattr(next_url)}/>',
        "</feed>",
    ]
    return "".join(pieces).encode()


def render_entries(
    base_url: str, files: Mapping[int, PackageFile], rows: Sequence[Row], documents: Mapping[int, bytes]
) -> list[str]:
    """
    Write the entries of a feed. Versions that were deleted meanwhile are left out.

    Args:
        files, documents: by package.
    """
    return [_entry(base_url, row, *found, "") for row in rows if (found := _found(row, files, documents))]


def render_entry(
    base_url: str, files: Mapping[int, PackageFile], rows: Sequence[Row], documents: Mapping[int, bytes]
) -> bytes:
    """Write a version by itself, the only one of these rows; empty if it was deleted meanwhile."""
    attributes = f" xml:base={quoteattr(base_url + '/')} {_NAMESPACES}"
    found = _found(rows[0], files, documents)
    return b"" if found is None else (_HEAD + _entry(base_url, rows[0], *found, attributes)).encode()


def _found(
    row: Row, files: Mapping[int, PackageFile], documents: Mapping[int, bytes]
) -> tuple[PackageFile, Nuspec] | None:
    package_id = row.version.package_id
    if package_id not in files or package_id not in documents:
        return None
    return files[package_id], Nuspec.from_json(documents[package_id])


def _entry(base_url: str, row: Row, file: PackageFile, nuspec: Nuspec, attributes: str) -> str:
    address = f"Packages(Id='{nuspec.id}',Version='{file.canonical_version}')"
    content = f"{base_url}/package/{nuspec.id}/{file.canonical_version}"
    values = _values(row, file, nuspec)
    return "".join(
        (
            f"<entry{attributes}>",
            _element("id", f"{base_url}/{address}"),
            f'<category term="NuGetGallery.OData.V2FeedPackage" scheme="{_SCHEME}"/>',
            f'<link rel="edit" title="V2FeedPackage" href={quoteattr(address)}/>',
            f'<title type="text">{_clean(nuspec.id)}</title>',
            f'<summary type="text">{_clean(nuspec.texts.get("summary", ""))}</summary>',
            _element("updated", _moment(file.created_at) + "Z"),
            f"<author>{_element('name', nuspec.texts.get('authors', ''))}</author>",
            f'<content type="application/zip" src={quoteattr(content)}/>',
            "<m:properties>",
            *(_property(name, kind, values[name]) for name, kind in _PROPERTIES),
            "</m:properties></entry>",
        )
    )


def _values(row: Row, file: PackageFile, nuspec: Nuspec) -> Mapping[str, str]:
    texts = nuspec.texts
    sha512 = file.blob.digests.get("sha512")
    return {
        "Id": nuspec.id,
        "Version": nuspec.version,
        "NormalizedVersion": Version.parse(nuspec.version).normalized,
        "Title": texts.get("title", "") or nuspec.id,
        "Authors": texts.get("authors", ""),
        "Description": texts.get("description", ""),
        "Summary": texts.get("summary", ""),
        "Tags": texts.get("tags", ""),
        "Copyright": texts.get("copyright", ""),
        "Language": texts.get("language", ""),
        "ReleaseNotes": texts.get("releaseNotes", ""),
        "ProjectUrl": texts.get("projectUrl", ""),
        "IconUrl": texts.get("iconUrl", ""),
        "LicenseUrl": texts.get("licenseUrl", ""),
        "Dependencies": render_dependencies(nuspec.groups),
        "MinClientVersion": nuspec.min_client_version,
        "PackageHash": "" if sha512 is None else base64.b64encode(bytes.fromhex(sha512)).decode("ascii"),
        "PackageHashAlgorithm": "" if sha512 is None else "SHA512",
        "PackageSize": str(file.blob.size_bytes),
        "Created": _moment(file.created_at),
        "LastUpdated": _moment(file.created_at),
        "Published": _moment(file.created_at if row.is_listed else UNLISTED_AT),
        "DownloadCount": "0",
        "VersionDownloadCount": "0",
        "IsLatestVersion": _truth(row.is_latest),
        "IsAbsoluteLatestVersion": _truth(row.is_absolute_latest),
        "IsPrerelease": _truth(row.is_prerelease),
        "Listed": _truth(row.is_listed),
        "RequireLicenseAcceptance": _truth(nuspec.requires_acceptance),
    }


def render_dependencies(groups: Iterable[DependencyGroup]) -> str:
    """Write dependencies as one text: `id:range:framework`, with bars between them; a group may have none."""
    written = []
    for group in groups:
        written += [f"{each.id}:{each.range}:{group.target_framework}" for each in group.dependencies]
        if not group.dependencies:
            written.append(f"::{group.target_framework}")
    return "|".join(written)


def _property(name: str, kind: str, text: str) -> str:
    attribute = "" if kind == "Edm.String" else f' m:type="{kind}"'
    if not text:
        return f'<d:{name}{attribute} m:null="true"/>'
    return f"<d:{name}{attribute}>{_clean(text)}</d:{name}>"


def _element(name: str, text: str) -> str:
    return f"<{name}>{_clean(text)}</{name}>"


def _clean(text: str) -> str:
    return escape(_IMPOSSIBLE.sub("", text))


def _moment(moment: datetime.datetime) -> str:
    return moment.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S") + f".{moment.microsecond // 1000:03}"


def _truth(value: bool) -> str:
    return "true" if value else "false"
