"""Paths of a Maven repository: which package a file belongs to, and what a file name says."""

from __future__ import annotations

import re
from collections.abc import Mapping

from attrs import frozen

from pkgregd.errors import InvalidFileName, InvalidName, InvalidVersion
from pkgregd.formatkit.names import check, check_pattern
from pkgregd.formats.maven_versions import MAX_NESTING, SNAPSHOT, is_snapshot, nesting_of

MAX_CHARACTERS = 255
"""Of each part of a path."""

MAX_PATH_CHARACTERS = 1024

METADATA = "maven-metadata.xml"

CHECKSUMS: Mapping[str, str] = {".sha1": "sha1", ".md5": "md5", ".sha256": "sha256", ".sha512": "sha512"}
"""What is promised of a file beside it, by the ending that its name gets."""

ASIDE = (".asc", ".sigstore", ".sigstore.json")
"""Endings of files that are about another one, and no artifacts themselves."""

_EXTENSION = re.compile(r"\.(tar\.(?:gz|bz2|xz|lzma|lz4|zst|Z)|[^.]+)$")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", re.ASCII)
_LETTER = re.compile(r"[A-Za-z0-9_./-]", re.ASCII)
_VERSION = re.compile(r"(?!.*\.\.)[A-Za-z0-9_+.-]+", re.ASCII)
_FILE = re.compile(r"[A-Za-z0-9_+~()=,@][A-Za-z0-9_+~()=,@.-]*", re.ASCII)
_BUILD = re.compile(r"(?P<timestamp>[0-9]{8}\.[0-9]{6})-(?P<number>[0-9]{1,9})(?=[.-]|$)", re.ASCII)


@frozen
class FilePath:
    """
    The path of a file in a version.

    Attributes:
        name: of the package: group and artifact, as in `com/acme/lib`.
        version: as in the path.
        file_name: the last part.
    """

    name: str
    version: str
    file_name: str

    @property
    def group_id(self) -> str:
        """As in a POM."""
        return self.name.rpartition("/")[0].replace("/", ".")

    @property
    def artifact_id(self) -> str:
        """As in a POM."""
        return self.name.rpartition("/")[2]

    @property
    def is_pom(self) -> bool:
        """Whether it is the POM of its version."""
        return self._is_main("pom")

    @property
    def is_jar(self) -> bool:
        """Whether it is the main jar of its version."""
        return self._is_main("jar")

    def _is_main(self, extension: str) -> bool:
        artifact = artifact_of(self)
        return artifact is not None and (artifact.classifier, artifact.extension) == ("", extension)


@frozen
class Build:
    """
    Which build of a snapshot a file is of.

    Attributes:
        timestamp: as in `20261128.093000`, in UTC.
        number: counts the builds.
    """

    timestamp: str
    number: int


@frozen
class Artifact:
    """
    What the name of a file says, if it is named as Maven does.

    Attributes:
        version: of the file: a snapshot's has its build in it.
        build: of a snapshot; None for a release, and where the file name just says SNAPSHOT.
        classifier: such as `sources`; empty for the main one.
        extension: such as `jar` or `tar.gz`; may end in `.asc`.
    """

    version: str
    build: Build | None
    classifier: str
    extension: str


def split_checksum(file_name: str) -> tuple[str, str | None]:
    """Take the ending of a checksum off; returns the name of the file that it is about, and the algorithm or None."""
    for ending, algorithm in CHECKSUMS.items():
        if file_name.endswith(ending) and file_name != ending:
            return file_name.removesuffix(ending), algorithm
    return file_name, None


def parse_file(path: str) -> FilePath:
    """
    Read the path of a file in a version.

    Raises:
        InvalidName, InvalidVersion, InvalidFileName: it is none, or a part of it cannot be.
    """
    if len(path) > MAX_PATH_CHARACTERS:
        raise InvalidFileName(f"the path is longer than {MAX_PATH_CHARACTERS} characters")
    parts = path.split("/")
    if len(parts) < 4:
        raise InvalidFileName(f"a file is at GROUP/ARTIFACT/VERSION/FILE, not at {path!a}")
    if parts[-1].startswith(f"{METADATA}."):
        raise InvalidFileName(f"{METADATA} is made here: nobody else can say anything about it")
    name = check_name("/".join(parts[:-2]))
    version = check_version(parts[-2])
    return FilePath(name, version, check(parts[-1], _FILE, MAX_CHARACTERS, InvalidFileName, "file name"))


def check_name(name: str) -> str:
    """
    Check the name of a package, `GROUP/ARTIFACT` with a slash for each dot of the group.

    Raises:
        InvalidName.
    """
    parts = name.split("/")
    if len(name) > MAX_PATH_CHARACTERS or len(parts) < 2:
        raise InvalidName(f"a package is named GROUP/ARTIFACT, not {name[:MAX_CHARACTERS]!a}")
    for part in parts:
        check(part, _NAME, MAX_CHARACTERS, InvalidName, "part of a group or artifact")
    return name


def check_name_pattern(pattern: str) -> str:
    """
    Pass a pattern for names on, which are compared as they are written.

    Raises:
        InvalidName: a letter that no name has, or a group that is written with dots, which would match no package.
    """
    check_pattern(pattern, _LETTER, "letters, digits, '_', '.', '-' and '/' (com/acme/lib)")
    start = pattern.partition("*")[0]
    if "/" not in pattern and "." in start:
        better = start.replace(".", "/") + pattern[len(start) :]
        raise InvalidName(f"a package of Maven is named with slashes (com/acme/lib): write {better} for {pattern}")
    return pattern


def check_version(version: str) -> str:
    """Check a version. Raises InvalidVersion."""
    if version in (".", SNAPSHOT):
        raise InvalidVersion(f"not a valid version: {version!a}")
    check(version, _VERSION, MAX_CHARACTERS, InvalidVersion, "version")
    if nesting_of(version) > MAX_NESTING:
        raise InvalidVersion(f"the version changes more than {MAX_NESTING} times between letters and digits")
    return version


def artifact_of(path: FilePath) -> Artifact | None:
    """Say what the name of a file says; None if it is not named as Maven does."""
    rest = path.file_name.removeprefix(f"{path.artifact_id}-")
    if rest == path.file_name:
        return None
    build = None
    if rest.startswith(path.version) and rest[len(path.version) : len(path.version) + 1] in ("-", "."):
        version = path.version
    elif is_snapshot(path.version):
        base = path.version.removesuffix("SNAPSHOT")
        found = _BUILD.match(rest, len(base)) if rest.startswith(base) else None
        if found is None:
            return None
        version = rest[: found.end()]
        build = Build(found["timestamp"], int(found["number"]))
    else:
        return None
    classifier, extension = _split_ending(rest[len(version) :])
    if not extension or (classifier and not classifier.startswith("-")):
        return None
    return Artifact(version, build, classifier[1:], extension)


def _split_ending(ending: str) -> tuple[str, str]:
    """
    Split what comes behind the version into a classifier with its hyphen and an extension without its dot.

    A classifier may have dots in it (`-hadoop2.6.jar`): an extension has one only if it is known to (`tar.gz`).
    """
    if ending.startswith("."):
        return "", ending[1:]
    core = ending
    while aside := next((each for each in ASIDE if core.endswith(each)), ""):
        core = core.removesuffix(aside)
    found = _EXTENSION.search(core)
    return (ending, "") if found is None else (ending[: found.start()], ending[found.start() + 1 :])


def owner_of(path: str) -> str:
    """
    Tell which group of the registry a path belongs to at the instance: the one at the path of its groupId.

    Raises:
        InvalidName: it has none.
    """
    parts = path.split("/")
    file_name, _ = split_checksum(parts[-1])
    is_in_version = file_name != METADATA or (len(parts) > 3 and is_snapshot(parts[-2]))
    group = parts[:-3] if is_in_version else parts[:-2]
    if not group:
        raise InvalidName("there is no group in this path")
    return "/".join(group)
