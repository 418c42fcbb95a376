"""
The server itself: which version it is.

Source: GitLab's documentation, `api/version.md` and `api/metadata.md`.
"""

from __future__ import annotations

from collections.abc import Sequence

from zope.interface import implementer

from pkgregd.interfaces import IAuthorisedCall, IRouteTable
from pkgregd.manage.answers import METADATA, VERSION, shown
from pkgregd.manage.shapes import json_reply
from pkgregd.values import AccountPermission, Level, Operation, Refusal, Reply, Route

INSTANCE = frozenset({Level.INSTANCE})
SHOW_VERSION = Operation("show_version", shown(VERSION, "The version"))
SHOW_METADATA = Operation("show_metadata", shown(METADATA, "The version, and what else there is"))


@implementer(IRouteTable)
class AboutManagement:
    """
    See IRouteTable.

    Args:
        version: of pkgregd; not that of the GitLab whose paths these are.
    """

    name = "manage_about"
    challenge: str | None = None

    def __init__(self, version: str) -> None:
        self._version = {"version": version, "revision": ""}

    def routes(self) -> Sequence[Route]:
        """See IRouteTable."""
        who = AccountPermission.READ_USER
        return (
            Route(("GET",), "/api/v4/version", who, self.show_version, INSTANCE, operation=SHOW_VERSION),
            Route(("GET",), "/api/v4/metadata", who, self.show_metadata, INSTANCE, operation=SHOW_METADATA),
        )

    def render_error(self, refusal: Refusal) -> Reply | None:
        """Leave it to the common JSON, which is GitLab's."""
        return None

    async def show_version(self, call: IAuthorisedCall) -> Reply:
        """Show which version of pkgregd this is."""
        return json_reply(self._version)

    async def show_metadata(self, call: IAuthorisedCall) -> Reply:
        """Show which version of pkgregd this is, as GitLab tells it today."""
        return json_reply({**self._version, "enterprise": False, "kas": {"enabled": False}})
