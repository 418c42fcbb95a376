"""
Requirements and platforms of dependencies, in the spelling in which cargo sends them.

Cargo.toml keeps what its author wrote, while a publish request has what cargo made of it: to be compared, both are
brought to one spelling.

Source: the Cargo book, "Specifying Dependencies", and the grammar of the crate `semver` that cargo reads them with.
"""

from __future__ import annotations

import re

from pkgregd.errors import InvalidRequest
from pkgregd.formatkit.names import is_printable

MAX_REQUIREMENT_CHARACTERS = 512
MAX_COMPARATORS = 32
MAX_TARGET_CHARACTERS = 2048

_PART = r"0|[1-9][0-9]{0,19}"
_COMPARATOR = re.compile(
    rf" *(?P<operator>>=|<=|[=<>~^])? *(?P<major>{_PART})"
    rf"(?:\.(?:(?P<minor>{_PART})(?:\.(?:(?P<patch>{_PART})(?P<pre>-[0-9A-Za-z.-]+)?(?:\+[0-9A-Za-z.-]+)?"
    r"|(?P<any_patch>[*xX])))?|(?P<any_minor>[*xX])(?:\.[*xX])?))? *",
    re.ASCII,
)
_SPACE_OR_QUOTED = re.compile(r'("[^"]*")|\s+')
_ANYTHING = frozenset({"*", "x", "X"})


def normal_requirement(text: str) -> str:
    """
    Bring a version requirement to one spelling.

    Raises:
        InvalidRequest: it is none.
    """
    if len(text) > MAX_REQUIREMENT_CHARACTERS:
        raise InvalidRequest(f"a version requirement is longer than {MAX_REQUIREMENT_CHARACTERS} characters")
    if text.strip(" ") in _ANYTHING:
        return "*"
    comparators = text.split(",")
    if len(comparators) > MAX_COMPARATORS:
        raise InvalidRequest(f"a version requirement has more than {MAX_COMPARATORS} parts")
    return ", ".join(_normal_comparator(comparator, text) for comparator in comparators)


def _normal_comparator(comparator: str, text: str) -> str:
    match = _COMPARATOR.fullmatch(comparator)
    if match is None:
        raise InvalidRequest(f"not a version requirement: {text!a}")
    numbers = [match[part] for part in ("major", "minor", "patch") if match[part] is not None]
    version = ".".join(numbers) + (match["pre"] or "")
    if match["operator"] is None and (match["any_minor"] or match["any_patch"]):
        return f"{version}.*"
    return (match["operator"] or "^") + version


def normal_target(text: str) -> str:
    """
    Bring a platform, `cfg(...)` or a target's name, to one spelling.

    Raises:
        InvalidRequest: empty, too long, or not one line of text.
    """
    if not 0 < len(text) <= MAX_TARGET_CHARACTERS or not is_printable(text):
        raise InvalidRequest(f"not a platform: {text[:255]!a}")
    squeezed = _SPACE_OR_QUOTED.sub(lambda match: match[1] or "", text)
    return squeezed.replace(",)", ")")
