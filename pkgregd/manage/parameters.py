"""The parameters and conditions of a call, declared and read; what is malformed is refused by its name."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import Any, Generic, TypeVar

from attrs import frozen

from pkgregd.errors import InvalidRequest
from pkgregd.interfaces import IAuthorisedCall
from pkgregd.values import JsonSchema, Parameter, Precondition

T = TypeVar("T")

MAX_CHARACTERS = 255
"""Of a text that is looked for: no name or version is longer."""

MAX_DATE_CHARACTERS = 64

MAX_NUMBER = 999_999_999
MAX_BOUND = 10**18 - 1

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
"""Before it nothing was done here."""

TIME_EXAMPLES = ("2027-01-31", "2027-01-31T08:00:00Z")

_NUMBER = re.compile(r"0*[1-9][0-9]{0,8}", re.ASCII)
_BOUND = re.compile(r"[0-9]{1,18}", re.ASCII)
_OUR_TAG = re.compile(r'(?:(?<=,)|^)[ \t]*"([0-9a-f]{64})"[ \t]*(?=,|$)', re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_TRUTHS: Mapping[str, bool] = {
    **dict.fromkeys(("true", "t", "1", "on", "yes"), True),
    **dict.fromkeys(("false", "f", "0", "off", "no"), False),
}


@frozen
class QueryParameter(Generic[T]):
    """
    A query parameter, declared once for reading and for what is said of it.

    Attributes:
        parse: makes a value of name and text, or raises InvalidRequest.
        default: when it is not given.
    """

    described: Parameter
    parse: Callable[[str, str], T]
    default: T

    def read(self, call: IAuthorisedCall) -> T:
        """
        Return its value in a call.

        Raises:
            InvalidRequest: names it.
        """
        given = call.query(self.described.name)
        return self.default if given is None else self.parse(self.described.name, given)


def text(name: str, meaning: str) -> QueryParameter[str | None]:
    """Declare a text to look for; None when it is not given or empty."""
    schema = {"type": "string", "maxLength": MAX_CHARACTERS, "pattern": r"^[^\x00-\x1f\x7f]*$"}
    return QueryParameter(Parameter(name, schema, meaning), _parse_text, None)


def _parse_text(name: str, given: str) -> str | None:
    if len(given) > MAX_CHARACTERS or _CONTROL.search(given):
        raise InvalidRequest(f"{name} is not valid: at most {MAX_CHARACTERS} characters, none of them for control")
    return given or None


def choice(name: str, choices: Mapping[str, T], default: T, meaning: str) -> QueryParameter[T]:
    """Declare one of some words, each of which stands for something."""

    def parse(name: str, given: str) -> T:
        if given not in choices:
            raise InvalidRequest(f"{name} does not have a valid value: it can be {', '.join(sorted(choices))}")
        return choices[given]

    return QueryParameter(Parameter(name, {"type": "string", "enum": sorted(choices)}, meaning), parse, default)


def number(name: str, default: T, meaning: str) -> QueryParameter[int | T]:
    """Declare a whole number from 1 to 999 999 999."""
    schema: dict[str, object] = {"type": "integer", "minimum": 1, "maximum": MAX_NUMBER}
    if default is not None:
        schema["default"] = default
    return QueryParameter(Parameter(name, schema, meaning), _parse_number, default)


def _parse_number(name: str, given: str) -> int:
    if len(given) > MAX_CHARACTERS or not _NUMBER.fullmatch(given):
        raise InvalidRequest(f"{name} is not valid: it is a whole number from 1")
    return int(given)


def bound(name: str, meaning: str) -> QueryParameter[int | None]:
    """Declare a row number that others are compared with; None when it is not given."""
    schema = {"type": "integer", "minimum": 0, "maximum": MAX_BOUND}
    return QueryParameter(Parameter(name, schema, meaning), _parse_bound, None)


def _parse_bound(name: str, given: str) -> int:
    if not _BOUND.fullmatch(given):
        raise InvalidRequest(f"{name} is not valid: it is a whole number")
    return int(given)


def time(name: str, meaning: str) -> QueryParameter[datetime.datetime | None]:
    """Declare a time; None when it is not given. A date alone begins at midnight in UTC."""
    schema = {"type": "string", "maxLength": MAX_DATE_CHARACTERS, "examples": list(TIME_EXAMPLES)}
    return QueryParameter(Parameter(name, schema, meaning), _parse_time, None)


def _parse_time(name: str, given: str) -> datetime.datetime:
    moment = _time(datetime.datetime.fromisoformat, given) if len(given) <= MAX_DATE_CHARACTERS else None
    if moment is None or moment < EPOCH:
        date, example = TIME_EXAMPLES
        raise InvalidRequest(f"{name} is not valid: it is a date such as {date}, or a time such as {example}")
    return moment


def flag(name: str, meaning: str) -> QueryParameter[bool]:
    """Declare a truth value; False when it is not given."""
    schema = {"anyOf": [{"type": "boolean"}, truth_schema(_TRUTHS)], "default": False}
    return QueryParameter(Parameter(name, schema, meaning), _parse_flag, False)


def _parse_flag(name: str, given: str) -> bool:
    if given.lower() not in _TRUTHS:
        raise InvalidRequest(f"{name} is not valid: it can be true or false")
    return _TRUTHS[given.lower()]


def truth_schema(truths: Mapping[str, bool]) -> JsonSchema:
    """Describe words for true and false, in letters of any case."""

    def word_pattern(word: str) -> str:
        return "".join(f"[{letter.upper()}{letter}]" if letter.isalpha() else letter for letter in word)

    return {"type": "string", "pattern": f"^(?:{'|'.join(map(word_pattern, truths))})$"}


def described(*parameters: QueryParameter[Any]) -> tuple[Parameter, ...]:
    """Return what is said of parameters."""
    return tuple(parameter.described for parameter in parameters)


PRECONDITIONS = (
    Parameter("If-Match", {"type": "string"}, "Entity tags of what may be deleted, or `*`", is_header=True),
    Parameter(
        "If-Unmodified-Since",
        {"type": "string"},
        "Delete only what has not changed after that time: an HTTP date, or one as in `created_at`",
        is_header=True,
    ),
)
"""What read_precondition() reads."""


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
