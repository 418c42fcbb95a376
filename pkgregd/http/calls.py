"""One authorised request, as a handler meets it."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import define
from zope.interface import implementer

from pkgregd.http.request import FrontRequest
from pkgregd.interfaces import ICall, IRemote, IRequestBody
from pkgregd.values import Principal, Scope


@implementer(ICall)
@define
class Call:
    """See ICall."""

    principal: Principal
    scope: Scope
    remote: IRemote
    arguments: Mapping[str, str]
    method: str
    base_url: str
    body: IRequestBody
    request: FrontRequest

    def header(self, name: str) -> str | None:
        """See ICall."""
        value = self.request.header(name.lower().encode("ascii"))
        return None if value is None else value.decode("latin-1")

    def query(self, name: str) -> str | None:
        """See ICall."""
        return self.request.query(name)
