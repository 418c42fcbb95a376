"""
What identifies a portable PDB: read from its pieces as they come, in constant memory.

Source: Portable PDB specification, "#Pdb stream" and "PDB checksum"; ECMA-335, II.24.2.1 (metadata root) and
II.24.2.2 (stream headers); SSQP key conventions, "Portable-Pdb-Signature".
"""

from __future__ import annotations

import hashlib
import struct
import uuid
from collections.abc import Iterable, Iterator
from itertools import chain

from attrs import frozen

from pkgregd.errors import InvalidArchive

HEAD_BYTES = 4096
"""Within which the metadata root has to end: more than any compiler's, with its few streams of short names."""

MAX_VERSION_BYTES = 256
MAX_STREAMS = 32
MAX_NAME_BYTES = 32
"""Of a stream, with the zeros behind it."""

PDB_ID_BYTES = 20
NO_AGE = "ffffffff"
"""What stands behind the GUID in the signature of a portable PDB, which has no age."""

_ROOT = struct.Struct("<4s2H2L")
_STREAMS = struct.Struct("<2H")
_STREAM = struct.Struct("<2L")
_WINDOWS_PDB = b"Microsoft C/C++ MSF 7.00\r\n\x1aDS"


@frozen
class PdbIdentity:
    """
    What debuggers ask for a PDB by.

    Attributes:
        signature: its GUID as 32 hex digits in lower case, and NO_AGE.
        checksum: the SHA-256 of the file with zeros in the place of its id, as hex.
        sha256: of the file as it is, as hex.
    """

    signature: str
    checksum: str
    sha256: str


def identify_pdb(pieces: Iterable[bytes], label: str) -> PdbIdentity:
    """
    Read a whole PDB.

    Args:
        pieces: its bytes, in any cuts.
        label: names it in messages.

    Raises:
        InvalidArchive: it is no portable PDB.
    """
    rest = iter(pieces)
    head = _collect_head(rest)
    at, stream_end = _find_id(head, label)
    pdb_id = bytearray()
    plain, blanked = hashlib.sha256(), hashlib.sha256()
    position = 0
    for piece in chain((head,), rest):
        plain.update(piece)
        first, last = (min(max(end - position, 0), len(piece)) for end in (at, at + PDB_ID_BYTES))
        pdb_id += piece[first:last]
        blanked.update(piece[:first])
        blanked.update(bytes(last - first))
        blanked.update(piece[last:])
        position += len(piece)
    if position < stream_end:
        raise _refusal(label, "it is cut short")
    guid = uuid.UUID(bytes_le=bytes(pdb_id[:16]))
    return PdbIdentity(guid.hex + NO_AGE, blanked.hexdigest(), plain.hexdigest())


def _collect_head(pieces: Iterator[bytes]) -> bytes:
    """Take as many pieces as the first HEAD_BYTES are in, or all that there are."""
    head = bytearray()
    for piece in pieces:
        head += piece
        if len(head) >= HEAD_BYTES:
            break
    return bytes(head)


def _find_id(head: bytes, label: str) -> tuple[int, int]:
    """Return where the id of a PDB begins and its stream ends, by what the first bytes of the file say."""
    if head.startswith(_WINDOWS_PDB):
        raise _refusal(label, "it is a Windows PDB; build with DebugType=portable")
    if len(head) < _ROOT.size or not head.startswith(b"BSJB"):
        raise _refusal(label, "it does not begin as one")
    *_, version_bytes = _ROOT.unpack_from(head)
    if version_bytes > MAX_VERSION_BYTES or version_bytes % 4:
        raise _refusal(label, "its version has an impossible length")
    position = _ROOT.size + version_bytes
    if position + _STREAMS.size > len(head):
        raise _refusal(label, "it is cut short")
    _, count = _STREAMS.unpack_from(head, position)
    if count > MAX_STREAMS:
        raise _refusal(label, f"it has more than {MAX_STREAMS} streams")
    position += _STREAMS.size
    found: list[tuple[int, int]] = []
    for _ in range(count):
        name, offset, size_bytes, position = _read_stream(head, position, label)
        if name == b"#Pdb":
            found.append((offset, size_bytes))
    if len(found) != 1:
        raise _refusal(label, f"it has {len(found)} streams #Pdb")
    ((offset, size_bytes),) = found
    if size_bytes < PDB_ID_BYTES or offset < position:
        raise _refusal(label, "its stream #Pdb is not where it can be")
    return offset, offset + size_bytes


def _read_stream(head: bytes, position: int, label: str) -> tuple[bytes, int, int, int]:
    """Return the name, offset and length of a stream, and where the next header begins."""
    start = position + _STREAM.size
    end = head.find(b"\0", start, start + MAX_NAME_BYTES)
    if end < 0:
        raise _refusal(label, "the name of a stream does not end")
    offset, size_bytes = _STREAM.unpack_from(head, position)
    return head[start:end], offset, size_bytes, start + (end - start) // 4 * 4 + 4


def _refusal(label: str, why: str) -> InvalidArchive:
    return InvalidArchive(f"{label} is no portable PDB: {why}")
