"""cargo: its configuration, and crates for it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

from tests.support.clients import RUSTUP, ClientTestCase, Run

MAINTAINER = "mary"


class CargoTestCase(ClientTestCase):
    """Tests of cargo; every test has crates under a name of its own."""

    client = "cargo"

    def setUp(self) -> None:
        """
        Have cargo know the private project as `reg`, the public one as `open`, and the group as `all`.

        The instance is `any`; what the bearer of a token may read is `all-mine` and `any-mine`.
        """
        super().setUp()
        self.cargo_home = self.home / "cargo"
        self.cargo_home.mkdir()
        self.write_config(self.daemon.packages_url("cargo", self.daemon.world.private_id))

    def run_client(self, *arguments: str, env: Mapping[str, str] | None = None, stdin: bytes = b"") -> Run:
        """Run cargo with a home of its own; if rustup brought it, its compilers are where they are."""
        base = {
            "CARGO_HOME": str(self.home / "cargo"),
            "CARGO_TERM_COLOR": "never",
            "CARGO_NET_RETRY": "0",
            "CARGO_TARGET_DIR": str(self.folder / "target"),
            **RUSTUP,
        }
        return super().run_client(*arguments, env={**base, **(env or {})}, stdin=stdin)

    def write_config(self, private_url: str, group: str | None = None) -> None:
        """Write cargo's configuration."""
        group = group or self.daemon.world.group
        registries = {
            "reg": private_url,
            "open": self.daemon.packages_url("cargo", self.daemon.world.public_id),
            "all": f"{self.daemon.url}/api/v4/groups/{group}/-/packages/cargo",
            "any": f"{self.daemon.url}/api/v4/packages/cargo",
        }
        registries |= {f"{name}-mine": f"{registries[name]}/members" for name in ("all", "any")}
        lines = [f'[registries.{name}]\nindex = "sparse+{url}/"\n' for name, url in registries.items()]
        lines.append('[registry]\nglobal-credential-providers = ["cargo:token"]\n')
        lines.append(f'[http]\ncainfo = "{self.daemon.ca_file}"\n')
        (self.cargo_home / "config.toml").write_text("".join(lines))

    def cargo(self, *arguments: str, secret: str | None = None) -> Run:
        """Run cargo with a token for all registries; the writer's if None, none at all if empty."""
        token = self.daemon.world.writer if secret is None else secret
        names = ("REG", "OPEN", "ALL", "ALL_MINE", "ANY", "ANY_MINE")
        return self.run_client(*arguments, env={f"CARGO_REGISTRIES_{name}_TOKEN": token for name in names if token})

    def maintainer(self) -> str:
        """Return the token of a maintainer of the private project."""
        cls = type(self)
        if not hasattr(cls, "_maintainer_token") or cls._maintainer_token[0] is not self.daemon:
            self.daemon.cli("user", "add", MAINTAINER)
            self.daemon.cli("member", "add", MAINTAINER, "acme/private", "--role", "maintainer")
            secret = self.daemon.cli("token", "add", "--kind", "personal", "--user", MAINTAINER, "--scope", "api")
            cls._maintainer_token = (self.daemon, secret)
        return cls._maintainer_token[1]

    _maintainer_token: tuple[object, str] = (None, "")

    # --- crates

    def crate_name(self) -> str:
        """Return a name for this test alone."""
        return re.sub(r"[^a-z0-9]+", "-", f"{type(self).__name__}-{self._testMethodName}".lower())[-60:].lstrip("-")

    def write_crate(self, name: str, version: str, answer: int = 42, manifest: str = "", source: str = "") -> str:
        """Write a library with a constant; returns the path of its manifest."""
        folder = self.folder / f"{name}-{version}"
        (folder / "src").mkdir(parents=True, exist_ok=True)
        (folder / "src" / "lib.rs").write_text(f"pub const ANSWER: u32 = {answer};\n{source}")
        path = folder / "Cargo.toml"
        path.write_text(
            f'[package]\nname = "{name}"\nversion = "{version}"\nedition = "2021"\nlicense = "MIT"\n'
            f'description = "The answer of {name}"\nkeywords = ["answers"]\n{manifest}'
        )
        return str(path)

    def publish(
        self, name: str, version: str, *, registry: str = "reg", secret: str | None = None, verify: bool = False,
        **more: object,
    ) -> Run:  # fmt: skip
        """Write a crate and publish it."""
        path = self.write_crate(name, version, **more)  # type: ignore[arg-type] # they are those of write_crate()
        arguments = ["publish", "--registry", registry, "--allow-dirty", "--manifest-path", path]
        return self.cargo(*arguments, *([] if verify else ["--no-verify"]), secret=secret)

    def write_consumer(self, name: str, wanted: str, *, answer: int = 42, features: str = "") -> str:
        """Write a library that only compiles if the crate it depends on has the answer; returns its manifest."""
        folder = self.folder / "consumer"
        (folder / "src").mkdir(parents=True, exist_ok=True)
        crate = name.replace("-", "_")
        (folder / "src" / "lib.rs").write_text(f"const _: () = assert!({crate}::ANSWER == {answer});\n")
        path = folder / "Cargo.toml"
        path.write_text(
            f'[package]\nname = "consumer"\nversion = "1.0.0"\nedition = "2021"\n{features}\n[dependencies]\n{wanted}\n'
        )
        return str(path)

    def build(self, manifest: str, *arguments: str, secret: str | None = None) -> Run:
        """Build from the manifest."""
        secret = self.daemon.world.reader if secret is None else secret
        return self.cargo("build", "--manifest-path", manifest, *arguments, secret=secret)

    def locked_version(self, name: str) -> str:
        """Return the version of a crate in the consumer's lock file."""
        text = (self.folder / "consumer" / "Cargo.lock").read_text()
        found = re.search(rf'name = "{name}"\nversion = "([^"]+)"', text)
        assert found is not None, text
        return found[1]

    def delete(self, name: str) -> None:
        """Delete every version of a crate by the API of packages."""
        path = f"/api/v4/projects/{self.daemon.world.private_id}/packages"
        headers = {"PRIVATE-TOKEN": self.maintainer()}
        _, _, listing = self.daemon.get(f"{path}?package_type=cargo&package_name={name}", headers)
        for package in json.loads(listing):
            self.assertEqual(self.daemon.get(f"{path}/{package['id']}", headers, "DELETE")[0], 204)

    def index_of(self, name: str, project: str | None = None) -> Sequence[dict[str, object]]:
        """Read the index file of a crate with four letters or more."""
        project = project or self.daemon.world.private_id
        path = f"{self.daemon.packages_path('cargo', project)}/{name[:2]}/{name[2:4]}/{name}"
        status, _, page = self.daemon.get(path, {"PRIVATE-TOKEN": self.daemon.world.reader})
        return [json.loads(line) for line in page.splitlines()] if status == 200 else []
