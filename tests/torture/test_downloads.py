"""Great downloads over a real socket, as the kernel sends them."""

from __future__ import annotations

import contextlib
import os
import random
from collections.abc import Mapping

from tests.support.blobs import ON_DISK
from tests.support.cases import DaemonTestCase
from tests.support.daemon import wait_until
from tests.support.rawhttp import RawConnection

DATA = random.Random(1).randbytes(23_000_003)
"""More than the kernel keeps between two ends."""

SPANS = ((0, 100_000), (1, 9_000_000), (4 << 20, (4 << 20) + 65_537), (len(DATA) - 70_000, len(DATA)))


class GreatFileTestCase(DaemonTestCase):
    """A stored file."""

    def setUp(self) -> None:
        """Upload it."""
        super().setUp()
        self.path = self.daemon.packages_path("generic", self.daemon.world.private_id) + "/down/1.0/down.bin"
        headers = {"PRIVATE-TOKEN": self.daemon.world.writer, "Content-Length": str(len(DATA))}
        with RawConnection(self.daemon.port) as connection:
            self.assertEqual(connection.request("PUT", self.path, headers, [DATA]).status, 201)

    def headers(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """Make a reader's headers."""
        return {"PRIVATE-TOKEN": self.daemon.world.reader, **(extra or {})}


class DownloadTests(GreatFileTestCase):
    """A great file over plain HTTP."""

    def test_one_connection(self) -> None:
        """Whole files, pieces and small replies follow each other on one connection, each in its place."""
        with RawConnection(self.daemon.port) as connection:
            for start, stop in SPANS:
                answer = connection.request("GET", self.path, self.headers())
                self.assertEqual((answer.status, answer.body == DATA), (200, True))
                answer = connection.request("GET", self.path, self.headers({"Range": f"bytes={start}-{stop - 1}"}))
                self.assertEqual((answer.status, answer.body == DATA[start:stop]), (206, True))
                self.assertEqual(connection.request("GET", "/-/livez", {}).status, 200)

    def test_pipelined(self) -> None:
        """Requests that were all sent before the first answer was read are answered in their order."""
        with RawConnection(self.daemon.port) as connection:
            for start, stop in SPANS:
                connection.send_head("GET", self.path, self.headers({"Range": f"bytes={start}-{stop - 1}"}))
                connection.send_head("GET", self.path, self.headers())
                connection.send_head("GET", "/-/livez", {})
            for start, stop in SPANS:
                self.assertTrue(connection.read_answer().body == DATA[start:stop])
                self.assertTrue(connection.read_answer().body == DATA)
                self.assertEqual(connection.read_answer().status, 200)

    def test_clients_that_leave(self) -> None:
        """A client that leaves, at once or in the middle, leaves no file and no socket open."""
        self.test_one_connection()
        before = len(self.open_sockets_and_blobs())
        for read_bytes in (0, 12, 1_000_000, 20_000_000) * 3:
            with RawConnection(self.daemon.port) as connection:
                connection.send_head("GET", self.path, self.headers())
                while read_bytes > 0:
                    read_bytes -= len(connection.socket.recv(min(read_bytes, 65536)))
        wait_until(lambda: len(self.open_sockets_and_blobs()) <= before, "the end of all that clients left")
        self.test_one_connection()

    def open_sockets_and_blobs(self) -> list[str]:
        """List the sockets and stored files that the daemon has open."""
        folder = f"/proc/{self.daemon.process.pid}/fd"
        found: list[str] = []
        for name in os.listdir(folder):
            with contextlib.suppress(FileNotFoundError):
                found.append(os.readlink(f"{folder}/{name}"))
        return sorted(path for path in found if path.startswith("socket:") or "/blobs/" in path)


class DamageTests(GreatFileTestCase):
    """A file that changes behind the daemon's back."""

    blobs = ON_DISK

    def test_a_torn_file(self) -> None:
        """A file that ends early ends the connection: no client takes it for whole, and no other reply follows."""
        with RawConnection(self.daemon.port) as connection:
            connection.send_head("GET", self.path, self.headers())
            self.assertEqual(connection.socket.recv(12), b"HTTP/1.1 200")
            for folder, _, names in os.walk(self.daemon.folder):
                for name in names:
                    path = os.path.join(folder, name)
                    if os.path.getsize(path) == len(DATA):
                        os.truncate(path, 20_000_000)
            received_bytes = 12
            with self.assertRaises(ConnectionResetError):
                while data := connection.socket.recv(1 << 20):
                    received_bytes += len(data)
            self.assertLess(received_bytes, len(DATA))

    def check_end(self) -> None:
        """The log holds the one traceback that says so."""
        text = self.daemon.log_text()
        self.assertEqual((text.count("Traceback"), text.count("BlobMissing: ")), (1, 1))
        self.daemon.stop()
