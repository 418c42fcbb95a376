"""Asking for credentials where a client sends them only when it is asked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from pkgregd.errors import AuthenticationRequired, NotFound
from pkgregd.interfaces import ICall
from pkgregd.values import Level, Reply


async def ask_who(handler: Callable[[ICall], Awaitable[Reply]], call: ICall) -> Reply:
    """
    Handle a call; an anonymous one that finds nothing at a group that hides something is asked who it is.

    A public group may have private projects, and a client that waits for a challenge would take "not found" for the
    answer. Where nothing of the format is hidden it is the answer: a client with several sources goes on to the next
    one, and gives up at a challenge.

    Raises:
        AuthenticationRequired: instead of NotFound, to the anonymous, where a call is about several projects of which
            some with packages of the format are not for everybody.
    """
    try:
        return await handler(call)
    except NotFound:
        is_of_several = call.principal.is_anonymous and call.scope.level is not Level.PROJECT
        if is_of_several and await call.remote.hides_packages():
            raise AuthenticationRequired from None
        raise


async def demand_known(handler: Callable[[ICall], Awaitable[Reply]], call: ICall) -> Reply:
    """
    Handle a call of somebody who says who it is.

    Raises:
        AuthenticationRequired: to the anonymous, whatever there is.
    """
    if call.principal.is_anonymous:
        raise AuthenticationRequired
    return await handler(call)
