"""
Metadata out of Python's archives: pure functions over a seekable file, for a worker thread.

Only the one member that is needed is read, and never extracted.
"""

from __future__ import annotations

import re
from typing import IO

from pkgregd.errors import InvalidArchive
from pkgregd.formatkit.tars import TarReader
from pkgregd.formatkit.zips import read_directory, read_member

MAX_METADATA_BYTES = 2 << 20
"""Long descriptions are inside."""

_DIST_INFO = re.compile(r"([^/]+\.dist-info)(?:/.*)?", re.IGNORECASE | re.DOTALL)


def read_wheel_metadata(file: IO[bytes]) -> tuple[bytes, str]:
    """
    Read METADATA of a wheel.

    Returns:
        The bytes of METADATA, and the name of the .dist-info directory that they were in.

    Raises:
        InvalidArchive: also when an installer would miss something beside METADATA.
    Source: the binary distribution format of the Python packaging user guide.
    """
    directory = read_directory(file)
    folders = {match[1] for match in map(_DIST_INFO.fullmatch, directory.members) if match}
    if len(folders) != 1:
        raise InvalidArchive(f"a wheel has one .dist-info directory, this one has {len(folders)}")
    (folder,) = folders
    for needed in ("METADATA", "WHEEL", "RECORD"):
        if f"{folder}/{needed}" not in directory.members:
            raise InvalidArchive(f"the wheel has no {folder[:255]!a}/{needed}")
    return read_member(file, directory, f"{folder}/METADATA", MAX_METADATA_BYTES), folder


def read_sdist_metadata(file: IO[bytes]) -> tuple[bytes, str]:
    """
    Read PKG-INFO of a source distribution, .tar.gz or .zip.

    A tar file is read only as far as PKG-INFO.

    Returns:
        The bytes of PKG-INFO, and the name of the top directory.

    Raises:
        InvalidArchive.
    Source: the source distribution format of the Python packaging user guide.
    """
    file.seek(0)
    start = file.read(2)
    file.seek(0)
    return _read_zipped_sdist(file) if start == b"PK" else _read_tarred_sdist(file)


def _read_zipped_sdist(file: IO[bytes]) -> tuple[bytes, str]:
    directory = read_directory(file)
    folders = {name.partition("/")[0] for name in directory.members}
    if len(folders) != 1:
        raise InvalidArchive("a source distribution has one top directory")
    (folder,) = folders
    name = f"{folder}/PKG-INFO"
    if name not in directory.members:
        raise InvalidArchive("the source distribution has no PKG-INFO in its top directory")
    return read_member(file, directory, name, MAX_METADATA_BYTES), folder


def _read_tarred_sdist(file: IO[bytes]) -> tuple[bytes, str]:
    reader = TarReader(file)
    folder: str | None = None
    for member in reader.members():
        if not member.name:
            continue  # the entry `./`
        top, slash, rest = member.name.partition("/")
        folder = folder or top
        if top != folder or (member.is_file and not slash):
            raise InvalidArchive("a source distribution has one top directory")
        if rest == "PKG-INFO":
            if not member.is_file:
                raise InvalidArchive("PKG-INFO of the source distribution is not a plain file")
            return reader.read_data(MAX_METADATA_BYTES), folder
    raise InvalidArchive("the source distribution has no PKG-INFO in its top directory")
