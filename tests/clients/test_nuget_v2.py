"""The second version of NuGet's protocol, as nuget.exe speaks it."""

from __future__ import annotations

from tests.clients.nuget_case import NuGetTestCase
from tests.support.clients import OverHttps


class SecondVersionTests(NuGetTestCase):
    """Over HTTP."""

    def use(self, secret: str | None = None, level: str = "") -> None:
        """Use the second version, of the private project or of a level."""
        url = level or self.daemon.packages_url("nuget", self.daemon.world.private_id)
        self.write_config(f"{url}/v2", secret, protocol=2)

    def listed(self, *arguments: str) -> list[str]:
        """What `nuget list` writes of the packages of this test."""
        output = self.assert_works(self.nuget("list", self._testMethodName, *arguments, *self.config, "-Source", "reg"))
        prefix = self.package("")
        return [line.removeprefix(prefix) for line in output.splitlines() if line.startswith(prefix)]

    def test_push_and_install(self) -> None:
        """A package is pushed, and installed with what it needs."""
        self.use()
        self.assert_works(self.push(self.pack("Needed", "2.0.0")))
        group = '<group targetFramework="net45"><dependency id="{}" version="[2.0, 3.0)" /></group>'
        needs = f"<dependencies>{group.format(self.package('Needed'))}</dependencies>"
        self.assert_works(self.push(self.pack("Lib", "1.0.0", needs)))
        self.assert_works(self.push(self.pack("Lib", "1.1.0-beta.1", needs)))
        self.assert_works(self.install("Lib", "-Framework", "net45"))
        installed = sorted(path.name for path in (self.folder / "out").iterdir())
        self.assertEqual(installed, [f"{self.package('Lib')}.1.0.0", f"{self.package('Needed')}.2.0.0"])
        self.assert_works(self.install("Lib", "-PreRelease"))
        self.assertTrue((self.folder / "out" / f"{self.package('Lib')}.1.1.0-beta.1").exists())

    def test_without_credentials(self) -> None:
        """Whoever has none is told so."""
        self.use(secret="")
        self.assert_fails(self.push(self.pack("Lib", "1.0.0"), key="nonsense"), "401")
        self.assert_fails(self.install("Lib"), "401")

    def test_list(self) -> None:
        """Names with their newest version; all versions, and prereleases, for who asks."""
        self.use()
        for version in ("1.0.0", "1.10.0", "2.0.0-beta"):
            self.assert_works(self.push(self.pack("Lib", version)))
        self.assert_works(self.push(self.pack("Tool", "0.1.0-rc")))
        self.assertEqual(self.listed(), ["Lib 1.10.0"])
        self.assertEqual(self.listed("-PreRelease"), ["Lib 2.0.0-beta", "Tool 0.1.0-rc"])
        self.assertEqual(sorted(self.listed("-AllVersions")), ["Lib 1.0.0", "Lib 1.10.0"])
        self.assertEqual(len(self.listed("-AllVersions", "-PreRelease")), 4)

    def test_again_and_delete(self) -> None:
        """A second push is refused; a deleted version is out of sight, and there for who names it."""
        self.use()
        path = self.pack("Lib", "1.0.0")
        self.assert_works(self.push(path))
        self.assert_fails(self.push(path), "409")
        self.assert_works(self.push(path, "-SkipDuplicate"))
        self.daemon.cli("member", "add", "rob", "acme/private", "--role", "maintainer")
        where = ("-Source", self.source, *self.config, "-ApiKey", self.daemon.world.reader)
        self.assert_works(self.nuget("delete", self.package("Lib"), "1.0.0", *where))
        self.assertEqual(self.listed(), [])
        self.assert_works(self.install("Lib", "-Version", "1.0.0"))

    def test_restore_from_a_group(self) -> None:
        """`nuget restore` of packages.config, from the group's source."""
        self.use()
        self.assert_works(self.push(self.pack("Lib", "1.0.0")))
        group = f"{self.daemon.url}/api/v4/groups/{self.daemon.world.group}/-/packages/nuget"
        self.use(self.daemon.world.reader, group)
        packages = self.folder / "packages.config"
        packages.write_text(f'<packages><package id="{self.package("Lib")}" version="1.0.0" /></packages>')
        out = str(self.folder / "out")
        self.assert_works(self.nuget("restore", str(packages), "-PackagesDirectory", out, "-NoCache", *self.config))
        self.assertTrue((self.folder / "out" / f"{self.package('Lib')}.1.0.0").exists())


class SecondVersionHttpsTests(OverHttps, SecondVersionTests):
    """Over HTTPS."""
