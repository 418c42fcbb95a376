"""
Pushes that must be refused: every one by a 4xx that says why, and none leaves anything behind.

The threats have the numbers of our threat table: T04 forms, T13 checks of one thing and use of another, T25 and T26
confusable names and versions, T31 bombs, T32 zip differentials, T35 paths that lead out, T36 files that are two things,
T40 tricks with XML, T44 errors of libraries, T45 control characters, T46 links that a browser would run, T48 index
injection.
"""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

from attrs import field, frozen

from tests.formats.nuget_world import SYMBOLS, B, form, nupkg, nuspec, pdb, snupkg
from tests.support.archives import (
    TAR_END,
    ZipMember,
    changed,
    deflate,
    descriptor,
    end64,
    extra,
    gz,
    make_zip,
    member,
    write_zip,
)

MIB = 1 << 20
PACKAGES, SYMBOL_PACKAGES = "/", "/symbolpackage/"


@frozen
class Hostile:
    """
    One request to be refused.

    Attributes:
        threat: its number.
        label: what is wrong, unlike any other of the threat.
        rule: the route that it goes to.
        make: writes the body.
    """

    threat: str
    label: str
    rule: str
    make: Callable[[], bytes] = field(repr=False)

    def __str__(self) -> str:
        return f"{self.threat} {self.label}"


def hostile_pushes() -> Iterator[Hostile]:
    """All of the table."""
    yield from _forms()
    yield from _zips()
    yield from _zip_members()
    yield from _paths()
    yield from _nuspecs()
    yield from _names()
    yield from _xml()
    yield from _bombs()
    yield from _symbol_packages()
    yield from _pdbs()


def good_pushes() -> Iterator[Hostile]:
    """What the hostile ones are made from, which must be taken, in this order."""
    yield Hostile("-", "package", PACKAGES, lambda: form(write_zip(_members())))
    yield Hostile("-", "symbols", SYMBOL_PACKAGES, lambda: form(snupkg()))


def _package(threat: str, label: str, make: Callable[[], bytes]) -> Hostile:
    return Hostile(threat, label, PACKAGES, lambda: form(make()))


def _symbols(threat: str, label: str, files: Mapping[str, bytes], more: str = SYMBOLS) -> Hostile:
    return Hostile(threat, f"symbols: {label}", SYMBOL_PACKAGES, lambda: form(snupkg(files=dict(files), more=more)))


def _members() -> list[ZipMember]:
    return [ZipMember(b"Acme.Lib.nuspec", nuspec()), ZipMember(b"lib/net6.0/Acme.Lib.dll", b"MZ" * 50)]


def _zip(members: Sequence[ZipMember], **more: object) -> Callable[[], bytes]:
    return partial(write_zip, members, **more)  # type: ignore[arg-type] # as write_zip() has them


def _with(name: str, data: bytes = b"x") -> Callable[[], bytes]:
    return lambda: make_zip([("Acme.Lib.nuspec", nuspec()), (name, data)])


# ---------------------------------------------------------------------- forms


def _forms() -> Iterator[Hostile]:
    good = nupkg()
    whole = form(good)
    for label, body in {
        "empty": b"", "no boundary": good, "a boundary and nothing else": f"--{B}--\r\n".encode(),
        "no end": whole[: -len(B) - 8], "cut in the file": whole[: len(whole) // 2],
        "another boundary": whole.replace(B.encode(), b"other"), "another field": form(good, "file"),
        "two files": whole[: -len(B) - 6] + whole, "no name": whole.replace(b"name=package;", b""),
        "a header of 64 KiB": whole.replace(b"octet-stream", b"x" * 65_536),
        "no Content-Disposition": whole.replace(b"Content-Disposition", b"X-Disposition"),
        "a name twice": whole.replace(b"name=package;", b"name=package; name=other;"),
        "a field of 1 MiB": f'--{B}\r\nContent-Disposition: form-data; name="x"\r\n\r\n'.encode()
        + b"x" * MIB + b"\r\n" + whole,
        "a hundred fields": f'--{B}\r\nContent-Disposition: form-data; name="x"\r\n\r\ny\r\n'.encode() * 100 + whole,
        "base64": whole.replace(b"octet-stream\r\n", b"octet-stream\r\nContent-Transfer-Encoding: base64\r\n"),
        "something behind its end": whole + f"--{B}\r\n".encode(),
    }.items():  # fmt: skip
        yield Hostile("T04", f"form: {label}", PACKAGES, lambda body=body: body)  # type: ignore[misc]
        yield Hostile("T04", f"form of symbols: {label}", SYMBOL_PACKAGES, lambda body=body: body)  # type: ignore[misc]


# ---------------------------------------------------------------------- zip files


def _zips() -> Iterator[Hostile]:
    members = _members()
    good = write_zip(members)
    size_bytes, at = struct.unpack_from("<2L", good, len(good) - 10)
    directory = good[at : at + size_bytes]
    for label, make in {
        "nothing at all": bytes, "text": lambda: b"hello", "an end and nothing else": partial(write_zip, ()),
        "a prefix": _zip(members, prefix=b"MZ"), "a prefix with right offsets": _zip(members, prefix=b"MZ", shift=-2),
        "a suffix": _zip(members, suffix=b"x"), "a second zip file": lambda: good + good,
        "a zip file in the comment": _zip(members, comment=good), "a gap": _zip(members, gap=b"gap!"),
        "a hidden member": _zip(members, gap=write_zip([ZipMember(b"x.nuspec", nuspec())])[:-69]),
        "an entry too many": _zip(members, directory_tail=directory[:46]),
        "too few members declared": _zip(members, count=1), "too many members declared": _zip(members, count=9),
        "a directory elsewhere": _zip(members, directory_at=0), "cut off": lambda: good[:-1],
        "cut in the middle": lambda: good[: len(good) // 2],
        "a zip64 end elsewhere": _zip(members, end64=end64(at, size_bytes, 2, 0)),
        "a zip64 end with enormous numbers": _zip(
            members, end64=end64(2**64 - 1, 2**64 - 1, 2**64 - 1, len(good) - 22)
        ),
        "one member under two names": _zip([*members, ZipMember(b"evil.nuspec", in_file=False, at=0)]),
    }.items():  # fmt: skip
        yield _package("T32", f"zip: {label}", make)
    yield _package("T36", "a tar", lambda: member(b"Acme.Lib.nuspec", nuspec()) + TAR_END)
    yield _package("T36", "a tar.gz", lambda: gz(member(b"Acme.Lib.nuspec", nuspec()), TAR_END))
    yield _package("T32", "a name twice", lambda: make_zip([("a.nuspec", nuspec()), ("x", b"1"), ("x", b"2")]))
    yield _package("T32", "the nuspec twice", lambda: make_zip([("a.nuspec", nuspec()), ("a.nuspec", nuspec())]))


def _zip_members() -> Iterator[Hostile]:
    data = nuspec()
    for label, changes in {
        "another local name": {"local_name": b"evil.nuspec"}, "another local method": {"local_method": 0},
        "another local checksum": {"local_crc32": 1}, "another local size": {"local_size_bytes": 1},
        "no local header": {"in_file": False}, "no entry": {"in_directory": False}, "bytes before it": {"before": b"x"},
        "bytes behind it": {"behind": b"x"}, "an offset behind the file": {"at": 0x7FFFFFFF}, "bzip2": {"method": 12},
        "lzma": {"method": 14}, "zstd": {"method": 93}, "encryption": {"flags": 1}, "a comment": {"comment": b"x"},
        "a wrong checksum": {"crc32": 7, "local_crc32": 7}, "a size one too small": {"size_bytes": len(data) - 1},
        "a size one too large": {"size_bytes": len(data) + 1}, "data cut off": {"packed": deflate(data)[:-3]},
        "data that are not deflated": {"packed": b"\xff" * 30}, "no data": {"packed": b""},
        "something behind its data": {"packed": deflate(data) + b"hidden"},
        "a symbolic link": {"attributes": 0o120777 << 16}, "a broken extra field": {"extra": b"abc"},
        "an enormous size": {"size_bytes": 0xFFFFFFFF, "extra": extra(1, struct.pack("<Q", 2**64 - 1))},
        "another Unicode path": {"extra": extra(0x7075, struct.pack("<BL", 1, 0) + b"evil")},
        "a descriptor that lies": {"flags": 8, "behind": descriptor(ZipMember(b"", b"x"))},
    }.items():  # fmt: skip
        yield _package("T32", f"nuspec: {label}", _zip(changed(_members(), ".nuspec", **changes)))
    for label, changes in {
        "a wrong checksum": {"crc32": 7, "local_crc32": 7}, "data cut off": {"packed": deflate(b"MZ" * 50)[:-3]},
        "a size one too large": {"size_bytes": 101}, "an offset into another member": {"at": 0},
    }.items():  # fmt: skip
        yield _package("T32", f"another member: {label}", _zip(changed(_members(), ".dll", **changes)))


def _paths() -> Iterator[Hostile]:
    for label, name in {
        "climbing": "../evil.dll", "climbing inside": "a/../../evil", "dots": "..", "absolute": "/etc/passwd",
        "a backslash": "a\\evil", "a drive": "C:evil", "a dot": "./evil", "two slashes": "a//evil",
        "a thousand folders": "a/" * 500 + "b", "1025 characters": "a" * 1025,
    }.items():  # fmt: skip
        yield _package("T35", f"a name with {label}", _with(name))
        yield _symbols("T35", f"a name with {label}", {f"{name}/a.pdb": pdb()})
    for label, name in {
        "a line feed": "a\nb", "an escape": "a\x1b[2J", "right to left": "a\u202eb", "zero width": "a\u200b",
        "a BOM": "\ufeffa", "DEL": "a\x7f", "a separator": "a\u2028",
    }.items():  # fmt: skip
        yield _package("T45", f"a name with {label}", _with(name))
        yield _symbols("T45", f"a name with {label}", {f"{name}/a.pdb": pdb()})


# ---------------------------------------------------------------------- nuspecs


def _spec(threat: str, label: str, data: bytes) -> Hostile:
    return _package(threat, f"nuspec: {label}", lambda: make_zip([("Acme.Lib.nuspec", data)]))


def _nuspecs() -> Iterator[Hostile]:
    good = nuspec()
    yield _package("T44", "no nuspec", lambda: make_zip([("x.dll", b"x")]))
    yield _package("T44", "a nuspec further down", lambda: make_zip([("a/x.nuspec", good)]))
    yield _package("T44", "a nuspec that is a folder", lambda: make_zip([("x.nuspec/", b"")]))
    yield _package("T13", "two nuspecs", lambda: make_zip([("a.nuspec", good), ("b.nuspec", good)]))
    yield _package("T13", "two nuspecs in two spellings", lambda: make_zip([("a.nuspec", good), ("A.NuSpec", good)]))
    yield _package("T13", "a symbol package", lambda: nupkg(more=SYMBOLS))
    for label, data in {
        "empty": b"", "text": b"hello", "HTML": b"<html><body>x</body></html>",
        "not UTF-8": good.replace(b"Ann", b"\xff"),
        "cut off": good[:-10], "no metadata": b"<package/>", "empty metadata": b"<package><metadata/></package>",
        "another root": good.replace(b"package", b"project"), "something behind it": good + b"<x/>",
        "no id": good.replace(b"<id>Acme.Lib</id>", b""), "no version": good.replace(b"<version>1.0.0</version>", b""),
        "NUL": good.replace(b"Ann", b"A\0n"), "a bell": good.replace(b"Ann", b"&#7;"),
        "half a character": good.replace(b"Ann", b"&#xD800;"),
    }.items():  # fmt: skip
        yield _spec("T44", label, data)
    for label, more in {
        "a dependency without an id": "<dependencies><dependency version='1'/></dependencies>",
        "a dependency that climbs": "<dependencies><dependency id='../x'/></dependencies>",
        "a dependency with a colon": "<dependencies><dependency id='a:b'/></dependencies>",
        "a dependency with a bar": "<dependencies><dependency id='a|b'/></dependencies>",
        "a range with an escape": "<dependencies><dependency id='x' version='&#x85;'/></dependencies>",
        "a range of 300": f"<dependencies><dependency id='x' version='{'1' * 300}'/></dependencies>",
        "a range with a bar": "<dependencies><dependency id='x' version='1|evil:1'/></dependencies>",
        "a range with a colon": "<dependencies><dependency id='x' version='1:net45'/></dependencies>",
        "a framework with a bar": "<dependencies><group targetFramework='a|b:1'/></dependencies>",
    }.items():
        yield _spec("T48", label, nuspec(more=more))
    for label, text in {"a line separator": "a&#x2028;b", "right to left": "a&#x202e;b", "C1": "a&#x9b;b"}.items():
        for name in ("title", "tags", "releaseNotes", "copyright"):
            yield _spec("T45", f"{label} in {name}", nuspec(more=f"<{name}>{text}</{name}>"))


def _names() -> Iterator[Hostile]:
    for label, name in {
        "empty": "", "climbing": "../x", "a slash": "a/b", "dots": "..", "two dots": "a..b", "a dot at the end": "a.",
        "a dot first": ".a", "a space": "a b", "a line feed": "a\nb",
        "Kelvin sign": "\u212aelvin", "Cyrillic": "\u0410",
        "101 characters": "a" * 101, "a fragment": "x#y", "a question": "x?y", "an escape": "x%23y", "a quote": "x'y",
        "markup": "&lt;b&gt;", "right to left": "a\u202eb", "50 000 dashes": "-" * 50_000,
        "50 000 letters": "a" * 50_000 + "!",
    }.items():  # fmt: skip
        yield _spec("T25", f"id: {label}", nuspec(name))
    for label, version in {
        "empty": "", "a word": "latest", "five numbers": "1.2.3.4.5", "a dot at the end": "1.", "v": "v1.0",
        "a slash": "1.0/2", "a space": "1 .0", "Arabic digit": "1.0-\u0661", "a line feed": "1.0\n&#10;2",
        "an empty label": "1.0-a..b", "two metadata": "1.0+a+b", "20 digits": "9" * 20,
        "129 characters": "1.0-" + "a" * 125,
        "20 000 numbers": "1." * 20_000 + "1", "a range": "[1.0,2.0)", "a star": "1.*",
    }.items():  # fmt: skip
        yield _package(
            "T26", f"version: {label}", lambda version=version: make_zip([("x.nuspec", nuspec(version=version))])
        )  # type: ignore[misc]


def _xml() -> Iterator[Hostile]:
    good = nuspec().decode()
    head, _, rest = good.partition("?>")
    for label, doctype in {
        "document type": "<!DOCTYPE package>", "entity": '<!DOCTYPE p [<!ENTITY a "b">]>',
        "external entity": '<!DOCTYPE p [<!ENTITY a SYSTEM "file:///etc/passwd">]>',
        "parameter entity": '<!DOCTYPE p [<!ENTITY % a SYSTEM "http://127.0.0.1:1/x">%a;]>',
        "billion laughs": "<!DOCTYPE p [<!ENTITY a0 'x'>"
        + "".join(f"<!ENTITY a{n} '{f'&a{n - 1};' * 10}'>" for n in range(1, 10)) + "]>",
        "quadratic": f"<!DOCTYPE p [<!ENTITY a '{'x' * 50_000}'>]>",
    }.items():  # fmt: skip
        yield _spec("T40", label, f"{head}?>{doctype}{rest}".encode())
    for label, data in {
        "100 000 levels": "<a>" * 100_000 + "</a>" * 100_000,
        "20 000 levels": good.replace("Ann", "<a>" * 20_000 + "</a>" * 20_000),
        "30 000 elements": good.replace("Ann", "<a/>" * 30_000), "an unknown entity": good.replace("Ann", "&a;"),
        "10 000 attributes": good.replace("<authors>", "<authors " + " ".join(f"a{n}=''" for n in range(10_000)) + ">"),
        "an attribute twice": good.replace("<authors>", "<authors a='1' a='2'>"),
        "an unknown encoding": good.replace('"1.0"?', '"1.0" encoding="x-evil"?'),
        "UTF-16 that is none": good.replace('"1.0"?', '"1.0" encoding="utf-16"?'),
        "UTF-7": good.replace('"1.0"?', '"1.0" encoding="utf-7"?'),
    }.items():  # fmt: skip
        yield _spec("T40", label, data.encode())
    many = "".join(f"<dependency id='a{number}'/>" for number in range(2001))
    yield _spec("T38", "2001 dependencies", nuspec(more=f"<dependencies>{many}</dependencies>"))
    yield _spec("T38", "a text of 300 000", nuspec(more=f"<releaseNotes>{'x' * 300_000}</releaseNotes>"))


def _bombs() -> Iterator[Hostile]:
    yield _package("T31", "2 MiB of nuspec", lambda: make_zip([("a.nuspec", nuspec() + b" " * (2 * MIB))]))
    yield _package("T31", "200 MiB of zeros", _with("zeros", bytes(200 * MIB)))
    yield _package("T31", "8 GiB declared", _zip([*_members(), ZipMember(b"x", b"x", size_bytes=0xFFFFFFFE)]))
    yield _package(
        "T31", "60 001 members", lambda: make_zip(((f"{n:x}", b"") for n in range(60_001)), zipfile.ZIP_STORED)
    )
    yield _symbols("T31", "200 MiB of zeros", {"a.pdb": pdb(body=bytes(200 * MIB))})


# ---------------------------------------------------------------------- symbols


def _symbol_packages() -> Iterator[Hostile]:
    for name in ("x.dll", "x.exe", "x.pdb.exe", "readme.txt", "x", "x.mdb", "x.json", "lib/x.ps1", "x.pdb "):
        yield _symbols("T13", f"a file {name!r}", {name: b"x"})
    yield _symbols("T13", "no package type", {"a.pdb": pdb()}, more="")
    other = "<packageTypes><packageType name='Dependency'/></packageTypes>"
    yield _symbols("T13", "another package type", {"a.pdb": pdb()}, more=other)
    yield Hostile("T13", "symbols: a package", SYMBOL_PACKAGES, lambda: form(nupkg()))
    yield Hostile("T13", "symbols: of no package", SYMBOL_PACKAGES, lambda: form(snupkg("Nobody.Has.This")))
    yield Hostile("T13", "symbols: of another version", SYMBOL_PACKAGES, lambda: form(snupkg(version="9.9.9")))
    yield _symbols("T13", "two nuspecs", {"b.nuspec": nuspec(more=SYMBOLS)})
    yield _symbols("T13", "a nuspec further down", {"a/b.nuspec": nuspec(), "a/b.dll": b""})
    many = {f"{number}.pdb": pdb(number.to_bytes(20, "big")) for number in range(257)}
    yield _symbols("T31", "257 PDBs", many)
    differing = {"a/x.pdb": pdb(), "b/X.PDB": pdb(body=b"other")}
    yield _symbols("T13", "two PDBs of one signature", differing)
    yield _symbols("T25", "a PDB with a name of 300", {"a" * 300 + ".pdb": pdb()})
    yield _symbols("T25", "a PDB without a name", {".pdb/x": pdb()})


def _pdbs() -> Iterator[Hostile]:
    good = pdb()

    def with_number(at: int, form_: str, value: int) -> bytes:
        data = bytearray(good)
        struct.pack_into(form_, data, at, value)
        return bytes(data)

    for label, data in {
        "empty": b"", "a byte": b"B", "text": b"hello", "a mark alone": b"BSJB", "an assembly": b"MZ" + bytes(1000),
        "a Windows PDB": b"Microsoft C/C++ MSF 7.00\r\n\x1aDS\0\0\0" + bytes(4096),
        "an old Windows PDB": b"Microsoft C/C++ program database 2.00\r\n\x1aJG\0\0" + bytes(4096),
        "something before it": b"x" + good, "cut in the root": good[:20], "cut in the headers": good[:50],
        "cut in the id": good[:-30], "cut behind the id": good[:-1], "no streams": with_number(30, "<H", 0),
        "65 535 streams": with_number(30, "<H", 65_535), "a version of 4 GiB": with_number(12, "<L", 0xFFFFFFFF),
        "a version of odd length": with_number(12, "<L", 13), "no #Pdb": good.replace(b"#Pdb", b"#Pdc"),
        "two #Pdb": pdb(streams=4).replace(b"#Blob\0\0\0", b"#Pdb\0\0\0\0"),
        "a name that does not end": good[:32] + struct.pack("<2L", 0, 0) + b"#" * 200,
        "an id in the headers": pdb(streams=1)[:32] + struct.pack("<2L", 0, 32) + pdb(streams=1)[40:],
        "an id behind 4 GiB": pdb(streams=1)[:32] + struct.pack("<2L", 0xFFFFFFFF, 32) + pdb(streams=1)[40:],
        "an id of 4 GiB": pdb(streams=1)[:36] + struct.pack("<L", 0xFFFFFFFF) + pdb(streams=1)[40:],
        "an id of 19 bytes": pdb(streams=1)[:36] + struct.pack("<L", 19) + pdb(streams=1)[40:],
    }.items():  # fmt: skip
        yield _symbols("T44", f"PDB: {label}", {"lib/a.pdb": data})
        yield _symbols("T44", f"PDB behind a good one: {label}", {"lib/a.pdb": good, "lib/b.pdb": data})
