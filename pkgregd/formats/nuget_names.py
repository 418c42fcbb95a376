"""
Ids and versions of NuGet packages.

Source: NuGet's package reference, "Package versioning" and "NuGet identifier"; Semantic Versioning 2.0.0, section 11,
but without regard to case, and with a fourth number.
"""

from __future__ import annotations

import re
from typing import TypeAlias

from attrs import frozen

from pkgregd.errors import InvalidName, InvalidVersion
from pkgregd.formatkit.names import check

MAX_ID_CHARACTERS = 100
MAX_VERSION_CHARACTERS = 128

_ID = re.compile(r"[A-Za-z0-9_]+(?:[.-][A-Za-z0-9_]+)*", re.ASCII)
_LABELS = r"[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*"
_NUMBER = r"([0-9]{1,10})"
_VERSION = re.compile(
    rf"{_NUMBER}(?:\.{_NUMBER})?(?:\.{_NUMBER})?(?:\.{_NUMBER})?(?:-({_LABELS}))?(?:\+({_LABELS}))?", re.ASCII
)

VersionKey: TypeAlias = tuple[tuple[int, ...], int, tuple[tuple[int, int, str], ...]]


@frozen
class Version:
    """
    A version, normalised.

    Attributes:
        numbers: four of them.
        prerelease: labels with dots between them; empty for a release.
        metadata: what stands behind the plus; empty if nothing does.
    """

    numbers: tuple[int, ...]
    prerelease: str
    metadata: str

    @classmethod
    def parse(cls, text: str) -> Version:
        """Read a version as anybody writes it. Raises InvalidVersion."""
        check(text, _VERSION, MAX_VERSION_CHARACTERS, InvalidVersion, "version")
        found = _VERSION.fullmatch(text)
        assert found is not None
        *numbers, prerelease, metadata = found.groups()
        return cls(tuple(int(number or 0) for number in numbers), prerelease or "", metadata or "")

    @property
    def normalized(self) -> str:
        """Without leading zeros, a fourth number that is zero, and metadata."""
        count = 4 if self.numbers[3] else 3
        text = ".".join(map(str, self.numbers[:count]))
        return f"{text}-{self.prerelease}" if self.prerelease else text

    @property
    def canonical(self) -> str:
        """What versions are compared by, and what URLs have."""
        return self.normalized.lower()

    @property
    def full(self) -> str:
        """Normalised, with its metadata."""
        return f"{self.normalized}+{self.metadata}" if self.metadata else self.normalized

    @property
    def needs_semver2(self) -> bool:
        """Whether old clients cannot read it."""
        return bool(self.metadata) or "." in self.prerelease


def canonical_name(name: str) -> str:
    """Check an id and bring it to the form in which ids are compared. Raises InvalidName."""
    return check(name, _ID, MAX_ID_CHARACTERS, InvalidName, "package id").lower()


def canonical_version(text: str) -> str:
    """Bring a version, however it is written, to the form in which versions are compared. Raises InvalidVersion."""
    return Version.parse(text).canonical


def version_key(text: str) -> VersionKey:
    """
    Order versions as NuGet does.

    Args:
        text: a version; of one that is none InvalidVersion is raised.
    """
    version = Version.parse(text)
    labels = tuple(_label_key(label) for label in version.prerelease.lower().split(".") if label)
    return version.numbers, not version.prerelease, labels


def _label_key(label: str) -> tuple[int, int, str]:
    return (0, int(label), "") if label.isdigit() else (1, 0, label)


PACKAGE_SUFFIX = ".nupkg"
SYMBOLS_SUFFIX = ".snupkg"


def file_name(name: str, version: str) -> str:
    """Name the file of a canonical id and version."""
    return f"{name}.{version}{PACKAGE_SUFFIX}"


def symbols_file_name(name: str, version: str) -> str:
    """Name the symbol package of a canonical id and version."""
    return f"{name}.{version}{SYMBOLS_SUFFIX}"
