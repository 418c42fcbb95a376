"""What is said of a route to those who use it: parameters, fields of a body, answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from attrs import frozen

JsonSchema: TypeAlias = Mapping[str, Any]
"""JSON Schema, dialect 2020-12."""

JSON = "application/json"


@frozen
class Parameter:
    """
    A query parameter, or a request header that a route reads itself.

    Attributes:
        name: as it is written.
        schema: of its values. Whatever is taken fits it; what fits it may still be refused.
        meaning: one sentence, without a full stop.
        is_header: whether it is a header.
    """

    name: str
    schema: JsonSchema
    meaning: str
    is_header: bool = False


@frozen
class BodyContent:
    """
    What a body may be.

    Attributes:
        schemas: by media type. Whatever is taken fits; what fits may still be refused.
        is_required: whether there has to be one.
        ignored: fields of GitLab's that are taken and mean nothing here.
        examples: by media type.
    """

    schemas: Mapping[str, JsonSchema]
    is_required: bool = False
    ignored: tuple[str, ...] = ()
    examples: Mapping[str, object] = {}


@frozen
class Shape:
    """
    Something that answers are made of.

    Attributes:
        name: of its schema, in CamelCase; one for each schema.
        schema: exact: what is answered has each required field, and no field that is not in it.
        example: one that fits.
    """

    name: str
    schema: JsonSchema
    example: object


@frozen
class Answer:
    """
    What comes when all goes well.

    Attributes:
        status: HTTP status.
        meaning: one sentence, without a full stop.
        shape: of the body; None when there is none, or when it is not JSON.
        is_list: the body is a list of them, in numbered pages, with the headers of those.
        is_keyset: pages of a list may go on behind each other instead, and then have some of those headers alone.
        media_type: None without a body.
        is_validated: has an entity tag: a GET can be conditional.
        is_ranged: a part of it can be asked for.
    """

    status: int
    meaning: str
    shape: Shape | None = None
    is_list: bool = False
    is_keyset: bool = False
    media_type: str | None = JSON
    is_validated: bool = False
    is_ranged: bool = False


@frozen
class Operation:
    """
    What is said of a route that its permission, path and methods do not say.

    Attributes:
        id: in snake_case, the same for ever: generators of clients name functions by it. Where the route is mounted
            at several levels, each adds its name.
        answers: those of success.
        parameters: that it reads; any other is not looked at.
        body: None when it reads none.
        refusals: statuses that come from what the handler does, beside those that the guards of any such route give.
        summary: one sentence; empty for the first line of the handler's docstring.
    """

    id: str
    answers: tuple[Answer, ...]
    parameters: tuple[Parameter, ...] = ()
    body: BodyContent | None = None
    refusals: tuple[int, ...] = ()
    summary: str = ""
