"""JSON that clients send: bounded before it is read, with one meaning and nothing that some readers cannot hold."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from typing import NoReturn

from pkgregd.errors import MalformedBody

MAX_NUMBER_CHARACTERS = 64

_BRACKETS_AND_STRINGS = re.compile(r'"(?:[^"\\]|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)
"""A string without its end is taken to the end of the text: so the search stays linear."""

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def read_strict_json(text: str, what: str, *, max_characters: int, max_depth: int) -> object:
    """
    Read JSON.

    Args:
        what: names the text in messages.
        max_depth: how far lists and objects may be nested.

    Raises:
        MalformedBody: too long, too deep, or what read_bounded_json() refuses.
    """
    if len(text) > max_characters:
        raise MalformedBody(f"{what}: longer than {max_characters} characters")
    if _depth(text) > max_depth:
        raise MalformedBody(f"{what}: nested deeper than {max_depth}")
    return read_bounded_json(text, what)


def read_bounded_json(text: str, what: str) -> object:
    """
    Read JSON that is within limits already. Blocks for its size.

    Raises:
        MalformedBody: not JSON, a key twice in one object, a number that is none or too long, or half a surrogate
            pair.
    Source: RFC 8259.
    """
    try:
        value: object = json.loads(
            text,
            object_pairs_hook=_object,
            parse_constant=_refuse_constant,
            parse_int=_integer,
            parse_float=_real,
        )
        if _SURROGATE.search(text):
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError):
        raise MalformedBody(f"{what}: not valid JSON") from None
    return value


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


def _integer(text: str) -> int:
    if len(text) > MAX_NUMBER_CHARACTERS:
        raise ValueError("a number is too long")
    return int(text)


def _real(text: str) -> float:
    value = float(text) if len(text) <= MAX_NUMBER_CHARACTERS else math.inf
    if not math.isfinite(value):
        raise ValueError("a number is too great or too long")
    return value


def read_strict(data: bytes, what: str) -> object:
    """Do what read_bounded_json() does for bytes, which have to be UTF-8."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise MalformedBody(f"{what} is not UTF-8") from None
    return read_bounded_json(text, what)
