"""Archives written byte by byte, so that a test can make any of those bytes wrong."""

from __future__ import annotations

import gzip
import io
import struct
import warnings
import zipfile
import zlib
from collections.abc import Iterable, Sequence

from attrs import evolve, field, frozen

from tests.support.packages import WHEEL_TEXT

INFO = b"Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n"
FOLDER = "demo-1.0.dist-info"
TOP = b"demo-1.0"
TAR_END = bytes(1024)

Files = Sequence[tuple[str, bytes]]


def record_text(names: Iterable[str], folder: str = FOLDER) -> bytes:
    """Write RECORD without hashes."""
    return "".join(f'"{name}",,\n' for name in [*names, f"{folder}/RECORD"]).encode()


def wheel_files(
    metadata: bytes = INFO, wheel: bytes = WHEEL_TEXT.encode(), *, record: bytes | None = None, more: Files = ()
) -> list[tuple[str, bytes]]:
    """List what a wheel needs, and more files, with a RECORD that lists them unless one is given."""
    files = [
        ("demo.py", b"answer = 42\n" * 100),
        *more,
        (f"{FOLDER}/METADATA", metadata),
        (f"{FOLDER}/WHEEL", wheel),
    ]
    listed = record_text(name for name, _ in files if not name.endswith("/"))
    return [*files, (f"{FOLDER}/RECORD", listed if record is None else record)]


def make_zip(
    members: Iterable[tuple[str, bytes]], compression: int = zipfile.ZIP_DEFLATED, comment: bytes = b""
) -> bytes:
    """Write a zip file as Python does, names that come twice included."""
    made = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(made, "w", compression) as archive:
        warnings.simplefilter("ignore")
        for name, data in members:
            archive.writestr(_member(name, compression), data)
        archive.comment = comment
    return made.getvalue()


def _member(name: str, compression: int) -> zipfile.ZipInfo:
    """Describe a member of no particular time: the same archive made again has the same bytes."""
    member = zipfile.ZipInfo(name)
    member.compress_type = compression
    member.external_attr = (0o40775 << 16 | 0x10) if name.endswith("/") else 0o600 << 16
    return member


# ---------------------------------------------------------------------- zip files by hand


@frozen
class ZipMember:
    """
    A member whose headers can lie.

    Attributes:
        packed: the compressed data; made from data if not given.
        local_*: what the local header says, if it is not what the directory says.
        behind: bytes between the data and the next member, e.g. a descriptor.
        in_directory, in_file: whether there is an entry, and whether there is a member.
        at: the offset that the directory says, if it is wrong.
    """

    name: bytes
    data: bytes = field(default=b"", repr=False)
    method: int = 8
    flags: int = 0
    extra: bytes = b""
    local_extra: bytes | None = None
    local_name: bytes | None = None
    local_flags: int | None = None
    local_method: int | None = None
    packed: bytes | None = field(default=None, repr=False)
    crc32: int | None = None
    local_crc32: int | None = None
    size_bytes: int | None = None
    local_size_bytes: int | None = None
    packed_bytes: int | None = None
    local_packed_bytes: int | None = None
    attributes: int = 0o644 << 16
    comment: bytes = b""
    disk: int = 0
    before: bytes = field(default=b"", repr=False)
    behind: bytes = field(default=b"", repr=False)
    in_directory: bool = True
    in_file: bool = True
    at: int | None = None

    def squeezed(self) -> bytes:
        """Return the data as they are in the file."""
        if self.packed is not None:
            return self.packed
        return deflate(self.data) if self.method == 8 else self.data

    def numbers(self) -> tuple[int, int, int]:
        """Return what the directory says: checksum, compressed size and size."""
        return (
            _or(self.crc32, zlib.crc32(self.data)),
            _or(self.packed_bytes, len(self.squeezed())),
            _or(self.size_bytes, len(self.data)),
        )


def _or(value: int | None, otherwise: int) -> int:
    return otherwise if value is None else value


def deflate(data: bytes) -> bytes:
    """Compress without a frame."""
    squeezer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return squeezer.compress(data) + squeezer.flush()


def descriptor(member: ZipMember, *, mark: bytes = b"PK\x07\x08", form: str = "<3L") -> bytes:
    """Write the descriptor of a member."""
    return mark + struct.pack(form, *member.numbers())


def extra(kind: int, data: bytes) -> bytes:
    """Write an extra field."""
    return struct.pack("<2H", kind, len(data)) + data


def write_zip(
    members: Iterable[ZipMember],
    *,
    prefix: bytes = b"",
    gap: bytes = b"",
    directory_tail: bytes = b"",
    count: int | None = None,
    directory_bytes: int | None = None,
    directory_at: int | None = None,
    end64: bytes = b"",
    comment: bytes = b"",
    suffix: bytes = b"",
    shift: int = 0,
) -> bytes:
    """
    Write a zip file.

    Args:
        gap: between members and directory.
        directory_tail: behind the last entry, counted as a part of the directory.
        count, directory_bytes, directory_at: what the end says instead of the truth.
        end64: between directory and end.
        shift: added to every offset.
    """
    made, entries, number = bytearray(prefix), bytearray(), 0
    for member in members:
        made += member.before
        offset = _or(member.at, len(made) + shift)
        crc32, packed_bytes, size_bytes = member.numbers()
        if member.in_file:
            name = member.name if member.local_name is None else member.local_name
            own = member.extra if member.local_extra is None else member.local_extra
            made += struct.pack(
                "<4s5H3L2H", b"PK\x03\x04", 20,
                _or(member.local_flags, member.flags), _or(member.local_method, member.method), 0, 0x21,
                _or(member.local_crc32, crc32), _or(member.local_packed_bytes, packed_bytes),
                _or(member.local_size_bytes, size_bytes), len(name), len(own),
            )  # fmt: skip
            made += name + own + member.squeezed() + member.behind
        if member.in_directory:
            number += 1
            entries += struct.pack(
                "<4s6H3L5H2L", b"PK\x01\x02", 0x314, 20, member.flags, member.method, 0, 0x21,
                crc32, packed_bytes, size_bytes, len(member.name), len(member.extra), len(member.comment),
                member.disk, 0, member.attributes, offset,
            )  # fmt: skip
            entries += member.name + member.extra + member.comment
    entries += directory_tail
    made += gap
    start = len(made) + shift
    made += entries + end64
    made += struct.pack(
        "<4s4H2LH", b"PK\x05\x06", 0, 0, _or(count, number) & 0xFFFF, _or(count, number) & 0xFFFF,
        _or(directory_bytes, len(entries)), _or(directory_at, start), len(comment),
    )  # fmt: skip
    return bytes(made + comment + suffix)


def end64(
    directory_at: int, directory_bytes: int, count: int, here: int, *, tail: bytes = b"", size: int = 44
) -> bytes:
    """Write the two records of a zip64 end; here is where they will be."""
    record = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", size, 45, 45, 0, 0, count, count, directory_bytes, directory_at)
    return record + tail + struct.pack("<4sLQL", b"PK\x06\x07", 0, here, 1)


def wheel_zip_members(files: Files | None = None) -> list[ZipMember]:
    """Make the members of a wheel."""
    return [ZipMember(name.encode(), data) for name, data in (files or wheel_files())]


def changed(members: Sequence[ZipMember], name: str, **changes: object) -> list[ZipMember]:
    """Change the member whose name ends like that."""
    return [evolve(one, **changes) if one.name.endswith(name.encode()) else one for one in members]


# ---------------------------------------------------------------------- tar files by hand


def header(
    name: bytes, size: int = 0, kind: bytes = b"0", magic: bytes = b"ustar\x0000", raw_size: bytes | None = None,
    prefix: bytes = b"", target: bytes = b"",
) -> bytes:  # fmt: skip
    """Write a tar header with a right checksum."""
    block = bytearray(512)
    block[: len(name)] = name
    block[100:108] = b"0000644\0"
    block[124:136] = raw_size or b"%011o\0" % size
    block[148:156] = b" " * 8
    block[156:157] = kind
    block[157 : 157 + len(target)] = target
    block[257:265] = magic
    block[345 : 345 + len(prefix)] = prefix
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def member(name: bytes, data: bytes = b"", kind: bytes = b"0", **more: bytes) -> bytes:
    """Write a tar member."""
    return header(name, len(data), kind, **more) + data + bytes(-len(data) % 512)


def link(name: bytes, target: bytes, kind: bytes = b"2") -> bytes:
    """Write a link."""
    return member(name, kind=kind, target=target)


def record(key: bytes, value: bytes) -> bytes:
    """Write a pax record."""
    rest = b" " + key + b"=" + value + b"\n"
    length = len(rest) + 1
    while len(b"%d" % length) + len(rest) != length:
        length = len(b"%d" % length) + len(rest)
    return b"%d" % length + rest


def pax(**records: bytes) -> bytes:
    """Write a pax header of these records."""
    return member(b"x", b"".join(record(key.encode(), value) for key, value in records.items()), b"x")


GOOD_MEMBER = member(TOP + b"/PKG-INFO", INFO)


def gz(*blocks: bytes) -> bytes:
    """Compress."""
    return gzip.compress(b"".join(blocks), mtime=0)


def tar_gz(*blocks: bytes) -> bytes:
    """Compress a tar, with its end."""
    return gz(*blocks, TAR_END)


def squeezed_tar(name: bytes, size_bytes: int, *, behind: bytes = b"") -> bytes:
    """Compress a tar that begins with that many zeros in a file, without ever holding them."""
    squeezer = zlib.compressobj(9, wbits=31)
    pieces = [squeezer.compress(header(name, size_bytes))]
    zeros = bytes(1 << 20)
    pieces += [squeezer.compress(zeros) for _ in range(size_bytes >> 20)]
    pieces += [squeezer.compress(bytes(size_bytes & 0xFFFFF)), squeezer.compress(behind), squeezer.flush()]
    return b"".join(pieces)
