"""NuGet: pushing packages and installing them, by nuget.exe on Mono."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.clients.nuget_case import NuGetTestCase
from tests.support.archives import make_zip
from tests.support.clients import OverHttps
from tests.support.protecting import keeper, protect

if TYPE_CHECKING:
    _Base = NuGetTestCase
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


class NuGetTests(NuGetTestCase, NuGetContract):
    """Over HTTP, and everything that does not depend on it."""

    def test_again(self) -> None:
        """A second push is refused, or passed over by who says so."""
        self.write_config()
        path = self.pack("Lib", "1.0.0")
        self.assert_works(self.push(path))
        self.assert_fails(self.push(path), "409")
        self.assertIn("already exists", self.assert_works(self.push(path, "-SkipDuplicate")))
        path.write_bytes(make_zip([("x.nuspec", (self.folder / f"{self.package('Lib')}.nuspec").read_bytes())]))
        self.assert_fails(self.push(path), "409")

    def test_protected(self) -> None:
        """nuget.exe prints who may push and delete; whoever may does."""
        self.write_config()
        protect(self.daemon, "nuget", f"{self.package('').upper()}*", push="owner", delete="admin")
        path = self.pack("Lib", "1.0.0")
        self.assert_fails(self.push(path), "403", "Package protected. In this project only owners and above")
        self.assert_works(self.push(path, key=keeper(self.daemon)))
        delete = ("delete", self.package("Lib"), "1.0.0", "-Source", self.source, *self.config)
        self.write_config(secret=keeper(self.daemon))
        self.assert_fails(
            self.nuget(*delete, "-ApiKey", keeper(self.daemon)),
            "403", "Package is deletion protected. In this project only administrators may delete",
        )  # fmt: skip

    def test_versions(self) -> None:
        """The newest release is installed, a prerelease for who asks."""
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
