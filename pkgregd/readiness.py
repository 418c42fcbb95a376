"""Whether the parts that a daemon needs do what they are for."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred, gatherResults
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from pkgregd.clockwork import with_deadline
from pkgregd.errors import PkgregdError, Unavailable

CHECK_SECONDS = 2.0
"""How long the parts may take to say so, all at once; a balancer has to wait for longer."""

Check = Callable[[], Coroutine[Deferred[Any], Any, None]]


class Readiness:
    """
    Asks the parts for everybody who wants to know at the same time once: anybody may ask, as often as they like.

    Args:
        checks: see complaints().
    """

    def __init__(self, clock: IReactorTime, checks: Mapping[str, Check]) -> None:
        self._clock = clock
        self._checks = checks
        self._waiting: list[Deferred[Sequence[str]]] = []

    async def complaints(self) -> Sequence[str]:
        """Return what is wrong, as found by the round that is under way. It goes on when who asked leaves."""
        waiting: Deferred[Sequence[str]] = Deferred()
        self._waiting.append(waiting)
        if len(self._waiting) == 1:
            ensureDeferred(complaints(self._clock, self._checks)).addBoth(self._tell)
        return await waiting

    def _tell(self, found: Sequence[str] | Failure) -> None:
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.callback(found)


async def complaints(clock: IReactorTime, checks: Mapping[str, Check]) -> Sequence[str]:
    """
    Ask all parts at once.

    Args:
        checks: by the names of the parts; a check raises a PkgregdError if its part does not work.

    Returns:
        What is wrong, in the order of the parts.
    """
    asked = [ensureDeferred(_complaint(clock, name, check)) for name, check in checks.items()]
    found = await gatherResults(asked, consumeErrors=True)
    return [complaint for complaint in found if complaint is not None]


async def _complaint(clock: IReactorTime, name: str, check: Check) -> str | None:
    slow = partial(Unavailable, f"no answer within {CHECK_SECONDS:g} seconds")
    try:
        await with_deadline(clock, CHECK_SECONDS, ensureDeferred(check()), slow)
    except PkgregdError as error:
        return f"{name}: {error}"
    return None
