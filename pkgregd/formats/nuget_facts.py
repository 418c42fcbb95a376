"""What is read of every version of a name at once; all else that a nuspec says stands in a document."""

from __future__ import annotations

import json
from collections.abc import Sequence

from attrs import asdict, frozen

from pkgregd.formats.nuget_names import Version
from pkgregd.formats.nuget_nuspec import Nuspec

RELEASE = "release"
SEMVER1 = "semver1"


@frozen
class Facts:
    """
    The small part of what is kept of a nuspec.

    Attributes:
        id, version: see Nuspec.
        package_types: at least one.
        size_bytes: of the document with what is kept.
    """

    id: str
    version: str
    package_types: Sequence[str]
    size_bytes: int

    @classmethod
    def of(cls, nuspec: Nuspec, kept: bytes) -> Facts:
        """Take them from a nuspec, and from what is kept of it."""
        return cls(nuspec.id, nuspec.version, list(nuspec.types), len(kept))

    def to_json(self) -> str:
        """Write them down."""
        return json.dumps(asdict(self), separators=(",", ":"), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Facts:
        """Read what to_json() wrote."""
        return cls(**json.loads(text))

    @property
    def traits(self) -> tuple[str, ...]:
        """What searches ask for: that old clients can read it, that it is a release, its types."""
        version = Version.parse(self.version)
        found = [type_trait(name) for name in self.package_types if name.split() == [name]]
        if not version.prerelease:
            found.append(RELEASE)
        if not version.needs_semver2:
            found.append(SEMVER1)
        return tuple(found)


def type_trait(package_type: str) -> str:
    """Name the trait of a package type, which is one word."""
    return f"type:{package_type.lower()}"
