"""
Ranges of versions that a package needs.

Source: NuGet's package reference, "Package versioning", "Version ranges". Those with an asterisk are for projects;
packing one resolves it.
"""

from __future__ import annotations

import re

from pkgregd.errors import InvalidVersion
from pkgregd.formats.nuget_names import Version

MAX_RANGE_CHARACTERS = 256
WHITE_SPACE = " \t\r\n"
"""Of XML."""

_INTERVAL = re.compile(r"[\[(]([^,]*)(,?)([^,]*)[\])]")


def checked_range(text: str) -> str:
    """
    Return a range as it was written, without white space around it; empty means any version.

    Raises:
        InvalidVersion: clients cannot read it.
    """
    if len(text) > MAX_RANGE_CHARACTERS:
        raise InvalidVersion(f"a range of versions has at most {MAX_RANGE_CHARACTERS} characters")
    text = text.strip(WHITE_SPACE)
    if not text:
        return ""
    if not (text.isascii() and text.isprintable()):
        raise InvalidVersion("a range of versions is written in ASCII")
    if text[0] not in "[(":
        Version.parse(text)
        return text
    found = _INTERVAL.fullmatch(text)
    if found is None or not (found[1] or found[3]):
        raise InvalidVersion("a range of versions is written like [1.0, 2.0)")
    for bound in (found[1].strip(), found[3].strip()):
        if bound:
            Version.parse(bound)
    return text
