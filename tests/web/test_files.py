"""The Markdown in the sources, as it is read there and as `make docs` writes it."""

from __future__ import annotations

import pathlib
import subprocess
import sys
from urllib.parse import urldefrag

from twisted.trial.unittest import SynchronousTestCase

from pkgregd.web.markdown import render
from tests.support.daemon import ROOT, clean_environment
from tests.web.outline import Outline

NOT_OURS = {".venv", "build", "dist", "var"}


def sources() -> list[pathlib.Path]:
    """List every Markdown file of the sources."""
    files = (file for file in ROOT.rglob("*.md") if not NOT_OURS & set(file.relative_to(ROOT).parts))
    return sorted(file for file in files if not any(part.startswith("_trial_temp") for part in file.parts))


class LinkCase(SynchronousTestCase):
    """Tests of links between files."""

    def broken(self, file: pathlib.Path, html: str, ids_of: dict[pathlib.Path, list[str]]) -> list[str]:
        """Return the relative links of a page that lead nowhere."""
        found = []
        for link in Outline(html).links:
            if "://" in link or link.startswith("mailto:"):
                continue
            url, fragment = urldefrag(link)
            target = (file.parent / url).resolve() if url else file
            if not target.exists() or (fragment and fragment not in ids_of.get(target, [])):
                found.append(f"{file.relative_to(file.anchor)}: {link}")
        return found


class SourceTests(LinkCase):
    """Read where the files lie."""

    def test_every_link_resolves(self) -> None:
        """Every relative link in every Markdown file names a file, and a heading of it if any."""
        pages = {file: render(file.read_text("utf-8")).html for file in sources()}
        self.assertLessEqual({ROOT / "README.md", ROOT / "docs" / "index.md"}, set(pages))
        ids = {file: Outline(html).ids for file, html in pages.items()}
        self.assertEqual([link for file, html in pages.items() for link in self.broken(file, html, ids)], [])

    def test_what_is_broken_is_seen(self) -> None:
        """The control: a missing file and a missing heading are found."""
        file = ROOT / "README.md"
        html = '<a href="nope.md"><a href="CONTRIBUTING.md#nope"><a href="#nope"><a href="CONTRIBUTING.md#a">'
        broken = self.broken(file, html, {ROOT / "CONTRIBUTING.md": ["a"], file: []})
        self.assertEqual([link.partition(": ")[2] for link in broken], ["nope.md", "CONTRIBUTING.md#nope", "#nope"])

    def test_the_list_names_every_page_for_everybody(self) -> None:
        """docs/index.md leads to each of them, to the formats, and to every other page of docs/."""
        found = set(Outline(render((ROOT / "docs" / "index.md").read_text("utf-8")).html).links)
        general = {f"../pkgregd/web/pages/{file.name}" for file in (ROOT / "pkgregd/web/pages").glob("*.md")}
        docs = {file.name for file in (ROOT / "docs").glob("*.md")} - {"index.md"}
        self.assertLessEqual({"../pkgregd/formats/"} | general | docs, found)


class BuildTests(LinkCase):
    """What `make docs` writes."""

    def setUp(self) -> None:
        """Build them."""
        self.folder = pathlib.Path(self.mktemp()).absolute()
        self.folder.mkdir()
        (self.folder / "pages").mkdir()
        (self.folder / "pages" / "old.html").write_text("of an earlier time")
        done = subprocess.run(
            [sys.executable, str(ROOT / "scripts" / "docs.py"), str(self.folder / "pages")],
            env=clean_environment(self.folder, {"PYTHONPATH": str(ROOT)}),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
        self.assertEqual(done.returncode, 0, done.stdout)
        self.pages = {file: file.read_text("utf-8") for file in (self.folder / "pages").rglob("*.html")}

    def test_pages(self) -> None:
        """There is one for each file of docs/ and each page of the manual, and nothing of an earlier time."""
        wanted = {f"{file.stem}.html" for file in (ROOT / "docs").glob("*.md")}
        for folder in ("pkgregd/formats", "pkgregd/web/pages"):
            wanted |= {f"help/{file.stem}.html" for file in (ROOT / folder).glob("*.md")}
        self.assertEqual(
            {str(file.relative_to(self.folder / "pages")) for file in self.pages}, {"help/index.html", *wanted}
        )

    def test_every_link_resolves(self) -> None:
        """Every link leads to a page that was written."""
        ids = {file: Outline(html).ids for file, html in self.pages.items()}
        self.assertEqual([link for file, html in self.pages.items() for link in self.broken(file, html, ids)], [])
        for file, html in self.pages.items():
            own = [urldefrag(link).url for link in Outline(html).links if "://" not in link]
            self.assertEqual([link for link in own if link and not link.endswith((".html", ".css"))], [], file)

    def test_index_leads_to_every_page(self) -> None:
        """From index.html all others are reached."""
        waiting, seen = [self.folder / "pages" / "index.html"], set()
        while waiting:
            file = waiting.pop()
            if file.suffix == ".html" and file not in seen:
                seen.add(file)
                links = (urldefrag(link).url for link in Outline(self.pages[file]).links if "://" not in link)
                waiting += [(file.parent / link).resolve() for link in links if link]
        self.assertEqual(seen, set(self.pages))
