"""
What a daemon answers, as an OpenAPI document: every rule that is mounted, and nothing else.

Rules, methods, permissions and guards come from the table of routes, the rest from each route's operation.

Source: OpenAPI 3.1.1.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Mapping
from typing import Any

from pkgregd.http.guards import (
    BEFORE_ANY_TABLE,
    MEANINGS,
    RETRIED_STATUSES,
    SECURITY_SCHEMES,
    VALIDATED_STATUSES,
    format_statuses,
    guard_statuses,
    refusal_media_type,
    security_of,
)
from pkgregd.http.mounts import SCOPE_RULE, Mount
from pkgregd.http.paths import MAX_DIGITS
from pkgregd.http.ratelimits import LIMIT_HEADERS, REFUSED_HEADERS
from pkgregd.http.refusals import REFUSAL_SCHEMA
from pkgregd.values import (
    JSON,
    Answer,
    BodyContent,
    JsonSchema,
    Level,
    Operation,
    Parameter,
    Route,
    Shape,
)

Fields = dict[str, Any]

VERSION = "3.1.1"
DIALECT = "https://json-schema.org/draft/2020-12/schema"

_ARGUMENT = re.compile(r"<(?P<kind>\w+):(?P<name>\w+)>")
_NAME_IN_TEMPLATE = re.compile(r"\{(\w+)\}")
_NOT_IN_ID = re.compile(r"[^A-Za-z0-9]+")

ARGUMENTS: Mapping[str, tuple[JsonSchema, str]] = {
    "scope": ({"type": "string", "minLength": 1}, "The number of the {level}, or its path with `/` written as `%2F`"),
    "segment": ({"type": "string", "minLength": 1}, "One segment"),
    "path": ({"type": "string", "minLength": 1}, "One or more segments; each `/` may be written as it is or as `%2F`"),
    "number": ({"type": "integer", "minimum": 0, "maximum": 10**MAX_DIGITS - 1}, "A number"),
}
"""What is said of a path's arguments, by the converter of the rule."""

PAGE_HEADERS: Mapping[str, tuple[JsonSchema, str]] = {
    "Link": ({"type": "string"}, "The neighbours of the page, as `prev`, `next`, `first` and `last`"),
    "X-Total": ({"type": "integer", "minimum": 0}, "How many there are"),
    "X-Total-Pages": ({"type": "integer", "minimum": 1}, "On how many pages"),
    "X-Page": ({"type": "integer", "minimum": 1}, "Which page this is"),
    "X-Per-Page": ({"type": "integer", "minimum": 1}, "Of what size"),
    "X-Next-Page": ({"type": "string"}, "The number of the next page, or nothing"),
    "X-Prev-Page": ({"type": "string"}, "The number of the page before, or nothing"),
}

KEYSET_HEADERS = ("X-Per-Page",)
"""Those that each page of a list has that can be numbered, or go on behind another one."""

ABOUT = (
    "The management of this registry, in GitLab's paths and JSON, and what each package format serves to its own "
    "clients, of which paths, methods and statuses are told. GET also answers HEAD. A parameter that is not listed is "
    "not looked at; a field of a body that is not listed is refused. Fields of GitLab's that mean nothing here are "
    "taken and not kept: `x-ignored` lists them."
)


def describe(mounts: Iterable[tuple[str, Mount]], external_url: str, release: str) -> Fields:
    """
    Describe everything that is mounted.

    Args:
        mounts: see front.mounts().
        external_url: as clients reach the daemon.
        release: version of what is described.

    Returns:
        The document, fit for JSON.
    """
    document = _Document()
    for rule, mount in mounts:
        document.add(rule, mount)
    return {
        "openapi": VERSION,
        "jsonSchemaDialect": DIALECT,
        "info": {"title": "pkgregd", "version": release, "description": ABOUT},
        "servers": [{"url": external_url.rstrip("/")}],
        "tags": [fields for _, fields in sorted(document.tags.items())],
        "paths": document.paths,
        "components": {
            "schemas": dict(sorted(document.schemas.items())),
            "responses": dict(sorted(document.responses.items())),
            "headers": _headers(),
            "securitySchemes": dict(SECURITY_SCHEMES),
        },
    }


def template_of(rule: str, level: Level) -> str:
    """Write a rule as the path of a document; the scope is called after its level."""
    return _ARGUMENT.sub(lambda found: f"{{{found['name']}}}", rule.replace(SCOPE_RULE, f"<scope:{level.value}>"))


def sentence_of(route: Route) -> str:
    """Return the one sentence about a route: its operation's, or the first of its handler's docstring; or nothing."""
    if route.operation is not None and route.operation.summary:
        return route.operation.summary
    return _first_line(route.handler)


def _first_line(handler: Any) -> str:
    """A handler that was given something beforehand is what it was; one around another is the other."""
    while hasattr(handler, "func"):
        inner = [argument for argument in handler.args if callable(argument)]
        handler = inner[0] if inner else handler.func
    return ((handler.__doc__ or "").strip().splitlines() or [""])[0]


class _Document:
    """The parts of a document, as they come together."""

    def __init__(self) -> None:
        self.tags: dict[str, Fields] = {}
        self.paths: dict[str, Fields] = {}
        self.schemas: dict[str, JsonSchema] = {"Refusal": REFUSAL_SCHEMA}
        self.responses: dict[str, Fields] = {}
        self._templates: dict[str, str] = {}

    def add(self, rule: str, mount: Mount) -> None:
        """Describe a rule."""
        wanted = template_of(rule, mount.level)
        # templates that differ in the names of their arguments alone are one: the first one's names count
        template = self._templates.setdefault(_NAME_IN_TEMPLATE.sub("{}", wanted), wanted)
        self.tags.setdefault(mount.table.name, _tag(mount))
        path = self.paths.setdefault(template, {})
        for method in mount.route.methods:
            path[method.lower()] = self._operation(rule, mount, template, method)

    def _operation(self, rule: str, mount: Mount, template: str, method: str) -> Fields:
        route = mount.route
        operation = route.operation or Operation("", (), refusals=tuple(format_statuses(method)))
        fields: Fields = {
            "operationId": _id(mount, operation, method),
            "summary": sentence_of(route).rstrip("."),
            "tags": [mount.table.name],
            "x-permission": route.permission.value,
            "security": security_of(route.permission),
        }
        parameters = _arguments(rule, mount, template) + [_parameter(one) for one in operation.parameters]
        if parameters:
            fields["parameters"] = parameters
        if operation.body is not None:
            fields["requestBody"] = _body(operation.body)
            if operation.body.ignored:
                fields["x-ignored"] = list(operation.body.ignored)
        fields["responses"] = self._responses(mount, operation, method)
        return fields

    def _responses(self, mount: Mount, operation: Operation, method: str) -> Fields:
        found: Fields = {str(answer.status): self._answer(answer) for answer in operation.answers}
        statuses = {*guard_statuses(mount, method), *operation.refusals}
        for answer in operation.answers:
            for status in VALIDATED_STATUSES if answer.is_validated else ():
                found[str(status)] = {"description": MEANINGS[status], "headers": _references(LIMIT_HEADERS)}
            if answer.is_ranged:
                found |= {
                    "206": {
                        "description": MEANINGS[206],
                        "headers": _references(LIMIT_HEADERS),
                        "content": {answer.media_type: {}},
                    },
                    "416": {"description": MEANINGS[416], "headers": _references(LIMIT_HEADERS)},
                }
        for status in statuses:
            reference = {"$ref": f"#/components/responses/{self._refusal(mount, status)}"}
            found.setdefault(str(status), reference)
        if not operation.answers:
            found |= _format_answers(method)
        return dict(sorted(found.items()))

    def _answer(self, answer: Answer) -> Fields:
        fields: Fields = {"description": answer.meaning, "headers": _references(LIMIT_HEADERS)}
        if answer.is_list:
            fields["headers"] |= _references(KEYSET_HEADERS if answer.is_keyset else PAGE_HEADERS)
        if answer.is_keyset:
            fields["description"] += ". Numbered pages have the headers of such pages, others link to the next one"
        if answer.media_type is not None:
            fields["content"] = {answer.media_type: self._content(answer)}
        return fields

    def _content(self, answer: Answer) -> Fields:
        if answer.shape is None:
            return {}
        schema: JsonSchema = self._reference(answer.shape)
        if answer.is_list:
            return {"schema": {"type": "array", "items": schema}, "example": [answer.shape.example]}
        return {"schema": schema, "example": answer.shape.example}

    def _reference(self, shape: Shape) -> JsonSchema:
        known = self.schemas.setdefault(shape.name, shape.schema)
        if known != shape.schema:
            raise ValueError(f"two shapes are called {shape.name}")
        return {"$ref": f"#/components/schemas/{shape.name}"}

    def _refusal(self, mount: Mount, status: int) -> str:
        """Name the response of a refusal, one for each status and media type."""
        media_type = refusal_media_type(mount.table, status)
        name = f"Refused{status}"
        content: Fields = {"schema": {"$ref": "#/components/schemas/Refusal"}}
        if media_type is None:
            media_type = JSON
        else:
            name += f"In{mount.table.name.title().replace('_', '')}"
            content = {}
        self.responses[name] = {"description": MEANINGS[status], "content": {media_type: content}}
        if headers := _refusal_headers(status):
            self.responses[name]["headers"] = headers
        return name


def _headers() -> Fields:
    """Describe every header once: a page has its own always, those of limits are there where a limit holds."""
    always = {name: _header(*said) | {"required": True} for name, said in PAGE_HEADERS.items()}
    return always | {name: _header(*said) for name, said in {**LIMIT_HEADERS, **REFUSED_HEADERS}.items()}


def _header(schema: JsonSchema, meaning: str) -> Fields:
    return {"description": meaning, "schema": schema}


def _references(names: Iterable[str]) -> Fields:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _refusal_headers(status: int) -> Fields:
    """Tell which headers a refusal has; what is refused before its route is known is counted by no limit."""
    found = {} if status in BEFORE_ANY_TABLE else _references(LIMIT_HEADERS)
    if status == 429:
        found |= _references(REFUSED_HEADERS)
    if status in RETRIED_STATUSES:
        found["Retry-After"] = {"required": True, "schema": {"type": "integer", "minimum": 1}}
    return found


def _tag(mount: Mount) -> Fields:
    """Say what a table is for: a format's clients, or what the module of the table says."""
    name = mount.table.name
    if mount.format is not None:
        return {"name": name, "description": f"What clients of {mount.format.title} use", "x-format": True}
    lines = (inspect.getdoc(inspect.getmodule(type(mount.table))) or name).splitlines()
    return {"name": name, "description": lines[0].rstrip(".")}


def _format_answers(method: str) -> Fields:
    """Say of a format's route what any of them does; which status of success it has is the protocol's."""
    headers = _references(LIMIT_HEADERS)
    done: Fields = {
        "2XX": {"description": "It is done, or what was asked for", "headers": headers, "content": {"*/*": {}}}
    }
    if method == "GET":
        done["3XX"] = {"description": "What the client has still holds, or is elsewhere", "headers": headers}
    return done


def _id(mount: Mount, operation: Operation, method: str) -> str:
    """Name an operation; a format's by method and path, which are the same for ever."""
    if operation.id:
        return operation.id if len(mount.route.levels) == 1 else f"{operation.id}_of_{mount.level.value}"
    path = mount.route.path
    words = _NOT_IN_ID.sub("_", _ARGUMENT.sub(lambda found: found["name"], path)).strip("_")
    slash = "slash" if path.endswith("/") else ""
    parts = (mount.table.name, mount.level.value, method.lower(), words, slash)
    return "_".join(part for part in parts if part)


def _arguments(rule: str, mount: Mount, template: str) -> list[Fields]:
    """Describe the arguments of a path, by the names that its template has for them."""
    kinds = [found["kind"] for found in _ARGUMENT.finditer(rule)]
    names = _NAME_IN_TEMPLATE.findall(template)
    found = []
    for kind, name in zip(kinds, names, strict=True):
        schema, meaning = ARGUMENTS[kind]
        text = meaning.format(level=mount.level.value)
        found.append({"name": name, "in": "path", "required": True, "description": text, "schema": dict(schema)})
    return found


def _parameter(parameter: Parameter) -> Fields:
    return {
        "name": parameter.name,
        "in": "header" if parameter.is_header else "query",
        "description": parameter.meaning,
        "schema": dict(parameter.schema),
    }


def _body(body: BodyContent) -> Fields:
    content: Fields = {}
    for media_type, schema in body.schemas.items():
        content[media_type] = {"schema": dict(schema)}
        if media_type in body.examples:
            content[media_type]["example"] = body.examples[media_type]
    return {"required": body.is_required, "content": content}
