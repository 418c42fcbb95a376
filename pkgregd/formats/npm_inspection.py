"""What a tarball says of itself: its package.json, read by the inspector."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import IO, Any

from attrs import field, frozen

from pkgregd.errors import InvalidArchive
from pkgregd.formatkit.answers import optional_bytes
from pkgregd.formatkit.tars import TarReader
from pkgregd.formatkit.tree import Kind, Tree

_FOLDER = "package"

MAX_MANIFEST_BYTES = 256 << 10
"""Of package.json."""


@frozen
class Inspection:
    """
    What was found.

    Attributes:
        manifest: the bytes of package.json.
        has_gyp: whether there is a binding.gyp beside it, which npm builds when nothing else is said.
    """

    manifest: bytes = field(repr=False)
    has_gyp: bool


def inspect_tarball(file: IO[bytes]) -> dict[str, Any]:
    """
    Read a tarball to its end.

    Installers leave the first segment of each path away, whatever it is: what then is the same path may be there once.

    Returns:
        What inspection_of() takes.

    Raises:
        InvalidArchive.
    """
    reader = TarReader(file)
    tree = Tree()
    manifest: bytes | None = None
    has_gyp = False
    for member in reader.members():
        path = _installed(member.path)
        if not path:
            continue  # the folder itself, or what lies beside it: installers pass it over
        is_hard = member.kind is Kind.HARD_LINK
        target = f"{_FOLDER}/{_installed(member.target.removeprefix('./'))}" if is_hard else member.target
        tree.add(f"{_FOLDER}/{path}", member.kind, target)
        if path.casefold() == "package.json":
            if manifest is not None or path != "package.json" or member.kind is not Kind.FILE:
                raise InvalidArchive("the tarball has more than one package.json, or one that is no file")
            manifest = reader.read_data(MAX_MANIFEST_BYTES)
        has_gyp = has_gyp or path == "binding.gyp"
    tree.check_links(_FOLDER)
    if manifest is None:
        raise InvalidArchive("the tarball has no package.json in its folder")
    return {"manifest_base64": base64.b64encode(manifest).decode("ascii"), "has_gyp": has_gyp}


def _installed(path: str) -> str:
    """Tell where a path of the tarball ends up in the folder of the package; empty if nowhere."""
    return path.partition("/")[2]


def inspection_of(answer: Mapping[str, object]) -> Inspection:
    """Take what inspect_tarball() returned. Raises InvalidArchive if it is something else."""
    manifest = optional_bytes(answer, "manifest_base64", MAX_MANIFEST_BYTES)
    has_gyp = answer.get("has_gyp")
    if manifest is None or not isinstance(has_gyp, bool):
        raise InvalidArchive("the tarball cannot be read: its package.json is not what it can be")
    return Inspection(manifest, has_gyp)
