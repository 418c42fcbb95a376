"""Running unmodified package clients against a daemon, over HTTP and over HTTPS with a private authority."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import sys
from collections.abc import Mapping
from typing import ClassVar
from unittest import SkipTest

from attrs import frozen

from tests.support.cases import DaemonTestCase
from tests.support.daemon import clean_environment
from tests.support.packages import make_sdist, make_wheel, wheel_name

CLIENT_SECONDS = 180.0


@frozen
class Run:
    """How a program ended: its exit status, and what it wrote to both streams."""

    status: int
    output: str


class ClientTestCase(DaemonTestCase):
    """
    Tests that run a client.

    A missing client skips the test, and fails it when PKGREGD_REQUIRE_CLIENTS=1.

    Attributes:
        client: the program; one installed beside our interpreter is preferred.
        version_arguments: what makes it say its version.
    """

    client: ClassVar[str]
    version_arguments: ClassVar[tuple[str, ...]] = ("--version",)
    _versions_seen: ClassVar[set[str]] = set()

    def setUp(self) -> None:
        """Find the client, and note its version once."""
        self.program = self.find(self.client)
        super().setUp()
        self.folder = pathlib.Path(self.mktemp()).absolute()
        self.folder.mkdir(parents=True)
        if self.client not in self._versions_seen:
            self._versions_seen.add(self.client)
            version = self.run_client(*self.version_arguments).output.partition("\n")[0]
            sys.stdout.write(f"\n  {self.client}: {version}\n")

    def find(self, name: str) -> str:
        """Return the path of a program."""
        found = shutil.which(name, path=f"{pathlib.Path(sys.executable).parent}:{os.environ.get('PATH', '')}")
        if found is None:
            if os.environ.get("PKGREGD_REQUIRE_CLIENTS") == "1":
                self.fail(f"{name} is not installed")
            raise SkipTest(f"{name} is not installed")
        return found

    def run_program(self, *command: str, env: Mapping[str, str] | None = None, stdin: bytes = b"") -> Run:
        """Run a program with an environment of its own."""
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=clean_environment(self.folder, env),
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=CLIENT_SECONDS,
            check=False,
        )
        return Run(done.returncode, done.stdout.decode("utf-8", "replace"))

    def run_client(self, *arguments: str, env: Mapping[str, str] | None = None, stdin: bytes = b"") -> Run:
        """Run the client itself."""
        return self.run_program(self.program, *arguments, env=env, stdin=stdin)

    def assert_works(self, run: Run) -> str:
        """Fail unless the program exited with 0; returns its output."""
        self.assertEqual(run.status, 0, run.output)
        return run.output

    def assert_fails(self, run: Run, *texts: str) -> None:
        """Fail unless the program exited with something else and wrote all of the texts."""
        self.assertNotEqual(run.status, 0, run.output)
        for text in texts:
            self.assertIn(text, run.output)

    def with_credentials(self, url: str, user: str, secret: str) -> str:
        """Put credentials into a URL."""
        scheme, _, rest = url.partition("://")
        return f"{scheme}://{user}:{secret}@{rest}"

    @property
    def host_and_port(self) -> str:
        """Where the client finds the daemon."""
        return self.daemon.url.partition("://")[2]


class PythonClientTestCase(ClientTestCase):
    """Tests of a client of Python packages; every test makes packages under a name of its own."""

    def index_url(self, project: str, user: str = "__token__", secret: str | None = None) -> str:
        """Return the simple index of a project, with credentials in it unless secret is empty."""
        url = self.daemon.packages_url("pypi", project) + "/simple/"
        secret = self.daemon.world.writer if secret is None else secret
        return self.with_credentials(url, user, secret) if secret else url

    def group_index_url(self) -> str:
        """Return the simple index of the group, with credentials in it."""
        url = f"{self.daemon.url}/api/v4/groups/{self.daemon.world.group}/-/packages/pypi/simple/"
        return self.with_credentials(url, "__token__", self.daemon.world.reader)

    def upload_url(self, project: str) -> str:
        """Return where packages are uploaded to."""
        return self.daemon.packages_url("pypi", project)

    def package_name(self) -> str:
        """Return a name for this test alone."""
        return f"{type(self).__name__}-{self._testMethodName}".replace("_", "-").lower()

    def write_wheel(self, name: str, version: str, source: str = "answer = 42\n") -> pathlib.Path:
        """Write a wheel to the test's folder."""
        path = self.folder / "dist" / wheel_name(name, version)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(make_wheel(name, version, source.encode()))
        return path

    def write_sdist(self, name: str, version: str) -> pathlib.Path:
        """Write a source distribution to the test's folder."""
        file_name, data = make_sdist(name, version)
        path = self.folder / "dist" / file_name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
        return path

    def publish(self, *names_and_versions: tuple[str, str], project: str | None = None) -> None:
        """Publish wheels by curl, to have something to install."""
        for name, version in names_and_versions:
            path = self.write_wheel(name, version)
            target = self.upload_url(project or self.daemon.world.private_id)
            form = (f"name={name}", f"version={version}", f"content=@{path}")
            arguments = [part for field in form for part in ("--form", field)]
            self.assert_works(
                self.run_program(
                    self.find("curl"), "--silent", "--show-error", "--fail-with-body", "--cacert", self.daemon.ca_file,
                    "--user", f"__token__:{self.daemon.world.writer}", *arguments, target,
                )
            )  # fmt: skip


class OverHttps:
    """Mixed into a copy of a class of tests, has it run over HTTPS."""

    external_scheme = "https"
