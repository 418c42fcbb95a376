"""pnpm, both kinds of yarn and bun: how each of them is run."""

from __future__ import annotations

import json
import os
import pathlib
from collections.abc import Mapping
from typing import Any
from unittest import SkipTest

from tests.support.clients import Run, programs
from tests.support.npm_clients import NpmTestCase

ENVIRONMENT = "npm-family"


class FamilyTestCase(NpmTestCase):
    """
    Tests of a client that npm installs.

    Attributes:
        script: where it lies in node_modules.
        bundle: how its packages bring others along, if it packs them.
        unauthorized: what it says without a token.
    """

    client = "node"
    script: str
    bundle: Mapping[str, Any] = {"bundleDependencies": ["packed"]}
    unauthorized = "authentication is required: send a token"

    def setUp(self) -> None:
        """Find it."""
        super().setUp()
        path = programs(ENVIRONMENT).parent / "node_modules" / self.script
        if not path.exists():
            if os.environ.get("PKGREGD_REQUIRE_CLIENTS") == "1":
                self.fail(f"{path} is not installed")
            raise SkipTest(f"{path} is not installed")
        self.path = str(path)

    def run_in(self, folder: pathlib.Path, *arguments: str) -> Run:
        """Run it in a folder."""
        settings = {"CI": "", "NODE_EXTRA_CA_CERTS": self.daemon.ca_file, "YARN_ENABLE_IMMUTABLE_INSTALLS": "false"}
        command = ("env", "--chdir", str(folder), *self.command, *arguments)
        return self.run_program(*command, env={**settings, "NO_COLOR": "1"})

    @property
    def command(self) -> tuple[str, ...]:
        """What runs it."""
        return self.program, self.path

    def publish_in(self, folder: pathlib.Path) -> Run:
        """Publish the package of a folder."""
        raise NotImplementedError

    def publish_only(self, folder: pathlib.Path) -> Run:
        """Publish it without installing what it needs."""
        return self.publish_in(folder)

    def add_in(self, folder: pathlib.Path, wanted: str) -> Run:
        """Add a package to the project of a folder."""
        raise NotImplementedError


class PnpmTestCase(FamilyTestCase):
    """Tests of pnpm."""

    script = "pnpm/bin/pnpm.cjs"
    bundle: Mapping[str, Any] = {}

    def publish_in(self, folder: pathlib.Path) -> Run:
        """See FamilyTestCase."""
        return self.run_in(folder, "publish", "--no-git-checks")

    def add_in(self, folder: pathlib.Path, wanted: str) -> Run:
        """See FamilyTestCase."""
        return self.run_in(folder, "add", wanted)


class YarnTestCase(FamilyTestCase):
    """Tests of the first yarn."""

    script = "yarn/bin/yarn.js"

    def use(self, registry: str, token: str) -> None:
        """See NpmTestCase; it has a file of its own besides."""
        super().use(registry, token)
        (self.home / ".yarnrc").write_text(f'registry "{registry}/"\ncafile "{self.daemon.ca_file}"\n')

    def publish_in(self, folder: pathlib.Path) -> Run:
        """See FamilyTestCase."""
        version = json.loads((folder / "package.json").read_text())["version"]
        arguments = ("--non-interactive", "--no-git-tag-version", "--new-version", version)
        return self.run_in(folder, "publish", *arguments)

    def add_in(self, folder: pathlib.Path, wanted: str) -> Run:
        """See FamilyTestCase."""
        return self.run_in(folder, "add", wanted, "--non-interactive")


class BerryTestCase(FamilyTestCase):
    """Tests of the second yarn."""

    script = "@yarnpkg/cli-dist/bin/yarn.js"
    unauthorized = "Invalid authentication (as an anonymous user)"

    def use(self, registry: str, token: str) -> None:
        """See NpmTestCase; it reads a file of its own."""
        host = registry.partition("://")[2].partition(":")[0]
        lines = [f'npmRegistryServer: "{registry}"', "npmAlwaysAuth: true", f'unsafeHttpWhitelist: ["{host}"]',
                 f'httpsCaFilePath: "{self.daemon.ca_file}"', "enableTelemetry: false", "npmMinimalAgeGate: 0",
                 "nodeLinker: node-modules", "enableGlobalCache: false"]  # fmt: skip
        if token:
            lines.append(f'npmAuthToken: "{token}"')
        (self.home / ".yarnrc.yml").write_text("\n".join(lines) + "\n")

    def publish_in(self, folder: pathlib.Path) -> Run:
        """See FamilyTestCase."""
        (folder / "yarn.lock").touch()
        installed = self.run_in(folder, "install")
        return installed if installed.status else self.run_in(folder, "npm", "publish")

    def publish_only(self, folder: pathlib.Path) -> Run:
        """See FamilyTestCase; it wants to have installed something."""
        path = folder / "package.json"
        written = path.read_text()
        path.write_text(json.dumps({"name": self.name}))
        (folder / "yarn.lock").touch()
        self.assert_works(self.run_in(folder, "install"))
        path.write_text(written)
        return self.run_in(folder, "npm", "publish")

    def add_in(self, folder: pathlib.Path, wanted: str) -> Run:
        """See FamilyTestCase."""
        (folder / "yarn.lock").touch()
        return self.run_in(folder, "add", wanted)


class BunTestCase(FamilyTestCase):
    """Tests of bun, which is a program of its own."""

    script = "@oven/bun-linux-x64-baseline/bin/bun"
    unauthorized = "401"

    @property
    def command(self) -> tuple[str, ...]:
        """See FamilyTestCase."""
        return (self.path,)

    def publish_in(self, folder: pathlib.Path) -> Run:
        """See FamilyTestCase."""
        return self.run_in(folder, "publish")

    def add_in(self, folder: pathlib.Path, wanted: str) -> Run:
        """See FamilyTestCase."""
        return self.run_in(folder, "add", wanted)
