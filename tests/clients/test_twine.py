"""twine: publishing Python packages, by the newest and by one that still sends md5 digests."""

from __future__ import annotations

from tests.clients.python_cases import TwineTestCase
from tests.support.clients import OverHttps
from tests.support.packages import wheel_name
from tests.support.protecting import keeper, protect
from tests.support.publishing import PublishingContract

LIMIT_BYTES = 1 << 20


class TwineContract(TwineTestCase, PublishingContract):
    """Whatever the version."""

    settings = f"[formats.pypi]\nmax_file_bytes = {LIMIT_BYTES}\n"
    taken = ("400 Bad Request", "already been taken")
    unauthorized = ("401 Unauthorized", "the credentials are not valid")
    forbidden = ("403 Forbidden", "the permission create_package is missing")


class TwineTests(TwineContract):
    """Uploads by the newest twine over HTTP."""

    def test_credentials_in_the_environment(self) -> None:
        """Deploy and job tokens publish with the user names that CI uses."""
        world = self.daemon.world
        for version, user, secret in (("1", "deployer", world.deploy), ("2", "gitlab-ci-token", world.job)):
            environment = {
                "TWINE_USERNAME": user,
                "TWINE_PASSWORD": secret,
                "TWINE_REPOSITORY_URL": self.upload_url(world.private_id),
            }
            wheel = self.write_wheel(self.package_name(), version)
            self.assert_works(self.twine(str(wheel), env=environment))
        self.assertEqual(len(self.published_files(self.package_name())), 2)

    def test_credentials_in_the_url(self) -> None:
        """User and token may stand in the URL."""
        world = self.daemon.world
        url = self.with_credentials(self.upload_url(world.private_id), "__token__", world.writer)
        name = self.package_name()
        self.assert_works(self.twine("--repository-url", url, str(self.write_wheel(name, "1.0"))))
        self.assertEqual(len(self.published_files(name)), 1)

    def test_protected(self) -> None:
        """A developer is told who may publish under a protected name, however it is spelled; an owner publishes."""
        name = self.package_name()
        protect(self.daemon, "pypi", name.replace("-", "_").upper() + "*", push="owner")
        for spelling in (name, name.replace("-", ".", 1)):
            wheel = self.write_wheel(spelling, "1.0")
            self.assert_fails(self.upload_files(wheel), "403 Forbidden", "Package protected.", "owners and above")
        self.assertEqual(self.published_files(name), set())
        self.assert_works(self.upload_files(self.write_wheel(name, "1.0"), secret=keeper(self.daemon)))

    def test_pypirc(self) -> None:
        """The repository and the token may come from a file."""
        config = self.folder / "pypirc"
        config.write_text(
            "[distutils]\nindex-servers = reg\n\n[reg]\n"
            f"repository = {self.upload_url(self.daemon.world.private_id)}/\n"
            f"username = __token__\npassword = {self.daemon.world.writer}\n"
        )
        name = self.package_name()
        wheel = self.write_wheel(name, "1.0")
        self.assert_works(self.twine("--config-file", str(config), "--repository", "reg", str(wheel)))
        self.assertEqual(len(self.published_files(name)), 1)

    def test_project_by_path(self) -> None:
        """The project may be named by its path."""
        world = self.daemon.world
        url = self.upload_url("acme%2Fprivate")
        name = self.package_name()
        user = ("--username", "__token__", "--password", world.writer)
        self.assert_works(self.twine("--repository-url", url, *user, str(self.write_wheel(name, "1.0"))))
        self.assertEqual(len(self.published_files(name)), 1)

    def test_stranger(self) -> None:
        """A project that the token may not see is not there."""
        run = self.upload_files(self.write_wheel(self.package_name(), "1.0"), secret=self.daemon.world.stranger)
        self.assert_fails(run, "404 Not Found", "project not found")

    def test_great_file_with_a_wrong_token(self) -> None:
        """twine sees the 401 although it is still sending when it comes."""
        wheel = self.write_wheel(self.package_name(), "1.0", "x = 1\n" * LIMIT_BYTES)
        self.assert_fails(self.upload_files(wheel, secret="nonsense"), *self.unauthorized)

    def test_file_over_the_limit(self) -> None:
        """twine sees the 413 while it is sending, and what the limit is."""
        name = self.package_name()
        run = self.upload_files(self.write_wheel(name, "1.0", "x = 1\n" * LIMIT_BYTES))
        self.assert_fails(run, "413 Request Entity Too Large", f"the limit is {LIMIT_BYTES} bytes")
        self.assertEqual(self.published_files(name), set())

    def test_without_verbose(self) -> None:
        """Who did not ask for details, as almost nobody does, still reads why."""
        wheel = self.write_wheel(self.package_name(), "1.0")
        url = self.upload_url(self.daemon.world.private_id)
        user = ("--username", "__token__", "--password", self.daemon.world.reader)
        arguments = ("upload", "--non-interactive", "--cert", self.daemon.ca_file, "--repository-url", url)
        run = self.run_client(*arguments, *user, str(wheel))
        self.assert_fails(run, "403 Forbidden", "Forbidden - the permission create_package is missing")

    def test_misnamed_wheel(self) -> None:
        """A wheel that is another package inside than by its name is refused, and both are named."""
        name = self.package_name()
        wheel = self.write_wheel(f"{name}-inside", "1.0")
        run = self.upload_files(wheel.rename(wheel.with_name(wheel_name(name, "1.0"))))
        self.assert_fails(run, "400 Bad Request", f"{name}-inside", name)
        self.assertEqual(self.published_files(name), set())

    def test_skip_existing_is_for_one_index_only(self) -> None:
        """twine refuses `--skip-existing` for whatever is not the public index; equal bytes need no such thing."""
        run = self.upload_files("--skip-existing", self.write_wheel(self.package_name(), "1.0"))
        self.assert_fails(run, "UnsupportedConfiguration", "--skip-existing")


class TwineOverHttpsTests(OverHttps, TwineTests):
    """The same over HTTPS."""


class OldTwineTests(TwineContract):
    """Uploads by twine 5 over HTTP: its forms promise md5, too."""

    environment = "twine-5"


class OldTwineOverHttpsTests(OverHttps, OldTwineTests):
    """The same over HTTPS."""
