"""
Path segments: decoded exactly once, after the path was split, and checked.

Klein is given the raw path, so a percent-encoded slash never moves a border
between segments; each rule's converter decodes what it matched.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote_to_bytes

from werkzeug.routing import BaseConverter

from pkgregd.errors import InvalidRequest

MAX_DIGITS = 18
"""Of the number of a row in a path: what 64 bits hold with a sign."""

_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\\\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]")
_ENCODED_TWICE = re.compile(r"%(?:2[EeFf]|5[Cc]|[01][0-9A-Fa-f]|7[Ff])")


def decode_segment(raw: str, *, allow_slash: bool = False) -> str:
    """
    Decode one path segment.

    Args:
        raw: as it stood between two slashes of the request target.
        allow_slash: whether an encoded slash may be inside; the parts it makes are checked alike.
    Raises:
        InvalidRequest: not UTF-8, a malformed or double escape, a control or bidi character, a backslash,
            an empty or dot segment, or a slash where none may be.
    """
    if _BAD_ESCAPE.search(raw):
        raise InvalidRequest("malformed escape in the path")
    try:
        text = unquote_to_bytes(raw).decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidRequest("the path is not UTF-8") from None
    if _CONTROL.search(text) or _ENCODED_TWICE.search(text):
        raise InvalidRequest("forbidden character in the path")
    parts = text.split("/")
    if len(parts) > 1 and not allow_slash:
        raise InvalidRequest("an encoded slash is not allowed in this part of the path")
    if any(part in ("", ".", "..") for part in parts):
        raise InvalidRequest("empty and dot segments are not allowed in the path")
    return text


class SegmentConverter(BaseConverter):
    """`<segment:x>`: one segment without a slash."""

    regex = "[^/]+"
    part_isolating = True

    def to_python(self, value: str) -> Any:
        """Decode; InvalidRequest ends the request with 400 instead of trying further rules."""
        return decode_segment(value)


class PathConverter(BaseConverter):
    """`<path:x>`: one or more segments, joined with `/`; encoded slashes count as slashes. Never ends in a slash."""

    regex = "[^/](?:.*[^/])?"
    part_isolating = False
    weight = 200

    def to_python(self, value: str) -> Any:
        """Decode each segment."""
        return "/".join(decode_segment(segment, allow_slash=True) for segment in value.split("/"))


class ScopeConverter(BaseConverter):
    """`<scope:x>`: the number of a project or group, or its URL-encoded full path."""

    regex = "[^/]+"
    part_isolating = True

    def to_python(self, value: str) -> Any:
        """Return an int for digits, else the decoded path."""
        text = decode_segment(value, allow_slash=True)
        return _number(text) if text.isascii() and text.isdigit() else text


class NumberConverter(BaseConverter):
    """`<number:x>`: the number of a row. A segment of digits alone; any other is left to other rules."""

    regex = "[0-9]+"
    part_isolating = True

    def to_python(self, value: str) -> Any:
        """Return an int; InvalidRequest if no row can have it."""
        return _number(value)


def _number(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise InvalidRequest("the number in the path is too large")
    return int(digits)


CONVERTERS = {"segment": SegmentConverter, "path": PathConverter, "scope": ScopeConverter, "number": NumberConverter}
