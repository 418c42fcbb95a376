"""What a tarball says of itself: its package.json, read by the inspector."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import IO, Any

from attrs import field, frozen

from pkgregd.errors import InvalidArchive
from pkgregd.formatkit.answers import count, optional_bytes
from pkgregd.formatkit.tars import TarReader
from pkgregd.formatkit.tree import Kind, Tree

MAX_COUNT = (1 << 53) - 1
"""What every reader of JSON can hold."""

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
        files: how many there are in the package.
        unpacked_bytes: of all of them.
    """

    manifest: bytes = field(repr=False)
    has_gyp: bool
    files: int = 0
    unpacked_bytes: int = 0


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
    files = unpacked_bytes = 0
    for member in reader.members():
        path = _installed(member.path)
        if not path:
            continue  # the folder itself, or what lies beside it: installers pass it over
        is_hard = member.kind is Kind.HARD_LINK
        target = f"{_FOLDER}/{_installed(member.target.removeprefix('./'))}" if is_hard else member.target
        tree.add(f"{_FOLDER}/{path}", member.kind, target)
        files += member.kind is not Kind.DIRECTORY
        unpacked_bytes += member.size_bytes
        if path.casefold() == "package.json":
            if manifest is not None or path != "package.json" or member.kind is not Kind.FILE:
                raise InvalidArchive("the tarball has more than one package.json, or one that is no file")
            manifest = reader.read_data(MAX_MANIFEST_BYTES)
        has_gyp = has_gyp or path == "binding.gyp"
    tree.check_links(_FOLDER)
    if manifest is None:
        raise InvalidArchive("the tarball has no package.json in its folder")
    return {
        "manifest_base64": base64.b64encode(manifest).decode("ascii"),
        "has_gyp": has_gyp,
        "files": files,
        "unpacked_bytes": unpacked_bytes,
    }


def _installed(path: str) -> str:
    """Tell where a path of the tarball ends up in the folder of the package; empty if nowhere."""
    return path.partition("/")[2]


def inspection_of(answer: Mapping[str, object]) -> Inspection:
    """Take what inspect_tarball() returned. Raises InvalidArchive if it is something else."""
    manifest = optional_bytes(answer, "manifest_base64", MAX_MANIFEST_BYTES)
    has_gyp = answer.get("has_gyp")
    if manifest is None or not isinstance(has_gyp, bool):
        raise InvalidArchive("the tarball cannot be read: its package.json is not what it can be")
    files, unpacked_bytes = count(answer, "files", MAX_COUNT), count(answer, "unpacked_bytes", MAX_COUNT)
    return Inspection(manifest, has_gyp, files, unpacked_bytes)
