"""Maven packages, without HTTP."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from pkgregd import errors
from pkgregd.formats.maven import MavenFormat
from pkgregd.testing.calls import WRITER, FormatWorld, body_of, now
from pkgregd.testing.format_contract import FormatContract
from pkgregd.values import NO_PRECONDITION, Principal, Refusal, Reply, TokenKind, Visibility
from tests.support.jars import make_jar, plugin_jar, plugin_xml

FILE = "/<path:file>"
LIB = "com/acme/lib"
BUILD_1 = "20261128.093000-1"
BUILD_2 = "20261128.101500-2"


def pom(group: str = "com.acme", artifact: str = "lib", version: str = "1.0", more: str = "") -> bytes:
    """Write a POM."""
    return (
        '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>'
        f"<groupId>{group}</groupId><artifactId>{artifact}</artifactId><version>{version}</version>{more}</project>"
    ).encode()


class MavenContractTests(FormatContract, SynchronousTestCase):
    """Maven is a format."""

    good_names = {"com/acme/lib": "com/acme/lib", "junit/junit": "junit/junit", "a/B_c.d-e": "a/B_c.d-e"}
    other_statuses = {"digest_mismatch": 409}

    def make_format(self) -> MavenFormat:
        """Make it."""
        return MavenFormat()

    def is_ever_published(self, name: str) -> bool:
        """A part of a group has no dot: Maven makes a slash of it."""
        return "." not in name.partition("/")[0]

    def test_groups_with_dots(self) -> None:
        """A pattern that is written as a group is would protect nothing: it is refused, and told how to be written."""
        pattern_of = MavenFormat().canonical_pattern
        for pattern, better in {"com.acme*": "com/acme*", "com.acme.*": "com/acme/*", "org.x": "org/x"}.items():
            error = self.assertRaises(errors.InvalidName, pattern_of, pattern)
            self.assertIn(f"write {better} for {pattern}", str(error))
        for pattern in ("com/acme*", "*", "*.core", "org/x/org.x.core", "org*x.core", "a/b.c*"):
            self.assertEqual(pattern_of(pattern), pattern)

    def test_problem_details(self) -> None:
        """Every error is a problem in the sense of RFC 9457, and has GitLab's fields beside it."""
        reply = MavenFormat().render_error(Refusal(404, "not_found", "file not found", "r"))
        self.assertEqual((reply.status, reply.content_type), (404, "application/problem+json"))
        assert isinstance(reply.body, bytes)
        fields = json.loads(reply.body)
        self.assertEqual(
            {key: fields[key] for key in ("type", "status", "title", "detail", "error", "message")},
            {
                "type": "about:blank",
                "status": 404,
                "title": "Not Found",
                "detail": "file not found",
                "error": "not_found",
                "message": "404 Not Found - file not found",
            },
        )


class MavenTestCase(SynchronousTestCase):
    """A world with Maven packages."""

    def setUp(self) -> None:
        """Make the world."""
        self.world = FormatWorld(MavenFormat(), principal=evolve(WRITER, token_id=7))

    def put(self, file: str, data: bytes, path: str = "acme/one") -> Reply:
        """Send a file to a project."""
        return self.world.request("PUT", FILE, data, path=path, file=file)

    def get(self, file: str, path: str = "acme/one") -> bytes:
        """Read a path of a project or group."""
        return body_of(self.world.request("GET", FILE, path=path, file=file))

    def tree(self, file: str, path: str = "acme/one") -> ElementTree.Element:
        """Read metadata."""
        return ElementTree.fromstring(self.get(file, path))  # noqa: S314 - our own

    def texts(self, tree: ElementTree.Element, xpath: str) -> list[str | None]:
        """Return the texts of elements."""
        return [found.text for found in tree.findall(xpath)]

    def publish(self, version: str, artifact: str = "lib", more: str = "", path: str = "acme/one") -> None:
        """Publish a version as Maven does."""
        stem = f"com/acme/{artifact}/{version}/{artifact}-{version}"
        self.put(f"{stem}.jar", f"jar {version}".encode(), path)
        self.put(f"{stem}.pom", pom(artifact=artifact, version=version, more=more), path)

    def delete(self, file_name: str, version: str) -> None:
        """Delete a file."""
        remote = self.world.remote("acme/one", WRITER)
        file = now(remote.find_file(LIB, version, file_name))
        now(remote.delete_file(file, NO_PRECONDITION))

    def refused(self, error: type[Exception], file: str, data: bytes) -> str:
        """Assert that a file is refused and nothing is left of it; returns why."""
        before = dict(self.world.blobs.contents)
        text = str(self.assertRaises(error, self.put, file, data))
        self.assertTrue(self.world.is_clean())
        self.assertEqual(self.world.blobs.contents, before)
        return text


class FileTests(MavenTestCase):
    """Files and their checksums."""

    def test_published_and_fetched(self) -> None:
        """A file is there at once, with its checksums in every kind."""
        data = b"a jar"
        self.assertEqual(self.put(f"{LIB}/1.0/lib-1.0.jar", data).status, 201)
        self.assertEqual(self.get(f"{LIB}/1.0/lib-1.0.jar"), data)
        for algorithm in ("md5", "sha1", "sha256", "sha512"):
            digest = hashlib.new(algorithm, data).hexdigest()
            self.assertEqual(self.get(f"{LIB}/1.0/lib-1.0.jar.{algorithm}").decode(), digest)
        reply = self.world.request("GET", FILE, file=f"{LIB}/1.0/lib-1.0.jar")
        headers = dict(reply.headers)
        self.assertEqual(headers["X-Checksum-SHA1"], hashlib.sha1(data, usedforsecurity=False).hexdigest())
        self.assertEqual(headers["Cache-Control"], "no-cache")
        self.assertEqual(reply.download_name, "lib-1.0.jar")

    def test_any_file_of_a_version(self) -> None:
        """Signatures, classified files and what other tools put beside them are kept."""
        for name in ("lib-1.0.jar.asc", "lib-1.0-sources.jar", "ivy-1.0.xml", "lib-1.0.module", "lib-1.0.tar.gz"):
            self.put(f"{LIB}/1.0/{name}", name.encode())
            self.assertEqual(self.get(f"{LIB}/1.0/{name}"), name.encode())

    def test_a_release_does_not_change(self) -> None:
        """The same bytes again are fine, others are refused; also after a deletion."""
        file = f"{LIB}/1.0/lib-1.0.jar"
        self.put(file, b"one")
        self.assertEqual(self.put(file, b"one").status, 200)
        self.refused(errors.FileExists, file, b"two")
        self.delete("lib-1.0.jar", "1.0")
        self.refused(errors.FileWasDeleted, file, b"two")
        self.assertEqual(self.put(file, b"one").status, 201)

    def test_releases_change_where_they_may(self) -> None:
        """Where the project's owner allows it, other bytes replace a release."""
        self.world.limits = evolve(self.world.limits, duplicates_allowed=True)
        file = f"{LIB}/1.0/lib-1.0.jar"
        self.put(file, b"one")
        self.put(file, b"two")
        self.assertEqual(self.get(file), b"two")

    def test_checksums_are_compared(self) -> None:
        """A right checksum is accepted however it is written, and not kept; a wrong one is a conflict."""
        file = f"{LIB}/1.0/lib-1.0.jar"
        self.put(file, b"x")
        sha1 = hashlib.sha1(b"x", usedforsecurity=False).hexdigest()
        for text in (sha1, f"{sha1}\n", sha1.upper(), f"{sha1}  lib-1.0.jar\n", f"SHA1(lib-1.0.jar)= {sha1}"):
            self.assertEqual(self.put(f"{file}.sha1", text.encode()).status, 204, text)
        sha512 = hashlib.sha512(b"x").hexdigest()
        self.assertEqual(self.put(f"{file}.sha512", sha512.encode()).status, 200)
        self.assertIn("sha1 differs", self.refused(errors.DigestMismatch, f"{file}.sha1", b"0" * 40))
        for data in (b"", b"nonsense", b"0" * 39, b"0" * 41, b"\xff" * 40):
            self.refused(errors.InvalidRequest, f"{file}.sha1", data)
        self.refused(errors.BodyTooLarge, f"{file}.sha1", b" " * 2000)
        self.refused(errors.FileNotFound, f"{LIB}/1.0/lib-1.0.war.sha1", sha1.encode())
        self.assertEqual(self.get(file), b"x")

    def test_a_wrong_checksum_takes_a_file_back(self) -> None:
        """What came damaged is not served; what was sent can come again, and stays once a checksum has fitted."""
        file = f"{LIB}/1.0/lib-1.0.jar"
        sha1 = hashlib.sha1(b"as it was sent", usedforsecurity=False).hexdigest().encode()
        for checksum, data in ((".sha1", sha1), (".md5", b"0" * 32), (".sha256", b"0" * 64), (".sha512", b"0" * 128)):
            self.put(file, b"as it was semt")
            self.assertIn("taken back", str(self.assertRaises(errors.DigestMismatch, self.put, file + checksum, data)))
            self.assertRaises(errors.FileNotFound, self.get, file)
            self.assertRaises(errors.FileNotFound, self.get, f"{file}.sha1")
        self.assertEqual(self.put(file, b"as it was sent").status, 201)
        self.assertEqual(self.put(f"{file}.sha1", sha1).status, 204)
        self.assertIn("stays", self.refused(errors.DigestMismatch, f"{file}.md5", b"0" * 32))
        self.assertEqual(self.get(file), b"as it was sent")
        self.refused(errors.FileExists, file, b"other")

    def test_only_its_publisher_takes_a_file_back(self) -> None:
        """Somebody else's wrong checksum is refused, and takes nothing from anybody."""
        file = f"{LIB}/1.0/lib-1.0.jar"
        self.put(file, b"x")
        self.world.principal = evolve(WRITER, token_id=8)
        self.assertIn("stays", self.refused(errors.DigestMismatch, f"{file}.sha1", b"0" * 40))
        self.assertEqual(self.get(file), b"x")

    def test_a_wrong_checksum_tells_no_right_one(self) -> None:
        """Whoever may only write does not learn the digest of what is there; whoever may read does."""
        now(self.world.catalog.add_project("acme/secret", Visibility.PRIVATE))
        file, right = f"{LIB}/1.0/lib-1.0.jar", hashlib.sha512(b"x").hexdigest()
        self.put(file, b"x", "acme/secret")
        text = str(self.assertRaises(errors.DigestMismatch, self.put, f"{file}.sha512", b"0" * 128, "acme/secret"))
        self.assertIn(right, text)
        self.put(file, b"x", "acme/secret")
        self.world.principal = Principal(
            name="deploy",
            token_kind=TokenKind.DEPLOY,
            token_id=9,
            project_id=3,
            scopes=frozenset({"write_package_registry"}),
        )
        text = str(self.assertRaises(errors.DigestMismatch, self.put, f"{file}.sha512", b"0" * 128, "acme/secret"))
        self.assertNotIn(right, text)

    def test_what_is_not_there(self) -> None:
        """Files, checksums and metadata of what nobody published."""
        for file in (f"{LIB}/1.0/lib-1.0.jar", f"{LIB}/1.0/lib-1.0.jar.sha1", f"{LIB}/maven-metadata.xml",
                     f"{LIB}/maven-metadata.xml.sha1", f"{LIB}/1.0-SNAPSHOT/maven-metadata.xml"):  # fmt: skip
            self.assertRaises(errors.NotFound, self.get, file)

    def test_bad_paths(self) -> None:
        """Paths that Maven does not make are refused before the body is read."""
        for file in (
            "x", "x/y", "a/b/c", f"{LIB}/1..0/lib.jar", f"{LIB}/1.0/", f"{LIB}/1.0/.hidden", f"{LIB}/1 0/a.jar",
            "com/.acme/lib/1.0/a.jar", f"{LIB}/1.0/a b.jar", f"{LIB}/1.0/{'a' * 256}", "a/" * 600 + "1.0/b",
            f"{LIB}/maven-metadata.xml.asc", f"{LIB}/maven-metadata.xml.asc.sha1", f"{LIB}/{'1a' * 127}/a.jar",
        ):  # fmt: skip
            self.assertRaises(errors.InvalidRequest, self.put, file, b"x")
            self.assertFalse(self.world.last_body.was_touched, file)

    def test_reads_of_what_cannot_be(self) -> None:
        """Clients ask repositories for what only others have: it is not there, as anything else that is not."""
        for file in (
            "archetype-catalog.xml", ".meta/prefixes.txt", f"{LIB}/1..0/lib-1..0.jar", f"{LIB}/1.0/lib-1.0 x.jar",
            "index.html", "junit/junit", f"{LIB}/maven-metadata.xml.asc", "maven-metadata.xml",
            "maven-metadata.xml.sha1",
        ):  # fmt: skip
            for path in ("acme/one", "acme"):
                self.assertRaises(errors.NotFound, self.get, file, path)
            MavenFormat().routes()[1].foresee({"file": file})  # type: ignore[misc]

    def test_levels(self) -> None:
        """A group has what its projects have; the newer one of two files of one path, and nobody keeps the older."""
        self.publish("1.0")
        self.publish("2.0", path="acme/two")
        self.assertEqual(self.get(f"{LIB}/1.0/lib-1.0.jar", "acme"), b"jar 1.0")
        self.assertEqual(self.get(f"{LIB}/2.0/lib-2.0.jar", "acme"), b"jar 2.0")
        first = self.world.request("GET", FILE, file=f"{LIB}/1.0/lib-1.0.jar", path="acme")
        self.put(f"{LIB}/1.0/lib-1.0.jar", b"of the other project", "acme/two")
        self.assertEqual(self.get(f"{LIB}/1.0/lib-1.0.jar", "acme"), b"of the other project")
        self.assertEqual(self.get(f"{LIB}/1.0/lib-1.0.jar"), b"jar 1.0")
        second = self.world.request("GET", FILE, file=f"{LIB}/1.0/lib-1.0.jar", path="acme")
        self.assertNotEqual(first.etag, second.etag)
        self.assertEqual(dict(first.headers)["Cache-Control"], "no-cache")
        versions = self.texts(self.tree(f"{LIB}/maven-metadata.xml", "acme"), "versioning/versions/version")
        self.assertEqual(versions, ["1.0", "2.0"])


class PomTests(MavenTestCase):
    """POMs are about what their path says."""

    file = f"{LIB}/1.0/lib-1.0.pom"

    def test_coordinates(self) -> None:
        """They come from the POM or its parent; an expression is Maven's business."""
        parent = "<parent><groupId>com.acme</groupId><artifactId>p</artifactId><version>1.0</version></parent>"
        for data in (
            pom(),
            f"<project>{parent}<artifactId>lib</artifactId></project>".encode(),
            b"<project><groupId>com.acme</groupId><artifactId>lib</artifactId><version>${revision}</version></project>",
        ):
            self.world = FormatWorld(MavenFormat())
            self.assertEqual(self.put(self.file, data).status, 201)

    def test_prefixes_that_nothing_declares(self) -> None:
        """Maven reads such POMs, too; what has a prefix says nothing to it, nor to us."""
        data = pom().replace(b"<project ", b'<project xsi:schemaLocation="a b" ')
        self.assertEqual(self.put(self.file, data).status, 201)
        disguised = pom(group="com.evil").replace(b"<groupId>", b"<x:groupId>com.acme</x:groupId><groupId>")
        self.assertIn("com.evil", self.refused(errors.MetadataMismatch, f"{LIB}/1.0/lib-1.0.pom", disguised))

    def test_disagreement(self) -> None:
        """Both sides are named."""
        for data, what in (
            (pom(group="com.evil"), "groupId differs: path says 'com.acme', POM says 'com.evil'"),
            (pom(artifact="other"), "artifactId differs: path says 'lib', POM says 'other'"),
            (pom(version="2.0"), "version differs: path says '1.0', POM says '2.0'"),
        ):
            self.assertEqual(self.refused(errors.MetadataMismatch, self.file, data), what)

    def test_bad_poms(self) -> None:
        """What is no POM, or is made to hurt, is refused and leaves nothing."""
        for data in (
            b"", b"no xml", b"<project>", b"<html/>", pom().replace(b"<artifactId>lib</artifactId>", b""),
            b"<project/>", b"<!DOCTYPE project [<!ENTITY a 'b'>]>" + pom(), b"<!DOCTYPE project>" + pom(),
            b'<!DOCTYPE project SYSTEM "http://127.0.0.1/x">' + pom(), b"<a>" * 10_000 + b"</a>" * 10_000,
            b"<project>" + b"<x/>" * 200_000 + b"</project>", b"<project>" + b"x" * 100_000 + b"</project>",
            b"<project " + b" ".join(b'a%d="1"' % number for number in range(100)) + b"/>", b"\xff\xfe<",
            b"<project>&unknown;</project>", b"<?xml version='1.0' encoding='nonsense'?><project/>", b"<project>\x00",
            b"<project>" + b" " * (5 << 20) + b"</project>", pom() + b"<x/>", pom()[:-3],
        ):  # fmt: skip
            self.refused(errors.InvalidRequest, self.file, data)

    def test_the_pom_of_another_file(self) -> None:
        """Only the POM of the version itself is read."""
        self.assertEqual(self.put(f"{LIB}/1.0/lib-1.0-extra.pom", b"anything").status, 201)
        self.assertEqual(self.put(f"{LIB}/1.0/other.pom", b"anything").status, 201)

    def test_found_by_what_it_says(self) -> None:
        """Name and description are searched."""
        self.publish("1.0", more="<name>Left pad</name><description>Pads\n  to the left</description>")
        found = now(self.world.remote("acme/one").search("pads left", 0, 10))
        self.assertEqual([name.name for name in found.names], [LIB])


class MetadataTests(MavenTestCase):
    """Metadata is made from what is published."""

    file = f"{LIB}/maven-metadata.xml"

    def test_versions(self) -> None:
        """In Maven's order; the newest and the newest release are named."""
        for version in ("1.10", "1.9", "2.0-SNAPSHOT", "1.10-rc1"):
            self.publish(version)
        tree = self.tree(self.file)
        self.assertEqual(tree.findtext("groupId"), "com.acme")
        self.assertEqual(tree.findtext("artifactId"), "lib")
        versions = self.texts(tree, "versioning/versions/version")
        self.assertEqual(versions, ["1.9", "1.10-rc1", "1.10", "2.0-SNAPSHOT"])
        self.assertEqual(tree.findtext("versioning/latest"), "2.0-SNAPSHOT")
        self.assertEqual(tree.findtext("versioning/release"), "1.10")
        self.assertRegex(tree.findtext("versioning/lastUpdated") or "", r"\A[0-9]{14}\Z")

    def test_only_snapshots(self) -> None:
        """Then there is no release."""
        self.publish("1.0-SNAPSHOT")
        self.assertIsNone(self.tree(self.file).find("versioning/release"))

    def test_deleted_versions_go(self) -> None:
        """With the last file of a version it is gone from the metadata; with the last version the metadata."""
        for version in ("1.0", "2.0"):
            self.publish(version)
        self.get(self.file)
        self.delete("lib-2.0.jar", "2.0")
        self.delete("lib-2.0.pom", "2.0")
        self.assertEqual(self.versions(), ["1.0"])
        self.delete("lib-1.0.jar", "1.0")
        self.delete("lib-1.0.pom", "1.0")
        self.assertRaises(errors.NotFound, self.get, self.file)

    def versions(self) -> list[str | None]:
        """Read which versions there are."""
        return self.texts(self.tree(self.file), "versioning/versions/version")

    def test_half_a_version(self) -> None:
        """A version comes with its POM, or with Ivy's description of it, whatever else is there before."""
        self.publish("1.0")
        self.put(f"{LIB}/2.0/lib-2.0.jar", b"two")
        self.put(f"{LIB}/2.0/lib-2.0-sources.jar", b"two")
        self.assertEqual(self.versions(), ["1.0"])
        self.assertEqual(self.tree(self.file).findtext("versioning/release"), "1.0")
        self.put(f"{LIB}/2.0/lib-2.0.pom", pom(version="2.0"))
        self.assertEqual(self.versions(), ["1.0", "2.0"])
        self.put(f"{LIB}/3.0/ivy-3.0.xml", b"<ivy-module/>")
        self.assertEqual(self.versions(), ["1.0", "2.0"])
        self.put(f"{LIB}/3.0/lib-3.0.jar", b"three")
        self.assertEqual(self.versions(), ["1.0", "2.0", "3.0"])

    def test_what_is_no_version(self) -> None:
        """Files of other names, and signatures alone, make no version; nor does a POM that is not of this one."""
        for name in ("a.jar", "lib-sub.jar.asc", "sub.pom", "lib-other.pom", "ivy-sub.xml"):
            self.put(f"{LIB}/sub/{name}", name.encode())
        self.assertRaises(errors.NotFound, self.get, self.file)

    def test_without_a_pom(self) -> None:
        """A version that was deployed without one comes with the metadata that names it, and stays."""
        self.publish("1.0")
        for version in ("2.0", "3.0"):
            self.put(f"{LIB}/{version}/lib-{version}.jar", version.encode())
        self.assertEqual(self.versions(), ["1.0"])
        self.assertEqual(self.put(self.file, self.announcing("1.0", "9.0", "2.0")).status, 200)
        self.assertEqual(self.versions(), ["1.0", "2.0"])
        first = self.world.request("GET", FILE, file=self.file).etag
        self.put(self.file, self.announcing("1.0", "2.0"))
        self.assertEqual(self.world.request("GET", FILE, file=self.file).etag, first)
        self.put(f"{LIB}/2.0/lib-2.0-sources.jar", b"more")
        self.assertEqual(self.versions(), ["1.0", "2.0"])
        self.put(self.file, self.announcing("9.0", "x..y", "../..", "", "1.0-SNAPSHOT"))
        self.assertEqual(self.versions(), ["1.0", "2.0"])

    def test_many_versions(self) -> None:
        """A client may send the metadata of many versions, with white space between them; not of any number."""
        self.put(f"{LIB}/1.0/lib-1.0.jar", b"one")
        many = self.announcing(*(f"0.{number}" for number in range(20_000)), "1.0").replace(b"<v", b"\n      <v")
        self.assertEqual(self.put(self.file, many).status, 200)
        self.assertEqual(self.versions(), ["1.0"])
        self.refused(errors.InvalidRequest, self.file, b"<metadata>" + b"<x/>" * 30_000 + b"</metadata>")
        self.refused(errors.BodyTooLarge, self.file, b" " * (2 << 20))

    def test_announced_before_it_is_there(self) -> None:
        """Metadata that comes first says nothing; the POM does, when it comes."""
        self.put(self.file, self.announcing("1.0"))
        self.put(f"{LIB}/1.0/lib-1.0.jar", b"one")
        self.assertRaises(errors.NotFound, self.get, self.file)
        self.put(f"{LIB}/1.0/lib-1.0.pom", pom(more="<packaging>maven-plugin</packaging>"))
        self.put(self.file, self.announcing("1.0"))
        self.assertEqual(self.versions(), ["1.0"])
        self.assertIn(b"<artifactId>lib</artifactId>", self.get("com/acme/maven-metadata.xml"))

    def announcing(self, *versions: str) -> bytes:
        """Write metadata as a client does that deployed the last of some versions."""
        listed = "".join(f"<version>{version}</version>" for version in versions)
        return (
            "<metadata><groupId>com.acme</groupId><artifactId>lib</artifactId><versioning>"
            f"<release>{versions[-1]}</release><versions>{listed}</versions></versioning></metadata>"
        ).encode()

    def test_checksums(self) -> None:
        """They are those of the metadata as it is now."""
        self.publish("1.0")
        for algorithm in ("md5", "sha1", "sha256", "sha512"):
            expected = hashlib.new(algorithm, self.get(self.file)).hexdigest()
            self.assertEqual(self.get(f"{self.file}.{algorithm}").decode(), expected)

    def test_validators_move(self) -> None:
        """The ETag changes with every publish and is the same in between."""
        self.publish("1.0")
        first = self.world.request("GET", FILE, file=self.file).etag
        self.assertEqual(self.world.request("GET", FILE, file=self.file).etag, first)
        self.publish("2.0")
        self.assertNotEqual(self.world.request("GET", FILE, file=self.file).etag, first)

    def test_a_client_sends_its_own(self) -> None:
        """It is compared with its path and not kept; that of a group says nothing more."""
        self.publish("1.0")
        coordinates = b"<groupId>com.acme</groupId><artifactId>lib</artifactId>"
        stale = b"<metadata>" + coordinates + b"<versioning><versions/></versioning></metadata>"
        self.assertEqual(self.put(self.file, stale).status, 200)
        self.assertEqual(
            self.put(f"{self.file}.sha1", hashlib.sha1(stale, usedforsecurity=False).hexdigest().encode()).status, 200
        )
        self.assertEqual(self.texts(self.tree(self.file), "versioning/versions/version"), ["1.0"])
        self.assertEqual(self.put("com/acme/maven-metadata.xml", b"<metadata><plugins/></metadata>").status, 200)
        self.assertEqual(self.put("acme/maven-metadata.xml", b"<metadata><plugins/></metadata>").status, 200)
        wrong = stale.replace(b"lib", b"other")
        self.assertIn("artifactId differs", self.refused(errors.MetadataMismatch, self.file, wrong))
        for data in (b"", b"<html/>", b"<!DOCTYPE metadata><metadata/>", b"<metadata>"):
            self.refused(errors.InvalidRequest, self.file, data)

    def test_plugins_of_a_group(self) -> None:
        """A group lists its plugins by the prefix that Maven derives; what is no plugin, or deeper, is left out."""
        packaging = "<packaging>maven-plugin</packaging><name>Greets</name>"
        self.publish("1.0", "hello-maven-plugin", packaging)
        self.publish("1.0", "maven-x-plugin", "<packaging>maven-plugin</packaging>")
        self.publish("1.0", "lib", "<description>no maven-plugin at all</description>")
        stem = "com/acme/deep/d-maven-plugin/1.0/d-maven-plugin-1.0.pom"
        self.put(stem, pom("com.acme.deep", "d-maven-plugin", more=packaging))
        tree = self.tree("com/acme/maven-metadata.xml")
        found = [[plugin.findtext(name) for name in ("prefix", "artifactId", "name")] for plugin in tree.iter("plugin")]
        self.assertEqual(found, [["hello", "hello-maven-plugin", "Greets"], ["x", "maven-x-plugin", "maven-x-plugin"]])
        self.assertRaises(errors.NotFound, self.get, "com/maven-metadata.xml")


class PluginTests(MavenTestCase):
    """Plugins are listed by the prefix that their jars say."""

    group_file = "com/acme/maven-metadata.xml"

    def publish_plugin(self, artifact: str, version: str, jar: bytes, name: str = "") -> None:
        """Publish a plugin as Maven does."""
        stem = f"com/acme/{artifact}/{version}/{artifact}-{version}"
        self.assertEqual(self.put(f"{stem}.jar", jar).status, 201)
        more = "<packaging>maven-plugin</packaging>" + (f"<name>{escape(name)}</name>" if name else "")
        self.put(f"{stem}.pom", pom(artifact=artifact, version=version, more=more))

    def prefixes(self, path: str = "acme/one") -> list[tuple[str | None, ...]]:
        """Return prefix, artifact and name of each plugin of the group."""
        plugins = self.tree(self.group_file, path).iter("plugin")
        return [tuple(plugin.findtext(name) for name in ("prefix", "artifactId", "name")) for plugin in plugins]

    def test_the_prefix_of_the_jar(self) -> None:
        """It counts, that of the newest version; while a version is being deployed that of the one before."""
        self.publish_plugin("greeter", "1.0", plugin_jar("hello", "greeter"), "Greets & more")
        self.assertEqual(self.prefixes(), [("hello", "greeter", "Greets & more")])
        self.assertEqual(self.prefixes("acme"), self.prefixes())
        etag = self.world.request("GET", FILE, file=self.group_file).etag
        jar = plugin_jar("hola", "greeter")
        self.put("com/acme/greeter/2.0/greeter-2.0.jar", jar)
        self.assertEqual(self.prefixes(), [("hello", "greeter", "Greets & more")])
        self.publish_plugin("greeter", "3.0", jar)
        self.assertEqual(self.prefixes(), [("hola", "greeter", "greeter")])
        self.assertNotEqual(self.world.request("GET", FILE, file=self.group_file).etag, etag)
        for algorithm in ("md5", "sha1", "sha256", "sha512"):
            expected = hashlib.new(algorithm, self.get(self.group_file)).hexdigest()
            self.assertEqual(self.get(f"{self.group_file}.{algorithm}").decode(), expected)

    def test_snapshots_have_one_too(self) -> None:
        """That of the newest build."""
        for build, prefix in ((BUILD_1, "one"), (BUILD_2, "two")):
            self.put(f"com/acme/greeter/1.0-SNAPSHOT/greeter-1.0-{build}.jar", plugin_jar(prefix, "greeter"))
            data = pom(artifact="greeter", version="1.0-SNAPSHOT", more="<packaging>maven-plugin</packaging>")
            self.put(f"com/acme/greeter/1.0-SNAPSHOT/greeter-1.0-{build}.pom", data)
        self.assertEqual(self.prefixes(), [("two", "greeter", "greeter")])

    def test_jars_that_do_not_say(self) -> None:
        """Whatever is called a jar is taken; without a descriptor of its own a plugin has the derived prefix."""
        descriptor = plugin_xml("p", "x-maven-plugin")
        jars = {
            "not a zip": b"not really a jar",
            "empty": b"",
            "no descriptor": make_jar({"a.class": b"x"}),
            "a zip behind a program": b"#!/bin/sh\n" + plugin_jar("p", "x-maven-plugin"),
            "cut short": plugin_jar("p", "x-maven-plugin")[:-30],
            "of another artifact": plugin_jar("p", "other"),
            "of another group": plugin_jar("p", "x-maven-plugin", "com.evil"),
            "no xml": make_jar({"META-INF/maven/plugin.xml": b"nonsense"}),
            "something else": make_jar({"META-INF/maven/plugin.xml": descriptor.replace(b"plugin>", b"project>")}),
            "a document type": make_jar({"META-INF/maven/plugin.xml": b"<!DOCTYPE plugin>" + descriptor}),
            "a folder": make_jar({"META-INF/maven/plugin.xml/": b""}),
            "no prefix": make_jar({"META-INF/maven/plugin.xml": plugin_xml("", "x-maven-plugin")}),
            "a strange prefix": plugin_jar("a b", "x-maven-plugin"),
            "a long prefix": plugin_jar("p" * 200, "x-maven-plugin"),
            "too large": make_jar({"META-INF/maven/plugin.xml": descriptor + b" " * (5 << 20)}),
            "too deep": make_jar({"META-INF/maven/plugin.xml": b"<plugin>" + b"<a>" * 5000}),
        }
        for what, jar in jars.items():
            self.setUp()
            self.publish_plugin("x-maven-plugin", "1.0", jar)
            self.assertEqual(self.prefixes(), [("x", "x-maven-plugin", "x-maven-plugin")], what)

    def test_a_jar_that_is_no_plugin(self) -> None:
        """A descriptor does not make one of what its POM calls a jar."""
        self.put("com/acme/lib/1.0/lib-1.0.jar", plugin_jar("p", "lib"))
        self.put("com/acme/lib/1.0/lib-1.0.pom", pom())
        self.assertRaises(errors.NotFound, self.get, self.group_file)

    def test_a_group_at_the_path_of_an_artifact(self) -> None:
        """Its metadata tells of both, and of what is left when one of them goes."""
        self.publish_plugin("greeter", "1.0", plugin_jar("hello", "greeter"))
        alone = self.get(self.group_file)
        self.put("com/acme/1.0/acme-1.0.pom", pom("com", "acme", "1.0"))
        tree = self.tree(self.group_file)
        self.assertEqual((tree.findtext("groupId"), tree.findtext("artifactId")), ("com", "acme"))
        self.assertEqual(self.texts(tree, "versioning/versions/version"), ["1.0"])
        self.assertEqual(self.prefixes(), [("hello", "greeter", "greeter")])
        etag = self.world.request("GET", FILE, file=self.group_file).etag
        self.publish_plugin("parter", "1.0", plugin_jar("bye", "parter"))
        self.assertEqual([prefix for prefix, *_ in self.prefixes()], ["hello", "bye"])
        self.assertEqual(self.texts(self.tree(self.group_file), "versioning/versions/version"), ["1.0"])
        self.assertNotEqual(self.world.request("GET", FILE, file=self.group_file).etag, etag)
        self.assertEqual(self.put(self.group_file, self.get(self.group_file)).status, 200)
        remote = self.world.remote("acme/one", WRITER)
        for name in ("com/acme", "com/acme/parter"):
            for file in now(remote.list_files(name)):
                now(remote.delete_file(file, NO_PRECONDITION))
        self.assertEqual(self.get(self.group_file), alone)

    def test_a_client_sends_its_own(self) -> None:
        """What it says of a plugin has to be what the jar says; of others it may say what it read before."""
        self.publish_plugin("greeter", "1.0", plugin_jar("hello", "greeter"))
        self.publish_plugin("x-maven-plugin", "1.0", b"no jar")

        def said(**prefixes: str) -> bytes:
            plugins = "".join(
                f"<plugin><name>n</name><prefix>{prefix}</prefix><artifactId>{artifact}</artifactId></plugin>"
                for artifact, prefix in prefixes.items()
            )
            return f"<metadata><plugins>{plugins}</plugins></metadata>".encode()

        for good in (
            said(greeter="hello", gone="whatever"),
            said(**{"x-maven-plugin": "y"}),
            said(),
            said(greeter="hello"),
        ):
            self.assertEqual(self.put(self.group_file, good).status, 200)
        why = self.refused(errors.MetadataMismatch, self.group_file, said(greeter="hi"))
        self.assertEqual(why, "prefix of greeter differs: plugin.xml says 'hello', maven-metadata.xml says 'hi'")
        self.assertIn("says ''", self.refused(errors.MetadataMismatch, self.group_file, said(greeter="")))


class SnapshotTests(MavenTestCase):
    """Versions that are being worked at."""

    folder = f"{LIB}/1.0-SNAPSHOT"

    def test_builds(self) -> None:
        """Each build has its own files; the metadata names the newest of each kind."""
        for build, names in ((BUILD_1, (".jar", ".pom", "-sources.jar", ".jar.asc")), (BUILD_2, (".jar", ".pom"))):
            for ending in names:
                data = pom(version="1.0-SNAPSHOT") if ending == ".pom" else f"{build}{ending}".encode()
                self.put(f"{self.folder}/lib-1.0-{build}{ending}", data)
        tree = self.tree(f"{self.folder}/maven-metadata.xml")
        self.assertEqual(tree.findtext("version"), "1.0-SNAPSHOT")
        self.assertEqual(tree.findtext("versioning/snapshot/timestamp"), "20261128.101500")
        self.assertEqual(tree.findtext("versioning/snapshot/buildNumber"), "2")
        found = {
            (each.findtext("classifier"), each.findtext("extension")): each.findtext("value")
            for each in tree.iter("snapshotVersion")
        }
        self.assertEqual(
            found,
            {(None, "jar"): f"1.0-{BUILD_2}", (None, "pom"): f"1.0-{BUILD_2}", ("sources", "jar"): f"1.0-{BUILD_1}"},
        )
        self.assertEqual(self.get(f"{self.folder}/lib-1.0-{BUILD_1}.jar"), f"{BUILD_1}.jar".encode())

    def build(self, build: str, *endings: str) -> None:
        """Publish files of a build."""
        for ending in endings:
            data = pom(version="1.0-SNAPSHOT") if ending == ".pom" else f"{build}{ending}".encode()
            self.put(f"{self.folder}/lib-1.0-{build}{ending}", data)

    def values(self) -> dict[tuple[str | None, str | None], str | None]:
        """Read which file of each kind is to be taken."""
        tree = self.tree(f"{self.folder}/maven-metadata.xml")
        return {
            (each.findtext("classifier"), each.findtext("extension")): each.findtext("value")
            for each in tree.iter("snapshotVersion")
        }

    def test_half_a_build(self) -> None:
        """Until the POM of a build is there everybody gets the one before, and its POM."""
        self.build(BUILD_1, ".jar")
        self.assertRaises(errors.NotFound, self.get, f"{self.folder}/maven-metadata.xml")
        self.assertRaises(errors.NotFound, self.get, f"{LIB}/maven-metadata.xml")
        self.build(BUILD_1, ".pom", ".module", "-linux.jar")
        first = dict.fromkeys(((None, "jar"), (None, "pom"), (None, "module"), ("linux", "jar")), f"1.0-{BUILD_1}")
        self.assertEqual(self.values(), first)
        self.build(BUILD_2, ".jar", "-linux.jar", "-osx.jar")
        self.assertEqual(self.values(), first)
        self.assertEqual(
            self.tree(f"{self.folder}/maven-metadata.xml").findtext("versioning/snapshot/buildNumber"), "1"
        )

    def test_main_files_are_of_one_build(self) -> None:
        """What only an older build has is not taken for a part of the newer one, but for classified files."""
        self.build(BUILD_1, ".jar", ".pom", ".module", "-linux.jar", "-osx.jar")
        self.build(BUILD_2, ".jar", ".pom", "-osx.jar")
        newer = dict.fromkeys(((None, "jar"), (None, "pom"), ("osx", "jar")), f"1.0-{BUILD_2}")
        self.assertEqual(self.values(), {**newer, ("linux", "jar"): f"1.0-{BUILD_1}"})

    def test_a_build_without_a_pom(self) -> None:
        """It comes with the metadata that names it; so does a file that only says SNAPSHOT."""
        file = f"{self.folder}/maven-metadata.xml"
        self.put(f"{self.folder}/lib-1.0-SNAPSHOT.jar", b"x")
        self.put(file, b"<metadata><versioning><snapshot/></versioning></metadata>")
        self.assertEqual(self.values(), {(None, "jar"): "1.0-SNAPSHOT"})
        self.build(BUILD_1, ".jar")
        self.assertEqual(self.values(), {(None, "jar"): "1.0-SNAPSHOT"})
        timestamp, _, number = BUILD_1.rpartition("-")
        snapshot = f"<snapshot><timestamp>{timestamp}</timestamp><buildNumber>{number}</buildNumber></snapshot>"
        self.put(file, f"<metadata><versioning>{snapshot}</versioning></metadata>".encode())
        self.assertEqual(self.values(), {(None, "jar"): f"1.0-{BUILD_1}"})
        self.assertEqual(self.texts(self.tree(f"{LIB}/maven-metadata.xml"), "versioning/latest"), ["1.0-SNAPSHOT"])
        for odd in ("x", "1" * 30, "-1", ""):
            data = snapshot.replace(f">{number}<", f">{odd}<")
            self.assertEqual(
                self.put(file, f"<metadata><versioning>{data}</versioning></metadata>".encode()).status, 200
            )

    def test_rendered_when_it_is_wanted(self) -> None:
        """An answer that conditions decide reads no files, and they are read once for each change."""
        self.build(BUILD_1, ".jar", ".pom")
        asked: list[str | None] = []
        list_files = self.world.catalog.list_files

        def listed(
            project_ids: Sequence[int], format: str, name: str, version: str | None = None, *, listed_only: bool = True
        ) -> object:
            asked.append(version)
            return list_files(project_ids, format, name, version, listed_only=listed_only)

        self.patch(self.world.catalog, "list_files", listed)
        reply = self.world.request("GET", FILE, file=f"{self.folder}/maven-metadata.xml")
        self.assertEqual(asked, [])
        self.assertEqual(body_of(reply), body_of(reply))
        self.get(f"{self.folder}/maven-metadata.xml.sha1")
        self.assertEqual(asked, ["1.0-SNAPSHOT"])

    def test_replacing_asks_for_the_right_to_destroy(self) -> None:
        """Whoever may only publish makes the first file that says SNAPSHOT, and takes nobody's away."""
        job = Principal(name="job", token_kind=TokenKind.JOB, token_id=9, project_id=1)
        file = f"{self.folder}/lib-1.0-SNAPSHOT.jar"
        self.world.principal = job
        self.assertEqual(self.put(file, b"one").status, 201)
        self.assertEqual(self.put(file, b"one").status, 200)
        self.assertIn("destroy_package", self.refused(errors.PermissionDenied, file, b"two"))
        self.assertEqual(self.get(file), b"one")
        self.world.limits = evolve(self.world.limits, duplicate_exceptions=("*-SNAPSHOT",))
        self.assertEqual(self.put(file, b"two").status, 201)
        self.build(BUILD_1, ".jar")
        self.refused(errors.FileExists, f"{self.folder}/lib-1.0-{BUILD_1}.jar", b"three")

    def test_builds_do_not_change_and_their_name_does(self) -> None:
        """A file with its build in the name is final; one that only says SNAPSHOT is replaced."""
        self.put(f"{self.folder}/lib-1.0-{BUILD_1}.jar", b"one")
        self.refused(errors.FileExists, f"{self.folder}/lib-1.0-{BUILD_1}.jar", b"two")
        self.put(f"{self.folder}/lib-1.0-SNAPSHOT.jar", b"one")
        self.put(f"{self.folder}/lib-1.0-SNAPSHOT.jar", b"two")
        self.assertEqual(self.get(f"{self.folder}/lib-1.0-SNAPSHOT.jar"), b"two")

    def test_pom_of_a_build(self) -> None:
        """It says SNAPSHOT, as its folder does."""
        file = f"{self.folder}/lib-1.0-{BUILD_1}.pom"
        self.assertIn("version differs", self.refused(errors.MetadataMismatch, file, pom(version="1.0")))
        self.assertEqual(self.put(file, pom(version="1.0-SNAPSHOT")).status, 201)

    def test_metadata_of_a_client(self) -> None:
        """It has to be about this version."""
        file = f"{self.folder}/maven-metadata.xml"
        self.assertEqual(self.put(file, b"<metadata><version>1.0-SNAPSHOT</version></metadata>").status, 200)
        self.refused(errors.MetadataMismatch, file, b"<metadata><version>2.0-SNAPSHOT</version></metadata>")
