"""Refusing names that no client would make: length first, then the grammar, whole and ASCII."""

from __future__ import annotations

import re

from pkgregd.errors import InvalidName, InvalidRequest

_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f"  # control characters, line ends and escape sequences among them
    "\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"  # invisible, or turning the direction of text
    "\ud800-\udfff"  # surrogates, which no encoding carries
    "\U000e0000-\U000e007f]"  # invisible tags
)
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def is_printable(text: str) -> bool:
    """Whether text holds no control, bidirectional or invisible character, so that a line of it stays one line."""
    return _UNSAFE.search(text) is None


def has_control(text: str) -> bool:
    """
    Whether text that is prose holds what moves a terminal's cursor or turns the direction of what follows.

    Tabs and line feeds are prose, and so are the joiners that some scripts and emoji are written with.
    """
    return _CONTROL.search(text) is not None


def check(text: str, grammar: re.Pattern[str], max_characters: int, error: type[InvalidRequest], what: str) -> str:
    """
    Pass a text on if all of it fits a grammar.

    Args:
        grammar: compiled with re.ASCII.
        max_characters: tested before the grammar sees the text.
        error: what is raised else.
        what: names the text in the message, e.g. `package name`.
    """
    if len(text) > max_characters:
        raise error(f"the {what} is longer than {max_characters} characters")
    if not grammar.fullmatch(text):
        raise error(f"not a valid {what}: {text!a}")
    return text


def check_pattern(pattern: str, letters: re.Pattern[str], known: str) -> str:
    """
    Pass a pattern for names on, in which `*` stands for any letters, if names could fit it.

    Args:
        letters: compiled with re.ASCII; what names are made of, one letter each.
        known: says so, e.g. `letters, digits and '-'`.

    Raises:
        InvalidName.
    """
    if not all(letter == "*" or letters.fullmatch(letter) for letter in pattern):
        raise InvalidName(f"no name fits the pattern {pattern!a}: names have {known}, and '*' stands for any of them")
    return pattern
