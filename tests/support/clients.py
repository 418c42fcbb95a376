"""Running unmodified package clients against a daemon, over HTTP and over HTTPS with a private authority."""

from __future__ import annotations

import functools
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from typing import ClassVar
from unittest import SkipTest

from attrs import frozen

from tests.support.cases import DaemonTestCase
from tests.support.daemon import clean_environment
from tests.support.packages import TALKATIVE_PROJECT, make_sdist, make_wheel, wheel_name

CLIENT_SECONDS = 180.0

RUSTUP = {
    "RUSTUP_HOME": os.environ.get("RUSTUP_HOME", str(pathlib.Path.home() / ".rustup")),
    "RUSTUP_AUTO_INSTALL": "0",
}
"""Where cargo finds its compiler if rustup installed them, in spite of a home of its own."""


@frozen
class Run:
    """How a program ended: its exit status, and what it wrote to both streams."""

    status: int
    output: str


def programs(environment: str) -> pathlib.Path:
    """
    Return the folder of the programs of an environment.

    Args:
        environment: a name of tests/clients/environments, which `make` installed; our own if empty. The
            folder of these environments is `clients` beside our programs, or PKGREGD_CLIENTS.
    """
    if not environment:
        return pathlib.Path(sys.executable).parent
    folder = os.environ.get("PKGREGD_CLIENTS") or pathlib.Path(sys.executable).parents[1] / "clients"
    return pathlib.Path(folder, environment, "bin")


@functools.cache
def installation_target() -> pathlib.Path:
    """Make an environment with nothing in it, once, for clients that only install into one."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="target-", dir=os.getcwd()))
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True, timeout=CLIENT_SECONDS)
    return folder


class ClientTestCase(DaemonTestCase):
    """
    Tests that run a client.

    A missing client skips the test, and fails it when PKGREGD_REQUIRE_CLIENTS=1.

    Attributes:
        client: the program; one installed beside our interpreter is preferred.
        environment: the environment of its own that it is installed in, if it is; see programs().
        version_arguments: what makes it say its version.
    """

    client: ClassVar[str]
    environment: ClassVar[str] = ""
    version_arguments: ClassVar[tuple[str, ...]] = ("--version",)
    _versions_seen: ClassVar[set[tuple[str, str]]] = set()

    def setUp(self) -> None:
        """Find the client, and note its version once."""
        self.program = self.find(self.client, self.environment)
        super().setUp()
        self.folder = pathlib.Path(self.mktemp()).absolute()
        self.folder.mkdir(parents=True)
        self.home = pathlib.Path(self.mktemp()).absolute()
        self.home.mkdir(parents=True)
        if (self.client, self.environment) not in self._versions_seen:
            self._versions_seen.add((self.client, self.environment))
            lines = self.run_client(*self.version_arguments).output.splitlines() or [""]
            version = next((line for line in lines if self.client in line.lower()), lines[0])
            sys.stdout.write(f"\n  {self.client}: {version}\n")

    def find(self, name: str, environment: str = "") -> str:
        """Return the path of a program, of that environment or else of ours and of the machine."""
        places = str(programs(environment))
        if not environment:
            places += f":{os.environ.get('PATH', '')}"
        found = shutil.which(name, path=places)
        if found is None:
            if os.environ.get("PKGREGD_REQUIRE_CLIENTS") == "1":
                self.fail(f"{name} is not installed in {places}")
            raise SkipTest(f"{name} is not installed in {places}")
        return found

    def run_program(self, *command: str, env: Mapping[str, str] | None = None, stdin: bytes = b"") -> Run:
        """Run a program in the test's folder, with an environment and a home of its own."""
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=clean_environment(self.home, env),
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

    def write_netrc(self, secret: str) -> str:
        """Write a netrc file with a token for the daemon; returns its path."""
        path = self.folder / "netrc"
        host = self.host_and_port.partition(":")[0]
        path.write_text(f"machine {host} login __token__ password {secret}\n")
        path.chmod(0o600)
        return str(path)


class PythonClientTestCase(ClientTestCase):
    """Tests of a client of Python packages; every test makes packages under a name of its own."""

    def run_client(self, *arguments: str, env: Mapping[str, str] | None = None, stdin: bytes = b"") -> Run:
        """Run the client itself; what it writes is neither coloured nor broken into short lines."""
        return super().run_client(*arguments, env={"COLUMNS": "500", "NO_COLOR": "1", **(env or {})}, stdin=stdin)

    # --- addresses

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

    # --- packages

    def package_name(self) -> str:
        """Return a name for this test alone."""
        return f"{type(self).__name__}-{self._testMethodName}".replace("_", "-").lower()

    def write_wheel(self, name: str, version: str, source: str = "answer = 42\n", metadata: str = "") -> pathlib.Path:
        """Write a wheel to the test's folder."""
        path = self.folder / "dist" / wheel_name(name, version)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(make_wheel(name, version, source.encode(), metadata))
        return path

    def write_sdist(self, name: str, version: str, source: str = "answer = 42\n") -> pathlib.Path:
        """Write a source distribution to the test's folder."""
        file_name, data = make_sdist(name, version, source.encode())
        path = self.folder / "dist" / file_name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
        return path

    def write_project(self, name: str, version: str, source: str, *, requires: str, backend: str) -> None:
        """Write a project of one module to the test's folder, for a client that builds what it publishes."""
        (self.folder / "pyproject.toml").write_text(
            f'[build-system]\nrequires = ["{requires}"]\nbuild-backend = "{backend}"\n'
            f'[project]\nname = "{name}"\nversion = "{version}"\n{TALKATIVE_PROJECT}',
            "utf-8",
        )
        package = self.folder / name.replace("-", "_")
        package.mkdir(exist_ok=True)
        (package / "__init__.py").write_text(source)

    # --- what the daemon has

    def publish(self, *names_and_versions: tuple[str, str], project: str | None = None, metadata: str = "") -> None:
        """Publish wheels by curl, to have something to install."""
        for name, version in names_and_versions:
            path = self.write_wheel(name, version, metadata=metadata)
            target = self.upload_url(project or self.daemon.world.private_id)
            form = (f"name={name}", f"version={version}", f"content=@{path}")
            arguments = [part for field in form for part in ("--form", field)]
            self.assert_works(
                self.run_program(
                    self.find("curl"), "--silent", "--show-error", "--fail-with-body", "--cacert", self.daemon.ca_file,
                    "--user", f"__token__:{self.daemon.world.writer}", *arguments, target,
                )
            )  # fmt: skip

    def published_files(self, name: str) -> set[str]:
        """Return the names of the files that the private project lists."""
        path = f"{self.daemon.packages_path('pypi', self.daemon.world.private_id)}/simple/{name}/"
        headers = {"PRIVATE-TOKEN": self.daemon.world.reader, "Accept": "application/vnd.pypi.simple.v1+json"}
        status, _, page = self.daemon.get(path, headers)
        return {file["filename"] for file in json.loads(page)["files"]} if status == 200 else set()

    def answer_of(self, name: str, *, path: str = "", python: str = sys.executable) -> str:
        """Return what the module of an installed package holds."""
        code = f"import {name.replace('-', '_')} as module; print(module.answer)"
        return self.assert_works(self.run_program(python, "-c", code, env={"PYTHONPATH": path})).strip()


class OverHttps:
    """Mixed into a copy of a class of tests, has it run over HTTPS."""

    external_scheme = "https"
