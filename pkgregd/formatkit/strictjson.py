"""JSON that clients send: bounded before it is read, and with one meaning for every reader."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import NoReturn

from pkgregd.errors import MalformedBody

_BRACKETS_AND_STRINGS = re.compile(r'"(?:[^"\\]|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)
"""A string without its end is taken to the end of the text: so the search stays linear."""


def read_strict_json(text: str, what: str, *, max_characters: int, max_depth: int) -> object:
    """
    Read JSON.

    Args:
        what: names the text in messages.
        max_depth: how far lists and objects may be nested.

    Raises:
        MalformedBody: too long, too deep, not JSON, a key twice in one object, or a number that is none.
    Source: RFC 8259.
    """
    if len(text) > max_characters:
        raise MalformedBody(f"{what}: longer than {max_characters} characters")
    if _depth(text) > max_depth:
        raise MalformedBody(f"{what}: nested deeper than {max_depth}")
    try:
        return json.loads(text, object_pairs_hook=_object, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise MalformedBody(f"{what}: not valid JSON") from None


def _depth(text: str) -> int:
    depth = deepest = 0
    for match in _BRACKETS_AND_STRINGS.finditer(text):
        if match[0] in ("[", "{"):
            depth += 1
            deepest = max(deepest, depth)
        elif match[0] in ("]", "}"):
            depth -= 1
    return deepest


def _object(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key comes twice")
    return found


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON")
