"""
Reading POMs: whether they are about what their path says, and what is kept of them.

Source: Maven's POM reference, "Maven Coordinates". What a POM does not say it has from its parent.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import IO

from attrs import asdict, frozen

from pkgregd.errors import InvalidRequest, MetadataMismatch
from pkgregd.formatkit.answers import optional_text
from pkgregd.formatkit.names import has_control, is_printable
from pkgregd.formatkit.xmltree import Element, read_xml

MAX_POM_BYTES = 4 << 20
MAX_KEPT_CHARACTERS = 500
PLUGIN = "maven-plugin"


@frozen
class PackageMetadata:
    """
    What is kept of the POM of a version.

    Attributes:
        packaging: such as `jar`, or `maven-plugin`.
        name: for people; None if it has none.
        announced: the version without a POM, or the build of it, that a client's own metadata named last.
    """

    packaging: str = "jar"
    name: str | None = None
    announced: str | None = None

    def to_json(self) -> str:
        """Write it down."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> PackageMetadata:
        """Read what to_json() wrote; of a package without a POM, what Maven takes for granted."""
        kept = json.loads(text)
        return cls(kept.get("packaging", "jar"), kept.get("name"), kept.get("announced"))


def inspect_pom(file: IO[bytes], group_id: str, artifact_id: str, version: str) -> Mapping[str, object]:
    """
    Read a POM and compare it with the path that it was sent to. An inspector.

    Raises:
        InvalidRequest: no POM, or MetadataMismatch.
    """
    data = file.read(MAX_POM_BYTES + 1)
    if len(data) > MAX_POM_BYTES:
        raise InvalidRequest(f"the POM is larger than {MAX_POM_BYTES} bytes")
    # as Maven's own reader, which knows no namespaces: old POMs have prefixes that nothing declares
    root = read_xml(data, "POM", checks_namespaces=False)
    if root.name != "project":
        raise InvalidRequest(f"the POM begins with <{root.name[:64]}>, not with <project>")
    for what, wanted in (("groupId", group_id), ("artifactId", artifact_id), ("version", version)):
        found = _coordinate(root, what)
        if found is None:
            raise InvalidRequest(f"the POM has no {what}")
        # an expression is put in when the POM is read; Maven itself deploys such POMs as they are
        if "${" not in found and found != wanted:
            raise MetadataMismatch(what, ("path", wanted), ("POM", found))
    return {
        "packaging": _kept(root, "packaging"),
        "name": _kept(root, "name"),
        "description": _kept(root, "description"),
    }


def _coordinate(root: Element, what: str) -> str | None:
    own = root.first_text(what)
    return own if own is not None or what == "artifactId" else root.first_text("parent", what)


def _kept(root: Element, what: str) -> str | None:
    """Return a text as one line, cut; None for what cannot be shown."""
    text = " ".join((root.first_text(what) or "").split())[:MAX_KEPT_CHARACTERS]
    return text if text and "${" not in text and is_printable(text) and not has_control(text) else None


@frozen
class Pom:
    """
    What an inspector found.

    Attributes:
        metadata: to be kept.
        summary: to be found by.
    """

    metadata: PackageMetadata
    summary: str


def pom_of(answer: Mapping[str, object]) -> Pom:
    """
    Take the answer of inspect_pom().

    Raises:
        InvalidArchive: it is not one.
    """
    packaging = optional_text(answer, "packaging", MAX_KEPT_CHARACTERS) or "jar"
    name = optional_text(answer, "name", MAX_KEPT_CHARACTERS)
    description = optional_text(answer, "description", MAX_KEPT_CHARACTERS)
    said = [packaging if packaging == PLUGIN else "", name or "", description or ""]
    return Pom(PackageMetadata(packaging, name), " ".join(filter(None, said)))
