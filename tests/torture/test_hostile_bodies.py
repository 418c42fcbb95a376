"""Bodies made to cost memory or time: each is answered with its 4xx or taken, and the daemon stays small."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterable, Iterator

from tests.support.blobs import ON_DISK
from tests.support.cases import DaemonTestCase
from tests.support.rawhttp import Answer, RawConnection, repeated
from tests.support.stored import staged_files

MIB = 1 << 20
GROWTH_BYTES = 64 * MIB
"""What a body may cost at the most, and two hundred at once together."""

PARALLEL = 200
FILE_PART = b'--xyz\r\nContent-Disposition: form-data; name="content"; filename="a-1.0.tar.gz"\r\n\r\n'


class HostileBodyTests(DaemonTestCase):
    """One body after the other."""

    blobs = ON_DISK

    def setUp(self) -> None:
        """Have everything imported and opened before memory is looked at."""
        super().setUp()
        self.assertEqual(self.put("warm", [b"abc"]).status, 201)

    def put(self, name: str, pieces: Iterable[bytes | memoryview]) -> Answer:
        """Upload a generic file with a body that is chunked already, or whole."""
        whole = list(pieces)
        return self.send("PUT", f"generic:/{name}/1.0/x.bin", {"Content-Length": str(sum(map(len, whole)))}, whole)

    def send(self, method: str, where: str, headers: dict[str, str], pieces: Iterable[bytes | memoryview]) -> Answer:
        """Send a body as a developer; `where` is FORMAT:REST."""
        format_name, _, rest = where.partition(":")
        path = self.daemon.packages_path(format_name, self.daemon.world.private_id) + rest
        with RawConnection(self.daemon.port, timeout_seconds=120) as connection:
            return connection.request(method, path, {"PRIVATE-TOKEN": self.daemon.world.writer, **headers}, pieces)

    def post(self, pieces: list[bytes], boundary: str = "xyz") -> Answer:
        """Send a form."""
        headers = {
            "Content-Type": f"multipart/form-data; boundary={boundary}",
            "Content-Length": str(sum(map(len, pieces))),
        }
        return self.send("POST", "pypi:", headers, pieces)

    def assert_small(self, before_bytes: int) -> None:
        """Fail if memory has grown by too much since it was looked at."""
        grown_bytes = self.daemon.peak_bytes() - before_bytes
        sys.stdout.write(f"\n  memory grew by {grown_bytes / MIB:.1f} MiB ")
        self.assertLess(grown_bytes, GROWTH_BYTES)

    def start_watching(self) -> int:
        """Begin to look at memory; returns what it is now."""
        self.daemon.reset_peak()
        return self.daemon.resident_bytes()

    def test_a_million_tiny_chunks(self) -> None:
        """They are one file of a million bytes."""
        before_bytes = self.start_watching()
        pieces = [b"1\r\na\r\n" * 1000] * 1000
        answer = self.send("PUT", "generic:/tiny/1.0/x.bin", {"Transfer-Encoding": "chunked"}, [*pieces, b"0\r\n\r\n"])
        self.assertEqual(answer.status, 201, answer.body)
        self.assert_small(before_bytes)

    def test_others_are_served_meanwhile(self) -> None:
        """While a body of tiny chunks comes, small requests are answered one after the other."""
        slowest_seconds, count = 0.0, 0
        sender = threading.Thread(target=self.test_a_million_tiny_chunks)
        sender.start()
        while sender.is_alive():
            started_at = time.monotonic()
            self.assertEqual(self.daemon.get("/-/livez")[0], 200)
            slowest_seconds = max(slowest_seconds, time.monotonic() - started_at)
            count += 1
        sender.join()
        sys.stdout.write(f"\n  {count} answers, the slowest after {slowest_seconds * 1000:.0f} ms ")
        self.assertGreater(count, 10)

    def test_forms(self) -> None:
        """Too many parts, too long headers, forms in forms, forms without an end."""
        before_bytes = self.start_watching()
        empty = b'--xyz\r\nContent-Disposition: form-data; name="a"\r\n\r\n\r\n'
        nested = b"--xyz\r\nContent-Disposition: form-data; name=a\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
        for name, pieces in {
            "a hundred thousand parts": [empty * 1000] * 100 + [b"--xyz--\r\n"],
            "a header of a mebibyte": [b"--xyz\r\nX: ", b"a" * MIB, b"\r\n\r\n\r\n--xyz--\r\n"],
            "a header without an end": [b"--xyz\r\n", b"a" * (4 * MIB)],
            "a field of 8 MiB": [empty[:-2], b"a" * (8 * MIB), b"\r\n--xyz--\r\n"],
            "no last boundary": [FILE_PART, b"a" * 1000],
            "a form in a form": [nested, b"--b\r\n\r\nx\r\n--b--\r\n--xyz--\r\n"],
            "64 MiB of line ends": [FILE_PART, *[b"\r\n" * (MIB // 2)] * 64, b"--xyz--\r\n"],
            "64 MiB of nearly boundaries": [FILE_PART, *[b"\r\n--xyy" * (MIB // 7)] * 64, b"\r\n--xyz--\r\n"],
        }.items():
            started_at = time.monotonic()
            answer = self.post(pieces)
            sys.stdout.write(f"\n  {name}: {answer.status} after {time.monotonic() - started_at:.2f} s ")
            self.assertEqual(answer.status, 400, f"{name}: {answer.body!r}")
        self.assertEqual(self.post([b"a"], boundary="a" * MIB).status, 431)
        self.assert_small(before_bytes)

    def test_many_at_once(self) -> None:
        """Two hundred uploads that all go on share their memory."""
        before_bytes = self.start_watching()
        statuses: list[int] = []
        threads = [threading.Thread(target=self._upload, args=(number, statuses)) for number in range(PARALLEL)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(statuses, [201] * PARALLEL)
        self.assert_small(before_bytes)

    def _upload(self, number: int, statuses: list[int]) -> None:
        def pieces() -> Iterator[bytes | memoryview]:
            yield b"%016d" % number
            yield from repeated(4 * MIB - 16)

        statuses.append(self.put(f"many{number}", pieces()).status)

    def test_zy_nothing_is_left(self) -> None:
        """The refused ones have left nothing behind."""
        self.assertEqual(staged_files(self.daemon.folder), set())
