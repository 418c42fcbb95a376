"""
Requests that are refused on the doorstep, before anything of them is looked at but where they go and what they show.

A caller whose budget is spent is known for a moment (IRequestLimits.foretell). What he asks meanwhile gets the same
429 as every request too many, without a question to the catalog; and it is kept back if he has no manners.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from attrs import frozen
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import deferLater

from pkgregd.errors import InvalidCredentials, InvalidRequest, RateLimited
from pkgregd.http.callers import Callers, LooksAt
from pkgregd.http.credentials import query_tokens
from pkgregd.http.ratelimits import request_cost
from pkgregd.http.refusals import common_reply, dressed, refuse
from pkgregd.http.replies import send_at_once
from pkgregd.http.request import FrontRequest
from pkgregd.interfaces import IRequestLimits
from pkgregd.values import Refusal, Reply, RouteClass, Verdict


@frozen
class Door:
    """
    What is known of a request by the rule that it matched.

    Attributes:
        rule: for the log.
        table: whose the rule is, for measures.
        routes: what it is for.
        looks_at: what its principal would be found by.
        dress: makes the reply of a refusal.
    """

    rule: str
    table: str
    routes: RouteClass
    looks_at: LooksAt = LooksAt.NOTHING
    dress: Callable[[Refusal], Reply] = common_reply


class Doorstep:
    """
    Turns requests away.

    Args:
        accepts_query: whether a token may be in the query; else such a request is refused for that.
    """

    def __init__(self, request_limits: IRequestLimits, callers: Callers, *, accepts_query: bool) -> None:
        self._request_limits = request_limits
        self._callers = callers
        self._accepts_query = accepts_query

    def turn_away(self, request: FrontRequest, door: Door) -> Deferred[None] | None:
        """
        Answer a request that is refused.

        Returns:
            What fires when it is answered, and may be cancelled when its client leaves; None if it is to be let in.
        """
        path, cost = request.path.decode("ascii"), request_cost(request)
        caller = partial(self._callers.digest, request, door.looks_at)
        verdict = self._request_limits.foretell(path, caller, door.routes, cost)
        if verdict is None or verdict.retry_after_seconds is None or self._has_misplaced_token(request, door):
            return None
        request.log_fields["route"] = door.rule
        request.table = door.table
        seconds = self._request_limits.hold_seconds(verdict)
        answer = partial(_refuse, request, door, verdict, verdict.retry_after_seconds)
        return held(request, seconds).addCallback(lambda _: answer())

    def _has_misplaced_token(self, request: FrontRequest, door: Door) -> bool:
        """Whether the client has to be told, however often it asks, that no token belongs into a query."""
        if self._accepts_query or door.looks_at is LooksAt.NOTHING:
            return False
        try:
            return bool(query_tokens(request))
        except (InvalidCredentials, InvalidRequest):
            return False


def _refuse(request: FrontRequest, door: Door, verdict: Verdict, seconds: float) -> None:
    refusal = refuse(RateLimited(seconds), request.request_id, None)
    request.log_fields["error"] = refusal.code
    send_at_once(request, dressed(refusal, door.dress), verdict)


def held(request: FrontRequest, seconds: float) -> Deferred[None]:
    """Wait before a request is answered, and read nothing more of its connection meanwhile."""
    if not seconds or request.is_gone:
        return succeed(None)
    request.channel.pause_reading()
    return deferLater(request.channel.factory.clock, seconds)
