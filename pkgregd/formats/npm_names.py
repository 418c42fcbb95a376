"""
Names, versions, tags and paths of npm packages.

Source: the documentation of package.json, `name`; Semantic Versioning 2.0.0.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TypeAlias

from attrs import frozen

from pkgregd.errors import InvalidFileName, InvalidName, InvalidRequest, InvalidVersion
from pkgregd.formatkit.names import check, check_pattern

MAX_NAME_CHARACTERS = 214
MAX_VERSION_CHARACTERS = 255
MAX_TAG_CHARACTERS = 128

_PART = r"[a-z0-9~-][a-z0-9._~-]*"
_NAME = re.compile(rf"(?:@{_PART}/)?{_PART}", re.ASCII)
_LETTER = re.compile(r"[A-Za-z0-9@/._~-]", re.ASCII)
_RESERVED = frozenset({"-", "node_modules", "favicon.ico"})

_NUMBER = r"(?:0|[1-9][0-9]{0,15})"
_WORD = r"(?:0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*)"
_VERSION = re.compile(rf"({_NUMBER})\.({_NUMBER})\.({_NUMBER})(?:-({_WORD}(?:\.{_WORD})*))?", re.ASCII)
_BUILD = re.compile(r"\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*\Z", re.ASCII)
_LOOSE_WORD = r"(?:[0-9]*[A-Za-z-][0-9A-Za-z-]*|[0-9]+)"
_LOOSE = re.compile(rf"\s*[v=\s]*([0-9]+)\.([0-9]+)\.([0-9]+)(?:-?({_LOOSE_WORD}(?:\.{_LOOSE_WORD})*))?\s*", re.ASCII)

_TAG = re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9._~!*'()-]+", re.ASCII)
_TAIL = rf"(?:-{_WORD}(?:\.{_WORD})*)?"
_X = "[xX*]"
_PART_OF_RANGE = f"(?:{_NUMBER}|{_X})"
_RANGE = re.compile(
    rf"~v*{_PART_OF_RANGE}(?:\.{_PART_OF_RANGE}(?:\.{_PART_OF_RANGE}{_TAIL})?)?"
    rf"|v?{_NUMBER}\.{_NUMBER}\.{_NUMBER}{_TAIL}"
    rf"|v*{_NUMBER}(?:\.{_NUMBER}(?:\.{_X}{_TAIL})?)?"
    rf"|v*{_PART_OF_RANGE}\.{_X}(?:\.{_X}{_TAIL})?"
    rf"|v*{_X}",
    re.ASCII,
)
"""The ranges that can be written with the characters of a tag."""

_STARRED = re.compile(rf"v?{_NUMBER}\.{_NUMBER}\.{_NUMBER}{_TAIL}", re.ASCII)
"""A range as well, if one star stands anywhere in it: npm takes it out before it looks at the rest."""

VersionKey: TypeAlias = tuple[int, int, int, bool, tuple[tuple[bool, int, str], ...]]


def canonical_name(name: str) -> str:
    """
    Check a name; names are compared as they are written, and there are no capitals in them.

    Raises:
        InvalidName.
    """
    check(name, _NAME, MAX_NAME_CHARACTERS, InvalidName, "package name")
    if name.rpartition("/")[2] in _RESERVED:
        raise InvalidName(f"not a valid package name: {name!a}")
    return name


def canonical_pattern(pattern: str) -> str:
    """
    Bring a pattern to the form in which names fit it: without capitals, since no name has any.

    Raises:
        InvalidName.
    """
    return check_pattern(pattern, _LETTER, "letters, digits, '@', '/', '.', '_', '~' and '-'").lower()


def canonical_version(version: str) -> str:
    """
    Check a version and bring it to the form in which versions are compared: without build metadata.

    Raises:
        InvalidVersion.
    """
    if len(version) <= MAX_VERSION_CHARACTERS:
        version = _BUILD.sub("", version)
    return check(version, _VERSION, MAX_VERSION_CHARACTERS, InvalidVersion, "version")


def cleaned_version(version: str) -> str:
    """
    Bring what an author wrote for a version to the form in which it is published and compared.

    Raises:
        InvalidVersion.
    Source: the package semver, clean() with its option `loose`, which npm uses.
    """
    if len(version) > MAX_VERSION_CHARACTERS:
        raise InvalidVersion(f"version is longer than {MAX_VERSION_CHARACTERS} characters")
    match = _LOOSE.fullmatch(_BUILD.sub("", version.strip()))
    if match is None:
        return canonical_version(version)
    numbers = ".".join(_without_zeros(number) for number in match.groups()[:3])
    words = [_without_zeros(word) if word.isdigit() else word for word in (match[4] or "").split(".")]
    return canonical_version(f"{numbers}-{'.'.join(words)}" if match[4] else numbers)


def _without_zeros(number: str) -> str:
    return number.lstrip("0") or "0"


@lru_cache(maxsize=4096)
def version_key(version: str) -> VersionKey:
    """
    Order canonical versions by precedence.

    Source: Semantic Versioning 2.0.0, section 11.
    """
    match = _VERSION.fullmatch(version)
    assert match is not None, "a canonical version"
    words = (match[4] or "").split(".") if match[4] else []
    rest = tuple((False, int(word), "") if word.isdigit() else (True, 0, word) for word in words)
    return int(match[1]), int(match[2]), int(match[3]), not rest, rest


def is_prerelease(version: str) -> bool:
    """Whether a canonical version is one."""
    return "-" in version


def check_tag(tag: str) -> str:
    """Pass a tag on if clients can name it and would not take it for a range of versions. Raises InvalidRequest."""
    check(tag, _TAG, MAX_TAG_CHARACTERS, InvalidRequest, "tag")
    if _RANGE.fullmatch(tag) or _STARRED.fullmatch(tag.replace("*", "", 1)):
        raise InvalidRequest(f"a tag cannot be a range of versions: {tag!a}")
    return tag


def file_name_of(name: str, version: str) -> str:
    """Name the tarball of a version."""
    return f"{name.rpartition('/')[2]}-{version}.tgz"


def version_in(name: str, file_name: str) -> str:
    """
    Tell the version from the name of a tarball, with the package's scope before it or without.

    Raises:
        InvalidFileName.
    """
    base = name.rpartition("/")[2]
    bare = file_name.removeprefix(f"{name[: -len(base)]}")
    if not (bare.startswith(f"{base}-") and bare.endswith(".tgz")):
        raise InvalidFileName(f"not the name of a file of {name}: {file_name[:300]!a}")
    return canonical_version(bare[len(base) + 1 : -4])


@frozen
class Place:
    """
    What a path is about.

    Attributes:
        name: of the package, checked.
        rest: the segments behind it.
    """

    name: str
    rest: tuple[str, ...]

    @classmethod
    def parse(cls, path: str) -> Place:
        """
        Read a path below the format's address; the slash of a scope may have been encoded or not.

        Raises:
            InvalidName.
        """
        segments = path.split("/")
        length = 2 if path.startswith("@") else 1
        return cls(canonical_name("/".join(segments[:length])), tuple(segments[length:]))


def owner_of(name: str) -> str:
    """
    Tell whose a name is at the instance: the scope's, which is the path of a group.

    Raises:
        InvalidName: it has no scope.
    """
    scope, slash, _ = canonical_name(name).partition("/")
    if not slash:
        raise InvalidName("a package without a scope belongs to no group")
    return scope[1:]
