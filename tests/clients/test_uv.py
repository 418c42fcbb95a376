"""uv: publishing and installing Python packages."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from tests.support.clients import OverHttps, PythonClientTestCase, Run


class UvTests(PythonClientTestCase):
    """uv over HTTP."""

    client = "uv"

    def uv(self, *arguments: str, env: Mapping[str, str] | None = None) -> Run:
        """Run uv without caches and configuration."""
        base = {"UV_NO_CACHE": "1", "UV_NO_CONFIG": "1", "UV_PYTHON_DOWNLOADS": "never", "UV_NO_PROGRESS": "1"}
        base["SSL_CERT_FILE"] = self.daemon.ca_file
        return self.run_client(*arguments, env={**base, **(env or {})})

    def upload(self, *paths: object, secret: str | None = None, arguments: tuple[str, ...] = ()) -> Run:
        """Run `uv publish`."""
        world = self.daemon.world
        token = world.writer if secret is None else secret
        return self.uv(
            "publish", "--publish-url", self.upload_url(world.private_id), *arguments, *map(str, paths),
            env={"UV_PUBLISH_TOKEN": token},
        )  # fmt: skip

    def install(self, index_url: str, *what: str, env: Mapping[str, str] | None = None) -> Run:
        """Run `uv pip install` into a folder of the test."""
        return self.uv(
            "pip", "install", "--python", sys.executable, "--target", str(self.folder / "target"),
            "--default-index", index_url, *what, env=env,
        )  # fmt: skip

    def test_publish_and_install(self) -> None:
        """What uv publishes, sdist and wheel, uv installs."""
        name = self.package_name()
        self.assert_works(self.upload(self.write_sdist(name, "1.0"), self.write_wheel(name, "1.0")))
        output = self.assert_works(self.install(self.index_url(self.daemon.world.private_id), name))
        self.assertIn(f"{name}==1.0", output)

    def test_same_and_other_bytes(self) -> None:
        """Repeating an upload succeeds; other bytes do not, and uv shows why."""
        name = self.package_name()
        wheel = self.write_wheel(name, "1.0")
        self.assert_works(self.upload(wheel))
        self.assert_works(self.upload(wheel))
        self.assert_fails(self.upload(self.write_wheel(name, "1.0", "answer = 43\n")), "already been taken")

    def test_check_url(self) -> None:
        """uv finds by the index that a file is there, and does not send it again."""
        wheel = self.write_wheel(self.package_name(), "1.0")
        arguments = ("--check-url", self.index_url(self.daemon.world.private_id))
        self.assert_works(self.upload(wheel, arguments=arguments))
        self.assertIn("already exists", self.assert_works(self.upload(wheel, arguments=arguments)))

    def test_wrong_token(self) -> None:
        """uv shows the 401, on publishing and on installing."""
        wheel = self.write_wheel(self.package_name(), "1.0")
        self.assert_fails(self.upload(wheel, secret="nonsense"), "401")
        index = self.index_url(self.daemon.world.private_id, secret="nonsense")
        self.assert_fails(self.install(index, self.package_name()), "401")

    def test_reporter(self) -> None:
        """uv shows the 403 of a token that may only read."""
        wheel = self.write_wheel(self.package_name(), "1.0")
        self.assert_fails(self.upload(wheel, secret=self.daemon.world.reader), "403")

    def test_credentials_from_the_environment(self) -> None:
        """UV_INDEX_REG_USERNAME and _PASSWORD reach the index that is called reg."""
        name = self.package_name()
        self.publish((name, "1.0"))
        index = self.index_url(self.daemon.world.private_id, secret="")
        environment = {"UV_INDEX_REG_USERNAME": "__token__", "UV_INDEX_REG_PASSWORD": self.daemon.world.reader}
        self.assert_works(self.install(f"reg={index}", name, env=environment))

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


class UvOverHttpsTests(OverHttps, UvTests):
    """The same over HTTPS."""
