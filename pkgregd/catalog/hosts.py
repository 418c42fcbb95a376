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
    Find the addresses of the hosts that are named, as libpq would on the reactor thread, blocking.

    All of them are tried one after the other, as libpq does: `localhost` may be ::1 first, where nobody listens. What
    is an address or a folder already is left as it is.

    Raises:
        ConnectionBroken: none of them has one, or it took too long to find.
    """
    host, port = options.get("host"), str(options.get("port", ""))
    if not isinstance(host, str) or "hostaddr" in options:
        return options
    hosts, ports = host.split(","), port.split(",")
    if not any(map(_is_name, hosts)) or len(ports) not in (1, len(hosts)):
        return options
    found: list[tuple[str, str, str]] = []
    failure: ConnectionBroken | None = None
    for name, its_port in zip(hosts, ports * len(hosts) if len(ports) == 1 else ports, strict=True):
        try:
            addresses = await _addresses(reactor, name, seconds / len(hosts)) if _is_name(name) else [""]
        except ConnectionBroken as error:
            failure = error
        else:
            found += [(name, address, its_port) for address in addresses]
    if failure is not None and not found:
        raise failure
    names, addresses, ports = map(list, zip(*found, strict=True))
    with_ports = {"port": ",".join(ports)} if "port" in options else {}  # else PGPORT says which
    return {**options, "host": ",".join(names), "hostaddr": ",".join(addresses), **with_ports}


async def _addresses(reactor: Any, host: str, seconds: float) -> list[str]:
    addresses = _Addresses()
    reactor.nameResolver.resolveHostName(addresses, host)
    await with_deadline(reactor, seconds, addresses.done, lambda: ConnectionBroken(f"{host} is not found in time"))
    if not addresses.found:
        raise ConnectionBroken(f"{host} is not found")
    return list(dict.fromkeys(addresses.found))[:MAX_ADDRESSES]


def _is_name(host: str) -> bool:
    return bool(host) and "/" not in host and not host.startswith("@") and not is_ip(host)


def is_ip(host: str) -> bool:
    """Whether a host is written as an address."""
    return isIPAddress(host) or isIPv6Address(host)
