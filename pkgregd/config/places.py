"""Where a value stands in a file, and how to say what is wrong with it."""

from __future__ import annotations

import difflib
import pathlib
import re
from collections.abc import Callable, Collection
from typing import TypeVar

from attrs import evolve, frozen

from pkgregd.errors import ConfigError

T = TypeVar("T")

MAX_BYTES = 2**63 - 1

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)


@frozen
class Place:
    """
    Where in which file a value stands.

    Attributes:
        file: name of the file, for people.
        folder: what relative paths start from.
        key: dotted, empty for the whole file.
    """

    file: str
    folder: pathlib.Path
    key: str = ""

    def child(self, name: str) -> Place:
        """Return the place of a key of this table."""
        shown = name if _BARE_KEY.fullmatch(name) else repr(name[:64])
        return evolve(self, key=f"{self.key}.{shown}" if self.key else shown)

    def item(self, number: int) -> Place:
        """Return the place of an element of this array, counted from 1."""
        return evolve(self, key=f"{self.key}[{number}]")

    def wrong(self, text: str) -> ConfigError:
        """Make the error for what stands here."""
        return ConfigError(f"{self.file}: {self.key}: {text}" if self.key else f"{self.file}: {text}")

    def must_be(self, expected: str, value: object) -> ConfigError:
        """Make the error for a value of the wrong type or range. Texts are not repeated: they may be secrets."""
        return self.wrong(f"must be {expected}, not {_describe(value)}")

    def unknown(self, what: str, name: str, known: Collection[str]) -> ConfigError:
        """Make the error for a name in this table that nobody knows."""
        nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.0)
        hint = f"; did you mean {self.child(nearest[0]).key}?" if nearest else ""
        return self.child(name).wrong(f"unknown {what}{hint}")


Check = Callable[[object, Place], T]


def _describe(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value) if isinstance(value, float) or abs(value) <= MAX_BYTES else "such a number"
    if isinstance(value, str):
        return "this text"
    if isinstance(value, list):
        return "an array"
    return "a table" if isinstance(value, dict) else "a date or time"
