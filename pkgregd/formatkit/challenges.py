"""Asking for credentials where a client sends them only when it is asked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from pkgregd.errors import AuthenticationRequired, NotFound
from pkgregd.interfaces import ICall
from pkgregd.values import Level, Reply


async def ask_who(handler: Callable[[ICall], Awaitable[Reply]], call: ICall) -> Reply:
    """
    Handle a call; an anonymous one that finds nothing at a group is asked who it is.

    A public group may have private projects, and a client that waits for a challenge would take "not found" for the
    answer. So that this tells nothing, it is the same whether there is anything to hide.

    Raises:
        AuthenticationRequired: instead of NotFound, to the anonymous, where a call is about several projects.
    """
    try:
        return await handler(call)
    except NotFound:
        if call.principal.is_anonymous and call.scope.level is not Level.PROJECT:
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
