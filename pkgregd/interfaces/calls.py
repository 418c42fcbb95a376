"""What a handler is given of a request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.internet.interfaces import IConsumer
from zope.interface import Attribute, Interface

from pkgregd.interfaces.access import IAccount
from pkgregd.interfaces.packages import IRemote
from pkgregd.values import Permission, Principal, Scope


class IRequestBody(Interface):
    """
    The body of a request, used once and one way.

    The first touch sends `100 Continue` if the client waits for it, and starts reading.
    """

    declared_bytes: int | None = Attribute("Content-Length, or None for a chunked body")
    turn_bytes: int | None = Attribute(
        "how much is pushed in one turn of the reactor, None for whatever one read brings; set by a consumer that has "
        "much to do for a byte, at any time"
    )

    async def push_to(consumer: IConsumer) -> int:
        """
        Push the whole body into a consumer, as its streaming producer.

        Returns:
            Bytes pushed, once all have been.

        Raises:
            BodyTooLarge, BodyTooSlow, ClientGone, MalformedBody (bad chunked framing);
            and whatever consumer.write() raises, which stops the body.
        """

    async def read_all(limit_bytes: int) -> bytes:
        """Return the whole body. Raises what push_to() raises; BodyTooLarge past the limit."""


class IAuthorisedCall(Interface):
    """One authorised request, as any handler meets it."""

    principal: Principal = Attribute("who")
    scope: Scope = Attribute("the project or group, already authorised for the route's permission")
    arguments: Mapping[str, Any] = Attribute("decoded path arguments of the route; `<number:x>` makes an int")
    method: str = Attribute("GET, HEAD, PUT, …; GET for HEAD is up to http")
    base_url: str = Attribute(
        "absolute URL of what the route's path is below, without a final slash; by number or by path, as the client "
        "chose, and otherwise the same however it was written"
    )
    body: IRequestBody = Attribute("the body")
    account: IAccount = Attribute("what the caller may do about being known here")
    is_relayed: bool = Attribute("whether a proxy brought it that is not trusted or names nobody: the address is its")

    def header(name: str) -> str | None:
        """A request header's value (several are joined with a comma), or None."""

    def query(name: str) -> str | None:
        """The last value of a query parameter, decoded, or None."""

    async def authorise_again() -> None:
        """
        Look again who is asking and what that is worth, and keep it as `principal` and `scope`.

        For whoever has waited for a body before something is changed that outlives a token: credentials may have been
        revoked, and rights taken away, while it came. Routes of formats need not: push_to() and read_all() do it.

        Raises:
            InvalidCredentials, AuthenticationRequired, PermissionDenied, NotFound: as at the beginning.
        """

    def demand(permission: Permission) -> None:
        """
        Pass if the principal has another permission here, too: for what only the body tells apart.

        Raises:
            AuthenticationRequired, PermissionDenied.
        """


class ICall(IAuthorisedCall):
    """One authorised request, as a format's handler meets it; its base_url is that of the format at the scope."""

    remote: IRemote = Attribute("the format's remote at that scope")
    arguments: Mapping[str, str] = Attribute("decoded path arguments of the route")
