"""Writing the XML of a repository."""

from __future__ import annotations

from xml.sax.saxutils import escape


def element(indent: str, name: str, text: str) -> bytes:
    """Write an element that has nothing but text in it, on a line of its own."""
    return f"{indent}<{name}>{escape(text)}</{name}>\n".encode()
