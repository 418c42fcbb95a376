"""hatch: publishing Python packages."""

from __future__ import annotations

from tests.clients.python_cases import HatchTestCase
from tests.support.clients import OverHttps
from tests.support.publishing import PublishingContract


class HatchTests(HatchTestCase, PublishingContract):
    """Uploads by hatch over HTTP."""

    taken = ("400 Bad Request - the file ", "has already been taken by other bytes")
    unauthorized = ("401 Unauthorized - the credentials are not valid",)
    forbidden = ("403 Forbidden - the permission create_package is missing",)

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
