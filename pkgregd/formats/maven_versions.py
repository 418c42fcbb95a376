"""
The order of versions, as Maven's POM reference has it.

It decides in which order metadata lists versions, and what `latest` and `release` say there. A range is not resolved
by it: Maven's resolver and Gradle sort the list again, each by an order of its own; the resolver's, GenericVersion,
differs from ComparableVersion, which the reference describes, in about one of a hundred odd pairs, such as 2.2 and
2-111. A client that writes the metadata itself names in `release` what it deployed last, so that after a repair of an
old line it is an old version. Here it is the greatest, whatever came last.
"""

from __future__ import annotations

import re
from itertools import zip_longest
from typing import TypeAlias

SNAPSHOT = "-SNAPSHOT"
"""How a version ends that is still being worked at."""

MAX_NESTING = 100
"""How often a new version may change between letters and digits or have a hyphen: a SHA-256 does it some 30 times."""

_QUALIFIERS = ("alpha", "beta", "milestone", "rc", "snapshot", "", "sp")
_ALIASES = {"ga": "", "final": "", "release": "", "cr": "rc"}
_SHORT = {"a": "alpha", "b": "beta", "m": "milestone"}
_RELEASE = str(_QUALIFIERS.index(""))
_PART = re.compile(r"[0-9]+|[^0-9.-]+|[.-]")

Item: TypeAlias = "int | str | list[Item]"
"""A number, the rank of a qualifier, or what stands behind a hyphen."""

VersionKey: TypeAlias = tuple[tuple[int, int | str], ...]
"""Items one behind the other, lists taken apart: of each its kind, and what decides among those of one kind."""

_EARLIER_TEXT, _EARLIER_LIST, _END, _LATER_TEXT, _LATER_LIST, _NUMBER = range(6)
"""Kinds of items; what is behind the end of a version is later than the version without it."""


def version_key(version: str) -> VersionKey:
    """
    Order versions as Maven does: 1.0-alpha < 1.0-rc < 1.0-SNAPSHOT < 1.0 < 1.0-sp < 1.0-anything < 1.0-1 < 1.0.1.

    ComparableVersion goes round in circles among versions with a qualifier between a dot or hyphen and another one:
    1.0.beta-1 < 1 < 1-1 < 1.0.beta-1. Here they have an order: what is before the release stays before it.

    Returns:
        A key; equal keys mean versions that Maven takes for equally new, such as 1 and 1.0.
    Source: Maven's POM reference, "Version Order Specification", as its ComparableVersion does it.
    """
    root, _ = _parsed(version.lower())
    key: list[tuple[int, int | str]] = []
    open_lists = [iter(root)]
    while open_lists:
        item = next(open_lists[-1], None)
        if item is None:
            open_lists.pop()
            key.append((_END, 0))
        elif isinstance(item, list):
            key.append((_EARLIER_LIST if _is_earlier(item) else _LATER_LIST, 0))
            open_lists.append(iter(item))
        elif isinstance(item, int):
            key.append((_NUMBER, item))
        else:
            key.append((_EARLIER_TEXT if item < _RELEASE else _LATER_TEXT, item))
    return tuple(key)


def nesting_of(version: str) -> int:
    """Count how many lists in lists a version is read as."""
    return _parsed(version.lower())[1]


def is_snapshot(version: str) -> bool:
    """Whether a version may get other files under the same name."""
    return version.endswith(SNAPSHOT)


def _parsed(version: str) -> tuple[list[Item], int]:
    """Return the items, none of them without a meaning, and how many lists there were."""
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
    return root, len(lists)


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
    """Take away what means nothing: zeros and the like at the end, or before what makes the version an earlier one."""
    kept: list[Item] = []
    is_later = False  # whether what is kept so far makes the version a later one, whatever comes before it
    for item in reversed(items):
        if item in (0, _RELEASE, []) and not is_later:
            continue
        is_later = not isinstance(item, list) and (isinstance(item, int) or item >= _RELEASE)
        kept.append(item)
    items[:] = reversed(kept)


def _is_earlier(items: list[Item]) -> bool:
    """Whether a version is earlier with these behind it than without them; there is at least one."""
    first: Item = items
    while isinstance(first, list):
        first = first[0]
    return isinstance(first, str) and first < _RELEASE
