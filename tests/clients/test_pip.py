"""pip: installing Python packages."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from tests.support.clients import OverHttps, PythonClientTestCase, Run


class PipTests(PythonClientTestCase):
    """Installations by pip over HTTP."""

    client = "pip"

    def install(self, index_url: str, *what: str, env: Mapping[str, str] | None = None) -> Run:
        """Run `pip install` into a folder of the test; whoever it asks for a password has none to say."""
        return self.run_client(
            "install", "--no-cache-dir", "--disable-pip-version-check", "--cert", self.daemon.ca_file,
            "--target", str(self.folder / "target"), "--upgrade", "--index-url", index_url, *what,
            env={"PIP_CONFIG_FILE": os.devnull, **(env or {})},
        )  # fmt: skip

    def installed(self, name: str) -> set[str]:
        """Return the versions of a package in the test's folder."""
        stem = name.replace("-", "_")
        found = (self.folder / "target").glob(f"{stem}-*.dist-info")
        return {path.name.removeprefix(f"{stem}-").removesuffix(".dist-info") for path in found}

    def test_newest_and_pinned(self) -> None:
        """pip takes the newest version, or the one that is asked for."""
        name = self.package_name()
        self.publish((name, "1.9"), (name, "1.10"), (name, "2.0rc1"))
        index = self.index_url(self.daemon.world.private_id)
        self.assert_works(self.install(index, name))
        self.assertEqual(self.installed(name), {"1.10"})
        self.assert_works(self.install(index, f"{name}==1.9"))
        self.assertIn("1.9", self.installed(name))

    def test_index_without_final_slash(self) -> None:
        """The URL that GitLab's pages show, without a slash, works."""
        name = self.package_name()
        self.publish((name, "1.0"))
        self.assert_works(self.install(self.index_url(self.daemon.world.private_id).rstrip("/"), name))

    def test_name_in_another_spelling(self) -> None:
        """A name is found however its letters and dashes are written."""
        name = self.package_name()
        self.publish((name, "1.0"))
        self.assert_works(self.install(self.index_url(self.daemon.world.private_id), name.upper().replace("-", "_")))

    def test_sdist(self) -> None:
        """pip builds and installs a source distribution."""
        name = self.package_name()
        sdist = self.write_sdist(name, "1.0")
        form = ("--form", f"name={name}", "--form", "version=1.0", "--form", f"content=@{sdist}")
        target = self.upload_url(self.daemon.world.private_id)
        user = f"__token__:{self.daemon.world.writer}"
        self.assert_works(
            self.run_program(
                self.find("curl"), "--silent", "--show-error", "--fail-with-body", "--cacert", self.daemon.ca_file,
                "--user", user, *form, target,
            )
        )  # fmt: skip
        index = self.index_url(self.daemon.world.private_id)
        self.assert_works(self.install(index, "--no-build-isolation", name))
        self.assertEqual(len(list((self.folder / "target").glob("*.py"))), 1)

    def test_hashes(self) -> None:
        """A pinned digest holds; a wrong one is refused by pip itself."""
        name = self.package_name()
        self.publish((name, "1.0"))
        index = self.index_url(self.daemon.world.private_id)
        wheel = self.write_wheel(name, "1.0")
        found = self.run_client("hash", str(wheel)).output.rpartition("--hash=")[2].strip()
        requirements = self.folder / "requirements.txt"
        requirements.write_text(f"{name}==1.0 --hash={found}\n")
        self.assert_works(self.install(index, "--requirement", str(requirements)))
        requirements.write_text(f"{name}==1.0 --hash=sha256:{'0' * 64}\n")
        self.assert_fails(self.install(index, "--requirement", str(requirements)), "DO NOT MATCH")

    def test_group_index(self) -> None:
        """The index of the group finds what its projects have."""
        name = self.package_name()
        self.publish((name, "1.0"))
        self.publish((name, "2.0"), project=self.daemon.world.public_id)
        self.assert_works(self.install(self.group_index_url(), name))
        self.assertEqual(self.installed(name), {"2.0"})
        self.assert_works(self.install(self.group_index_url(), f"{name}==1.0"))

    def test_netrc(self) -> None:
        """Credentials come from a netrc file."""
        name = self.package_name()
        self.publish((name, "1.0"))
        netrc = self.folder / "netrc"
        host = self.host_and_port.partition(":")[0]
        netrc.write_text(f"machine {host} login __token__ password {self.daemon.world.reader}\n")
        netrc.chmod(0o600)
        index = self.index_url(self.daemon.world.private_id, secret="")
        self.assert_works(self.install(index, name, env={"NETRC": str(netrc)}))

    def test_index_from_the_environment(self) -> None:
        """`pip download` with everything in PIP_INDEX_URL, as CI does it."""
        name = self.package_name()
        self.publish((name, "1.0"))
        environment = {
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_INDEX_URL": self.index_url(self.daemon.world.private_id, "gitlab-ci-token", self.daemon.world.job),
            "PIP_CERT": self.daemon.ca_file,
            "PIP_NO_INPUT": "1",
        }
        target = str(self.folder / "downloads")
        self.assert_works(self.run_client("download", "--no-cache-dir", "--dest", target, name, env=environment))

    def test_wrong_token(self) -> None:
        """pip says that the credentials are not good."""
        name = self.package_name()
        run = self.install(self.index_url(self.daemon.world.private_id, secret="nonsense"), name)
        self.assert_fails(run, "401 Error, Credentials not correct")

    def test_anonymous(self) -> None:
        """pip is challenged for a private project, and needs nothing for a public one."""
        name = self.package_name()
        self.publish((name, "1.0"), project=self.daemon.world.public_id)
        self.assert_works(self.install(self.index_url(self.daemon.world.public_id, secret=""), name))
        run = self.install(self.index_url(self.daemon.world.private_id, secret=""), name)
        self.assert_fails(run, f"User for {self.host_and_port}")
        path = self.daemon.packages_path("pypi", self.daemon.world.private_id)
        status, headers, _ = self.daemon.get(f"{path}/simple/{name}/")
        self.assertEqual(status, 401)
        self.assertTrue((headers["WWW-Authenticate"] or "").startswith("Basic "), headers.items())

    def test_unknown_name(self) -> None:
        """pip finds no version of what is not there."""
        run = self.install(self.index_url(self.daemon.world.private_id), self.package_name())
        self.assert_fails(run, "No matching distribution found")

    def test_what_was_installed_runs(self) -> None:
        """What came out is what went in."""
        name = self.package_name()
        self.publish((name, "1.0"))
        self.assert_works(self.install(self.index_url(self.daemon.world.private_id), name))
        code = f"import {name.replace('-', '_')} as module; print(module.answer)"
        run = self.run_program(sys.executable, "-c", code, env={"PYTHONPATH": str(self.folder / "target")})
        self.assertEqual(self.assert_works(run).strip(), "42")


class PipOverHttpsTests(OverHttps, PipTests):
    """The same over HTTPS."""
