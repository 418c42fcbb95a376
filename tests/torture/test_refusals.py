"""Refusals of bodies that nobody wants: they come before the body, and before any `100 Continue`."""

from __future__ import annotations

from collections.abc import Mapping

from tests.support.cases import DaemonTestCase
from tests.support.daemon import Daemon, shared_world
from tests.support.rawhttp import Answer, RawConnection, repeated

TEN_GIB = 10 << 30


class ExpectTests(DaemonTestCase):
    """`Expect: 100-continue` with ten gibibytes announced."""

    def make_daemon(self) -> Daemon:
        """Make a daemon that takes small files, and hardly any request for the public project."""
        return Daemon(
            "[formats.generic]\nmax_file_bytes = 1048576\nduplicates_allowed = false\n"
            f'[[rate_limits]]\nprefix = "/api/v4/projects/{shared_world().public_id}/packages/"\n'
            'authenticated = "1/1h"\n'
        )

    def ask(
        self, path: str, token: str | None, size_bytes: int = TEN_GIB, *, method: str = "PUT", multipart: bool = False
    ) -> Answer:
        """Send headers alone and return what is answered to them; afterwards the connection is closed by the daemon."""
        headers: dict[str, str] = {"Expect": "100-continue", "Content-Length": str(size_bytes)}
        if token is not None:
            headers["PRIVATE-TOKEN"] = token
        if multipart:
            headers["Content-Type"] = "multipart/form-data; boundary=xyz"
        with RawConnection(self.daemon.port, timeout_seconds=30) as connection:
            connection.send_head(method, path, headers)
            answer = connection.read_answer()
            self.assertEqual(connection.socket.recv(1), b"", "the connection is not closed")
        return answer

    def path(self, project: str | None = None, name: str = "x") -> str:
        """Return the URL path of a generic file."""
        return self.daemon.packages_path("generic", project or self.daemon.world.private_id) + f"/{name}/1.0/x.bin"

    def assert_refused(self, answer: Answer, status: int) -> None:
        """Fail unless that is the one and only answer."""
        self.assertEqual((answer.status, answer.interim), (status, ()), answer.body)

    def test_401(self) -> None:
        """Without a token, and with one that is not good."""
        self.assert_refused(self.ask(self.path(), None), 401)
        self.assert_refused(self.ask(self.path(), "nonsense"), 401)
        pypi = self.daemon.packages_path("pypi", self.daemon.world.private_id)
        refused = self.ask(pypi, None, method="POST", multipart=True)
        self.assert_refused(refused, 401)
        self.assertIn("www-authenticate", refused.headers)

    def test_403(self) -> None:
        """With a token that may read only."""
        self.assert_refused(self.ask(self.path(), self.daemon.world.reader), 403)

    def test_404(self) -> None:
        """To a project that is not there, or not for this user, or to nothing at all."""
        self.assert_refused(self.ask(self.path("999999"), self.daemon.world.writer), 404)
        self.assert_refused(self.ask(self.path(), self.daemon.world.stranger), 404)
        self.assert_refused(self.ask("/nowhere", self.daemon.world.writer), 404)

    def test_413(self) -> None:
        """With a body above the limit of the format, raw or in a form."""
        self.assert_refused(self.ask(self.path(), self.daemon.world.writer), 413)
        self.assert_refused(self.ask(self.path(), self.daemon.world.writer, (1 << 20) + 1), 413)
        pypi = self.daemon.packages_path("pypi", self.daemon.world.private_id)
        self.assert_refused(self.ask(pypi, self.daemon.world.writer, method="POST", multipart=True), 413)

    def test_429(self) -> None:
        """When the prefix has had its requests; Retry-After says when to come back."""
        path = self.path(self.daemon.world.public_id)
        self.ask(path, self.daemon.world.writer)
        refused = self.ask(path, self.daemon.world.writer)
        self.assert_refused(refused, 429)
        self.assertGreater(int(refused.headers["retry-after"]), 0)

    def test_bad_names(self) -> None:
        """What the URL alone gives away is refused at once."""
        for name in ("a%00b", "%2e%2e", "a%20b"):
            self.assert_refused(self.ask(self.path(name=name), self.daemon.world.writer, 10), 400)

    def test_duplicate(self) -> None:
        """Where duplicates are refused, a file that is there is refused by its URL."""
        headers: Mapping[str, str] = {"PRIVATE-TOKEN": self.daemon.world.writer, "Content-Length": "3"}
        path = self.path(name="dup")
        with RawConnection(self.daemon.port) as connection:
            self.assertEqual(connection.request("PUT", path, headers, [b"one"]).status, 201)
        answer = self.ask(path, self.daemon.world.writer, 1 << 20)
        self.assertEqual(answer.interim, ())
        self.assertEqual(answer.status, 400)
        self.assertIn(b"uplicate", answer.body)

    def test_body_that_is_welcome(self) -> None:
        """The control: a good request does get its 100 Continue."""
        headers = {"PRIVATE-TOKEN": self.daemon.world.writer, "Content-Length": "3", "Expect": "100-continue"}
        with RawConnection(self.daemon.port) as connection:
            connection.send_head("PUT", self.path(name="welcome"), headers)
            self.assertEqual(connection.socket.recv(25), b"HTTP/1.1 100 Continue\r\n\r\n")
            connection.send_body([b"abc"])
            self.assertEqual(connection.read_answer().status, 201)


class ChunkedTests(DaemonTestCase):
    """Bodies without a length meet the limit on their way."""

    settings = "[formats.generic]\nmax_file_bytes = 1048576\n"

    def test_413_in_the_middle(self) -> None:
        """A chunked body is cut off once it is above the limit, and the client reads why."""
        path = self.daemon.packages_path("generic", self.daemon.world.private_id) + "/x/1.0/x.bin"
        headers = {"PRIVATE-TOKEN": self.daemon.world.writer, "Transfer-Encoding": "chunked"}

        def chunks() -> list[bytes]:
            return [b"%x\r\n%s\r\n" % (len(piece), bytes(piece)) for piece in repeated(4 << 20)]

        with RawConnection(self.daemon.port) as connection:
            answer = connection.request("PUT", path, headers, [*chunks(), b"0\r\n\r\n"])
        self.assertEqual(answer.status, 413)
        self.assertEqual(self.daemon.get(path, {"PRIVATE-TOKEN": self.daemon.world.writer})[0], 404)
