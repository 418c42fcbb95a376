"""What people see when pip, uv, poetry, twine, flit and hatch are refused, as the manual tells."""

from __future__ import annotations

from collections.abc import Mapping

from tests.clients.python_cases import (
    FlitTestCase,
    HatchTestCase,
    PipTestCase,
    PoetryTestCase,
    TwineTestCase,
    UvTestCase,
)
from tests.clients.refusals_case import NOISE, FetchContract, OfferContract
from tests.support.clients import Run

NAME = "refused"
SMALL = "answer = 42\n"
GREAT = "".join(f"# {words}\n" for words in NOISE)


class PipRefusalsTests(FetchContract, PipTestCase):
    """pip."""

    fetches = "pip install"

    def fetch(self, secret: str) -> Run:
        """See FetchContract."""
        index = self.index_url(self.daemon.world.private_id, secret=secret)
        return self.install(index, NAME, env={"PIP_NO_INPUT": "1"})


class NewestPipRefusalsTests(PipRefusalsTests):
    """The newest pip."""

    environment = "pip-newest"


class UvRefusalsTests(OfferContract, FetchContract, UvTestCase):
    """uv, which here does not try again."""

    offers = "uv publish"
    fetches = "uv pip install"

    def uv(self, *arguments: str, env: Mapping[str, str] | None = None) -> Run:
        """See UvTestCase."""
        return super().uv(*arguments, env={"UV_HTTP_RETRIES": "0", **(env or {})})

    def offer(self, secret: str, *, is_great: bool) -> Run:
        """See OfferContract."""
        return self.upload_files(self.write_wheel(NAME, "1.0", GREAT if is_great else SMALL), secret=secret)

    def fetch(self, secret: str) -> Run:
        """See FetchContract."""
        return self.install(self.index_url(self.daemon.world.private_id, secret=secret), NAME)


class PoetryRefusalsTests(OfferContract, FetchContract, PoetryTestCase):
    """poetry."""

    offers = "poetry publish"
    fetches = "poetry lock"

    def offer(self, secret: str, *, is_great: bool) -> Run:
        """See OfferContract."""
        return self.push(NAME, source=GREAT if is_great else SMALL, secret=secret)

    def fetch(self, secret: str) -> Run:
        """See FetchContract."""
        self.write_consumer(NAME)
        return self.poetry("lock", secret=secret)


class TwineRefusalsTests(OfferContract, TwineTestCase):
    """twine, which nobody told to be verbose."""

    offers = "twine upload"

    def offer(self, secret: str, *, is_great: bool) -> Run:
        """See OfferContract."""
        wheel = self.write_wheel(NAME, "1.0", GREAT if is_great else SMALL)
        return self.run_client(
            "upload", "--disable-progress-bar", "--non-interactive", "--cert", self.daemon.ca_file,
            "--repository-url", self.upload_url(self.daemon.world.private_id),
            "--username", "__token__", "--password", secret, str(wheel),
        )  # fmt: skip


class FlitRefusalsTests(OfferContract, FlitTestCase):
    """flit."""

    offers = "flit publish"

    def offer(self, secret: str, *, is_great: bool) -> Run:
        """See OfferContract."""
        return self.upload(NAME, GREAT if is_great else SMALL, secret)


class HatchRefusalsTests(OfferContract, HatchTestCase):
    """hatch."""

    offers = "hatch publish"

    def offer(self, secret: str, *, is_great: bool) -> Run:
        """See OfferContract."""
        return self.upload(NAME, GREAT if is_great else SMALL, secret)
