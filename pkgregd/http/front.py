"""Puts the front together: Klein's rules from the formats' routes, and the health pages."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

from klein import Klein
from klein.resource import KleinResource
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from pkgregd.errors import PkgregdError
from pkgregd.http.accesslog import AccessLog
from pkgregd.http.dispatch import Gate, Mount, respond, serve
from pkgregd.http.factory import FrontFactory
from pkgregd.http.paths import CONVERTERS
from pkgregd.http.refusals import common_reply, refuse
from pkgregd.http.request import FrontRequest
from pkgregd.http.settings import FrontSettings
from pkgregd.interfaces import (
    IAccessPolicy,
    IAuthenticator,
    IIdentityCatalog,
    IPackageFormat,
    IRemotes,
    IRequestLimits,
)
from pkgregd.values import FormatLimits, Level, Refusal, Reply, Route

PREFIXES: Mapping[Level, str] = {
    Level.PROJECT: "/api/v4/projects/<scope:scope>/packages/",
    Level.GROUP: "/api/v4/groups/<scope:scope>/-/packages/",
}
"""Where a format's routes are mounted at each level, before the format's name."""


ARGUMENT_PREFIX = "argument_"
"""Klein passes path arguments by keyword through functions with names of their own: ours must not meet them."""


def mounts(formats: Iterable[IPackageFormat], limits_by_format: Mapping[str, FormatLimits]) -> list[tuple[str, Mount]]:
    """
    List every rule of every format.

    Returns:
        (rule, mount) in the formats' order.
    """
    found = []
    for package_format in formats:
        for route in package_format.routes():
            for level in sorted(route.levels, key=lambda level: level.value):
                prefix = PREFIXES[level] + package_format.name
                limits = limits_by_format[package_format.name]
                found.append((prefix + route.path, Mount(package_format, limits, route, level, prefix.count("/"))))
    return found


def make_factory(
    reactor: IReactorTime,
    *,
    formats: Sequence[IPackageFormat],
    limits_by_format: Mapping[str, FormatLimits],
    authenticator: IAuthenticator,
    policy: IAccessPolicy,
    identity: IIdentityCatalog,
    remotes: IRemotes,
    request_limits: IRequestLimits,
    readiness: Callable[[], Awaitable[Sequence[str]]],
    external_url: str,
    settings: FrontSettings,
) -> FrontFactory:
    """
    Make the factory of HTTP connections.

    Args:
        readiness: returns why the daemon is not ready; empty when it is.
        external_url: scheme, host and perhaps a path, as clients reach the daemon.
    """
    gate = Gate(authenticator, policy, identity, request_limits, remotes, external_url.rstrip("/"))
    app = Klein()
    app.url_map.converters.update(CONVERTERS)
    app.url_map.merge_slashes = False
    app.url_map.redirect_defaults = False
    for number, (rule, mount) in enumerate(mounts(formats, limits_by_format)):
        _add_route(app, number, rule, mount, gate)
    _add_health(app, readiness)
    app.handle_errors(HTTPException)(_unmatched)  # type: ignore[arg-type] # klein's protocol names its arguments
    app.handle_errors(PkgregdError)(_malformed)  # type: ignore[arg-type] # the same
    resource = KleinResource(app)
    return FrontFactory(reactor, settings, resource.render, AccessLog())


def _add_route(app: Klein, number: int, rule: str, mount: Mount, gate: Gate) -> None:
    route: Route = mount.route

    async def endpoint(request: FrontRequest, **arguments: Any) -> None:
        request.log_fields["route"] = rule
        named = {name.removeprefix(ARGUMENT_PREFIX): value for name, value in arguments.items()}
        await serve(gate, mount, request, named)

    endpoint.__name__ = f"{mount.format.name}_{number}"
    klein_rule = rule.replace(":", ":" + ARGUMENT_PREFIX)
    app.route(klein_rule, methods=list(route.methods), strict_slashes=True)(endpoint)


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
        await respond(request, alive)

    async def readyz(request: FrontRequest) -> None:
        await respond(request, ready)

    app.route("/-/livez", methods=["GET"])(livez)
    app.route("/-/readyz", methods=["GET"])(readyz)


def _json(status: int, fields: Mapping[str, object]) -> Reply:
    return Reply(
        status, json.dumps(fields).encode() + b"\n", "application/json", headers=(("Cache-Control", "no-store"),)
    )


async def _unmatched(request: FrontRequest, failure: Failure) -> None:
    """Answer what matches no rule; a redirect that routing would like is not ours to make."""
    error = failure.value
    headers: tuple[tuple[str, str], ...] = ()
    if isinstance(error, MethodNotAllowed):
        refusal = Refusal(405, "method_not_allowed", "this method is not allowed here", request.request_id)
        headers = (("Allow", ", ".join(sorted(error.valid_methods or ()))),)
    else:
        refusal = Refusal(404, "not_found", "no such page", request.request_id)
    reply = common_reply(refusal)

    async def answer() -> Reply:
        return Reply(reply.status, reply.body, reply.content_type, headers)

    await respond(request, answer)


async def _malformed(request: FrontRequest, failure: Failure) -> None:
    """Answer a path that a converter refused."""
    error = failure.value
    assert isinstance(error, PkgregdError)
    reply = common_reply(refuse(error, request.request_id, None))

    async def answer() -> Reply:
        return reply

    await respond(request, answer)
