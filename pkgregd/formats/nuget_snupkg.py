"""
What a symbol package has in it, read in a process of its own.

Source: NuGet, "Creating symbol packages (.snupkg)", and what its gallery demands of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import IO

from attrs import asdict, frozen

from pkgregd.errors import InvalidArchive
from pkgregd.formatkit.answers import text
from pkgregd.formatkit.tree import Kind
from pkgregd.formatkit.zips import Directory, Extent, check_members, read_directory, read_extent
from pkgregd.formats.nuget_nuspec import read_nuspec
from pkgregd.formats.nuget_pdb import NO_AGE, PdbIdentity, identify_pdb

MAX_SYMBOL_FILES = 256
"""Of one package: each becomes a file of its own."""

MAX_SYMBOL_BYTES = 512 << 20
"""Of all PDBs of one package, unpacked: every byte of them is read."""

MAX_PDB_NAME_CHARACTERS = 200

_ALLOWED = (".pdb", ".nuspec", ".xml", ".psmdcp", ".rels", ".p7s")
_SIGNATURE = re.compile(rf"[0-9a-f]{{32}}{NO_AGE}", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)


@frozen
class Symbols:
    """
    A PDB of a symbol package.

    Attributes:
        name: of the file, in lower case, without its folders.
        identity: what it is asked for by.
        extent: where its bytes are.
    """

    name: str
    identity: PdbIdentity
    extent: Extent

    @property
    def key(self) -> str:
        """What debuggers look for, in lower case: also the name of the package file."""
        return symbol_key(self.name, self.identity.signature)


def symbol_key(name: str, signature: str) -> str:
    """Write the key of a PDB. Source: SSQP key conventions."""
    return f"{name}/{signature}/{name}".lower()


def inspect_snupkg(file: IO[bytes]) -> Mapping[str, object]:
    """
    Read a symbol package. An inspector.

    Raises:
        InvalidArchive: no package, or one with a file that is no symbol. InvalidRequest: a bad nuspec.
    """
    directory = read_directory(file)
    answer = read_nuspec(file, directory)
    found: dict[str, Symbols] = {}
    for path in _pdb_paths(directory):
        extent = Extent.of(directory.members[path])
        identity = identify_pdb(read_extent(file, extent), ascii(path[-255:]))
        symbols = Symbols(path.rpartition("/")[2].lower(), identity, extent)
        same = found.setdefault(symbols.key, symbols)
        if same.identity != identity:
            raise InvalidArchive(f"the package has two different files {symbols.name!a} with one signature")
    check_members(file, directory)
    return {**answer, "symbols": [asdict(symbols) for symbols in found.values()]}


def _pdb_paths(directory: Directory) -> Sequence[str]:
    """Return the paths of the PDBs, if nothing is there that does not belong to a symbol package."""
    files = [path for path, member in directory.members.items() if member.kind is Kind.FILE]
    for path in files:
        if not path.lower().endswith(_ALLOWED):
            raise InvalidArchive(f"{path[-255:]!a} does not belong into a symbol package")
    paths = [path for path in files if path.lower().endswith(".pdb")]
    if len(paths) > MAX_SYMBOL_FILES:
        raise InvalidArchive(f"the package has more than {MAX_SYMBOL_FILES} PDBs")
    if sum(directory.members[path].size_bytes for path in paths) > MAX_SYMBOL_BYTES:
        raise InvalidArchive(f"the PDBs of the package unpack to more than {MAX_SYMBOL_BYTES} bytes")
    for path in paths:
        if len(path.rpartition("/")[2]) > MAX_PDB_NAME_CHARACTERS:
            raise InvalidArchive(f"the name of a PDB is longer than {MAX_PDB_NAME_CHARACTERS} characters")
    return paths


def symbols_of(answer: Mapping[str, object]) -> Sequence[Symbols]:
    """
    Take the PDBs out of the answer of inspect_snupkg().

    Raises:
        InvalidArchive: it is none.
    """
    listed = answer.get("symbols")
    if not isinstance(listed, list) or len(listed) > MAX_SYMBOL_FILES:
        raise _unreadable()
    found = [_symbols(each) for each in listed]
    if sum(symbols.extent.size_bytes for symbols in found) > MAX_SYMBOL_BYTES:
        raise _unreadable()
    if len({symbols.key for symbols in found}) != len(found):
        raise _unreadable()
    return found


def _symbols(answer: object) -> Symbols:
    if not isinstance(answer, dict):
        raise _unreadable()
    identity = answer.get("identity")
    if not isinstance(identity, dict):
        raise _unreadable()
    name = text(answer, "name", MAX_PDB_NAME_CHARACTERS)
    signature, checksum, sha256 = (text(identity, key, 64) for key in ("signature", "checksum", "sha256"))
    if not (_SIGNATURE.fullmatch(signature) and _SHA256.fullmatch(checksum) and _SHA256.fullmatch(sha256)):
        raise _unreadable()
    if "/" in name or not name.endswith(".pdb") or name != name.lower():
        raise _unreadable()
    return Symbols(name, PdbIdentity(signature, checksum, sha256), Extent.from_answer(answer.get("extent")))


def _unreadable() -> InvalidArchive:
    return InvalidArchive("the symbol package cannot be read")
