"""
What a package says of itself: the whole of METADATA or PKG-INFO, as the JSON API shows it.

What decides about publishing is read by formatkit; this reader takes whatever old tools wrote, in linear time.

Source: core metadata specification of the Python packaging user guide.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from attrs import field, frozen

from pkgregd.errors import InvalidArchive

MAX_FIELDS = 10_000

_LINE = re.compile(rb"[^\r\n]*(?:\r\n|\r|\n|\Z)")
_FIELD = re.compile(rb"([\x21-\x39\x3b-\x7e]+):(.*)", re.DOTALL)
_CONTINUED = re.compile(r"(?:\t| {7}\||[ ]{1,8})")
"""How tools indented the further lines of a description within the header."""

_LINK = re.compile(r"(?:https?://|mailto:)[!-~]{1,2000}", re.ASCII | re.IGNORECASE)
"""Links that are passed on: whoever shows them must not get a `javascript:` from us."""


@frozen
class MetadataFields:
    """
    The fields of a metadata file.

    Attributes:
        values: by lower-case name, each in its order.
        body: what follows the header; newer tools put the description there.
    """

    values: Mapping[str, Sequence[str]] = field(repr=False)
    body: str = field(default="", repr=False)

    def all(self, name: str) -> Sequence[str]:
        """Return every value of a field."""
        return self.values.get(name, ())

    def one(self, name: str) -> str | None:
        """Return the first value of a field, None when it is missing, empty or, as old tools wrote, UNKNOWN."""
        value = next(iter(self.all(name)), "")
        return None if value in ("", "UNKNOWN") else value


def read_fields(data: bytes) -> MetadataFields:
    """
    Read whatever bytes; what is not UTF-8 is replaced.

    The header ends at the first line that is no field, as for parse_core_metadata().

    Raises:
        InvalidArchive: more than MAX_FIELDS fields.
    """
    values: dict[str, list[list[str]]] = {}
    lines: list[str] = []
    count, body_start = 0, len(data)
    for match in _LINE.finditer(data):
        line = match[0].rstrip(b"\r\n")
        if line[:1] in (b" ", b"\t"):
            lines.append(_CONTINUED.sub("", _text(line), count=1))
            continue
        found = _FIELD.fullmatch(line)
        if found is None:
            body_start = match.start() if line else match.end()
            break
        count += 1
        if count > MAX_FIELDS:
            raise InvalidArchive(f"the package's metadata has more than {MAX_FIELDS} fields")
        lines = [_text(found[2])]
        values.setdefault(found[1].decode("ascii").lower(), []).append(lines)
    joined = {name: ["\n".join(lines).strip() for lines in several] for name, several in values.items()}
    return MetadataFields(joined, _text(data[body_start:]))


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def describe(fields: MetadataFields) -> dict[str, object]:
    """Return what the JSON API's `info` takes from the package itself."""
    return {
        "author": fields.one("author"),
        "author_email": fields.one("author-email"),
        "bugtrack_url": None,
        "classifiers": list(fields.all("classifier")),
        "description": fields.body.strip("\r\n") or fields.one("description"),
        "description_content_type": fields.one("description-content-type"),
        "docs_url": None,
        "download_url": _link(fields.one("download-url")),
        "dynamic": list(fields.all("dynamic")) or None,
        "home_page": _link(fields.one("home-page")),
        "keywords": fields.one("keywords"),
        "license": fields.one("license"),
        "license_expression": fields.one("license-expression"),
        "license_files": list(fields.all("license-file")) or None,
        "maintainer": fields.one("maintainer"),
        "maintainer_email": fields.one("maintainer-email"),
        "platform": fields.one("platform"),
        "project_urls": _project_urls(fields),
        "provides_extra": list(fields.all("provides-extra")) or None,
        "requires_dist": list(fields.all("requires-dist")) or None,
        "requires_python": fields.one("requires-python"),
        "summary": fields.one("summary"),
    }


def _project_urls(fields: MetadataFields) -> dict[str, str] | None:
    urls: dict[str, str] = {}
    for line in fields.all("project-url"):
        label, _, url = (part.strip() for part in line.partition(","))
        if _link(url) is not None:
            urls.setdefault(label, url)
    return urls or None


def _link(url: str | None) -> str | None:
    return url if url is not None and _LINK.fullmatch(url) else None
