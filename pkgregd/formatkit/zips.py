"""
A strict reader of zip files: every byte of the file belongs to one member, the directory or the end.

Nothing is ever extracted. What the format allows and no packaging tool writes is refused, because
readers differ about it: prefixes, gaps, overlaps, members that only a local header or only the directory
knows, several disks, names that come twice, comments of members, contradictions between the two headers
of any member.

Source: APPNOTE.TXT 6.3.10, sections 4.3 to 4.5.
"""

from __future__ import annotations

import os
import stat
import struct
import zlib
from collections.abc import Iterator, Mapping
from operator import attrgetter
from typing import IO

from attrs import field, frozen

from pkgregd.errors import InvalidArchive
from pkgregd.formatkit.tree import Kind, Tree
from pkgregd.formatkit.zipfields import IS_UTF8, Numbers, check_unicode_path, decode_name, split_extra, widen

MAX_MEMBERS = 60_000
MAX_DIRECTORY_BYTES = 16 << 20

MAX_RATIO = 100
RATIO_COUNTS_FROM_BYTES = 64 << 20
"""A small archive may be as dense as it likes."""

MAX_DEFLATE_RATIO = 1032
"""More is impossible, so a member that declares more lies."""

MAX_BYTES_OUT = 16 << 30
"""What all members may declare together."""

MAX_CHECKED_BYTES = 512 << 20
"""What check_members() decompresses at the most, some seconds of one processor."""

_CHUNK_BYTES = 64 << 10
_OUT_BYTES = 256 << 10
_WINDOW_BYTES = 4 << 10

_END = struct.Struct("<4s4H2LH")
_END64_LOCATOR = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_DESCRIPTORS = (struct.Struct("<3L"), struct.Struct("<L2Q"))
_DESCRIPTOR_MARK = b"PK\x07\x08"
_END_MARK = b"PK\x05\x06"

_STORED, _DEFLATED = 0, 8
_HAS_DESCRIPTOR = 0x8
_MEANINGLESS = 0x6
"""How hard the compressor tried."""

_FULL16, _FULL32 = 0xFFFF, 0xFFFFFFFF


@frozen
class Member:
    """
    What the directory says of a member, and its local header confirms.

    Attributes:
        raw_name: as it is stored.
        kind: a file or a directory.
        compressed_bytes, size_bytes: as declared; read_member() and check_members() count for themselves.
        offset: of the local header.
        extra_bytes: of the local header, so that the data can be found.
    """

    raw_name: bytes
    kind: Kind
    flags: int
    method: int
    crc32: int
    compressed_bytes: int
    size_bytes: int
    offset: int
    extra_bytes: int = 0

    @property
    def label(self) -> str:
        """Name it in a message."""
        return ascii(self.raw_name[:255].decode("utf-8", "replace"))

    @property
    def start(self) -> int:
        """Where the data begin."""
        return self.offset + _LOCAL.size + len(self.raw_name) + self.extra_bytes


@frozen
class Extent:
    """
    Where the data of a member are, to be read again without the directory.

    Attributes:
        label: names the member in a message.
        start: where the data begin.
        method, crc32, compressed_bytes, size_bytes: see Member.
    """

    label: str
    start: int
    method: int
    crc32: int
    compressed_bytes: int
    size_bytes: int

    @classmethod
    def of(cls, member: Member) -> Extent:
        """Say where the data of a checked member are."""
        return cls(member.label, member.start, member.method, member.crc32, member.compressed_bytes, member.size_bytes)

    @classmethod
    def from_answer(cls, answer: object) -> Extent:
        """
        Take what an inspector made of one by attrs.asdict().

        Raises:
            InvalidArchive: it is something else, or impossible.
        """
        try:
            extent = cls(**answer)  # type: ignore[arg-type] # whatever it is
        except TypeError:
            raise InvalidArchive("the archive cannot be read: a member is nowhere") from None
        numbers = (extent.start, extent.method, extent.crc32, extent.compressed_bytes, extent.size_bytes)
        if not isinstance(extent.label, str) or not all(type(each) is int and 0 <= each < 1 << 63 for each in numbers):
            raise InvalidArchive("the archive cannot be read: a member is nowhere")
        return extent


@frozen
class Directory:
    """
    A checked list of members.

    Attributes:
        members: by path, in the directory's order.
        tree: their paths.
    """

    members: Mapping[str, Member]
    tree: Tree = field(repr=False)


def read_directory(file: IO[bytes]) -> Directory:
    """
    Read the list of members, and walk over the members themselves.

    Raises:
        InvalidArchive.
    """
    offset, size_bytes, count = _find_directory(file)
    if count > MAX_MEMBERS or size_bytes > MAX_DIRECTORY_BYTES:
        raise InvalidArchive(f"the zip file has more than {MAX_MEMBERS} members")
    window = _Window(file)
    if count and window.read(0, 4) != b"PK\x03\x04":
        raise InvalidArchive("the zip file does not begin with a member")
    data = _read_at(file, offset, size_bytes)
    members: dict[str, Member] = {}
    tree = Tree()
    position = 0
    for _ in range(count):
        path, member, position = _read_entry(data, position)
        tree.add(path, member.kind)
        if path in members:
            raise InvalidArchive(f"the zip file has two members {path!a}")
        members[path] = member
    if position != size_bytes:
        raise InvalidArchive("the directory of the zip file has another size than declared")
    _check_sizes(members)
    extras = _walk(window, list(members.values()), offset)
    return Directory(
        {path: _with_extra(member, extras.get(member.offset, 0)) for path, member in members.items()}, tree
    )


def read_member(file: IO[bytes], directory: Directory, path: str, max_bytes: int) -> bytes:
    """
    Read one small member, counting what really comes out.

    Raises:
        InvalidArchive: also when it is larger than max_bytes.
    """
    member = directory.members[path]
    if member.size_bytes > max_bytes:
        raise InvalidArchive(f"{path!a} is larger than {max_bytes} bytes")
    return b"".join(_read_data(file, member))


def read_extent(file: IO[bytes], extent: Extent) -> Iterator[bytes]:
    """
    Give the data of a member in pieces of at most 256 KiB, one byte more than declared at the most.

    Raises:
        InvalidArchive: at the end, when they are not what was declared.
    """
    return _read_data(file, extent)


def check_members(file: IO[bytes], directory: Directory) -> None:
    """
    Decompress members without keeping anything, the smallest first, until MAX_CHECKED_BYTES are used up.

    A member is what its headers declare, or the archive is refused; of those that are too large, the ratio
    is bounded all the same. Memory is constant.

    Raises:
        InvalidArchive: a member has another size or checksum, or something behind its compressed data.
    """
    left_bytes = MAX_CHECKED_BYTES
    checked: list[Member] = []
    for member in sorted(directory.members.values(), key=attrgetter("size_bytes")):
        left_bytes -= member.size_bytes
        if left_bytes < 0:
            break
        checked.append(member)
    for member in sorted(checked, key=attrgetter("offset")):
        for _ in _read_data(file, member):
            pass


def looks_like_zip(file: IO[bytes]) -> bool:
    """Whether a lenient reader, which allows for anything before and behind, finds a directory of a zip file."""
    file_bytes = file.seek(0, os.SEEK_END)
    tail_bytes = min(file_bytes, _END.size + _FULL16)
    tail = _read_at(file, file_bytes - tail_bytes, tail_bytes)
    at = tail.rfind(_END_MARK)
    while at >= 0:
        if at + _END.size <= tail_bytes:
            *_, size_bytes, _, _ = _END.unpack_from(tail, at)
            start = file_bytes - tail_bytes + at - size_bytes
            if start >= 0 and _read_at(file, start, 4) in (b"PK\x01\x02", _END_MARK):
                return True
        at = tail.rfind(_END_MARK, 0, at)
    return False


# ---------------------------------------------------------------------- the end of the file


def _find_directory(file: IO[bytes]) -> tuple[int, int, int]:
    """Return the directory's offset, size and number of members."""
    file_bytes = file.seek(0, os.SEEK_END)
    tail_bytes = min(file_bytes, _END.size + _FULL16)
    tail = _read_at(file, file_bytes - tail_bytes, tail_bytes)
    at = tail.rfind(_END_MARK)
    if at < 0 or at + _END.size > tail_bytes:
        raise InvalidArchive("not a zip file")
    _, disk, first_disk, here, count, size_bytes, offset, comment_bytes = _END.unpack_from(tail, at)
    if at + _END.size + comment_bytes != tail_bytes:
        raise InvalidArchive("there is something behind the end of the zip file")
    if b"PK" in tail[at + _END.size :]:
        raise InvalidArchive("the comment of the zip file looks like a zip file")
    end = file_bytes - tail_bytes + at
    wide = _read_end64(file, end)
    if wide is not None:
        for narrow, full, exact in zip(
            (disk, first_disk, here, count, size_bytes, offset),
            (_FULL16, _FULL16, _FULL16, _FULL16, _FULL32, _FULL32),
            wide[1:],
            strict=True,
        ):
            if narrow not in (full, exact):
                raise InvalidArchive("the two ends of the zip file contradict each other")
        end, disk, first_disk, here, count, size_bytes, offset = wide
    if (disk, first_disk) != (0, 0) or here != count:
        raise InvalidArchive("a zip file on several disks")
    if offset + size_bytes != end:
        raise InvalidArchive("the directory of the zip file is not where it should be")
    return offset, size_bytes, count


def _read_end64(file: IO[bytes], end: int) -> tuple[int, int, int, int, int, int, int] | None:
    """Return where the zip64 end begins, and its numbers; None without one."""
    at = end - _END64_LOCATOR.size
    if at < _END64.size:
        return None
    signature, disk, offset, disks = _END64_LOCATOR.unpack(_read_at(file, at, _END64_LOCATOR.size))
    if signature != b"PK\x06\x07":
        return None
    if disk != 0 or disks != 1 or offset + _END64.size != at:
        raise InvalidArchive("the zip64 end of the zip file is not where it should be")
    signature, record_bytes, _, _, disk, first_disk, here, count, size_bytes, start = _END64.unpack(
        _read_at(file, offset, _END64.size)
    )
    if signature != b"PK\x06\x06" or record_bytes != _END64.size - 12:
        raise InvalidArchive("malformed zip64 end of the zip file")
    return offset, disk, first_disk, here, count, size_bytes, start


# ---------------------------------------------------------------------- the directory


def _read_entry(data: bytes, position: int) -> tuple[str, Member, int]:
    """Return a member's path, the member, and where the next one begins."""
    if position + _ENTRY.size > len(data):
        raise InvalidArchive("the directory of the zip file is cut short")
    (
        signature, _, _, flags, method, _, _, crc32, compressed_bytes, size_bytes,
        name_bytes, extra_bytes, comment_bytes, disk, _, attributes, offset,
    ) = _ENTRY.unpack_from(data, position)  # fmt: skip
    position += _ENTRY.size
    if signature != b"PK\x01\x02" or position + name_bytes + extra_bytes > len(data):
        raise InvalidArchive("malformed directory of the zip file")
    if comment_bytes or disk != 0:
        raise InvalidArchive("a member of the zip file has a comment or is on another disk")
    raw_name = data[position : position + name_bytes]
    fields = split_extra(data[position + name_bytes : position + name_bytes + extra_bytes])
    numbers = widen(fields, Numbers(compressed_bytes, size_bytes, offset))
    check_unicode_path(fields, raw_name)
    path, kind = decode_name(raw_name, flags)
    if stat.S_IFMT(attributes >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise InvalidArchive(f"{path!a} is no file and no directory")
    member = Member(raw_name, kind, flags, method, crc32, numbers.compressed_bytes, numbers.size_bytes, numbers.offset)
    _check_member(path, member)
    return path, member, position + name_bytes + extra_bytes


def _check_member(path: str, member: Member) -> None:
    """Refuse what no reader of packages has to know, and what cannot be."""
    if member.flags & ~(_HAS_DESCRIPTOR | IS_UTF8 | _MEANINGLESS):
        raise InvalidArchive(f"{path!a} is encrypted, patched or otherwise special")
    if member.method == _STORED:
        if member.compressed_bytes != member.size_bytes:
            raise InvalidArchive(f"{path!a} is stored and has two sizes")
        if member.flags & _HAS_DESCRIPTOR and member.size_bytes:
            raise InvalidArchive(f"{path!a} is stored without a length before its data")
    elif member.method != _DEFLATED:
        raise InvalidArchive("members of a zip file must be stored or deflated")
    elif member.size_bytes > MAX_DEFLATE_RATIO * member.compressed_bytes:
        raise InvalidArchive(f"{path!a} cannot be as large as it says")
    if member.kind is Kind.DIRECTORY and member.size_bytes:
        raise InvalidArchive(f"the directory {path!a} has data")


def _check_sizes(members: Mapping[str, Member]) -> None:
    out_bytes = sum(member.size_bytes for member in members.values())
    in_bytes = sum(member.compressed_bytes for member in members.values())
    if out_bytes > MAX_BYTES_OUT:
        raise InvalidArchive(f"the archive unpacks to more than {MAX_BYTES_OUT} bytes")
    if out_bytes > RATIO_COUNTS_FROM_BYTES and out_bytes > MAX_RATIO * in_bytes:
        raise InvalidArchive(f"the archive is compressed more than {MAX_RATIO} times")


# ---------------------------------------------------------------------- the members themselves


def _walk(window: _Window, members: list[Member], end: int) -> dict[int, int]:
    """
    Go from local header to local header; each begins where the one before it ends.

    Returns:
        By offset, the length of the extra fields that have one.
    """
    members.sort(key=attrgetter("offset"))
    extras: dict[int, int] = {}
    position: int = 0
    for number, member in enumerate(members):
        if member.offset != position:
            raise InvalidArchive("members of the zip file overlap, or something lies between them")
        following = members[number + 1].offset if number + 1 < len(members) else end
        extra_bytes = _check_local_header(window, member)
        if extra_bytes:
            extras[member.offset] = extra_bytes
        position = member.start + extra_bytes + member.compressed_bytes
        if position > end:
            raise InvalidArchive("a member of the zip file reaches into the directory")
        if member.flags & _HAS_DESCRIPTOR:
            position = _check_descriptor(window, member, position, following)
    if position != end:
        raise InvalidArchive("something lies between the members of the zip file and its directory")
    return extras


def _check_local_header(window: _Window, member: Member) -> int:
    """Return the length of the extra field of a local header that says what the directory says."""
    extra_bytes: int
    signature, _, flags, method, _, _, crc32, compressed_bytes, size_bytes, name_bytes, extra_bytes = _LOCAL.unpack(
        window.read(member.offset, _LOCAL.size)
    )
    if signature != b"PK\x03\x04":
        raise InvalidArchive("the directory of the zip file points at no member")
    rest = window.read(member.offset + _LOCAL.size, name_bytes + extra_bytes)
    fields = split_extra(rest[name_bytes:])
    numbers = widen(fields, Numbers(compressed_bytes, size_bytes, 0))
    if (method, rest[:name_bytes]) != (member.method, member.raw_name) or (flags ^ member.flags) & ~_MEANINGLESS:
        raise InvalidArchive("a member of the zip file contradicts the directory")
    check_unicode_path(fields, member.raw_name)
    said = (crc32, numbers.compressed_bytes, numbers.size_bytes)
    exact = (member.crc32, member.compressed_bytes, member.size_bytes)
    if said != exact and not (flags & _HAS_DESCRIPTOR and said == (0, 0, 0)):
        raise InvalidArchive("a member of the zip file contradicts the directory")
    return extra_bytes


def _check_descriptor(window: _Window, member: Member, position: int, following: int) -> int:
    """
    Return where a descriptor ends that says what the directory says.

    Args:
        position: where the data end.
        following: where the next member begins.
    """
    length = following - position
    form = next((form for form in _DESCRIPTORS if length in (form.size, form.size + len(_DESCRIPTOR_MARK))), None)
    if form is None:
        raise InvalidArchive("the data of a member of the zip file are not followed by their length")
    data = window.read(position, length)
    if length > form.size and not data.startswith(_DESCRIPTOR_MARK):
        raise InvalidArchive("the data of a member of the zip file are not followed by their length")
    if form.unpack(data[-form.size :]) != (member.crc32, member.compressed_bytes, member.size_bytes):
        raise InvalidArchive("a member of the zip file contradicts the directory")
    return following


def _with_extra(member: Member, extra_bytes: int) -> Member:
    if not extra_bytes:
        return member
    return Member(
        member.raw_name, member.kind, member.flags, member.method, member.crc32,
        member.compressed_bytes, member.size_bytes, member.offset, extra_bytes,
    )  # fmt: skip


def _read_data(file: IO[bytes], member: Member | Extent) -> Iterator[bytes]:
    """
    Give the data of a member in pieces, one byte more than declared at the most.

    Raises:
        InvalidArchive: at the end, when it is not what was declared.
    """
    pieces = _inflate(file, member) if member.method == _DEFLATED else _stored(file, member)
    size_bytes = checksum = 0
    for piece in pieces:
        size_bytes += len(piece)
        checksum = zlib.crc32(piece, checksum)
        yield piece
    if (size_bytes, checksum) != (member.size_bytes, member.crc32):
        raise InvalidArchive(f"{member.label} has another size or checksum than declared")


def _stored(file: IO[bytes], member: Member | Extent) -> Iterator[bytes]:
    for at in range(0, member.size_bytes, _OUT_BYTES):
        yield _read_at(file, member.start + at, min(_OUT_BYTES, member.size_bytes - at))


def _inflate(file: IO[bytes], member: Member | Extent) -> Iterator[bytes]:
    file.seek(member.start)
    left_bytes = member.compressed_bytes
    room_bytes = member.size_bytes + 1
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    while room_bytes and not inflater.eof:
        data = inflater.unconsumed_tail
        if not data:
            data = file.read(min(left_bytes, _CHUNK_BYTES))
            left_bytes -= len(data)
        try:
            out = inflater.decompress(data, min(room_bytes, _OUT_BYTES))
        except zlib.error:
            raise InvalidArchive("a member of the zip file cannot be decompressed") from None
        room_bytes -= len(out)
        yield out
        if not data and not out:
            break
    if not inflater.eof or left_bytes or inflater.unused_data:
        raise InvalidArchive(f"{member.label} has another size than declared")


class _Window:
    """Reads little pieces in rising order with few reads of the file."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._start = 0
        self._data = b""

    def read(self, offset: int, size_bytes: int) -> bytes:
        """Return exactly so many bytes."""
        at = offset - self._start
        if not 0 <= at <= at + size_bytes <= len(self._data):
            self._file.seek(offset)
            self._start, self._data, at = offset, self._file.read(max(size_bytes, _WINDOW_BYTES)), 0
            if size_bytes > len(self._data):
                raise InvalidArchive("the archive is cut short")
        return self._data[at : at + size_bytes]


def _read_at(file: IO[bytes], offset: int, size_bytes: int) -> bytes:
    file.seek(offset)
    data = file.read(size_bytes)
    if len(data) != size_bytes:
        raise InvalidArchive("the archive is cut short")
    return data
