"""
Write the manual and docs/ as HTML, to be read from a disk or a web server.

    python scripts/docs.py build/docs

The folder gets the pages of docs/, and in help/ what a daemon serves that has every format enabled.
"""

from __future__ import annotations

import os
import pathlib
import shutil
import sys
from collections.abc import Callable, Sequence

from pkgregd.plugin import find_formats, read_manuals
from pkgregd.web.layout import Frame, lay_out, style_sheet
from pkgregd.web.manual import INDEX, ManualPage, link_pages, manual
from pkgregd.web.markdown import relink, render

ROOT = pathlib.Path(__file__).resolve().parents[1]
STYLE = "style.css"


def targets_from(folder: pathlib.Path, pages: Sequence[ManualPage]) -> Callable[[str], str | None]:
    """
    Make what finds the page that a link means.

    Args:
        folder: of the Markdown with the link.
        pages: of the manual; the folder of the formats stands for the list of them.

    Returns:
        Gets a link, returns the page's place below the folder that is written; None for what is not written.
    """
    names = {page.name for page in pages}

    def target_of(link: str) -> str | None:
        path = pathlib.Path(os.path.normpath(folder / link))
        if path == ROOT / "pkgregd" / "formats":
            return f"help/{INDEX}.html"
        if path.suffix != ".md" or not path.exists():
            return None
        if path.parent == ROOT / "docs":
            return f"{path.stem}.html"
        return f"help/{path.stem}.html" if path.is_relative_to(ROOT / "pkgregd") and path.stem in names else None

    return target_of


def build(folder: pathlib.Path) -> int:
    """Write all pages into a folder that is made anew; returns how many there are."""
    pages = manual(read_manuals(find_formats()))
    docs = sorted((ROOT / "docs").glob("*.md"))
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "help").mkdir(parents=True)
    (folder / STYLE).write_bytes(style_sheet())
    for file in docs:
        text = relink(file.read_text("utf-8"), targets_from(file.parent, pages))
        (folder / f"{file.stem}.html").write_bytes(lay_out(render(text), Frame(STYLE, f"{INDEX}.html")))
    for page in pages:
        text = link_pages(page.text, [other.name for other in pages], ".html")
        frame = Frame(f"../{STYLE}", f"../{INDEX}.html")
        (folder / "help" / f"{page.name}.html").write_bytes(lay_out(render(text), frame))
    return len(docs) + len(pages)


if __name__ == "__main__":
    target = pathlib.Path(sys.argv[1])
    print(f"{build(target)} pages: open {target / f'{INDEX}.html'}")
