"""The header of METADATA and PKG-INFO, read as the installers' e-mail parser reads it."""

from __future__ import annotations

import re

from attrs import frozen

from pkgregd.errors import InvalidArchive
from pkgregd.formatkit.names import is_printable

MAX_REQUIRES_PYTHON_CHARACTERS = 255

_LINE_END = re.compile(rb"\r\n|\r|\n")
_FIELD = re.compile(rb"([\x21-\x39\x3b-\x7e]*):(.*)", re.DOTALL)


@frozen
class CoreMetadata:
    """
    What we need of a package's own metadata.

    Attributes:
        name, version: as written, unchecked.
        requires_python: a printable text, or None.
    """

    name: str
    version: str
    requires_python: str | None


def parse_core_metadata(data: bytes) -> CoreMetadata:
    """
    Read the fields before the first line that is not one.

    Linear, and indifferent to the other fields, which old tools wrote in every way.

    Raises:
        InvalidArchive: Name or Version is missing, one of the fields comes twice or is not plain text.
    Source: core metadata specification of the Python packaging user guide.
    """
    found: dict[bytes, list[bytes]] = {b"name": [], b"version": [], b"requires-python": []}
    key = b""
    for line in _LINE_END.split(data):
        if line[:1] in (b" ", b"\t") or line.startswith(b"From "):
            if key in found or line.startswith(b"From "):
                raise InvalidArchive("a field of the package's metadata goes on in another line")
            continue
        match = _FIELD.fullmatch(line)
        if match is None:
            break
        key = match[1].lower()
        if key in found:
            found[key].append(match[2])
    return CoreMetadata(
        _required(found, b"name"),
        _required(found, b"version"),
        _optional(found, b"requires-python", MAX_REQUIRES_PYTHON_CHARACTERS),
    )


def _required(found: dict[bytes, list[bytes]], key: bytes) -> str:
    value = _optional(found, key, 255)
    if value is None:
        raise InvalidArchive(f"the package's metadata has no {key.decode().title()}")
    return value


def _optional(found: dict[bytes, list[bytes]], key: bytes, max_characters: int) -> str | None:
    label = key.decode().title()
    if len(found[key]) > 1:
        raise InvalidArchive(f"the package's metadata has two fields {label}")
    try:
        value = b"".join(found[key]).strip().decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidArchive(f"the field {label} of the package's metadata is not UTF-8") from None
    if len(value) > max_characters or not is_printable(value):
        raise InvalidArchive(f"the field {label} of the package's metadata is too long or not plain text")
    return value or None
