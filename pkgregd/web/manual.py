"""
The manual: a page for every format and some for everybody, as they are served below `/help`.

A page is a Markdown file; links to other pages name their files, so that they also work where the files
are read as they lie in the sources.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from attrs import frozen

from pkgregd.errors import ConfigError
from pkgregd.web.markdown import relink

GENERAL = (
    "access", "administration", "audit", "management", "settings", "operating", "scaling", "backup", "monitoring",
    "refusals",
)  # fmt: skip
"""The pages that belong to no format, in the order of the list."""

INDEX = "index"
"""The name of the list of pages."""

_BEGINNING = re.compile(r"# (?P<title>[^\n]+)\n\n(?P<summary>(?![#|`*>-])(?:[^\n]+\n)+)")
_EXAMPLE_BASE = re.compile(r"http://127\.0\.0\.1:8080(?![0-9])|https://(?P<user>[^\s/@\"'`]*@)?packages\.example\.com")
_EXAMPLE_HOST = re.compile(r"packages\.example\.com")


@frozen
class ManualPage:
    """
    One page.

    Attributes:
        name: of the file without `.md`, and in the URL.
        text: Markdown, as in the sources.
        title, summary: its first heading and its first paragraph, in one line of Markdown each.
    """

    name: str
    text: str
    title: str
    summary: str

    @classmethod
    def of(cls, name: str, text: str) -> ManualPage:
        """
        Read a page.

        Raises:
            ConfigError: it does not begin with a title and a paragraph.
        """
        found = _BEGINNING.match(text)
        if found is None:
            raise ConfigError(f"the manual page {name}.md does not begin with a title and a paragraph")
        return cls(name, text, found["title"], " ".join(found["summary"].split()))


def general_pages() -> tuple[ManualPage, ...]:
    """Return the pages for everybody."""
    folder = files("pkgregd.web").joinpath("pages")
    return tuple(ManualPage.of(name, folder.joinpath(f"{name}.md").read_text("utf-8")) for name in GENERAL)


def manual(format_texts: Mapping[str, str], further: Sequence[ManualPage] = ()) -> tuple[ManualPage, ...]:
    """
    Put the manual together: the list of pages, those for everybody, and those of the formats.

    Args:
        format_texts: the page of each enabled format, by the format's name.
        further: other pages for everybody.

    Raises:
        ConfigError: a page that is none, or two of one name.
    """
    general = (*general_pages(), *further)
    formats = tuple(ManualPage.of(name, text) for name, text in format_texts.items())
    taken = {INDEX, *(page.name for page in general)} & set(format_texts)
    if taken:
        raise ConfigError(f"the manual has a page {min(taken)} already: a format cannot have that name")
    return (_index(general, formats), *general, *formats)


def _index(general: Iterable[ManualPage], formats: Iterable[ManualPage]) -> ManualPage:
    def listed(pages: Iterable[ManualPage]) -> str:
        return "".join(f"* [{page.title}]({page.name}.md): {page.summary}\n" for page in pages)

    return ManualPage.of(
        INDEX,
        "# Manual\n\nWhat this package registry serves, and how to use and to run it.\n\n"
        f"## Formats\n\n{listed(formats)}\n## For everybody\n\n{listed(general)}",
    )


def link_pages(text: str, names: Iterable[str], suffix: str) -> str:
    """
    Point the links of a page at the pages that are there, which lie side by side.

    Args:
        names: of the pages.
        suffix: what follows a name in a link.
    """
    known = frozenset(names)

    def target_of(path: str) -> str | None:
        file = PurePosixPath(path)
        return f"{file.stem}{suffix}" if file.suffix == ".md" and file.stem in known else None

    return relink(text, target_of)


def with_base(text: str, external_url: str) -> str:
    """
    Put the daemon's own address in place of those in examples, also behind a user name.

    Args:
        external_url: scheme, host and perhaps a path, without a final slash.
    """
    scheme = urlsplit(external_url).scheme
    rest = external_url.removeprefix(f"{scheme}://")
    with_addresses = _EXAMPLE_BASE.sub(lambda found: f"{scheme}://{found['user'] or ''}{rest}", text)
    host = rest.partition("/")[0].partition(":")[0]
    return _EXAMPLE_HOST.sub(lambda _: host, with_addresses)
