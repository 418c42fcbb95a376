"""How the daemon starts, what it says when it cannot, and how it ends."""

from __future__ import annotations

import json
import pathlib
import signal
import socket
import subprocess

from twisted.trial.unittest import SynchronousTestCase

from tests.support.blobs import ON_DISK
from tests.support.cases import DaemonTestCase
from tests.support.daemon import Daemon, clean_environment, command_line, script, wait_until


class RefusedStartTests(SynchronousTestCase):
    """Mistakes that end the start."""

    def setUp(self) -> None:
        """Make a folder with a catalog."""
        self.folder = pathlib.Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.config = self.folder / "pkgregd.toml"
        self.config.write_text("")
        command_line(self.config, "migrate")

    def start(self, text: str, *arguments: str) -> str:
        """Start a daemon that ends by itself with 1; returns what it said."""
        self.config.write_text(text)
        done = subprocess.run(
            [script("twistd"), "--nodaemon", "--pidfile=", "pkgregd", *(arguments or ("--config", str(self.config)))],
            env=clean_environment(self.folder),
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        said = done.stdout + done.stderr
        self.assertEqual(done.returncode, 1, said)
        self.assertNotIn("Traceback", said)
        return said

    def listen(self, port: int) -> str:
        """Write a configuration for a port."""
        return f'[http]\nlisten = ["tcp:{port}:interface=127.0.0.1"]\n'

    def test_a_port_in_use(self) -> None:
        """The endpoint that cannot be bound is named."""
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            self.assertIn(f"cannot listen on tcp:{port}", self.start(self.listen(port)))

    def test_an_endpoint_that_is_none(self) -> None:
        """A description that Twisted does not know is named."""
        self.assertIn("nonsense:1", self.start('[http]\nlisten = ["nonsense:1"]\n'))

    def test_no_catalog(self) -> None:
        """A database that is not there is not made; the command that makes it is named."""
        self.assertIn("migrate", self.start(self.listen(0) + '[catalog]\nurl = "sqlite:other.sqlite3"\n'))
        self.assertFalse((self.folder / "other.sqlite3").exists())

    def test_no_place_for_shared_state(self) -> None:
        """A file of rate limits that cannot be made is named, with its key."""
        said = self.start(self.listen(0) + '[rate_limiting]\nshared_state = "none/limits"\n')
        self.assertIn("rate_limiting.shared_state", said)
        self.assertIn("none/limits: No such file", said)

    def test_an_unknown_format(self) -> None:
        """A format that is not installed is named, with the nearest one that is."""
        self.assertIn("pypi", self.start(self.listen(0) + "[formats.pipy]\nenabled = true\n"))

    def test_a_mistake_in_the_file(self) -> None:
        """A key that does not exist is named, with the nearest one that does."""
        self.assertIn("listen", self.start("[http]\nlisen = []\n"))

    def test_no_configuration(self) -> None:
        """Without a configuration it says what is needed."""
        self.assertIn("--config FILE is needed", self.start("", "--"))


class LifeTests(SynchronousTestCase):
    """A daemon from start to end."""

    def setUp(self) -> None:
        """Start one."""
        self.daemon = Daemon(http="shutdown_grace_seconds = 20\n")
        self.addCleanup(self.daemon.close)
        self.daemon.start()
        self.token = {"PRIVATE-TOKEN": self.daemon.world.writer}

    def begin_upload(self, size_bytes: int) -> socket.socket:
        """Begin an upload: when this returns, the daemon has asked for the body and got one byte of it."""
        client = socket.create_connection(("127.0.0.1", self.daemon.port), 30)
        self.addCleanup(client.close)
        path = self.daemon.packages_path("generic", self.daemon.world.private_id)
        client.sendall(
            f"PUT {path}/slow/1.0/slow.bin HTTP/1.1\r\nHost: x\r\nPRIVATE-TOKEN: {self.daemon.world.writer}\r\n"
            f"Content-Length: {size_bytes}\r\nExpect: 100-continue\r\n\r\n".encode()
        )
        self.assertEqual(client.recv(65536), b"HTTP/1.1 100 Continue\r\n\r\n")
        client.sendall(b"x")
        return client

    def accepts(self) -> bool:
        """Whether the port is open."""
        try:
            socket.create_connection(("127.0.0.1", self.daemon.port), 5).close()
        except OSError:
            return False
        return True

    def test_running_requests_finish(self) -> None:
        """After SIGTERM the port is closed, what runs is answered, and the exit status is 0."""
        client = self.begin_upload(3)
        self.daemon.process.send_signal(signal.SIGTERM)
        wait_until(lambda: not self.accepts(), "the end of the port")
        client.sendall(b"yz")
        answer = client.recv(65536)
        self.assertTrue(answer.startswith(b"HTTP/1.1 201 "), answer)
        self.assertIn(b"connection: close", answer.lower())
        client.close()
        self.assertEqual(self.daemon.process.wait(30), 0)
        self.daemon.kill9()

    def test_a_second_signal_ends_it(self) -> None:
        """Who cannot wait sends SIGTERM twice."""
        self.begin_upload(3)
        self.daemon.process.send_signal(signal.SIGTERM)
        wait_until(lambda: not self.accepts(), "the end of the port")
        self.daemon.process.send_signal(signal.SIGTERM)
        self.assertEqual(self.daemon.process.wait(30), -signal.SIGTERM)
        self.daemon.kill9()

    def test_no_secret_in_the_log(self) -> None:
        """Tokens appear in no line, wherever a client put them."""
        token = self.daemon.world.writer
        path = self.daemon.packages_path("generic", self.daemon.world.private_id) + "/a/1/f"
        self.daemon.get(path, self.token)
        self.daemon.get(f"{path}?private_token={token}", {"Authorization": f"Bearer {token}x"})
        self.daemon.get(path, {"Authorization": f"Nonsense {token}"})
        wait_until(lambda: self.daemon.log_text().count("/a/1/f") == 3, "the lines of the access log")
        text = self.daemon.log_text()
        self.assertIn("/a/1/f", text)
        self.assertNotIn(token, text)


class FolderTests(DaemonTestCase):
    """A daemon whose blobs lie in a folder, which something gets in the way of."""

    blobs = ON_DISK

    def check_end(self) -> None:
        """See DaemonTestCase; here the log tells why the folder cannot be written."""

    def test_readiness_names_what_is_wrong(self) -> None:
        """A store that cannot be written makes the daemon unready, not dead."""
        staging = self.daemon.folder / "blobs" / "staging"
        moved = staging.with_name("moved")
        staging.rename(moved)
        staging.write_text("in the way")

        def reasons() -> list[str]:
            status, _, body = self.daemon.get("/-/readyz")
            return [] if status == 200 else json.loads(body)["reasons"]

        wait_until(lambda: bool(reasons()), "unreadiness")
        self.assertTrue(reasons()[0].startswith("blobs: "), reasons())
        self.assertEqual(self.daemon.get("/-/livez")[0], 200)
        staging.unlink()
        moved.rename(staging)
        wait_until(lambda: not reasons(), "readiness")
