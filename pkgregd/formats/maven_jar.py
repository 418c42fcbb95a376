"""
Reading the jar of a plugin: what its goals are called by.

Source: Maven's plugin descriptor, META-INF/maven/plugin.xml. The prefix in it is what builds use; that which Maven
derives from an artifactId is only a guess at it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import IO

from pkgregd.errors import InvalidRequest
from pkgregd.formatkit.answers import optional_text
from pkgregd.formatkit.tree import Kind
from pkgregd.formatkit.xmltree import Element, XmlLimits, read_xml
from pkgregd.formatkit.zips import read_directory, read_member

DESCRIPTOR = "META-INF/maven/plugin.xml"
"""A zip file has the names of its members as they are: a jar without these letters need not be opened."""

MAX_DESCRIPTOR_BYTES = 4 << 20
MAX_PREFIX_CHARACTERS = 100

MAX_JAR_BYTES = 256 << 20
"""In one that says that it is greater nothing is looked for: no plugin is so large, while applications are."""

_LIMITS = XmlLimits(max_elements=200_000, max_text_characters=1 << 20)
_PREFIX = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*", re.ASCII)


def inspect_jar(file: IO[bytes], group_id: str, artifact_id: str) -> Mapping[str, object]:
    """
    Look for the prefix of a plugin. An inspector.

    A repository takes whatever is called a jar. What is none, or has no descriptor that can be read, has no prefix; and
    the descriptor of another plugin, which a jar may have taken over with its classes, is not about this one.
    """
    try:
        root = _read_descriptor(file)
    except InvalidRequest:
        return {}
    is_own = root is not None and all(
        root.first_text(what) == wanted for what, wanted in (("groupId", group_id), ("artifactId", artifact_id))
    )
    return {"goal_prefix": root.first_text("goalPrefix")} if root is not None and is_own else {}


def _read_descriptor(file: IO[bytes]) -> Element | None:
    directory = read_directory(file)
    member = directory.members.get(DESCRIPTOR)
    if member is None or member.kind is not Kind.FILE:
        return None
    root = read_xml(read_member(file, directory, DESCRIPTOR, MAX_DESCRIPTOR_BYTES), DESCRIPTOR, _LIMITS)
    return root if root.name == "plugin" else None


def file_metadata(answer: Mapping[str, object]) -> str:
    """
    Write down what is kept of the answer of inspect_jar().

    Raises:
        InvalidArchive: it is not one.
    """
    prefix = optional_text(answer, "goal_prefix", MAX_DESCRIPTOR_BYTES)
    if prefix is None or len(prefix) > MAX_PREFIX_CHARACTERS or not _PREFIX.fullmatch(prefix):
        return "{}"
    return json.dumps({"goal_prefix": prefix})


def goal_prefix(file_metadata_json: str) -> str | None:
    """Read it; None if the jar has none."""
    prefix: str | None = json.loads(file_metadata_json).get("goal_prefix")
    return prefix
