"""pnpm, both kinds of yarn and bun: publishing and installing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tests.clients.npm_family_cases import BerryTestCase, BunTestCase, FamilyTestCase, PnpmTestCase, YarnTestCase
from tests.support.clients import OverHttps
from tests.support.npm_clients import NpmTestCase

if TYPE_CHECKING:
    _Base = NpmTestCase
else:
    _Base = object

CONDITIONS: Mapping[str, Any] = {
    "scripts": {"postinstall": "node index.js"}, "engines": {"node": ">=18"}, "os": ["linux"], "cpu": ["!arm"],
    "peerDependencies": {"peer": "*"}, "peerDependenciesMeta": {"peer": {"optional": True}}, "libc": ["glibc"],
}  # fmt: skip
"""What else decides about an installation."""


class FamilyContract(_Base):
    """What each of them does."""

    def test_publish_and_install(self: FamilyTestCase) -> None:  # type: ignore[misc]
        """A package is published, not published again, and arrives in an empty project."""
        self.assert_works(self.publish_in(self.write_package("1.0.0", bin="index.js")))
        self.assert_fails(self.publish_in(self.write_package("1.0.0", code="other")), "previously published versions")
        self.assert_works(self.publish_in(self.write_package("1.1.0", dependencies={})))
        self.assert_works(self.add_in(self.project(), f"{self.name}@^1.0.0"))
        self.assertEqual(self.installed_version(), "1.1.0")

    def test_repositories(self: FamilyTestCase) -> None:  # type: ignore[misc]
        """A package that wants repositories in short words, and one that it brings along, is published."""
        wanted = {"short": "user/repository", "host": "gitlab:user/repository#v1", "page": "https://github.com/u/r"}
        folder = self.write_package("1.0.0", dependencies=wanted, **self.bundle, **CONDITIONS)
        self.assert_works(self.publish_only(folder))

    def test_published_otherwise(self: FamilyTestCase) -> None:  # type: ignore[misc]
        """What is said of a package for its publication alone reaches document and tarball alike."""
        otherwise = {"main": "index.js", "bin": {"other": "index.js"}, "engines": {"node": ">=20"}, "os": ["linux"]}
        folder = self.write_package("1.0.0", bin="./index.js", engines={"node": ">=18"}, publishConfig=otherwise,
                                    directories={"bin": "bin", "lib": "."})  # fmt: skip
        self.assert_works(self.publish_in(folder))

    def test_without_credentials(self: FamilyTestCase) -> None:  # type: ignore[misc]
        """Whoever has none gets nothing, and is told so."""
        self.use(self.daemon.packages_url("npm", self.daemon.world.private_id), "")
        self.assert_fails(self.publish_in(self.write_package("1.0.0")))
        self.assert_fails(self.add_in(self.project(), self.name), self.unauthorized)


class PnpmTests(PnpmTestCase, FamilyContract):
    """pnpm."""


class PnpmHttpsTests(OverHttps, PnpmTests):
    """The same over HTTPS."""


class YarnTests(YarnTestCase, FamilyContract):
    """The first yarn."""


class YarnHttpsTests(OverHttps, YarnTests):
    """The same over HTTPS."""


class BerryTests(BerryTestCase, FamilyContract):
    """The second yarn."""


class BerryHttpsTests(OverHttps, BerryTests):
    """The same over HTTPS."""


class BunTests(BunTestCase, FamilyContract):
    """bun, which is a program of its own."""


class BunHttpsTests(OverHttps, BunTests):
    """The same over HTTPS."""
