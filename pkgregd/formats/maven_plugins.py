"""
Plugins of a group, as its metadata lists them: what builds call `mvn hello:greet` by.

Source: Maven's guide to plugin prefix resolution.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

from attrs import frozen

from pkgregd.errors import MetadataMismatch
from pkgregd.formats.maven_jar import goal_prefix
from pkgregd.formats.maven_paths import METADATA
from pkgregd.formats.maven_pom import PLUGIN, PackageMetadata
from pkgregd.formats.maven_xml import element
from pkgregd.values import NewestVersion

_MAVEN_WORD, _PLUGIN_WORD = re.compile("-?maven-?"), re.compile("-?plugin-?")


@frozen
class Plugin:
    """
    A plugin of a group.

    Attributes:
        artifact_id: its artifact.
        name: for people.
        own_prefix: what its newest jar says that its goals are called by; None if it does not say.
    """

    artifact_id: str
    name: str
    own_prefix: str | None = None

    @property
    def prefix(self) -> str:
        """What its goals are called by; else what Maven derives from the artifact."""
        if self.own_prefix is not None:
            return self.own_prefix
        if self.artifact_id == "maven-plugin-plugin":
            return "plugin"
        return _PLUGIN_WORD.sub("", _MAVEN_WORD.sub("", self.artifact_id))


def plugins_of(found: Sequence[NewestVersion]) -> list[Plugin]:
    """Take the plugins out of what the names of a group say."""
    plugins = []
    for each in found:
        metadata = PackageMetadata.from_json(each.package_metadata_json)
        if metadata.packaging == PLUGIN:
            artifact_id = each.canonical_name.rpartition("/")[2]
            plugins.append(Plugin(artifact_id, metadata.name or artifact_id, goal_prefix(each.file_metadata_json)))
    return plugins


def render_plugins(found: Sequence[NewestVersion]) -> bytes:
    """Write the part of metadata that lists plugins; nothing if there are none."""
    plugins = plugins_of(found)
    if not plugins:
        return b""
    lines = [b"  <plugins>\n"]
    for plugin in plugins:
        lines.append(b"    <plugin>\n" + element("      ", "name", plugin.name))
        lines.append(element("      ", "prefix", plugin.prefix))
        lines.append(element("      ", "artifactId", plugin.artifact_id) + b"    </plugin>\n")
    return b"".join([*lines, b"  </plugins>\n"])


def render_prefixes(found: Sequence[NewestVersion]) -> bytes:
    """Write down the prefixes that jars themselves say, by artifact."""
    return json.dumps({plugin.artifact_id: plugin.own_prefix for plugin in plugins_of(found)}).encode("ascii")


def compare_prefixes(claims: Sequence[tuple[str, str]], prefixes: bytes) -> None:
    """
    Pass if what a client says of plugins is what their jars say.

    A plugin that is not there, or does not say, may be called whatever: what a client read before is not its fault.

    Args:
        claims: artifact and prefix of each.
        prefixes: of the group, as render_prefixes() wrote them.

    Raises:
        MetadataMismatch.
    """
    known: Mapping[str, str | None] = json.loads(prefixes)
    for artifact_id, prefix in claims:
        own = known.get(artifact_id)
        if own is not None and own != prefix:
            raise MetadataMismatch(f"prefix of {artifact_id[:255]}", ("plugin.xml", own), (METADATA, prefix))
