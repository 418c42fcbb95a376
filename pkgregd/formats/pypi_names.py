"""Names, versions and file names of Python packages: lengths first, then packaging's own readers."""

from __future__ import annotations

import functools
import re
from math import prod

from attrs import frozen
from packaging.tags import Tag
from packaging.utils import canonicalize_name, canonicalize_version, parse_wheel_filename
from packaging.version import Version

from pkgregd.errors import InvalidArchive, InvalidFileName, InvalidName, InvalidVersion, MetadataMismatch
from pkgregd.formatkit.names import check, check_pattern
from pkgregd.formatkit.wheels import WheelFacts

MAX_NAME_CHARACTERS = 200
MAX_VERSION_CHARACTERS = 128
MAX_FILE_NAME_CHARACTERS = 255
MAX_WHEEL_TAGS = 512
"""Products of compressed tags; a file name has room for millions."""

REMEMBERED_VERSIONS = 8192
"""How many versions are not read again: those of a page come back with each change of it."""

WHEEL, SDIST = "bdist_wheel", "sdist"

_NAME = re.compile(r"[A-Za-z0-9]|[A-Za-z0-9][A-Za-z0-9._-]*[A-Za-z0-9]", re.ASCII)
_LETTER = re.compile(r"[A-Za-z0-9._-]", re.ASCII)
_SEPARATORS = re.compile(r"[-_.]+")
_VERSION = re.compile(r"[A-Za-z0-9.!+_-]+", re.ASCII)
_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+!-]*", re.ASCII)
_BUILD = re.compile(r"([0-9]+)(.*)", re.ASCII | re.DOTALL)
_SDIST_ENDINGS = (".tar.gz", ".zip")


def canonical_name(name: str) -> str:
    """
    Bring a name to the form in which the index compares them.

    Raises:
        InvalidName.
    Source: PEP 508 (names), PEP 503 (normalised names).
    """
    return canonicalize_name(check(name, _NAME, MAX_NAME_CHARACTERS, InvalidName, "package name"))


def canonical_pattern(pattern: str) -> str:
    """
    Bring a pattern to the form in which canonical names fit it, each part between stars as a name is brought to it.

    Raises:
        InvalidName.
    """
    check_pattern(pattern, _LETTER, "letters, digits, '-', '_' and '.'")
    return _SEPARATORS.sub("-", pattern).lower()


@functools.lru_cache(maxsize=REMEMBERED_VERSIONS)
def parse_version(text: str) -> Version:
    """
    Read a version.

    Raises:
        InvalidVersion.
    Source: PEP 440.
    """
    check(text, _VERSION, MAX_VERSION_CHARACTERS, InvalidVersion, "version")
    try:
        return Version(text)
    except ValueError:  # also packaging's own InvalidVersion
        raise InvalidVersion(f"not a valid version: {text!a}") from None


def canonical_version(text: str) -> str:
    """Bring a version to the form in which versions are compared: `1.0`, `v1` and `1.0.0` are one version."""
    return canonicalize_version(parse_version(text))


@frozen
class FileName:
    """
    A checked file name.

    Attributes:
        text: the name itself.
        filetype: WHEEL or SDIST.
    """

    text: str
    filetype: str

    @classmethod
    def parse(cls, text: str) -> FileName:
        """
        Check what a file name shows by itself.

        Raises:
            InvalidFileName: neither a wheel nor a source distribution, or malformed.
        Source: PEP 427 (wheels), PEP 625 (source distributions).
        """
        check(text, _FILE_NAME, MAX_FILE_NAME_CHARACTERS, InvalidFileName, "file name")
        if text.endswith(".whl"):
            _parse_wheel(text)
            return cls(text, WHEEL)
        if text.endswith(_SDIST_ENDINGS):
            return cls(text, SDIST)
        raise InvalidFileName(f"only wheels (.whl) and source distributions (.tar.gz, .zip) are taken, not {text!a}")

    def demand(self, name: str, version: str) -> None:
        """
        Pass if this is a file of that package.

        Args:
            name, version: checked, in any spelling.

        Raises:
            MetadataMismatch.
        """
        wanted = (canonicalize_name(name), canonicalize_version(version))
        if self.filetype == WHEEL:
            found = _parse_wheel(self.text)
            if found.name != wanted[0]:
                raise MetadataMismatch("name", ("form", name), ("file name", found.name))
            if canonicalize_version(found.version) != wanted[1]:
                raise MetadataMismatch("version", ("form", version), ("file name", str(found.version)))
        elif not any(split == wanted for split in self._sdist_splits()):
            raise MetadataMismatch("name and version", ("form", f"{name} {version}"), ("file name", self.text))

    def is_spelling_of(self, other: FileName, name: str, version: str) -> bool:
        """
        Whether both name the same distribution of a package.

        Args:
            name, version: of the package that the other is a file of.
        """
        if self.text == other.text:
            return True
        if self.filetype == WHEEL == other.filetype:
            return parse_wheel_filename(self.text) == parse_wheel_filename(other.text)
        if not any(self.text.endswith(ending) and other.text.endswith(ending) for ending in _SDIST_ENDINGS):
            return False
        return (canonicalize_name(name), canonicalize_version(version)) in self._sdist_splits()

    @property
    def python_tag(self) -> str:
        """What the upload protocol calls the Python version: the wheel's first tag, or `source`."""
        return self.text.removesuffix(".whl").split("-")[-3] if self.filetype == WHEEL else "source"

    def _sdist_splits(self) -> list[tuple[str, str]]:
        """Every reading as name and version: old tools wrote dashes in both."""
        stem = next(self.text.removesuffix(end) for end in _SDIST_ENDINGS if self.text.endswith(end))
        parts = stem.split("-")
        splits: list[tuple[str, str]] = []
        for at in range(1, len(parts)):
            name, version = "-".join(parts[:at]), "-".join(parts[at:])
            if _NAME.fullmatch(name) and len(version) <= MAX_VERSION_CHARACTERS:
                splits.append((canonicalize_name(name), _canonical_or_empty(version)))
        return splits


def file_key(text: str) -> str:
    """
    Bring a file name of a package to what installers tell it by from the others of its version.

    That is a wheel's build and tags, in any order; and the kind of a source distribution, of which a version has one.

    Returns:
        The text itself for what is no file name.
    """
    try:
        file_name = FileName.parse(text)
    except InvalidFileName:
        return text
    if file_name.filetype == WHEEL:
        return _wheel_key(text)
    return next(ending for ending in _SDIST_ENDINGS if text.endswith(ending))


def _wheel_key(text: str) -> str:
    """Write build and tags of a checked name; the tags as they are compressed, since there may be hundreds of them."""
    _, _, *build, python, abi, platform = text.removesuffix(".whl").split("-")
    number = _BUILD.match("".join(build))
    tags = [".".join(sorted(set(part.lower().split(".")))) for part in (python, abi, platform)]
    return " ".join([f"{int(number[1])}{number[2]}" if number else "", *tags])


def demand_dist_info(folder: str, file_name: FileName) -> None:
    """
    Pass if a wheel's .dist-info directory belongs to its file name, as installers demand.

    Raises:
        MetadataMismatch.
    """
    wanted = _parse_wheel(file_name.text)
    found_name, dash, found_version = folder.removesuffix(".dist-info").rpartition("-")
    if not dash or (canonicalize_name(found_name), _canonical_or_empty(found_version)) != (
        wanted.name,
        canonicalize_version(wanted.version),
    ):
        raise MetadataMismatch("name and version", ("file name", file_name.text), ("archive", folder))


def demand_tags(facts: WheelFacts, file_name: FileName) -> None:
    """
    Pass if a wheel's file name stands for the tags that WHEEL lists, and has its build tag.

    Installers choose by the file name: one that was changed by hand is installed where it does not run.

    Raises:
        MetadataMismatch.
    """
    wanted = _parse_wheel(file_name.text)
    if facts.tags != wanted.tags:
        differing = ", ".join(sorted(map(str, facts.tags ^ wanted.tags)))
        raise MetadataMismatch("tags", ("file name", file_name.text), ("WHEEL", f"otherwise about {differing}"))
    if facts.build not in ("", wanted.build):
        raise MetadataMismatch("build tag", ("file name", wanted.build), ("WHEEL", facts.build))


def demand_ending(is_zip: bool, file_name: FileName) -> None:
    """
    Pass if a source distribution is the kind of archive that its file name says.

    Raises:
        InvalidArchive.
    """
    if is_zip is not file_name.text.endswith(".zip"):
        raise InvalidArchive(f"{file_name.text} is {'a zip file' if is_zip else 'no zip file'}")


def _canonical_or_empty(version: str) -> str:
    try:
        return canonical_version(version)
    except InvalidVersion:
        return ""


@frozen
class _WheelName:
    """The parts of a wheel's file name."""

    name: str
    version: Version
    build: str
    tags: frozenset[Tag]


def _parse_wheel(text: str) -> _WheelName:
    parts = text.removesuffix(".whl").split("-")
    if len(parts) not in (5, 6) or len(parts[1]) > MAX_VERSION_CHARACTERS:
        raise InvalidFileName(f"not a valid name of a wheel: {text!a}")
    if prod(part.count(".") + 1 for part in parts[-3:]) > MAX_WHEEL_TAGS:
        raise InvalidFileName(f"the name of the wheel stands for more than {MAX_WHEEL_TAGS} tags")
    try:
        name, version, _, tags = parse_wheel_filename(text)
        canonical_name(name)
    except (ValueError, InvalidName):
        raise InvalidFileName(f"not a valid name of a wheel: {text!a}") from None
    return _WheelName(name, version, parts[2] if len(parts) == 6 else "", tags)
