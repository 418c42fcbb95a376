"""
Markdown to HTML, for pages of our own that may quote anything.

HTML in the text is shown, not obeyed. Links lead to the web, to a mailbox, or to our own pages.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any

from attrs import frozen
from markdown_it import MarkdownIt
from markdown_it.common.utils import escapeHtml
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token

MOST_PAGES = 64
"""How many rendered pages are remembered."""

_FENCE = re.compile(r"^(`{3,}|~{3,}).*?^\1[`~]*[ \t]*$", re.MULTILINE | re.DOTALL)
_CODE_OR_LINK = re.compile(
    r"(?P<code>(?P<ticks>`+)(?!`).+?(?<!`)(?P=ticks)(?!`))|"
    r"\[(?P<text>(?:[^\[\]`]|`[^`]*`)*)\]\((?P<target>[^()\s]+)\)",
    re.DOTALL,
)
_HARMLESS = re.compile(r"(?:https?|mailto):|(?!//)[^:]*(?:[/?#]|$)", re.IGNORECASE)
_HAS_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:|//")
_NOT_IN_ANCHOR = re.compile(r"[^\w\- ]")


@frozen
class Heading:
    """
    A heading below the title.

    Attributes:
        level: from 2.
        anchor: what a link to it has behind `#`.
        text: without markup.
    """

    level: int
    anchor: str
    text: str


@frozen
class Document:
    """
    A rendered text.

    Attributes:
        title: its first heading, without markup; empty if there is none.
        html: what belongs into the page's main part.
        headings: those below the title, in order.
    """

    title: str
    html: str
    headings: tuple[Heading, ...]


@lru_cache(MOST_PAGES)
def render(text: str) -> Document:
    """
    Render Markdown. Equal texts are rendered once: a reload has the pages that there were.

    Headings get anchors as code hosts make them; tables and code can be scrolled by keyboard where they are too wide.

    Source: CommonMark 0.31, and tables of GitHub Flavored Markdown.
    """
    parser = _Parser()
    environment: dict[str, Any] = {}
    tokens = parser.parse(text, environment)
    headings = tuple(_anchored(tokens))
    title = next((heading.text for heading in headings if heading.level == 1), "")
    html = parser.renderer.render(tokens, parser.options, environment)
    return Document(title, html, tuple(heading for heading in headings if heading.level > 1))


def relink(text: str, target_of: Callable[[str], str | None]) -> str:
    """
    Give the relative links of a Markdown text other targets.

    Args:
        target_of: gets the target without its `#fragment`; a link to nowhere (None) becomes its text.

    Returns:
        The text; code, absolute links and links within the page are as they were.
    """

    def replace(found: re.Match[str]) -> str:
        if found["code"] is not None:
            return found[0]
        path, mark, fragment = found["target"].partition("#")
        if not path or _HAS_SCHEME.match(path):
            return found[0]
        target = target_of(path)
        return found["text"] if target is None else f"[{found['text']}]({target}{mark}{fragment})"

    made, end = [], 0
    for fence in _FENCE.finditer(text):
        made += [_CODE_OR_LINK.sub(replace, text[end : fence.start()]), fence[0]]
        end = fence.end()
    return "".join([*made, _CODE_OR_LINK.sub(replace, text[end:])])


def _anchored(tokens: Sequence[Token]) -> Iterator[Heading]:
    """Give each heading its anchor, the second of a name with a number, and tell what there are."""
    seen: dict[str, int] = {}
    for number, token in enumerate(tokens):
        if token.type != "heading_open":
            continue
        text = _plain(tokens[number + 1])
        anchor = _NOT_IN_ANCHOR.sub("", text.lower()).replace(" ", "-")
        count = seen[anchor] = seen.get(anchor, -1) + 1
        if count:
            anchor = f"{anchor}-{count}"
        token.attrSet("id", anchor)
        yield Heading(int(token.tag[1:]), anchor, text)


def _plain(inline: Token) -> str:
    kept = ("text", "code_inline")
    return "".join(child.content for child in inline.children or () if child.type in kept)


class _Parser(MarkdownIt):
    """Knows no images, which no page may load, and few links."""

    def __init__(self) -> None:
        super().__init__("commonmark", {"html": False}, renderer_cls=_Renderer)
        self.enable("table").disable("image")

    def validateLink(self, url: str) -> bool:
        """Whether a link may lead there; else its Markdown is shown."""
        return bool(_HARMLESS.match(url))


class _Renderer(RendererHTML):
    """Makes what may be too wide scroll; markdown-it calls methods by the names of its tokens."""

    def table_open(self, *_: object) -> str:
        return '<div class="wide" role="region" aria-label="Table" tabindex="0"><table>\n'

    def table_close(self, *_: object) -> str:
        return "</table></div>\n"

    def code_block(self, tokens: Sequence[Token], idx: int, *_: object) -> str:
        return f'<pre tabindex="0"><code>{escapeHtml(tokens[idx].content)}</code></pre>\n'

    def fence(self, tokens: Sequence[Token], idx: int, *_: object) -> str:
        return self.code_block(tokens, idx)
