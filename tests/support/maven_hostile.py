"""
Uploads that a Maven repository must refuse: every one with a 4xx that says why, and none leaves anything behind.

The threats have the numbers of our threat table: T07 paths that lead out, T12 overwriting, T13 checks of one thing and
use of another, T25 confusable names, T27 other bytes under a deleted name, T38 explosions in metadata, T44 errors of
libraries, T45 control characters.
"""

from __future__ import annotations

from collections.abc import Iterator

from attrs import frozen

MIB = 1 << 20
LIB = "com/acme/lib"
POM = f"{LIB}/1.0/lib-1.0.pom"
JAR = f"{LIB}/1.0/lib-1.0.jar"
METADATA = f"{LIB}/maven-metadata.xml"
COORDINATES = b"<groupId>com.acme</groupId><artifactId>lib</artifactId>"
GOOD_POM = b"<project>" + COORDINATES + b"<version>1.0</version></project>"
GOOD_METADATA = b"<metadata>" + COORDINATES + b"</metadata>"


@frozen
class HostileUpload:
    """
    One PUT to be refused.

    Attributes:
        threat: its number.
        path: raw, below the format's address.
        body: what is sent.
        says: what the refusal names; nothing in particular if empty.
        status: of the refusal; any 4xx if None.
    """

    threat: str
    path: str
    body: bytes = b"x"
    says: str = ""
    status: int | None = 400

    def __str__(self) -> str:
        return f"{self.threat} {self.path[:80]} {self.body[:80]!r}"


def hostile_uploads() -> Iterator[HostileUpload]:
    """Go through the whole table."""
    yield from _paths()
    yield from _documents("T38", _explosions(b"project", b""), POM)
    yield from _documents("T38", _explosions(b"metadata", COORDINATES), METADATA)
    yield from _documents("T44", _malformed(GOOD_POM), POM)
    yield from _documents("T44", _malformed(GOOD_METADATA), METADATA)
    yield from _disagreements()
    yield from _checksums()


def _paths() -> Iterator[HostileUpload]:
    outward = (
        "..", "%2e%2e", "%2E%2E", ".", "%2e", "%252e%252e", "%2F", "%2f..%2f", "..%2f..%2fetc%2fpasswd", "..%5c..%5c",
        "%c0%ae%c0%ae", "%ff", "%00", "a%00b", "%0d%0aX:y", "%7f", "%1b%5b2J", "%", "%zz", "%2", "a%252fb", "", "%5c",
        "a%2F%2Fb",
    )  # fmt: skip
    for piece in outward:
        for path in (f"com/{piece}/lib/1.0/lib-1.0.jar", f"{LIB}/{piece}/lib-1.0.jar", f"{LIB}/1.0/{piece}"):
            yield HostileUpload("T07", path, status=None)
    for piece in (
        "a b",
        "a;b=c",
        "a:b",
        "a*b",
        "a%3Fb",
        "a%23b",
        "a$b",
        "a!b",
        "a'b",
        "a%22b",
        "a%3Cb%3E",
        "a%7Cb",
        "-a",
        "~",
        "@",
    ):
        yield HostileUpload("T07", f"com/{piece.replace(' ', '%20')}/lib/1.0/lib-1.0.jar")
        yield HostileUpload("T07", f"{LIB}/{piece.replace(' ', '%20')}x~/lib-1.0.jar")
    for piece in (
        "%E2%80%AEgpj",
        "l%D1%96b",
        "%EF%BC%8E%EF%BC%8E",
        "lib%E2%80%8B",
        "%E2%84%AA",
        "i%CC%87",
        "%F0%9F%92%A9",
    ):
        for path in (
            f"com/{piece}/lib/1.0/lib-1.0.jar",
            f"{LIB}/1.0{piece}/lib-1.0.jar",
            f"{LIB}/1.0/lib-1.0{piece}.jar",
        ):
            yield HostileUpload("T25", path)
    for piece in (
        "%01",
        "%08",
        "%0a",
        "%0b",
        "%1f",
        "%C2%85",
        "%C2%9B31m",
        "%E2%80%A8",
        "%E2%80%AA",
        "%E2%81%A6",
        "%EF%BB%BF",
    ):
        yield HostileUpload("T45", f"{LIB}/1.0/lib{piece}-1.0.jar")
        yield HostileUpload("T45", f"com/acme{piece}/lib/1.0/lib-1.0.jar")
    long = "a" * 256
    for path in (
        f"com/{long}/lib/1.0/lib-1.0.jar", f"{LIB}/{long}/lib.jar", f"{LIB}/1.0/{long}", "a/" * 600 + "1.0/b",
        f"{'a/' * 600}maven-metadata.xml", f"{LIB}/-SNAPSHOT/lib.jar", f"{LIB}/1..0/lib.jar", f"{LIB}/./lib.jar",
        "lib.jar", "lib/1.0/lib.jar", f"{LIB}/1.0/.lib.jar", f"{LIB}/1.0/.sha1", f"{LIB}/1.0/.maven-metadata.xml",
        f"{LIB}/-SNAPSHOT/maven-metadata.xml", ".com/acme/maven-metadata.xml", "com/a%20b/maven-metadata.xml",
    ):  # fmt: skip
        yield HostileUpload("T07", path)


def _documents(threat: str, bodies: Iterator[bytes], path: str) -> Iterator[HostileUpload]:
    for body in bodies:
        yield HostileUpload(threat, path, body, status=None)


def _explosions(root: bytes, within: bytes) -> Iterator[bytes]:
    """Write documents that grow, reach out or go deep, each well-formed."""

    def document(content: bytes, before: bytes = b"", attributes: bytes = b"") -> bytes:
        return before + b"<" + root + attributes + b">" + within + content + b"</" + root + b">"

    laughs = b"".join(b'<!ENTITY l%d "%s">' % (number, b"&l%d;" % (number - 1) * 10) for number in range(1, 10))
    yield document(b"<name>&l9;</name>", b'<!DOCTYPE x [<!ENTITY l0 "lol">' + laughs + b"]>")
    yield document(b"<name>&a;</name>" * 100, b'<!DOCTYPE x [<!ENTITY a "' + b"a" * 50_000 + b'">]>')
    yield document(b"&x;", b'<!DOCTYPE x [<!ENTITY x SYSTEM "file:///etc/passwd">]>')
    yield document(b"&x;", b'<!DOCTYPE x [<!ENTITY x SYSTEM "http://127.0.0.1:1/x">]>')
    yield document(b"", b'<!DOCTYPE x SYSTEM "http://127.0.0.1:1/x.dtd">')
    yield document(b"", b'<!DOCTYPE x PUBLIC "-//x//x" "file:///dev/zero">')
    yield document(b"", b'<!DOCTYPE x [<!ENTITY % p SYSTEM "file:///dev/zero"> %p;]>')
    yield document(b"", b'<!DOCTYPE x [<!ATTLIST project a CDATA "x">]>')
    yield document(b"", b"<!DOCTYPE " + root + b">")
    yield document(b"<a>" * 100 + b"</a>" * 100)
    yield document(b"<a>" * 100_000 + b"</a>" * 100_000)
    yield document(b"<a/>" * 150_000)
    yield document(b"<name>" + b"x" * 300_000 + b"</name>")
    yield document(b"x" * 300_000)
    yield document(b"", attributes=b"".join(b' a%d="1"' % number for number in range(100)))
    yield document(b"", attributes=b' a="' + b"x" * 300_000 + b'"')
    yield document(b"<!--" + b"x" * (5 * MIB) + b"-->")
    yield document(b" " * (5 * MIB))


def _malformed(good: bytes) -> Iterator[bytes]:
    yield from (
        b"", b" ", b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"nonsense", b"{}", b"<", b"<>", b"<a", b"<a>", b"</a>",
        b"<html/>", b"<a><b></a></b>", good[:-1], good[1:], good + b"<x/>", good + good, good + b"\0",
        b"\n" + b"<?xml version='1.0'?>" + good,
        b"<?xml version='1.0' encoding='nonsense'?>" + good, b"<?xml version='1.0' encoding='utf-16'?>" + good,
        b"<?xml version='1.0' encoding='utf-7'?>" + good, b"<?xml?>" + good,
        good.replace(b"acme", b"ac\xffme"), good.replace(b"acme", b"ac\x01me"), good.replace(b"acme", b"ac&#1;me"),
        good.replace(b"acme", b"ac&#xD800;me"), good.replace(b"acme", b"ac&bogus;me"),
        good.replace(b"acme", b"ac]]>me"),
        good.replace(b"<groupId>", b"<groupId a='1' a='2'>"), good.replace(b"<groupId>", b"<x:groupId>"),
        good.decode().encode("utf-32"),
    )  # fmt: skip


def _disagreements() -> Iterator[HostileUpload]:
    for what, right, wrongs in (
        ("groupId", b"com.acme", (b"com.evil", b"com/acme", b"COM.ACME", b"com.acme.x", b"com.\xd0\xb0cme")),
        ("artifactId", b"lib", (b"Lib", b"lib2", b"../lib", b"li&#x200B;b", b"")),
    ):
        element = b"<%s>%s</%s>"
        for wrong in wrongs:
            changed = [element % (what.encode(), value, what.encode()) for value in (right, wrong)]
            yield HostileUpload("T13", POM, GOOD_POM.replace(*changed), what)
            if wrong:
                yield HostileUpload("T13", METADATA, GOOD_METADATA.replace(*changed), f"{what} differs")
    for wrong in (b"2.0", b"1.0.0", b"1.0-SNAPSHOT", b"1.O", b""):
        version = b"<version>" + wrong + b"</version>"
        yield HostileUpload("T13", POM, GOOD_POM.replace(b"<version>1.0</version>", version), "version")
    parent = b"<parent><groupId>com.evil</groupId><artifactId>p</artifactId><version>1.0</version></parent>"
    yield HostileUpload(
        "T13", POM, b"<project>" + parent + b"<artifactId>lib</artifactId></project>", "groupId differs"
    )
    yield HostileUpload("T13", POM, GOOD_POM.replace(b"<groupId>", b"<groupId>com.evil</groupId><groupId>"), "com.evil")
    build = f"{LIB}/1.0-SNAPSHOT/lib-1.0-20261128.093000-1.pom"
    yield HostileUpload("T13", build, GOOD_POM, "version differs")
    yield HostileUpload("T13", f"{LIB}/1.0-SNAPSHOT/maven-metadata.xml", GOOD_METADATA.replace(
        b"</metadata>", b"<version>2.0-SNAPSHOT</version></metadata>"), "version differs")  # fmt: skip
    yield HostileUpload("T13", POM.replace("lib", "other"), GOOD_POM, "artifactId differs")


def _checksums() -> Iterator[HostileUpload]:
    """Write checksums of a file that is not there; each is refused for itself, or for that."""
    for ending, digits in ((".md5", 32), (".sha1", 40), (".sha256", 64), (".sha512", 128)):
        for body in (
            b"",
            b"\0",
            b"nonsense",
            b"0" * (digits - 1),
            b"0" * (digits + 1),
            b"\xff" * digits,
            b"g" * digits,
        ):
            yield HostileUpload("T44", JAR + ending, body, "checksum")
        yield HostileUpload("T44", JAR + ending, b"0" * 2000, status=413)
        yield HostileUpload("T44", JAR + ending, b"0" * digits, status=404)
        yield HostileUpload("T44", f"{LIB}/1.0/{ending}", b"0" * digits)
        yield HostileUpload("T44", METADATA + ending, b"nonsense", "checksum")
