"""The fields of a call's body, declared and read: JSON or a form; what is not known is refused by its name."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Collection, Mapping
from typing import Any, Generic, TypeVar
from urllib.parse import parse_qsl, urlencode

from attrs import field, frozen

from pkgregd.errors import InvalidRequest
from pkgregd.interfaces import IAuthorisedCall
from pkgregd.manage.parameters import truth_schema
from pkgregd.values import JSON, BodyContent, JsonSchema, Role, Visibility

T = TypeVar("T")
Reader = Callable[[str, object], Any]

MAX_BYTES = 1 << 16
MAX_FIELDS = 100
MAX_CHARACTERS = 255
MAX_NUMBER = 2**63 - 1
FORM = "application/x-www-form-urlencoded"

ROLES: Mapping[int, Role] = {role.value: role for role in Role}
VISIBILITIES: Mapping[str, Visibility] = {visibility.value: visibility for visibility in Visibility}


TRUTHS: Mapping[str, bool] = {"true": True, "1": True, "false": False, "0": False}


@frozen
class Field(Generic[T]):
    """
    How a field is read, and what is said of it. Called with the field's name and what was given.

    Attributes:
        parse: makes a value of name and what was given, or raises InvalidRequest.
        text_schema: of what a text may be, in a form or in JSON.
        json_schema: of what else there may be in JSON; None for nothing.
        item_schema: of each item, if a form may repeat it as `name[]`.
    """

    parse: Callable[[str, object], T]
    text_schema: JsonSchema
    json_schema: JsonSchema | None = None
    item_schema: JsonSchema | None = None

    def __call__(self, name: str, value: object) -> T:
        """Read a value. Raises InvalidRequest."""
        return self.parse(name, value)


@frozen
class Body:
    """
    The fields that a body may have, declared once for reading and for what is said of them.

    Attributes:
        fields: how each is read, by its name.
        required: those that must be there.
        ignored: those that GitLab has and that mean nothing here.
        one_of: names of which exactly one must be there.
        nullable: those of which null says something, and does not mean that they were not given.
        example: what somebody might send as JSON.
    """

    fields: Mapping[str, Field[Any]]
    required: tuple[str, ...] = ()
    ignored: frozenset[str] = frozenset()
    one_of: tuple[str, ...] = field(default=(), kw_only=True)
    nullable: tuple[str, ...] = field(default=(), kw_only=True)
    example: Mapping[str, object] = field(factory=dict, kw_only=True)

    async def read(self, call: IAuthorisedCall) -> dict[str, Any]:
        """Read the body of a call; see read_fields()."""
        given = await read_fields(
            call, self.fields, required=self.required, ignored=self.ignored, nullable=self.nullable
        )
        if self.one_of and len(given.keys() & set(self.one_of)) != 1:
            raise InvalidRequest(f"{', '.join(self.one_of)}: exactly one of them is given")
        return given

    @property
    def described(self) -> BodyContent:
        """What is said of it."""
        form = {name: ",".join(value) if isinstance(value, list) else value for name, value in self.example.items()}
        return BodyContent(
            {JSON: self._json_schema(), FORM: self._form_schema()},
            bool(self.required or self.one_of),
            tuple(sorted(self.ignored)),
            {JSON: self.example, FORM: urlencode(form)} if self.example else {},
        )

    def _json_schema(self) -> JsonSchema:
        properties: dict[str, JsonSchema] = {}
        for name, known in self.fields.items():
            kinds = [known.text_schema] if known.json_schema is None else [known.json_schema, known.text_schema]
            if name not in self.required:
                kinds.append({"type": "null"})
            properties[name] = kinds[0] if len(kinds) == 1 else {"anyOf": kinds}
        properties |= {name: dict(IGNORED_SCHEMA) for name in sorted(self.ignored)}
        schema: dict[str, object] = {"type": "object", "properties": properties, "additionalProperties": False}
        if self.required:
            schema["required"] = list(self.required)
        if self.one_of:
            schema["oneOf"] = [
                {"required": [name], "properties": {name: {"not": {"type": "null"}}}} for name in self.one_of
            ]
        return schema

    def _form_schema(self) -> JsonSchema:
        """Describe the form: all is text, a list is repeated under a name with brackets."""
        properties: dict[str, JsonSchema] = {}
        demands: list[JsonSchema] = []
        for name, known in self.fields.items():
            properties[name] = known.text_schema
            if known.item_schema is not None:
                properties[f"{name}[]"] = _list_of(known.item_schema)
            if name in self.required:
                names = (name,) if known.item_schema is None else (name, f"{name}[]")
                demands.append({"anyOf": [{"required": [one]} for one in names]})
        for name in sorted(self.ignored):
            properties |= {name: dict(IGNORED_SCHEMA), f"{name}[]": dict(IGNORED_SCHEMA)}
        schema: dict[str, object] = {"type": "object", "properties": properties, "additionalProperties": False}
        if self.one_of:
            schema["oneOf"] = [{"required": [name]} for name in self.one_of]
        if demands:
            schema["allOf"] = demands
        return schema


IGNORED_SCHEMA: JsonSchema = {"description": "A field of GitLab's that means nothing here: it is taken and not kept"}


def _list_of(items: JsonSchema) -> JsonSchema:
    return {"type": "array", "items": items, "minItems": 1, "maxItems": MAX_FIELDS}


async def read_fields(
    call: IAuthorisedCall,
    readers: Mapping[str, Reader],
    *,
    required: Collection[str] = (),
    nullable: Collection[str] = (),
    ignored: Collection[str] = (),
) -> dict[str, Any]:
    """
    Read the body as JSON, or as a form if it says so.

    Args:
        readers: how each field is read, by its name.
        required: those that must be there.
        nullable: those of which null says something: they are found as None.
        ignored: those that GitLab has and that mean nothing here.

    Returns:
        What was given, by name. Any other field of these that is null was not given.

    Raises:
        InvalidRequest: names the field.
        And what IAuthorisedCall.authorise_again() raises.
    """
    body = await call.body.read_all(MAX_BYTES)
    await call.authorise_again()  # a body can be long in coming, and what it asks for may outlive every token
    media_type = (call.header("Content-Type") or "").partition(";")[0].strip().lower()
    given = _of_form(body) if media_type == FORM else _of_json(body)
    found: dict[str, Any] = {}
    for name, value in given.items():
        if name in ignored:
            continue
        if name not in readers:
            raise InvalidRequest(
                f"{name[:100]!a} is not a field of this: there are {', '.join(sorted(readers)) or 'none'}"
            )
        if value is not None:
            found[name] = readers[name](name, value)
        elif name in nullable:
            found[name] = None
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


# ------------------------------------------------------------------------ fields


def _text(name: str, value: object) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= MAX_CHARACTERS or not value.isprintable():
        raise InvalidRequest(f"{name} is not valid: it is a text of 1 to {MAX_CHARACTERS} printable letters")
    return value


def _texts(name: str, value: object) -> frozenset[str]:
    if isinstance(value, str):
        value = value.split(",")
    if not isinstance(value, list) or not 0 < len(value) <= MAX_FIELDS:
        raise InvalidRequest(f"{name} is not valid: it is a list of texts")
    return frozenset(_text(name, item) for item in value)


def _number(name: str, value: object) -> int:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 19:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= MAX_NUMBER:
        raise InvalidRequest(f"{name} is not valid: it is a whole number from 1")
    return value


def _flag(name: str, value: object) -> bool:
    if isinstance(value, str) and value.lower() in TRUTHS:
        return TRUTHS[value.lower()]
    if not isinstance(value, bool):
        raise InvalidRequest(f"{name} is not valid: it can be true or false")
    return value


def _day(name: str, value: object) -> datetime.datetime:
    try:
        moment = datetime.datetime.fromisoformat(_text(name, value))
        return moment.replace(tzinfo=datetime.UTC) if moment.tzinfo is None else moment.astimezone(datetime.UTC)
    except (ValueError, OverflowError):
        raise InvalidRequest(f"{name} is not valid: it is a date such as 2027-01-31") from None


def one_of(choices: Mapping[Any, T]) -> Field[T]:
    """Declare one of some values, each of which stands for something; digits of a form are a number."""
    known = {str(choice): meant for choice, meant in choices.items()}

    def parse(name: str, value: object) -> T:
        if isinstance(value, bool) or not isinstance(value, str | int) or str(value) not in known:
            raise InvalidRequest(f"{name} does not have a valid value: it can be {', '.join(known)}")
        return known[str(value)]

    numbers = [choice for choice in choices if isinstance(choice, int)]
    json_schema = {"type": "integer", "enum": [int(choice) for choice in numbers]} if numbers else None
    return Field(parse, {"type": "string", "enum": list(known)}, json_schema)


_TEXT_SCHEMA: JsonSchema = {"type": "string", "minLength": 1, "maxLength": MAX_CHARACTERS}

text = Field(_text, _TEXT_SCHEMA)
"""A text that is not empty."""

texts = Field(
    _texts,
    {"type": "string", "minLength": 1, "description": "One, or several with commas between them"},
    _list_of(_TEXT_SCHEMA),
    _TEXT_SCHEMA,
)
"""A list of texts; one text may be several with commas between them."""

number = Field(
    _number,
    {"type": "string", "pattern": "^[0-9]{1,18}$"},
    {"type": "integer", "minimum": 1, "maximum": MAX_NUMBER},
)
"""A whole number from 1."""

flag = Field(_flag, truth_schema(TRUTHS), {"type": "boolean"})
"""A truth value."""

day = Field(
    _day,
    {**_TEXT_SCHEMA, "description": "A date, which begins at midnight in UTC, or a whole time, as ISO 8601 has them"},
)
"""A date, which begins at midnight in UTC, or a whole time."""

role = one_of(ROLES)
visibility = one_of(VISIBILITIES)
