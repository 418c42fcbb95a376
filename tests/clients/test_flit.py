"""flit: publishing Python packages."""

from __future__ import annotations

from collections.abc import Mapping

from tests.support.clients import OverHttps, PythonClientTestCase, Run
from tests.support.publishing import PublishingContract


class FlitTests(PublishingContract, PythonClientTestCase):
    """Uploads by flit, which builds what it uploads, over HTTP."""

    client = "flit"
    environment = "flit"
    taken = ("400 Client Error", "already been taken")
    unauthorized = ("401 Client Error: Unauthorized - the credentials are not valid",)
    forbidden = ("403 Client Error: Forbidden - the permission create_package is missing",)

    def flit(self, name: str, source: str, *arguments: str, env: Mapping[str, str]) -> Run:
        """
        Run `flit publish`.

        It builds the same bytes from the same files, whenever they were written, and asks no public index
        for the list of classifiers.
        """
        self.write_project(name, "1.0", source, requires="flit_core >=3.2,<5", backend="flit_core.buildapi")
        base = {"FLIT_NO_NETWORK": "1", "REQUESTS_CA_BUNDLE": self.daemon.ca_file, "SOURCE_DATE_EPOCH": "1600000000"}
        return self.run_client("publish", "--no-use-vcs", *arguments, env={**base, **env})

    def upload(self, name: str, source: str = "answer = 42\n", secret: str | None = None) -> Run:
        """See PublishingContract."""
        world = self.daemon.world
        environment = {
            "FLIT_INDEX_URL": self.upload_url(world.private_id),
            "FLIT_USERNAME": "__token__",
            "FLIT_PASSWORD": world.writer if secret is None else secret,
        }
        return self.flit(name, source, env=environment)

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
