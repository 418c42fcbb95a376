"""Requests to an S3 service by what they are for, how they were answered and after how long."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IBodyProducer, IResponse
from zope.interface import implementer

from pkgregd.interfaces import IMeasures

T = TypeVar("T")

KINDS: Mapping[tuple[bytes, bytes], str] = {
    (b"POST", b"uploads"): "create_upload",
    (b"PUT", b"partNumber"): "put_part",
    (b"POST", b"uploadId"): "complete_upload",
    (b"DELETE", b"uploadId"): "abort_upload",
    (b"GET", b"uploads"): "list_uploads",
    (b"GET", b"list-type"): "list_objects",
}
"""What a request is called, by its method and the first name in its query that is here."""

OBJECT_KINDS: Mapping[bytes, str] = {b"GET": "get_object", b"PUT": "put_object", b"DELETE": "delete_object"}


def kind_of(method: bytes, uri: bytes) -> str:
    """Say what a request is for."""
    names = (pair.partition(b"=")[0] for pair in uri.partition(b"?")[2].split(b"&"))
    found = (KINDS[method, name] for name in names if (method, name) in KINDS)
    return next(found, None) or OBJECT_KINDS.get(method, "other")


@implementer(IAgent)
class MeasuredAgent:
    """
    See IAgent.

    Args:
        agent: carries the requests.
        clock: tells how long they take.
        measures: told of each.
    """

    def __init__(self, agent: IAgent, clock: IReactorTime, measures: IMeasures) -> None:
        self._agent = agent
        self._clock = clock
        self._measures = measures

    def request(
        self, method: bytes, uri: bytes, headers: Headers | None = None, bodyProducer: IBodyProducer | None = None
    ) -> Deferred[IResponse]:
        """See IAgent."""
        began_at = self._clock.seconds()

        def told(result: IResponse | Failure) -> IResponse | Failure:
            outcome = "none" if isinstance(result, Failure) else f"{result.code // 100}xx"
            self._measures.s3_answered(kind_of(method, uri), outcome, self._clock.seconds() - began_at)
            return result

        return self._agent.request(method, uri, headers, bodyProducer).addBoth(told)
