"""nuget.exe, its configuration and its packages."""

from __future__ import annotations

import pathlib

from tests.support.clients import ClientTestCase, Run
from tests.support.nuget import nuget_exe


class NuGetTestCase(ClientTestCase):
    """Tests with nuget.exe; every test has packages under names of its own."""

    client = "mono"
    source = "reg"

    def setUp(self) -> None:
        """Find nuget.exe, and let Mono trust the private authority."""
        super().setUp()
        self.exe = nuget_exe()
        self.assertTrue(self.exe.exists(), f"there is no {self.exe}: run `make test`")
        self.assert_works(self.run_program(self.find("cert-sync"), "--user", self.daemon.ca_file))

    def nuget(self, *arguments: str) -> Run:
        """Run nuget.exe; it asks nothing."""
        return self.run_client(str(self.exe), *arguments, "-NonInteractive")

    def package(self, name: str) -> str:
        """Return an id for this test alone."""
        return f"{type(self).__name__}.{self._testMethodName}.{name}"

    @property
    def url(self) -> str:
        """The source of the private project."""
        return self.daemon.packages_url("nuget", self.daemon.world.private_id) + "/index.json"

    def write_config(self, url: str = "", secret: str | None = None, protocol: int = 3) -> None:
        """Write the configuration of a user; with no credentials if secret is empty."""
        secret = self.daemon.world.writer if secret is None else secret
        user_name = self.daemon.world.user_name(secret)
        credentials = (
            f'<packageSourceCredentials><{self.source}><add key="Username" value="{user_name}" />'
            f'<add key="ClearTextPassword" value="{secret}" /></{self.source}></packageSourceCredentials>'
        )
        (self.folder / "nuget.config").write_text(
            f'<configuration><packageSources><clear /><add key="{self.source}" value="{url or self.url}" '
            f'protocolVersion="{protocol}" /></packageSources>{credentials if secret else ""}'
            f'<config><add key="globalPackagesFolder" value="{self.folder / "global"}" /></config></configuration>'
        )

    @property
    def config(self) -> tuple[str, str]:
        """What has nuget read it."""
        return "-ConfigFile", str(self.folder / "nuget.config")

    def pack(self, name: str, version: str, more: str = "", payload: str = "42") -> pathlib.Path:
        """Have nuget pack a package of one file."""
        name = self.package(name)
        (self.folder / "answer.txt").write_text(payload)
        nuspec = self.folder / f"{name}.nuspec"
        nuspec.write_text(
            f'<?xml version="1.0"?><package><metadata><id>{name}</id><version>{version}</version><authors>Ann</authors>'
            f"<description>Does things</description>{more}</metadata>"
            '<files><file src="answer.txt" target="content" /></files></package>'
        )
        self.assert_works(self.nuget("pack", str(nuspec), "-OutputDirectory", str(self.folder)))
        return self.folder / f"{name}.{version}.nupkg"

    def push(self, path: pathlib.Path, *options: str, key: str | None = None) -> Run:
        """Push a package."""
        key = self.daemon.world.writer if key is None else key
        return self.nuget("push", str(path), "-Source", self.source, "-ApiKey", key, *self.config, *options)

    def install(self, name: str, *options: str) -> Run:
        """Install a package with what it needs."""
        out = str(self.folder / "out")
        where = ("-Source", self.source, "-OutputDirectory", out, "-NoCache")
        return self.nuget("install", self.package(name), *where, *self.config, *options)
