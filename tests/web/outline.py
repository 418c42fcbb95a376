"""What an HTML page is made of, as a reader's program would see it."""

from __future__ import annotations

from html.parser import HTMLParser


class Outline(HTMLParser):
    """
    One page.

    Attributes:
        links: what it refers to.
        ids: where it can be referred to.
        tags: each with its attributes, in order.
    """

    def __init__(self, html: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take note of a tag."""
        fields = dict(attrs)
        self.tags.append((tag, fields))
        self.links += [value for key in ("href", "src") if (value := fields.get(key)) is not None]
        if fields.get("id"):
            self.ids.append(fields["id"] or "")

    def named(self, tag: str) -> list[dict[str, str | None]]:
        """Return the attributes of every tag of a name."""
        return [fields for name, fields in self.tags if name == tag]
