"""hatch: publishing Python packages."""

from __future__ import annotations

from collections.abc import Mapping

from tests.support.clients import OverHttps, PythonClientTestCase, Run
from tests.support.publishing import PublishingContract


class HatchTests(PublishingContract, PythonClientTestCase):
    """
    Uploads by hatch over HTTP.

    What is uploaded is built by hatchling, hatch's own backend, from the same environment: `hatch build`
    would make an environment and ask a public index for what is to be in it.
    """

    client = "hatch"
    environment = "hatch"
    taken = ("400 Bad Request - the file ", "has already been taken by other bytes")
    unauthorized = ("401 Unauthorized - the credentials are not valid",)
    forbidden = ("403 Forbidden - the permission create_package is missing",)

    def hatch(self, name: str, source: str, *, env: Mapping[str, str]) -> Run:
        """Build, then run `hatch publish`."""
        self.write_project(name, "1.0", source, requires="hatchling", backend="hatchling.build")
        self.assert_works(self.run_program(self.find("hatchling", self.environment), "build"))
        return self.run_client("--no-color", "publish", "--no-prompt", env=env)

    def upload(self, name: str, source: str = "answer = 42\n", secret: str | None = None) -> Run:
        """See PublishingContract."""
        world = self.daemon.world
        environment = {
            "HATCH_INDEX_REPO": self.upload_url(world.private_id) + "/",
            "HATCH_INDEX_USER": "__token__",
            "HATCH_INDEX_AUTH": world.writer if secret is None else secret,
            "HATCH_INDEX_CA_CERT": self.daemon.ca_file,
        }
        return self.hatch(name, source, env=environment)

    def test_configuration_file(self) -> None:
        """The repository, the token and the authority may come from hatch's own file."""
        config = self.folder / "config.toml"
        config.write_text(
            '[publish.index]\nrepo = "reg"\n\n[publish.index.repos.reg]\n'
            f'url = "{self.upload_url(self.daemon.world.private_id)}"\n'
            f'user = "deployer"\nauth = "{self.daemon.world.deploy}"\nca-cert = "{self.daemon.ca_file}"\n'
        )
        name = self.package_name()
        self.assert_works(self.hatch(name, "answer = 42\n", env={"HATCH_CONFIG": str(config)}))
        self.assertEqual(len(self.published_files(name)), 2)


class HatchOverHttpsTests(OverHttps, HatchTests):
    """The same over HTTPS."""
