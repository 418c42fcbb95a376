"""pip, uv, poetry, twine, flit and hatch: how each of them is run."""

from __future__ import annotations

import os
import pathlib
import shutil
import sys
from collections.abc import Mapping

from tests.support.clients import PythonClientTestCase, Run, installation_target
from tests.support.packages import TALKATIVE_METADATA


class PipTestCase(PythonClientTestCase):
    """Tests of pip, whatever its version."""

    client = "pip"

    def pip(self, command: str, *arguments: str, env: Mapping[str, str] | None = None) -> Run:
        """Run a command of pip that reads an index; no file of the machine says which, nor pins anything."""
        return self.run_client(
            command, "--no-cache-dir", "--disable-pip-version-check", *arguments,
            env={"PIP_CONFIG_FILE": os.devnull, "PIP_CERT": self.daemon.ca_file, **(env or {})},
        )  # fmt: skip

    def install(self, index_url: str, *what: str, env: Mapping[str, str] | None = None) -> Run:
        """Run `pip install` into a folder of the test; whoever it asks for a password has none to say."""
        arguments = ("--target", self.target, "--upgrade")
        return self.pip("install", *arguments, "--index-url", index_url, *what, env=env)

    @property
    def target(self) -> str:
        """The folder that packages are installed into."""
        return str(self.folder / "target")

    def installed(self, name: str) -> set[str]:
        """Return the versions of a package in the test's folder."""
        stem = name.replace("-", "_")
        found = pathlib.Path(self.target).glob(f"{stem}-*.dist-info")
        return {path.name.removeprefix(f"{stem}-").removesuffix(".dist-info") for path in found}


class TwineTestCase(PythonClientTestCase):
    """Tests of twine, whatever its version."""

    client = "twine"

    def twine(self, *arguments: str, env: Mapping[str, str] | None = None) -> Run:
        """Run `twine upload`, which then says why it was refused."""
        return self.run_client(
            "upload", "--disable-progress-bar", "--non-interactive", "--verbose", "--cert", self.daemon.ca_file,
            *arguments, env=env,
        )  # fmt: skip

    def upload_files(self, *paths: object, secret: str | None = None) -> Run:
        """Upload files to the private project."""
        world = self.daemon.world
        return self.twine(
            "--repository-url", self.upload_url(world.private_id),
            "--username", "__token__", "--password", world.writer if secret is None else secret, *map(str, paths),
        )  # fmt: skip

    def upload(self, name: str, source: str = "answer = 42\n", secret: str | None = None) -> Run:
        """See PublishingContract."""
        wheel = self.write_wheel(name, "1.0", source, TALKATIVE_METADATA)
        return self.upload_files(self.write_sdist(name, "1.0", source), wheel, secret=secret)


class UvTestCase(PythonClientTestCase):
    """Tests of uv, which has neither caches nor indexes of the machine."""

    client = "uv"

    def uv(self, *arguments: str, env: Mapping[str, str] | None = None) -> Run:
        """Run uv without caches, and without indexes of the machine."""
        base = {"UV_NO_CACHE": "1", "UV_PYTHON_DOWNLOADS": "never", "UV_NO_PROGRESS": "1", "UV_NO_SYSTEM_CONFIG": "1"}
        base |= {"SSL_CERT_FILE": self.daemon.ca_file, "UV_PYTHON": sys.executable}
        return self.run_client(*arguments, env={**base, **(env or {})})

    def push(self, *arguments: str, url: str = "", env: Mapping[str, str] | None = None) -> Run:
        """Run `uv publish` to the private project."""
        target = url or self.upload_url(self.daemon.world.private_id)
        return self.uv("publish", "--trusted-publishing", "never", "--publish-url", target, *arguments, env=env)

    def upload_files(self, *paths: object, secret: str | None = None) -> Run:
        """Publish files with a token in the environment."""
        token = self.daemon.world.writer if secret is None else secret
        return self.push(*map(str, paths), env={"UV_PUBLISH_TOKEN": token})

    def upload(self, name: str, source: str = "answer = 42\n", secret: str | None = None) -> Run:
        """See PublishingContract."""
        wheel = self.write_wheel(name, "1.0", source, TALKATIVE_METADATA)
        return self.upload_files(self.write_sdist(name, "1.0", source), wheel, secret=secret)

    def install(self, index_url: str, *what: str, env: Mapping[str, str] | None = None) -> Run:
        """Run `uv pip install` into a folder of the test."""
        target = str(self.folder / "target")
        return self.uv("pip", "install", "--target", target, "--default-index", index_url, *what, env=env)

    def write_consumer(self, *requirements: str) -> None:
        """Write a project which takes all that it needs from the daemon, known as `reg`."""
        (self.folder / "pyproject.toml").write_text(
            '[project]\nname = "consumer"\nversion = "1.0"\nrequires-python = ">=3.9"\n'
            f"dependencies = {list(requirements)!r}\n\n"
            '[[tool.uv.index]]\nname = "reg"\ndefault = true\n'
            f'url = "{self.index_url(self.daemon.world.private_id, secret="")}"\n'
        )

    @property
    def reader_of_reg(self) -> Mapping[str, str]:
        """The environment that holds the reader's token for the index `reg`."""
        return {"UV_INDEX_REG_USERNAME": "__token__", "UV_INDEX_REG_PASSWORD": self.daemon.world.reader}


class PoetryTestCase(PythonClientTestCase):
    """
    Tests of poetry; in its settings the daemon is called `reg`.

    What it installs goes to one environment for all tests, each of which has names of its own.
    """

    client = "poetry"
    environment = "poetry"

    def poetry(self, *arguments: str, secret: str = "", env: Mapping[str, str] | None = None) -> Run:
        """Run poetry, with a token in its environment unless that is empty."""
        base = {
            "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
            "POETRY_CERTIFICATES_REG_CERT": self.daemon.ca_file,
            "VIRTUAL_ENV": str(installation_target()),
        }
        if secret:
            base |= {"POETRY_HTTP_BASIC_REG_USERNAME": "__token__", "POETRY_HTTP_BASIC_REG_PASSWORD": secret}
        return self.run_client("--no-interaction", *arguments, env={**base, **(env or {})})

    def push(self, name: str, *arguments: str, source: str = "answer = 42\n", secret: str = "") -> Run:
        """Run `poetry publish`, building an sdist and a wheel anew."""
        self.write_project(name, "1.0", source, requires="poetry-core >=2", backend="poetry.core.masonry.api")
        shutil.rmtree(self.folder / "dist", ignore_errors=True)
        environment = {"POETRY_REPOSITORIES_REG_URL": self.upload_url(self.daemon.world.private_id)}
        return self.poetry("publish", "--build", "--repository", "reg", *arguments, secret=secret, env=environment)

    def upload(self, name: str, source: str = "answer = 42\n", secret: str | None = None) -> Run:
        """See PublishingContract."""
        return self.push(name, source=source, secret=self.daemon.world.writer if secret is None else secret)

    def write_consumer(self, *requirements: str, url: str = "") -> None:
        """Write a project which takes all that it needs from the daemon."""
        (self.folder / "pyproject.toml").write_text(
            f'[project]\nname = "consumer"\nversion = "1.0"\nrequires-python = ">=3.9"\n'
            f"dependencies = {list(requirements)!r}\n\n[tool.poetry]\npackage-mode = false\n\n"
            '[[tool.poetry.source]]\nname = "reg"\npriority = "primary"\n'
            f'url = "{url or self.index_url(self.daemon.world.private_id, secret="")}"\n'
        )

    def installed_answer(self, name: str) -> str:
        """Return what the module of a package holds in the environment that poetry installs into."""
        return self.answer_of(name, python=str(installation_target() / "bin" / "python"))


class FlitTestCase(PythonClientTestCase):
    """Tests of flit, which builds what it uploads."""

    client = "flit"
    environment = "flit"

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


class HatchTestCase(PythonClientTestCase):
    """
    Tests of hatch.

    What is uploaded is built by hatchling, hatch's own backend, from the same environment: `hatch build`
    would make an environment and ask a public index for what is to be in it.
    """

    client = "hatch"
    environment = "hatch"

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
