"""
Documents of npm that must be refused: every one by a domain error that says why, and none leaves anything behind.

The threats have the numbers of our threat table: T13 checks of one thing and use of another, T25 and T26 confusable
names and versions, T28 contradictions between document and tarball, T31 bombs, T33 tar differentials, T34 bombs in
headers, T35 paths that lead out, T36 files that are two things, T41 edge cases of JSON, T45 control characters.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from attrs import field, frozen

from tests.support.archives import TAR_END, gz, header, link, make_zip, member, pax, squeezed_tar, tar_gz
from tests.support.npm import make_document, make_package, make_provenance, make_tarball, with_provenance

MIB = 1 << 20
NAME, VERSION = "@acme/lib", "1.0.0"
MANIFEST: Mapping[str, Any] = {"name": NAME, "version": VERSION}
PACKAGE = json.dumps(MANIFEST).encode()
PACKED = member(b"package/package.json", PACKAGE)


@frozen
class Hostile:
    """
    One document to be refused, sent to the address of NAME.

    Attributes:
        threat: its number.
        label: what is wrong, unlike any other of the threat.
        make: writes the document.
        says: what the refusal names; nothing in particular if empty.
    """

    threat: str
    label: str
    make: Callable[[], bytes] = field(repr=False)
    says: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.threat} {self.label}"


def hostile_documents() -> Iterator[Hostile]:
    """All of the table."""
    yield from _json()
    yield from _names()
    yield from _contradictions()
    yield from _attachments()
    yield from _packages()
    yield from _tars()
    yield from _bombs()


def good_document(
    tarball: bytes = b"", sent: Mapping[str, Any] | None = None, tags: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Make a document with one version."""
    return make_document({**MANIFEST, **(sent or {})}, tarball or make_package(MANIFEST), tags)


def _sent(threat: str, label: str, document: object, *says: str) -> Hostile:
    return Hostile(threat, label, lambda: json.dumps(document).encode(), says)


def _json() -> Iterator[Hostile]:
    good = json.dumps(good_document()).encode()
    for label, text in {
        "nothing": b"", "a list": b"[]", "a text": b'"x"', "a number": b"1", "null": b"null", "empty": b"{}",
        "no JSON": b"{", "half of it": good[: len(good) // 2], "a byte less": good[:-1], "a byte more": good + b"}",
        "two of them": good + good, "a BOM": b"\xef\xbb\xbf" + good, "UTF-16": good.decode().encode("utf-16"),
        "not UTF-8": b'{"name":"\xff"}', "NaN": b'{"name":NaN}', "a great number": b'{"name":1e999}',
        "5000 digits": b'{"name":' + b"9" * 5000 + b"}", "deep lists": b"[" * 100_000,
        "deep objects": b'{"versions":' * 100_000, "a key twice": b'{"name":"@acme/lib","name":"@acme/lib"}',
        "a lone surrogate": b'{"name":"\\ud800"}', "a prototype": b'{"__proto__":{"name":"x"},"versions":{}}',
        "a tag twice": good.replace(b'{"latest": "1.0.0"}', b'{"latest":"1.0.0","latest":"1.0.0"}'),
        "a form": b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n', "a tarball": make_package(MANIFEST),
        "5 MiB of text": json.dumps({**good_document(), "readme": "x" * (5 * MIB)}).encode(),
        "very many tokens": b'{"versions":{"1.0.0":[' + b"[]," * 300_000 + b"[]]}}",
        "a key of 100 000 characters": b'{"' + b"k" * 100_000 + b'":1}',
    }.items():  # fmt: skip
        yield Hostile("T41", label, partial(bytes, text))


def _names() -> Iterator[Hostile]:
    for label, name in {
        "empty": "", "another": "@acme/other", "without the scope": "lib", "capitals": "@acme/Lib", "a dot": ".lib",
        "Kelvin sign": "@acme/\u212a", "line feed": "@acme/lib\n", "escape": "@acme/\x1b[2J", "path": "@acme/../lib",
        "NUL": "@acme/lib\0", "215 letters": "a" * 215, "100 000 letters": "a" * 100_000,
        "right to left": "@acme/\u202e",
    }.items():  # fmt: skip
        document = good_document(sent={"name": name})
        yield _sent("T25", f"name: {label}", {**document, "name": NAME, "_id": NAME})
        yield _sent("T13", f"name of the document: {label}", {**good_document(), "name": name}, "name")
    for label, value in {"number": 1, "null": None, "list": [NAME], "object": {}}.items():
        yield _sent("T13", f"name that is a {label}", {**good_document(), "name": value})
        yield _sent("T13", f"_id that is a {label}", {**good_document(), "_id": value})
        yield _sent(
            "T26", f"version that is a {label}", good_document(sent={}) | {"versions": {VERSION: {"version": value}}}
        )
    for label, version in {
        "empty": "", "two numbers": "1.0", "four numbers": "1.0.0.0", "line feed": "1.0.0\n2", "a word": "latest",
        "Arabic digit": "1.0.0-\u0661", "path": "1.0.0/../2", "two builds": "1.0.0+a+b",
        "5000 digits": "1" * 5000 + ".0.0", "beyond 2**53": "99999999999999999.0.0", "other one": "2.0.0",
        "a range": "^1.0.0",
        "escape": "1.0.0-\x1b[2J",
    }.items():  # fmt: skip
        document = good_document(sent={"version": version})
        document["_attachments"] = good_document()["_attachments"]
        yield _sent("T26", f"version: {label}", document)
    for label, tags in {
        "a version": {"1.0.0": "1.0.0"}, "a range": {"1.x": "1.0.0"}, "an x": {"x": "1.0.0"}, "empty": {"": "1.0.0"},
        "a path": {"a/b": "1.0.0"}, "dots": {"..": "1.0.0"}, "an escape": {"\x1b": "1.0.0"},
        "long": {"a" * 129: "1.0.0"},
        "of another version": {"latest": "2.0.0"}, "of nothing": {"latest": None}, "of a number": {"latest": 1},
        "17 of them": {f"t{number}": "1.0.0" for number in range(17)},
    }.items():  # fmt: skip
        yield _sent("T26", f"tag: {label}", good_document(tags=tags))
    yield _sent("T26", "tags that are a list", {**good_document(), "dist-tags": ["latest"]})


def _contradictions() -> Iterator[Hostile]:
    for key, value in {
        "dependencies": {"evil": "1"}, "optionalDependencies": {"e": "1"}, "peerDependencies": {"evil": "1"},
        "bin": {"sh": "x.js"}, "hasInstallScript": True, "scripts": {"postinstall": "x"}, "os": ["linux"],
        "engines": {"node": "18"}, "peerDependenciesMeta": {"a": {}},
    }.items():  # fmt: skip
        says = "dependencies" if key == "optionalDependencies" else key
        yield _sent("T28", f"{key} in the document alone", good_document(sent={key: value}), says)
        if key != "hasInstallScript":
            packed = make_package({**MANIFEST, key: value})
            yield _sent("T28", f"{key} in the tarball alone", good_document(packed), says)
    for key, value in {
        "dependencies": ["a"], "peerDependencies": {"a": 1}, "scripts": ["x"], "bin": 1, "optionalDependencies": "x",
        "description": "x" * 200_000,
    }.items():  # fmt: skip
        yield _sent("T44", f"{key} of a wrong kind", good_document(sent={key: value}))
    yield _sent("T28", "no version", {**good_document(), "versions": {}})
    yield _sent("T28", "versions that are a list", {**good_document(), "versions": []})
    yield _sent("T28", "a version that is a text", {**good_document(), "versions": {VERSION: "x"}})
    yield _sent("T28", "two versions", {**good_document(), "versions": {VERSION: MANIFEST, "2.0.0": MANIFEST}})
    swapped = good_document()
    yield _sent("T13", "a version under another key", {**swapped, "versions": {"2.0.0": swapped["versions"][VERSION]}})
    other = make_package({"name": "@acme/other", "version": VERSION})
    yield _sent("T28", "the tarball of another package", good_document(other), "name")
    newer = make_package({"name": NAME, "version": "2.0.0"})
    yield _sent("T28", "the tarball of another version", good_document(newer), "version")


def _attachments() -> Iterator[Hostile]:
    good = good_document()
    ((key, sent),) = good["_attachments"].items()
    for label, attachments in {
        "a list": [], "another name": {"@acme/lib-2.0.0.tgz": sent}, "a path": {"../x.tgz": sent},
        "a name with an escape": {"\x1b[2J.tgz": sent}, "wrong length": {key: {**sent, "length": 1}},
        "length that is a text": {key: {**sent, "length": "1"}}, "length that is true": {key: {**sent, "length": True}},
        "a byte too much": {key: {**sent, "data": sent["data"] + "="}},
        "no base64": {key: {**sent, "data": "!" * 64}}, "half of it": {key: {**sent, "data": sent["data"][:-3]}},
        "base64 with line feeds": {key: {**sent, "data": "\n".join(sent["data"])}},
        "base64 for URLs": {key: {**sent, "data": "-_" * 100}}, "a number": {key: {"data": 1}}, "nothing": {},
        "two tarballs": {key: sent, "@acme/lib-2.0.0.tgz": sent}, "something beside it": {key: sent,
        "x": {"length": 1}},
        "a prototype": {"__proto__": sent}, "an empty file": {key: {"data": "", "length": 0}},
        "a list of it": {key: [sent]},
    }.items():  # fmt: skip
        yield _sent("T41", f"attachment: {label}", {**good, "_attachments": attachments})
    tarball = make_package(MANIFEST)
    for label, bundle in {
        "empty": "", "no JSON": "x", "long": "x" * 300_000, "of nothing": {},
        "of another version": make_provenance(NAME, "2.0.0", tarball),
        "of another package": make_provenance("@acme/other", VERSION, tarball),
        "of two": make_provenance(NAME, VERSION, tarball, subject=[{}, {}]),
    }.items():  # fmt: skip
        yield _sent("T28", f"provenance: {label}", with_provenance(good, bundle))
    for key, value in (
        ("shasum", "x"),
        ("shasum", 1),
        ("integrity", "sha512-x"),
        ("integrity", 1),
        ("integrity", "x" * 3000),
    ):
        document = good_document()
        document["versions"][VERSION]["dist"][key] = value
        yield _sent("T28", f"{key} {str(value)[:20]}", document)
    yield _sent("T28", "dist that is a list", good_document() | {"versions": {VERSION: {**MANIFEST, "dist": [1]}}})


def _packages() -> Iterator[Hostile]:
    for label, files in {
        "no package.json": {"package/x": b""}, "package.json at the top": {"package.json": PACKAGE},
        "two package.json": {"a/package.json": PACKAGE, "b/package.json": PACKAGE},
        "two spellings": {"a/package.json": PACKAGE, "a/Package.json": PACKAGE},
        "no JSON": {"package/package.json": b"{"}, "a list": {"package/package.json": b"[]"},
        "a key twice": {"package/package.json": PACKAGE[:-1] + b',"name":"@acme/lib"}'},
        "without a name": {"package/package.json": b"{}"}, "deep": {"package/package.json": b"[" * 100_000},
        "large": {"package/package.json": b" " * (256 << 10) + PACKAGE},
        "not UTF-8": {"package/package.json": PACKAGE[:-1] + b',"x":"\xff"}'},
        "peers that are none": {"package/package.json": PACKAGE[:-1] + b',"peerDependencies":{"a":1}}'},
        "an escape in its name": {"package/package.json": b'{"name":"\\u001b[2J","version":"1.0.0"}'},
    }.items():  # fmt: skip
        yield _sent("T28", f"tarball with {label}", good_document(make_tarball(files)))


def _tars() -> Iterator[Hostile]:
    def tar(threat: str, label: str, *blocks: bytes) -> Hostile:
        return Hostile(threat, label, lambda: json.dumps(good_document(tar_gz(*blocks))).encode())

    top = b"package"
    for label, name in {
        "climbing": top + b"/../../evil", "dots alone": b"..", "absolute": b"/etc/passwd",
        "a backslash": top + b"\\evil",
        "a drive": b"C:/evil", "not UTF-8": top + b"/\xff", "an escape": top + b"/\x1b[2J",
        "a line feed": top + b"/a\nb",
        "right to left": top + "/\u202e".encode(),
    }.items():  # fmt: skip
        yield tar("T35", f"a name that is {label}", PACKED, member(name))
    for label, blocks in {
        "an absolute link": (link(top + b"/l", b"/etc/passwd"),), "a link that climbs": (link(top + b"/l",
        b"../../x"),),
        "a hard link to nothing": (link(top + b"/l", top + b"/nothing", b"1"),),
        "package.json that is a link": (member(top + b"/x", PACKAGE), link(top + b"/package.json", b"x")),
        "a device": (member(top + b"/d", kind=b"3"),), "a pipe": (member(top + b"/p", kind=b"6"),),
    }.items():  # fmt: skip
        yield tar("T35", label, *(() if "package.json" in label else (PACKED,)), *blocks)
    for label, blocks in {
        "package.json twice": (PACKED, PACKED), "a name twice": (PACKED, member(top + b"/x"), member(top + b"/x")),
        "a file in two folders": (PACKED, member(top + b"/x"), member(b"other/x")),
        "a file below a file": (PACKED, member(top + b"/package.json/x")),
        "a pax size that differs": (pax(size=b"1"), PACKED), "a sparse member": (PACKED, member(top + b"/s",
        kind=b"S")),
        "a negative size": (PACKED, header(top + b"/x", raw_size=b"\xff" * 12)),
        "a size that is no number": (PACKED, header(top + b"/x", raw_size=b"0x000000001\0")),
        "a bad checksum": (PACKED, bytes([PACKED[0] ^ 1]) + PACKED[1:512]), "nothing in it": (),
    }.items():  # fmt: skip
        yield tar("T33", label, *blocks)
    whole = make_package(MANIFEST)
    for label, data in {
        "no tarball": b"nonsense", "half of it": whole[: len(whole) // 2], "without its end": whole[:-9],
        "a zip": make_zip([("package/package.json", PACKAGE.decode())]), "a zip behind it": whole + make_zip([("x",
        "")]),
        "a page": b"<html>", "a tar that is not compressed": PACKED + TAR_END, "bytes behind it": whole + b"x",
    }.items():  # fmt: skip
        yield _sent("T36", label, good_document(data))


def _bombs() -> Iterator[Hostile]:
    def bomb(label: str, make: Callable[[], bytes], threat: str = "T31") -> Hostile:
        return Hostile(threat, label, lambda: json.dumps(good_document(make())).encode())

    yield bomb("2 GiB of zeros", lambda: squeezed_tar(b"package/zeros", 2048 * MIB, behind=PACKED + TAR_END))
    yield bomb("a member that says it has 8 GiB", lambda: tar_gz(PACKED, header(b"package/x", (8 << 30) - 1)))
    yield bomb("very many folders", lambda: gz(header(b"package/", kind=b"5") * 300_000))
    long_name = member(b"long", b"a" * (10 * MIB), b"L")
    yield bomb("a name of 10 MiB", lambda: tar_gz(PACKED, long_name, member(b"x")), "T34")
    yield bomb("a pax record of 10 MiB", lambda: tar_gz(PACKED, pax(path=b"a" * (10 * MIB)), member(b"x")), "T34")
