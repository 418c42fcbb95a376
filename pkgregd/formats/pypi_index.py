"""
The simple index of Python packages, as HTML and JSON. Pure: files in, bytes out.

Links are relative, so one page is right whatever host, proxy or spelling of the project the
client used.

Source: the simple repository API (PEP 503, 691, 700).
"""

from __future__ import annotations

import datetime
import html
import json
from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import quote

from attrs import asdict, frozen

from pkgregd.formatkit.python_names import check_version
from pkgregd.values import PackageFile, PackageName

JSON_TYPE = "application/vnd.pypi.simple.v1+json"
HTML_TYPE = "application/vnd.pypi.simple.v1+html"
PLAIN_HTML_TYPE = "text/html"
LATEST: Mapping[str, str] = {
    "application/vnd.pypi.simple.latest+json": JSON_TYPE,
    "application/vnd.pypi.simple.latest+html": HTML_TYPE,
}
OFFERED = (PLAIN_HTML_TYPE, HTML_TYPE, JSON_TYPE, *LATEST)
"""What is served; a client that takes anything gets HTML, as it always was."""

API_VERSION = "1.1"


@frozen
class FileFacts:
    """
    What the index says of a file beside its name and bytes.

    Attributes:
        filetype: `bdist_wheel` or `sdist`.
        requires_python: as the archive's metadata has it, or None.
    """

    filetype: str
    requires_python: str | None = None

    def to_json(self) -> str:
        """Write it for the catalog."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> FileFacts:
        """Read what to_json() wrote."""
        fields = json.loads(text)
        return cls(fields.get("filetype", ""), fields.get("requires_python"))


def render_names(names: Sequence[PackageName], media_type: str) -> bytes:
    """Write the list of names."""
    if media_type == JSON_TYPE:
        projects = [{"name": name.name} for name in names]
        return _json({"meta": {"api-version": API_VERSION}, "projects": projects})
    links = (f'<a href="{quote(name.canonical_name)}/">{html.escape(name.name)}</a><br>' for name in names)
    return _page("Simple index", links)


def render_files(canonical_name: str, files: Sequence[PackageFile], media_type: str) -> bytes:
    """Write the files of one name."""
    if media_type == JSON_TYPE:
        return _files_json(canonical_name, files)
    return _page(f"Links for {canonical_name}", (_link(file) for file in files))


def _files_json(canonical_name: str, files: Sequence[PackageFile]) -> bytes:
    entries = []
    for file in files:
        entry: dict[str, object] = {
            "filename": file.file_name,
            "url": _url(file),
            "hashes": {"sha256": file.blob.sha256.hex},
            "size": file.blob.size_bytes,
            "upload-time": _time(file.created_at),
        }
        requires_python = FileFacts.from_json(file.file_metadata_json).requires_python
        if requires_python is not None:
            entry["requires-python"] = requires_python
        entries.append(entry)
    versions: dict[str, str] = {file.canonical_version: file.version for file in files}
    return _json(
        {
            "meta": {"api-version": API_VERSION},
            "name": canonical_name,
            "versions": _in_order(versions.values()),
            "files": entries,
        }
    )


def _in_order(versions: Iterable[str]) -> list[str]:
    return sorted(versions, key=check_version)


def _link(file: PackageFile) -> str:
    requires_python = FileFacts.from_json(file.file_metadata_json).requires_python
    attribute = "" if requires_python is None else f' data-requires-python="{html.escape(requires_python)}"'
    url = html.escape(f"{_url(file)}#sha256={file.blob.sha256.hex}")
    return f'<a href="{url}"{attribute}>{html.escape(file.file_name)}</a><br>'


def _url(file: PackageFile) -> str:
    return f"../../files/{file.blob.sha256.hex}/{quote(file.file_name)}"


def _time(moment: datetime.datetime) -> str:
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _json(fields: object) -> bytes:
    return json.dumps(fields, separators=(",", ":")).encode()


def _page(title: str, lines: Iterable[str]) -> bytes:
    body = "\n".join(lines)
    head = f'<meta name="pypi:repository-version" content="{API_VERSION}"><title>{html.escape(title)}</title>'
    return (
        f"<!DOCTYPE html>\n<html><head>{head}</head>\n<body><h1>{html.escape(title)}</h1>\n{body}\n</body></html>\n"
    ).encode()
