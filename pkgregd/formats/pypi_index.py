"""
The simple index: files in, bytes out.

Links are relative, so that they stay on the address that the client used.

Source: PEP 503 (HTML), PEP 691 (JSON and its negotiation), PEP 700 (versions, sizes, upload times).
"""

from __future__ import annotations

import datetime
import enum
import html
import json
from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import quote

from attrs import asdict, frozen

from pkgregd.formatkit.headers import best_media_type
from pkgregd.formats.pypi_names import parse_version
from pkgregd.values import PackageFile, PackageName

REVISION = 1
"""Goes up when the same rows come to look differently: it is part of every ETag."""


class Representation(enum.Enum):
    """How a page of the index is written; the value is its content type."""

    JSON = "application/vnd.pypi.simple.v1+json"
    HTML_V1 = "application/vnd.pypi.simple.v1+html"
    HTML = "text/html; charset=utf-8"


OFFERS: Mapping[str, Representation] = {
    "application/vnd.pypi.simple.v1+json": Representation.JSON,
    "application/vnd.pypi.simple.latest+json": Representation.JSON,
    "application/vnd.pypi.simple.v1+html": Representation.HTML_V1,
    "application/vnd.pypi.simple.latest+html": Representation.HTML_V1,
    "text/html": Representation.HTML,
}


def choose_representation(accept: str | None) -> Representation | None:
    """Choose by the Accept header; HTML for whoever takes anything, None if nothing fits."""
    offers = {media_type: representation.name for media_type, representation in OFFERS.items()}
    chosen = best_media_type(accept, offers, "text/html")
    return None if chosen is None else Representation[chosen]


@frozen
class FileMetadata:
    """
    What is kept beside a file, taken from the archive.

    Attributes:
        filetype: `bdist_wheel` or `sdist`.
        requires_python: as the archive says, or None.
    """

    filetype: str
    requires_python: str | None = None

    def to_json(self) -> str:
        """Write it for the catalog."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> FileMetadata:
        """Read what to_json() wrote."""
        return cls(**json.loads(text))


def render_names(names: Iterable[PackageName], representation: Representation, link_prefix: str) -> bytes:
    """
    Write the list of all names.

    Args:
        link_prefix: leads from the page's own URL to the pages of names.
    """
    if representation is Representation.JSON:
        return _json({"meta": {"api-version": "1.1"}, "projects": [{"name": name.name} for name in names]})
    links = [_link(f"{link_prefix}{quote(name.canonical_name)}/", name.name) for name in names]
    return _html("Simple index", links)


def render_files(canonical_name: str, files: Iterable[PackageFile], representation: Representation) -> bytes:
    """
    Write the page of a name.

    Args:
        files: by creation; of several with one name, which a group may have, the newest counts.
    """
    newest = tuple({file.file_name: file for file in files}.values())
    if representation is Representation.JSON:
        return _json(
            {
                "meta": {"api-version": "1.1"},
                "name": canonical_name,
                "versions": _versions(newest),
                "files": [_json_file(file) for file in newest],
            }
        )
    return _html(f"Links for {canonical_name}", [_html_file(file) for file in newest])


def _url(file: PackageFile) -> str:
    return f"../../files/{file.blob.sha256.hex}/{quote(file.file_name)}"


def _versions(files: Iterable[PackageFile]) -> Sequence[str]:
    """List each version once, in the spelling of its first file."""
    spellings: dict[str, str] = {}
    for file in files:
        spellings.setdefault(file.canonical_version, file.version)
    return sorted(spellings.values(), key=parse_version)


def _json_file(file: PackageFile) -> Mapping[str, object]:
    sha256 = file.blob.sha256.hex
    uploaded_at = file.created_at.astimezone(datetime.UTC).isoformat(timespec="microseconds")
    fields: dict[str, object] = {
        "filename": file.file_name,
        "url": f"{_url(file)}#sha256={sha256}",
        "hashes": {"sha256": sha256},
        "size": file.blob.size_bytes,
        "upload-time": uploaded_at.replace("+00:00", "Z"),
    }
    requires_python = FileMetadata.from_json(file.file_metadata_json).requires_python
    if requires_python is not None:
        fields["requires-python"] = requires_python
    return fields


def _html_file(file: PackageFile) -> str:
    requires_python = FileMetadata.from_json(file.file_metadata_json).requires_python
    attributes = {} if requires_python is None else {"data-requires-python": requires_python}
    return _link(f"{_url(file)}#sha256={file.blob.sha256.hex}", file.file_name, attributes)


def _link(url: str, text: str, attributes: Mapping[str, str] | None = None) -> str:
    """Write an anchor; everything is escaped, whatever was checked before."""
    pairs = {"href": url, **(attributes or {})}
    written = "".join(f' {name}="{html.escape(value)}"' for name, value in pairs.items())
    return f"<a{written}>{html.escape(text)}</a><br>\n"


def _html(title: str, links: Iterable[str]) -> bytes:
    head = (
        "<!DOCTYPE html>\n"
        '<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="pypi:repository-version" content="1.0">\n'
        f"<title>{html.escape(title)}</title>\n</head>\n<body>\n<h1>{html.escape(title)}</h1>\n"
    )
    return (head + "".join(links) + "</body>\n</html>\n").encode("utf-8")


def _json(fields: Mapping[str, object]) -> bytes:
    return json.dumps(fields, separators=(",", ":")).encode("ascii")
