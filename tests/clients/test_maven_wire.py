"""What Maven never shows: bad uploads, HEAD, Expect, validators and memory, over the socket of a real daemon."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable

from tests.support.blobs import ON_DISK
from tests.support.cases import DaemonTestCase
from tests.support.daemon import wait_until
from tests.support.jars import plugin_jar
from tests.support.maven_hostile import GOOD_METADATA, GOOD_POM, JAR, LIB, METADATA, POM, hostile_uploads
from tests.support.rawhttp import Answer, RawConnection, repeated
from tests.support.stored import staged_files, stored_blobs

MIB = 1 << 20
GREAT_BYTES = 192 * MIB
MAX_PEAK_BYTES = 120 * MIB


MOVING_POM = b"<project><groupId>com.acme</groupId><artifactId>moving</artifactId><version>1.%d</version></project>"


class WireTests(DaemonTestCase):
    """One daemon, spoken to over bare sockets."""

    blobs = ON_DISK

    def request(
        self, method: str, path: str, pieces: Iterable[bytes | memoryview] = (), size_bytes: int | None = None,
        secret: str | None = None, **headers: str,
    ) -> Answer:  # fmt: skip
        """Send a request below the private project's address, with the writer's token."""
        sent = {"PRIVATE-TOKEN": secret or self.daemon.world.writer}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        if size_bytes is not None:
            sent["Content-Length"] = str(size_bytes)
        base = self.daemon.packages_path("maven", self.daemon.world.private_id)
        with RawConnection(self.daemon.port) as connection:
            return connection.request(method, f"{base}/{path}", sent, pieces)

    def put(self, path: str, body: bytes, **headers: str) -> Answer:
        """Send a file."""
        return self.request("PUT", path, [body], len(body), **headers)

    def put_when_asked(self, path: str, body: bytes) -> int:
        """Send headers, wait for 100 as Maven does, and send the file; returns the status."""
        base = self.daemon.packages_path("maven", self.daemon.world.private_id)
        headers = {
            "Expect": "100-continue",
            "Content-Length": str(len(body)),
            "PRIVATE-TOKEN": self.daemon.world.writer,
        }
        with RawConnection(self.daemon.port) as connection:
            connection.send_head("PUT", f"{base}/{path}", headers)
            self.assertEqual(connection.socket.recv(65536), b"HTTP/1.1 100 Continue\r\n\r\n")
            connection.send_body([body])
            return connection.read_answer().status

    def packages(self) -> list[str]:
        """List all packages of the project."""
        path = f"/api/v4/projects/{self.daemon.world.private_id}/packages?per_page=100"
        listing = json.loads(self.daemon.get(path, {"PRIVATE-TOKEN": self.daemon.world.reader})[2])
        return [f"{package['name']} {package['version']}" for package in listing]

    def test_hostile_uploads(self) -> None:
        """Each of the table is a 4xx that says why, and leaves nothing; then what they are made from is taken."""
        before = self.packages(), stored_blobs(self.daemon.folder)
        counts: Counter[str] = Counter()
        for hostile in hostile_uploads():
            answer = self.put(hostile.path, hostile.body)
            self.assertIn(answer.status, range(400, 500), f"{hostile}: {answer.body!r}")
            if hostile.status is not None:
                self.assertEqual(answer.status, hostile.status, f"{hostile}: {answer.body!r}")
            fields = json.loads(answer.body)
            said = fields.get("detail", fields["message"])
            self.assertTrue(said.isprintable(), f"{hostile}: {said!a}")
            self.assertTrue(10 < len(said) < 3000, f"{hostile}: {said!a}")
            self.assertIn(hostile.says, said, str(hostile))
            counts[hostile.threat] += 1
        self.assertGreater(sum(counts.values()), 300)
        wait_until(lambda: (self.packages(), stored_blobs(self.daemon.folder)) == before, "removal of refused blobs")
        self.assertEqual(staged_files(self.daemon.folder), set())
        for path, body, status in ((POM, GOOD_POM, 201), (JAR, b"x", 201), (METADATA, GOOD_METADATA, 200)):
            self.assertEqual(self.put(path, body).status, status, path)
        self.assertEqual(sorted(self.packages()), sorted([*before[0], f"{LIB} 1.0"]))

    def test_overwriting(self) -> None:
        """Other bytes of a release, of a build, and of what was deleted are refused, and change nothing."""
        release = "com/acme/kept/1.0/kept-1.0.jar"
        build = "com/acme/kept/1.0-SNAPSHOT/kept-1.0-20261128.093000-1.jar"
        for path in (release, build):
            self.assertEqual(self.put(path, b"one").status, 201)
            self.assertEqual(self.put(path, b"one").status, 200)
            answer = self.put(path, b"two")
            self.assertEqual((answer.status, answer.headers["content-type"]), (409, "application/problem+json"))
            self.assertEqual(self.request("GET", path).body, b"one")
            wrong = self.put(f"{path}.sha1", b"0" * 40)
            self.assertEqual((wrong.status, json.loads(wrong.body)["error"]), (409, "digest_mismatch"))

    def test_problems(self) -> None:
        """Each refusal of a guard and of the format is a problem, whose reason is in the status line's words, too."""
        for answer, status in (
            (self.request("GET", "com/acme/none/1.0/none-1.0.jar"), 404),
            (self.request("GET", "com/acme/none/maven-metadata.xml"), 404),
            (self.put("com/acme/none/1.0/none-1.0.jar", b"x", PRIVATE_TOKEN=self.daemon.world.reader), 403),
            (self.put("com/acme/none/1.0/none-1.0.jar", b"x", PRIVATE_TOKEN="nonsense"), 401),
            (self.put("com/acme/none/1..0/none-1.0.jar", b"x"), 400),
        ):
            self.assertEqual(answer.status, status)
            self.assertEqual(answer.headers["content-type"], "application/problem+json")
            fields = json.loads(answer.body)
            self.assertEqual((fields["status"], fields["type"]), (status, "about:blank"))
            self.assertGreater(len(fields["detail"]), 10)

    def test_expect_on_every_file(self) -> None:
        """Files, checksums and metadata are asked for with 100; what is refused by its path or token is not."""
        sha1 = hashlib.sha1(b"x", usedforsecurity=False).hexdigest().encode()
        stem = "com/acme/expect/1.0/expect-1.0"
        metadata = b"<metadata><artifactId>expect</artifactId></metadata>"
        for path, body, status in (
            (f"{stem}.jar", b"x", 201),
            (f"{stem}.jar.sha1", sha1, 204),
            (f"{stem}.jar.asc", b"signature", 201),
            ("com/acme/expect/maven-metadata.xml", metadata, 200),
            ("com/acme/expect/maven-metadata.xml.sha1", sha1, 200),
        ):
            self.assertEqual(self.put_when_asked(path, body), status, path)
        for path, secret, status in (
            ("com/acme/expect/1..0/x.jar", None, 400),
            (f"{stem}-more.jar", self.daemon.world.reader, 403),
        ):
            answer = self.request("PUT", path, [], 1000, secret, Expect="100-continue")
            self.assertEqual((answer.interim, answer.status), ((), status), path)
        self.assertEqual(self.request("GET", f"{stem}.jar.asc").body, b"signature")

    def test_head(self) -> None:
        """HEAD tells what GET would, without the body: of files, checksums and metadata of every kind."""
        jar = plugin_jar("p", "headed", "com.heads")
        pom = (
            b"<project><groupId>com.heads</groupId><artifactId>headed</artifactId><version>1.0</version>"
            b"<packaging>maven-plugin</packaging></project>"
        )
        self.assertEqual(self.put("com/heads/headed/1.0/headed-1.0.jar", jar).status, 201)
        self.assertEqual(self.put("com/heads/headed/1.0/headed-1.0.pom", pom).status, 201)
        build = "com/heads/headed/1-SNAPSHOT/headed-1-20261128.093000-1"
        self.assertEqual(self.put(f"{build}.jar", b"x").status, 201)
        snapshot = pom.replace(b"<version>1.0<", b"<version>1-SNAPSHOT<")
        self.assertEqual(self.put(f"{build}.pom", snapshot).status, 201)
        for path in (
            "com/heads/headed/1.0/headed-1.0.jar", "com/heads/headed/1.0/headed-1.0.jar.sha1",
            "com/heads/headed/maven-metadata.xml", "com/heads/headed/maven-metadata.xml.md5",
            "com/heads/headed/1-SNAPSHOT/maven-metadata.xml", "com/heads/maven-metadata.xml",
            "com/heads/maven-metadata.xml.sha256",
        ):  # fmt: skip
            got, head = self.request("GET", path), self.request("HEAD", path)
            self.assertEqual((got.status, head.status, head.body), (200, 200, b""), path)
            for name in ("content-length", "content-type", "etag"):
                self.assertEqual(head.headers[name], got.headers[name], path)
            self.assertEqual(int(got.headers["content-length"]), len(got.body), path)
            self.assertEqual(self.request("GET", path, If_None_Match=got.headers["etag"]).status, 304, path)
        self.assertEqual(self.request("HEAD", "com/heads/headed/9/headed-9.jar").status, 404)

    def test_metadata_follows_at_once(self) -> None:
        """A version whose POM was answered with 201 is in the metadata of the next request, and in its checksum."""
        seen = set()
        for number in range(20):
            path = f"com/acme/moving/1.{number}/moving-1.{number}"
            self.assertEqual(self.put(f"{path}.jar", b"%d" % number).status, 201)
            self.assertEqual(self.put(f"{path}.pom", MOVING_POM % number).status, 201)
            page = self.request("GET", "com/acme/moving/maven-metadata.xml")
            self.assertIn(b"<latest>1.%d</latest>" % number, page.body)
            sha1 = self.request("GET", "com/acme/moving/maven-metadata.xml.sha1").body.decode()
            self.assertEqual(sha1, hashlib.sha1(page.body, usedforsecurity=False).hexdigest())
            seen.add(page.headers["etag"])
        self.assertEqual(len(seen), 20)

    def test_great_jar(self) -> None:
        """A great jar, looked into by an inspector, goes through in little memory."""
        self.assertEqual(self.put("com/acme/great/1.0/great-1.0.jar", b"warm").status, 201)
        self.daemon.reset_peak()
        path = "com/acme/great/2.0/great-2.0.jar"
        mark = b"META-INF/maven/plugin.xml"
        pieces = [mark, *repeated(GREAT_BYTES - len(mark))]
        self.assertEqual(self.request("PUT", path, pieces, GREAT_BYTES).status, 201)
        self.assertLess(self.daemon.peak_bytes(), MAX_PEAK_BYTES)
        self.assertEqual(self.request("GET", path).size_bytes, GREAT_BYTES)
