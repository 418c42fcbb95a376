"""What the reactor thread does at a stretch: no turn of it uses more than BOUND_MS of CPU time; see Spans."""

from __future__ import annotations

import signal
import ssl
import sys
from collections.abc import Mapping
from typing import Any

from tests.http.test_parsing import REFUSED
from tests.support.daemon import wait_until
from tests.support.packages import make_great_wheel, upload_form
from tests.support.rawhttp import RawConnection, repeated
from tests.support.watchdog import BURN_SECONDS, SLEEP_SECONDS
from tests.support.watched import BOUND_MS, REPETITIONS, Turn, WatchedCase, in_parallel, shown

MIB = 1 << 20
INDEX_FILES = 500


class ControlTests(WatchedCase):
    """The watchdog itself, and what it sees of misdeeds on purpose."""

    def setUp(self) -> None:
        """Have all of MISDEEDS done, and gather what was seen."""
        super().setUp()
        self.take_report()
        self.turns: list[Turn] = []
        self.collections: list[Mapping[str, Any]] = []
        self.daemon.process.send_signal(signal.SIGUSR2)

        def has_collected() -> bool:
            report = self.take_report()
            self.turns += report["longest"]
            self.collections += report["collections"]
            return any(pause["generation"] == 2 for pause in self.collections)

        wait_until(has_collected, "the last misdeed")

    def test_computing_is_caught(self) -> None:
        """A turn that computes is above the bound, and its stack says what it was."""
        longest = max(self.turns, key=lambda turn: turn["cpu_ms"])
        self.assertGreaterEqual(longest["cpu_ms"], BURN_SECONDS * 1000)
        self.assertIn(":burn:", " ".join(frame for look in longest["looks"] for frame in look["stack"]), shown(longest))

    def test_sleeping_is_not(self) -> None:
        """A turn that only waits has used nothing."""
        slept = min(
            (turn for turn in self.turns if turn["wall_ms"] >= SLEEP_SECONDS * 1000), key=lambda turn: turn["cpu_ms"]
        )
        self.assertLess(slept["cpu_ms"], BOUND_MS)

    def test_collecting_is_told_apart(self) -> None:
        """What a collection of garbage takes is not the turn's."""
        collected = max(self.turns, key=lambda turn: turn["gc_ms"])
        full_ms = [pause["cpu_ms"] for pause in self.collections if pause["generation"] == 2]
        self.assertGreaterEqual(collected["gc_ms"], min(full_ms))
        self.assertLess(collected["cpu_ms"], BURN_SECONDS * 1000)

    def test_a_full_collection_is_short(self) -> None:
        """A collection of everything holds the reactor up no longer than anything else may."""
        full_ms = [pause["cpu_ms"] for pause in self.collections if pause["generation"] == 2]
        sys.stdout.write(f"\n  a full collection takes {min(full_ms):.1f} ms ")
        self.assertLess(min(full_ms), BOUND_MS)


class TurnTests(WatchedCase):
    """Actions of clients."""

    def test_great_uploads(self) -> None:
        """64 MiB as they are, one and two at once, and chunked."""
        size_bytes = 64 * MIB

        def chunked(number: int) -> None:
            chunk = [b"%x\r\n" % MIB, next(repeated(MIB)), b"\r\n"]
            headers = {**self.token, "Transfer-Encoding": "chunked"}
            self.send("PUT", f"{self.generic}/chunks/1.0/{number}", headers, [*chunk * 64, b"0\r\n\r\n"], 201)

        def two(number: int) -> None:
            in_parallel(lambda half: self.put(f"two/1.0/{number}-{half}", size_bytes // 2), range(2))

        self.assert_short(self.watch("64 MiB", lambda number: self.put(f"raw/1.0/{number}", size_bytes)))
        self.assert_short(self.watch("twice 32 MiB", two))
        self.assert_short(self.watch("64 MiB in chunks", chunked))

    def test_great_forms(self) -> None:
        """A wheel of 64 MiB in a form, inspected and published."""

        def upload(number: int) -> None:
            wheel = make_great_wheel("great", f"1.{number}", 64 * MIB)
            form = upload_form("great", wheel.version, wheel.file_name, wheel.sha256, wheel.pieces)
            self.send("POST", self.pypi, {**self.token, **form.headers}, form, 201)

        self.assert_short(self.watch("form of 64 MiB", upload))

    def test_small_files(self) -> None:
        """Two hundred uploads, downloads of them, and lists."""

        def upload(number: int) -> None:
            in_parallel(lambda file: self.put(f"small{number}/1.0/{file}", 10_000), range(200))

        def download(number: int) -> None:
            in_parallel(lambda file: self.get(f"{self.generic}/small{number}/1.0/{file}"), range(200))

        def lists(number: int) -> None:
            for path in ("1.0/", ""):
                self.get(f"{self.generic}/small{number}/{path}")

        for name, action in (("200 small uploads", upload), ("200 small downloads", download), ("lists of 200", lists)):
            self.assert_short(self.watch(name, action))

    def test_great_downloads(self) -> None:
        """64 MiB, whole and in ranges, over TLS too, where 64 MiB go up as well."""
        size_bytes = 64 * MIB
        path = f"{self.generic}/down/1.0/x"
        self.put("down/1.0/x", size_bytes)
        context = ssl.create_default_context(cafile=self.daemon.ca_file)

        def whole(_: int) -> None:
            self.assertEqual(self.get(path).size_bytes, size_bytes)
            for start in range(0, size_bytes, 8 * MIB):
                self.assertEqual(self.get(path, 206, Range=f"bytes={start}-{start + 99}").size_bytes, 100)

        def over_tls(number: int) -> None:
            headers = {**self.token, "Content-Length": str(size_bytes)}
            with RawConnection(self.daemon.tls_port, tls=context) as connection:
                put = connection.request("PUT", f"{self.generic}/tls/1.0/{number}", headers, repeated(size_bytes))
                self.assertEqual(put.status, 201)
                self.assertEqual(connection.request("GET", path, self.token, keep=False).size_bytes, size_bytes)

        self.assert_short(self.watch("download of 64 MiB", whole))
        self.assert_short(self.watch("64 MiB up and down over TLS", over_tls))

    def test_index(self) -> None:
        """An index of INDEX_FILES files, rendered anew after a change, in every form, by project and by group."""
        share = INDEX_FILES // REPETITIONS

        def publish(number: int) -> None:
            in_parallel(self.publish, range(number * share, (number + 1) * share))

        self.assert_short(self.watch(f"{share} wheels", publish))
        group = f"/api/v4/groups/{self.daemon.world.group}/-/packages/pypi/simple/many/"

        def read(number: int) -> None:
            self.publish(INDEX_FILES + number)
            for path in (f"{self.pypi}/simple/many/", group, f"{self.pypi}/simple/"):
                for accept in ("text/html", "application/vnd.pypi.simple.v1+json"):
                    for encoding in ("identity", "gzip"):
                        tag = self.get(path, Accept=accept, Accept_Encoding=encoding).headers["etag"]
                        self.get(path, 304, Accept=accept, Accept_Encoding=encoding, If_None_Match=tag)

        self.assert_short(self.watch(f"index of {INDEX_FILES}", read))

    def test_refusals(self) -> None:
        """What is not there, what is not allowed, and what is no request."""

        def missing(_: int) -> None:
            in_parallel(lambda file: self.get(f"{self.generic}/nope/1.0/{file}", 404), range(100))

        def unknown(_: int) -> None:
            path = f"{self.generic}/nope/1.0/x"
            in_parallel(
                lambda _: self.send("PUT", path, {"Content-Length": "100000"}, repeated(100_000), 401), range(50)
            )
            in_parallel(lambda _: self.send("GET", path, {}, (), 401), range(50))

        def malformed(_: int) -> None:
            for text, status in REFUSED.values():
                with RawConnection(self.daemon.port) as connection:
                    connection.send_body([text.replace("\n", "\r\n").encode("latin-1") + b"\r\n\r\n"])
                    self.assertEqual(connection.read_answer().status, status)

        self.assert_short(self.watch("100 times 404", missing))
        self.assert_short(self.watch("100 times 401", unknown))
        self.assert_short(self.watch("malformed heads", malformed))

    def test_manual(self) -> None:
        """The pages of the manual."""

        def read(_: int) -> None:
            for path in ("", "/", "/generic", "/pypi", "/access", "/pypi.md", "/style.css"):
                self.get(f"/help{path}", Accept_Encoding="gzip")

        self.assert_short(self.watch("manual", read))

    def test_tiny_chunks(self) -> None:
        """A body of three hundred thousand chunks of one byte, whose first come with the head."""
        chunks = b"1\r\na\r\n" * 30_000

        def upload(number: int) -> None:
            head = (
                f"PUT {self.generic}/tiny/1.0/{number} HTTP/1.1\r\nHost: x\r\n"
                f"PRIVATE-TOKEN: {self.daemon.world.writer}\r\nTransfer-Encoding: chunked\r\n\r\n"
            )
            with RawConnection(self.daemon.port) as connection:
                connection.send_body([head.encode() + chunks, *[chunks] * 9, b"0\r\n\r\n"])
                self.assertEqual(connection.read_answer().status, 201)

        self.assert_short(self.watch("tiny chunks", upload))

    def test_many_parts(self) -> None:
        """A form of a hundred thousand empty fields, refused after the first few."""
        empty = b'--xyz\r\nContent-Disposition: form-data; name="a"\r\n\r\n\r\n'
        pieces = [empty * 1000] * 100 + [b"--xyz--\r\n"]
        headers = {
            **self.token,
            "Content-Type": "multipart/form-data; boundary=xyz",
            "Content-Length": str(sum(map(len, pieces))),
        }
        self.assert_short(self.watch("many parts", lambda _: self.send("POST", self.pypi, headers, pieces, 400)))
