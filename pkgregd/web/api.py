"""The description of everything that is answered: as OpenAPI for programs, and as a page of the manual for people."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pkgregd.values import PublicPages
from pkgregd.web.fixed import Fixed
from pkgregd.web.manual import ManualPage

PATH = "/api/openapi.json"
PAGE = "api"

_BODY = "application/json"


def document_pages(document: Mapping[str, Any]) -> PublicPages:
    """Serve a document of OpenAPI; this takes some milliseconds."""
    return {PATH: Fixed.of(json.dumps(document, separators=(",", ":")).encode(), _BODY).answer}


def api_page(document: Mapping[str, Any]) -> ManualPage:
    """Write a document of OpenAPI down for people, in Markdown."""
    return ManualPage.of(PAGE, "\n".join(_lines(document)) + "\n")


def _lines(document: Mapping[str, Any]) -> Iterator[str]:
    yield "# HTTP API"
    yield ""
    yield "Every path that is answered here, from the table that the daemon itself goes by. For programs the same is at"
    yield f"[`{PATH}`]({document['servers'][0]['url']}{PATH}), in OpenAPI {document['openapi']}."
    yield ""
    yield document["info"]["description"]
    for tag in sorted(document["tags"], key=lambda tag: (tag.get("x-format", False), tag["name"])):
        yield ""
        yield f"## {tag['description']}"
        yield ""
        yield from _format(document, tag["name"]) if tag.get("x-format") else _table(document, tag["name"])


def _operations(document: Mapping[str, Any], tag: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """List the operations of a tag as `METHOD path` and what is said of them."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if tag in operation["tags"]:
                yield f"{method.upper()} {path}", operation


def _format(document: Mapping[str, Any], tag: str) -> Iterator[str]:
    yield "| method and path | what it does | permission |"
    yield "|---|---|---|"
    for name, operation in _operations(document, tag):
        yield f"| `{name}` | {operation['summary']} | `{operation['x-permission']}` |"


def _table(document: Mapping[str, Any], tag: str) -> Iterator[str]:
    for name, operation in _operations(document, tag):
        yield f"### `{name}`"
        yield ""
        yield f"{operation['summary']}. Permission: `{operation['x-permission']}`."
        yield ""
        yield from _fields(operation)
        answers = ", ".join(f"`{status}`" for status in operation["responses"])
        yield f"Answers: {answers}."
        yield ""


def _fields(operation: Mapping[str, Any]) -> Iterator[str]:
    """Write parameters and fields of the body as one table, and what is ignored below it."""
    rows = [
        f"| `{one['name']}` | {one['in']} | {_kind(one['schema'])} | {one['description']} |"
        for one in operation.get("parameters", ())
    ]
    schema = operation.get("requestBody", {}).get("content", {}).get(_BODY, {}).get("schema", {})
    ignored = operation.get("x-ignored", [])
    for name, field in schema.get("properties", {}).items():
        if name not in ignored:
            needed = "required" if name in schema.get("required", ()) else ""
            rows.append(f"| `{name}` | body | {_kind(field)} | {needed} |")
    if rows:
        yield "| name | where | what | meaning |"
        yield "|---|---|---|---|"
        yield from rows
        yield ""
    if ignored:
        yield f"Taken and not kept: {', '.join(f'`{name}`' for name in ignored)}."
        yield ""


def _kind(schema: Mapping[str, Any]) -> str:
    """Say in a few words what a schema takes."""
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "anyOf" in schema:
        kinds = [_kind(one) for one in schema["anyOf"] if one.get("type") != "null"]
        return kinds[0]
    return str(schema.get("type", "anything"))
