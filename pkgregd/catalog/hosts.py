"""Names of database hosts, found without blocking the reactor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IHostResolution, IResolutionReceiver
from zope.interface import implementer

from pkgregd.catalog.postgresql_pool import ConnectionBroken
from pkgregd.clockwork import with_deadline

MAX_ADDRESSES = 8


@implementer(IResolutionReceiver)
class _Addresses:
    """
    What is found of a name.

    Attributes:
        done: fires when all is found.
    """

    def __init__(self) -> None:
        self.found: list[str] = []
        self.done: Deferred[None] = Deferred()

    def resolutionBegan(self, resolution: IHostResolution) -> None:
        """See IResolutionReceiver."""

    def addressResolved(self, address: IAddress) -> None:
        """See IResolutionReceiver."""
        assert isinstance(address, IPv4Address | IPv6Address)
        self.found.append(address.host)

    def resolutionComplete(self) -> None:
        """See IResolutionReceiver."""
        if not self.done.called:
            self.done.callback(None)


async def resolved(reactor: Any, options: Mapping[str, object], seconds: float) -> Mapping[str, object]:
    """
    Find the addresses of the host that is named, as libpq would on the reactor thread, blocking.

    Several hosts, and what is an address or a folder already, are left to libpq.

    Raises:
        ConnectionBroken: it has none, or it took too long to find.
    """
    host = options.get("host")
    if not isinstance(host, str) or "," in host or "/" in host or is_ip(host) or "hostaddr" in options:
        return options
    addresses = _Addresses()
    reactor.nameResolver.resolveHostName(addresses, host)
    await with_deadline(reactor, seconds, addresses.done, lambda: ConnectionBroken(f"{host} is not found in time"))
    if not addresses.found:
        raise ConnectionBroken(f"{host} is not found")
    found = list(dict.fromkeys(addresses.found))[:MAX_ADDRESSES]
    # tried one after the other, as libpq would: `localhost` may be ::1 first, where the server does not listen
    return {**options, "host": ",".join([host] * len(found)), "hostaddr": ",".join(found)}


def is_ip(host: str) -> bool:
    """Whether a host is written as an address."""
    return isIPAddress(host) or isIPv6Address(host)
