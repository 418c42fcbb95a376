"""The sample configuration of HAProxy in front of two daemons, one PostgreSQL and one bucket, with real clients."""

from __future__ import annotations

import atexit
import functools
import json
import os
import pathlib
import shutil
import ssl
import subprocess
import sys
import tempfile
from unittest import SkipTest

from twisted.trial.unittest import SynchronousTestCase

from tests.support.cases import release_daemon
from tests.support.clients import programs
from tests.support.daemon import clean_environment
from tests.support.haproxy import demand_haproxy
from tests.support.packages import make_wheel, wheel_name
from tests.support.rawhttp import Answer, RawConnection
from tests.support.samples import FOLDER, lay_certificates
from tests.support.scaled import ScaledOut

CLIENT_SECONDS = 180.0


@functools.cache
def shared() -> ScaledOut:
    """Return what all tests of this run use; it ends with the run."""
    release_daemon()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="scaled-", dir=os.getcwd()))
    scaled = ScaledOut(demand_haproxy(), folder / "haproxy")
    atexit.register(scaled.close)
    return scaled


class SampleTests(SynchronousTestCase):
    """What clients do through HAProxy, whichever daemon they meet."""

    def setUp(self) -> None:
        """Have all of it run."""
        self.scaled = shared()
        self.world = self.scaled.world
        self.folder = pathlib.Path(self.mktemp()).absolute()
        self.folder.mkdir(parents=True)
        self.ca_file = str(self.scaled.certificates.authority)

    def find(self, name: str, environment: str = "") -> str:
        """Return the path of a client; skip the test without it, or fail where clients have to be there."""
        found = shutil.which(name, path=f"{programs(environment)}:{os.environ.get('PATH', '')}")
        if found is None:
            if os.environ.get("PKGREGD_REQUIRE_CLIENTS") == "1":
                self.fail(f"{name} is not installed")
            raise SkipTest(f"{name} is not installed")
        return found

    def run_client(self, *command: str) -> str:
        """Run a client, which has to succeed; returns its output."""
        done = subprocess.run(
            command, cwd=self.folder, env=clean_environment(self.folder), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=CLIENT_SECONDS, check=False,
        )  # fmt: skip
        self.assertEqual(done.returncode, 0, done.stdout)
        return done.stdout

    def path(self, format: str) -> str:
        """Return the path of a format at the private project."""
        return f"/api/v4/projects/{self.world.private_id}/packages/{format}"

    def curl(self, *arguments: str) -> str:
        """Run curl; returns what it prints: version of HTTP and status, and then the body."""
        token = f"PRIVATE-TOKEN: {self.world.writer}"
        shown = "%{stderr}%{http_version} %{http_code}\n"
        return self.run_client(self.find("curl"), "-sS", "--cacert", self.ca_file, "-H", token, "-w", shown, *arguments)

    def ask(self, method: str, path: str, headers: dict[str, str] | None = None) -> Answer:
        """Send a request without a body over HTTP/1.1."""
        with RawConnection(self.scaled.port, tls=self.scaled.tls) as connection:
            return connection.request(method, path, {"PRIVATE-TOKEN": self.world.writer, **(headers or {})})

    def test_the_very_file(self) -> None:
        """HAProxy has nothing to say against the sample as it is."""
        shutil.copy(FOLDER / "haproxy.cfg", self.folder)
        lay_certificates(self.folder, self.scaled.certificates)
        said = self.run_client(demand_haproxy(), "-c", "-f", str(self.folder / "haproxy.cfg"))
        self.assertNotIn("WARNING", said)

    def test_curl(self) -> None:
        """Over HTTP/2 and HTTP/1.1 great files go in and come out."""
        file = self.folder / "great"
        file.write_bytes(os.urandom(20 << 20))
        for option, version in (("--http2", "2"), ("--http1.1", "1.1")):
            url = f"{self.scaled.url}{self.path('generic')}/curl/{version}/great"
            self.assertIn(f"{version} 201", self.curl(option, "-T", str(file), url))
            self.assertIn(f"{version} 200", self.curl(option, "-o", str(self.folder / version), url))
            self.assertEqual((self.folder / version).read_bytes(), file.read_bytes())

    def test_what_is_refused_early(self) -> None:
        """Who expects to be asked for the body is refused or asked by the daemon, not by HAProxy."""
        with RawConnection(self.scaled.port, tls=self.scaled.tls) as connection:
            headers = {"Expect": "100-continue", "Content-Length": "1000000"}
            path = f"{self.path('generic')}/early/1.0/file"
            connection.send_head("PUT", path, {**headers, "PRIVATE-TOKEN": "nonsense"})
            refused = connection.read_answer()
        self.assertEqual((refused.status, refused.interim), (401, ()))
        with RawConnection(self.scaled.port, tls=self.scaled.tls) as connection:
            connection.send_head("PUT", path, {**headers, "PRIVATE-TOKEN": self.world.writer})
            self.assertEqual(connection.socket.recv(12), b"HTTP/1.1 100")
        file = self.folder / "great"
        file.write_bytes(bytes(20 << 20))
        for option, version in (("--http2", "2"), ("--http1.1", "1.1")):
            said = self.curl(option, "-H", "PRIVATE-TOKEN: nonsense", "-T", str(file), self.scaled.url + path)
            self.assertIn(f"{version} 401", said)

    def test_pip(self) -> None:
        """What curl publishes over one connection is what pip finds over others."""
        wheel = self.folder / wheel_name("scaled", "1.0")
        wheel.write_bytes(make_wheel("scaled", "1.0"))
        form = ("-F", "name=scaled", "-F", "version=1.0", "-F", f"content=@{wheel}")
        self.assertIn("201", self.curl(*form, self.scaled.url + self.path("pypi")))
        index = f"https://__token__:{self.world.writer}@localhost:{self.scaled.port}{self.path('pypi')}/simple/"
        self.run_client(
            sys.executable, "-m", "pip", "--isolated", "install", "--no-deps", "--no-cache-dir",
            "--disable-pip-version-check", "--target", "installed", "--cert", self.ca_file, "--index-url", index,
            "scaled",
        )  # fmt: skip
        self.assertTrue((self.folder / "installed" / "scaled-1.0.dist-info").is_dir())

    def test_npm(self) -> None:
        """npm publishes and installs."""
        npm, registry = self.find("npm"), f"{self.scaled.url}{self.path('npm')}"
        lines = [
            f"registry={registry}/", f"cafile={self.ca_file}", "update-notifier=false", "fund=false", "audit=false",
            f"{registry.partition(':')[2]}/:_authToken={self.world.writer}",
        ]  # fmt: skip
        (self.folder / ".npmrc").write_text("\n".join(lines) + "\n")
        for name, version in (("scaled", "1.0.0"), ("project", "0.0.1")):
            (self.folder / name).mkdir()
            (self.folder / name / "package.json").write_text(json.dumps({"name": name, "version": version}))
        self.run_client(npm, "publish", str(self.folder / "scaled"))
        self.run_client(npm, "--prefix", str(self.folder / "project"), "install", "scaled")
        lock = json.loads((self.folder / "project" / "package-lock.json").read_text())
        self.assertTrue(lock["packages"]["node_modules/scaled"]["resolved"].startswith(registry))

    def test_both_are_used(self) -> None:
        """Requests go to both daemons, which know each other's files."""
        url = f"{self.path('generic')}/both/1.0/file"
        (self.folder / "file").write_bytes(b"both")
        self.curl("-T", str(self.folder / "file"), self.scaled.url + url)
        self.assertEqual({self.ask("GET", url).body for _ in range(20)}, {b"both"})
        for daemon in self.scaled.daemons.values():
            self.assertEqual(daemon.get(url, {"PRIVATE-TOKEN": self.world.reader})[2], b"both")
            self.assertIn("both/1.0/file", daemon.log_text())

    def test_metrics_are_not_public(self) -> None:
        """However they are spelt; other pages of the daemon are."""
        for path in ("/-/metrics", "/-/%6detrics", "/-/metrics?x=y", "//-/metrics", "/%2d/metrics"):
            self.assertEqual(self.ask("GET", path).status, 404, path)
        self.assertEqual(self.ask("GET", "/-/livez").status, 200)

    def test_a_head_as_great_as_the_daemon_takes(self) -> None:
        """HAProxy refuses nothing that the daemon would take."""
        headers = {f"X-Header-{number}": "x" * 300 for number in range(100)}
        self.assertEqual(self.ask("GET", "/-/livez", headers).status, 200)

    def test_clients_without_our_authority(self) -> None:
        """TLS is HAProxy's, with the certificate that it was given."""
        with self.assertRaises(ssl.SSLCertVerificationError):
            RawConnection(self.scaled.port, tls=ssl.create_default_context())
