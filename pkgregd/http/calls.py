"""One authorised request, as a handler meets it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from attrs import define
from zope.interface import implementer

from pkgregd.http.request import FrontRequest
from pkgregd.interfaces import IAccessPolicy, IAccount, IAuthorisedCall, ICall, IRemote, IRequestBody
from pkgregd.values import Permission, Principal, Scope


@implementer(IAuthorisedCall)
@define
class AuthorisedCall:
    """See IAuthorisedCall."""

    principal: Principal
    scope: Scope
    arguments: Mapping[str, Any]
    method: str
    base_url: str
    body: IRequestBody
    request: FrontRequest
    policy: IAccessPolicy
    account: IAccount
    authorise: Callable[[], Awaitable[tuple[Principal, Scope]]]

    @property
    def is_relayed(self) -> bool:
        """See IAuthorisedCall."""
        return self.request.is_relayed

    def header(self, name: str) -> str | None:
        """See IAuthorisedCall."""
        value = self.request.header(name.lower().encode("ascii"))
        return None if value is None else value.decode("latin-1")

    def query(self, name: str) -> str | None:
        """See IAuthorisedCall."""
        return self.request.query(name)

    async def authorise_again(self) -> None:
        """See IAuthorisedCall."""
        self.principal, self.scope = await self.authorise()

    def demand(self, permission: Permission) -> None:
        """See IAuthorisedCall."""
        self.policy.demand(self.principal, permission, self.scope, self.scope.level)


@implementer(ICall)
@define
class Call(AuthorisedCall):
    """See ICall."""

    remote: IRemote
