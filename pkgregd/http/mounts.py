"""What a request is answered with: the parts that every request passes, and a route where it is mounted."""

from __future__ import annotations

from attrs import frozen

from pkgregd.http.callers import Callers, LooksAt
from pkgregd.http.doorstep import Door
from pkgregd.http.refusals import common_reply
from pkgregd.interfaces import (
    IAccessPolicy,
    IAccounts,
    IAuthenticator,
    ICatalog,
    IPackageFormat,
    IRemotes,
    IRequestLimits,
    IRouteTable,
)
from pkgregd.values import AccountPermission, FormatLimits, Level, Refusal, Reply, Route, RouteClass


@frozen
class Gate:
    """
    What every request passes.

    Attributes:
        callers: tells callers apart before it is known who they are.
        too_large_is_bad: refuse files above a limit as GitLab does, with 400 and its words.
    """

    authenticator: IAuthenticator
    policy: IAccessPolicy
    catalog: ICatalog
    request_limits: IRequestLimits
    remotes: IRemotes
    accounts: IAccounts
    external_url: str
    callers: Callers
    accepts_query_tokens: bool = False
    too_large_is_bad: bool = False


SCOPE_RULE = "<scope:scope>"
"""Stands in a rule for the number or path of a project or group."""


@frozen
class Mount:
    """
    A route at one level.

    Attributes:
        table: whose route it is.
        format: the same if it is a format, whose handlers get a remote; else None.
        is_strict: whether a user name beside a token has to be its own; see IStrictTable.
        prefix: the rule of what all routes of the table are below there, in which SCOPE_RULE stands for the scope.
    """

    table: IRouteTable
    format: IPackageFormat | None
    limits: FormatLimits
    route: Route
    level: Level
    prefix: str
    is_strict: bool = False

    @property
    def looks_at(self) -> LooksAt:
        """What a principal is found by."""
        if self.route.permission is AccountPermission.SIGN_IN:
            return LooksAt.NOTHING
        return LooksAt.TOKEN_AND_NAME if self.is_strict else LooksAt.TOKEN

    @property
    def routes(self) -> RouteClass:
        """What a request is for, as far as rate limits tell it apart."""
        return RouteClass.MANAGEMENT if self.format is None else RouteClass.PACKAGES

    def dress(self, refusal: Refusal) -> Reply:
        """Make the reply of a refusal as the table's clients want it."""
        return self.table.render_error(refusal) or common_reply(refusal)

    def door(self, rule: str) -> Door:
        """Say what is known of a request that matched the mount's rule."""
        return Door(rule, self.table.name, self.routes, self.looks_at, self.dress)
