"""cargo: publishing, resolving, building, yanking, searching, and what it says when it may not."""

from __future__ import annotations

import os
import pathlib

from tests.clients.cargo_case import MAINTAINER, CargoTestCase
from tests.support.clients import OverHttps
from tests.support.protecting import keeper, protect

LIMIT_BYTES = 1 << 20


class CargoTests(CargoTestCase):
    """cargo over HTTP."""

    settings = f"[formats.cargo]\nmax_file_bytes = {LIMIT_BYTES}\n"

    # --- publishing

    def test_protected(self) -> None:
        """cargo prints who may publish and yank; whoever may does."""
        name = self.crate_name()
        protect(self.daemon, "cargo", f"{name[:-4].replace('-', '_').upper()}*", push="owner")
        words = ("403", "Package protected. In this project only owners and above may publish")
        self.assert_fails(self.publish(name, "1.0.0"), *words)
        self.assert_works(self.publish(name, "1.0.0", secret=keeper(self.daemon)))
        yank = ("yank", "--registry", "reg", f"{name}@1.0.0")
        self.assert_fails(self.cargo(*yank, secret=self.maintainer()), *words)
        self.assert_works(self.cargo(*yank, secret=keeper(self.daemon)))

    def test_publish_and_build(self) -> None:
        """What is published, with the build that cargo tries before, is added to an empty project and builds."""
        name = self.crate_name()
        output = self.assert_works(self.publish(name, "1.0.0", verify=True))
        self.assertIn(f"Published {name} v1.0.0 at registry `reg`", output)
        manifest = self.write_consumer(name, "")
        self.assert_works(self.cargo("add", "--manifest-path", manifest, "--registry", "reg", name))
        self.assert_works(self.build(manifest))
        self.assertEqual(self.locked_version(name), "1.0.0")

    def test_published_again(self) -> None:
        """A version is there once: cargo finds it in the index, and the server says so itself."""
        name = self.crate_name()
        self.assert_works(self.publish(name, "1.0.0"))
        before = self.index_of(name)
        for version, answer in (("1.0.0", 42), ("1.0.0", 43), ("1.0.0+two", 43)):
            self.assert_fails(self.publish(name, version, answer=answer), f"{name}@{version} already exists on `reg`")
        self.assertEqual(self.index_of(name), before)

    def test_deleted_versions_do_not_come_back(self) -> None:
        """The number of a deleted version takes the same crate again, and no other: cargo shows the server's words."""
        name = self.crate_name()
        self.assert_works(self.publish(name, "1.0.0"))
        self.delete(name)
        self.assertEqual(self.index_of(name), [])
        words = "crate version `1.0.0` was published and deleted"
        self.assert_fails(self.publish(name, "1.0.0", answer=43), "409 Conflict", words)
        self.assert_works(self.publish(name, "1.0.0"))

    def test_another_spelling(self) -> None:
        """A name that cargo takes for one that is there is refused, naming both."""
        name = self.crate_name()
        self.assert_works(self.publish(name, "1.0.0"))
        other = name.replace("-", "_")
        self.assert_fails(self.publish(other, "2.0.0"), f"'{other}' is another spelling of '{name}'", "400")

    def test_asked_for_under_another_spelling(self) -> None:
        """cargo finds nothing under another spelling, and says which one there is, if that is near enough."""
        name = "asked-for"
        self.assert_works(self.publish(name, "1.0.0"))
        other = name.replace("-", "_")
        manifest = self.write_consumer(name, f'{other} = {{ version = "1", registry = "reg" }}')
        run = self.build(manifest)
        self.assert_fails(run, f"`{other}`")
        self.assertRegex(run.output, f"(perhaps you meant|similar names): +{name}\n")

    def test_instead_of_the_default_registry(self) -> None:
        """A registry stands in for cargo's default one: then dependencies name none."""
        name = self.crate_name()
        self.assert_works(self.publish(name, "1.0.0"))
        with (self.cargo_home / "config.toml").open("a") as config:
            config.write('[source.crates-io]\nreplace-with = "reg"\n')
        self.assert_works(self.build(self.write_consumer(name, f'{name} = "1"')))
        self.assertEqual(self.locked_version(name), "1.0.0")

    def test_rights(self) -> None:
        """cargo shows that the token is none, that it may only read, and that a crate is too large."""
        name = self.crate_name()
        self.assert_fails(self.publish(name, "1.0.0", secret="nonsense"), "401")
        reader = self.publish(name, "1.0.0", secret=self.daemon.world.reader)
        self.assert_fails(reader, "403", "the permission create_package is missing")
        self.assertEqual(self.index_of(name), [])

    def test_large_crate(self) -> None:
        """cargo shows what the limit is."""
        name = self.crate_name()
        path = pathlib.Path(self.write_crate(name, "1.0.0")).parent / "noise"
        path.write_bytes(os.urandom(LIMIT_BYTES + 1))
        self.assert_fails(self.publish(name, "1.0.0"), "413", f"the limit is {LIMIT_BYTES} bytes")

    def test_tokens_of_pipelines(self) -> None:
        """Job tokens and deploy tokens publish."""
        name = self.crate_name()
        self.assert_works(self.publish(name, "1.0.0", secret=self.daemon.world.job))
        self.assert_works(self.publish(name, "1.1.0", secret=self.daemon.world.deploy))
        self.assertEqual([line["vers"] for line in self.index_of(name)], ["1.0.0", "1.1.0"])

    def test_login(self) -> None:
        """`cargo login` keeps a token, which then publishes."""
        name = self.crate_name()
        self.assert_works(self.run_client("login", "--registry", "reg", stdin=f"{self.daemon.world.writer}\n".encode()))
        self.assert_works(self.publish(name, "1.0.0", secret=""))

    # --- resolving

    def test_private_without_credentials(self) -> None:
        """Without a token cargo says what to do; with a stranger's, the project is not there."""
        name = self.crate_name()
        self.assert_works(self.publish(name, "1.0.0"))
        manifest = self.write_consumer(name, f'{name} = {{ version = "1", registry = "reg" }}')
        self.assert_fails(self.build(manifest, secret=""), "no token found", "cargo login --registry reg")
        stranger = self.build(manifest, secret=self.daemon.world.stranger)
        self.assert_fails(stranger)
        self.assertRegex(stranger.output, "config.json not found in registry|no matching package named")

    def test_public_without_credentials(self) -> None:
        """A public project's crates need no token."""
        name = self.crate_name()
        self.assert_works(self.publish(name, "1.0.0", registry="open"))
        manifest = self.write_consumer(name, f'{name} = {{ version = "1", registry = "open" }}')
        self.assert_works(self.build(manifest, secret=""))

    def test_group_index(self) -> None:
        """The index of the group has what its projects have that the caller may read."""
        name = self.crate_name()
        self.assert_works(self.publish(name, "1.0.0", registry="open"))
        manifest = self.write_consumer(name, f'{name} = {{ version = "1", registry = "all" }}')
        self.assert_works(self.build(manifest))
        self.assertEqual(self.locked_version(name), "1.0.0")

    def test_private_group(self) -> None:
        """The index of a group that is not public asks for a token, and has what its projects have."""
        name = self.crate_name()
        closed = f"closed-{name}"
        self.daemon.cli("group", "add", closed, "--visibility", "private")
        self.daemon.cli("project", "add", f"{closed}/crates", "--visibility", "private")
        self.daemon.cli("member", "add", "wendy", closed, "--role", "developer")
        self.write_config(self.daemon.packages_url("cargo", f"{closed}%2Fcrates"), group=closed)
        self.assert_works(self.publish(name, "1.0.0"))
        manifest = self.write_consumer(name, f'{name} = {{ version = "1", registry = "all" }}')
        self.assert_fails(self.build(manifest, secret=""), "no token found", "cargo login --registry all")
        self.assert_works(self.build(manifest, secret=self.daemon.world.writer))

    def test_members_of_a_public_group(self) -> None:
        """What is private in a public group is in the index of its members, for who may read it and nobody else."""
        name = self.crate_name()
        self.assert_works(self.publish(name, "1.0.0"))
        self.assert_works(self.publish(name, "0.9.0", registry="open", answer=41))
        manifest = self.write_consumer(name, f'{name} = {{ version = "*", registry = "all" }}', answer=41)
        self.assert_works(self.build(manifest))
        manifest = self.write_consumer(name, f'{name} = {{ version = "1", registry = "all-mine" }}')
        self.assert_fails(self.build(manifest, secret=""), "no token found", "cargo login --registry all-mine")
        self.assert_fails(self.build(manifest, secret=self.daemon.world.stranger), "0.9.0")
        self.assert_works(self.build(manifest))
        self.assertEqual(self.locked_version(name), "1.0.0")
        self.assertIn(f'{name} = "1.0.0"', self.assert_works(self.cargo("search", "--registry", "all-mine", name)))
        self.assertIn(f'{name} = "0.9.0"', self.assert_works(self.cargo("search", "--registry", "all", name)))

    def test_instance(self) -> None:
        """At the instance a crate is in the group of its first word: in public without a token, else with one."""
        name = self.crate_name()
        shown, hidden = f"acme-{name[:40]}-shown", f"acme-{name[:40]}-hidden"
        self.assert_works(self.publish(shown, "1.0.0", registry="open"))
        self.assert_works(self.publish(hidden, "1.0.0"))
        self.assert_works(
            self.build(self.write_consumer(shown, f'{shown} = {{ version = "1", registry = "any" }}'), secret="")
        )
        manifest = self.write_consumer(hidden, f'{hidden} = {{ version = "1", registry = "any" }}')
        self.assert_fails(self.build(manifest), "no matching package named")
        manifest = self.write_consumer(hidden, f'{hidden} = {{ version = "1", registry = "any-mine" }}')
        self.assert_fails(self.build(manifest, secret=""), "no token found")
        self.assert_fails(self.build(manifest, secret=self.daemon.world.stranger), "no matching package named")
        self.assert_works(self.build(manifest))

    def test_nobody_else_at_the_instance(self) -> None:
        """A crate under another's name is not found there, whatever its group is called."""
        name = f"acme-evil-{self.crate_name()[-40:].lstrip('-')}"
        for group in ("evil", "acme-evil"):
            self.daemon.cli("group", "add", group, "--visibility", "public")
            project = self.daemon.cli("project", "add", f"{group}/crates", "--visibility", "public")
            self.daemon.cli("member", "add", "wendy", group, "--role", "developer")
            self.write_config(self.daemon.packages_url("cargo", project.strip()))
            self.assert_works(self.publish(name, "9.0.0", answer=666))
        manifest = self.write_consumer(name, f'{name} = {{ version = "*", registry = "any" }}')
        self.assert_fails(self.build(manifest), "no matching package named")
        self.assert_works(self.publish(name, "1.0.0", registry="open"))
        self.assert_works(self.build(manifest))
        self.assertEqual(self.locked_version(name), "1.0.0")
        nowhere = self.write_consumer("nobody-x", 'nobody-x = { version = "*", registry = "any" }')
        self.assert_fails(self.build(nowhere, secret=""), "401", "authentication is required")

    def test_dependencies(self) -> None:
        """A crate depends on others of the registry, renamed, optional, for some platforms, for its build and tests."""
        name = self.crate_name()
        base = f"{name[:40].rstrip('-')}-base"
        root = f"{name[:40].rstrip('-')}-root"
        for each in (base, root):
            self.assert_works(self.publish(each, "1.2.3", answer=40, manifest="[features]\nextra = []\n"))
        registry = 'registry = "reg"'
        manifest = (
            "[dependencies]\n"
            f'foundation = {{ package = "{root}", version = "1.2", {registry}, features = ["extra"] }}\n'
            f'{base} = {{ version = ">=1.0, <2", optional = true, default-features = false, {registry} }}\n'
            f'[dev-dependencies]\n{base} = {{ version = "1.*", {registry} }}\n'
            f'[build-dependencies]\n{base} = {{ version = "~1.2", {registry} }}\n'
            f"[target.'cfg( all(unix, not(windows)) )'.dependencies]\n{base} = {{ version = \"=1.2.3\", {registry} }}\n"
            f'[features]\nwith-base = ["dep:{base}", "{base}?/extra"]\n'
        )
        source = "const _: () = assert!(foundation::ANSWER == 40);"
        self.assert_works(self.publish(name, "1.0.0", manifest=manifest, source=source, verify=True))
        (line,) = self.index_of(name)
        self.assertEqual(line["v"], 2)
        self.assertEqual(line["features2"], {"with-base": [f"{base}?/extra", f"dep:{base}"]})
        wanted = f'{name} = {{ version = "1", registry = "reg", features = ["with-base"] }}'
        self.assert_works(self.build(self.write_consumer(name, wanted)))
        self.assertEqual(self.locked_version(base), "1.2.3")

    def test_dependency_on_another_registry(self) -> None:
        """A crate depends on one of another registry, whose address the index then names."""
        name = self.crate_name()
        base = f"{name[:40].rstrip('-')}-base"
        self.assert_works(self.publish(base, "1.0.0", registry="open"))
        manifest = f'[dependencies]\n{base} = {{ version = "1", registry = "open" }}\n'
        self.assert_works(self.publish(name, "1.0.0", manifest=manifest, verify=True))
        (line,) = self.index_of(name)
        (dependency,) = line["deps"]  # type: ignore[misc] # JSON
        self.assertIn(f"/projects/{self.daemon.world.public_id}/packages/cargo/", dependency["registry"])
        wanted = f'{name} = {{ version = "1", registry = "reg" }}'
        self.assert_works(self.build(self.write_consumer(name, wanted)))

    def test_yank(self) -> None:
        """A yanked version is passed over by a new resolution, while a lock file still gets it; then it is back."""
        name = self.crate_name()
        self.assert_works(self.publish(name, "1.0.0", answer=41))
        self.assert_works(self.publish(name, "1.1.0"))
        manifest = self.write_consumer(name, f'{name} = {{ version = "1", registry = "reg" }}')
        self.assert_works(self.build(manifest))
        yank = ("yank", "--registry", "reg", f"{name}@1.1.0")
        self.assert_fails(self.cargo(*yank), "403", "destroy_package")
        self.assert_works(self.cargo(*yank, secret=self.maintainer()))
        self.assert_works(self.run_program("rm", "-rf", str(self.cargo_home / "registry"), str(self.folder / "target")))
        self.assert_works(self.build(manifest, "--locked"))
        (self.folder / "consumer" / "Cargo.lock").unlink()
        self.write_consumer(name, f'{name} = {{ version = "1", registry = "reg" }}', answer=41)
        self.assert_works(self.build(manifest))
        self.assertEqual(self.locked_version(name), "1.0.0")
        self.assert_works(self.cargo(*yank, "--undo", secret=self.maintainer()))
        self.assertEqual([line["yanked"] for line in self.index_of(name)], [False, False])

    def test_search_and_info(self) -> None:
        """`cargo search` finds by name and keyword, `cargo info` shows what is there."""
        name = self.crate_name()
        self.assert_works(self.publish(name, "1.0.0"))
        self.assert_works(self.publish(name, "1.1.0-rc.1"))
        output = self.assert_works(self.cargo("search", "--registry", "reg", f"{name} answers"))
        self.assertRegex(output, rf'{name} = "1.0.0" +# The answer of {name}')
        info = self.assert_works(self.cargo("info", "--registry", "reg", f"{name}@1.0.0"))
        self.assertIn("version: 1.0.0", info)

    def test_owners(self) -> None:
        """`cargo owner` lists the maintainers of the project, and says who decides about them."""
        name = self.crate_name()
        self.assert_works(self.publish(name, "1.0.0"))
        secret = self.maintainer()
        listing = self.assert_works(self.cargo("owner", "--registry", "reg", "--list", name, secret=secret))
        self.assertIn(MAINTAINER, listing)
        for change in ("--add", "--remove"):
            run = self.cargo("owner", "--registry", "reg", change, "rob", name, secret=secret)
            self.assert_fails(run, "are the maintainers of the project acme/private: change its members instead")

    def test_path_of_the_project(self) -> None:
        """The project can be named by its path."""
        name = self.crate_name()
        base = f"{name[:40].rstrip('-')}-base"
        self.write_config(self.daemon.packages_url("cargo", "acme%2Fprivate"))
        self.assert_works(self.publish(base, "1.0.0"))
        manifest = f'[dependencies]\n{base} = {{ version = "1", registry = "reg" }}\n'
        self.assert_works(self.publish(name, "1.0.0", manifest=manifest))
        wanted = f'{name} = {{ version = "1", registry = "reg" }}'
        self.assert_works(self.build(self.write_consumer(name, wanted)))


class CargoOverHttpsTests(OverHttps, CargoTests):
    """The same over HTTPS with a private authority."""
