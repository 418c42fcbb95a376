"""The sample configuration of nginx, with a real nginx, a daemon whose blobs are files, and curl."""

from __future__ import annotations

import contextlib
import hashlib
import os
import pathlib
import re
import socket
import ssl
import subprocess
import threading
from typing import ClassVar
from unittest import SkipTest
from urllib.parse import quote

from tests.support.cases import DaemonTestCase
from tests.support.daemon import Daemon, clean_environment, free_ports, wait_until
from tests.support.nginx import SampleNginx, complaints, demand_nginx
from tests.support.rawhttp import Answer, RawConnection

GREAT = os.urandom(300_000)
SMALL = b"small"


class SilentServer:
    """
    Answers `/read` on a connection once, and then, like any other request at once, by closing it.

    Attributes:
        port: where it listens.
        lines: first lines of all requests.
    """

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Listen no more."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self._answer, args=(self._listener.accept()[0],), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        has_answered = False
        with connection, contextlib.suppress(OSError):
            while (head := connection.recv(65536)) != b"":
                self.lines.append(head.partition(b"\r\n")[0].decode())
                if has_answered or not head.startswith(b"GET "):
                    return
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                has_answered = True


class SampleTests(DaemonTestCase):
    """Requests over HTTPS through nginx."""

    http = 'trusted_proxies = ["127.0.0.1"]'
    blobs: ClassVar[str] = 'url = "file:blobs"\naccel_redirect = "/-/blobs/"'

    def make_daemon(self) -> Daemon:
        """Have files on this host, whatever other tests have."""
        return Daemon(self.settings, http=self.http, blobs=self.blobs)

    def setUp(self) -> None:
        """Start nginx, and publish a great and a small file to the private project."""
        program = demand_nginx()
        super().setUp()
        self.folder = pathlib.Path(self.mktemp()).absolute()
        self.link = pathlib.Path(self.mktemp()).absolute()
        self.link.symlink_to(self.daemon.folder / "blobs")
        nginx = SampleNginx(program, self.folder, self.daemon.port, self.daemon.certificates, self.link)
        self.addCleanup(nginx.close)
        self.port = nginx.port
        self.tls = ssl.create_default_context(cafile=self.daemon.ca_file)
        self.headers = {"PRIVATE-TOKEN": self.daemon.world.writer}
        self.base = self.daemon.packages_path("generic", self.daemon.world.private_id) + "/sample/1.0/"
        for name, data in (("great", GREAT), ("small", SMALL)):
            self.assertEqual(self.ask("PUT", name, {"Content-Length": str(len(data))}, data).status, 201)

    def ask(
        self, method: str, name: str, headers: dict[str, str] | None = None, body: bytes = b"", port: int = 0
    ) -> Answer:
        """Send a request about a file, or for a path; to the daemon itself if its port is given."""
        path = name if name.startswith("/") else self.base + name
        with RawConnection(port or self.port, tls=None if port else self.tls) as connection:
            return connection.request(method, path, {**self.headers, **(headers or {})}, [body])

    def handed_over(self) -> int:
        """Count in the daemon's log what it left to nginx."""
        return self.daemon.log_text().count('"handed_over": true')

    def test_the_very_file(self) -> None:
        """nginx has nothing to say against the sample as it is."""
        if os.geteuid() != 0:
            raise SkipTest("only root may try port 443")
        folder = pathlib.Path(self.mktemp()).absolute()
        self.assertEqual(complaints(demand_nginx(), folder, self.daemon.certificates), "")

    def test_whole(self) -> None:
        """nginx sends the bytes with the headers that the daemon would have sent."""
        ours, through = self.ask("GET", "great", port=self.daemon.port), self.ask("GET", "great")
        self.assertEqual((through.status, through.body), (200, GREAT))
        names = (
            "etag", "last-modified", "content-type", "content-disposition", "cache-control", "content-length",
            "content-security-policy", "x-content-type-options", "accept-ranges", "x-checksum-sha256",
        )  # fmt: skip
        for name in names:
            self.assertEqual(through.headers.get(name), ours.headers.get(name), name)
        self.assertIn("x-request-id", through.headers)
        self.assertNotIn("x-accel-redirect", through.headers)
        self.assertEqual(through.headers["etag"], f'"{hashlib.sha256(GREAT).hexdigest()}"')

    def test_checksums_of_maven(self) -> None:
        """Digests that spare Maven a request each come along."""
        path = self.daemon.packages_path("maven", self.daemon.world.private_id) + "/com/acme/app/1.0/app-1.0.bin"
        self.assertEqual(self.ask("PUT", path, {"Content-Length": str(len(GREAT))}, GREAT).status, 201)
        before = self.handed_over()
        headers = self.ask("GET", path).headers
        for name in ("md5", "sha1", "sha256"):
            self.assertEqual(headers[f"x-checksum-{name}"], hashlib.new(name, GREAT).hexdigest())
        wait_until(lambda: self.handed_over() == before + 1, "the line of the log")

    def test_who_sends(self) -> None:
        """Great files are left to nginx; small ones are not, nor is anything to who comes directly and says so."""
        said = {"X-Sendfile-Type": "X-Accel-Redirect", "X-Forwarded-For": "192.0.2.1"}
        before = self.handed_over()
        self.assertEqual(self.ask("GET", "great", {"X-Sendfile-Type": "nonsense"}).body, GREAT)
        self.assertEqual(self.ask("GET", "small").body, SMALL)
        self.assertEqual(self.ask("GET", "great", {"X-Forwarded-For": "192.0.2.1"}, port=self.daemon.port).body, GREAT)
        self.assertEqual(self.ask("GET", "great", said, port=self.daemon.port).body, b"")  # 127.0.0.1 is the proxy
        with socket.create_connection(("127.0.0.1", self.daemon.port), 30, ("127.0.0.2", 0)) as other:
            head = "".join(f"{name}: {value}\r\n" for name, value in {**self.headers, **said}.items())
            other.sendall(f"GET {self.base}great HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{head}\r\n".encode())
            received = b"".join(iter(lambda: other.recv(1 << 20), b""))
        self.assertTrue(received.endswith(GREAT))
        wait_until(lambda: self.handed_over() == before + 2, "the lines of the log")

    def test_ranges(self) -> None:
        """Pieces, also under a tag or a date; all of it where that has changed, or several are asked for."""
        tag, date = (self.ask("HEAD", "great").headers[name] for name in ("etag", "last-modified"))
        for headers in ({}, {"If-Range": tag}, {"If-Range": date}):
            answer = self.ask("GET", "great", {"Range": "bytes=100000-299998", **headers})
            self.assertEqual((answer.status, answer.body), (206, GREAT[100_000:299_999]), headers)
            self.assertEqual(answer.headers["content-range"], "bytes 100000-299998/300000")
            self.assertEqual(answer.headers["etag"], tag)
        self.assertEqual(self.ask("GET", "great", {"Range": "bytes=-200000"}).body, GREAT[-200_000:])
        self.assertEqual(self.ask("GET", "great", {"Range": "bytes=5-9"}).body, GREAT[5:10])
        for headers in (
            {"Range": "bytes=100000-", "If-Range": '"other"'},
            {"Range": "bytes=100000-", "If-Range": "Wed, 04 Mar 2020 05:06:07 GMT"},
            {"Range": "bytes=0-99999,200000-299999"},
            {"Range": "lines=1-2"},
        ):
            answer = self.ask("GET", "great", headers)
            self.assertEqual((answer.status, answer.body), (200, GREAT), headers)
        past = self.ask("GET", "great", {"Range": "bytes=300000-"})
        self.assertEqual((past.status, past.headers["content-range"], past.body), (416, "bytes */300000", b""))

    def test_conditions(self) -> None:
        """They mean the daemon's tag and date, and are decided once."""
        answer = self.ask("GET", "great")
        tag, date = answer.headers["etag"], answer.headers["last-modified"]
        for headers in ({"If-None-Match": tag}, {"If-Modified-Since": date}):
            unmodified = self.ask("GET", "great", headers)
            self.assertEqual((unmodified.status, unmodified.headers["etag"]), (304, tag), headers)
        for headers in (
            {"If-None-Match": '"other"'},
            {"If-Modified-Since": "Wed, 04 Mar 2020 05:06:07 GMT"},
            {"If-Match": tag},
            {"If-Unmodified-Since": date},
            {"If-None-Match": '"other"', "If-Modified-Since": date},
        ):
            self.assertEqual(self.ask("GET", "great", headers).body, GREAT, headers)
        self.assertEqual(self.ask("GET", "great", {"If-Match": '"other"'}).status, 412)

    def test_head(self) -> None:
        """It says what a GET would, without the bytes."""
        head, whole = self.ask("HEAD", "great"), self.ask("GET", "great")
        self.assertEqual((head.status, head.headers["content-length"]), (200, "300000"))
        for name in ("etag", "last-modified", "content-type", "content-disposition", "accept-ranges"):
            self.assertEqual(head.headers[name], whole.headers[name], name)

    def test_who_may_not(self) -> None:
        """A file that one may not see is missing, with the same words, and no path of it is told."""
        answers = [
            self.ask("GET", name, {"PRIVATE-TOKEN": self.daemon.world.stranger}) for name in ("great", "missing")
        ]
        self.assertEqual([answer.status for answer in answers], [404, 404])
        bodies = [re.sub(rb'"request_id": "[0-9a-f]+"', b"", answer.body) for answer in answers]
        self.assertEqual(bodies[0], bodies[1])

    def test_the_folder_is_closed(self) -> None:
        """Nobody gets a file by its digest, however the path is spelt."""
        digest = hashlib.sha256(GREAT).hexdigest()
        path = f"sha256/{digest[:2]}/{digest[2:4]}/{digest}"
        self.assertEqual((self.link / path).read_bytes(), GREAT)
        for prefix in ("/-/blobs/", "/-/%62lobs/", "//-//blobs/", "/x/../-/blobs/", "/-/blobs/../blobs/"):
            self.assertEqual(self.ask("GET", prefix + path).status, 404, prefix)

    def test_a_file_that_nginx_cannot_open(self) -> None:
        """The daemon is asked once more, and sends it itself."""
        self.link.unlink()
        before = self.handed_over()
        self.assertEqual(self.ask("GET", "great").body, GREAT)
        self.assertEqual(self.ask("GET", "great", {"Range": "bytes=100000-"}).body, GREAT[100_000:])
        wait_until(lambda: self.handed_over() == before + 2, "the lines of the log")

    def test_no_daemon(self) -> None:
        """While it does not answer clients are told to come again."""
        (nowhere,) = free_ports(1)
        folder = pathlib.Path(self.mktemp()).absolute()
        nginx = SampleNginx(demand_nginx(), folder, nowhere, self.daemon.certificates, self.link)
        self.addCleanup(nginx.close)
        self.port = nginx.port
        for method, headers in (("GET", {}), ("PUT", {"Content-Length": "5"})):
            answer = self.ask(method, "small", headers, SMALL if headers else b"")
            self.assertEqual((answer.status, answer.headers["retry-after"]), (503, "5"), method)
            self.assertIn(b"try again", answer.body)

    def test_a_change_is_sent_once(self) -> None:
        """What may have been done is not sent again when its connection breaks; its client is told."""
        silent = SilentServer()
        self.addCleanup(silent.close)
        folder = pathlib.Path(self.mktemp()).absolute()
        nginx = SampleNginx(demand_nginx(), folder, silent.port, self.daemon.certificates, self.link)
        self.addCleanup(nginx.close)
        self.port = nginx.port
        statuses = [self.ask("GET", "/read").status for _ in range(2)]  # the second one on a new connection
        self.assertEqual(statuses, [200, 200])
        for method in ("PUT", "POST", "DELETE"):
            self.assertEqual(self.ask(method, f"/{method}", {"Content-Length": "1"}, b"x").status, 503)
        counts = [sum(f" /{name} " in line for line in silent.lines) for name in ("read", "PUT", "POST", "DELETE")]
        self.assertEqual(counts, [3, 1, 1, 1])

    def test_old_clients(self) -> None:
        """HTTP/1.0 without a Host is answered, as by the daemon."""
        with RawConnection(self.port, tls=self.tls) as connection:
            connection.socket.sendall(b"GET /-/livez HTTP/1.0\r\n\r\n")
            self.assertEqual(connection.read_answer().status, 200)

    def test_the_path_goes_on_as_it_came(self) -> None:
        """An encoded slash is part of a segment."""
        by_path = self.daemon.packages_path("generic", "acme%2Fprivate") + "/sample/1.0/great"
        self.assertEqual(self.ask("GET", by_path).body, GREAT)
        wrong = self.daemon.packages_path("generic", "acme/private") + "/sample/1.0/great"
        self.assertEqual(self.ask("GET", wrong).status, 404)

    def test_long_links(self) -> None:
        """A listing may have as much in its head as its query makes it."""
        name = quote("\N{GRINNING FACE}" * 255)
        path = f"/api/v4/projects/{self.daemon.world.private_id}/packages?package_name={name}"
        answer = self.ask("GET", path)
        self.assertEqual(answer.status, 200)
        self.assertGreater(len(answer.headers["link"]), 2 * len(name))

    def test_metrics_are_not_public(self) -> None:
        """However they are spelt."""
        for path in ("/-/metrics", "/-/%6detrics", "//-/metrics", "/-/metrics/"):
            self.assertEqual(self.ask("GET", path).status, 404, path)

    def test_curl_over_http_2(self) -> None:
        """A client speaks HTTP/2, uploads with Expect, is refused early, and gets the bytes."""
        file, copy = self.folder / "upload", self.folder / "copy"
        file.write_bytes(os.urandom(3 << 20))
        url = f"https://localhost:{self.port}{self.base}curl"
        common = ["curl", "-sS", "--http2", "--cacert", self.daemon.ca_file, "-w", "%{http_version} %{http_code}", "-o"]

        def run(*arguments: str) -> str:
            done = subprocess.run(
                [*common, *arguments], env=clean_environment(self.folder), capture_output=True, text=True, check=True
            )
            return done.stdout

        token = f"PRIVATE-TOKEN: {self.daemon.world.writer}"
        self.assertEqual(run(os.devnull, "-H", token, "-T", str(file), url), "2 201")
        self.assertEqual(run(str(copy), "-H", token, url), "2 200")
        self.assertEqual(copy.read_bytes(), file.read_bytes())
        self.assertEqual(run(os.devnull, "-H", "PRIVATE-TOKEN: nonsense", "-T", str(file), url), "2 401")
