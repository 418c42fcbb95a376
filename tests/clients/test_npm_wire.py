"""What npm never shows: validators, challenges, bad documents and paths, races, over the socket of a real daemon."""

from __future__ import annotations

import gzip
import json
import threading
from collections import Counter
from collections.abc import Mapping

from tests.formats.npm_hostile import good_document, hostile_documents
from tests.support.blobs import ON_DISK
from tests.support.cases import DaemonTestCase
from tests.support.daemon import Daemon, wait_until
from tests.support.npm import make_document, make_package, make_provenance, with_provenance
from tests.support.rawhttp import Answer, RawConnection
from tests.support.stored import damaged_blobs, staged_files, stored_blobs

RACERS = 24
MAX_FILE_BYTES = 16 << 20
SHORT = "application/vnd.npm.install-v1+json"


class WireTests(DaemonTestCase):
    """One daemon, spoken to over bare sockets."""

    blobs = ON_DISK

    def make_daemon(self) -> Daemon:
        """Have a limit that is soon reached."""
        return Daemon(f"[formats.npm]\nmax_file_bytes = {MAX_FILE_BYTES}\n", blobs=self.blobs)

    def path(self, rest: str, project: str | None = None) -> str:
        """Return a path below the format's address."""
        return f"{self.daemon.packages_path('npm', project or self.daemon.world.private_id)}/{rest}"

    def ask(
        self,
        method: str,
        rest: str,
        body: bytes = b"",
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send a request, with the writer's token unless another is given."""
        authorization = f"Bearer {token or self.daemon.world.writer}"
        length = {} if method in ("GET", "HEAD") else {"Content-Length": str(len(body))}
        with RawConnection(self.daemon.port) as connection:
            sent = {"Authorization": authorization, **length, **(headers or {})}
            return connection.request(method, self.path(rest), sent, [body] if body else [])

    def get(self, rest: str, **headers: str) -> Answer:
        """Read with the reader's token."""
        sent = {key.replace("_", "-"): headers[key] for key in headers}
        return self.ask("GET", rest, token=self.daemon.world.reader, headers=sent)

    def publish(self, name: str, version: str = "1.0.0", code: bytes = b"") -> None:
        """Publish a package."""
        manifest = {"name": name, "version": version}
        document = json.dumps(make_document(manifest, make_package(manifest, code))).encode()
        self.assertEqual(self.ask("PUT", name.replace("/", "%2f"), document).status, 200)

    def assert_refused(self, answer: Answer, what: object) -> str:
        """Assert that an answer is a 4xx that says why in both of the members that clients look at."""
        self.assertIn(answer.status, range(400, 500), f"{what}: {answer.body[:300]!r}")
        fields = json.loads(answer.body)
        self.assertEqual(fields["error"], fields["message"], what)
        self.assertTrue(fields["error"].isprintable(), what)
        return str(fields["error"])

    def test_hostile_documents(self) -> None:
        """Each of the table is a 4xx that says why and leaves nothing; then a good one is taken."""
        count = 0
        stored = stored_blobs(self.daemon.folder)
        for hostile in hostile_documents():
            message = self.assert_refused(self.ask("PUT", "@acme%2flib", hostile.make()), hostile)
            for word in hostile.says:
                self.assertIn(word, message, hostile)
            count += 1
        self.assertGreater(count, 190)
        self.assertEqual(self.get("@acme%2flib").status, 404)
        wait_until(lambda: stored_blobs(self.daemon.folder) == stored, "removal of refused blobs")
        self.assertEqual(staged_files(self.daemon.folder), set())
        self.publish("@acme/lib")

    def test_hostile_paths(self) -> None:
        """Names, versions, files, tags and revisions that are none are refused, to be read, written or removed."""
        self.publish("there")
        names = ("Lib", "LIB", ".lib", "_lib", "@acme", "@acme%2f", "%2flib", "@a%2fb%2fc", "node_modules",
                 "favicon.ico",
                 "lib%00", "lib%0a", "%2e%2e", "..%2flib", "%ff", "%e2%84%aalib", "a" * 215, "lib%0d%0aX:%20y",
                 "%1b%5b2J", "lib%20", "lib%5cx", "%2e")  # fmt: skip
        for name in names:
            document = json.dumps(good_document()).encode()
            for method, rest, body in (
                ("PUT", name, document), ("GET", name, b""), ("GET", f"{name}/1.0.0", b""),
                ("DELETE", f"{name}/-rev/1", b""),
                ("GET", f"-/package/{name}/dist-tags", b""), ("PUT", f"-/package/{name}/dist-tags/a", b'"1.0.0"'),
                ("GET", f"-/npm/v1/attestations/{name}@1.0.0", b""),
            ):  # fmt: skip
                answer = self.ask(method, rest, body)
                self.assertIn(answer.status, range(400, 500), f"{method} {rest}: {answer.body!r}")
        for rest in ("there/-/other-1.0.0.tgz", "there/-/there-1.0.tgz", "there/-/there-1.0.0.zip", "there/-/../there",
                     "there/-/there-01.0.0.tgz", "there/-/a/b/c", "there/-", "there/1.0.0/x", "there/^1", "there/x%2fy",
                     "-/npm/v1/attestations/there", "-/npm/v1/attestations/there@", "-/npm/v1/keys", "-/nothing",
                     "-/v1/search?size=-1", "-/v1/search?from=x", f"there/-/there-{'1' * 5000}.0.0.tgz"):  # fmt: skip
            self.assertIn(self.get(rest).status, range(400, 500), rest)
        for tag in ("1.0.0", "1.x", "*", "x", "%2e%2e", "a%2fb", "%1b", "a" * 129):
            answer = self.ask("PUT", f"-/package/there/dist-tags/{tag}", b'"1.0.0"')
            self.assertIn(answer.status, range(400, 500), tag)
        for body in (
            b"",
            b"1.0.0",
            b'"2.0.0"',
            b'"x"',
            b'"' + b"1" * 2000 + b'"',
            b"[" * 1000,
            b'{"a":1}',
            b'"\\ud800"',
        ):
            self.assertIn(self.ask("PUT", "-/package/there/dist-tags/a", body).status, range(400, 500), body)
        self.assertEqual(json.loads(self.get("-/package/there/dist-tags").body), {"latest": "1.0.0"})

    def test_documents_that_deprecate(self) -> None:
        """Of what comes without a tarball nothing is taken on the word of whoever may only publish, or is malformed."""
        self.publish("old")
        document = {"versions": {"1.0.0": {"deprecated": "x"}}}
        self.assertEqual(self.ask("PUT", "old", json.dumps(document).encode()).status, 403)
        token = self.maintainer()
        for bad in (
            {"versions": {"1.0.0": {"deprecated": 1}}}, {"versions": {"1.0.0": {"deprecated": "\x1b[2J"}}},
            {"versions": {"1.0.0": {"deprecated": "x" * 1001}}}, {"versions": {"9.0.0": {"deprecated": "x"}}},
            {"versions": {"x": {"deprecated": "x"}}}, {"versions": ["deprecated"]}, {"versions": {"1.0.0": {}}},
            {"name": "other", **document}, {**document, "dist-tags": "x" * (5 << 20)},
        ):  # fmt: skip
            self.assert_refused(self.ask("PUT", "old", json.dumps(bad).encode(), token), str(bad)[:100])
        for bad_body in (b'{"time":{' * 50_000, b'{"versions":{"1.0.0":{"a":[', b'{"time":"', b'{"time":1,,}'):
            self.assert_refused(self.ask("PUT", "old", bad_body, token), bad_body[:30])
        self.assertNotIn("deprecated", json.loads(self.get("old").body)["versions"]["1.0.0"])
        self.assertEqual(self.ask("PUT", "old", json.dumps(document).encode(), token).status, 200)
        self.assertEqual(json.loads(self.get("old").body)["versions"]["1.0.0"]["deprecated"], "x")

    def test_sizes(self) -> None:
        """A tarball beyond the limit is 413: before its body where that tells, else in the middle of it."""
        manifest = {"name": "great", "version": "1.0.0"}
        document = json.dumps(make_document(manifest, bytes(MAX_FILE_BYTES + 1))).encode()
        self.assertEqual(self.ask("PUT", "great", document).status, 413)
        headers = {"Expect": "100-continue", "Content-Length": str(200 << 20)}
        answer = self.ask("PUT", "great", headers=headers)
        self.assertEqual((answer.status, answer.interim), (413, ()))
        self.assertEqual(self.ask("PUT", "great", headers=headers, token=self.maintainer()).status, 413)
        wait_until(lambda: not staged_files(self.daemon.folder), "removal of staged files")

    def maintainer(self) -> str:
        """Make a token that may remove things."""
        return self.daemon.cli(
            "token", "add", "--kind", "project", "--project", "acme/private", "--role", "maintainer",
            "--scope", "api", "--name", "maintainer",
        ).strip()  # fmt: skip

    def test_refused_before_the_body(self) -> None:
        """Without the right to publish nothing of a body is read: no 100 Continue is sent."""
        for token, status in ((self.daemon.world.reader, 403), ("nonsense", 401)):
            headers = {"Expect": "100-continue", "Content-Length": "1000"}
            answer = self.ask("PUT", "lib", token=token, headers=headers)
            self.assertEqual((answer.status, answer.interim), (status, ()))

    def test_validators(self) -> None:
        """Both documents and the tags have an ETag of their own, which a change moves and 304 answers."""
        self.publish("validators")
        seen = {}
        for rest, accept in (("validators", "*/*"), ("validators", SHORT), ("-/package/validators/dist-tags", "*/*")):
            answer = self.get(rest, Accept=accept)
            seen[rest, accept] = answer.headers["etag"]
            self.assertEqual(self.get(rest, Accept=accept, If_None_Match=answer.headers["etag"]).status, 304)
        self.assertEqual(len(set(seen.values())), 3)
        packed = self.get("validators", Accept_Encoding="gzip")
        self.assertEqual(json.loads(gzip.decompress(packed.body))["name"], "validators")
        self.publish("validators", "1.1.0")
        for (rest, accept), etag in seen.items():
            self.assertEqual(self.get(rest, Accept=accept, If_None_Match=etag).status, 200, rest)

    def test_addresses(self) -> None:
        """Where tarballs and attestations are is told by the configured address, whatever a client calls us."""
        manifest = {"name": "addressed", "version": "1.0.0"}
        tarball = make_package(manifest)
        document = with_provenance(make_document(manifest, tarball), make_provenance("addressed", "1.0.0", tarball))
        self.assertEqual(self.ask("PUT", "addressed", json.dumps(document).encode()).status, 200)
        for headers in (
            {"Host": "evil.example"},
            {"X-Forwarded-Host": "evil.example"},
            {"Forwarded": "host=evil.example"},
        ):
            answer = self.ask("GET", "addressed", headers=headers)
            self.assertNotIn(b"evil", answer.body)
        dist = json.loads(self.get("addressed").body)["versions"]["1.0.0"]["dist"]
        for address in (dist["tarball"], dist["attestations"]["url"]):
            self.assertTrue(address.startswith(f"{self.daemon.url}/"), address)
            token = {"PRIVATE-TOKEN": self.daemon.world.reader}
            self.assertEqual(self.daemon.get(address.removeprefix(self.daemon.url), token)[0], 200)
            self.assertEqual(self.daemon.get(address.removeprefix(self.daemon.url))[0], 401)

    def test_race(self) -> None:
        """Of many who publish a version at once with different tarballs one wins, and the document has the winner's."""
        manifest = {"name": "race", "version": "1.0.0"}
        tarballs = [make_package(manifest, b"// %d\n" % number) for number in range(RACERS)]
        answers: list[int] = []
        barrier = threading.Barrier(RACERS)

        def run(tarball: bytes) -> None:
            document = json.dumps(make_document(manifest, tarball)).encode()
            barrier.wait()
            answers.append(self.ask("PUT", "race", document).status)

        threads = [threading.Thread(target=run, args=(tarball,)) for tarball in tarballs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(Counter(answers), {200: 1, 403: RACERS - 1})
        self.assertIn(self.get("race/-/race-1.0.0.tgz").body, tarballs)
        wait_until(lambda: not staged_files(self.daemon.folder), "removal of staged files")
        self.assertEqual(damaged_blobs(self.daemon.folder), set())

    def test_unpublish_and_publish_at_once(self) -> None:
        """A package is deleted as it was known, or not at all: what is published meanwhile is never lost."""
        token = self.maintainer()
        for attempt in range(8):
            name = f"gone{attempt}"
            self.publish(name)
            known = json.loads(self.get(name).body)["_rev"]
            statuses: list[int] = []

            def remove(name: str = name, known: str = known, statuses: list[int] = statuses) -> None:
                statuses.append(self.ask("DELETE", f"{name}/-rev/{known}", token=token).status)

            thread = threading.Thread(target=remove)
            thread.start()
            self.publish(name, "2.0.0")
            thread.join()
            (status,) = statuses
            self.assertIn(status, (200, 412))
            versions = list(json.loads(self.get(name).body)["versions"])
            self.assertEqual(versions, ["2.0.0"] if status == 200 else ["1.0.0", "2.0.0"])
