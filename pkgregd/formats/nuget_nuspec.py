"""
What a package says of itself: its nuspec, read in a process of its own, and kept.

Source: NuGet's .nuspec reference; the package is a zip file with one nuspec at its root.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping, Sequence
from typing import IO, Any

from attrs import asdict, field, frozen

from pkgregd.errors import InvalidArchive, InvalidRequest
from pkgregd.formatkit.answers import optional_bytes
from pkgregd.formatkit.names import has_control
from pkgregd.formatkit.tree import Kind
from pkgregd.formatkit.xmltree import Element, XmlLimits, read_xml
from pkgregd.formatkit.zips import Directory, check_members, read_directory, read_member
from pkgregd.formats.nuget_names import Version, canonical_name
from pkgregd.formats.nuget_ranges import checked_range

MAX_NUSPEC_BYTES = 1 << 20
MAX_KEPT_BYTES = 200_000
"""Of what is kept of a nuspec, as JSON."""

MAX_TEXT_CHARACTERS = 8_000
MAX_DEPENDENCIES = 2_000
MAX_DEPENDENCIES_CHARACTERS = 2**15 - 1
"""Of all dependencies as `id:range:framework|...`, which is what the gallery of NuGet itself takes."""

NUSPEC_DOCUMENT = "nuspec"
SYMBOLS_TYPE = "SymbolsPackage"
"""The package type of a symbol package."""

METADATA_DOCUMENT = "metadata"
"""Has what is kept of the nuspec."""

_LIMITS = XmlLimits(max_elements=20_000, max_text_characters=256 << 10)
_TEXTS = (
    "title", "authors", "description", "summary", "tags", "language", "projectUrl", "iconUrl", "licenseUrl",
    "copyright", "releaseNotes",
)  # fmt: skip
_FRAMEWORK = re.compile(r"[0-9A-Za-z.,+=_ -]*", re.ASCII)
"""Has nothing that stands between dependencies where they are one text; neither has a range."""

_URLS = frozenset({"projectUrl", "iconUrl", "licenseUrl"})


@frozen
class Dependency:
    """
    What a package needs.

    Attributes:
        id: of the other package.
        range: of its versions, as in `[1.0.0, )`; empty for any.
    """

    id: str
    range: str


@frozen
class DependencyGroup:
    """What a package needs for one target framework; empty for any."""

    target_framework: str
    dependencies: Sequence[Dependency]


@frozen
class Nuspec:
    """
    What is kept of a nuspec.

    Attributes:
        id, version: as written there, the version normalised with its metadata.
        texts: title, authors and so on, those that are there.
        license_expression: an SPDX expression, or empty.
        requires_acceptance: of the license, before an installation.
        min_client_version: empty if any will do.
        groups: of dependencies.
        package_types: such as `DotnetTool`; none means a dependency.
    """

    id: str
    version: str
    texts: Mapping[str, str] = field(factory=dict)
    license_expression: str = ""
    requires_acceptance: bool = False
    min_client_version: str = ""
    groups: Sequence[DependencyGroup] = ()
    package_types: Sequence[str] = ()

    def to_json(self) -> str:
        """Write it down."""
        return json.dumps(asdict(self), separators=(",", ":"), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str | bytes) -> Nuspec:
        """Read what to_json() wrote."""
        kept: dict[str, Any] = json.loads(text)
        groups = [
            DependencyGroup(group["target_framework"], [Dependency(**each) for each in group["dependencies"]])
            for group in kept.pop("groups")
        ]
        return cls(**kept, groups=groups)

    @property
    def types(self) -> Sequence[str]:
        """The package types; a package that says none is a dependency."""
        return self.package_types or ("Dependency",)

    @property
    def is_of_symbols(self) -> bool:
        """Whether the package is one of symbols."""
        return SYMBOLS_TYPE.lower() in map(str.lower, self.package_types)

    @property
    def summary(self) -> str:
        """What it is found by."""
        return " ".join(filter(None, (self.texts.get(name) for name in ("title", "tags", "description"))))


def inspect_nupkg(file: IO[bytes]) -> Mapping[str, object]:
    """
    Read a package. An inspector.

    Raises:
        InvalidArchive: no package. InvalidRequest: a nuspec that is not what it can be.
    """
    directory = read_directory(file)
    answer = read_nuspec(file, directory)
    check_members(file, directory)
    return answer


def read_nuspec(file: IO[bytes], directory: Directory) -> Mapping[str, object]:
    """
    Read the nuspec of a package, for an inspector to answer; see nuspec_of().

    Raises:
        InvalidArchive: there is not exactly one. InvalidRequest: it is not what it can be.
    """
    names = [
        path
        for path, member in directory.members.items()
        if member.kind is Kind.FILE and "/" not in path and path.lower().endswith(".nuspec")
    ]
    if len(names) != 1:
        raise InvalidArchive(f"a package has one .nuspec at its root, this one has {len(names)}")
    data = read_member(file, directory, names[0], MAX_NUSPEC_BYTES)
    kept = _read(data).to_json()
    if len(kept.encode()) > MAX_KEPT_BYTES:
        raise InvalidRequest(f"the nuspec says too much: what is kept of it is larger than {MAX_KEPT_BYTES} bytes")
    return {"kept": kept, "nuspec_base64": base64.b64encode(data).decode("ascii")}


def nuspec_of(answer: Mapping[str, object]) -> tuple[Nuspec, bytes]:
    """
    Take the answer of read_nuspec(): what is kept, and the nuspec itself.

    Raises:
        InvalidArchive: it is not one.
    """
    data = optional_bytes(answer, "nuspec_base64", MAX_NUSPEC_BYTES)
    kept = answer.get("kept")
    if data is None or not isinstance(kept, str) or len(kept) > MAX_KEPT_BYTES:
        raise InvalidArchive("the package cannot be read")
    found = _read(data)
    if found.to_json() != kept:
        raise InvalidArchive("the package cannot be read: its nuspec is not what was found in it")
    return found, data


def _read(data: bytes) -> Nuspec:
    root = read_xml(data, "nuspec", _LIMITS)
    metadata = root.first("metadata")
    if root.name != "package" or metadata is None:
        raise InvalidRequest("the nuspec is not <package> with <metadata>")
    name, version = metadata.first_text("id"), metadata.first_text("version")
    if name is None or version is None:
        raise InvalidRequest("the nuspec has no id or no version")
    canonical_name(name)
    license_ = metadata.first("license")
    is_expression = license_ is not None and license_.attributes.get("type") == "expression"
    return Nuspec(
        id=name,
        version=Version.parse(version).full,
        texts={each: found for each in _TEXTS if (found := _text(metadata, each))},
        license_expression=license_.text[:500] if license_ is not None and is_expression else "",
        requires_acceptance=(metadata.first_text("requireLicenseAcceptance") or "").lower() == "true",
        min_client_version=metadata.attributes.get("minClientVersion", "")[:64],
        groups=_groups(metadata),
        package_types=[each.attributes.get("name", "")[:100] for each in _below(metadata, "packageTypes")][:16],
    )


def _text(metadata: Element, name: str) -> str:
    found = (metadata.first_text(name) or "")[:MAX_TEXT_CHARACTERS]
    if has_control(found):
        raise InvalidRequest(f"the {name} of the nuspec has control characters")
    # a link that a browser would run is none
    return found if name not in _URLS or found.lower().startswith(("https://", "http://")) else ""


def _below(metadata: Element, name: str) -> Sequence[Element]:
    parent = metadata.first(name)
    return () if parent is None else parent.children


def _groups(metadata: Element) -> Sequence[DependencyGroup]:
    groups: list[DependencyGroup] = []
    flat: list[Dependency] = []
    for child in _below(metadata, "dependencies"):
        if child.name == "dependency":
            flat.append(_dependency(child))
        elif child.name == "group":
            found = [_dependency(each) for each in child.each("dependency")]
            groups.append(DependencyGroup(_target_framework(child), found))
    everything = [DependencyGroup("", flat), *groups] if flat else groups
    _check_size(everything)
    return everything


def _check_size(groups: Sequence[DependencyGroup]) -> None:
    if sum(len(group.dependencies) for group in groups) > MAX_DEPENDENCIES:
        raise InvalidRequest(f"the nuspec has more than {MAX_DEPENDENCIES} dependencies")
    flattened = sum(
        len(f"{dependency.id}:{dependency.range}:{group.target_framework}|")
        for group in groups
        for dependency in group.dependencies or [Dependency("", "")]
    )
    if flattened > MAX_DEPENDENCIES_CHARACTERS:
        raise InvalidRequest(
            f"the dependencies of the nuspec are too long: they take {flattened} characters "
            f"of at most {MAX_DEPENDENCIES_CHARACTERS}"
        )


def _dependency(element: Element) -> Dependency:
    name = element.attributes.get("id", "")
    canonical_name(name)
    return Dependency(name, checked_range(element.attributes.get("version", "")))


def _target_framework(element: Element) -> str:
    framework = element.attributes.get("targetFramework", "")
    if len(framework) > 200 or not _FRAMEWORK.fullmatch(framework):
        raise InvalidRequest("a group of dependencies has no possible target framework")
    return framework
