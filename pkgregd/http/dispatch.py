"""
From headers to reply: the guards in their order, the handler, the errors.

    authenticate -> rate limit -> resolve the scope -> authorise -> format switched on -> declared size
        -> the route's own check -> handler

Whose budget is known to be spent does not get here (`http/doorstep.py`). Each guard can end the request before a byte
of the body is read. What the rate limit said travels beside the reply, since every reply tells it, whatever comes of
the request.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from functools import partial
from typing import Any
from urllib.parse import quote

from attrs import evolve, frozen
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger

from pkgregd.clockwork import shielded
from pkgregd.errors import (
    BlobMissing,
    BodyTooLarge,
    FileTooLarge,
    InvalidCredentials,
    OversizeRefused,
    PkgregdError,
    RateLimited,
    SwitchedOff,
)
from pkgregd.http.callers import LooksAt
from pkgregd.http.calls import AuthorisedCall, Call
from pkgregd.http.credentials import NO_REFERRER, carried_tokens, query_tokens, refuse_query_tokens
from pkgregd.http.doorstep import held
from pkgregd.http.mounts import SCOPE_RULE, Gate, Mount
from pkgregd.http.ratelimits import CHEAP_COST, request_cost
from pkgregd.http.refusals import common_reply, dressed, internal_error, refuse
from pkgregd.http.replies import send
from pkgregd.http.request import FrontRequest
from pkgregd.interfaces import (
    IPackageFormat,
    IReads,
)
from pkgregd.values import (
    ANONYMOUS,
    UNTOLD,
    AccountPermission,
    FileLookup,
    Foresight,
    FormatKey,
    Incoming,
    IndexLookup,
    Level,
    Origin,
    Principal,
    Refusal,
    Reply,
    Route,
    RouteClass,
    Scope,
    Verdict,
)

log = Logger()


Answer = Callable[[], Coroutine[Deferred[Any], Any, Reply]]


@frozen
class Admission:
    """
    What the rate limits say of a request, and what answers it if they let it pass.

    Attributes:
        verdict: None where no limit holds.
        hold_seconds: how long its refusal is kept back.
    """

    verdict: Verdict | None
    answer: Answer
    hold_seconds: float = 0.0


async def serve(gate: Gate, mount: Mount, request: FrontRequest, arguments: Mapping[str, Any]) -> None:
    """Answer a request that matched a route; the router finishes it afterwards."""

    async def admit() -> Admission:
        return await _admit(gate, mount, request, arguments)

    verdict = await respond(request, admit, mount.dress, mount.table.challenge)
    if verdict is not None and request.status == 304 and request.method == b"GET" and _is_revalidated(request):
        gate.request_limits.give_back(verdict, 1.0 - CHEAP_COST)


def _is_revalidated(request: FrontRequest) -> bool:
    """Whether a client has told what it has; `*` asks whether there is anything, which costs as much as sending it."""
    return b"*" not in (request.header(b"if-none-match"), request.header(b"if-match"))


async def serve_public(gate: Gate, page: Callable[[], Awaitable[Reply]], request: FrontRequest) -> None:
    """Answer a request for what everybody may read: a credential is not looked at, and counts for nothing."""

    async def answer() -> Reply:
        return await page()

    async def admit() -> Admission:
        return _admission(gate, _weigh(gate, request, ANONYMOUS, RouteClass.PAGES, LooksAt.NOTHING), answer)

    await respond(request, admit)


def unlimited(answer: Answer) -> Callable[[], Coroutine[Deferred[Any], Any, Admission]]:
    """Let pass what no rate limit is for."""

    async def admit() -> Admission:
        return Admission(None, answer)

    return admit


async def respond(
    request: FrontRequest,
    admit: Callable[[], Coroutine[Deferred[Any], Any, Admission]],
    dress: Callable[[Refusal], Reply] = common_reply,
    challenge: str | None = None,
) -> Verdict | None:
    """
    Send the answer to what is admitted, or its error as `dress` dresses it.

    A client that leaves cancels a GET or HEAD; everything else runs to its end, and learns that the
    client left from its body.

    Returns:
        What the rate limits said.
    """

    def refused(error: Exception) -> Reply:
        return dressed(_explain(error, request, challenge), dress)

    async def settle() -> tuple[Reply, Verdict | None]:
        verdict = None
        try:
            admission = await admit()
            verdict = admission.verdict
            if verdict is not None and verdict.retry_after_seconds is not None:
                await held(request, admission.hold_seconds)
                raise RateLimited(verdict.retry_after_seconds)
            return await admission.answer(), verdict
        except CancelledError:
            raise
        except Exception as error:
            return refused(error), verdict

    reply, verdict = await (settle() if request.method in (b"GET", b"HEAD") else shielded(settle()))
    try:
        await send(request, reply, verdict)
    except CancelledError:
        raise
    except Exception as error:
        if not request.has_begun:
            await send(request, refused(error), verdict)
        elif not request.is_gone:
            _explain(error, request, challenge)
            request.channel.abort()
    return verdict


def _explain(error: Exception, request: FrontRequest, challenge: str | None) -> Refusal:
    """Say what an error means to the client; log what is not the client's doing."""
    if isinstance(error, PkgregdError):
        refusal = refuse(error, request.request_id, challenge)
    else:
        refusal = internal_error(request.request_id)
    if refusal.status == 500 or isinstance(error, BlobMissing):
        log.failure("request {request_id} failed", request_id=request.request_id, event="request.failed")
    request.log_fields["error"] = refusal.code
    return refusal


async def _admit(gate: Gate, mount: Mount, request: FrontRequest, arguments: Mapping[str, Any]) -> Admission:
    if not gate.accepts_query_tokens:
        refuse_query_tokens(request)
    named = {name: value for name, value in arguments.items() if name != "scope"}
    level, ident = _place(mount, named, arguments.get("scope"))
    reads = gate.catalog.foreseeing(Foresight(level, ident, mount.table.name, _foreseen(mount.route, named)))
    try:
        principal = await _who(gate, mount, request, reads)
    except InvalidCredentials as error:
        caller = partial(gate.callers.digest, request, mount.looks_at)
        return _admission(gate, gate.request_limits.admit_failure(request.address, caller), partial(_raise, error))
    verdict = _weigh(gate, request, principal, mount.routes, mount.looks_at)
    place, asked = (level, ident), arguments.get("scope")
    return _admission(gate, verdict, partial(_handle, gate, mount, request, named, principal, reads, place, asked))


def _weigh(
    gate: Gate, request: FrontRequest, principal: Principal, routes: RouteClass, looks_at: LooksAt
) -> Verdict | None:
    """Count a request."""
    path, caller = request.path.decode("ascii"), partial(gate.callers.digest, request, looks_at)
    return gate.request_limits.admit(path, principal, request.address, routes, request_cost(request), caller)


def _admission(gate: Gate, verdict: Verdict | None, answer: Answer) -> Admission:
    if verdict is None or verdict.retry_after_seconds is None:
        return Admission(verdict, answer)
    return Admission(verdict, answer, gate.request_limits.hold_seconds(verdict))


async def _raise(error: Exception) -> Reply:
    raise error


async def _handle(
    gate: Gate,
    mount: Mount,
    request: FrontRequest,
    named: Mapping[str, str],
    principal: Principal,
    reads: IReads,
    place: tuple[Level, int | str],
    asked: int | str | None,
) -> Reply:
    """Pass the other guards, and have the route's handler answer."""
    scope = await _where(gate, mount, principal, reads, place)
    limits, body = mount.limits, request.body
    authorise = partial(_authorise_again, gate, mount, request, place)
    make_call: Callable[..., Any] = AuthorisedCall
    if mount.format is not None:
        body.confirm = authorise
        _demand_switched_on(mount.format, scope)
        remote = gate.remotes.remote(mount.format, scope, principal, reads, _incoming(mount, body.declared_bytes))
        limits = remote.limits
        make_call = partial(Call, remote=remote)
    call = make_call(
        principal=principal,
        scope=scope,
        arguments=named,
        method=request.method.decode("ascii"),
        base_url=gate.external_url + _base_path(mount, asked, scope),
        body=body,
        request=request,
        policy=gate.policy,
        account=gate.accounts.account(principal, request.address),
        authorise=authorise,
    )
    try:
        body.limit_bytes = limits.max_file_bytes + mount.route.body_overhead_bytes
        if body.declared_bytes is not None and body.declared_bytes > body.limit_bytes:
            raise BodyTooLarge(limits.max_file_bytes)
        if mount.route.check is not None:
            await mount.route.check(call)
        reply = await mount.route.handler(call)
    except BodyTooLarge as error:
        if mount.format is None or error.limit_bytes not in (limits.max_file_bytes, body.limit_bytes):
            raise
        if gate.too_large_is_bad:
            raise OversizeRefused from None
        raise FileTooLarge(limits.max_file_bytes, FormatKey.MAX_FILE_SIZE.of(mount.format.name)) from None
    if gate.accepts_query_tokens and query_tokens(request):
        return evolve(reply, headers=(*reply.headers, NO_REFERRER))
    return reply


def _demand_switched_on(format: IPackageFormat, scope: Scope) -> None:
    """Pass if a format is served at a project; a group shows what its projects have, each by its own settings."""
    if scope.level is Level.PROJECT and not scope.settings.has_format(format.name):
        raise SwitchedOff(format.title if scope.settings.has_packages else "the package registry")


def _incoming(mount: Mount, declared_bytes: int | None) -> Incoming:
    """Say what the length of a body tells of the files in it: without a form or the like around it, everything."""
    if declared_bytes is None:
        return UNTOLD
    return Incoming(max(0, declared_bytes - mount.route.body_overhead_bytes), declared_bytes)


async def _who(gate: Gate, mount: Mount, request: FrontRequest, reads: IReads) -> Principal:
    if mount.route.permission is AccountPermission.SIGN_IN:
        principal = ANONYMOUS
    else:
        principal = await _authenticate(gate, request, reads, is_strict=mount.is_strict)
    return evolve(principal, origin=Origin(request.address, request.request_id))


async def _where(
    gate: Gate, mount: Mount, principal: Principal, reads: IReads, place: tuple[Level, int | str]
) -> Scope:
    """Find the scope, and pass if the principal has there what the route asks for."""
    scope = await reads.find_scope(*place, principal.user_id)
    permission = mount.route.permission
    if isinstance(permission, AccountPermission):
        gate.policy.demand_account(principal, permission)
    else:
        gate.policy.demand(principal, permission, scope, place[0])
    assert scope is not None, "demand() refuses a missing scope"
    return scope


async def _authorise_again(
    gate: Gate, mount: Mount, request: FrontRequest, place: tuple[Level, int | str]
) -> tuple[Principal, Scope]:
    try:
        principal = await _who(gate, mount, request, gate.catalog)
    except InvalidCredentials:
        verdict = gate.request_limits.admit_failure(request.address)
        if verdict.retry_after_seconds is not None:
            raise RateLimited(verdict.retry_after_seconds) from None
        raise
    scope = await _where(gate, mount, principal, gate.catalog, place)
    if mount.format is not None:
        _demand_switched_on(mount.format, scope)
    return principal, scope


def _place(mount: Mount, arguments: Mapping[str, str], scope: int | str | None) -> tuple[Level, int | str]:
    """Say which project or group a request is about; at the instance the route tells whose the packages are."""
    if isinstance(mount.route.permission, AccountPermission):
        return Level.INSTANCE, ""
    if scope is not None:
        return mount.level, scope
    assert mount.route.owner is not None, "a route at the instance has one"
    try:
        return Level.GROUP, mount.route.owner(arguments)
    except PkgregdError:
        return Level.GROUP, ""  # there is none of that name, and whoever may be told so will be


def _base_path(mount: Mount, asked: int | str | None, scope: Scope) -> str:
    """
    Write the path of what the table's routes are below.

    A path has many spellings, by escapes and by case, and pages with absolute addresses are kept for each base URL:
    so only the client's choice between number and path is kept.
    """
    if asked is None:
        return mount.prefix
    path = scope.path if scope.level is mount.level else str(asked)
    return mount.prefix.replace(SCOPE_RULE, str(asked) if isinstance(asked, int) else quote(path, safe=""))


def _foreseen(route: Route, arguments: Mapping[str, str]) -> IndexLookup | FileLookup | None:
    """Say what the handler will ask first; an argument that it will refuse is refused in its turn."""
    if route.foresee is None:
        return None
    try:
        return route.foresee(arguments)
    except PkgregdError:
        return None


async def _authenticate(gate: Gate, request: FrontRequest, reads: IReads, *, is_strict: bool) -> Principal:
    carried = carried_tokens(request, accepts_query=gate.accepts_query_tokens)
    principal = await gate.authenticator.authenticate(carried, reads, is_strict=is_strict)
    request.log_fields["principal"] = principal.name
    request.is_known = not principal.is_anonymous
    return principal
