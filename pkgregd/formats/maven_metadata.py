"""
`maven-metadata.xml`, made from what is published; and what a client sends of it, compared.

Source: Maven's repository metadata model 1.1.0. The order of elements means nothing to its reader.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Mapping, Sequence
from xml.sax.saxutils import escape

from attrs import frozen

from pkgregd.errors import InvalidRequest, MetadataMismatch
from pkgregd.formatkit.xmltree import read_xml
from pkgregd.formats.maven_paths import METADATA, Artifact, Build, FilePath, artifact_of
from pkgregd.formats.maven_versions import is_snapshot, version_key
from pkgregd.values import PackageFile, PageLayout, PageSection

REVISION = "1"
"""Of how these pages look: part of their validators."""

MAX_METADATA_BYTES = 4 << 20

CONTENT_TYPE = "application/xml"

_HEAD = b'<?xml version="1.0" encoding="UTF-8"?>\n'
_MAVEN_WORD, _PLUGIN_WORD = re.compile("-?maven-?"), re.compile("-?plugin-?")
_ASIDE = (".asc", ".sigstore", ".sigstore.json")
"""Endings of files that are about another one, and no artifacts themselves."""


@frozen
class Plugin:
    """
    A plugin of a group.

    Attributes:
        artifact_id: its artifact.
        name: for people.
    """

    artifact_id: str
    name: str

    @property
    def prefix(self) -> str:
        """What its goals are called by, as Maven derives it from the artifact."""
        if self.artifact_id == "maven-plugin-plugin":
            return "plugin"
        return _PLUGIN_WORD.sub("", _MAVEN_WORD.sub("", self.artifact_id))


def artifact_layout(
    group_id: str, artifact_id: str, changed_at: datetime.datetime | None, plugins: Sequence[Plugin] = ()
) -> PageLayout:
    """
    Lay out the metadata of an artifact: its versions, and which of them are the newest.

    Args:
        changed_at: when the list of versions changed last.
        plugins: of a group that has the same path.
    """
    lead = _HEAD + b"<metadata>\n" + _plugins(plugins) + _element("  ", "groupId", group_id)
    lead += _element("  ", "artifactId", artifact_id) + b"  <versioning>\n    <versions>\n"
    return PageLayout(
        (PageSection(lead, b"", lambda files: _element("      ", "version", files[0].version)),),
        _element("    ", "lastUpdated", _moment(changed_at)) + b"  </versioning>\n</metadata>\n",
        version_key,
        _newest,
    )


def _newest(versions: Sequence[str]) -> bytes:
    released = next((version for version in reversed(versions) if not is_snapshot(version)), None)
    end = b"    </versions>\n" + _element("    ", "latest", versions[-1])
    return end if released is None else end + _element("    ", "release", released)


def render_plugins(plugins: Sequence[Plugin]) -> bytes:
    """Write the metadata of a group: the plugins in it."""
    return _HEAD + b"<metadata>\n" + _plugins(plugins) + b"</metadata>\n"


def _plugins(plugins: Sequence[Plugin]) -> bytes:
    if not plugins:
        return b""
    lines = [b"  <plugins>\n"]
    for plugin in plugins:
        lines.append(b"    <plugin>\n" + _element("      ", "name", plugin.name))
        lines.append(_element("      ", "prefix", plugin.prefix))
        lines.append(_element("      ", "artifactId", plugin.artifact_id) + b"    </plugin>\n")
    return b"".join([*lines, b"  </plugins>\n"])


def render_snapshot(name: str, version: str, files: Sequence[PackageFile]) -> bytes:
    """
    Write the metadata of a snapshot: its newest build, and for each kind of file the newest one.

    Args:
        files: of the version, by creation.
    """
    group, _, artifact_id = name.rpartition("/")
    found = list(_artifacts(name, version, files))
    newest = max((build for artifact, _ in found if (build := artifact.build) is not None), key=age_of, default=None)
    lines = [
        _HEAD + b'<metadata modelVersion="1.1.0">\n',
        _element("  ", "groupId", group.replace("/", ".")),
        _element("  ", "artifactId", artifact_id),
        _element("  ", "version", version),
        b"  <versioning>\n",
        *_newest_build(newest),
        _element("    ", "lastUpdated", _moment(max((file.created_at for file in files), default=None))),
        *_snapshot_versions(found),
        b"  </versioning>\n</metadata>\n",
    ]
    return b"".join(lines)


def _artifacts(name: str, version: str, files: Sequence[PackageFile]) -> Iterable[tuple[Artifact, PackageFile]]:
    for file in files:
        artifact = artifact_of(FilePath(name, version, file.file_name))
        if artifact is not None and not is_aside(artifact):
            yield artifact, file


def is_aside(artifact: Artifact) -> bool:
    """Whether a file is about another one, such as a signature: metadata does not tell of it."""
    return artifact.extension.endswith(_ASIDE)


def _newest_build(build: Build | None) -> Iterable[bytes]:
    if build is None:
        return ()
    return (
        b"    <snapshot>\n",
        _element("      ", "timestamp", build.timestamp),
        _element("      ", "buildNumber", str(build.number)),
        b"    </snapshot>\n",
    )


def _snapshot_versions(found: Iterable[tuple[Artifact, PackageFile]]) -> Iterable[bytes]:
    newest: dict[tuple[str, str], tuple[Artifact, PackageFile]] = {}
    for artifact, file in found:
        key = (artifact.classifier, artifact.extension)
        if key not in newest or age_of(artifact.build) >= age_of(newest[key][0].build):
            newest[key] = (artifact, file)
    if not newest:
        return
    yield b"    <snapshotVersions>\n"
    for (classifier, extension), (artifact, file) in sorted(newest.items()):
        yield b"      <snapshotVersion>\n"
        if classifier:
            yield _element("        ", "classifier", classifier)
        yield _element("        ", "extension", extension)
        yield _element("        ", "value", artifact.version)
        updated = _moment(file.created_at) if artifact.build is None else artifact.build.timestamp.replace(".", "")
        yield _element("        ", "updated", updated)
        yield b"      </snapshotVersion>\n"
    yield b"    </snapshotVersions>\n"


def age_of(build: Build | None) -> tuple[str, int]:
    """Order builds, the newest last."""
    return ("", 0) if build is None else (build.timestamp, build.number)


def _moment(moment: datetime.datetime | None) -> str:
    return "" if moment is None else moment.astimezone(datetime.UTC).strftime("%Y%m%d%H%M%S")


def _element(indent: str, name: str, text: str) -> bytes:
    return f"{indent}<{name}>{escape(text)}</{name}>\n".encode()


def compare_metadata(data: bytes, expected: Mapping[str, str]) -> None:
    """
    Pass if what a client sends as metadata is about what its path says. Blocks for its size.

    Args:
        expected: what the path says, by the name of the element; an element that is not there agrees.

    Raises:
        InvalidRequest: no metadata, or MetadataMismatch.
    """
    root = read_xml(data, METADATA)
    if root.name != "metadata":
        raise InvalidRequest(f"{METADATA} begins with <{root.name[:64]}>, not with <metadata>")
    for what, wanted in expected.items():
        found = root.first_text(what)
        if found is not None and found != wanted:
            raise MetadataMismatch(what, ("path", wanted), (METADATA, found))
