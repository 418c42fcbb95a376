"""Taking the answers of inspectors: they have read hostile bytes, and are believed nothing."""

from __future__ import annotations

import base64
from collections.abc import Mapping

from pkgregd.errors import InvalidArchive
from pkgregd.formatkit.names import is_printable


def text(answer: Mapping[str, object], key: str, max_characters: int) -> str:
    """
    Return a printable text that is there, and not empty.

    Raises:
        InvalidArchive: it is not.
    """
    value = optional_text(answer, key, max_characters)
    if not value:
        raise _refusal(key)
    return value


def optional_text(answer: Mapping[str, object], key: str, max_characters: int) -> str | None:
    """
    Return a printable text, or None when there is none.

    Raises:
        InvalidArchive: it is something else, or too long.
    """
    value = answer.get(key)
    if value is None:
        return None
    if not isinstance(value, str) or len(value) > max_characters or not is_printable(value):
        raise _refusal(key)
    return value


def count(answer: Mapping[str, object], key: str, greatest: int) -> int:
    """
    Return a whole number from 0 to the greatest.

    Raises:
        InvalidArchive: it is something else.
    """
    value = answer.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= greatest:
        raise _refusal(key)
    return value


def optional_bytes(answer: Mapping[str, object], key: str, max_bytes: int) -> bytes | None:
    """
    Return bytes that were written in base64, or None when there are none.

    Raises:
        InvalidArchive: it is something else, or too long.
    """
    value = answer.get(key)
    if value is None:
        return None
    if not isinstance(value, str) or len(value) > (max_bytes + 2) // 3 * 4:
        raise _refusal(key)
    try:
        return base64.b64decode(value.encode("ascii"), validate=True)
    except ValueError:
        raise _refusal(key) from None


def _refusal(key: str) -> InvalidArchive:
    return InvalidArchive(f"the archive cannot be read: its {key} is not what it can be")
