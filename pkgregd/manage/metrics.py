"""What is measured of the daemon, for a monitoring system."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence

from zope.interface import implementer

from pkgregd.errors import NotFound
from pkgregd.interfaces import IAuthorisedCall, IMetrics, IRouteTable
from pkgregd.values import AccountPermission, Answer, Level, Operation, Refusal, Reply, Route

PATH = "/-/metrics"
MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""Prometheus' text format. Source: its documentation, "Exposition formats"."""

UNIX = "unix"
SHOW = Operation(
    "show_metrics",
    (Answer(200, "The metrics, in Prometheus' text format", media_type="text/plain"),),
    refusals=(404,),
)


@implementer(IRouteTable)
class MetricsRoutes:
    """
    See IRouteTable.

    Nobody needs the database to read them from an address that may: so they can be had when it is away.

    Args:
        metrics: what is shown.
        allowed: addresses and networks that need no token, checked; UNIX for sockets in the file system.
    """

    name = "metrics"
    challenge: str | None = None

    def __init__(self, metrics: IMetrics, allowed: Iterable[str]) -> None:
        texts = list(allowed)
        self._metrics = metrics
        self._takes_unix = UNIX in texts
        self._networks = [ipaddress.ip_network(text) for text in texts if text != UNIX]

    def routes(self) -> Sequence[Route]:
        """See IRouteTable."""
        here = frozenset({Level.INSTANCE})
        return (Route(("GET",), PATH, AccountPermission.NOTHING, self.show, here, operation=SHOW),)

    def render_error(self, refusal: Refusal) -> Reply | None:
        """Leave it to the common JSON."""
        return None

    async def show(self, call: IAuthorisedCall) -> Reply:
        """Show what is measured of the daemon, to administrators and where the configuration allows it."""
        origin = call.principal.origin
        address = "" if origin is None else origin.address
        if not call.principal.is_admin and (call.is_relayed or not self._allows(address)):
            raise NotFound("no such page")
        page = await self._metrics.render()
        return Reply(200, body=page, content_type=MEDIA_TYPE, headers=(("Cache-Control", "no-store"),))

    def _allows(self, address: str) -> bool:
        if not address:
            return self._takes_unix
        try:
            parsed = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return False
        return any((getattr(parsed, "ipv4_mapped", None) or parsed) in network for network in self._networks)
