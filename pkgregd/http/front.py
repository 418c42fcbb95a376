"""Puts the front together: Klein's rules from the routes of formats and other tables, and the health pages."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from http import HTTPStatus
from types import MappingProxyType
from typing import Any

from attrs import evolve
from klein import Klein
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from werkzeug.exceptions import MethodNotAllowed

from pkgregd.errors import PkgregdError
from pkgregd.http.accesslog import AccessLog
from pkgregd.http.callers import Callers
from pkgregd.http.dispatch import respond, serve, serve_public, unlimited
from pkgregd.http.doorstep import Door, Doorstep
from pkgregd.http.factory import FrontFactory
from pkgregd.http.mounts import SCOPE_RULE, Gate, Mount
from pkgregd.http.paths import CONVERTERS
from pkgregd.http.refusals import common_reply, dressed, refuse
from pkgregd.http.request import FrontRequest
from pkgregd.http.routing import Router
from pkgregd.http.settings import FrontSettings
from pkgregd.interfaces import (
    IAccessPolicy,
    IAccounts,
    IAuthenticator,
    ICatalog,
    IMeasures,
    IPackageFormat,
    IRemotes,
    IRequestLimits,
    IRouteTable,
    IStrictTable,
)
from pkgregd.unmeasured import UNMEASURED
from pkgregd.values import FormatLimits, Level, PublicPages, Refusal, Reply, Route, RouteClass

PREFIXES: Mapping[Level, str] = {
    Level.PROJECT: f"/api/v4/projects/{SCOPE_RULE}/packages/",
    Level.GROUP: f"/api/v4/groups/{SCOPE_RULE}/-/packages/",
    Level.INSTANCE: "/api/v4/packages/",
}
"""Where a format's routes are mounted at each level, before the format's name."""

TABLE_PREFIXES: Mapping[Level, str] = {
    Level.PROJECT: f"/api/v4/projects/{SCOPE_RULE}",
    Level.GROUP: f"/api/v4/groups/{SCOPE_RULE}",
    Level.INSTANCE: "",
}
"""Where the routes of other tables are mounted at each level."""

TABLE_LIMITS = FormatLimits(max_file_bytes=1 << 16)
"""What routes that belong to no format take as a body: parameters, never files."""

ARGUMENT_PREFIX = "argument_"
"""Klein passes path arguments by keyword through functions with names of their own: ours must not meet them."""


def mounts(
    formats: Iterable[IPackageFormat],
    limits_by_format: Mapping[str, FormatLimits],
    tables: Iterable[IRouteTable] = (),
) -> list[tuple[str, Mount]]:
    """
    List every rule of every format, and of the tables beside them.

    Returns:
        (rule, mount) in that order.
    """
    found = []
    for package_format in formats:
        limits = limits_by_format[package_format.name]
        for route, level in _by_level(package_format):
            prefix = PREFIXES[level] + package_format.name
            is_strict = IStrictTable.providedBy(package_format)
            mount = Mount(package_format, package_format, limits, route, level, prefix, is_strict)
            found.append((prefix + route.path, mount))
    for table in tables:
        for route, level in _by_level(table):
            prefix = TABLE_PREFIXES[level]
            is_strict = IStrictTable.providedBy(table)
            found.append((prefix + route.path, Mount(table, None, TABLE_LIMITS, route, level, prefix, is_strict)))
    return found


def _by_level(table: IRouteTable) -> Iterator[tuple[Route, Level]]:
    for route in table.routes():
        for level in sorted(route.levels, key=lambda level: level.value):
            yield route, level


def make_factory(
    reactor: IReactorTime,
    *,
    formats: Sequence[IPackageFormat],
    limits_by_format: Mapping[str, FormatLimits],
    authenticator: IAuthenticator,
    policy: IAccessPolicy,
    catalog: ICatalog,
    remotes: IRemotes,
    accounts: IAccounts,
    request_limits: IRequestLimits,
    readiness: Callable[[], Awaitable[Sequence[str]]],
    external_url: str,
    settings: FrontSettings,
    tables: Sequence[IRouteTable] = (),
    pages: PublicPages = MappingProxyType({}),
    accepts_query_tokens: bool = False,
    measures: IMeasures = UNMEASURED,
) -> FrontFactory:
    """
    Make the factory of HTTP connections.

    Args:
        readiness: returns why the daemon is not ready; empty when it is.
        external_url: scheme, host and perhaps a path, as clients reach the daemon.
        tables: routes that belong to no format.
        pages: for everybody.
        accepts_query_tokens: whether a token may be in the query; else such a request is refused.
        measures: told of requests.
    """
    gate = Gate(
        authenticator,
        policy,
        catalog,
        request_limits,
        remotes,
        accounts,
        external_url.rstrip("/"),
        Callers(accepts_query=accepts_query_tokens),
        accepts_query_tokens,
        too_large_is_bad=settings.too_large_status == HTTPStatus.BAD_REQUEST,
    )
    app = Klein()
    app.url_map.converters.update(CONVERTERS)
    app.url_map.merge_slashes = False
    app.url_map.redirect_defaults = False
    doors: dict[str, Door] = {}
    for number, (rule, mount) in enumerate(mounts(formats, limits_by_format, tables)):
        doors[_add_route(app, number, rule, mount, gate)] = mount.door(rule)
    _add_health(app, readiness)
    for path, page in pages.items():
        doors[_add_page(app, path, page, gate)] = Door(path, "pages", RouteClass.PAGES)
    doorstep = Doorstep(request_limits, gate.callers, accepts_query=accepts_query_tokens)

    def turn_away(request: FrontRequest, endpoint: str) -> Deferred[None] | None:
        door = doors.get(endpoint)
        return None if door is None else doorstep.turn_away(request, door)

    return FrontFactory(reactor, settings, Router(app, _unmatched, turn_away), AccessLog(reactor), measures)


def _add_route(app: Klein, number: int, rule: str, mount: Mount, gate: Gate) -> str:
    """Add a rule, and return what its endpoint is called."""
    route: Route = mount.route
    table = mount.table.name

    async def endpoint(request: FrontRequest, **arguments: Any) -> None:
        request.log_fields["route"] = rule
        request.table = table
        named = {name.removeprefix(ARGUMENT_PREFIX): value for name, value in arguments.items()}
        await serve(gate, mount, request, named)

    endpoint.__name__ = f"{mount.table.name}_{number}"
    klein_rule = rule.replace(":", ":" + ARGUMENT_PREFIX)
    app.route(klein_rule, methods=list(route.methods), strict_slashes=True)(endpoint)
    return endpoint.__name__


def _add_page(app: Klein, path: str, page: Callable[[], Awaitable[Reply]], gate: Gate) -> str:
    """Add a page, and return what its endpoint is called."""

    async def endpoint(request: FrontRequest) -> None:
        request.log_fields["route"] = path
        request.table = "pages"
        await serve_public(gate, page, request)

    endpoint.__name__ = f"page {path}"
    app.route(path, methods=["GET"], strict_slashes=True)(endpoint)
    return endpoint.__name__


def _add_health(app: Klein, readiness: Callable[[], Awaitable[Sequence[str]]]) -> None:
    async def alive() -> Reply:
        return _json(200, {"status": "alive"})

    async def ready() -> Reply:
        reasons = list(await readiness())
        if not reasons:
            return _json(200, {"status": "ready", "reasons": []})
        return Reply(
            503,
            json.dumps({"status": "not ready", "reasons": reasons}).encode() + b"\n",
            "application/json",
            headers=(("Retry-After", "2"), ("Cache-Control", "no-store")),
        )

    async def livez(request: FrontRequest) -> None:
        request.table = "health"
        await respond(request, unlimited(alive))

    async def readyz(request: FrontRequest) -> None:
        request.table = "health"
        await respond(request, unlimited(ready))

    app.route("/-/livez", methods=["GET"])(livez)
    app.route("/-/readyz", methods=["GET"])(readyz)


def _json(status: int, fields: Mapping[str, object]) -> Reply:
    return Reply(
        status, json.dumps(fields).encode() + b"\n", "application/json", headers=(("Cache-Control", "no-store"),)
    )


def _unmatched(request: FrontRequest, error: Exception) -> Deferred[None]:
    """Answer what matches no rule, or has a path that a converter refused."""
    reply = _refusal(request, error)

    async def answer() -> Reply:
        return reply

    async def tell() -> None:
        await respond(request, unlimited(answer))

    return Deferred.fromCoroutine(tell())


def _refusal(request: FrontRequest, error: Exception) -> Reply:
    """Say why there is nothing here; a redirect that routing would like is not ours to make."""
    if isinstance(error, PkgregdError):
        return common_reply(refuse(error, request.request_id, None))
    if isinstance(error, MethodNotAllowed):
        allowed = (("Allow", ", ".join(sorted(error.valid_methods or ()))),)
        refusal = Refusal(405, "method_not_allowed", "this method is not allowed here", request.request_id)
        return evolve(common_reply(refusal), headers=allowed)
    return dressed(Refusal(404, "not_found", "no such page", request.request_id), common_reply)
