"""
Publish requests that must be refused: every one by a domain error that says why, and none leaves anything behind.

The threats have the numbers of our threat table: T13 checks of one thing and use of another, T25 and T26 confusable
names and versions, T28 contradictions between request and crate, T31 bombs, T33 tar differentials, T35 paths that lead
out, T36 files that are two things, T38 explosions in metadata, T44 errors of libraries, T45 control characters, T48
index injection.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from attrs import field, frozen

from pkgregd.errors import BodyTooLarge, InvalidRequest
from tests.formats.cargo_world import (
    ELSEWHERE,
    OURS,
    CargoTestCase,
    crate,
    dependency,
    frame,
    manifest,
    metadata,
)
from tests.support.archives import (
    TAR_END,
    gz,
    header,
    link,
    make_zip,
    member,
    pax,
    squeezed_tar,
    tar_gz,
)

MIB = 1 << 20
TOP = b"demo-1.0.0"
TOML = member(TOP + b"/Cargo.toml", manifest())


@frozen
class Hostile:
    """
    One request to be refused.

    Attributes:
        threat: its number.
        label: what is wrong, unlike any other of the threat.
        make: writes the body.
        says: what the refusal names; nothing in particular if empty.
    """

    threat: str
    label: str
    make: Callable[[], bytes] = field(repr=False)
    says: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.threat} {self.label}"


def hostile_requests() -> Iterator[Hostile]:
    """All of the table."""
    yield from _frames()
    yield from _names()
    yield from _members()
    yield from _contradictions()
    yield from _tars()
    yield from _bombs()
    yield from _manifests()


def _frames() -> Iterator[Hostile]:
    good = frame(metadata(), crate())
    for label, body in {
        "nothing": b"", "a byte": b"x", "lengths alone": bytes(8), "a form": b"--x\r\nContent-Disposition: form-data",
        "no crate": good[: -len(crate())], "half a crate": good[:-10], "a byte behind the crate": good + b"x",
        "two requests": good + good, "big-endian lengths": struct.pack(">I", 2) + b"{}" + struct.pack(">I", 1) + b"x",
        "JSON of 4 GiB": b"\xff\xff\xff\xff" + good[4:], "the crate alone": crate(),
        "JSON alone": json.dumps({}).encode(),
    }.items():  # fmt: skip
        yield Hostile("T44", f"frame: {label}", partial(bytes, body))
    for label, text in {
        "empty": b"{}", "list": b"[]", "number": b"1", "text": b'"demo"', "null": b"null", "not JSON": b"{demo}",
        "not UTF-8": b'{"name":"\xff"}', "a BOM": b"\xef\xbb\xbf{}", "NaN": b'{"name":"demo","vers":NaN}',
        "a number of 5000 digits": b'{"name":' + b"1" * 5000 + b"}", "deep": b"[" * 100_000 + b"]" * 100_000,
        "a name twice": b'{"name":"demo","name":"evil","vers":"1.0.0"}', "a lone surrogate": b'{"name":"\\ud800"}',
        "trailing text": json.dumps(metadata()).encode() + b" {}",
    }.items():  # fmt: skip
        yield Hostile("T44", f"JSON: {label}", partial(frame, text, crate()))


def _names() -> Iterator[Hostile]:
    for label, name in {
        "empty": "", "Kelvin sign": "\u212aubernetes", "long s": "re\u017fquests", "Cyrillic o": "f\u043eo",
        "zero width": "foo\u200b", "line feed": "foo\n", "digit first": "1foo", "underscore first": "_foo",
        "dash first": "-foo", "dot": "foo.bar", "slash": "foo/bar", "dots": "..", "65 letters": "a" * 65,
        "100 000 letters": "a" * 100_000, "NUL": "foo\x00", "escape": "foo\x1b[2J", "markup": "<b>", "space": "foo bar",
        "keyword": "fn", "crate of the language": "std", "another one": "Proc-Macro", "device": "NUL", "port": "com1",
        "quote": 'foo"', "backslash": "foo\\bar",
    }.items():  # fmt: skip
        yield Hostile("T25", f"name: {label}", partial(frame, metadata(name), crate()))
    for label, version in {
        "empty": "", "two numbers": "1.0", "four numbers": "1.0.0.0", "v": "v1.0.0", "leading zero": "01.0.0",
        "line feed": "1.0.0\n", "space": " 1.0.0", "Arabic digit": "1.0.0-\u0661", "word": "latest",
        "path": "1.0.0/../2",
        "two builds": "1.0.0+a+b", "empty pre-release": "1.0.0-", "zero in pre-release": "1.0.0-01",
        "5000 digits": "1" * 5000 + ".0.0", "more than 64 bits": f"{1 << 64}.0.0",
        "64 KiB": "1.0.0-" + "a." * 32_768 + "a",
    }.items():  # fmt: skip
        yield Hostile("T26", f"version: {label}", partial(frame, metadata(version=version), crate()))
    for label, more in {
        "number as name": {"name": 1}, "list as name": {"name": ["demo"]}, "null as name": {"name": None},
        "number as version": {"vers": 1}, "null as version": {"vers": None},
    }.items():  # fmt: skip
        yield Hostile("T44", label, partial(frame, {**metadata(), **more}, crate()))


def _members() -> Iterator[Hostile]:
    """Members of the JSON that are not what they can be, with a crate that says the same or nothing."""
    for label, more in {
        "deps is an object": {"deps": {}}, "deps is a text": {"deps": "x"},
        "a dependency is a text": {"deps": ["base"]},
        "features is a list": {"features": []}, "a feature is a text": {"features": {"a": "b"}},
        "a feature has a number": {"features": {"a": [1]}}, "links is a number": {"links": 1},
        "rust_version is a list": {"rust_version": []},
        **{
            f"a dependency with {key} {value!a}": {"deps": [dependency(**{key: value})]}
            for key, value in (
                ("name", None), ("name", ""), ("name", "a b"), ("name", 'a"'), ("name", "a\n{}"), ("name", "x" * 65),
                ("version_req", None), ("version_req", ""), ("version_req", "abc"), ("version_req", "1\n"),
                ("version_req", 1), ("kind", "other"), ("kind", 1), ("optional", "yes"), ("default_features", 0),
                ("features", "x"), ("features", [1]), ("features", ["a b"]), ("features", ["a\nb"]), ("target", 1),
                ("target", ""), ("target", "cfg(\n)"), ("registry", "x"), ("registry", "https://a b"),
                ("registry", "https://a\n"), ("registry", 1), ("registry", "http://["),
                ("registry", "sparse+https://[x]/a"), ("registry", 'https://"'),
                ("explicit_name_in_toml", "a b"), ("artifact", ["bin"]),
            )
        },
    }.items():  # fmt: skip
        yield Hostile("T44", label, partial(frame, metadata(**more), crate()))
    for label, feature in {
        "line feed": 'a\n{"name":"evil"}', "escape": "a\x1b[2J", "right to left": "a\u202eb", "empty": "",
        "NUL": "a\x00",
        "quote": 'a"', "line separator": "a\u2028", "long": "a" * 300, "slash": "a/b", "colon": "dep:a",
    }.items():  # fmt: skip
        yield Hostile("T48", f"feature: {label}", partial(frame, metadata(features={feature: []}), crate()))
    for label, value in {
        "line feed": "a\nb", "escape": "a\x1b", "empty": "", "two slashes": "a/b/c", "dep with a slash": "dep:a/b",
    }.items():  # fmt: skip
        yield Hostile("T48", f"feature value: {label}", partial(frame, metadata(features={"x": [value]}), crate()))
    for label, links in {"line feed": "z\n", "space": "a b", "empty": "", "long": "z" * 300}.items():
        yield Hostile("T48", f"links: {label}", partial(frame, metadata(links=links), crate()))
    for label, version in {"line feed": "1.70\n", "word": "stable", "four": "1.2.3.4", "long": "1" * 999}.items():
        yield Hostile("T48", f"rust_version: {label}", partial(frame, metadata(rust_version=version), crate()))
    many = [dependency(f"d{number}") for number in range(2001)]
    yield Hostile("T38", "2001 dependencies", partial(frame, metadata(deps=many), crate()))
    yield Hostile("T28", "a dependency twice", partial(frame, metadata(deps=[dependency(), dependency()]), crate()))
    features = {f"f{number}": [] for number in range(5001)}  # type: ignore[var-annotated]
    yield Hostile("T38", "5001 features", partial(frame, metadata(features=features), crate()))
    values = {f"f{number}": [f"v{each}" for each in range(60)] for number in range(1000)}
    yield Hostile("T38", "60 000 values of features", partial(frame, metadata(features=values), crate()))


def _contradictions() -> Iterator[Hostile]:
    ours = f'registry-index = "{OURS}"'

    def both(label: str, toml: str, *says: str, **more: Any) -> Hostile:
        return Hostile("T28", label, partial(frame, metadata(**more), crate(more=toml)), says)

    base = f'[dependencies]\nbase = {{ version = "1", {ours} }}\n'
    yield both("a dependency that the request leaves out", base, "base", "nothing", "^1")
    yield both("a dependency that the crate has not", "", "base", "nothing", "^1", deps=[dependency()])
    for label, more in {
        "requirement": {"version_req": "^2"}, "features": {"features": ["x"]}, "optional": {"optional": True},
        "default features": {"default_features": False}, "kind": {"kind": "dev"}, "target": {"target": "cfg(unix)"},
        "package": {"name": "evil", "explicit_name_in_toml": "base"}, "name": {"explicit_name_in_toml": "other"},
        "registry": {"registry": ELSEWHERE},
    }.items():  # fmt: skip
        yield both(f"another {label} of a dependency", base, "publish request", "Cargo.toml", deps=[dependency(**more)])
    public = '[dependencies]\nbase = "1"\n'
    yield both("a dependency on the default registry that is said to be ours", public, "default", deps=[dependency()])
    two = [dependency(name, registry=f"https://{name}.example.com/index") for name in ("base", "evil")]
    yield both("two default registries", f'{public}evil = "1"\n', "https://base", "https://evil", deps=two)
    elsewhere = base.replace(OURS, ELSEWHERE)
    yield both("a dependency on another registry that is said to be ours", elsewhere, ELSEWHERE, deps=[dependency()])
    project = base.replace("projects/1", "projects/2")
    yield both("a dependency on another project that is said to be ours", project, "projects/2", deps=[dependency()])
    feature = '[features]\nx = ["y"]\ny = []\n'
    yield both("features that the request leaves out", feature, "feature x", "nothing", "[y]")
    yield both("features that the crate has not", "", "feature x", "nothing", features={"x": []})
    yield both("another value of a feature", feature, "[y]", "[]", features={"x": [], "y": []})
    yield both("links that the request leaves out", 'links = "z"\n', "links", "'z'")
    yield both("links that the crate has not", "", "links", "'z'", links="z")
    yield both("another rust-version", 'rust-version = "1.70"\n', "'1.60'", "'1.70'", rust_version="1.60")
    yield both("a rust-version that the crate has not", "", "'1.60'", rust_version="1.60")
    for label, (name, version) in {"name": ("evil", "1.0.0"), "version": ("demo", "6.6.6")}.items():
        said, differs = metadata(name, version), name if label == "name" else version
        yield Hostile(
            "T13", f"crate of another {label}", partial(frame, said, crate()), ("demo-1.0.0", f"{name}-{version}")
        )
        data = tar_gz(member(TOP + b"/Cargo.toml", manifest(name, version)))
        yield Hostile(
            "T13", f"Cargo.toml of another {label}", partial(frame, metadata(), data), ("Cargo.toml", differs)
        )
    data = tar_gz(member(b"Demo-1.0.0/Cargo.toml", manifest("Demo")))
    yield Hostile("T13", "crate in another case", partial(frame, metadata(), data), ("'demo-1.0.0'", "'Demo-1.0.0'"))
    build = tar_gz(member(b"demo-1.0.0+b/Cargo.toml", manifest(version="1.0.0+b")))
    yield Hostile("T13", "other build metadata", partial(frame, metadata(), build))


def _tars() -> Iterator[Hostile]:
    def tar(threat: str, label: str, *blocks: bytes) -> Hostile:
        return Hostile(threat, f"tar: {label}", lambda: frame(metadata(), tar_gz(*blocks)))

    yield tar("T33", "empty")
    yield tar("T28", "no Cargo.toml", member(TOP + b"/src/lib.rs"))
    yield tar("T28", "Cargo.toml further down", member(TOP + b"/src/Cargo.toml", manifest()))
    yield tar("T28", "Cargo.toml at the top", member(b"Cargo.toml", manifest()))
    yield tar("T28", "Cargo.toml is a folder", member(TOP + b"/Cargo.toml/", kind=b"5"))
    yield tar("T28", "Cargo.toml is a link", link(TOP + b"/Cargo.toml", b"/etc/passwd"))
    for kind in b"123467SDVMNZ":
        yield tar(
            "T33", f"a member of the type {chr(kind)}", TOML, member(TOP + b"/x", kind=bytes([kind]), target=b"y")
        )
    for label, name in {
        "climbing": TOP + b"/../x", "absolute": b"/" + TOP + b"/x", "backslash": TOP + b"/..\\x", "drive": b"C:/x",
        "not UTF-8": TOP + b"/\xff", "escape": TOP + b"/\x1b[2J", "right to left": TOP + "/\u202e".encode(),
        "another top folder": b"evil/x", "a file at the top": b"x", "a longer top folder": TOP + b"0/x",
        "a top folder in another case": b"DEMO-1.0.0/x", "a dot": b".", "the root": b"./",
    }.items():  # fmt: skip
        yield tar("T35", f"{label} behind Cargo.toml", TOML, member(name))
        yield tar("T35", f"{label} before Cargo.toml", member(name), TOML)
    yield tar("T33", "Cargo.toml twice", TOML, TOML)
    for name in (b"cargo.toml", b"CARGO.TOML", b"Cargo.Toml"):
        yield tar("T33", f"Cargo.toml and {name.decode()}", TOML, member(TOP + b"/" + name, manifest("evil")))
    yield tar("T33", "a mark of what is unpacked", TOML, member(TOP + b"/.cargo-ok", b"ok"))
    yield tar("T33", "a file below a file", TOML, member(TOP + b"/Cargo.toml/x"))
    yield tar("T33", "a size in pax", pax(size=b"1000"), TOML)
    yield tar("T33", "a name in pax that leads out", pax(path=b"../x"), TOML)
    data = crate()
    for label, body in {
        "no tar": gz(b"hello"), "no gzip": b"hello", "a tar without gzip": TOML + TAR_END, "cut": data[:-9],
        "a byte behind": data + b"x", "two gzip members": data + data, "half an end": gz(TOML, bytes(512)),
        "no end": gz(TOML), "a second tar behind the end": gz(TOML, TAR_END, TOML, TAR_END),
        "a wrong checksum": data[:-8] + bytes(4) + data[-4:],
    }.items():  # fmt: skip
        yield Hostile("T33", f"archive: {label}", partial(frame, metadata(), body))
    zipped = make_zip([("x", b"y")])
    yield Hostile("T36", "a zip", partial(frame, metadata(), zipped))
    yield Hostile("T36", "a zip behind it", partial(frame, metadata(), data + zipped))


def _bombs() -> Iterator[Hostile]:
    behind = TOML + TAR_END
    yield Hostile(
        "T31", "200 MiB of zeros", lambda: frame(metadata(), squeezed_tar(TOP + b"/z", 200 * MIB, behind=behind))
    )
    yield Hostile("T31", "zeros behind the end", lambda: frame(metadata(), gz(TOML, bytes(200 * MIB))))
    yield Hostile(
        "T31", "8 GiB that are not there", lambda: frame(metadata(), tar_gz(TOML, header(TOP + b"/x", (8 << 30) - 1)))
    )
    great = manifest() + b"# " + b"x" * (2 * MIB)
    yield Hostile("T31", "2 MiB of Cargo.toml", lambda: frame(metadata(), tar_gz(member(TOP + b"/Cargo.toml", great))))
    yield Hostile("T31", "60 001 members", lambda: frame(metadata(), gz(header(TOP + b"/", kind=b"5") * 60_001)))


def _manifests() -> Iterator[Hostile]:
    for label, toml in {
        "empty": b"", "no TOML": b"hello", "not UTF-8": b'[package]\nname = "\xff"',
        "a BOM": b"\xef\xbb\xbf" + manifest(),
        "no package": b"[lib]\n", "package is a text": b'package = "demo"\n',
        "old table": b'[project]\nname = "demo"\n',
        "no name": b'[package]\nversion = "1.0.0"\n', "no version": b'[package]\nname = "demo"\n',
        "inherited version": b'[package]\nname = "demo"\nversion.workspace = true\n',
        "a name twice": b'[package]\nname = "demo"\nname = "demo"\nversion = "1.0.0"\n',
        "a number as name": b'[package]\nname = 1\nversion = "1.0.0"\n',
        "a date as version": b'[package]\nname = "demo"\nversion = 2020-01-01\n',
        "50 000 brackets": manifest(more="x = " + "[" * 50_000 + "]" * 50_000),
        "a number of 5000 digits": manifest(more="x = " + "9" * 5000),
        "NUL": manifest() + b"\0", "features are a list": b"features = []\n" + manifest(),
        "a feature is a table": manifest(more="[features.x]\n"), "links is a list": manifest(more="links = []\n"),
        "target is a text": b'target = "x"\n' + manifest(),
        "dependencies are a list": b"dependencies = []\n" + manifest(),
        "both spellings": manifest(more="[dev-dependencies]\n[dev_dependencies]\n"),
        **{
            f"a dependency with {value}": manifest(more=f"[dependencies]\nbase = {value}\n")
            for value in (
                "1", "[]", "{}", '{ path = "x" }', '{ git = "https://git.example.com", version = "1" }',
                '{ path = "..", version = "1" }', "{ workspace = true }", '{ version = "1", registry = "reg" }',
                '{ version = 1 }', '{ version = "1", optional = "yes" }', '{ version = "1", features = "x" }',
                '{ version = "1", package = 1 }', '{ version = "1", artifact = "bin" }', '"abc"', '"1\\n"',
                '{ version = "1", registry-index = "x" }', '{ version = "1", package = "a b" }',
            )
        },
    }.items():  # fmt: skip
        data = tar_gz(member(TOP + b"/Cargo.toml", toml))
        yield Hostile("T44", f"Cargo.toml: {label}", partial(frame, metadata(), data))


class HostileRequestTests(CargoTestCase):
    """The table, in memory."""

    def test_table(self) -> None:
        """The table has no entry twice, and is long enough to mean something."""
        labels = [str(hostile) for hostile in hostile_requests()]
        self.assertEqual(sorted(set(labels)), sorted(labels))
        self.assertGreater(len(labels), 250)

    def test_refused(self) -> None:
        """Each is refused by a domain error, whose text is one printable line, and nothing is stored or listed."""
        before = self.snapshot()
        for hostile in hostile_requests():
            try:
                self.put(hostile.make())
            except (InvalidRequest, BodyTooLarge) as error:
                text = str(error)
                self.assertTrue(text.isprintable(), f"{hostile}: {text!a}")
                self.assertTrue(10 < len(text) < 2000, hostile)
                for word in hostile.says:
                    self.assertIn(word, text, hostile)
            except Exception as error:
                self.fail(f"{hostile}: {error!r}")
            else:
                self.fail(f"{hostile} is taken")
            self.assertEqual(self.snapshot(), before, hostile)

    def test_good_one(self) -> None:
        """What the hostile ones are made from is taken: they are refused for what is wrong with them alone."""
        self.assertEqual(self.put(frame(metadata(), tar_gz(TOML))).status, 200)
