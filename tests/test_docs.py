"""What the manual tells people to type: every ```sh block runs against a daemon, in the order of its page."""

from __future__ import annotations

import pathlib
import re
import sys
from collections.abc import Sequence

from tests.support.clients import ClientTestCase
from tests.support.packages import make_wheel, wheel_name

ROOT = pathlib.Path(__file__).parents[1]
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def shell_blocks(page: pathlib.Path) -> str:
    """Return the shell of a page as one script: a later block may use what an earlier one set."""
    return "\n".join(BLOCK.findall(page.read_text("utf-8")))


class PageTests(ClientTestCase):
    """
    Each page by a shell in an empty folder, with the seeded project and its token.

    PKGREGD_URL, TOKEN and CONFIG are set, `var/root-token` is there as beside `make run`, and so is `dist/` with a
    wheel of a package `hello`, for pages that publish what a build has made.
    """

    client = "bash"

    def run_page(self, page: pathlib.Path) -> None:
        """Run all shell of a page; the first command that fails fails the test."""
        self.daemon.cli("seed")
        token = (self.daemon.folder / "root-token").read_text().strip()
        (self.folder / "var").mkdir()
        (self.folder / "var" / "root-token").write_text(f"{token}\n")
        (self.folder / "dist").mkdir()
        (self.folder / "dist" / wheel_name("hello", "1.0")).write_bytes(make_wheel("hello", "1.0"))
        script = shell_blocks(page)
        self.assertNotEqual(script, "", f"{page.name} shows no shell")
        programs = str(pathlib.Path(sys.executable).parent)
        environment = {
            "PATH": f"{programs}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "PKGREGD_URL": self.daemon.url,
            "TOKEN": token,
            "CONFIG": str(self.daemon.config),
            "PIP_CONFIG_FILE": "/dev/null",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "UV_NO_CACHE": "1",
            "UV_NO_CONFIG": "1",
            "UV_SYSTEM_PYTHON": "1",
        }
        self.assert_works(self.run_client("-euxo", "pipefail", "-c", script, env=environment))

    def test_readme(self) -> None:
        """The tour in the README."""
        self.run_page(ROOT / "README.md")

    def test_pages_of_the_formats(self) -> None:
        """The manual page of every format, of which there is one for each."""
        formats = ROOT / "pkgregd" / "formats"
        pages = sorted(formats.glob("*.md"))
        for name in ("generic", "pypi"):
            self.assertIn(formats / f"{name}.md", pages)
        self.run_pages(pages)

    def test_pages_for_everybody(self) -> None:
        """The pages of the manual that belong to no format."""
        self.run_pages(sorted((ROOT / "pkgregd" / "web" / "pages").glob("*.md")))

    def run_pages(self, pages: Sequence[pathlib.Path]) -> None:
        """Run pages, each in a folder of its own."""
        self.assertNotEqual(pages, [])
        for page in pages:
            self.folder = pathlib.Path(self.mktemp()).absolute()
            self.folder.mkdir(parents=True)
            self.run_page(page)
