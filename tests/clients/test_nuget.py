"""NuGet: pushing packages and installing them, by nuget.exe on Mono."""

from __future__ import annotations

import json
import pathlib
from typing import TYPE_CHECKING

from tests.support.archives import make_zip
from tests.support.clients import ClientTestCase, OverHttps, Run
from tests.support.nuget import nuget_exe

if TYPE_CHECKING:
    _Base = ClientTestCase
else:
    _Base = object


class NuGetContract(_Base):
    """What has to work over HTTP and over HTTPS with a private authority."""

    def test_push_and_install(self) -> None:
        """A package that nuget packed is installed elsewhere with what it needs."""
        self.write_config()
        self.assert_works(self.push(self.pack("Needed", "2.0.0")))
        dependency = '<dependencies><dependency id="{}" version="[2.0, 3.0)" /></dependencies>'
        self.assert_works(self.push(self.pack("Lib", "1.0.0", dependency.format(self.package("Needed")))))
        self.assert_works(self.install("Lib"))
        installed = sorted(path.name for path in (self.folder / "out").iterdir())
        self.assertEqual(installed, [f"{self.package('Lib')}.1.0.0", f"{self.package('Needed')}.2.0.0"])

    def test_without_credentials(self) -> None:
        """Whoever has none is told so."""
        self.write_config(secret="")
        self.assert_fails(self.push(self.pack("Lib", "1.0.0"), key="nonsense"), "401")
        self.assert_fails(self.install("Lib"), "401")


class NuGetTests(ClientTestCase, NuGetContract):
    """Over HTTP, and everything that does not depend on it."""

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

    def write_config(self, url: str = "", secret: str | None = None) -> None:
        """Write the configuration of a user; with no credentials if secret is empty."""
        secret = self.daemon.world.writer if secret is None else secret
        credentials = (
            f'<packageSourceCredentials><{self.source}><add key="Username" value="anybody" />'
            f'<add key="ClearTextPassword" value="{secret}" /></{self.source}></packageSourceCredentials>'
        )
        (self.folder / "nuget.config").write_text(
            f'<configuration><packageSources><clear /><add key="{self.source}" value="{url or self.url}" '
            f'protocolVersion="3" /></packageSources>{credentials if secret else ""}'
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

    def test_again(self) -> None:
        """A second push is refused, or passed over by who says so."""
        self.write_config()
        path = self.pack("Lib", "1.0.0")
        self.assert_works(self.push(path))
        self.assert_fails(self.push(path), "409")
        self.assertIn("already exists", self.assert_works(self.push(path, "-SkipDuplicate")))
        path.write_bytes(make_zip([("x.nuspec", (self.folder / f"{self.package('Lib')}.nuspec").read_bytes())]))
        self.assert_fails(self.push(path), "409")

    def test_versions(self) -> None:
        """The newest release is installed, a prerelease for who asks; what is unlisted only by its version."""
        self.write_config()
        for version in ("1.9.0", "1.10.0", "2.0.0-beta"):
            self.assert_works(self.push(self.pack("Lib", version)))
        self.assert_works(self.install("Lib"))
        self.assertEqual([path.name for path in (self.folder / "out").iterdir()], [f"{self.package('Lib')}.1.10.0"])
        self.assert_works(self.install("Lib", "-PreRelease"))
        self.assertTrue((self.folder / "out" / f"{self.package('Lib')}.2.0.0-beta").exists())

    def test_delete_unlists(self) -> None:
        """`nuget delete` takes a version out of searches; who names it still gets it."""
        self.write_config()
        for version in ("1.0.0", "2.0.0"):
            self.assert_works(self.push(self.pack("Lib", version)))
        where = ("-Source", self.source, *self.config)
        delete = ("delete", self.package("Lib"), "2.0.0", *where)
        self.assert_fails(self.nuget(*delete, "-ApiKey", self.daemon.world.writer), "403")
        self.daemon.cli("member", "add", "rob", "acme/private", "--role", "maintainer")
        self.assert_works(self.nuget(*delete, "-ApiKey", self.daemon.world.reader))
        path = self.daemon.packages_path("nuget", self.daemon.world.private_id)
        headers = {"PRIVATE-TOKEN": self.daemon.world.reader}
        found = json.loads(self.daemon.get(f"{path}/query?q={self.package('Lib')}", headers)[2])
        self.assertEqual([entry["version"] for entry in found["data"]], ["1.0.0"])
        self.assert_works(self.install("Lib", "-Version", "2.0.0"))

    def test_restore_from_a_group(self) -> None:
        """`nuget restore` of packages.config, from the group's source."""
        self.write_config()
        self.assert_works(self.push(self.pack("Lib", "1.0.0")))
        self.write_config(
            f"{self.daemon.url}/api/v4/groups/{self.daemon.world.group}/-/packages/nuget/index.json",
            self.daemon.world.reader,
        )
        packages = self.folder / "packages.config"
        packages.write_text(f'<packages><package id="{self.package("Lib")}" version="1.0.0" /></packages>')
        out = str(self.folder / "out")
        self.assert_works(self.nuget("restore", str(packages), "-PackagesDirectory", out, "-NoCache", *self.config))
        self.assertTrue((self.folder / "out" / f"{self.package('Lib')}.1.0.0").exists())


class NuGetHttpsTests(OverHttps, NuGetTests):
    """Over HTTPS."""
