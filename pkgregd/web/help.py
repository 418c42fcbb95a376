"""What is served below `/help`: every page as HTML and as Markdown, made once."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping

from attrs import frozen

from pkgregd.values import Page, PageBody, PublicPages, Reply
from pkgregd.web.layout import Frame, lay_out, style_sheet
from pkgregd.web.manual import INDEX, link_pages, manual, with_base
from pkgregd.web.markdown import relink, render

ROOT = "/help"
STYLE = "style.css"

POLICY = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
MAX_AGE_SECONDS = 300
"""How long a browser shows a page without asking whether it has changed."""

HEADERS = (("Content-Security-Policy", POLICY), ("Cache-Control", f"public, max-age={MAX_AGE_SECONDS}"))
HTML, MARKDOWN, CSS = "text/html; charset=utf-8", "text/markdown; charset=utf-8", "text/css; charset=utf-8"


def help_pages(format_texts: Mapping[str, str], external_url: str) -> PublicPages:
    """
    Make everything below `/help`.

    This takes some milliseconds for each page: call it before the reactor runs.

    Args:
        format_texts: the manual page of each enabled format, by the format's name.
        external_url: scheme, host and perhaps a path, as clients reach the daemon.

    Returns:
        What answers each path.

    Raises:
        ConfigError: see manual().
    """
    pages = manual(format_texts)
    names = [page.name for page in pages]
    made = {f"{ROOT}/{STYLE}": _Fixed.of(style_sheet(), CSS)}
    for page in pages:
        text = with_base(link_pages(page.text, names, ".md"), external_url.rstrip("/"))
        made[f"{ROOT}/{page.name}.md"] = _Fixed.of(text.encode(), MARKDOWN)
        if page.name != INDEX:
            made[f"{ROOT}/{page.name}"] = _as_html(text, page.name, "")
        else:  # at two addresses, from which relative links start differently
            made[f"{ROOT}/"] = _as_html(text, page.name, "")
            made[ROOT] = _as_html(text, page.name, f"{ROOT[1:]}/")
    return {path: fixed.answer for path, fixed in made.items()}


def _as_html(text: str, name: str, start: str) -> _Fixed:
    """Make the HTML of a page; `start` is what its links need to begin with."""

    def target_of(path: str) -> str:
        page = path.removesuffix(".md")
        return start + page if page != INDEX else (start or "./")

    frame = Frame(style=start + STYLE, home=start or "./", source=f"{start}{name}.md")
    return _Fixed.of(lay_out(render(relink(text, target_of)), frame), HTML)


@frozen
class _Fixed:
    """A reply that is the same each time."""

    reply: Reply

    @classmethod
    def of(cls, body: bytes, content_type: str) -> _Fixed:
        packed = gzip.compress(body, mtime=0)
        page = Page(body, packed if len(packed) < len(body) else None)

        async def rendered() -> Page:
            return page

        etag = hashlib.sha256(body).hexdigest()[:32]
        return cls(Reply(200, PageBody(rendered), content_type, HEADERS, etag=etag))

    async def answer(self) -> Reply:
        return self.reply
