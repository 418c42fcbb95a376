"""Running npm, and clients that read its configuration."""

from __future__ import annotations

import json
import pathlib
from typing import Any

from tests.support.clients import ClientTestCase, Run


class NpmTestCase(ClientTestCase):
    """Tests of npm; every test has packages under a name of its own."""

    client = "npm"

    def setUp(self) -> None:
        """Log in at the private project."""
        super().setUp()
        self.name = f"@acme/{type(self).__name__}-{self._testMethodName}".replace("_", "-").lower()
        self.use(self.daemon.packages_url("npm", self.daemon.world.private_id), self.daemon.world.writer)

    def use(self, registry: str, token: str) -> None:
        """Write the configuration of a user: a registry, and a token for it unless that is empty."""
        lines = [f"registry={registry}/", f"cafile={self.daemon.ca_file}", "update-notifier=false", "fund=false",
                 "audit=false", "fetch-retries=0", "color=false", f"cache={self.home}/cache"]  # fmt: skip
        if token:
            lines.append(f"{registry.partition(':')[2]}/:_authToken={token}")
        (self.home / ".npmrc").write_text("\n".join(lines) + "\n")

    def use_maintainer(self) -> None:
        """Go on with a token that may remove things."""
        token = self.daemon.cli(
            "token", "add", "--kind", "project", "--project", "acme/private", "--role", "maintainer",
            "--scope", "api", "--name", "maintainer",
        ).strip()  # fmt: skip
        self.use(self.daemon.packages_url("npm", self.daemon.world.private_id), token)

    def write_package(self, version: str, code: str = "module.exports = 42", **fields: Any) -> pathlib.Path:
        """Write a package of one module; returns its folder."""
        folder = self.folder / f"package-{version}"
        folder.mkdir(exist_ok=True)
        manifest = {"name": self.name, "version": version, "main": "index.js", **fields}
        (folder / "package.json").write_text(json.dumps(manifest))
        (folder / "index.js").write_text(code + "\n")
        (folder / "README.md").write_text("# A package\n")
        return folder

    def publish(self, version: str, *arguments: str, **fields: Any) -> Run:
        """Publish a version."""
        return self.run_client("publish", str(self.write_package(version, **fields)), *arguments)

    def project(self) -> pathlib.Path:
        """Write an empty project; returns its folder."""
        folder = self.folder / "project"
        folder.mkdir(exist_ok=True)
        (folder / "package.json").write_text(json.dumps({"name": "project", "version": "1.0.0", "private": True}))
        return folder

    def in_project(self, *arguments: str) -> Run:
        """Run npm in the project."""
        return self.run_client("--prefix", str(self.folder / "project"), *arguments)

    def view(self, *fields: str) -> Any:
        """Return what npm tells about the package."""
        return json.loads(self.assert_works(self.run_client("view", "--json", self.name, *fields)))

    def installed_version(self) -> str:
        """Return which version lies in the project."""
        manifest = self.folder / "project" / "node_modules" / self.name / "package.json"
        return str(json.loads(manifest.read_text())["version"])
