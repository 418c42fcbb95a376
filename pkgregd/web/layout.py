"""The frame around a rendered text, and the style of all pages."""

from __future__ import annotations

from html import escape
from importlib.resources import files

from attrs import frozen

from pkgregd.web.markdown import Document

LEAST_HEADINGS = 3
"""A page with fewer sections needs no list of them."""


@frozen
class Frame:
    """
    Where a page's links lead; each relative to the page.

    Attributes:
        style: the style sheet.
        home: the list of all pages.
        source: the page as Markdown; None without.
    """

    style: str
    home: str
    source: str | None = None


def lay_out(document: Document, frame: Frame) -> bytes:
    """Make a whole page, in UTF-8."""
    source = "" if frame.source is None else f'<a href="{escape(frame.source)}">Markdown</a>'
    title = escape(document.title or "pkgregd")
    return f"""\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title} - pkgregd manual</title>
<link rel="stylesheet" href="{escape(frame.style)}">
</head>
<body>
<a class="skip" href="#content">Skip to the text</a>
<header><nav aria-label="Manual"><a href="{escape(frame.home)}">pkgregd manual</a>{source}</nav></header>
{_sections(document)}<main id="content">
{document.html}</main>
</body>
</html>
""".encode()


def style_sheet() -> bytes:
    """Return the style sheet that all pages share."""
    return files("pkgregd.web").joinpath("style.css").read_bytes()


def _sections(document: Document) -> str:
    sections = [heading for heading in document.headings if heading.level == 2]
    if len(sections) < LEAST_HEADINGS:
        return ""
    items = "".join(
        f'<li><a href="#{escape(heading.anchor)}">{escape(heading.text)}</a></li>\n' for heading in sections
    )
    return f'<nav class="sections" aria-label="On this page"><ul>\n{items}</ul></nav>\n'
