"""Jars, as far as tests need them: plugins of Maven, and what only looks like a jar."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping


def make_jar(members: Mapping[str, bytes]) -> bytes:
    """Make a jar."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as jar:
        for name, data in members.items():
            jar.writestr(name, data)
    return buffer.getvalue()


def plugin_xml(prefix: str, artifact_id: str, group_id: str = "com.acme", more: str = "") -> bytes:
    """Write the descriptor of a plugin."""
    return (
        f"<plugin><name>n</name><groupId>{group_id}</groupId><artifactId>{artifact_id}</artifactId>"
        f"<version>1.0</version><goalPrefix>{prefix}</goalPrefix>{more}</plugin>"
    ).encode()


def plugin_jar(prefix: str, artifact_id: str, group_id: str = "com.acme") -> bytes:
    """Make the jar of a plugin, as far as a repository looks into it."""
    return make_jar({"META-INF/maven/plugin.xml": plugin_xml(prefix, artifact_id, group_id)})
