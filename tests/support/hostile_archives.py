"""
A table of uploads of Python packages that must be refused: what, against which threat, and the bytes.

The threats have the numbers of our threat table: T25 and T26 confusable names and versions, T28 contradictions
between index and archive, T31 bombs, T32 zip and T33 tar differentials, T34 header bombs, T35 paths that lead out,
T36 files that are two things, T38 explosions in metadata, T44 errors of libraries, T45 control characters, T48 index
injection.
"""

from __future__ import annotations

import gzip
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from attrs import field, frozen

from tests.support.archives import (
    FOLDER,
    GOOD_MEMBER,
    INFO,
    TAR_END,
    TOP,
    ZipMember,
    changed,
    deflate,
    descriptor,
    end64,
    extra,
    gz,
    header,
    link,
    make_zip,
    member,
    pax,
    record,
    record_text,
    squeezed_tar,
    tar_gz,
    wheel_files,
    wheel_zip_members,
    write_zip,
)
from tests.support.packages import WHEEL_TEXT

Fields = Sequence[tuple[str, str]]

WHEEL_NAME = "demo-1.0-py3-none-any.whl"
SDIST_NAME = "demo-1.0.tar.gz"
ZIP_NAME = "demo-1.0.zip"
FIELDS: Fields = (("name", "demo"), ("version", "1.0"))

MIB = 1 << 20
FULL = 0xFFFFFFFF


@frozen
class Hostile:
    """
    One upload to be refused.

    Attributes:
        threat: its number.
        label: what is wrong, unlike any other of the threat.
        make: writes the file.
    """

    threat: str
    label: str
    file_name: str
    fields: Fields
    make: Callable[[], bytes] = field(repr=False)

    def __str__(self) -> str:
        return f"{self.threat} {self.label}"


def good_uploads() -> Iterator[Hostile]:
    """The archives that the hostile ones are made from, which must be taken."""
    yield Hostile("-", "wheel", WHEEL_NAME, FIELDS, _zip(wheel_zip_members()))
    yield Hostile("-", "tar.gz", SDIST_NAME, FIELDS, partial(tar_gz, GOOD_MEMBER))
    yield Hostile("-", "zip", ZIP_NAME, FIELDS, _zip(ZIP_SDIST))


def hostile_uploads() -> Iterator[Hostile]:
    """All of the table."""
    yield from _names()
    yield from _wheel_framing()
    yield from _wheel_members()
    yield from _wheel_contents()
    yield from _zip64()
    yield from _zip_sdists()
    yield from _tars()
    yield from _tar_extensions()
    yield from _tar_trees()
    yield from _bombs()
    yield from _polyglots()
    yield from _metadata()


# ---------------------------------------------------------------------- names


def _names() -> Iterator[Hostile]:
    good = partial(make_zip, wheel_files())
    for label, name in {
        "Kelvin sign": "\u212aubernetes", "long s": "re\u017fquests", "Cyrillic o": "f\u043eo",
        "zero width": "foo\u200b",
        "decomposed": "cafe\u0301", "dotted I": "\u0130x", "line feed": "foo\n", "300 characters": "a" * 300,
        "leading dash": "-a", "trailing dash": "a-", "empty": "", "slash": "a/b", "dots": "..", "markup": "<b>",
        "NUL": "a\x00b", "escape": "a\x1b[2J", "right to left": "a\u202eb", "100 000 dashes": "-" * 100_000,
    }.items():  # fmt: skip
        yield Hostile("T25", f"name: {label}", WHEEL_NAME, (("name", name), ("version", "1.0")), good)
    for label, version in {
        "line feed": "1.0\n", "5000 digits": "1" * 5000, "Arabic digit": "1.0.0-\u0661", "64 KiB": "1." * 32_768,
        "word": "latest", "empty": "", "path": "1.0/../2", "two locals": "1.0+a+b", "comma": "1,0", "two dots": "1..0",
        "text behind": "1.0\n\nevil: 1", "escape": "1.0\x1b[2J", "BOM": "\ufeff1.0",
    }.items():  # fmt: skip
        yield Hostile("T26", f"version: {label}", WHEEL_NAME, (("name", "demo"), ("version", version)), good)
    for label, file_name in {
        "climbing": "../demo-1.0.tar.gz", "absolute": "/demo-1.0.tar.gz", "backslash": "..\\demo-1.0.tar.gz",
        "drive": "C:demo-1.0.tar.gz", "line feed in a tag": "demo-1.0-py3-none-any\n.whl",
        "executable": "demo-1.0.exe",
        "egg": "demo-1.0-py3.11.egg", "no version": "demo.tar.gz", "hidden": ".demo-1.0.tar.gz",
        "page": "demo-1.0.html",
        "double ending": "demo-1.0-py3-none-any.whl.exe", "bz2": "demo-1.0.tar.bz2",
        "300 characters": "d" * 300 + ".whl",
        "upper ending": "demo-1.0-py3-none-any.WHL", "markup": 'demo-1.0"><a>.whl',
        "four parts": "demo-1.0-py3-none.whl",
        "seven parts": "demo-1.0-1-py3-none-any-x.whl", "full width dot": "demo\uff0e1.0.tar.gz",
        "right to left": "demo-1.0\u202e.tar.gz", "escape": "demo-1.0\x1b[2J.tar.gz", "ADS": "demo-1.0.tar.gz:x.zip",
    }.items():  # fmt: skip
        yield Hostile("T07", f"file name: {label}", file_name, FIELDS, good)
    tags = ".".join(f"p{number}" for number in range(30))
    yield Hostile("T38", "two million tags in a file name", f"demo-1.0-{tags}-{tags}-any.whl", FIELDS, good)
    yield Hostile("T13", "file name of another package", "evil-1.0-py3-none-any.whl", FIELDS, good)
    yield Hostile("T13", "file name of another version", "demo-2.0-py3-none-any.whl", FIELDS, good)
    for label, fields in {
        "another name": (("name", "evil"), ("version", "1.0")), "another version": (("name", "demo"), ("version", "2")),
        "two names": (*FIELDS, ("name", "demo")), "another filetype": (*FIELDS, ("filetype", "sdist")),
        "injected requires-python": (*FIELDS, ("requires_python", '>=3"><a href="x')),
    }.items():  # fmt: skip
        data = make_zip(wheel_files(INFO + b"Requires-Python: >=3\n"))
        yield Hostile("T13", f"form: {label}", WHEEL_NAME, fields, partial(bytes, data))


# ---------------------------------------------------------------------- zip files


def _wheel(threat: str, label: str, make: Callable[[], bytes]) -> Hostile:
    return Hostile(threat, f"wheel: {label}", WHEEL_NAME, FIELDS, make)


def _zip(members: Sequence[ZipMember], **more: object) -> Callable[[], bytes]:
    return partial(write_zip, members, **more)


def _with(files: Sequence[tuple[str, bytes]], **more: object) -> Callable[[], bytes]:
    """A wheel with more files, which RECORD lists."""
    return partial(make_zip, wheel_files(more=files), **more)


ONE = ZipMember(b"demo.py", b"x = 1\n" * 50)
ZIP_SDIST = (ZipMember(TOP + b"/PKG-INFO", INFO), ZipMember(TOP + b"/demo.py", b"x = 1\n"))


def _wheel_framing() -> Iterator[Hostile]:
    members = wheel_zip_members()
    good = write_zip(members)
    directory_at = struct.unpack_from("<L", good, len(good) - 6)[0]
    directory_bytes = struct.unpack_from("<L", good, len(good) - 10)[0]
    directory = good[directory_at : directory_at + directory_bytes]
    for label, make in {
        "nothing at all": bytes,
        "an end and nothing else": partial(write_zip, ()),
        "a prefix, offsets as if it were not there": _zip(members, prefix=b"#!/bin/sh\n", shift=-10),
        "a prefix, offsets right": _zip(members, prefix=b"#!/bin/sh\n"),
        "a suffix": _zip(members, suffix=b"x"),
        "a suffix of zeros": _zip(members, suffix=bytes(512)),
        "a zip file as suffix": lambda: good + good,
        "a zip file in the comment": _zip(members, comment=good),
        "an end in the comment": _zip(members, comment=good[-22:]),
        "an end that holds another end in its comment": lambda: good[:-2] + b"\x16\0" + good[-22:],
        "a second directory in the comment": _zip(members, comment=directory + good[-22:]),
        "a gap before the directory": _zip(members, gap=b"gap!"),
        "a hidden member before the directory": _zip(members, gap=write_zip([ZipMember(b"x")])[:-69]),
        "something in the directory behind its entries": _zip(members, directory_tail=b"PK\x05\x05\x02\0ab"),
        "an entry too many": _zip(members, directory_tail=directory[:46]),
        "too few members declared": _zip(members, count=2),
        "too many members declared": _zip(members, count=5),
        "65 535 members declared": _zip(members, count=0xFFFF),
        "a directory of another size": _zip(members, directory_bytes=directory_bytes - 1),
        "a directory elsewhere": _zip(members, directory_at=0),
        "a directory behind the file": _zip(members, directory_at=0x7FFFFFFF),
        "another disk": lambda: good[:-18] + b"\1" + good[-17:],
        "cut off": lambda: good[:-1],
        "cut in the middle": lambda: good[: len(good) // 2],
    }.items():
        yield _wheel("T32", label, make)


def _wheel_members() -> Iterator[Hostile]:
    members = wheel_zip_members()
    METADATA = "METADATA"  # noqa: N806 # the member's name
    empty = ZipMember(b"demo.py")
    for label, changes in {
        "another local name": {"local_name": b"evil.py"},
        "a longer local name": {"local_name": b"demo.pyc"},
        "another local method": {"local_method": 0},
        "another local checksum": {"local_crc32": 1},
        "another local size": {"local_size_bytes": 1},
        "another local compressed size": {"local_packed_bytes": 1},
        "local sizes of zero": {"local_size_bytes": 0, "local_packed_bytes": 0, "local_crc32": 0},
        "local flags only": {"local_flags": 0x800},
        "a local descriptor flag only": {"local_flags": 8},
        "no local header": {"in_file": False},
        "no entry in the directory": {"in_directory": False},
        "bytes before it": {"before": b"hidden"},
        "bytes behind it": {"behind": b"hidden"},
        "an offset into another member": {"at": 0},
        "an offset behind the file": {"at": 0x7FFFFFFF},
        "a comment": {"comment": b"hello"},
        "another disk": {"disk": 1},
        "bzip2": {"method": 12},
        "lzma": {"method": 14},
        "zstd": {"method": 93},
        "deflate64": {"method": 9},
        "method 65535": {"method": 0xFFFF},
        "encryption": {"flags": 1},
        "strong encryption": {"flags": 0x41},
        "a masked header": {"flags": 0x2000},
        "a patch": {"flags": 0x20},
        "a wrong checksum": {"crc32": 7, "local_crc32": 7},
        "a size one too small": {"size_bytes": len(INFO) - 1},
        "a size one too large": {"size_bytes": len(INFO) + 1},
        "something behind the compressed data": {"packed": deflate(INFO) + b"hidden"},
        "compressed data cut off": {"packed": deflate(INFO)[:-3]},
        "no compressed data": {"packed": b""},
        "data that are not deflated": {"packed": b"\xff" * 30},
        "two streams": {"packed": deflate(INFO) + deflate(INFO)},
        "two sizes while stored": {"method": 0, "packed": INFO + b"hidden", "size_bytes": len(INFO)},
        "a symbolic link": {"attributes": 0o120777 << 16},
        "a device": {"attributes": 0o060644 << 16},
        "a pipe": {"attributes": 0o010644 << 16},
        "a broken extra field": {"extra": b"abc"},
        "an extra field that is too long": {"extra": b"\x99\x99\xff\x00abc"},
        "a broken local extra field": {"local_extra": b"\x99\x99\xff\x00abc"},
        "another Unicode path": {"extra": _unicode_path(f"{FOLDER}/METADATA".encode(), b"evil.py")},
        "another local Unicode path": {"local_extra": _unicode_path(f"{FOLDER}/METADATA".encode(), b"evil.py")},
        "a Unicode path of another name": {"extra": _unicode_path(b"x", f"{FOLDER}/METADATA".encode())},
        "two Unicode paths": {"extra": _unicode_path(f"{FOLDER}/METADATA".encode(), b"a") * 2},
        "an empty Unicode path": {"extra": extra(0x7075, b"")},
    }.items():
        yield _wheel("T32", f"METADATA: {label}", _zip(changed(members, METADATA, **changes)))
        if METADATA not in label and ("local" in label or "checksum" in label or "behind" in label):
            yield _wheel("T32", f"another member: {label}", _zip(changed(members, "demo.py", **changes)))
    for label, one in {
        "a descriptor that lies about the size": ZipMember(
            b"demo.py", ONE.data, flags=8, behind=descriptor(ZipMember(b"", b"x"))
        ),
        "a descriptor without any length": ZipMember(b"demo.py", ONE.data, flags=8),
        "a descriptor of an odd length": ZipMember(b"demo.py", ONE.data, flags=8, behind=descriptor(ONE) + b"x"),
        "a descriptor with another mark": ZipMember(
            b"demo.py", ONE.data, flags=8, behind=descriptor(ONE, mark=b"PK\x01\x02")
        ),
        "a stored member with a descriptor": ZipMember(
            b"demo.py", ONE.data, 0, flags=8, behind=descriptor(ZipMember(b"", ONE.data, 0))
        ),
        "local sizes half there, with a descriptor": ZipMember(
            b"demo.py", ONE.data, flags=8, local_crc32=0, behind=descriptor(ONE)
        ),
    }.items():
        yield _wheel("T32", label, _zip([one, *members[1:]]))
    yield _wheel("T32", "a name twice", lambda: make_zip([*wheel_files(), ("demo.py", b"evil = 1\n")]))
    yield _wheel("T32", "METADATA twice", lambda: make_zip([*wheel_files(), (f"{FOLDER}/METADATA", INFO)]))
    yield _wheel("T32", "one member under two names", _zip([*members, ZipMember(b"evil.py", in_file=False, at=0)]))
    yield _wheel("T32", "overlapping members", _zip([empty, ZipMember(b"b.py", at=1), *members[1:]]))
    yield _wheel("T32", "a directory with data", _zip([ZipMember(b"demo/", b"x"), *members]))
    yield _wheel("T32", "a file and a directory", _with([("demo", b""), ("demo/x.py", b"")]))
    yield _wheel("T32", "a file below METADATA", _with([(f"{FOLDER}/METADATA/x", b"")]))
    yield _wheel("T32", "a name that is not UTF-8", _zip([ZipMember(b"\xff.py", flags=0x800), *members]))
    yield _wheel("T32", "a name in an unknown code page", _zip([ZipMember(b"\x81.py"), *members]))
    yield _wheel("T32", "an empty name", _zip([ZipMember(b""), *members]))
    yield _wheel("T32", "METADATA in two spellings", _with([(f"{FOLDER}/metadata", INFO)]))
    for label, name in {
        "climbing": "../evil.py", "climbing inside": "a/../../evil.py", "dots alone": "..", "absolute": "/etc/passwd",
        "a backslash": "a\\evil.py", "a drive": "C:evil.py", "a share": "\\\\host\\evil.py", "a dot": "./evil.py",
        "two slashes": "a//evil.py", "1025 characters": "a" * 1025, "a thousand folders": "a/" * 500 + "b",
    }.items():  # fmt: skip
        yield _wheel("T35", f"a name with {label}", _with([(name, b"")]))
    for label, name in {
        "a line feed": "a\nb.py", "an escape": "a\x1b[2J.py", "C1": "a\x9b31m.py", "DEL": "a\x7f.py", "NEL": "a\x85.py",
        "right to left": "a\u202eyp.py", "an isolate": "a\u2066.py", "a BOM": "\ufeffa.py", "a separator": "a\u2028.py",
        "zero width": "a\u200b.py", "a tag": "a\U000e0041.py",
    }.items():  # fmt: skip
        yield _wheel("T45", f"a name with {label}", _with([(name, b"")]))
    nul = [ZipMember(b"a.py\0.txt"), *wheel_zip_members()]
    yield _wheel("T45", "a name with NUL", _zip(nul))


def _unicode_path(raw: bytes, name: bytes) -> bytes:
    return extra(0x7075, struct.pack("<BL", 1, zlib.crc32(raw)) + name)


def _zip64() -> Iterator[Hostile]:
    members = wheel_zip_members()
    good = write_zip(members)
    size, at = struct.unpack_from("<2L", good, len(good) - 10)
    for label, wide in {
        "an end elsewhere": end64(at, size, 4, 0),
        "an end of another directory": end64(0, size, 4, at + size),
        "an end with another count": end64(at, size, 3, at + size),
        "an extensible end": end64(at, size, 4, at + size, tail=b"hidden!!", size=52),
        "an end with a wrong size": end64(at, size, 4, at + size, size=52),
        "a locator alone": end64(at, size, 4, at + size)[56:],
        "an end alone": end64(at, size, 4, at + size)[:56],
        "two ends": end64(at, size, 4, at + size) * 2,
        "an end with enormous numbers": end64(2**64 - 1, 2**64 - 1, 2**64 - 1, at + size),
        "a locator with several disks": end64(at, size, 4, at + size)[:-4] + b"\2\0\0\0",
    }.items():
        yield _wheel("T32", f"zip64: {label}", _zip(members, end64=wide))
    number = struct.Struct("<Q").pack
    info = len(INFO)
    for label, changes in {
        "a size that is missing": {"size_bytes": FULL},
        "a size that is too short": {"size_bytes": FULL, "extra": extra(1, b"1234")},
        "two fields": {"size_bytes": FULL, "extra": extra(1, number(info)) * 2},
        "two fields that differ": {"size_bytes": FULL, "extra": extra(1, number(info)) + extra(1, number(9))},
        "another size, not needed": {"extra": extra(1, number(9))},
        "another offset, not needed": {"extra": extra(1, number(info) + number(len(deflate(INFO))) + number(0))},
        "an odd length": {"size_bytes": FULL, "extra": extra(1, number(info) + b"x")},
        "an enormous size": {"size_bytes": FULL, "extra": extra(1, number(2**64 - 1))},
        "an enormous compressed size": {"packed_bytes": FULL, "extra": extra(1, number(2**63))},
        "an enormous offset": {"at": FULL, "extra": extra(1, number(2**64 - 1)), "local_extra": b""},
        "another local size, not needed": {"local_extra": extra(1, number(9) + number(9))},
        "a local size alone": {"local_size_bytes": FULL, "local_extra": extra(1, number(9))},
    }.items():
        yield _wheel("T32", f"zip64: {label}", _zip(changed(members, "METADATA", **changes)))


def _wheel_contents() -> Iterator[Hostile]:
    files = wheel_files()
    without = {name: [one for one in files if not one[0].endswith(name)] for name in ("METADATA", "WHEEL", "RECORD")}
    for name, rest in without.items():
        record = record_text(path for path, _ in rest if not path.endswith("RECORD"))
        listed = [(path, record if path.endswith("RECORD") else data) for path, data in rest]
        yield _wheel("T28", f"no {name}", partial(make_zip, listed))
    yield _wheel("T28", "no .dist-info", lambda: make_zip([("demo.py", b"")]))
    yield _wheel("T28", "two .dist-info", _with([("evil-1.0.dist-info/METADATA", b"")]))
    yield _wheel("T28", "two .dist-info in two spellings", _with([("DEMO-1.0.DIST-INFO/METADATA", b"")]))
    yield _wheel("T28", "a .dist-info that is a file", lambda: make_zip([(FOLDER, INFO)]))
    yield _wheel("T28", "a .dist-info further down", lambda: make_zip([(f"x/{name}", data) for name, data in files]))
    for label, text in {
        "empty": "",
        "no version": WHEEL_TEXT.replace("Wheel-Version: 1.0\n", ""),
        "version 2": WHEEL_TEXT.replace("1.0", "2.0"),
        "two versions": WHEEL_TEXT + "Wheel-Version: 1.0\n",
        "no Root-Is-Purelib": WHEEL_TEXT.replace("Root-Is-Purelib: true\n", ""),
        "two Root-Is-Purelib": WHEEL_TEXT + "Root-Is-Purelib: false\n",
        "Root-Is-Purelib: perhaps": WHEEL_TEXT.replace("true", "perhaps"),
        "no Tag": WHEEL_TEXT.replace("Tag: py3-none-any\n", ""),
        "malformed Tag": WHEEL_TEXT + "Tag: py3-none\n",
        "two million tags": WHEEL_TEXT + f"Tag: {'.a' * 120}-{'.b' * 120}-{'.c' * 120}\n",
        "ten thousand Tags": WHEEL_TEXT + "".join(f"Tag: py{number}-none-any\n" for number in range(2000)),
        "an escape": WHEEL_TEXT + "Generator: a\x1b[2J\n",
        "malformed Build": WHEEL_TEXT + "Build: x\n",
        "a line that is no field": "Wheel 1.0\n" + WHEEL_TEXT,
        "a megabyte": WHEEL_TEXT + "X: " + "x" * MIB,
    }.items():
        yield _wheel("T28", f"WHEEL: {label}", partial(make_zip, wheel_files(wheel=text.encode())))
    yield _wheel("T28", "WHEEL is not UTF-8", partial(make_zip, wheel_files(wheel=WHEEL_TEXT.encode() + b"X: \xff\n")))
    for label, text in {
        "other tags": WHEEL_TEXT.replace("py3-none-any", "cp311-cp311-win_amd64"),
        "a tag more": WHEEL_TEXT + "Tag: py2-none-any\n",
        "another build": WHEEL_TEXT + "Build: 7\n",
    }.items():
        make = partial(make_zip, wheel_files(wheel=text.encode()))
        yield _wheel("T28", f"WHEEL: {label} than the file name", make)
    listed = record_text(["demo.py", f"{FOLDER}/METADATA", f"{FOLDER}/WHEEL"])
    for label, record in {
        "empty": b"",
        "a file missing": listed.replace(b'"demo.py",,\n', b""),
        "METADATA missing": listed.replace(b"METADATA", b"other"),
        "a file that is not there": listed + b"evil.py,,\n",
        "a file twice with two hashes": listed + b"demo.py,sha256=abc,\n",
        "not UTF-8": listed + b"\xff,,\n",
        "two columns": listed + b"x,\n",
        "a quote that never ends": listed + b'"x,,\n',
        "a field of a megabyte": listed + b"x" * MIB + b",,\n",
        "20 MiB": listed + b"demo.py,,\n" * (2 * MIB),
    }.items():
        yield _wheel("T28", f"RECORD: {label}", partial(make_zip, wheel_files(record=record)))
    for label, metadata in {
        "another name": INFO.replace(b"demo", b"evil"),
        "another version": INFO.replace(b"1.0\n", b"6.6\n"),
    }.items():
        yield _wheel("T13", f"METADATA: {label}", partial(make_zip, wheel_files(metadata)))
    moved = [(name.replace(FOLDER, "evil-1.0.dist-info"), data) for name, data in wheel_files()]
    moved[-1] = (moved[-1][0], record_text([name for name, _ in moved[:-1]], "evil-1.0.dist-info"))
    yield _wheel("T13", ".dist-info of another package", partial(make_zip, moved))


def _zip_sdists() -> Iterator[Hostile]:
    for label, members in {
        "no PKG-INFO": ZIP_SDIST[1:],
        "PKG-INFO further down": (ZipMember(TOP + b"/src/PKG-INFO", INFO),),
        "PKG-INFO at the top": (ZipMember(b"PKG-INFO", INFO),),
        "PKG-INFO is a directory": (ZipMember(TOP + b"/PKG-INFO/"), *ZIP_SDIST[1:]),
        "two top directories": (*ZIP_SDIST, ZipMember(b"other/x")),
        "a file beside the top directory": (*ZIP_SDIST, ZipMember(b"setup.py")),
        "PKG-INFO in two spellings": (*ZIP_SDIST, ZipMember(TOP + b"/pkg-info", INFO)),
        "pyproject.toml in two spellings": (
            *ZIP_SDIST, ZipMember(TOP + b"/pyproject.toml"), ZipMember(TOP + b"/PyProject.toml")
        ),
        "a symbolic link": (*ZIP_SDIST, ZipMember(TOP + b"/l", b"/etc", attributes=0o120777 << 16)),
        "top directory of another package": (ZipMember(b"evil-1.0/PKG-INFO", INFO),),
        "top directory of another version": (ZipMember(b"demo-6.6/PKG-INFO", INFO),),
    }.items():  # fmt: skip
        yield Hostile("T28", f"zip: {label}", ZIP_NAME, FIELDS, _zip(members))


# ---------------------------------------------------------------------- tar files


def _tar(threat: str, label: str, make: Callable[[], bytes]) -> Hostile:
    return Hostile(threat, f"tar: {label}", SDIST_NAME, FIELDS, make)


def _tars() -> Iterator[Hostile]:
    good = tar_gz(GOOD_MEMBER)
    wrong = bytearray(good)
    wrong[-6] ^= 1
    for label, data in {
        "nothing at all": b"",
        "an empty gzip": gz(),
        "an end alone": gz(TAR_END),
        "no end": gz(GOOD_MEMBER),
        "half an end": gz(GOOD_MEMBER, bytes(512)),
        "half an end, then a member": gz(GOOD_MEMBER, bytes(512), member(TOP + b"/evil"), TAR_END),
        "a second tar behind the end": gz(GOOD_MEMBER, TAR_END, GOOD_MEMBER, TAR_END),
        "a byte far behind the end": gz(GOOD_MEMBER, bytes(100_000), b"x"),
        "a byte behind the gzip": good + b"x",
        "zeros behind the gzip": good + bytes(512),
        "a second gzip": good + good,
        "a second, empty gzip": good + gz(),
        "a tar in two gzips": gz(GOOD_MEMBER) + gz(TAR_END),
        "gzip in gzip": gz(good),
        "a wrong checksum of the gzip": bytes(wrong),
        "cut in the trailer": good[:-3],
        "cut in the middle": good[: len(good) // 2],
        "cut in a header": gz(GOOD_MEMBER[:300]),
        "cut in the data": gz(GOOD_MEMBER[:530]),
        "not compressed": GOOD_MEMBER + TAR_END,
        "zlib": zlib.compress(GOOD_MEMBER + TAR_END),
        "bytes that are nothing": bytes(range(256)) * 4,
        "a page": b"<html></html>",
    }.items():
        yield _tar("T33", label, partial(bytes, data))
    for kind in (b"3", b"4", b"6", b"7", b"S", b"D", b"M", b"N", b"V", b"X", b"A", b"Z", b"\xff", b" "):
        yield _tar("T33", f"type {kind!r}", partial(tar_gz, GOOD_MEMBER, member(TOP + b"/x", kind=kind)))
    for label, raw in {
        "negative": b"-0000000001\0", "in base 256": b"\x80" + bytes(10) + b"\x05",
        "negative in base 256": b"\xff" * 12,
        "hexadecimal": b"0x000000010\0", "empty": bytes(11) + b" ", "not octal": b"8" * 12,
        "in two parts": b"1 2        \0",
        "Arabic": "\u0661".encode().ljust(12, b"\0"),
    }.items():  # fmt: skip
        yield _tar("T34", f"a size that is {label}", partial(tar_gz, header(TOP + b"/x", raw_size=raw), GOOD_MEMBER))
    yield _tar("T33", "a wrong checksum", partial(tar_gz, GOOD_MEMBER[:10] + b"X" + GOOD_MEMBER[11:]))
    unknown = member(TOP + b"/x", magic=b"other\0\0\0")
    yield _tar("T33", "an unknown format", partial(tar_gz, GOOD_MEMBER, unknown))
    gnu = member(TOP + b"/x", magic=b"ustar  \0", prefix=b"/etc")
    yield _tar("T33", "a prefix in a GNU header", partial(tar_gz, GOOD_MEMBER, gnu))
    yield _tar("T33", "a directory with data", partial(tar_gz, GOOD_MEMBER, member(TOP + b"/d/", b"x", b"5")))
    yield _tar("T33", "a file with a slash and data", partial(tar_gz, GOOD_MEMBER, member(TOP + b"/d/", b"x")))
    yield _tar("T33", "a link with data", partial(tar_gz, GOOD_MEMBER, member(TOP + b"/l", b"x", b"2", target=b"x")))


def _tar_extensions() -> Iterator[Hostile]:
    long_name = member(b"././@LongLink", TOP + b"/x\0", b"L")
    long_target = member(b"././@LongLink", b"x\0", b"K")
    for label, blocks in {
        "pax size of zero": (pax(size=b"0"), GOOD_MEMBER),
        "pax size that is larger": (pax(size=b"1000"), GOOD_MEMBER),
        "pax size with a zero before it": (pax(size=b"0%d" % len(INFO)), GOOD_MEMBER),
        "negative pax size": (pax(size=b"-1"), GOOD_MEMBER),
        "pax size twice": (member(b"x", record(b"size", b"1") * 2, b"x"), GOOD_MEMBER),
        "pax size in a global header": (member(b"g", record(b"size", b"1"), b"g"), GOOD_MEMBER),
        "pax path in a global header": (member(b"g", record(b"path", b"x"), b"g"), GOOD_MEMBER),
        "pax target in a global header": (member(b"g", record(b"linkpath", b"x"), b"g"), GOOD_MEMBER),
        "two pax headers": (pax(path=TOP + b"/x"), pax(path=TOP + b"/y"), GOOD_MEMBER),
        "two long names": (long_name, long_name, GOOD_MEMBER),
        "a long name and a pax path": (long_name, pax(path=TOP + b"/y"), GOOD_MEMBER),
        "two long targets": (GOOD_MEMBER, long_target, long_target, link(TOP + b"/l", b"x")),
        "a long target and a pax one": (GOOD_MEMBER, long_target, pax(linkpath=b"y"), link(TOP + b"/l", b"x")),
        "a target of a file": (long_target, GOOD_MEMBER),
        "a pax target of a file": (pax(linkpath=b"x"), GOOD_MEMBER),
        "a long name at the end": (GOOD_MEMBER, long_name),
        "a pax header at the end": (GOOD_MEMBER, pax(path=TOP + b"/x")),
        "NUL in a pax path": (pax(path=TOP + b"/PKG-INFO\0.txt"), member(b"x", INFO)),
        "NUL in a long name": (member(b"L", TOP + b"/PKG-INFO\0.txt\0", b"L"), member(b"x", INFO)),
        "an empty pax path": (pax(path=b""), GOOD_MEMBER),
        "a pax path that climbs": (pax(path=TOP + b"/../evil"), member(TOP + b"/x"), GOOD_MEMBER),
        "a pax path that is absolute": (pax(path=b"/etc/passwd"), member(TOP + b"/x"), GOOD_MEMBER),
        "a pax path in another character set": (pax(hdrcharset=b"BINARY", path=TOP + b"/x"), GOOD_MEMBER),
        "a sparse file of pax": (member(b"x", record(b"GNU.sparse.major", b"1"), b"x"), GOOD_MEMBER),
        "a sparse name of pax": (member(b"x", record(b"GNU.sparse.name", b"evil"), b"x"), GOOD_MEMBER),
        "a record without length": (member(b"x", b"path=x\n", b"x"), GOOD_MEMBER),
        "a record with a wrong length": (member(b"x", b"99 a=b\n", b"x"), GOOD_MEMBER),
        "a record of length 0": (member(b"x", b"0 a=b\n", b"x"), GOOD_MEMBER),
        "a record with a length of 30 digits": (member(b"x", b"9" * 30 + b" a=b\n", b"x"), GOOD_MEMBER),
        "a record without a key": (member(b"x", b"5 ab\n", b"x"), GOOD_MEMBER),
        "a record without an end": (member(b"x", b"6 a=bc", b"x"), GOOD_MEMBER),
    }.items():
        yield _tar("T33", label, partial(tar_gz, *blocks))
    for kind in (b"L", b"K", b"x", b"g"):
        bomb = partial(gz, header(b"x", 200 * MIB, kind), bytes(MIB))
        yield _tar("T34", f"200 MiB in an extension {kind!r}", bomb)
    many = b"".join(record(b"k%d" % number, b"v") for number in range(20_000))
    yield _tar("T34", "20 000 pax records", partial(tar_gz, member(b"x", many, b"x"), GOOD_MEMBER))


def _tar_trees() -> Iterator[Hostile]:
    for label, name in {
        "climbing": TOP + b"/../evil", "climbing at the end": TOP + b"/..", "dots alone": b"..",
        "absolute": b"/etc/passwd", "a backslash": TOP + b"\\evil", "a drive": b"C:/evil", "not UTF-8": TOP + b"/\xff",
        "nothing": b"",
    }.items():  # fmt: skip
        yield _tar("T35", f"a name that is {label}", partial(tar_gz, GOOD_MEMBER, member(name)))
    for label, text in {
        "an escape": "\x1b[2J", "C1": "\x9b31m", "right to left": "\u202e", "an isolate": "\u2066", "a BOM": "\ufeff",
        "a line feed": "a\nb", "a separator": "\u2028",
    }.items():  # fmt: skip
        named = member(TOP + b"/x" + text.encode())
        yield _tar("T45", f"a name with {label}", partial(tar_gz, GOOD_MEMBER, named))
    a = member(TOP + b"/a", kind=b"5")
    for label, blocks in {
        "a link that is absolute": (link(TOP + b"/l", b"/etc/passwd"),),
        "a link that climbs": (link(TOP + b"/l", b"../../etc/passwd"),),
        "a link to the folder above": (link(TOP + b"/l", b".."),),
        "a link that climbs on a detour": (a, link(TOP + b"/l", b"a/../../x")),
        "a link with a backslash": (link(TOP + b"/l", b"..\\x"),),
        "a link with a drive": (link(TOP + b"/l", b"C:x"),),
        "a link with an escape": (link(TOP + b"/l", b"\x1b[2J"),),
        "a link without a target": (link(TOP + b"/l", b""),),
        "a link beside the top directory": (link(b"l", TOP),),
        "a file below a link": (a, link(TOP + b"/l", b"a"), member(TOP + b"/l/x")),
        "a link in the place of a folder": (member(TOP + b"/l/x"), link(TOP + b"/l", b"a")),
        "a link through a link": (a, link(TOP + b"/l", b"a"), link(TOP + b"/m", b"l/../../x")),
        "a link through a later link": (a, link(TOP + b"/m", b"l/../x"), link(TOP + b"/l", b"a")),
        "a hard link that climbs": (link(TOP + b"/l", b"../x", b"1"),),
        "a hard link that is absolute": (link(TOP + b"/l", b"/etc/passwd", b"1"),),
        "a hard link to nothing": (link(TOP + b"/l", TOP + b"/nothing", b"1"),),
        "a hard link to a link": (link(TOP + b"/l", b"x"), link(TOP + b"/m", TOP + b"/l", b"1")),
        "5000 links": tuple(link(TOP + b"/l%d" % number, b"x") for number in range(5000)),
    }.items():
        yield _tar("T35", label, partial(tar_gz, GOOD_MEMBER, *blocks))
    for label, blocks in {
        "PKG-INFO twice": (GOOD_MEMBER, GOOD_MEMBER),
        "PKG-INFO twice, once with a dot": (GOOD_MEMBER, member(TOP + b"/./PKG-INFO", INFO)),
        "PKG-INFO twice, once with two slashes": (GOOD_MEMBER, member(TOP + b"//PKG-INFO", INFO)),
        "a name twice": (GOOD_MEMBER, member(TOP + b"/x"), member(TOP + b"/x")),
        "a file and a link": (GOOD_MEMBER, member(TOP + b"/x"), link(TOP + b"/x", b"y")),
        "a file and a directory": (GOOD_MEMBER, member(TOP + b"/x"), member(TOP + b"/x", kind=b"5")),
        "a file below a file": (GOOD_MEMBER, member(TOP + b"/PKG-INFO/x")),
        "PKG-INFO in two spellings": (GOOD_MEMBER, member(TOP + b"/Pkg-Info", INFO)),
        "setup.py in two spellings": (GOOD_MEMBER, member(TOP + b"/setup.py"), member(TOP + b"/SETUP.PY")),
        "another top directory behind PKG-INFO": (GOOD_MEMBER, member(b"other/x")),
        "another top directory before PKG-INFO": (member(b"other/x"), GOOD_MEMBER),
        "a file beside the top directory": (GOOD_MEMBER, member(b"setup.py")),
    }.items():
        yield _tar("T33", label, partial(tar_gz, *blocks))
    for label, blocks in {
        "no PKG-INFO": (member(TOP + b"/setup.py"),),
        "PKG-INFO at the top": (member(b"PKG-INFO", INFO),),
        "PKG-INFO further down": (member(TOP + b"/src/PKG-INFO", INFO),),
        "PKG-INFO is a link": (member(TOP + b"/x", INFO), link(TOP + b"/PKG-INFO", b"x")),
        "PKG-INFO is a hard link": (member(TOP + b"/x", INFO), link(TOP + b"/PKG-INFO", TOP + b"/x", b"1")),
        "PKG-INFO is a directory": (member(TOP + b"/PKG-INFO", kind=b"5"),),
        "top directory of another package": (member(b"evil-1.0/PKG-INFO", INFO),),
        "top directory of another version": (member(b"demo-6.6/PKG-INFO", INFO),),
        "top directory without a version": (member(b"demo/PKG-INFO", INFO),),
    }.items():
        yield _tar("T28", label, partial(tar_gz, *blocks))


# ---------------------------------------------------------------------- bombs, and files that are two things


def _bombs() -> Iterator[Hostile]:
    zeros = partial(bytes, 200 * MIB)
    yield _wheel("T31", "200 MiB of zeros", lambda: _with([("zeros", zeros())])())
    yield _wheel("T31", "3 MiB of METADATA", lambda: make_zip(wheel_files(INFO + b"\n" + bytes(3 * MIB))))
    packed = deflate(bytes(50 * MIB))
    lying = ZipMember(b"demo.py", b"", packed=packed, size_bytes=1000, crc32=zlib.crc32(bytes(1000)))
    yield _wheel("T31", "50 MiB that say they are 1000 bytes", _zip([lying, *wheel_zip_members()[1:]]))
    boast = ZipMember(b"demo.py", b"x" * 100, size_bytes=FULL - 1, crc32=1)
    yield _wheel("T31", "100 bytes that say they are 4 GiB", _zip([boast, *wheel_zip_members()[1:]]))
    core = ZipMember(b"demo.py", b"", packed=packed, size_bytes=50 * MIB, crc32=zlib.crc32(bytes(50 * MIB)))
    shared = [
        ZipMember(b"f%d" % number, in_file=False, at=0, packed=packed, size_bytes=50 * MIB) for number in range(9)
    ]
    yield _wheel("T31", "ten members over the same bytes", _zip([core, *shared, *wheel_zip_members()[1:]]))
    many = 60_001
    yield _wheel("T31", "60 001 members", lambda: make_zip([(f"f{n}", b"") for n in range(many)], zipfile.ZIP_STORED))
    long = "a/" * 60
    yield _wheel(
        "T31",
        "17 MiB of names",
        lambda: make_zip([(f"{long}{n:0900}", b"") for n in range(18_000)], zipfile.ZIP_STORED),
    )
    yield _tar(
        "T31", "200 MiB of zeros", lambda: squeezed_tar(TOP + b"/zeros", 200 * MIB, behind=GOOD_MEMBER + TAR_END)
    )
    yield _tar("T31", "200 MiB of zeros behind the end", lambda: gz(GOOD_MEMBER, bytes(200 * MIB)))
    yield _tar(
        "T31", "a member that says it has 8 GiB", partial(tar_gz, GOOD_MEMBER, header(TOP + b"/x", (8 << 30) - 1))
    )
    yield _tar("T31", "3 MiB of PKG-INFO", lambda: tar_gz(member(TOP + b"/PKG-INFO", INFO + b"\n" + bytes(3 * MIB))))
    block = header(TOP + b"/", kind=b"5")
    yield _tar("T31", "60 001 members", lambda: gz(block * many))
    yield _tar("T31", "60 000 global headers", lambda: gz(member(b"g", b"", b"g") * many))
    deep = [pax(path=TOP + b"/%06d/" % n + b"a/" * 60 + b"b") + member(b"x") for n in range(4000)]
    yield _tar("T31", "very many implied folders", lambda: tar_gz(GOOD_MEMBER, *deep, *deep))
    yield _tar("T31", "a thousand folders in each other", partial(tar_gz, pax(path=TOP + b"/a" * 500), GOOD_MEMBER))


def _polyglots() -> Iterator[Hostile]:
    wheel, sdist = make_zip(wheel_files()), tar_gz(GOOD_MEMBER)
    for label, data in {
        "a tar.gz": sdist, "a tar": GOOD_MEMBER + TAR_END, "a gzip of a wheel": gzip.compress(wheel, mtime=0),
        "a page": b"<html><script>alert(1)</script></html>", "a program": b"\x7fELF" + bytes(100),
        "a tar.gz with a wheel behind it": sdist + wheel,
    }.items():  # fmt: skip
        yield _wheel("T36", f"{label} called wheel", partial(bytes, data))
    yield _tar("T36", "a wheel called tar.gz", lambda: wheel)
    yield _tar("T36", "a tar.gz with a wheel behind it", lambda: sdist + wheel)
    yield _wheel("T36", "a wheel that is a tar as well", _tar_in_zip)
    yield _tar("T36", "a tar.gz that is a zip as well", _zip_in_gzip)
    zipped = write_zip(ZIP_SDIST)
    yield _tar("T36", "a zip called tar.gz", lambda: zipped)
    yield Hostile("T36", "a tar.gz called zip", ZIP_NAME, FIELDS, lambda: sdist)


def _tar_in_zip() -> bytes:
    """A wheel whose first header, with a long extra field, is a tar header."""
    room = 512 - 30 - len("demo.py") - 4
    plain = [ZipMember(b"demo.py", b"x", 0, local_extra=extra(0x9999, bytes(room))), *wheel_zip_members()[1:]]
    block = bytearray(write_zip(plain)[:512])
    block[124:136] = b"%011o\0" % 0
    block[148:156] = b" " * 8
    block[156:157] = b"0"
    block[148:156] = b"%06o\0 " % sum(block)
    filled = bytes(block[30 + len("demo.py") + 4 :])
    return write_zip([ZipMember(b"demo.py", b"x", 0, local_extra=extra(0x9999, filled)), *plain[1:]])


def _zip_in_gzip() -> bytes:
    """A sound tar.gz that stores a zip file as it is: lenient readers find it from behind."""
    inner = write_zip(wheel_zip_members())
    tar = GOOD_MEMBER + member(TOP + b"/x.zip", inner) + TAR_END
    squeezer = zlib.compressobj(0, wbits=31)
    return squeezer.compress(tar) + squeezer.flush()


# ---------------------------------------------------------------------- metadata


def _metadata() -> Iterator[Hostile]:
    def both(threat: str, label: str, metadata: bytes) -> Iterator[Hostile]:
        yield _wheel(threat, label, partial(make_zip, wheel_files(metadata)))
        yield _tar(threat, label, partial(tar_gz, member(TOP + b"/PKG-INFO", metadata)))

    for label, metadata in {
        "empty": b"",
        "no Name": INFO.replace(b"Name", b"X-Name"),
        "no Version": INFO.replace(b"\nVersion", b"\nX-Version"),
        "no Metadata-Version": INFO.replace(b"Metadata-", b"X-"),
        "Metadata-Version 3": INFO.replace(b"2.1", b"3.0"),
        "two names": INFO + b"Name: demo\n",
        "two versions": INFO + b"version: 1.0\n",
        "two summaries": INFO + b"Summary: a\nSummary: b\n",
        "two Requires-Python": INFO + b"Requires-Python: >=3\nRequires-Python: >=2\n",
        "a folded name": INFO.replace(b"demo\n", b"demo\n evil\n"),
        "a folded Requires-Python": INFO + b"Requires-Python: >=3,\n <4\n",
        "a line that is no field": b"hello\n" + INFO,
        "an envelope": b"From evil\n" + INFO,
        "a body alone": b"\n" + INFO,
        "a field without a name": INFO + b": x\n",
        "a space before the colon": INFO.replace(b"Name:", b"Name :"),
    }.items():
        yield from both("T28", f"metadata: {label}", metadata)
    for label, metadata in {
        "a name that is not UTF-8": INFO.replace(b"demo", b"\xff"),
        "an author that is not UTF-8": INFO + b"Author: \xff\n",
        "a version of 5000 digits": INFO.replace(b"1.0\n", b"1" * 5000 + b"\n"),
        "a Requires-Python of 5000 digits": INFO + b"Requires-Python: >=" + b"9" * 5000 + b"\n",
        "a Requires-Python that is none": INFO + b"Requires-Python: three\n",
        "a Requires-Python with a wild card": INFO + b"Requires-Python: >=3.*\n",
    }.items():
        yield from both("T44", f"metadata: {label}", metadata)
    for label, metadata in {
        "50 000 parentheses": INFO + b"Requires-Dist: a " + b"(" * 50_000 + b")" * 50_000 + b"\n",
        "6000 requirements": INFO + b"Requires-Dist: a\n" * 6000,
        "30 000 fields": INFO + b"Classifier: a\n" * 30_000,
        "a summary of a megabyte": INFO + b"Summary: " + b"a" * MIB + b"\n",
        "a name of a megabyte": INFO.replace(b"demo", b"a" * MIB),
        "a Requires-Python of 64 KiB": INFO + b"Requires-Python: " + b">=3," * 16_384 + b">=3\n",
    }.items():
        yield from both("T38", f"metadata: {label}", metadata)
    for label, text in {
        "an escape": "\x1b[2J", "C1": "\x9b31m", "right to left": "\u202e", "an isolate": "\u2066", "NUL": "\0",
        "a separator": "\u2028", "DEL": "\x7f",
    }.items():  # fmt: skip
        yield from both("T45", f"metadata: {label} in the summary", INFO + f"Summary: a{text}b\n".encode())
    yield from both("T45", "metadata: a BOM before all", b"\xef\xbb\xbf" + INFO)
    yield from both("T45", "metadata: an escape in the name", INFO.replace(b"demo", b"demo\x1b[2J"))
    for label, value in {
        "markup": b'>=3"><a href="x', "arbitrary equality with markup": b'==="><script>', "an entity": b">=3&quot;",
        "a stray line end": b">=3\x0b<4", "a comment": b">=3 # hello",
    }.items():  # fmt: skip
        yield from both("T48", f"Requires-Python: {label}", INFO + b"Requires-Python: " + value + b"\n")
