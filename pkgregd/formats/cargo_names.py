"""
Names and versions of crates, and what is derived from them.

Source: the Cargo book, "The Manifest Format" (name, version) and "Index Format"; Semantic Versioning 2.0.0.
"""

from __future__ import annotations

import re
from typing import TypeAlias

from pkgregd.errors import InvalidName, InvalidVersion
from pkgregd.formatkit.names import check, check_pattern

MAX_NAME_CHARACTERS = 64
MAX_VERSION_CHARACTERS = 255

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*", re.ASCII)
_LETTER = re.compile(r"[A-Za-z0-9_-]", re.ASCII)
_NUMBER = r"(?:0|[1-9][0-9]*)"
_IDENTIFIER = r"(?:0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*)"
_VERSION = re.compile(
    rf"({_NUMBER})\.({_NUMBER})\.({_NUMBER})(?:-({_IDENTIFIER}(?:\.{_IDENTIFIER})*))?"
    r"(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?",
    re.ASCII,
)
_MAX_NUMBER = (1 << 64) - 1
"""What cargo holds a number of a version in."""

_KEYWORDS = (
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "crate", "do", "dyn", "else",
    "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl", "in", "let", "loop", "macro", "match", "mod",
    "move", "mut", "override", "priv", "pub", "ref", "return", "self", "static", "struct", "super", "trait", "true",
    "try", "type", "typeof", "unsafe", "unsized", "use", "virtual", "where", "while", "yield",
)  # fmt: skip
_OF_THE_LANGUAGE = ("alloc", "core", "proc_macro", "std", "test")
_DEVICES = ("aux", "con", "nul", "prn", *(f"{port}{number}" for port in ("com", "lpt") for number in range(1, 10)))

RESERVED_NAMES = frozenset({*_KEYWORDS, *_OF_THE_LANGUAGE, *_DEVICES})
"""Canonical names that no crate can have: keywords, the language's own crates, and devices of Windows."""

VersionKey: TypeAlias = tuple[int, int, int, bool, tuple[tuple[bool, int, str], ...]]


def canonical_name(name: str) -> str:
    """
    Check a name and bring it to the form in which names are compared: without regard to case, `-` as `_`.

    Raises:
        InvalidName.
    """
    check(name, _NAME, MAX_NAME_CHARACTERS, InvalidName, "crate name")
    return name.lower().replace("-", "_")


def canonical_pattern(pattern: str) -> str:
    """Bring a pattern to the form in which canonical names fit it. Raises InvalidName."""
    return check_pattern(pattern, _LETTER, "letters, digits, '-' and '_'").lower().replace("-", "_")


def owner_of(name: str) -> str:
    """
    Tell whose a crate is at the instance: the group's at the top whose name is the first word of the crate's.

    A word ends at the first `-` or `_`. So `acme`, `acme-tools` and `acme_tools-x` are all `acme`'s, whatever other
    groups there are: a group whose own name has such a sign, or that lies in another one, owns nothing by itself.

    Returns:
        The path of the group.

    Raises:
        InvalidName.
    """
    return canonical_name(name).partition("_")[0]


def demand_free(name: str) -> None:
    """
    Pass if a new crate may have the name.

    Raises:
        InvalidName: malformed or reserved.
    """
    if canonical_name(name) in RESERVED_NAMES:
        raise InvalidName(f"the crate name {name!a} is reserved")


def canonical_version(version: str) -> str:
    """
    Check a version, and take the build metadata off, which makes no other version.

    Raises:
        InvalidVersion.
    """
    _parse(version)
    return version.partition("+")[0]


def version_key(version: str) -> VersionKey:
    """
    Order versions as cargo does, but for build metadata.

    Returns:
        A key; greater sorts later.

    Raises:
        InvalidVersion.
    Source: Semantic Versioning 2.0.0, section 11.
    """
    match = _parse(version)
    before = tuple(
        (False, int(part), "") if part.isdecimal() else (True, 0, part) for part in (match[4] or "").split(".") if part
    )
    return int(match[1]), int(match[2]), int(match[3]), not before, before


def _parse(version: str) -> re.Match[str]:
    check(version, _VERSION, MAX_VERSION_CHARACTERS, InvalidVersion, "version")
    match = _VERSION.fullmatch(version)
    assert match is not None, "it was checked"
    if any(int(match[number]) > _MAX_NUMBER for number in (1, 2, 3)):
        raise InvalidVersion(f"a number in the version {version!a} is too great")
    return match


def index_path(name: str) -> str:
    """Return where the index has the file of a crate, in lower case."""
    lower = name.lower()
    if len(lower) <= 2:
        return f"{len(lower)}/{lower}"
    if len(lower) == 3:
        return f"3/{lower[0]}/{lower}"
    return f"{lower[:2]}/{lower[2:4]}/{lower}"


def file_name(name: str, version: str) -> str:
    """Return the name of a crate's file; build metadata is not in it, so that it never makes a second file."""
    return f"{name}-{canonical_version(version)}.crate"


def file_key(file_name: str) -> str:
    """Let every file name of a version be the same: a version has one file, however its crate was spelt."""
    return "crate"
