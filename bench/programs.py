"""The clients that people run, each with a home of its own: npm, Maven and cargo."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

from bench.load import Outcome, Unexpected
from bench.packages import GROUP_ID, NpmServer, PackagesServer, coordinates, crates_index
from tests.support.clients import RUSTUP
from tests.support.daemon import clean_environment
from tests.support.maven import DEPENDENCY, DEPLOY, MIRROR, REPOSITORY_ID

PROGRAM_SECONDS = 600.0
JAVA_OPTIONS = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"


class Client:
    """
    A program and its home. What it keeps for the next run is removed between runs by forget().

    Attributes:
        program: its name.
    """

    program: str

    def __init__(self) -> None:
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix=f"{self.program}-", dir=os.getcwd()))

    @classmethod
    def is_installed(cls) -> bool:
        """Whether this machine has it."""
        return shutil.which(cls.program) is not None

    def forget(self) -> None:
        """Remove what it has fetched and built."""
        for name in self.kept:
            shutil.rmtree(self.folder / name, ignore_errors=True)

    kept: Sequence[str] = ()

    def run(self, *arguments: str, folder: str = ".", extra: Mapping[str, str] | None = None) -> Outcome:
        """
        Run it to its end.

        Args:
            folder: in its home, where it runs.
            extra: environment.

        Raises:
            Unexpected: it failed; the text has the end of what it wrote.
        """
        started_at = time.perf_counter()
        done = subprocess.run(
            [self.program, *arguments],
            cwd=self.folder / folder,
            env=clean_environment(self.folder, extra),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=PROGRAM_SECONDS,
            check=False,
        )
        seconds = time.perf_counter() - started_at
        if done.returncode:
            output = done.stdout[-4000:].decode("utf-8", "replace")
            raise Unexpected(f"{self.program} {' '.join(arguments)} exits {done.returncode}: {output}")
        return Outcome(seconds, [seconds], 0)


class Npm(Client):
    """npm, logged in at a registry."""

    program = "npm"
    kept = ("cache", "project/node_modules")

    def __init__(self, server: NpmServer) -> None:
        super().__init__()
        address = f"//127.0.0.1:{server.port}{server.npm_path}/"
        (self.folder / ".npmrc").write_text(
            f"registry=http:{address}\n{address}:_authToken={server.secret}\ncache={self.folder / 'cache'}\n"
            "update-notifier=false\nfund=false\naudit=false\nprefer-online=true\n"
        )

    def publish(self, tarball: pathlib.Path) -> Outcome:
        """Publish a tarball."""
        return self.run("publish", str(tarball))

    def write_project(self, names: Sequence[str]) -> None:
        """Write a project that needs packages."""
        listed = ", ".join(f'"{name}": "^1.0.0"' for name in names)
        (self.folder / "project").mkdir()
        text = f'{{"name": "project", "version": "1.0.0", "private": true, "dependencies": {{{listed}}}}}'
        (self.folder / "project" / "package.json").write_text(text)

    def install(self) -> Outcome:
        """Install what the project needs."""
        return self.run("install", "--no-package-lock", folder="project")


class Cargo(Client):
    """cargo, which knows a registry as `reg`."""

    program = "cargo"
    kept = ("home/registry", "project/target")

    def __init__(self, server: PackagesServer, secret: str) -> None:
        super().__init__()
        self._secret = secret
        (self.folder / "home").mkdir()
        (self.folder / "home" / "config.toml").write_text(
            f'[registries.reg]\nindex = "{crates_index(server)}"\n'
            '[registry]\nglobal-credential-providers = ["cargo:token"]\n'
        )

    def write_project(self, name: str) -> None:
        """Write a library that needs a crate."""
        source = self.folder / "project" / "src" / "lib.rs"
        source.parent.mkdir(parents=True)
        source.write_text(f"pub use {name.replace('-', '_')}::answer;\n")
        (self.folder / "project" / "Cargo.toml").write_text(
            '[package]\nname = "project"\nversion = "1.0.0"\nedition = "2021"\n'
            f'[dependencies]\n{name} = {{ version = "1", registry = "reg" }}\n'
        )

    def forget(self) -> None:
        """Remove what it has fetched and built, and which versions it chose."""
        super().forget()
        (self.folder / "project" / "Cargo.lock").unlink(missing_ok=True)

    def build(self) -> Outcome:
        """Build the library with all that it needs."""
        settings = {
            "CARGO_HOME": str(self.folder / "home"),
            "CARGO_NET_RETRY": "0",
            "CARGO_REGISTRIES_REG_TOKEN": self._secret,
        }
        return self.run("build", "--quiet", folder="project", extra={**RUSTUP, **settings})


class Maven(Client):
    """Maven with the plugins of the machine, and a repository that wants a password."""

    program = "mvn"
    kept = (f"local/{GROUP_ID.replace('.', '/')}",)

    def __init__(self, server: PackagesServer, secret: str) -> None:
        super().__init__()
        self._url = f"http://127.0.0.1:{server.port}{server.packages_path('maven')}"
        (self.folder / "settings.xml").write_text(
            f"<settings><localRepository>{self.folder / 'local'}</localRepository>"
            f"<servers><server><id>{REPOSITORY_ID}</id><username>anybody</username>"
            f"<password>{escape(secret)}</password></server></servers>{MIRROR}</settings>"
        )

    def deploy(self, jar: pathlib.Path, artifact_id: str, version: str) -> Outcome:
        """Deploy a jar, for which Maven writes a POM."""
        return self._mvn(
            f"{DEPLOY}:deploy-file", f"-Durl={self._url}", f"-DrepositoryId={REPOSITORY_ID}", f"-Dfile={jar}",
            f"-DgroupId={GROUP_ID}", f"-DartifactId={artifact_id}", f"-Dversion={version}", "-Dpackaging=jar",
        )  # fmt: skip

    def write_project(self, names: Sequence[str]) -> None:
        """Write a project that needs the first versions of packages."""
        listed = "".join(f"<dependency>{coordinates(name, '1.0.0')}</dependency>" for name in names)
        (self.folder / "pom.xml").write_text(
            f"<project><modelVersion>4.0.0</modelVersion>{coordinates('project', '1.0.0')}"
            f"<repositories><repository><id>{REPOSITORY_ID}</id><url>{escape(self._url)}</url></repository></repositories>"
            f"<dependencies>{listed}</dependencies></project>"
        )

    def resolve(self) -> Outcome:
        """Fetch what the project needs."""
        return self._mvn(f"{DEPENDENCY}:resolve")

    def _mvn(self, *arguments: str) -> Outcome:
        quietly = ("-B", "-ntp", "-q", "-s", str(self.folder / "settings.xml"))
        return self.run(*quietly, *arguments, extra={"MAVEN_OPTS": JAVA_OPTIONS})
