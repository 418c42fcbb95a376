"""Reading the fields of a call's body: JSON or a form; what is not known is refused by its name."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from pkgregd.errors import InvalidRequest
from pkgregd.interfaces import IAuthorisedCall
from pkgregd.values import Role, Visibility

T = TypeVar("T")
Reader = Callable[[str, object], Any]

MAX_BYTES = 1 << 16
MAX_FIELDS = 100
MAX_DEPTH = 4
FORM = "application/x-www-form-urlencoded"

ROLES: Mapping[int, Role] = {role.value: role for role in Role}
VISIBILITIES: Mapping[str, Visibility] = {visibility.value: visibility for visibility in Visibility}


async def read_fields(
    call: IAuthorisedCall,
    readers: Mapping[str, Reader],
    *,
    required: Collection[str] = (),
    ignored: Collection[str] = (),
) -> dict[str, Any]:
    """
    Read the body as JSON, or as a form if it says so.

    Args:
        readers: how each field is read, by its name.
        required: those that must be there.
        ignored: those that GitLab has and that mean nothing here.

    Returns:
        What was given, by name. A field that is null was not given.

    Raises:
        InvalidRequest: names the field.
        And what IAuthorisedCall.authorise_again() raises.
    """
    body = await call.body.read_all(MAX_BYTES)
    await call.authorise_again()  # a body can be long in coming, and what it asks for may outlive every token
    media_type = (call.header("Content-Type") or "").partition(";")[0].strip().lower()
    given = _of_form(body) if media_type == FORM else _of_json(body)
    found = {}
    for name, value in given.items():
        if name in ignored or value is None:
            continue
        if name not in readers:
            raise InvalidRequest(
                f"{name[:100]!a} is not a field of this: there are {', '.join(sorted(readers)) or 'none'}"
            )
        found[name] = readers[name](name, value)
    for name in required:
        if name not in found:
            raise InvalidRequest(f"{name} is missing")
    return found


def _of_json(body: bytes) -> Mapping[str, object]:
    if not body.strip():
        return {}
    try:
        fields = json.loads(body.decode("utf-8"), object_pairs_hook=_once)
    except (ValueError, RecursionError):
        raise InvalidRequest("the body is not JSON") from None
    if not isinstance(fields, dict):
        raise InvalidRequest("the body is not an object")
    return fields


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise ValueError("a field is given twice")
    return fields


def _of_form(body: bytes) -> Mapping[str, object]:
    """Read a form; `name[]` is an item of a list."""
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=bool(body),
            errors="strict",
            max_num_fields=MAX_FIELDS,
        )
    except ValueError:
        raise InvalidRequest("the form cannot be read") from None
    fields: dict[str, object] = {}
    lists: dict[str, list[str]] = {}
    for name, value in pairs:
        if name.endswith("[]"):
            lists.setdefault(name[:-2], []).append(value)
        else:
            fields[name] = value
    return {**fields, **lists}


# ----------------------------------------------------------------------- readers


def text(name: str, value: object) -> str:
    """Read a text that is not empty."""
    if not isinstance(value, str) or not 0 < len(value) <= 255 or not value.isprintable():
        raise InvalidRequest(f"{name} is not valid: it is a text of 1 to 255 printable letters")
    return value


def texts(name: str, value: object) -> frozenset[str]:
    """Read a list of texts; one alone may be several with commas between them."""
    if isinstance(value, str):
        value = value.split(",")
    if not isinstance(value, list) or not 0 < len(value) <= MAX_FIELDS:
        raise InvalidRequest(f"{name} is not valid: it is a list of texts")
    return frozenset(text(name, item) for item in value)


def number(name: str, value: object) -> int:
    """Read a whole number from 1."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 19:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 2**63:
        raise InvalidRequest(f"{name} is not valid: it is a whole number from 1")
    return value


def flag(name: str, value: object) -> bool:
    """Read a truth value."""
    words = {"true": True, "1": True, "false": False, "0": False}
    if isinstance(value, str) and value.lower() in words:
        return words[value.lower()]
    if not isinstance(value, bool):
        raise InvalidRequest(f"{name} is not valid: it can be true or false")
    return value


def one_of(choices: Mapping[Any, T]) -> Callable[[str, object], T]:
    """Read what one of some values stands for; digits of a form are a number."""

    def read(name: str, value: object) -> T:
        known = {str(choice): meant for choice, meant in choices.items()}
        if isinstance(value, bool) or not isinstance(value, str | int) or str(value) not in known:
            raise InvalidRequest(f"{name} does not have a valid value: it can be {', '.join(known)}")
        return known[str(value)]

    return read


def day(name: str, value: object) -> datetime.datetime:
    """Read a date, which begins at midnight in UTC, or a whole time."""
    try:
        moment = datetime.datetime.fromisoformat(text(name, value))
        return moment.replace(tzinfo=datetime.UTC) if moment.tzinfo is None else moment.astimezone(datetime.UTC)
    except (ValueError, OverflowError):
        raise InvalidRequest(f"{name} is not valid: it is a date such as 2027-01-31") from None


role = one_of(ROLES)
visibility = one_of(VISIBILITIES)
