"""
The simple index: files in, bytes out.

Links to files are relative, so that they stay on the address that the client used; those to provenance have to
be absolute.

Source: the simple repository API of the Python packaging user guide: PEP 503 (HTML), PEP 691 (JSON and its
negotiation), PEP 592 (yanked), PEP 658 and 714 (metadata), PEP 700 (versions, sizes, upload times), PEP 740
(provenance).
"""

from __future__ import annotations

import enum
import functools
import html
import json
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from urllib.parse import quote

from pkgregd.formatkit.headers import best_media_type
from pkgregd.formats.pypi_files import FileMetadata, file_path, shown_of_version, upload_time
from pkgregd.formats.pypi_names import parse_version
from pkgregd.values import PackageFile, PackageName, PageLayout, PageSection

REVISION = 2
"""Goes up when the same rows come to look differently: it is part of every ETag."""


API_VERSION = "1.3"
"""1.1 has versions, sizes and upload times, 1.3 provenance; what 1.2 adds is optional."""

_META = {"api-version": API_VERSION}


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


@functools.lru_cache(maxsize=64)
def choose_representation(accept: str | None) -> Representation | None:
    """Choose by the Accept header; HTML for whoever takes anything, None if nothing fits."""
    offers = {media_type: representation.name for media_type, representation in OFFERS.items()}
    chosen = best_media_type(accept, offers, "text/html")
    return None if chosen is None else Representation[chosen]


def render_names(names: Iterable[PackageName], representation: Representation, link_prefix: str) -> bytes:
    """
    Write the list of all names.

    Args:
        link_prefix: leads from the page's own URL to the pages of names.
    """
    if representation is Representation.JSON:
        return _json({"meta": _META, "projects": [{"name": name.name} for name in names]})
    links = [_link(f"{link_prefix}{quote(name.canonical_name)}/", name.name) for name in names]
    return _html("Simple index", links)


def files_layout(canonical_name: str, base_url: str, representation: Representation) -> PageLayout:
    """
    Tell how the page of a name is made.

    Args:
        base_url: where the format is, for the links that have to be absolute.
    """
    if representation is Representation.JSON:
        lead = _json({"meta": _META, "name": canonical_name}).removesuffix(b"}")
        return PageLayout(
            (
                PageSection(lead + b',"versions":[', b",", _json_version),
                PageSection(b'],"files":[', b",", partial(_json_files, base_url)),
            ),
            b"]}",
            parse_version,
        )
    head, tail = _html_around(f"Links for {canonical_name}")
    return PageLayout((PageSection(head, b"", partial(_html_files, base_url)),), tail, parse_version)


def _json_version(files: Sequence[PackageFile]) -> bytes:
    return _json(shown_of_version(files)[0].version)


def _json_files(base_url: str, files: Sequence[PackageFile]) -> bytes:
    return b",".join(_json(_json_file(file, base_url)) for file in shown_of_version(files))


def _html_files(base_url: str, files: Sequence[PackageFile]) -> bytes:
    return "".join(_html_file(file, base_url) for file in shown_of_version(files)).encode("utf-8")


def _json_file(file: PackageFile, base_url: str) -> Mapping[str, object]:
    sha256 = file.blob.sha256.hex
    path = file_path(file)
    kept = FileMetadata.from_json(file.file_metadata_json)
    fields: dict[str, object] = {
        "filename": file.file_name,
        "url": f"../../{path}#sha256={sha256}",
        "hashes": {"sha256": sha256},
        "size": file.blob.size_bytes,
        "upload-time": upload_time(file),
    }
    if kept.requires_python is not None:
        fields["requires-python"] = kept.requires_python
    if kept.wheel_metadata_sha256 is not None:
        fields["core-metadata"] = fields["dist-info-metadata"] = {"sha256": kept.wheel_metadata_sha256}
    if file.yanked_reason is not None:
        fields["yanked"] = file.yanked_reason or True
    if kept.has_provenance:
        fields["provenance"] = f"{base_url}/{path}.provenance"
    return fields


def _html_file(file: PackageFile, base_url: str) -> str:
    path = file_path(file)
    kept = FileMetadata.from_json(file.file_metadata_json)
    attributes: dict[str, str] = {}
    if kept.requires_python is not None:
        attributes["data-requires-python"] = kept.requires_python
    if kept.wheel_metadata_sha256 is not None:
        digest = f"sha256={kept.wheel_metadata_sha256}"
        attributes["data-core-metadata"] = attributes["data-dist-info-metadata"] = digest
    if file.yanked_reason is not None:
        attributes["data-yanked"] = file.yanked_reason
    if kept.has_provenance:
        attributes["data-provenance"] = f"{base_url}/{path}.provenance"
    return _link(f"../../{path}#sha256={file.blob.sha256.hex}", file.file_name, attributes)


def _link(url: str, text: str, attributes: Mapping[str, str] | None = None) -> str:
    """Write an anchor; everything is escaped, whatever was checked before."""
    pairs = {"href": url, **(attributes or {})}
    written = "".join(f' {name}="{html.escape(value)}"' for name, value in pairs.items())
    return f"<a{written}>{html.escape(text)}</a><br>\n"


def _html(title: str, links: Iterable[str]) -> bytes:
    head, tail = _html_around(title)
    return head + "".join(links).encode("utf-8") + tail


def _html_around(title: str) -> tuple[bytes, bytes]:
    """Write what comes before and behind the links of a page."""
    head = (
        "<!DOCTYPE html>\n"
        '<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="pypi:repository-version" content="{API_VERSION}">\n'
        f"<title>{html.escape(title)}</title>\n</head>\n<body>\n<h1>{html.escape(title)}</h1>\n"
    )
    return head.encode("utf-8"), b"</body>\n</html>\n"


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode("ascii")
