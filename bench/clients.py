"""What a server does for clients as people run them: publishing great packages, and installing many small ones."""

from __future__ import annotations

import pathlib
import random
from collections.abc import Callable
from functools import partial

from bench.daemons import Pkgregd
from bench.fleet import EARLIER, PKGREGD, Fleet
from bench.journal import RUN, Journal, Row
from bench.load import Outcome, run
from bench.meter import warm_pages
from bench.packages import deploy_jar, publish_crate, publish_npm, write_jar, write_tarball
from bench.programs import Cargo, Client, Maven, Npm
from bench.settings import GREAT_BYTES, MIB, SMALL_BYTES
from bench.verdaccio import Verdaccio

TARBALL_BYTES = min(GREAT_BYTES, 380 * MIB)
"""npm makes one string of it, in base64, and Node.js has none of more than 512 MiB: it cannot publish 400 MiB."""

NPM_COPIES = 10
"""How much memory npm, which comes first, takes for a tarball, in tarballs."""

NPM_PACKAGES, CRATES, JARS = 50, 20, 30
NEEDS = 3
"""How many of the crates before it a crate needs."""


def _require(program: type[Client], journal: Journal) -> bool:
    """Return whether a client is there; the report says what is not."""
    if not program.is_installed():
        journal.notes.append(f"{program.program} is not installed: left out")
    return program.is_installed()


class GreatPackages:
    """One great package, published by npm and by Maven."""

    name = "publish"
    title = "Great packages, published by their clients"
    peers = (Verdaccio.name,)

    def __init__(self, fleet: Fleet, journal: Journal) -> None:
        self._fleet = fleet
        self._journal = journal
        self._npms: list[tuple[Pkgregd | Verdaccio, Npm]] = []
        self._mavens: list[tuple[Pkgregd, Maven]] = []

    def prepare(self) -> None:
        """Make the clients, and say what is compared."""
        if _require(Npm, self._journal):
            self._npms = [(server, Npm(server)) for server in self._fleet.npm_servers]
        if _require(Maven, self._journal):
            self._mavens = [(daemon, Maven(daemon, daemon.secret)) for daemon in self._fleet.daemons]
        for other in (Verdaccio.name, EARLIER):
            self._journal.compare(self._npm_row(PKGREGD), self._npm_row(other))
        self._journal.compare(self._maven_row(PKGREGD), self._maven_row(EARLIER))

    def repeat(self, number: int) -> None:
        """Measure everything once."""
        version = f"1.0.{number}"
        if self._npms:
            tarball = pathlib.Path("great.tgz").absolute()
            write_tarball(tarball, "great", version, TARBALL_BYTES)
            for server, npm in self._npms:
                publish = partial(npm.publish, tarball)
                self._publish(self._npm_row(server.name), server, NPM_COPIES * TARBALL_BYTES, publish)
                npm.forget()
            tarball.unlink()
        if self._mavens:
            jar = pathlib.Path("great.jar").absolute()
            write_jar(jar, version, GREAT_BYTES)
            for daemon, maven in self._mavens:
                deploy = partial(maven.deploy, jar, "great", version)
                self._publish(self._maven_row(daemon.name), daemon, GREAT_BYTES * 23 // 10, deploy)
            jar.unlink()

    def _publish(self, row: Row, server: Pkgregd | Verdaccio, warm_bytes: int, action: Callable[[], Outcome]) -> None:
        warm_pages(warm_bytes + 256 * MIB, server.folder)
        self._journal.measure(row, server.pid, 1, action, watch=True)
        server.drop_great_blobs()

    def _npm_row(self, server: str) -> Row:
        return Row(self.name, f"npm publish, {TARBALL_BYTES // MIB} MiB", server, RUN)

    def _maven_row(self, server: str) -> Row:
        return Row(self.name, f"mvn deploy:deploy-file, {GREAT_BYTES // MIB} MiB", server, RUN)


class Installs:
    """Many small packages, fetched by clients that have none of them."""

    name = "install"
    title = "Small packages, fetched by their clients"
    peers = (Verdaccio.name,)

    def __init__(self, fleet: Fleet, journal: Journal) -> None:
        self._fleet = fleet
        self._journal = journal
        self._work: list[tuple[Row, Pkgregd | Verdaccio, Client, Callable[[], Outcome]]] = []

    def prepare(self) -> None:
        """Publish the packages, let each client run once, and say what is compared."""
        if _require(Npm, self._journal):
            for server in self._fleet.npm_servers:
                self._prepare_npm(server)
        for daemon in self._fleet.daemons:
            if _require(Cargo, self._journal):
                self._prepare_cargo(daemon)
            if _require(Maven, self._journal):
                self._prepare_maven(daemon)
        for row in [row for row, *_ in self._work if row.server == PKGREGD]:
            for other in (Verdaccio.name, EARLIER):
                self._journal.compare(row, Row(self.name, row.work, other, RUN))

    def _prepare_npm(self, server: Pkgregd | Verdaccio) -> None:
        names = [f"small-{number}" for number in range(NPM_PACKAGES)]
        run(server.port, [publish_npm(server, name, "1.0.0", _code()) for name in names])
        npm = Npm(server)
        npm.write_project(names)
        self._add(f"npm install, {NPM_PACKAGES} packages", server, npm, npm.install)

    def _prepare_cargo(self, daemon: Pkgregd) -> None:
        names = [f"small-{number}" for number in range(CRATES)]
        needs = [names[max(number - NEEDS, 0) : number] for number in range(CRATES)]
        calls = [publish_crate(daemon, name, "1.0.0", before) for name, before in zip(names, needs, strict=True)]
        run(daemon.port, calls)
        cargo = Cargo(daemon, daemon.secret)
        cargo.write_project(names[-1])
        self._add(f"cargo build, {CRATES} crates", daemon, cargo, cargo.build)

    def _prepare_maven(self, daemon: Pkgregd) -> None:
        names = [f"small-{number}" for number in range(JARS)]
        calls = [call for name in names for call in deploy_jar(daemon, name, "1.0.0", random.randbytes(SMALL_BYTES))]
        run(daemon.port, calls)
        maven = Maven(daemon, daemon.secret)
        maven.write_project(names)
        self._add(f"mvn dependency:resolve, {JARS} dependencies", daemon, maven, maven.resolve)

    def _add(self, work: str, server: Pkgregd | Verdaccio, client: Client, action: Callable[[], Outcome]) -> None:
        """Remember some work and do it once: clients fetch what is their own then."""
        action()
        self._work.append((Row(self.name, work, server.name, RUN), server, client, action))

    def repeat(self, number: int) -> None:
        """Measure everything once."""
        del number
        for row, server, client, action in sorted(self._work, key=lambda work: work[0].work):
            client.forget()
            self._journal.measure(row, server.pid, 1, action, watch=True)


def _code() -> bytes:
    """Write a module of the size of small files, which does not compress much."""
    return f"module.exports = '{random.randbytes(SMALL_BYTES // 2).hex()}'\n".encode()
