"""Answers held against the description of what is answered: each that a test sees has to be in it."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import requests
from attrs import evolve, frozen
from jsonschema import Draft202012Validator, FormatChecker
from zope.interface import implementer

from pkgregd.http.openapi import describe
from pkgregd.interfaces import IRouteTable
from pkgregd.values import Operation, Refusal, Reply, Route
from tests.test_routes import whole_table

FORMATS = FormatChecker(("date", "date-time"))
WITHOUT_BODY = (204, 304)

LOOKED_AT_BY_HTTP = frozenset({"content-type"})
"""Headers that handlers may read without saying so: what a body may be in is said of the body."""


@frozen
class Rule:
    """A path of the document, as what matches it."""

    pattern: re.Pattern[str]
    is_exact: int
    methods: Mapping[str, Any]


class Description:
    """
    A document, asked whether answers are as it says.

    Attributes:
        document: the whole of it.
    """

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.document = document
        rules = [
            Rule(re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(path))), -path.count("{"), methods)
            for path, methods in document["paths"].items()
        ]
        self._rules = sorted(rules, key=lambda rule: rule.is_exact, reverse=True)

    def operation(self, method: str, path: str) -> Any:
        """Find what is said of a request; None of one that nothing is said of."""
        wanted = "get" if method == "HEAD" else method.lower()
        for rule in self._rules:
            if rule.pattern.fullmatch(path) and wanted in rule.methods:
                return rule.methods[wanted]
        return None

    def check(self, method: str, target: str, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """
        Hold an answer against the document.

        Args:
            target: path and query, as they were sent.
            headers: by lower-case name.

        Raises:
            AssertionError: its status, media type, headers or body are not as it says.
        """
        operation = self.operation(method, urlsplit(target).path)
        if operation is None:
            assert status >= 400, f"{method} {target} is answered {status}, and not described"
            return
        where = f"{method} {target} ({operation['operationId']}) -> {status}"
        responses = operation["responses"]
        key = str(status) if str(status) in responses else f"{status // 100}XX"
        assert key in responses, f"{where} is not described: {body[:300]!r}"
        response = self._resolved(responses[key])
        self._check_headers(where, response.get("headers", {}), headers)
        if method != "HEAD" and status not in WITHOUT_BODY and response.get("content"):
            self._check_body(where, response["content"], headers.get("content-type", ""), body)

    def _check_headers(self, where: str, described: Mapping[str, Any], headers: Mapping[str, str]) -> None:
        """Those that have to be there are, those of limits are described, and both are of their kind."""
        known = {name.lower(): self._resolved(said) for name, said in described.items()}
        for name, said in known.items():
            assert name in headers or not said.get("required"), f"{where} has no {name}"
        for name in headers:
            assert name in known or not name.startswith("ratelimit-"), f"{where} has {name}, which is not described"
        for name in known.keys() & headers.keys():
            schema, text = known[name]["schema"], headers[name]
            value = int(text) if schema["type"] == "integer" and text.isdecimal() else text
            assert Draft202012Validator(schema).is_valid(value), f"{where} has {name}: {text}"

    def _check_body(self, where: str, content: Mapping[str, Any], media_type: str, body: bytes) -> None:
        found = media_type.partition(";")[0]
        assert found in content or "*/*" in content, f"{where} is in {media_type}, not in {', '.join(content)}"
        schema = content.get(found, {}).get("schema")
        if schema is not None:
            errors = [
                f"{error.json_path}: {error.message}" for error in self._validator(schema).iter_errors(json.loads(body))
            ]
            assert not errors, f"{where}: {errors}\n{body[:1000]!r}"

    def _validator(self, schema: Mapping[str, Any]) -> Draft202012Validator:
        whole = {**schema, "components": self.document["components"]}
        return Draft202012Validator(whole, format_checker=FORMATS)

    def errors(self, schema: Mapping[str, Any], value: object) -> list[str]:
        """Return why a value does not fit a schema of the document."""
        return [error.message for error in self._validator(schema).iter_errors(value)]

    def _resolved(self, said: Mapping[str, Any]) -> Mapping[str, Any]:
        """Follow a reference to a component, if it is one."""
        if "$ref" not in said:
            return said
        _, _, kind, name = said["$ref"].split("/")
        found: Mapping[str, Any] = self.document["components"][kind][name]
        return found


@functools.cache
def description() -> Description:
    """Return the description of everything there is."""
    return Description(describe(whole_table(), "https://registry.test", "0"))


@implementer(IRouteTable)
class DescribedTable:
    """A table of routes whose handlers fail if they read what their operations do not say."""

    def __init__(self, table: IRouteTable) -> None:
        self.name = table.name
        self.challenge = table.challenge
        self._table = table

    def routes(self) -> Sequence[Route]:
        """The same, watched."""
        return [evolve(route, handler=partial(_watched, route)) for route in self._table.routes()]

    def render_error(self, refusal: Refusal) -> Reply | None:
        """As the table does."""
        return self._table.render_error(refusal)


async def _watched(route: Route, call: Any) -> Reply:
    assert route.operation is not None, f"the route {route.path} has no description"
    return await route.handler(WatchedCall(call, route.operation))  # type: ignore[arg-type] # all but its type


class WatchedCall:
    """A call that lets a handler read what its operation says that it reads."""

    def __init__(self, call: Any, operation: Operation) -> None:
        self._call = call
        self._operation = operation

    def query(self, name: str) -> str | None:
        """See IAuthorisedCall."""
        names = {one.name for one in self._operation.parameters if not one.is_header}
        assert name in names, f"{self._operation.id} reads the parameter {name}, and does not say so"
        found: str | None = self._call.query(name)
        return found

    def header(self, name: str) -> str | None:
        """See IAuthorisedCall."""
        names = {one.name.lower() for one in self._operation.parameters if one.is_header} | LOOKED_AT_BY_HTTP
        assert name.lower() in names, f"{self._operation.id} reads the header {name}, and does not say so"
        found: str | None = self._call.header(name)
        return found

    @property
    def body(self) -> Any:
        """See IAuthorisedCall."""
        assert self._operation.body is not None, f"{self._operation.id} reads a body, and does not say so"
        return self._call.body

    def __getattr__(self, name: str) -> Any:
        return getattr(self._call, name)


class DescribedSession(requests.Session):
    """A session of which every answer is as it is described."""

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        """Send, and hold the answer against the description."""
        answer = super().send(request, **options)
        if not options.get("stream"):
            headers = {name.lower(): value for name, value in answer.headers.items()}
            path = urlsplit(str(request.url))._replace(scheme="", netloc="").geturl()
            description().check(str(request.method), path, answer.status_code, headers, answer.content)
        return answer
