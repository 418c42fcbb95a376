"""
Names, versions and file names of Python packages, checked before a library sees them.

Source: the Python packaging specifications (names and normalization, version specifiers,
binary and source distribution formats).
"""

from __future__ import annotations

import re

from attrs import frozen
from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    canonicalize_name,
    canonicalize_version,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import InvalidVersion as PackagingInvalidVersion
from packaging.version import Version

from pkgregd.errors import InvalidFileName, InvalidName, InvalidVersion

MAX_NAME_CHARACTERS = 200
MAX_VERSION_CHARACTERS = 200
MAX_FILE_NAME_CHARACTERS = 255
MAX_TAGS = 512
"""How many compatibility tags one wheel may have: their product grows with each compressed set."""

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?", re.ASCII)
_VERSION = re.compile(r"[A-Za-z0-9!+._-]+", re.ASCII)
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9!+._-]*", re.ASCII)


@frozen
class ArchiveName:
    """
    What a file name says.

    Attributes:
        canonical_name: normalised.
        version: parsed.
        is_wheel: else a source distribution.
        is_zip: whether the bytes are a zip.
    """

    canonical_name: str
    version: Version
    is_wheel: bool
    is_zip: bool


def check_name(name: str) -> str:
    """
    Return the normalised form of a name.

    Raises:
        InvalidName.
    """
    if len(name) > MAX_NAME_CHARACTERS or not _NAME.fullmatch(name):
        raise InvalidName(
            "a name is made of ASCII letters, digits and . _ - and begins and ends with a letter or digit"
        )
    return canonicalize_name(name)


def check_version(version: str) -> Version:
    """
    Parse a version.

    Raises:
        InvalidVersion.
    """
    try:
        if len(version) > MAX_VERSION_CHARACTERS or not _VERSION.fullmatch(version):
            raise PackagingInvalidVersion(version)
        return Version(version)
    except ValueError:
        raise InvalidVersion("the version is not one that Python packages may have") from None


def canonical_version(version: Version) -> str:
    """Return the form in which versions are compared: 1.0 and 1.0.0 are one."""
    return canonicalize_version(version)


def parse_file_name(file_name: str) -> ArchiveName:
    """
    Read the name of a wheel or source distribution.

    Raises:
        InvalidFileName: neither, or one whose name cannot be right.
    """
    if len(file_name) > MAX_FILE_NAME_CHARACTERS or not _FILE_NAME.fullmatch(file_name):
        raise InvalidFileName(
            f"a file name is made of ASCII letters, digits and ! + . _ - ({MAX_FILE_NAME_CHARACTERS})"
        )
    try:
        if file_name.endswith(".whl"):
            return _parse_wheel(file_name)
        if file_name.endswith((".tar.gz", ".zip")):
            name, version = parse_sdist_filename(file_name)
            return ArchiveName(check_name(name), version, is_wheel=False, is_zip=file_name.endswith(".zip"))
    except (InvalidWheelFilename, InvalidSdistFilename, PackagingInvalidVersion, ValueError):
        raise InvalidFileName(f"{file_name} is not a name that a wheel or source distribution may have") from None
    raise InvalidFileName(f"{file_name} is neither a wheel (.whl) nor a source distribution (.tar.gz, .zip)")


def _parse_wheel(file_name: str) -> ArchiveName:
    parts = file_name.removesuffix(".whl").split("-")
    if len(parts) not in (5, 6):
        raise InvalidWheelFilename(file_name)
    tags = 1
    for part in parts[-3:]:
        tags *= part.count(".") + 1
    if tags > MAX_TAGS:
        raise InvalidFileName(f"a wheel has at most {MAX_TAGS} compatibility tags, this one {tags}")
    name, version, _, _ = parse_wheel_filename(file_name)
    return ArchiveName(check_name(name), version, is_wheel=True, is_zip=True)
