"""poetry: publishing Python packages, and installing them into projects."""

from __future__ import annotations

from tests.clients.python_cases import PoetryTestCase
from tests.support.clients import OverHttps
from tests.support.publishing import PublishingContract


class PoetryTests(PoetryTestCase, PublishingContract):
    """poetry over HTTP."""

    taken = ("HTTP Error 400", "already been taken")
    unauthorized = ("HTTP Error 401", "the credentials are not valid")
    forbidden = ("HTTP Error 403", "the permission create_package is missing")

    # --- publishing

    def test_skip_existing(self) -> None:
        """With `--skip-existing` a file that is there is passed over, whatever its bytes."""
        name = self.package_name()
        self.assert_works(self.upload(name))
        writer = self.daemon.world.writer
        output = self.assert_works(self.push(name, "--skip-existing", source="answer = 43\n", secret=writer))
        self.assertIn("File exists. Skipping", output)

    def test_publish_without_credentials(self) -> None:
        """Who has not said who they are is told to."""
        self.assert_fails(self.push(self.package_name()), "HTTP Error 401", "authentication is required")

    def test_publish_with_saved_configuration(self) -> None:
        """`poetry config` keeps the address and the token where `poetry publish` finds them, without a keyring."""
        environment = {"POETRY_KEYRING_ENABLED": "false"}
        url = self.upload_url(self.daemon.world.private_id)
        self.assert_works(self.poetry("config", "repositories.reg", url, env=environment))
        token = self.daemon.world.job
        self.assert_works(self.poetry("config", "http-basic.reg", "gitlab-ci-token", token, env=environment))
        name = self.package_name()
        self.write_project(name, "1.0", "answer = 42\n", requires="poetry-core >=2", backend="poetry.core.masonry.api")
        self.assert_works(self.poetry("publish", "--build", "--repository", "reg", env=environment))
        self.assertEqual(len(self.published_files(name)), 2)

    # --- installing

    def test_add_lock_and_install(self) -> None:
        """A project finds, locks and installs the newest version that fits, and what that needs."""
        name = self.package_name()
        needed = f"{name}-needed"
        self.publish((needed, "3.0"))
        self.publish((name, "1.9"), (name, "1.10"), (name, "2.0"), metadata=f"Requires-Dist: {needed} >=3\n")
        self.write_consumer(f"{name} (>=1,<2)")
        reader = self.daemon.world.reader
        self.assert_works(self.poetry("lock", secret=reader))
        lock = (self.folder / "poetry.lock").read_text()
        self.assertIn(f'name = "{name}"\nversion = "1.10"', lock)
        self.assertIn(f'name = "{needed}"\nversion = "3.0"', lock)
        self.assertEqual(lock.count("sha256:"), 2, lock)
        output = self.assert_works(self.poetry("install", secret=reader))
        self.assertIn(f"Installing {name} (1.10)", output)
        self.assertEqual(self.installed_answer(needed), "42")

    def test_add(self) -> None:
        """`poetry add` finds the newest version and installs it."""
        name = self.package_name()
        self.publish((name, "1.9"), (name, "1.10"))
        self.write_consumer()
        output = self.assert_works(self.poetry("add", name, secret=self.daemon.world.reader))
        self.assertIn(f"Installing {name} (1.10)", output)
        self.assertEqual(self.installed_answer(name), "42")

    def test_credentials_of_a_source(self) -> None:
        """The token may stand in the URL, or in a netrc file."""
        name = self.package_name()
        self.publish((name, "1.0"))
        world = self.daemon.world
        self.write_consumer(name, url=self.index_url(world.private_id, secret=world.reader))
        self.assert_works(self.poetry("lock"))
        self.write_consumer(name)
        netrc = {"NETRC": self.write_netrc(world.reader)}
        self.assert_works(self.poetry("lock", "--no-cache", "--regenerate", env=netrc))

    def test_group_index(self) -> None:
        """The index of the group finds what its projects have."""
        name = self.package_name()
        self.publish((name, "1.0"))
        self.publish((name, "2.0"), project=self.daemon.world.public_id)
        self.write_consumer(name, url=self.group_index_url())
        self.assert_works(self.poetry("lock"))
        self.assertIn('version = "2.0"', (self.folder / "poetry.lock").read_text())

    def test_source_without_credentials(self) -> None:
        """poetry says which source it may not read, instead of that there is no such package."""
        name = self.package_name()
        self.publish((name, "1.0"))
        self.write_consumer(name)
        index = self.index_url(self.daemon.world.private_id, secret="")
        refusal = f"Source (reg): Authorization error accessing {index}{name}/"
        self.assert_fails(self.poetry("lock"), refusal)
        self.assert_fails(self.poetry("lock", secret="nonsense"), refusal)


class PoetryOverHttpsTests(OverHttps, PoetryTests):
    """The same over HTTPS."""
