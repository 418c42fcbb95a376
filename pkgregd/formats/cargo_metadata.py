"""What is kept of a version: its line of the index, and what a search shows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from attrs import frozen

from pkgregd.formats.cargo_record import CrateRecord, Dependency

FORMAT = "cargo"


@frozen
class CrateMetadata:
    """
    What is kept in the row of a crate's file.

    Attributes:
        line: of the index, without what the row knows otherwise.
        description: one line, perhaps empty.
    """

    line: Mapping[str, Any]
    description: str

    def to_json(self) -> str:
        """Write it for the catalog."""
        return json.dumps({"line": self.line, "description": self.description})

    @classmethod
    def from_json(cls, text: str) -> CrateMetadata:
        """Read what to_json() wrote, in this version or in one that knows more."""
        fields = json.loads(text)
        return cls(fields["line"], fields["description"])


def index_line(record: CrateRecord) -> dict[str, Any]:
    """
    Write what the index says of a version, without its digest and whether it is yanked.

    Features in a syntax that cargo before 1.60 does not read are apart, in a line of the second version, which such
    a cargo passes over.

    Source: the Cargo book, "Index Format".
    """
    newer = {name for name, values in record.features.items() if any(_is_newer(value) for value in values)}
    line: dict[str, Any] = {
        "name": record.name,
        "vers": record.version,
        "deps": [_dependency(each) for each in record.dependencies],
        "features": {name: list(values) for name, values in record.features.items() if name not in newer},
    }
    if newer:
        line["features2"] = {name: list(record.features[name]) for name in sorted(newer)}
        line["v"] = 2
    if record.links is not None:
        line["links"] = record.links
    if record.rust_version is not None:
        line["rust_version"] = record.rust_version
    return line


def _is_newer(value: str) -> bool:
    return value.startswith("dep:") or "?/" in value


def _dependency(each: Dependency) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "name": each.name,
        "req": each.requirement,
        "features": list(each.features),
        "optional": each.is_optional,
        "default_features": each.has_default_features,
        "target": each.target or None,
        "kind": each.kind,
        "registry": each.registry or None,
    }
    if each.package != each.name:
        fields["package"] = each.package
    return fields
