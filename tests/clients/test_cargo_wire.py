"""What cargo never shows: validators, challenges, bad requests, races and memory, over the socket of a real daemon."""

from __future__ import annotations

import gzip
import json
import os
import struct
import threading
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from tests.formats.cargo_world import crate, dependency, frame, manifest, metadata
from tests.formats.test_cargo_hostile import hostile_requests
from tests.support.archives import TAR_END, header, member
from tests.support.blobs import ON_DISK
from tests.support.cases import DaemonTestCase
from tests.support.daemon import wait_until
from tests.support.rawhttp import Answer, RawConnection
from tests.support.stored import staged_files, stored_blobs

MIB = 1 << 20
GREAT_BYTES = 192 * MIB
MAX_PEAK_BYTES = 120 * MIB
RACERS = 24


class WireTests(DaemonTestCase):
    """One daemon, spoken to over bare sockets."""

    blobs = ON_DISK

    def path(self, rest: str, project: str | None = None) -> str:
        """Return a path below the format's address."""
        return f"{self.daemon.packages_path('cargo', project or self.daemon.world.private_id)}/{rest}"

    def put(
        self, pieces: Iterable[bytes | memoryview], size_bytes: int, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send a publish request as cargo does, with the writer's token."""
        sent = {"Authorization": self.daemon.world.writer, "Content-Length": str(size_bytes), **(headers or {})}
        with RawConnection(self.daemon.port) as connection:
            return connection.request("PUT", self.path("api/v1/crates/new"), sent, pieces)

    def get(self, rest: str, **headers: str) -> Answer:
        """Read with the reader's token."""
        sent = {"Authorization": self.daemon.world.reader, **{key.replace("_", "-"): headers[key] for key in headers}}
        with RawConnection(self.daemon.port) as connection:
            return connection.request("GET", self.path(rest), sent)

    def publish(self, name: str, version: str = "1.0.0") -> None:
        """Publish a crate."""
        body = frame(metadata(name, version), crate(name, version))
        self.assertEqual(self.put([body], len(body)).status, 200)

    def test_validators(self) -> None:
        """An index file has an ETag, which a publish moves and 304 answers, and is compressed for who takes that."""
        for number in range(20):
            self.publish("validators", f"1.{number}.0")
        plain = self.get("va/li/validators")
        self.assertEqual(plain.body.count(b"\n"), 20)
        etag = plain.headers["etag"]
        packed = self.get("va/li/validators", accept_encoding="gzip")
        self.assertEqual(packed.headers["content-encoding"], "gzip")
        self.assertEqual(gzip.decompress(packed.body), plain.body)
        self.assertEqual(self.get("va/li/validators", if_none_match=etag).status, 304)
        self.publish("validators", "2.0.0")
        fresh = self.get("va/li/validators", if_none_match=etag)
        self.assertEqual((fresh.status, fresh.body.count(b"\n")), (200, 21))

    def test_refusals(self) -> None:
        """What cannot be answered has cargo's shape, and a token is asked for where one is missing."""
        for rest, status in {
            "ab/se/absent": 404,
            "xx/xx/absent": 400,
            "absent/1.0.0/download": 404,
            "absent/x/download": 404,
        }.items():
            answer = self.get(rest)
            self.assertEqual(answer.status, status, rest)
            (error,) = json.loads(answer.body)["errors"]
            self.assertGreater(len(error["detail"]), 10)
        for rest in ("config.json", "ab/se/absent", "api/v1/crates?q=x"):
            status, headers, body = self.daemon.get(self.path(rest))
            self.assertEqual((status, headers["WWW-Authenticate"]), (401, "Cargo"))
            (error,) = json.loads(body)["errors"]
            self.assertIn("authentication is required", error["detail"])
        self.assertEqual(self.daemon.get(self.path("config.json", self.daemon.world.public_id))[0], 200)

    def test_hidden_and_missing_are_the_same(self) -> None:
        """At the instance a group that is private, and one that is not there, look alike, to whoever sees neither."""
        self.daemon.cli("group", "add", "closed", "--visibility", "private")
        self.daemon.cli("project", "add", "closed/crates", "--visibility", "private")
        for secret, status in (("", 401), (self.daemon.world.stranger, 404)):
            headers = {"Authorization": secret} if secret else {}
            for folder in ("", "members/"):
                answers = []
                for name in ("closed-x", "absent-x"):
                    for rest in (f"{name[:2]}/{name[2:4]}/{name}", f"{name}/1.0.0/download"):
                        found = self.daemon.get(f"/api/v4/packages/cargo/{folder}{rest}", headers)
                        (reason,) = json.loads(found[2])["errors"]
                        answers.append((found[0], found[1]["WWW-Authenticate"], reason["detail"]))
                self.assertEqual({answer[0] for answer in answers}, {status})
                self.assertEqual(len(set(answers)), 1)
        self.assertEqual(self.daemon.get("/api/v4/packages/cargo/config.json")[0], 200)
        status, headers, _ = self.daemon.get("/api/v4/packages/cargo/members/config.json")
        self.assertEqual((status, headers["WWW-Authenticate"]), (401, "Cargo"))

    def test_refused_before_the_body(self) -> None:
        """Without the right to publish nothing of a body is read: no 100 Continue is sent."""
        headers = {"Expect": "100-continue", "Authorization": self.daemon.world.reader}
        answer = self.put([], 1000, headers)
        self.assertEqual((answer.status, answer.interim), (403, ()))

    def test_hostile_requests(self) -> None:
        """Each of the table is a 4xx that says why and leaves nothing; then a good one is taken."""
        count = 0
        stored = stored_blobs(self.daemon.folder)
        for hostile in hostile_requests():
            body = hostile.make()
            answer = self.put([body], len(body))
            self.assertIn(answer.status, range(400, 500), f"{hostile}: {answer.body!r}")
            (error,) = json.loads(answer.body)["errors"]
            self.assertTrue(error["detail"].isprintable(), hostile)
            for word in hostile.says:
                self.assertIn(word, error["detail"], hostile)
            count += 1
        self.assertGreater(count, 250)
        self.assertEqual(self.get("de/mo/demo").status, 404)
        wait_until(lambda: stored_blobs(self.daemon.folder) == stored, "removal of refused blobs")
        self.assertEqual(staged_files(self.daemon.folder), set())
        self.publish("demo")

    def put_at_once(self, bodies: Sequence[bytes]) -> Sequence[int]:
        """Send publish requests at the same moment; returns their statuses, in no order."""
        answers: list[int] = []
        barrier = threading.Barrier(len(bodies))

        def run(body: bytes) -> None:
            barrier.wait()
            answers.append(self.put([body], len(body)).status)

        threads = [threading.Thread(target=run, args=(body,)) for body in bodies]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return answers

    def test_race_of_spellings(self) -> None:
        """Of many who publish versions of a new crate at once, in two spellings, only those of one spelling get in."""
        crates = [("two-ways", "two_ways")[number % 2] for number in range(RACERS)]
        versions = [f"{number}.0.0" for number in range(RACERS)]
        bodies = [frame(metadata(*each), crate(*each)) for each in zip(crates, versions, strict=True)]
        self.assertEqual(Counter(self.put_at_once(bodies)), {200: RACERS // 2, 400: RACERS // 2})
        found = [self.get(f"tw/o{mark}/two{mark}ways").status for mark in "-_"]
        self.assertEqual(sorted(found), [200, 404])

    def test_race(self) -> None:
        """Of many who publish a version at once with different crates one wins, and the index has the winner's."""
        bodies = [frame(metadata("race"), crate("race", source=b"// %d\n" % number)) for number in range(RACERS)]
        self.assertEqual(Counter(self.put_at_once(bodies)), {200: 1, 409: RACERS - 1})
        (line,) = map(json.loads, self.get("ra/ce/race").body.splitlines())
        winner = self.get("race/1.0.0/download").body
        self.assertIn(frame(metadata("race"), winner), bodies)
        self.assertIn(line["cksum"], stored_blobs(self.daemon.folder))

    def test_own_registry(self) -> None:
        """A dependency on a crate of this registry is known as one by the address that cargo was given."""
        index = f"sparse+{self.daemon.url}{self.path('')}"
        toml = f'[dependencies]\nbase = {{ version = "1", registry-index = "{index}" }}\n'
        body = frame(metadata("depending", deps=[dependency()]), crate("depending", more=toml))
        self.assertEqual(self.put([body], len(body)).status, 200)

    def test_great_crate(self) -> None:
        """A great crate goes through in little memory."""
        packer = zlib.compressobj(0, wbits=31)
        noise = os.urandom(MIB)
        pieces = [packer.compress(member(b"great-1.0.0/Cargo.toml", manifest("great")))]
        pieces.append(packer.compress(header(b"great-1.0.0/noise", GREAT_BYTES)))
        pieces += [packer.compress(noise) for _ in range(GREAT_BYTES // MIB)]
        pieces += [packer.compress(TAR_END), packer.flush()]
        size_bytes = sum(map(len, pieces))
        text = json.dumps(metadata("great")).encode()
        head = struct.pack("<I", len(text)) + text + struct.pack("<I", size_bytes)
        self.publish("warm")
        self.daemon.reset_peak()
        answer = self.put([head, *pieces], len(head) + size_bytes)
        self.assertEqual(answer.status, 200, answer.body)
        self.assertLess(self.daemon.peak_bytes(), MAX_PEAK_BYTES)
        self.assertEqual(self.get("great/1.0.0/download").size_bytes, size_bytes)
