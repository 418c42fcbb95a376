"""What people see when curl, cargo, Maven, Gradle and nuget.exe are refused, as the manual tells."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Iterator

from twisted.trial.unittest import SynchronousTestCase

from tests.clients import test_refusals_npm, test_refusals_python  # noqa: F401 # their classes are looked for
from tests.clients.cargo_case import CargoTestCase
from tests.clients.gradle_case import GradleTestCase
from tests.clients.nuget_case import NuGetTestCase
from tests.clients.refusals_case import (
    LIMIT_BYTES,
    NOISE,
    NOTHING,
    STATUS,
    TOO_LARGE,
    WAITS,
    WHY,
    FetchContract,
    OfferContract,
    RefusalsContract,
    rows,
    shows,
)
from tests.support.clients import ClientTestCase, Run
from tests.support.maven import MavenTestCase


class CurlRefusalsTests(OfferContract, FetchContract, ClientTestCase):
    """curl, which shows the body of a refusal if it is told to."""

    client = "curl"
    offers = "curl --fail-with-body --upload-file"
    fetches = "curl --fail-with-body"

    def curl(self, secret: str, *arguments: str, stdin: bytes = b"") -> Run:
        """Run curl for one file."""
        token = ("--header", f"PRIVATE-TOKEN: {secret}") if secret else ()
        url = f"{self.daemon.packages_url('generic', self.daemon.world.private_id)}/refused/1/file"
        options = ("--silent", "--show-error", "--fail-with-body", "--cacert", self.daemon.ca_file)
        return self.run_client(*options, *token, *arguments, url, stdin=stdin)

    def offer(self, secret: str, *, is_great: bool) -> Run:
        """See OfferContract."""
        (self.folder / "file").write_bytes(bytes(2 * LIMIT_BYTES if is_great else 10))
        return self.curl(secret, "--upload-file", str(self.folder / "file"))

    def fetch(self, secret: str) -> Run:
        """See FetchContract."""
        return self.curl(secret)

    def test_chunks(self) -> None:
        """A body of unknown length is refused when it has grown too large, in the same words."""
        body = bytes(4 * LIMIT_BYTES)
        chunked = ("--header", "Transfer-Encoding: chunked", "--upload-file", "-")
        self.assert_fails(self.curl(self.daemon.world.writer, *chunked, stdin=body), TOO_LARGE.told)


class CargoRefusalsTests(OfferContract, FetchContract, CargoTestCase):
    """cargo, which here does not try again."""

    offers = "cargo publish"
    fetches = "cargo build"

    def offer(self, secret: str, *, is_great: bool) -> Run:
        """See OfferContract."""
        self.write_config(self.daemon.packages_url("cargo", self.daemon.world.private_id))
        manifest = self.write_crate("refused", "1.0.0")
        if is_great:
            (pathlib.Path(manifest).parent / "noise").write_bytes(os.urandom(2 * LIMIT_BYTES))
        arguments = ("publish", "--registry", "reg", "--allow-dirty", "--no-verify", "--manifest-path", manifest)
        return self.cargo(*arguments, secret=secret)

    def fetch(self, secret: str) -> Run:
        """See FetchContract."""
        self.write_config(self.daemon.packages_url("cargo", self.daemon.world.private_id))
        manifest = self.write_consumer("absent", 'absent = { version = "1", registry = "reg" }')
        return self.cargo("build", "--manifest-path", manifest, secret=secret)


class MavenRefusalsTests(OfferContract, FetchContract, MavenTestCase):
    """Maven, which here waits one second before it gives up, instead of minutes."""

    offers = "mvn deploy"
    fetches = "mvn dependency:get"

    def prepare(self, secret: str) -> None:
        """Write the settings, and bound what Maven waits after 429."""
        self.write_settings(self.private_url, secret)
        options = self.folder / ".mvn" / "jvm.config"
        options.parent.mkdir()
        waits = "-Dmaven.wagon.httpconnectionManager."
        options.write_text(f"{waits}backoffSeconds=1 {waits}maxBackoffSeconds=1\n")

    def offer(self, secret: str, *, is_great: bool) -> Run:
        """See OfferContract."""
        self.prepare(secret)
        return self.deploy_file(self.write_jar(text="".join(NOISE) if is_great else "42"), "1.0")

    def fetch(self, secret: str) -> Run:
        """See FetchContract."""
        self.prepare(secret)
        return self.get("1.0", self.private_url)


class GradleRefusalsTests(OfferContract, FetchContract, GradleTestCase):
    """Gradle."""

    offers = "gradle publish"
    fetches = "gradle build"

    def offer(self, secret: str, *, is_great: bool) -> Run:
        """See OfferContract."""
        if is_great:
            resources = self.folder / "lib" / "src" / "main" / "resources"
            resources.mkdir(parents=True)
            (resources / "noise").write_bytes(os.urandom(2 * LIMIT_BYTES))
        return self.publish("1.0", secret=secret)

    def fetch(self, secret: str) -> Run:
        """See FetchContract."""
        return self.build("1.0", secret=secret)


class NuGetRefusalsTests(OfferContract, FetchContract, NuGetTestCase):
    """nuget.exe, whose pushes are bodies of unknown length."""

    offers = "nuget push"
    fetches = "nuget install"

    def offer(self, secret: str, *, is_great: bool) -> Run:
        """See OfferContract."""
        self.write_config(secret=secret)
        path = self.pack("Lib", "1.0.0", payload="".join(NOISE) if is_great else "42")
        return self.push(path, key=secret or "any")

    def fetch(self, secret: str) -> Run:
        """See FetchContract."""
        self.write_config(secret=secret)
        return self.install("Lib")


class TableTests(SynchronousTestCase):
    """The table itself."""

    def test_every_row_is_tested(self) -> None:
        """Each command of the table is put to it, and each that is put to it is in the table."""
        commands = {getattr(case, name) for case in _cases(RefusalsContract) for name in ("offers", "fetches")
                    if hasattr(case, name)}  # fmt: skip
        self.assertEqual(set(rows()), commands)

    def test_words(self) -> None:
        """Each cell is one of the words that the contracts know, or quotes a client."""
        for command, row in rows().items():
            for column, cell in row.items():
                self.assertTrue(cell in (WHY, STATUS, WAITS, NOTHING) or "`" in cell, (command, column, cell))

    def test_what_is_shown(self) -> None:
        """A cell holds for what it says, and for nothing that tells more or less."""
        for output, cells in (
            ("\x1b[31merror:\x1b[0m 413 " + TOO_LARGE.told.replace(" ", "\n    ", 3), {WHY}),
            ("error 413", {STATUS, "`error`", "`sorry` or `error`"}),
            ("port 41300", set()),
        ):
            found = {cell for cell in (WHY, STATUS, "`error`", "`sorry` or `error`") if shows(output, cell, TOO_LARGE)}
            self.assertEqual(found, cells, output)


def _cases(case: type) -> Iterator[type]:
    for below in case.__subclasses__():
        yield below
        yield from _cases(below)
