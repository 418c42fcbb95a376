"""uv: publishing and installing Python packages."""

from __future__ import annotations

import shutil

from tests.clients.python_cases import UvTestCase
from tests.support.clients import OverHttps
from tests.support.publishing import PublishingContract

LIMIT_BYTES = 1 << 20


class UvTests(UvTestCase, PublishingContract):
    """uv over HTTP."""

    settings = f"[formats.pypi]\nmax_file_bytes = {LIMIT_BYTES}\n"
    taken = ("400 Bad Request", "already been taken")
    unauthorized = ("401 Unauthorized", "the credentials are not valid")
    forbidden = ("403 Forbidden", "the permission create_package is missing")

    # --- publishing

    def test_publish_with_other_credentials(self) -> None:
        """User and password in the environment, in the URL, and in a netrc file all publish."""
        world = self.daemon.world
        name = self.package_name()
        url = self.upload_url(world.private_id)
        job = {"UV_PUBLISH_USERNAME": "gitlab-ci-token", "UV_PUBLISH_PASSWORD": world.job}
        self.assert_works(self.push(str(self.write_wheel(name, "1")), env=job))
        in_url = self.with_credentials(url, "__token__", world.writer)
        self.assert_works(self.push(str(self.write_wheel(name, "2")), url=in_url))
        netrc = {"NETRC": self.write_netrc(world.writer)}
        self.assert_works(self.push(str(self.write_wheel(name, "3")), env=netrc))
        self.assertEqual(len(self.published_files(name)), 3)

    def test_check_url(self) -> None:
        """uv finds by the index that a file is there, and does not send it again, nor other bytes under its name."""
        name = self.package_name()
        arguments = ("--check-url", self.index_url(self.daemon.world.private_id))
        self.assert_works(self.upload_files(self.write_wheel(name, "1.0"), *arguments))
        self.assertIn("already exists", self.assert_works(self.upload_files(self.write_wheel(name, "1.0"), *arguments)))
        other = self.upload_files(self.write_wheel(name, "1.0", "answer = 43\n"), *arguments)
        self.assert_fails(other, "Local file and index file do not match", "Remote: sha256=")

    def test_file_over_the_limit(self) -> None:
        """uv shows what the limit is."""
        run = self.upload_files(self.write_wheel(self.package_name(), "1.0", "x = 1\n" * LIMIT_BYTES))
        self.assert_fails(run, "413", f"the limit is {LIMIT_BYTES} bytes")

    # --- installing

    def test_wrong_token_on_installing(self) -> None:
        """uv says that the credentials are not good."""
        index = self.index_url(self.daemon.world.private_id, secret="nonsense")
        self.assert_fails(self.install(index, self.package_name()), "401 Unauthorized")

    def test_without_credentials(self) -> None:
        """uv says that an index asks for credentials, instead of that there is no such package."""
        index = self.index_url(self.daemon.world.private_id, secret="")
        run = self.install(index, self.package_name())
        self.assert_fails(run, "lack of valid authentication credentials (401 Unauthorized)")

    def test_credentials_from_the_environment(self) -> None:
        """UV_INDEX_REG_USERNAME and _PASSWORD reach the index that is called reg."""
        name = self.package_name()
        self.publish((name, "1.0"))
        index = self.index_url(self.daemon.world.private_id, secret="")
        self.assert_works(self.install(f"reg={index}", name, env=self.reader_of_reg))

    def test_netrc(self) -> None:
        """Credentials come from a netrc file."""
        name = self.package_name()
        self.publish((name, "1.0"))
        index = self.index_url(self.daemon.world.private_id, secret="")
        self.assert_works(self.install(index, name, env={"NETRC": self.write_netrc(self.daemon.world.reader)}))

    def test_group_index(self) -> None:
        """The index of the group finds what its projects have."""
        name = self.package_name()
        self.publish((name, "1.0"))
        self.publish((name, "2.0"), project=self.daemon.world.public_id)
        self.assertIn(f"{name}==2.0", self.assert_works(self.install(self.group_index_url(), name)))

    def test_exclude_newer(self) -> None:
        """Upload times are there for uv to hold back what is too new."""
        name = self.package_name()
        self.publish((name, "1.0"))
        index = self.index_url(self.daemon.world.private_id)
        self.assert_fails(self.install(index, "--exclude-newer", "2020-01-01", name), name)
        self.assert_works(self.install(index, "--exclude-newer", "2100-01-01", name))

    def test_required_hashes(self) -> None:
        """What `uv pip compile --generate-hashes` pins is what is installed; another digest is refused."""
        name = self.package_name()
        self.publish((name, "1.0"))
        index = self.index_url(self.daemon.world.private_id)
        wanted, pinned = self.folder / "requirements.in", self.folder / "requirements.txt"
        wanted.write_text(name)
        compiled = ("--quiet", "--generate-hashes", "--default-index", index, "--output-file", str(pinned))
        self.assert_works(self.uv("pip", "compile", *compiled, str(wanted)))
        self.assertIn("--hash=sha256:", pinned.read_text())
        arguments = ("--require-hashes", "--requirement", str(pinned))
        self.assert_works(self.install(index, *arguments))
        pinned.write_text(f"{name}==1.0 --hash=sha256:{'0' * 64}\n")
        self.assert_fails(self.install(index, "--reinstall", *arguments), "Hash mismatch")

    def test_first_index_wins(self) -> None:
        """Of two indexes uv takes all of a name from the first that has it, even if the other has a newer version."""
        world = self.daemon.world
        name = self.package_name()
        self.publish((name, "1.0"))
        self.publish((name, "2.0"), project=world.public_id)
        other = self.index_url(world.public_id, secret="")
        output = self.assert_works(self.install(other, "--index", self.index_url(world.private_id), name))
        self.assertIn(f"{name}==1.0", output)
        absent = f"{name}-public"
        self.publish((absent, "1.0"), project=world.public_id)
        self.assert_works(self.install(other, "--index", self.index_url(world.private_id), absent))

    def test_newer_python_is_passed_over(self) -> None:
        """A version for another Python is not chosen, and asking for it says why."""
        name = self.package_name()
        self.publish((name, "1.0"))
        self.publish((name, "2.0"), metadata="Requires-Python: >=3.99\n")
        index = self.index_url(self.daemon.world.private_id)
        self.assertIn(f"{name}==1.0", self.assert_works(self.install(index, name)))
        self.assert_fails(self.install(index, f"{name}==2.0"), "Python>=3.99")

    def test_lock_and_sync(self) -> None:
        """A project with `[[tool.uv.index]]` locks, adds, and installs from its lock file elsewhere."""
        name = self.package_name()
        added, needed = f"{name}-added", f"{name}-needed"
        self.publish((needed, "3.0"), (added, "1.0"))
        self.publish((name, "1.9"), (name, "1.10"), (name, "2.0"), metadata=f"Requires-Dist: {needed} >=3\n")
        self.write_consumer(f"{name} >=1,<2")
        self.assert_works(self.uv("lock", env=self.reader_of_reg))
        self.assertIn(f'name = "{name}"\nversion = "1.10"', (self.folder / "uv.lock").read_text())
        self.assert_works(self.uv("add", added, env=self.reader_of_reg))
        shutil.rmtree(self.folder / ".venv")
        self.assert_works(self.uv("sync", "--locked", env=self.reader_of_reg))
        python = str(self.folder / ".venv" / "bin" / "python")
        self.assertEqual([self.answer_of(found, python=python) for found in (name, added, needed)], ["42"] * 3)


class UvOverHttpsTests(OverHttps, UvTests):
    """The same over HTTPS."""
