"""Uploads while an S3 service is slow, fails, or goes away."""

from __future__ import annotations

import hashlib
import http.client
import os
import pathlib
import random
import socket
import threading
import time

from twisted.trial.unittest import SynchronousTestCase

from tests.support.daemon import Daemon, wait_until
from tests.support.faulty_s3 import FaultyS3

MIB = 1 << 20
SECONDS = float(os.environ.get("PKGREGD_TORTURE_S3_SECONDS", "5"))


class FaultyS3Tests(SynchronousTestCase):
    """A daemon over a service that misbehaves."""

    def run_over(self, bytes_per_second: int, failing_percent: int) -> None:
        """Start both."""
        self.s3 = FaultyS3(pathlib.Path(os.getcwd()), bytes_per_second, failing_percent)
        self.addCleanup(self.s3.stop)
        self.daemon = Daemon(blobs=self.s3.section())
        self.addCleanup(self.daemon.close)
        self.daemon.start()

    def path(self, name: str) -> str:
        """Return where a file goes."""
        return f"{self.daemon.packages_path('generic', self.daemon.world.private_id)}/x/1.0/{name}"

    def put(self, name: str, data: bytes) -> int:
        """Upload a file; return the status."""
        connection = http.client.HTTPConnection("127.0.0.1", self.daemon.port, timeout=120)
        try:
            connection.request("PUT", self.path(name), data, {"PRIVATE-TOKEN": self.daemon.world.writer})
            return connection.getresponse().status
        finally:
            connection.close()

    def test_fifty_uploads_to_a_slow_service(self) -> None:
        """They are held back at their sockets; memory stays far below 400 MiB, small requests are answered."""
        self.run_over(MIB, 0)
        sockets: list[socket.socket] = []
        head = f"Host: x\r\nPRIVATE-TOKEN: {self.daemon.world.writer}\r\nContent-Length: {200 * MIB}\r\n\r\n"
        for number in range(50):
            sockets.append(socket.create_connection(("127.0.0.1", self.daemon.port)))
            sockets[-1].sendall(f"PUT {self.path(f'f{number}')} HTTP/1.1\r\n{head}".encode())
            sockets[-1].setblocking(False)
        sent_bytes = [0] * len(sockets)
        ends_at = time.monotonic() + SECONDS
        while time.monotonic() < ends_at:
            for number, connection in enumerate(sockets):
                try:
                    sent_bytes[number] += connection.send(bytes(MIB))
                except BlockingIOError:
                    continue
            self.assertEqual(self.daemon.get("/-/livez")[0], 200)
        peak_bytes = self.daemon.peak_bytes()
        self.assertLess(peak_bytes, 400 * MIB)
        self.assertLess(max(sent_bytes), 60 * MIB, "nobody holds the clients back")
        self.assertGreater(self.s3.left()["uploads"], 0)
        for connection in sockets:
            connection.close()
        self.s3.hurry()
        wait_until(lambda: self.s3.left()["uploads"] == 0, "the end of all uploads", 60)
        self.assertEqual(self.s3.left()["objects"], 1)  # the probe

    def test_one_of_five_requests_fails(self) -> None:
        """Each client gets 201 or 503; what was taken can be read, and nothing else is there."""
        self.run_over(64 * MIB, 20)
        statuses: dict[str, int] = {}
        data = {f"f{number}": random.Random(number).randbytes(number * MIB * 3) for number in range(8)}

        def upload(name: str) -> None:
            statuses[name] = self.put(name, data[name])

        threads = [threading.Thread(target=upload, args=(name,)) for name in data]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertLessEqual(set(statuses.values()), {201, 503})
        self.assertGreater(list(statuses.values()).count(201), 4)
        for name, status in statuses.items():
            found, _, body = self.daemon.get(self.path(name), {"PRIVATE-TOKEN": self.daemon.world.writer})
            self.assertEqual(found, 200 if status == 201 else 404)
            if status == 201:
                self.assertEqual(hashlib.sha256(body).digest(), hashlib.sha256(data[name]).digest())
        wait_until(lambda: self.s3.left()["uploads"] == 0, "the end of all uploads", 60)

    def test_gone(self) -> None:
        """A service that is not there is 503 with Retry-After, for uploads and downloads, and no traceback."""
        self.run_over(64 * MIB, 0)
        self.assertEqual(self.put("f", b"x"), 201)
        self.s3.stop()
        began_at = time.monotonic()
        status, headers, _ = self.daemon.get(self.path("f"), {"PRIVATE-TOKEN": self.daemon.world.writer})
        self.assertEqual((status, headers["Retry-After"]), (503, "2"))
        self.assertLess(time.monotonic() - began_at, 15)
        self.assertEqual(self.put("g", b"y" * (20 * MIB)), 503)
        self.assertNotIn("Traceback", self.daemon.log_text())
