"""
Ids and versions of NuGet packages.

Source: NuGet's package reference, "Package versioning" and "NuGet identifier"; Semantic Versioning 2.0.0, section 11,
but without regard to case, and with a fourth number.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypeAlias

from attrs import frozen

from pkgregd.errors import InvalidName, InvalidVersion
from pkgregd.formatkit.names import check, check_pattern

MAX_ID_CHARACTERS = 100
MAX_VERSION_CHARACTERS = 128

MAX_NUMBER = 2**31 - 1
"""Clients keep the numbers of a version in 32 bits, and fail over a list of versions in which one does not fit."""

_ID = re.compile(r"[A-Za-z0-9_]+(?:[.-][A-Za-z0-9_]+)*", re.ASCII)
_LETTER = re.compile(r"[A-Za-z0-9_.-]", re.ASCII)
_LABELS = r"[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*"
_PRERELEASE_LABEL = r"(?:0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*)"
_NUMBER = r"([0-9]{1,10})"
_VERSION = re.compile(
    rf"{_NUMBER}(?:\.{_NUMBER})?(?:\.{_NUMBER})?(?:\.{_NUMBER})?"
    rf"(?:-({_PRERELEASE_LABEL}(?:\.{_PRERELEASE_LABEL})*))?(?:\+({_LABELS}))?",
    re.ASCII,
)
_NUMERIC_LABEL = re.compile(r"-?[0-9]+", re.ASCII)

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
        *texts, prerelease, metadata = found.groups()
        numbers = tuple(int(number or 0) for number in texts)
        if max(numbers) > MAX_NUMBER:
            raise InvalidVersion(f"a number of a version is at most {MAX_NUMBER}")
        return cls(numbers, prerelease or "", metadata or "")

    @property
    def normalized(self) -> str:
        """Without leading zeros, a fourth number that is zero, and metadata."""
        count = 4 if self.numbers[3] else 3
        text = ".".join(map(str, self.numbers[:count]))
        return f"{text}-{self.prerelease}" if self.prerelease else text

    @property
    def canonical(self) -> str:
        """What versions are compared by, and what URLs have."""
        numbers, dash, _ = self.normalized.partition("-")
        return f"{numbers}{dash}{'.'.join(map(_canonical_label, self.labels))}"

    @property
    def labels(self) -> Sequence[str]:
        """Those of a prerelease, in lower case."""
        return self.prerelease.lower().split(".") if self.prerelease else ()

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


def canonical_pattern(pattern: str) -> str:
    """Bring a pattern to the form in which canonical ids fit it. Raises InvalidName."""
    return check_pattern(pattern, _LETTER, "letters, digits, '_', '.' and '-'").lower()


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
    return version.numbers, not version.prerelease, tuple(map(_label_key, version.labels))


def _label_key(label: str) -> tuple[int, int, str]:
    number = _label_number(label)
    return (1, 0, label) if number is None else (0, number, "")


def _canonical_label(label: str) -> str:
    number = _label_number(label)
    return label if number is None else str(number)


def _label_number(label: str) -> int | None:
    """Return what clients take for a number, a sign included: whatever fits into 32 bits. The rest is text to them."""
    if _NUMERIC_LABEL.fullmatch(label) is None:
        return None
    number = int(label)
    return number if -MAX_NUMBER - 1 <= number <= MAX_NUMBER else None


PACKAGE_SUFFIX = ".nupkg"
SYMBOLS_SUFFIX = ".snupkg"


def file_name(name: str, version: str) -> str:
    """Name the file of a canonical id and version."""
    return f"{name}.{version}{PACKAGE_SUFFIX}"


def symbols_file_name(name: str, version: str) -> str:
    """Name the symbol package of a canonical id and version."""
    return f"{name}.{version}{SYMBOLS_SUFFIX}"
