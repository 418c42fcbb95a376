"""Reading the parameters and conditions of a call; what is malformed is refused by its name."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import TypeVar

from pkgregd.errors import InvalidRequest
from pkgregd.interfaces import IAuthorisedCall
from pkgregd.values import Precondition

T = TypeVar("T")

MAX_CHARACTERS = 255
"""Of a text that is looked for: no name or version is longer."""

MAX_DATE_CHARACTERS = 64

_NUMBER = re.compile(r"0*[1-9][0-9]{0,8}", re.ASCII)
_OUR_TAG = re.compile(r'(?:(?<=,)|^)[ \t]*"([0-9a-f]{64})"[ \t]*(?=,|$)', re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_TRUTHS: Mapping[str, bool] = {
    **dict.fromkeys(("true", "t", "1", "on", "yes"), True),
    **dict.fromkeys(("false", "f", "0", "off", "no"), False),
}


def read_text(call: IAuthorisedCall, name: str) -> str | None:
    """
    Return a text to look for; None when it is not given or empty.

    Raises:
        InvalidRequest: too long, or with control characters.
    """
    text = call.query(name)
    if text is not None and (len(text) > MAX_CHARACTERS or _CONTROL.search(text)):
        raise InvalidRequest(f"{name} is not valid: at most {MAX_CHARACTERS} characters, none of them for control")
    return text or None


def read_choice(call: IAuthorisedCall, name: str, choices: Mapping[str, T], default: T) -> T:
    """
    Return what one of some words stands for.

    Raises:
        InvalidRequest: another word, or none.
    """
    word = call.query(name)
    if word is None:
        return default
    if word not in choices:
        raise InvalidRequest(f"{name} does not have a valid value: it can be {', '.join(sorted(choices))}")
    return choices[word]


def read_number(call: IAuthorisedCall, name: str, default: int) -> int:
    """
    Return a whole number from 1.

    Raises:
        InvalidRequest: something else, or more than 999 999 999.
    """
    digits = call.query(name)
    if digits is None:
        return default
    if len(digits) > MAX_CHARACTERS or not _NUMBER.fullmatch(digits):
        raise InvalidRequest(f"{name} is not valid: it is a whole number from 1")
    return int(digits)


def read_flag(call: IAuthorisedCall, name: str) -> bool:
    """
    Return a truth value; False when it is not given.

    Raises:
        InvalidRequest: neither true nor false.
    """
    word = call.query(name)
    if word is None:
        return False
    if word.lower() not in _TRUTHS:
        raise InvalidRequest(f"{name} is not valid: it can be true or false")
    return _TRUTHS[word.lower()]


def read_precondition(call: IAuthorisedCall) -> Precondition:
    """
    Read `If-Match`, or without it `If-Unmodified-Since`.

    Of the times those count that HTTP and our own JSON write; as the standard demands, what is no time does not
    count. What is no strong entity tag of ours becomes a demand that nothing meets.

    Source: RFC 9110, sections 13.1.1, 13.1.4 and 13.2.2.
    """
    tags = call.header("If-Match")
    if tags is not None:
        return Precondition(sha256_any_of=_wanted(tags.strip(" \t")))
    text = (call.header("If-Unmodified-Since") or "").strip()
    if not text or len(text) > MAX_DATE_CHARACTERS:
        return Precondition()
    moment = _time(parsedate_to_datetime, text) or _time(datetime.datetime.fromisoformat, text)
    return Precondition(unmodified_since=moment)


def _wanted(tags: str) -> tuple[str, ...]:
    if tags == "*":
        return ("*",)
    return tuple(_OUR_TAG.findall(tags)) or ("nothing that is here",)


def _time(parse: Callable[[str], datetime.datetime], text: str) -> datetime.datetime | None:
    try:
        moment = parse(text)
        return (moment.replace(tzinfo=datetime.UTC) if moment.tzinfo is None else moment).astimezone(datetime.UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
