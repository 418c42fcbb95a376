"""The header of METADATA and PKG-INFO, read as the installers' e-mail parser reads it, where that is one way only."""

from __future__ import annotations

import re
from collections.abc import Iterator

from attrs import frozen
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from pkgregd.errors import InvalidArchive
from pkgregd.formatkit.names import has_control, is_printable

MAX_LINE_CHARACTERS = 255
"""Of a field that must be a name, version or the like."""

MAX_TEXT_CHARACTERS = 16 << 10
"""Of any other field that is one line."""

MAX_FIELDS = 20_000
MAX_REQUIREMENTS = 5_000

_LINE_END = re.compile(rb"\r\n|\r|\n")
_BLANKS = " \t\n"
_FIELD = re.compile(r"([\x21-\x39\x3b-\x7e]+):(.*)", re.DOTALL | re.ASCII)

_METADATA_VERSION = re.compile(r"[12]\.[0-9]", re.ASCII)
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?", re.ASCII)
_VERSION = re.compile(r"[A-Za-z0-9.!+_-]+", re.ASCII)
_SPECIFIERS = re.compile(r"[A-Za-z0-9 .,*+!<>=~_-]*", re.ASCII)

_STRICT = frozenset({"metadata-version", "name", "version", "requires-python"})
"""One line of printable text, once."""

_ONCE = _STRICT | {
    "summary", "description", "description-content-type", "keywords", "author", "author-email", "maintainer",
    "maintainer-email", "license", "license-expression", "home-page", "download-url",
}  # fmt: skip
"""What the specification does not call multiple use."""

_LONG = frozenset({"description", "license"})
"""Whole texts may stand here, over many lines."""


@frozen
class CoreMetadata:
    """
    What we need of a package's own metadata.

    Attributes:
        name, version: as written; of the right characters, and not yet read as what they mean.
        requires_python: a set of version specifiers as written, or None.
    """

    name: str
    version: str
    requires_python: str | None


def parse_core_metadata(data: bytes) -> CoreMetadata:
    """
    Read the fields before the first empty line.

    Linear. Requirements are counted and measured, never read.

    Raises:
        InvalidArchive: a field is missing, comes twice, is too long, or can be read in two ways.
    Source: core metadata specification of the Python packaging user guide.
    """
    found: dict[str, str] = {}
    requirements = 0
    for number, (key, value, is_folded) in enumerate(split_fields(data, "the package's metadata")):
        if number == MAX_FIELDS:
            raise InvalidArchive(f"the package's metadata has more than {MAX_FIELDS} fields")
        requirements += key == "requires-dist"
        if key in found:
            raise InvalidArchive(f"the package's metadata has two fields {key.title()}")
        if key in _STRICT and (is_folded or not is_printable(value)):
            raise InvalidArchive(f"the field {key.title()} of the package's metadata is not one line of plain text")
        if key not in _LONG:
            if len(value) > (MAX_LINE_CHARACTERS if key in _STRICT else MAX_TEXT_CHARACTERS):
                raise InvalidArchive(f"the field {key.title()} of the package's metadata is too long")
            if has_control(value):
                raise InvalidArchive(f"the field {key.title()} of the package's metadata has control characters")
        if key in _ONCE:
            found[key] = value
    if requirements > MAX_REQUIREMENTS:
        raise InvalidArchive(f"the package has more than {MAX_REQUIREMENTS} requirements")
    _matching(found, "metadata-version", _METADATA_VERSION)
    return CoreMetadata(_matching(found, "name", _NAME), _matching(found, "version", _VERSION), _requires_python(found))


def split_fields(data: bytes, what: str) -> Iterator[tuple[str, str, bool]]:
    """
    Split the fields of a header; what follows the first empty line is not looked at.

    Args:
        what: names it in messages.

    Returns:
        Name in lower case; value without white space around it, its lines joined by line feeds; whether it has
        more than one line.

    Raises:
        InvalidArchive: not UTF-8, or a line that some parsers take for the end of the header.
    """
    key, lines = "", [""]
    for raw in _header_lines(data):
        try:
            line = raw.decode("utf-8")
        except UnicodeDecodeError:
            raise InvalidArchive(f"{what} is not UTF-8") from None
        if key and line[0] in " \t":
            lines.append(line.strip(_BLANKS))
            continue
        match = _FIELD.fullmatch(line)
        if match is None:
            raise InvalidArchive(f"{what} has a line that is no field: {line[:80]!a}")
        if key:
            yield key, "\n".join(lines).strip(_BLANKS), len(lines) > 1
        key, lines = match[1].lower(), [match[2].strip(_BLANKS)]
    if key:
        yield key, "\n".join(lines).strip(_BLANKS), len(lines) > 1


def _header_lines(data: bytes) -> Iterator[bytes]:
    """Give the lines before the first empty one; what follows is neither split nor decoded."""
    position = 0
    while position < len(data):
        end = _LINE_END.search(data, position)
        line = data[position : end.start() if end else len(data)]
        if not line:
            return
        yield line
        position = end.end() if end else len(data)


def _matching(found: dict[str, str], key: str, grammar: re.Pattern[str]) -> str:
    """Return a field that has to be there; its length has been looked at."""
    value = found.get(key, "")
    if not value:
        raise InvalidArchive(f"the package's metadata has no {key.title()}")
    if not grammar.fullmatch(value):
        raise InvalidArchive(f"the field {key.title()} of the package's metadata is malformed: {value!a}")
    return value


def _requires_python(found: dict[str, str]) -> str | None:
    value = found.get("requires-python", "")
    try:
        if not _SPECIFIERS.fullmatch(value):
            raise InvalidSpecifier
        SpecifierSet(value)
    except ValueError:  # also packaging's own, and that of an integer with too many digits
        raise InvalidArchive(f"Requires-Python of the package's metadata is malformed: {value!a}") from None
    return value or None
