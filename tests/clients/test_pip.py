"""pip: installing Python packages, by our environment's, by the newest, and by one that knows only HTML pages."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from tests.clients.python_cases import PipTestCase
from tests.support.clients import OverHttps

if TYPE_CHECKING:
    _Base = PipTestCase
else:
    _Base = object


class PipContract(_Base):
    """What every pip can rely on. Subclasses are PipTestCases."""

    def test_newest_with_what_it_needs(self) -> None:
        """pip takes the newest version that is no prerelease, finds what it needs, and both run."""
        name = self.package_name()
        needed = f"{name}-needed"
        self.publish((needed, "3.0"))
        self.publish((name, "1.9"), (name, "1.10"), (name, "2.0rc1"), metadata=f"Requires-Dist: {needed} >=3\n")
        self.assert_works(self.install(self.index_url(self.daemon.world.private_id), name))
        self.assertEqual((self.installed(name), self.installed(needed)), ({"1.10"}, {"3.0"}))
        self.assertEqual([self.answer_of(found, path=self.target) for found in (name, needed)], ["42", "42"])

    def test_newer_python_is_passed_over(self) -> None:
        """A version for another Python is not chosen."""
        name = self.package_name()
        self.publish((name, "1.0"))
        self.publish((name, "2.0"), metadata="Requires-Python: >=3.99\n")
        index = self.index_url(self.daemon.world.private_id)
        self.assert_works(self.install(index, name))
        self.assertEqual(self.installed(name), {"1.0"})
        self.assert_fails(self.install(index, f"{name}==2.0"), f"No matching distribution found for {name}==2.0")

    def test_hashes(self) -> None:
        """A pinned digest holds; a wrong one is refused by pip itself."""
        name = self.package_name()
        self.publish((name, "1.0"))
        index = self.index_url(self.daemon.world.private_id)
        sha256 = hashlib.sha256(self.write_wheel(name, "1.0").read_bytes()).hexdigest()
        requirements = self.folder / "requirements.txt"
        requirements.write_text(f"{name}==1.0 --hash=sha256:{sha256}\n")
        arguments = ("--require-hashes", "--requirement", str(requirements))
        self.assert_works(self.install(index, *arguments))
        requirements.write_text(f"{name}==1.0 --hash=sha256:{'0' * 64}\n")
        self.assert_fails(self.install(index, *arguments), "DO NOT MATCH")

    def test_netrc(self) -> None:
        """Credentials come from a netrc file."""
        name = self.package_name()
        self.publish((name, "1.0"))
        index = self.index_url(self.daemon.world.private_id, secret="")
        netrc = self.write_netrc(self.daemon.world.reader)
        self.assert_works(self.install(index, name, env={"NETRC": netrc}))

    def test_wrong_token(self) -> None:
        """pip says that the credentials are not good."""
        run = self.install(self.index_url(self.daemon.world.private_id, secret="nonsense"), self.package_name())
        self.assert_fails(run, "401 Error, Credentials not correct")

    def test_unknown_name(self) -> None:
        """pip finds no version of what is not there, nor of what the token may not see."""
        world = self.daemon.world
        name = self.package_name()
        no_version = f"No matching distribution found for {name}"
        self.assert_fails(self.install(self.index_url(world.private_id), name), no_version)
        self.publish((name, "1.0"))
        hidden = self.index_url(world.private_id, secret=world.stranger)
        self.assert_fails(self.install(hidden, name), no_version)
        because = "404 Client Error: Not Found - project not found"
        self.assert_fails(self.install(hidden, "-vv", name), no_version, because)


class PipTests(PipTestCase, PipContract):
    """Installations by the pip of our own environment over HTTP."""

    def test_pinned(self) -> None:
        """pip takes the version that is asked for, or that a constraint leaves, prereleases too."""
        name = self.package_name()
        self.publish((name, "1.9"), (name, "1.10"), (name, "2.0rc1"))
        index = self.index_url(self.daemon.world.private_id)
        constraints = self.folder / "constraints.txt"
        constraints.write_text(f"{name} <1.10\n")
        self.assert_works(self.install(index, "--constraint", str(constraints), name))
        self.assertEqual(self.installed(name), {"1.9"})
        self.assert_works(self.install(index, f"{name}==2.0rc1"))
        self.assertIn("2.0rc1", self.installed(name))

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

    def test_group_index(self) -> None:
        """The index of the group finds what its projects have."""
        name = self.package_name()
        self.publish((name, "1.0"))
        self.publish((name, "2.0"), project=self.daemon.world.public_id)
        self.assert_works(self.install(self.group_index_url(), name))
        self.assertEqual(self.installed(name), {"2.0"})
        self.assert_works(self.install(self.group_index_url(), f"{name}==1.0"))

    def test_index_versions(self) -> None:
        """`pip index versions` lists all, the newest first."""
        name = self.package_name()
        self.publish((name, "1.9"), (name, "1.10"), (name, "2.0rc1"))
        index = self.index_url(self.daemon.world.private_id)
        output = self.assert_works(self.pip("index", "versions", "--index-url", index, name))
        self.assertIn("Available versions: 1.10, 1.9\n", output)

    def test_configuration_file(self) -> None:
        """The index, its token and the authority may come from a file."""
        name = self.package_name()
        self.publish((name, "1.0"))
        index = self.index_url(self.daemon.world.private_id, "deployer", self.daemon.world.deploy)
        config = self.folder / "pip.conf"
        config.write_text(f"[global]\nindex-url = {index}\ncert = {self.daemon.ca_file}\nno-cache-dir = true\n")
        arguments = ("install", "--target", self.target, name)
        self.assert_works(self.run_client(*arguments, env={"PIP_CONFIG_FILE": str(config)}))
        self.assertEqual(self.installed(name), {"1.0"})

    def test_index_from_the_environment(self) -> None:
        """`pip download` with everything in PIP_INDEX_URL, as CI does it; what comes is what was published."""
        name = self.package_name()
        self.publish((name, "1.0"))
        index = self.index_url(self.daemon.world.private_id, "gitlab-ci-token", self.daemon.world.job)
        downloads = self.folder / "downloads"
        environment = {"PIP_INDEX_URL": index, "PIP_NO_INPUT": "1"}
        self.assert_works(self.pip("download", "--dest", str(downloads), name, env=environment))
        wheel = self.write_wheel(name, "1.0")
        self.assertEqual((downloads / wheel.name).read_bytes(), wheel.read_bytes())

    def test_without_https_on_another_host(self) -> None:
        """pip ignores an index that is neither encrypted nor on its own host, unless it is told to trust it."""
        name = self.package_name()
        self.publish((name, "1.0"))
        path = f"{self.daemon.packages_path('pypi', self.daemon.world.private_id)}/simple/"
        host = "0.0.0.0"  # noqa: S104 # a client's name for the loopback that pip does not know as such
        index = f"http://__token__:{self.daemon.world.reader}@{host}:{self.daemon.port}{path}"
        self.assert_fails(self.install(index, name), "not a trusted or secure host", f"--trusted-host {host}")
        self.assert_works(self.install(index, "--trusted-host", host, name))

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


class PipOverHttpsTests(OverHttps, PipTests):
    """The same over HTTPS."""


class NewestPipTests(PipTestCase, PipContract):
    """Installations by the newest pip over HTTP."""

    environment = "pip-newest"


class NewestPipOverHttpsTests(OverHttps, NewestPipTests):
    """The same over HTTPS."""


class OldPipTests(PipTestCase, PipContract):
    """Installations by pip 21 over HTTP: it asks for HTML."""

    environment = "pip-21"


class OldPipOverHttpsTests(OverHttps, OldPipTests):
    """The same over HTTPS."""
