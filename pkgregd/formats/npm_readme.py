"""The readme of a version: kept beside its tarball, and shown with the document of the name."""

from __future__ import annotations

import json
from collections.abc import Mapping

from attrs import field, frozen

DOCUMENT = "readme"
"""Under which name it is kept."""

MAX_CHARACTERS = 64 << 10
"""Of a readme, of which the rest is left out, as the public registry does; so escaped it stays far below a mebibyte."""

MAX_NAME_CHARACTERS = 255


@frozen
class Readme:
    """
    A readme.

    Attributes:
        text: perhaps not all of it.
        file_name: where it is in the package; empty if nobody said.
    """

    text: str = field(repr=False)
    file_name: str = ""

    @classmethod
    def of(cls, fields: Mapping[str, object]) -> Readme | None:
        """Find it in what a client sends; None if there is none."""
        text, name = fields.get("readme"), fields.get("readmeFilename")
        if not isinstance(text, str) or not text:
            return None
        return cls(text[:MAX_CHARACTERS], name[:MAX_NAME_CHARACTERS] if isinstance(name, str) else "")

    @classmethod
    def read(cls, document: bytes) -> Readme:
        """Read what kept() wrote."""
        fields = json.loads(document)
        return cls(fields["readme"], fields["readmeFilename"])

    def kept(self) -> bytes:
        """Write it, to be kept."""
        return json.dumps(self.shown, ensure_ascii=False).encode("utf-8")

    @property
    def shown(self) -> Mapping[str, str]:
        """What the document of the name tells of it."""
        return {"readme": self.text, "readmeFilename": self.file_name}
