"""Rate limits as real clients meet them: installs wait and succeed, publishing stops with the reason."""

from __future__ import annotations

import datetime
import json
import pathlib
import threading
from collections.abc import Mapping
from typing import Any, ClassVar

from tests.clients import test_pip, test_twine
from tests.support.clients import RUSTUP, ClientTestCase, Run
from tests.support.daemon import Daemon, shared_world, wait_until
from tests.support.npm_clients import NpmTestCase

FREE = "acme%2Fprivate"
"""The private project by its path: only its number has a limit here."""

NEEDED = 5
MANY = 6


class Lines(ClientTestCase):
    """
    A daemon where groups are for reading slowly, the private project for being refused, and the public one for many.

    The rules name projects by their numbers, so that packages can be published by the path.
    """

    def make_daemon(self) -> Daemon:
        """Set the limits."""
        world = shared_world()
        rules = (
            ("groups/:id/-", 'authenticated = "5/3s"'),
            (f"projects/{world.private_id}", 'authenticated = "3/h"'),
            (f"projects/{world.public_id}", 'authenticated = "20/h"\nanonymous = "20/h"'),
        )
        texts = [f'[[rate_limits]]\nprefix = "/api/v4/{where}/packages/"\n{rates}\n' for where, rates in rules]
        return Daemon("".join(texts))

    def lines(self, *statuses: int, of: str) -> list[dict[str, Any]]:
        """Return the requests whose path has a word in it, in order, those with some statuses alone."""
        found = [line[line.index("{") :] for line in self.daemon.log_text().splitlines() if '"status": ' in line]
        parsed = [json.loads(line) for line in found]
        return [line for line in parsed if of in line.get("path", "") and (not statuses or line["status"] in statuses)]

    def assert_waited(self, path_part: str) -> None:
        """Some of a client's requests were refused, each was asked again, and not before a second had passed."""
        wait_until(lambda: all(map(self.again, self.lines(429, of=path_part))), "the lines of the log")
        refused = self.lines(429, of=path_part)
        self.assertNotEqual(refused, [])
        for line in refused:
            again = self.again(line)[0]
            self.assertGreaterEqual(_time(again) - _time(line), datetime.timedelta(seconds=0.95), (line, again))

    def again(self, line: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the later requests of the same thing."""
        return [
            other
            for other in self.lines(of=line["path"])
            if other["path"] == line["path"] and other["time"] > line["time"]
        ]

    def exhaust(self, format: str, header: str, secret: str) -> str:
        """Use up what a token has at the private project; returns the URL there."""
        for _ in range(4):
            path = self.daemon.packages_path("generic", self.daemon.world.private_id)
            status = self.daemon.get(f"{path}/none/1/none", {header: secret})[0]
        self.assertEqual(status, 429)
        return self.daemon.packages_url(format, self.daemon.world.private_id)


def _time(line: Mapping[str, Any]) -> datetime.datetime:
    return datetime.datetime.fromisoformat(line["time"])


class PipTests(Lines, test_pip.PipTestCase):
    """pip."""

    def test_an_install_waits(self) -> None:
        """In the middle of an install pip is told to come back later, does, and has everything."""
        name = self.package_name()
        needed = [f"{name}-{number}" for number in range(NEEDED)]
        self.publish(*((other, "1.0") for other in needed), project=FREE)
        self.publish((name, "1.0"), project=FREE, metadata="".join(f"Requires-Dist: {other}\n" for other in needed))
        self.assert_works(self.install(self.group_index_url(), name))
        self.assertEqual([self.installed(other) for other in (name, *needed)], [{"1.0"}] * (NEEDED + 1))
        self.assert_waited("/groups/acme/-/packages/pypi/")

    def test_many_behind_one_address(self) -> None:
        """Installs at once, each with a token of its own, hinder each other as little as if they were elsewhere."""
        name = self.package_name()
        self.publish((name, "1.0"), project="acme%2Fpublic")
        url = self.daemon.packages_url("pypi", self.daemon.world.public_id) + "/simple/"
        secrets = [self.token(number) for number in range(MANY)]
        runs: dict[int, Run] = {}

        def install(number: int) -> None:
            index = self.with_credentials(url, "__token__", secrets[number])
            for again in range(3):
                target = str(self.folder / f"target-{number}-{again}")
                runs[10 * number + again] = self.pip("install", "--target", target, "--index-url", index, name)

        threads = [threading.Thread(target=install, args=(number,)) for number in range(MANY)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for run in runs.values():
            self.assert_works(run)
        path = self.daemon.packages_path("pypi", self.daemon.world.public_id)
        self.assertEqual(self.lines(429, of=path), [])
        self.assertGreater(len(self.lines(of=path)), 20)

    def token(self, number: int) -> str:
        """Make a token of nobody else's."""
        return self.daemon.cli(
            "token", "add", "--kind", "deploy", "--project", "acme/public", "--name", f"reader{number}",
            "--scope", "read_package_registry",
        )  # fmt: skip


class TwineTests(Lines, test_twine.TwineTestCase):
    """twine."""

    def test_an_upload_is_refused(self) -> None:
        """twine stops at once, and says what it was told."""
        secret = self.daemon.world.deploy
        url = self.exhaust("pypi", "Deploy-Token", secret)
        wheel = str(self.write_wheel(self.package_name(), "1.0"))
        run = self.twine("--repository-url", url, "--username", "any", "--password", secret, wheel)
        self.assert_fails(run, "429 Too Many Requests", "too many requests: try again in")


class NpmTests(Lines, NpmTestCase):
    """npm."""

    def use(self, registry: str, token: str) -> None:
        """Have npm try again as it does unless it is told otherwise, but sooner where nobody says when."""
        super().use(registry, token)
        path = self.home / ".npmrc"
        retries = "fetch-retries=4\nfetch-retry-mintimeout=1000\nfetch-retry-factor=2"
        path.write_text(path.read_text().replace("fetch-retries=0", retries))

    def test_an_install_waits(self) -> None:
        """In the middle of an install npm is told to come back later, does, and has everything."""
        self.use(self.daemon.packages_url("npm", FREE), self.daemon.world.writer)
        name, needed = self.name, [f"{self.name}-{number}" for number in range(NEEDED)]
        for self.name in needed:
            self.assert_works(self.publish("1.0.0"))
        self.name = name
        self.assert_works(self.publish("1.0.0", dependencies=dict.fromkeys(needed, "1.0.0")))
        self.use(f"{self.daemon.url}/api/v4/groups/acme/-/packages/npm", self.daemon.world.reader)
        self.project()
        self.assert_works(self.in_project("install", name))
        for self.name in (name, *needed):
            self.assertEqual(self.installed_version(), "1.0.0")
        self.assert_waited("/groups/acme/-/packages/npm/")

    def test_publishing_is_refused(self) -> None:
        """npm stops, and says what it was told."""
        self.use(self.exhaust("npm", "JOB-TOKEN", self.daemon.world.job), self.daemon.world.job)
        self.assert_fails(self.publish("1.0.0"), "E429", "too many requests: try again in")


class CargoTests(Lines):
    """cargo."""

    client = "cargo"
    registries: ClassVar[tuple[str, ...]] = ("free", "slow", "all")

    def setUp(self) -> None:
        """Have cargo know the private project by its path and by its number, and the group."""
        super().setUp()
        home = self.home / "cargo"
        home.mkdir()
        urls = (
            self.daemon.packages_url("cargo", FREE),
            self.daemon.packages_url("cargo", self.daemon.world.private_id),
            f"{self.daemon.url}/api/v4/groups/acme/-/packages/cargo/members",
        )
        lines = [
            f'[registries.{name}]\nindex = "sparse+{url}/"\n' for name, url in zip(self.registries, urls, strict=True)
        ]
        (home / "config.toml").write_text(
            "".join(lines) + '[registry]\nglobal-credential-providers = ["cargo:token"]\n'
        )

    def cargo(self, *arguments: str, secret: str) -> Run:
        """Run cargo with a token for all registries."""
        tokens = {f"CARGO_REGISTRIES_{name.upper()}_TOKEN": secret for name in self.registries}
        places = {"CARGO_HOME": str(self.home / "cargo"), "CARGO_TARGET_DIR": str(self.folder / "target")}
        return self.run_client(*arguments, env={**places, **tokens, "CARGO_TERM_COLOR": "never", **RUSTUP})

    def write_crate(self, name: str, more: str = "") -> pathlib.Path:
        """Write an empty library; returns its manifest."""
        (self.folder / name / "src").mkdir(parents=True)
        (self.folder / name / "src" / "lib.rs").write_text("")
        manifest = self.folder / name / "Cargo.toml"
        manifest.write_text(
            f'[package]\nname = "{name}"\nversion = "1.0.0"\nedition = "2021"\nlicense = "MIT"\n'
            f'description = "x"\n{more}'
        )
        return manifest

    def publish(self, manifest: pathlib.Path, registry: str, secret: str) -> Run:
        """Publish a crate."""
        arguments = ("--registry", registry, "--allow-dirty", "--no-verify", "--manifest-path", str(manifest))
        return self.cargo("publish", *arguments, secret=secret)

    def test_a_build_waits(self) -> None:
        """While it fetches what a crate needs cargo is told to come back later, does, and has everything."""
        names = [f"acme-limits-{number}" for number in range(NEEDED)]
        for name in names:
            self.assert_works(self.publish(self.write_crate(name), "free", self.daemon.world.writer))
        needed = "".join(f'{name} = {{ version = "1", registry = "all" }}\n' for name in names)
        manifest = self.write_crate("consumer", f"[dependencies]\n{needed}")
        self.assert_works(self.cargo("fetch", "--manifest-path", str(manifest), secret=self.daemon.world.reader))
        self.assert_waited("/groups/acme/-/packages/cargo/")

    def test_publishing_is_refused(self) -> None:
        """cargo stops, and says what it was told."""
        secret = self.daemon.world.writer
        self.exhaust("cargo", "PRIVATE-TOKEN", secret)
        with (self.home / "cargo" / "config.toml").open("a") as config:
            config.write("[net]\nretry = 0\n")
        run = self.publish(self.write_crate("acme-refused"), "slow", secret)
        self.assert_fails(run, "429", "too many requests: try again in")
