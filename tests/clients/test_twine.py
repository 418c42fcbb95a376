"""twine: publishing Python packages."""

from __future__ import annotations

from tests.support.clients import OverHttps, PythonClientTestCase, Run


class TwineTests(PythonClientTestCase):
    """Uploads by twine over HTTP."""

    client = "twine"

    def upload(self, *paths: object, secret: str | None = None, project: str | None = None) -> Run:
        """Run `twine upload`."""
        world = self.daemon.world
        return self.run_client(
            "upload", "--disable-progress-bar", "--non-interactive", "--verbose",
            "--repository-url", self.upload_url(project or world.private_id),
            "--username", "__token__", "--password", world.writer if secret is None else secret,
            "--cert", self.daemon.ca_file, *map(str, paths),
        )  # fmt: skip

    def test_sdist_and_wheel(self) -> None:
        """Both kinds of file are published, and the index lists both."""
        name = self.package_name()
        self.assert_works(self.upload(self.write_sdist(name, "1.0"), self.write_wheel(name, "1.0")))
        path = f"{self.daemon.packages_path('pypi', self.daemon.world.private_id)}/simple/{name}/"
        _, _, page = self.daemon.get(path, {"PRIVATE-TOKEN": self.daemon.world.writer})
        self.assertEqual(page.count(b"#sha256="), 2, page)

    def test_same_bytes_again(self) -> None:
        """An upload that is repeated, as after a lost answer, succeeds."""
        wheel = self.write_wheel(self.package_name(), "1.0")
        self.assert_works(self.upload(wheel))
        self.assert_works(self.upload(wheel))

    def test_other_bytes_under_the_same_name(self) -> None:
        """A file is never replaced, and twine shows why."""
        name = self.package_name()
        self.assert_works(self.upload(self.write_wheel(name, "1.0")))
        self.assert_fails(self.upload(self.write_wheel(name, "1.0", "answer = 43\n")), "already been taken")

    def test_wrong_token(self) -> None:
        """twine shows the 401."""
        run = self.upload(self.write_wheel(self.package_name(), "1.0"), secret="nonsense")
        self.assert_fails(run, "401 Unauthorized")

    def test_great_file_with_a_wrong_token(self) -> None:
        """twine sees the 401 although it is still sending when it comes."""
        wheel = self.write_wheel(self.package_name(), "1.0", "x = 1\n" * 1_000_000)
        self.assert_fails(self.upload(wheel, secret="nonsense"), "401 Unauthorized")

    def test_reporter(self) -> None:
        """twine shows the 403 of a token that may only read."""
        run = self.upload(self.write_wheel(self.package_name(), "1.0"), secret=self.daemon.world.reader)
        self.assert_fails(run, "403 Forbidden", "create_package")

    def test_deploy_and_job_tokens(self) -> None:
        """Both publish with the user names that CI uses."""
        world = self.daemon.world
        for version, user, secret in (("1", "deployer", world.deploy), ("2", "gitlab-ci-token", world.job)):
            environment = {"TWINE_USERNAME": user, "TWINE_PASSWORD": secret, "TWINE_CERT": self.daemon.ca_file}
            wheel = self.write_wheel(self.package_name(), version)
            target = self.upload_url(world.private_id)
            self.assert_works(
                self.run_client(
                    "upload", "--non-interactive", "--disable-progress-bar", "--repository-url", target, str(wheel),
                    env=environment,
                )
            )  # fmt: skip

    def test_pypirc(self) -> None:
        """The repository and the token may come from a file."""
        config = self.folder / "pypirc"
        config.write_text(
            "[distutils]\nindex-servers = reg\n\n[reg]\n"
            f"repository = {self.upload_url(self.daemon.world.private_id)}/\n"
            f"username = __token__\npassword = {self.daemon.world.writer}\n"
        )
        wheel = self.write_wheel(self.package_name(), "1.0")
        self.assert_works(
            self.run_client(
                "upload", "--non-interactive", "--disable-progress-bar", "--config-file", str(config),
                "--cert", self.daemon.ca_file, "--repository", "reg", str(wheel),
            )
        )  # fmt: skip


class TwineOverHttpsTests(OverHttps, TwineTests):
    """The same over HTTPS."""
