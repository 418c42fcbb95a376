"""flit: publishing Python packages."""

from __future__ import annotations

from tests.clients.python_cases import FlitTestCase
from tests.support.clients import OverHttps
from tests.support.publishing import PublishingContract


class FlitTests(FlitTestCase, PublishingContract):
    """Uploads by flit over HTTP."""

    taken = ("400 Client Error", "already been taken")
    unauthorized = ("401 Client Error: Unauthorized - the credentials are not valid",)
    forbidden = ("403 Client Error: Forbidden - the permission create_package is missing",)

    def test_pypirc(self) -> None:
        """The repository and the token may come from a file."""
        config = self.folder / "pypirc"
        config.write_text(
            "[distutils]\nindex-servers = reg\n\n[reg]\n"
            f"repository = {self.upload_url(self.daemon.world.private_id)}/\n"
            f"username = gitlab-ci-token\npassword = {self.daemon.world.job}\n"
        )
        name = self.package_name()
        self.assert_works(self.flit(name, "answer = 42\n", "--pypirc", str(config), "--repository", "reg", env={}))
        self.assertEqual(len(self.published_files(name)), 2)


class FlitOverHttpsTests(OverHttps, FlitTests):
    """The same over HTTPS."""
