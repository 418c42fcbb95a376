"""
Metadata out of Python's archives: pure functions over a seekable file, for a worker.

The whole archive is walked and nothing is extracted. What comes out of a function is what every
installer would see, or the archive is refused.
"""

from __future__ import annotations

import re
from typing import IO

from attrs import field, frozen
from packaging.utils import canonicalize_name, canonicalize_version

from pkgregd.errors import InvalidArchive, MetadataMismatch
from pkgregd.formatkit.coremetadata import CoreMetadata, parse_core_metadata
from pkgregd.formatkit.tars import TarReader, looks_like_tar
from pkgregd.formatkit.tree import Kind, Tree
from pkgregd.formatkit.wheels import MAX_RECORD_BYTES, MAX_WHEEL_BYTES, WheelFacts, check_record, parse_wheel_facts
from pkgregd.formatkit.zips import Directory, check_members, looks_like_zip, read_directory, read_member

MAX_METADATA_BYTES = 2 << 20
"""Long descriptions are inside."""

_DIST_INFO = re.compile(r"[^/]+\.dist-info", re.IGNORECASE)

_BUILD_FILES = frozenset({"pkg-info", "pyproject.toml", "setup.py", "setup.cfg"})
"""What installers look for in a source distribution, in lower case."""


@frozen
class Wheel:
    """
    What an installer sees of a wheel before it unpacks it.

    Attributes:
        metadata: the bytes of METADATA.
        folder: the name of the .dist-info directory.
        facts: what WHEEL says.
    """

    metadata: bytes = field(repr=False)
    folder: str
    facts: WheelFacts


@frozen
class Sdist:
    """
    What an installer sees of a source distribution.

    Attributes:
        metadata: the bytes of PKG-INFO.
        folder: the name of the top directory.
        is_zip: a zip file; else a tar.gz.
    """

    metadata: bytes = field(repr=False)
    folder: str
    is_zip: bool


def read_wheel(file: IO[bytes]) -> Wheel:
    """
    Read what a wheel says of itself.

    RECORD has to list the files, as builders have done since there are wheels and the public index demands:
    else one installer takes a file that another leaves out.

    Raises:
        InvalidArchive.
    Source: the binary distribution format of the Python packaging user guide.
    """
    directory = read_directory(file)
    folders = [name for name in directory.tree.tops() if _DIST_INFO.fullmatch(name)]
    if len(folders) != 1:
        raise InvalidArchive(f"a wheel has one .dist-info directory, this one has {len(folders)}")
    (folder,) = folders
    directory.tree.demand_one_spelling(folder)
    metadata, facts, record = (
        _read_file(file, directory, f"{folder}/{name}", max_bytes)
        for name, max_bytes in (
            ("METADATA", MAX_METADATA_BYTES),
            ("WHEEL", MAX_WHEEL_BYTES),
            ("RECORD", MAX_RECORD_BYTES),
        )
    )
    files = [path for path, member in directory.members.items() if member.kind is Kind.FILE]
    check_record(record, folder, files)
    wheel = Wheel(metadata, folder, parse_wheel_facts(facts))
    _check_zip(file, directory)
    return wheel


def read_sdist(file: IO[bytes]) -> Sdist:
    """
    Read what a source distribution says of itself, .tar.gz or .zip.

    Links are let pass if they stay inside the top directory, as installers do: there are such archives.

    Raises:
        InvalidArchive.
        MetadataMismatch: PKG-INFO is about another package than the top directory.
    Source: the source distribution format of the Python packaging user guide; PEP 625, PEP 721.
    """
    file.seek(0)
    is_zip = file.read(2) == b"PK"
    file.seek(0)
    metadata, folder = _read_zipped(file) if is_zip else _read_tarred(file)
    _demand_folder(folder, parse_core_metadata(metadata))
    return Sdist(metadata, folder, is_zip)


def _read_zipped(file: IO[bytes]) -> tuple[bytes, str]:
    directory = read_directory(file)
    folder = _top(directory.tree)
    metadata = _read_file(file, directory, f"{folder}/PKG-INFO", MAX_METADATA_BYTES)
    _check_zip(file, directory)
    return metadata, folder


def _read_file(file: IO[bytes], directory: Directory, path: str, max_bytes: int) -> bytes:
    if directory.tree.kind(path) is not Kind.FILE:
        raise InvalidArchive(f"the archive has no file {path[:255]!a}")
    return read_member(file, directory, path, max_bytes)


def _check_zip(file: IO[bytes], directory: Directory) -> None:
    """Do what costs most last."""
    if looks_like_tar(file):
        raise InvalidArchive("the file is a zip file and a tar file at once")
    check_members(file, directory)


def _read_tarred(file: IO[bytes]) -> tuple[bytes, str]:
    reader = TarReader(file)
    tree = Tree()
    metadata: bytes | None = None
    for member in reader.members():
        if not member.path:
            continue  # the entry `./`
        tree.add(member.path, member.kind, member.target)
        if member.kind is Kind.FILE and member.path.count("/") == 1 and member.path.endswith("/PKG-INFO"):
            metadata = reader.read_data(MAX_METADATA_BYTES)
    folder = _top(tree)
    tree.check_links(folder)
    if metadata is None:
        raise InvalidArchive("the source distribution has no file PKG-INFO in its top directory")
    if looks_like_zip(file):
        raise InvalidArchive("the file is a tar file and a zip file at once")
    return metadata, folder


def _top(tree: Tree) -> str:
    """Return the one top directory."""
    tops = tree.tops()
    if len(tops) != 1 or tree.kind(tops[0]) is not Kind.DIRECTORY:
        raise InvalidArchive("a source distribution has one top directory")
    (folder,) = tops
    tree.demand_one_spelling(folder, _BUILD_FILES)
    return folder


def _demand_folder(folder: str, metadata: CoreMetadata) -> None:
    """
    Pass if the top directory is named after the package, in any spelling: old tools did not normalise.

    Raises:
        MetadataMismatch.
    Source: PEP 625.
    """
    wanted = canonicalize_name(f"{metadata.name}-{metadata.version}")
    if len(folder) <= 2 * len(wanted) and canonicalize_name(folder) == wanted:
        return
    name = canonicalize_name(metadata.name)
    for at in (match.start() for match in re.finditer("-", folder[: len(metadata.name) + 16])):
        version = folder[at + 1 :]
        if canonicalize_name(folder[:at]) == name and _is_same_version(version, metadata.version):
            return
    raise MetadataMismatch(
        "name and version", ("top directory", folder), ("PKG-INFO", f"{metadata.name} {metadata.version}")
    )


def _is_same_version(one: str, other: str) -> bool:
    try:
        return len(one) <= 2 * 128 and canonicalize_version(one) == canonicalize_version(other)
    except ValueError:  # an integer with too many digits
        return False
