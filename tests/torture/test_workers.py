"""Workers that die, configurations that change and daemons that stop while clients are at it: none of them notices."""

from __future__ import annotations

import http.client
import os
import pathlib
import re
import signal
import socket
import ssl
import subprocess
import threading
import time

from twisted.trial.unittest import SynchronousTestCase

from tests.support.daemon import Daemon, clean_environment, script, wait_until
from tests.support.rawhttp import RawConnection
from tests.support.steady import SteadyLoad
from tests.support.tls import make_certificates

RELOADS = int(os.environ.get("PKGREGD_TORTURE_RELOADS", "20"))
CREW_RELOADS = max(1, RELOADS // 10)
"""Of workers: each starts new processes."""

TRANSFERS = 20
BODY_BYTES = 200_000
PIECES = 10


def children(pid: int) -> list[int]:
    """List the processes that a process has started and that run."""
    done = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    return [int(line) for line in done.stdout.split()]


def is_alive(pid: int) -> bool:
    """Whether a process is there, and not only its exit status."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


class ServingCase(SynchronousTestCase):
    """A daemon that serves a file, with as many workers as a test likes."""

    def start(self, workers: int, http: str = "", settings: str = "") -> Daemon:
        """Start one that is ready in all its processes, and holds a file."""
        self.daemon = daemon = Daemon(settings, http=f"workers = {workers}\n{http}")
        self.addCleanup(daemon.close)
        daemon.start()
        if workers > 1:
            self.wait_for_line(f"ready; {workers} workers")
        self.path = daemon.packages_path("generic", daemon.world.private_id) + "/steady/1.0/file"
        self.token = {"PRIVATE-TOKEN": daemon.world.writer}
        connection = http_connection(daemon.port)
        connection.request("PUT", self.path, b"x" * 1000, self.token)
        self.assertEqual(connection.getresponse().status, 201)
        connection.close()
        return daemon

    def wait_for_line(self, text: str, times: int = 1) -> None:
        """Wait until the log has a text so often."""
        try:
            wait_until(lambda: self.daemon.log_text().count(text) >= times, f"{text!r} in the log", 90)
        except TimeoutError as error:
            self.fail(f"{error}\n{self.daemon.log_text()[-4000:]}")

    def load(self, **arguments: object) -> SteadyLoad:
        """Make clients that ask for the file."""
        return SteadyLoad(self.daemon.port, self.path, self.token, **arguments)  # type: ignore[arg-type]

    def workers(self) -> list[int]:
        """List the processes of the workers."""
        return children(self.daemon.process.pid)

    def hup(self, outcome: str) -> None:
        """Send SIGHUP, and wait for a line of the log that was not there."""
        before = self.daemon.log_text().count(outcome)
        self.daemon.process.send_signal(signal.SIGHUP)
        self.wait_for_line(outcome, before + 1)


def http_connection(port: int) -> http.client.HTTPConnection:
    """Make a connection to a daemon of this machine."""
    return http.client.HTTPConnection("127.0.0.1", port, timeout=60)


class CrewTests(ServingCase):
    """Workers and their supervisor."""

    def test_a_worker_that_dies_is_replaced(self) -> None:
        """No connection is refused, and requests of the other worker go on."""
        self.start(2)
        first, second = self.workers()
        refused: list[str] = []
        is_over = threading.Event()

        def connect() -> None:
            while not is_over.is_set():
                try:
                    socket.create_connection(("127.0.0.1", self.daemon.port), 30).close()
                except OSError as error:
                    refused.append(repr(error))

        thread = threading.Thread(target=connect)
        thread.start()
        try:
            os.kill(first, signal.SIGKILL)
            wait_until(lambda: len(self.workers()) == 2 and first not in self.workers(), "another worker", 90)
            for _ in range(50):
                self.assertEqual(self.daemon.get(self.path, self.token)[0], 200)
            self.wait_for_line("Door starting on", 2 + 3 * 2)
        finally:
            is_over.set()
            thread.join()
        self.assertEqual(refused, [])
        self.assertIn(second, self.workers())
        self.assertEqual(self.daemon.log_text().count("is gone, and is replaced"), 1)

    def test_measures_are_of_all_workers(self) -> None:
        """Whichever of them is asked tells what all of them did, and how each of them does."""
        self.start(2)
        missing = self.path + ".missing"
        for _ in range(20):
            self.assertEqual(self.daemon.get(missing, self.token)[0], 404)
        count = 'pkgregd_http_requests_total{method="GET",status="4xx",table="generic"} 20.0'
        wait_until(lambda: count in self.daemon.get("/-/metrics")[2].decode(), "the sum of both")
        for _ in range(10):
            page = self.daemon.get("/-/metrics")[2].decode()
            self.assertIn(count, page)
            pids = {int(pid) for pid in re.findall(r'pkgregd_process_resident_bytes\{pid="(\d+)"\}', page)}
            self.assertEqual(pids, set(self.workers()))

    def test_no_worker_outlives_its_supervisor(self) -> None:
        """After kill -9 of the supervisor its workers end by themselves; the port is free, and its folder gone."""
        shared = pathlib.Path(self.mktemp()).absolute()
        shared.mkdir(parents=True)
        self.patch(os, "environ", {**os.environ, "TMPDIR": str(shared)})
        self.start(2)
        self.assertEqual(len(list(shared.glob("pkgregd-*"))), 1)
        workers = self.workers()
        self.assertEqual(len(workers), 2)
        self.daemon.process.kill()  # it alone
        self.daemon.process.wait()
        wait_until(lambda: not any(map(is_alive, workers)), "the end of the workers")
        self.assertEqual(list(shared.glob("pkgregd-*")), [])
        with socket.socket() as again:
            again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            again.bind(("127.0.0.1", self.daemon.port))
        self.daemon.kill9()

    def test_lines_of_the_log_say_whose_they_are(self) -> None:
        """Each request is one line, and has the number of the worker that served it."""
        self.start(2)
        for number in range(40):
            self.daemon.get(f"{self.path}?number={number}", self.token)
        self.daemon.stop()
        lines = re.findall(r'"method": "GET", "path": "[^"]*/steady/1.0/file"', self.daemon.log_text())
        self.assertEqual(len(lines), 40)
        self.assertEqual(set(re.findall(r"\[(\d) pkgregd.access#info\]", self.daemon.log_text())), {"1", "2"})

    def test_what_is_wrong_with_all_is_said_once(self) -> None:
        """A catalog that is not there ends the start with status 1 and one line."""
        daemon = Daemon(http="workers = 3\n")
        self.addCleanup(daemon.close)
        daemon.config.write_text(
            re.sub('(?m)^url = ".*"$', 'url = "sqlite:none.sqlite3"', daemon.config.read_text(), count=1)
        )
        done = subprocess.run(
            [script("twistd"), "--nodaemon", "--pidfile=", "pkgregd", "--config", str(daemon.config)],
            env=clean_environment(daemon.folder),
            cwd=daemon.folder,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        said = done.stdout + done.stderr
        self.assertEqual(done.returncode, 1, said)
        self.assertEqual(said.count("migrate"), 1, said)

    def test_rate_limits_hold_over_all_workers(self) -> None:
        """Two workers together admit what is configured, within 5 %."""
        rule = '[[rate_limits]]\nprefix = "/api/v4/projects/:id/packages/generic/steady/"\n'
        self.start(2, settings=f'{rule}authenticated = "100/1s"\nanonymous = "100/1s"\n')
        time.sleep(1.1)  # the burst is whole again
        statuses: list[int] = []
        began_at = time.monotonic()
        ends_at = began_at + 5
        last_at = [began_at]

        def ask() -> None:
            while time.monotonic() < ends_at:
                status = self.daemon.get(self.path, self.token)[0]
                statuses.append(status)
                if status == 200:
                    last_at[0] = time.monotonic()

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        allowed = 100 + 100 * (last_at[0] - began_at)
        self.assertIn(429, statuses)
        self.assertLess(abs(statuses.count(200) / allowed - 1), 0.05)


class ReloadTests(ServingCase):
    """SIGHUP."""

    def reload_under_load(self, workers: int, times: int) -> None:
        """Reload again and again, with a new certificate each time."""
        daemon = self.start(workers)
        folder = daemon.folder / "tls"
        folder.mkdir()
        certificates = make_certificates(folder)
        old_folder = str(daemon.certificates.chain.parent)
        daemon.config.write_text(daemon.config.read_text().replace(old_folder, str(folder)))
        trusting = ssl.create_default_context(cafile=daemon.ca_file)
        trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
        with self.load(tls=trusting, tls_port=daemon.tls_port) as load:
            for _ in range(times):
                certificates = make_certificates(folder)
                self.hup("process#info] reloaded")
                load.more(50)
                served = ssl.get_server_certificate(("localhost", daemon.tls_port))
                self.assertTrue(certificates.chain.read_text().startswith(served.strip()[:200]), "an old certificate")
        self.assertEqual(load.failures, [])

    def test_one_process(self) -> None:
        """No request fails, and every new certificate is served."""
        self.reload_under_load(1, RELOADS)

    def test_workers(self) -> None:
        """The same with workers, which are other ones after it."""
        self.reload_under_load(2, CREW_RELOADS)
        self.wait_for_line("Main loop terminated", CREW_RELOADS * 2)
        wait_until(lambda: len(self.workers()) == 2, "the end of the other workers")

    def check_wrong_configuration(self, workers: int) -> None:
        """Change the file for the worse in several ways."""
        daemon = self.start(workers)
        good = daemon.config.read_text()
        before = self.workers() if workers > 1 else []
        missing = str(daemon.folder / "missing.pem")
        for bad, reason in [
            (good.replace("[catalog]", "[cattalog]"), "catalog"),
            (good + "[formats.nonsense]\n", "nonsense"),
            (good.replace(str(daemon.certificates.chain), missing), "missing.pem"),
            (good.replace(f"workers = {workers}", f"workers = {3 - workers}"), "needs a restart"),
            (re.sub(r'url = "(sqlite|postgresql):[^"]*"', 'url = "sqlite:none.sqlite3"', good), "migrate"),
        ]:
            daemon.config.write_text(bad)
            self.hup("not reloaded, all stays as it was")
            self.assertIn(reason, daemon.log_text().rpartition("not reloaded")[2])
            self.assertEqual(daemon.get(self.path, self.token)[0], 200)
        daemon.config.write_text(good)
        if workers > 1:
            self.assertEqual(self.workers(), before)

    def test_a_wrong_configuration(self) -> None:
        """What is wrong is said, and all stays as it was."""
        self.check_wrong_configuration(1)

    def test_a_wrong_configuration_of_workers(self) -> None:
        """The same with workers, which stay the same."""
        self.check_wrong_configuration(2)

    def test_ports_come_and_go(self) -> None:
        """A port that is not in the new configuration closes, a new one opens."""
        daemon = self.start(2)
        old_port, tls_port = daemon.port, daemon.tls_port
        text = daemon.config.read_text()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            new_port = free.getsockname()[1]
        daemon.config.write_text(text.replace(f"tcp:{old_port}:", f"tcp:{new_port}:"))
        self.hup("process#info] reloaded")
        daemon.port = new_port
        self.assertEqual(daemon.get(self.path, self.token)[0], 200)
        socket.create_connection(("127.0.0.1", tls_port), 10).close()

        def is_closed() -> bool:
            try:
                socket.create_connection(("127.0.0.1", old_port), 10).close()
            except ConnectionRefusedError:
                return True
            return False

        wait_until(is_closed, "the end of the old port")


class StopTests(ServingCase):
    """SIGTERM."""

    def test_transfers_finish(self) -> None:
        """Twenty uploads and twenty downloads through two workers are all complete."""
        daemon = self.start(2)
        big = daemon.packages_path("generic", daemon.world.private_id) + "/steady/1.0/big"
        body = os.urandom(BODY_BYTES * PIECES)
        connection = http_connection(daemon.port)
        connection.request("PUT", big, body, self.token)
        self.assertEqual(connection.getresponse().status, 201)
        connection.close()
        head = f"Host: x\r\nPRIVATE-TOKEN: {daemon.world.writer}\r\n"
        uploads, downloads = [], []
        for number in range(TRANSFERS):
            upload = RawConnection(daemon.port).socket
            size = f"Content-Length: {BODY_BYTES * 2}\r\nExpect: 100-continue\r\n\r\n"
            upload.sendall(f"PUT {big}-{number} HTTP/1.1\r\n{head}{size}".encode())
            self.assertTrue(upload.recv(65536).startswith(b"HTTP/1.1 100"))
            upload.sendall(body[:BODY_BYTES])
            uploads.append(upload)
            download = socket.socket()
            download.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            download.connect(("127.0.0.1", daemon.port))
            download.settimeout(60)
            download.sendall(f"GET {big} HTTP/1.1\r\n{head}\r\n".encode())
            downloads.append((download, download.recv(1000)))
        daemon.process.send_signal(signal.SIGTERM)
        self.wait_for_line("stopping: running requests may finish", 2)
        with self.assertRaises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", daemon.port), 10)
        for upload in uploads:
            upload.sendall(body[BODY_BYTES : BODY_BYTES * 2])
        answers = [upload.recv(65536) for upload in uploads]
        self.assertEqual({answer[:13] for answer in answers}, {b"HTTP/1.1 201 "})
        self.assertTrue(all(b"connection: close" in answer.lower() for answer in answers))
        for upload in uploads:
            upload.close()
        for download, first in downloads:
            found = bytearray(first)
            while len(found.partition(b"\r\n\r\n")[2]) < len(body):
                piece = download.recv(1 << 20)
                self.assertTrue(piece, "a download was cut")
                found += piece
            self.assertEqual(found.partition(b"\r\n\r\n")[2], body)
            download.close()
        self.assertEqual(daemon.process.wait(60), 0)
        daemon._process = None

    def test_a_second_signal_ends_all(self) -> None:
        """Who cannot wait sends SIGTERM twice, and no process is left."""
        daemon = self.start(2)
        workers = self.workers()
        upload = RawConnection(daemon.port).socket
        upload.sendall(
            f"PUT {self.path}2 HTTP/1.1\r\nHost: x\r\nPRIVATE-TOKEN: {daemon.world.writer}\r\n"
            "Content-Length: 2\r\nExpect: 100-continue\r\n\r\n".encode()
        )
        self.assertTrue(upload.recv(65536).startswith(b"HTTP/1.1 100"))
        daemon.process.send_signal(signal.SIGTERM)
        self.wait_for_line("stopping: running requests may finish", 2)
        daemon.process.send_signal(signal.SIGTERM)
        self.assertEqual(daemon.process.wait(30), -signal.SIGTERM)
        daemon._process = None
        wait_until(lambda: not any(map(is_alive, workers)), "the end of the workers")
        upload.close()

    def check_announced(self, workers: int) -> None:
        """Stop with a delay."""
        daemon = self.start(workers, http="shutdown_delay_seconds = 3\n")
        daemon.process.send_signal(signal.SIGTERM)
        wait_until(lambda: daemon.get("/-/readyz")[0] == 503, "unreadiness")
        self.assertEqual(daemon.get(self.path, self.token)[0], 200)
        self.assertEqual(daemon.process.wait(60), 0)
        daemon._process = None

    def test_a_stop_is_announced(self) -> None:
        """Before the ports close it says that it is not ready, and serves."""
        self.check_announced(1)

    def test_a_stop_of_workers_is_announced(self) -> None:
        """The same with workers."""
        self.check_announced(2)
