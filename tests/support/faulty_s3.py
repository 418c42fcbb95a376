"""
An S3 service that misbehaves, over real connections, in a process of its own.

    python -m tests.support.faulty_s3 PORT BYTES_PER_SECOND FAILING_PERCENT

It takes that much in all, whatever the number of connections, and answers that many of a hundred requests with 503 or
with a cut connection. `GET /-/left` tells what lies in it: unfinished uploads, and how many objects; `GET /-/fast`
lifts the limit.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.support.daemon import ROOT, clean_environment, free_ports, wait_until
from tests.support.fake_s3 import Answer, Bucket, refusal

PIECE_BYTES = 32 << 10


class _Rate:
    """Lets so many bytes by in a second, of all who ask."""

    def __init__(self, bytes_per_second: int) -> None:
        self._bytes_per_second = bytes_per_second
        self._lock = threading.Lock()
        self._free_at = time.monotonic()

    def wait(self, size_bytes: int) -> None:
        """Wait until it is the turn of so many bytes."""
        with self._lock:
            self._free_at = max(self._free_at, time.monotonic()) + size_bytes / self._bytes_per_second
            pause = self._free_at - time.monotonic()
        if pause > 0:
            time.sleep(pause)


class _Handler(BaseHTTPRequestHandler):
    """Answers one connection."""

    protocol_version = "HTTP/1.1"
    bucket = Bucket()
    lock = threading.Lock()
    chance = random.Random(1)
    rate: _Rate
    failing_percent: int

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def answer(self) -> None:
        """Take the body at the given rate, do what is asked, or fail."""
        if self.path == "/-/left":
            with self.lock:
                left = {"uploads": len(self.bucket.uploads), "objects": len(self.bucket.objects)}
            self._send(Answer(200, {}, json.dumps(left).encode()))
            return
        if self.path == "/-/fast":
            type(self).rate = _Rate(1 << 40)
            self._send(Answer(200))
            return
        with self.lock:
            fails = self.chance.randrange(100) < self.failing_percent
            cuts = fails and self.chance.random() < 0.5
        rest_bytes = int(self.headers.get("content-length") or 0)
        stop_at = rest_bytes // 2 if cuts else 0
        body = bytearray()
        while rest_bytes > stop_at:
            piece = self.rfile.read(min(PIECE_BYTES, rest_bytes))
            if not piece:
                self.close_connection = True
                return
            self.rate.wait(len(piece))
            rest_bytes -= len(piece)
            body += piece
        if cuts:
            self.close_connection = True
            return
        if fails:
            self._send(refusal(503, "SlowDown"))
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        with self.lock:
            answer = self.bucket.answer(self.command, self.path, headers, bytes(body))
        self._send(answer)

    do_GET = do_PUT = do_POST = do_DELETE = answer

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of clients that leave."""


class FaultyS3:
    """
    That process, for a test.

    Args:
        folder: its home.
    """

    def __init__(self, folder: Path, bytes_per_second: int, failing_percent: int) -> None:
        (port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{port}"
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.faulty_s3", str(port), str(bytes_per_second), str(failing_percent)],
            cwd=folder,
            env=clean_environment(folder, {"PYTHONPATH": str(ROOT)}),
        )
        wait_until(self._answers, "the faulty S3")

    def _answers(self) -> bool:
        try:
            return self.left() is not None
        except OSError:
            return False

    def left(self) -> dict[str, int]:
        """Tell what lies in it."""
        with urllib.request.urlopen(f"{self.url}/-/left", timeout=10) as answer:  # noqa: S310 - our own server
            found: dict[str, int] = json.load(answer)
        return found

    def hurry(self) -> None:
        """Let it be fast from now on, for what comes."""
        with urllib.request.urlopen(f"{self.url}/-/fast", timeout=10):  # noqa: S310 - our own server
            pass

    def section(self) -> str:
        """Return the keys of a `[blobs]` section."""
        return f'url = "s3://bucket/p"\nendpoint_url = "{self.url}"\naccess_key_id = "a"\nsecret_access_key = "b"'

    def stop(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()


def main(port: int, bytes_per_second: int, failing_percent: int) -> None:
    """Serve until killed."""
    _Handler.rate = _Rate(bytes_per_second)
    _Handler.failing_percent = failing_percent
    _Server(("127.0.0.1", port), _Handler).serve_forever()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
