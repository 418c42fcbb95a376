"""The order of versions, as Maven's own resolver has it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cmp_to_key
from itertools import zip_longest
from typing import Any, TypeAlias

SNAPSHOT = "-SNAPSHOT"
"""How a version ends that is still being worked at."""

_QUALIFIERS = ("alpha", "beta", "milestone", "rc", "snapshot", "", "sp")
_ALIASES = {"ga": "", "final": "", "release": "", "cr": "rc"}
_SHORT = {"a": "alpha", "b": "beta", "m": "milestone"}
_RELEASE = str(_QUALIFIERS.index(""))
_PART = re.compile(r"[0-9]+|[^0-9.-]+|[.-]")

Item: TypeAlias = "int | str | list[Item]"
"""A number, the rank of a qualifier, or what stands behind a hyphen."""


def version_key(version: str) -> Any:
    """
    Order versions as Maven does: 1.0-alpha < 1.0-rc < 1.0-SNAPSHOT < 1.0 < 1.0-sp < 1.0-anything < 1.0-1 < 1.0.1.

    Returns:
        A key; equal keys mean versions that Maven takes for equally new, such as 1 and 1.0.
    Source: Maven's POM reference, "Version Order Specification", as its ComparableVersion does it.
    """
    return _key(_parsed(version.lower()))


def is_snapshot(version: str) -> bool:
    """Whether a version may get other files under the same name."""
    return version.endswith(SNAPSHOT)


def _parsed(version: str) -> Item:
    root: list[Item] = []
    lists = [root]
    is_empty = True  # whether nothing has come since the last sign
    parts = _PART.findall(version)
    for part, following in zip_longest(parts, parts[1:], fillvalue=""):
        here = lists[-1]
        if part in (".", "-"):
            if is_empty:
                here.append(0)
            if part == "-":
                _descend(lists)
            is_empty = True
            continue
        if part[0].isdigit():
            here.append(int(part))
        else:
            if here and following not in (".", "-"):
                _descend(lists)  # 1.x is the same as 1-x
            lists[-1].append(_rank(part, is_short=following[:1].isdigit()))
        is_empty = False
        if following and following not in (".", "-"):
            _descend(lists)  # between a number and letters stands a hyphen that is not written
    for each in reversed(lists):
        _normalize(each)
    return root


def _descend(lists: list[list[Item]]) -> None:
    below: list[Item] = []
    lists[-1].append(below)
    lists.append(below)


def _rank(qualifier: str, *, is_short: bool) -> str:
    """Bring a qualifier to the form in which they are compared as text: known ones by their place, others behind."""
    if is_short:
        qualifier = _SHORT.get(qualifier, qualifier)
    qualifier = _ALIASES.get(qualifier, qualifier)
    if qualifier in _QUALIFIERS:
        return str(_QUALIFIERS.index(qualifier))
    return f"{len(_QUALIFIERS)}-{qualifier}"


def _normalize(items: list[Item]) -> None:
    """Take away what means nothing at the end, and before what stands behind a hyphen."""
    for place in reversed(range(len(items))):
        item = items[place]
        if item in (0, _RELEASE, []):
            del items[place]
        elif not isinstance(item, list):
            break


def _compare(left: Item | None, right: Item | None) -> int:
    if left is None:
        return 0 if right is None else -_compare(right, None)
    if isinstance(left, list):
        return _compare_list(left, right)
    if right is None:
        return _sign(left, 0) if isinstance(left, int) else _sign(left, _RELEASE)
    if isinstance(left, int):
        return _sign(left, right) if isinstance(right, int) else 1
    return _sign(left, right) if isinstance(right, str) else -1


def _compare_list(left: list[Item], right: Item | None) -> int:
    if isinstance(right, int):
        return -1
    if isinstance(right, str):
        return 1
    return next((found for found in _differences(left, right or []) if found), 0)


def _differences(left: list[Item], right: list[Item]) -> Iterator[int]:
    for one, other in zip_longest(left, right):
        yield _compare(one, other)


def _sign(left: Any, right: Any) -> int:
    return int(left > right) - int(left < right)


_key = cmp_to_key(_compare)
