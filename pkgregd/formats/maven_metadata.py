"""
`maven-metadata.xml`, made from what is published; and what a client sends of it, compared.

Source: Maven's repository metadata model 1.1.0. The order of elements means nothing to its reader.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from attrs import frozen

from pkgregd.errors import InvalidRequest, MetadataMismatch, PackageNotFound
from pkgregd.formatkit.xmltree import XmlLimits, read_xml
from pkgregd.formats.maven_announcements import Announcement, announcements_in
from pkgregd.formats.maven_paths import ASIDE, METADATA, Artifact, Build
from pkgregd.formats.maven_versions import is_snapshot, version_key
from pkgregd.formats.maven_whole import is_whole, whole_artifacts
from pkgregd.formats.maven_xml import element
from pkgregd.values import PackageFile, PageLayout, PageSection

REVISION = "3"
"""Of how these pages look: part of their validators."""

MAX_METADATA_BYTES = 1 << 20
"""Of what a client sends. It sends what it got and one version more: of some 20 000 at most."""

_LIMITS = XmlLimits(max_elements=25_000, max_depth=16, max_text_characters=256 << 10, max_attributes=16)
"""Text is the white space between versions, too."""

CONTENT_TYPE = "application/xml"

_HEAD = b'<?xml version="1.0" encoding="UTF-8"?>\n'


def artifact_layout(
    group_id: str, artifact_id: str, changed_at: datetime.datetime | None, plugins: bytes = b""
) -> PageLayout:
    """
    Lay out the metadata of an artifact: its versions, and which of them are the newest.

    Args:
        changed_at: when the list of versions changed last.
        plugins: of a group that has the same path, as render_plugins() writes them.
    """
    lead = _HEAD + b"<metadata>\n" + plugins + element("  ", "groupId", group_id)
    lead += element("  ", "artifactId", artifact_id) + b"  <versioning>\n    <versions>\n"
    return PageLayout(
        (PageSection(lead, b"", lambda files: element("      ", "version", files[0].version)),),
        element("    ", "lastUpdated", _moment(changed_at)) + b"  </versioning>\n</metadata>\n",
        version_key,
        _newest,
        partial(is_whole, f"{group_id.replace('.', '/')}/{artifact_id}"),
    )


def _newest(versions: Sequence[str]) -> bytes:
    released = next((version for version in reversed(versions) if not is_snapshot(version)), None)
    end = b"    </versions>\n" + element("    ", "latest", versions[-1])
    return end if released is None else end + element("    ", "release", released)


def render_group(plugins: bytes) -> bytes:
    """Write the metadata of a group around the list of its plugins, as render_plugins() writes it."""
    return _HEAD + b"<metadata>\n" + plugins + b"</metadata>\n"


def render_snapshot(name: str, version: str, files: Sequence[PackageFile]) -> bytes:
    """
    Write the metadata of a snapshot: its newest whole build, and where to find each kind of file.

    Main files, whose dependencies the POM tells, are all of that build. Classified ones are of the newest whole build
    that has them, as in the metadata that Maven writes: natives of several platforms may be built one by one.

    Args:
        files: of the version, by creation.

    Raises:
        PackageNotFound: no build is whole.
    """
    group, _, artifact_id = name.rpartition("/")
    found = whole_artifacts(name, version, files)
    if not found:
        raise PackageNotFound
    newest = max((artifact.build for artifact, _ in found), key=age_of)
    found = [(artifact, file) for artifact, file in found if artifact.classifier or artifact.build == newest]
    lines = [
        _HEAD + b'<metadata modelVersion="1.1.0">\n',
        element("  ", "groupId", group.replace("/", ".")),
        element("  ", "artifactId", artifact_id),
        element("  ", "version", version),
        b"  <versioning>\n",
        *_newest_build(newest),
        element("    ", "lastUpdated", _moment(max(file.created_at for _, file in found))),
        *_snapshot_versions(found),
        b"  </versioning>\n</metadata>\n",
    ]
    return b"".join(lines)


def is_aside(artifact: Artifact) -> bool:
    """Whether a file is about another one, such as a signature: metadata does not tell of it."""
    return artifact.extension.endswith(ASIDE)


def _newest_build(build: Build | None) -> Iterable[bytes]:
    if build is None:
        return ()
    return (
        b"    <snapshot>\n",
        element("      ", "timestamp", build.timestamp),
        element("      ", "buildNumber", str(build.number)),
        b"    </snapshot>\n",
    )


def _snapshot_versions(found: Iterable[tuple[Artifact, PackageFile]]) -> Iterable[bytes]:
    newest: dict[tuple[str, str], tuple[Artifact, PackageFile]] = {}
    for artifact, file in found:
        key = (artifact.classifier, artifact.extension)
        if key not in newest or age_of(artifact.build) >= age_of(newest[key][0].build):
            newest[key] = (artifact, file)
    yield b"    <snapshotVersions>\n"
    for (classifier, extension), (artifact, file) in sorted(newest.items()):
        yield b"      <snapshotVersion>\n"
        if classifier:
            yield element("        ", "classifier", classifier)
        yield element("        ", "extension", extension)
        yield element("        ", "value", artifact.version)
        updated = _moment(file.created_at) if artifact.build is None else artifact.build.timestamp.replace(".", "")
        yield element("        ", "updated", updated)
        yield b"      </snapshotVersion>\n"
    yield b"    </snapshotVersions>\n"


def age_of(build: Build | None) -> tuple[str, int]:
    """Order builds, the newest last."""
    return ("", 0) if build is None else (build.timestamp, build.number)


def _moment(moment: datetime.datetime | None) -> str:
    return "" if moment is None else moment.astimezone(datetime.UTC).strftime("%Y%m%d%H%M%S")


@frozen
class Told:
    """
    What a client's metadata says.

    Attributes:
        prefixes: of plugins: the artifact and the prefix of each.
        deployed: which versions it names as deployed.
    """

    prefixes: tuple[tuple[str, str], ...]
    deployed: tuple[Announcement, ...]


def compare_metadata(data: bytes, expected: Mapping[str, str]) -> Told:
    """
    Pass if what a client sends as metadata is about what its path says. Blocks for its size.

    Args:
        expected: what the path says, by the name of the element; an element that is not there agrees.

    Returns:
        What it says beside that.

    Raises:
        InvalidRequest: no metadata, or MetadataMismatch.
    """
    root = read_xml(data, METADATA, _LIMITS)
    if root.name != "metadata":
        raise InvalidRequest(f"{METADATA} begins with <{root.name[:64]}>, not with <metadata>")
    for what, wanted in expected.items():
        found = root.first_text(what)
        if found is not None and found != wanted:
            raise MetadataMismatch(what, ("path", wanted), (METADATA, found))
    plugins = root.first("plugins")
    prefixes = tuple(
        (plugin.first_text("artifactId") or "", plugin.first_text("prefix") or "")
        for plugin in (() if plugins is None else plugins.each("plugin"))
    )
    if "groupId" not in expected:
        return Told(prefixes, ())
    name = f"{expected['groupId'].replace('.', '/')}/{expected['artifactId']}"
    return Told(prefixes, announcements_in(root, name, expected.get("version")))
