"""Great bodies in constant memory, and a disk that is slower than the network."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterator

from tests.support.blobs import ON_DISK
from tests.support.cases import DaemonTestCase
from tests.support.daemon import Daemon, wait_until
from tests.support.packages import make_great_wheel, upload_form
from tests.support.rawhttp import BUFFER, Answer, RawConnection, repeated
from tests.support.stored import staged_files
from tests.support.variant import SLOW_BYTES_PER_SECOND

MIB = 1 << 20
FULL_BYTES = int(float(os.environ.get("PKGREGD_TORTURE_GIB", "1")) * 1024) * MIB
QUARTER_BYTES = FULL_BYTES // 4

ONE_UPLOAD_BYTES = 120 * MIB
MANY_UPLOADS_BYTES = 160 * MIB
GROWTH_BYTES = 10 * MIB
"""What the daemon may be resident with, and by how much more with a body four times as great."""


def body(size_bytes: int, mark: str) -> Iterator[bytes | memoryview]:
    """Make a body that differs from others by its first bytes."""
    head = mark.encode().ljust(64)
    yield head
    yield from repeated(size_bytes - len(head))


class GreatBodyTests(DaemonTestCase):
    """The daemon's peak of resident memory while bodies go through it."""

    blobs = ON_DISK
    settings = f"[formats.generic]\nmax_file_bytes = {16 << 30}\n[formats.pypi]\nmax_file_bytes = {16 << 30}\n"

    def setUp(self) -> None:
        """Warm up: the first request imports, compiles and opens what is kept."""
        super().setUp()
        self.assertEqual(self.put("warm/1.0/up.bin", 4 * MIB).status, 201)

    def path(self, rest: str) -> str:
        """Return the URL path of a generic file."""
        return f"{self.daemon.packages_path('generic', self.daemon.world.private_id)}/{rest}"

    def put(self, rest: str, size_bytes: int, *, query: str = "", tls: ssl.SSLContext | None = None) -> Answer:
        """Upload a generic file."""
        headers = {"PRIVATE-TOKEN": self.daemon.world.writer, "Content-Length": str(size_bytes)}
        port = self.daemon.tls_port if tls else self.daemon.port
        with RawConnection(port, tls=tls) as connection:
            return connection.request("PUT", self.path(rest) + query, headers, body(size_bytes, rest))

    def peak_of(self, action: Callable[[], object]) -> int:
        """Return the daemon's peak of memory during an action, and tell it."""
        self.daemon.reset_peak()
        action()
        peak_bytes = self.daemon.peak_bytes()
        sys.stdout.write(f"\n  peak {peak_bytes / MIB:.1f} MiB ")
        return peak_bytes

    def assert_flat(self, action: Callable[[int], object]) -> None:
        """Fail unless the action takes little memory with a quarter of the size, and hardly more with all of it."""
        quarter = self.peak_of(lambda: action(QUARTER_BYTES))
        full = self.peak_of(lambda: action(FULL_BYTES))
        self.assertLess(full, ONE_UPLOAD_BYTES)
        self.assertLess(full - quarter, GROWTH_BYTES)

    def test_raw_body(self) -> None:
        """A PUT of any size takes the memory of a small one, and every byte arrives."""

        def upload(size_bytes: int) -> None:
            answer = self.put(f"raw/1.0/{size_bytes}.bin", size_bytes, query="?select=package_file")
            self.assertEqual(answer.status, 200, answer.body)
            digest = hashlib.sha256()
            for piece in body(size_bytes, f"raw/1.0/{size_bytes}.bin"):
                digest.update(piece)
            self.assertEqual(json.loads(answer.body)["file_sha256"], digest.hexdigest())

        self.assert_flat(upload)

    def test_multipart_body(self) -> None:
        """So does a form, with a wheel in it that is inspected before it is published."""

        def upload(size_bytes: int) -> None:
            wheel = make_great_wheel("great", f"1.{size_bytes}", size_bytes)
            form = upload_form("great", wheel.version, wheel.file_name, wheel.sha256, wheel.pieces)
            headers = {"PRIVATE-TOKEN": self.daemon.world.writer, **form.headers}
            with RawConnection(self.daemon.port) as connection:
                path = self.daemon.packages_path("pypi", self.daemon.world.private_id)
                answer = connection.request("POST", path, headers, form)
            self.assertEqual(answer.status, 201, answer.body)

        self.assert_flat(upload)

    def test_download(self) -> None:
        """A download takes no more memory than its size demands, which is none."""
        for size_bytes in (QUARTER_BYTES, FULL_BYTES):
            self.assertEqual(self.put(f"down/1.0/{size_bytes}.bin", size_bytes).status, 201)

        def download(size_bytes: int) -> None:
            with RawConnection(self.daemon.port) as connection:
                path = self.path(f"down/1.0/{size_bytes}.bin")
                answer = connection.request("GET", path, {"PRIVATE-TOKEN": self.daemon.world.reader}, keep=False)
            self.assertEqual((answer.status, answer.size_bytes), (200, size_bytes))

        self.assert_flat(download)

    def test_over_tls(self) -> None:
        """Encryption buffers nothing either, up or down."""
        context = ssl.create_default_context(cafile=self.daemon.ca_file)
        size_bytes = 256 * MIB

        def there_and_back() -> None:
            self.assertEqual(self.put("tls/1.0/tls.bin", size_bytes, tls=context).status, 201)
            with RawConnection(self.daemon.tls_port, tls=context) as connection:
                headers = {"PRIVATE-TOKEN": self.daemon.world.reader}
                answer = connection.request("GET", self.path("tls/1.0/tls.bin"), headers, keep=False)
            self.assertEqual((answer.status, answer.size_bytes), (200, size_bytes))

        self.assertLess(self.peak_of(there_and_back), ONE_UPLOAD_BYTES)

    def test_sixteen_at_once(self) -> None:
        """Sixteen uploads of 64 MiB share their memory."""
        statuses: list[int] = []

        def upload(number: int) -> None:
            statuses.append(self.put(f"many/1.0/{number}.bin", 64 * MIB).status)

        def all_of_them() -> None:
            threads = [threading.Thread(target=upload, args=(number,)) for number in range(16)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

        self.assertLess(self.peak_of(all_of_them), MANY_UPLOADS_BYTES)
        self.assertEqual(statuses, [201] * 16)

    def test_readers_that_do_not_read(self) -> None:
        """Thirty-two downloads that stand still hold no memory worth speaking of, and others are served."""
        self.assertEqual(self.put("idle/1.0/idle.bin", QUARTER_BYTES).status, 201)

        def stand_still() -> None:
            connections = [RawConnection(self.daemon.port) for _ in range(32)]
            try:
                for connection in connections:
                    connection.send_head(
                        "GET", self.path("idle/1.0/idle.bin"), {"PRIVATE-TOKEN": self.daemon.world.reader}
                    )
                for connection in connections:
                    self.assertEqual(connection.socket.recv(12), b"HTTP/1.1 200")
                self.assertEqual(self.put("idle/1.0/other.bin", 8 * MIB).status, 201)
            finally:
                for connection in connections:
                    connection.close()

        self.assertLess(self.peak_of(stand_still), MANY_UPLOADS_BYTES)


class SlowDiskTests(DaemonTestCase):
    """A disk of 1 MiB a second."""

    ON_THE_WAY_BYTES = 24 * MIB
    """What the socket buffers of both ends, one read and the sink hold: loopback's own are 6 MiB and more."""

    def make_daemon(self) -> Daemon:
        """Make the variant with the slow disk."""
        return Daemon(program=[sys.executable, "-m", "tests.support.variant", "slow"], blobs=ON_DISK)

    def test_the_client_is_made_to_wait(self) -> None:
        """The kernel takes little more of a body than the disk does, and nothing piles up in the daemon."""
        headers = {"PRIVATE-TOKEN": self.daemon.world.writer, "Content-Length": str(1 << 30)}
        path = f"{self.daemon.packages_path('generic', self.daemon.world.private_id)}/slow/1.0/slow.bin"
        self.daemon.reset_peak()
        before_bytes = self.daemon.resident_bytes()
        with RawConnection(self.daemon.port) as connection:
            connection.send_head("PUT", path, headers)
            started_at = time.monotonic()
            sent_bytes = self.send_for(connection.socket, 6.0)
            allowed_bytes = self.ON_THE_WAY_BYTES + (time.monotonic() - started_at) * SLOW_BYTES_PER_SECOND
            peak_bytes = self.daemon.peak_bytes()
        grown_mib = (peak_bytes - before_bytes) / MIB
        sys.stdout.write(f"\n  the kernel took {sent_bytes / MIB:.1f} MiB, memory grew by {grown_mib:.1f} MiB ")
        self.assertGreater(sent_bytes, 4 * MIB)
        self.assertLess(sent_bytes, allowed_bytes)
        self.assertLess(peak_bytes - before_bytes, 12 * MIB)
        wait_until(lambda: not staged_files(self.daemon.folder), "removal of what the client left")

    def send_for(self, connection: socket.socket, seconds: float) -> int:
        """Send as much as the kernel takes in so long; returns how much that was."""
        connection.settimeout(0.25)
        deadline = time.monotonic() + seconds
        sent_bytes = 0
        while time.monotonic() < deadline:
            try:
                sent_bytes += connection.send(BUFFER)
            except TimeoutError:
                continue
        return sent_bytes
