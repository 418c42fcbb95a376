"""What is served below `/help`: every page as HTML and as Markdown, made once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pkgregd.values import PublicPages
from pkgregd.web.fixed import Fixed
from pkgregd.web.layout import Frame, lay_out, style_sheet
from pkgregd.web.manual import INDEX, ManualPage, link_pages, manual, with_base
from pkgregd.web.markdown import relink, render

ROOT = "/help"
STYLE = "style.css"

HTML, MARKDOWN, CSS = "text/html; charset=utf-8", "text/markdown; charset=utf-8", "text/css; charset=utf-8"


def help_pages(format_texts: Mapping[str, str], external_url: str, further: Sequence[ManualPage] = ()) -> PublicPages:
    """
    Make everything below `/help`.

    This takes some milliseconds for each page: call it before the reactor runs.

    Args:
        format_texts: the manual page of each enabled format, by the format's name.
        external_url: scheme, host and perhaps a path, as clients reach the daemon.
        further: pages for everybody that are made, and not written.

    Returns:
        What answers each path.

    Raises:
        ConfigError: see manual().
    """
    pages = manual(format_texts, further)
    names = [page.name for page in pages]
    made = {f"{ROOT}/{STYLE}": Fixed.of(style_sheet(), CSS)}
    for page in pages:
        text = with_base(link_pages(page.text, names, ".md"), external_url.rstrip("/"))
        made[f"{ROOT}/{page.name}.md"] = Fixed.of(text.encode(), MARKDOWN)
        if page.name != INDEX:
            made[f"{ROOT}/{page.name}"] = _as_html(text, page.name, "")
        else:  # at two addresses, from which relative links start differently
            made[f"{ROOT}/"] = _as_html(text, page.name, "")
            made[ROOT] = _as_html(text, page.name, f"{ROOT[1:]}/")
    return {path: fixed.answer for path, fixed in made.items()}


def _as_html(text: str, name: str, start: str) -> Fixed:
    """Make the HTML of a page; `start` is what its links need to begin with."""

    def target_of(path: str) -> str:
        page = path.removesuffix(".md")
        return start + page if page != INDEX else (start or "./")

    frame = Frame(style=start + STYLE, home=start or "./", source=f"{start}{name}.md")
    return Fixed.of(lay_out(render(relink(text, target_of)), frame), HTML)
