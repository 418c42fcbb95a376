"""
From a request to Klein's endpoint for it.

Klein holds the rules and calls the endpoints. Its own resource would do the same through
`twisted.web`, by way of a request object and a dozen callbacks that nothing here needs; this
one matches, remembers what it matched, and runs the endpoint's coroutine.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

from klein import Klein
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.python.failure import Failure
from werkzeug.exceptions import HTTPException, NotFound

from pkgregd.errors import PkgregdError
from pkgregd.http.request import FrontRequest

MAX_REMEMBERED = 4096
"""How many paths the router knows the endpoint of without matching again."""

MAX_REMEMBERED_BYTES = 512
"""Longer paths are matched every time."""


class Router:
    """
    Runs the endpoints of an application.

    Args:
        app: its endpoints answer the whole request and return nothing.
        unmatched: answers a request that no rule matches, or whose path a converter refuses.
        turn_away: answers a request for an endpoint in its stead; None if it does not.
    """

    def __init__(
        self,
        app: Klein,
        unmatched: Callable[[FrontRequest, Exception], Deferred[None]],
        turn_away: Callable[[FrontRequest, str], Deferred[None] | None] = lambda request, endpoint: None,
    ) -> None:
        self._app = app
        self._turn_away = turn_away
        self._unmatched = unmatched
        self._adapter = app.url_map.bind("localhost")  # no rule depends on the host
        self._remembered: OrderedDict[tuple[bytes, bytes], tuple[str, Mapping[str, Any]]] = OrderedDict()

    def __call__(self, request: FrontRequest) -> None:
        """Answer a request."""
        try:
            endpoint, arguments = self._match(request.method, request.path)
        except (HTTPException, PkgregdError) as error:
            answering = self._unmatched(request, error)
        else:
            answering = maybeDeferred(self._answer, request, endpoint, arguments)
        request.answering = answering
        answering.addCallbacks(lambda _: request.finish(), lambda reason: _failed(request, reason))
        answering.addErrback(request.failed)

    def _answer(self, request: FrontRequest, endpoint: str, arguments: Mapping[str, Any]) -> Any:
        """Turn a request away, or run its endpoint: its Deferred or coroutine."""
        # klein's types are those of twisted.web; what it passes on to an endpoint is not looked at
        execute: Any = self._app.execute_endpoint
        return self._turn_away(request, endpoint) or execute(endpoint, request, **arguments)

    def _match(self, method: bytes, path: bytes) -> tuple[str, Mapping[str, Any]]:
        """Find the endpoint and its arguments; the same for ever, so what was found is kept."""
        key = (method, path)
        found = self._remembered.get(key)
        if found is None:
            if path.startswith(b"//"):
                raise NotFound  # the adapter takes several slashes for one; a proxy's rules about paths do not
            found = self._adapter.match(path.decode("ascii"), method.decode("ascii"))
            if len(path) <= MAX_REMEMBERED_BYTES:
                self._remembered[key] = found
                if len(self._remembered) > MAX_REMEMBERED:
                    self._remembered.popitem(last=False)
        return found


def _failed(request: FrontRequest, reason: Failure) -> None:
    if not (request.is_gone and reason.check(CancelledError)):
        request.failed(reason)
