"""Which proxies are believed, and whose requests they bring."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

from pkgregd.http.parsing import BadRequest

MAX_HOPS = 32
"""How many trusted proxies may stand one behind the other."""

UNIX = "unix"
"""Stands among trusted networks for whoever connects to a socket in the file system."""

FORWARDED_FOR = b"x-forwarded-for"

_HOP = re.compile(r"\[([0-9A-Fa-f:.]{2,45})\](?::[0-9]{1,5})?|([0-9.]{7,15})(?::[0-9]{1,5})?|([0-9A-Fa-f:.]{2,45})")


class TrustedProxies:
    """
    Args:
        networks: such as `10.0.0.0/8` or `::1`, checked; or UNIX.
    """

    def __init__(self, networks: Iterable[str]) -> None:
        texts = list(networks)
        self._takes_unix = UNIX in texts
        self._networks = [ipaddress.ip_network(text) for text in texts if text != UNIX]

    def trusts(self, address: str) -> bool:
        """Whether an address is a proxy's; an empty one is that of a socket in the file system."""
        if not address:
            return self._takes_unix
        if not self._networks:
            return False
        try:
            parsed = _unmapped(address.partition("%")[0])
        except ValueError:
            return False
        return any(parsed in network for network in self._networks)

    def client_of(self, address: str, headers: Iterable[tuple[bytes, bytes]]) -> str:
        """
        Return the client of a request that a trusted proxy brought: the last address on its way that is no proxy's.

        What stands before that was written by whoever nobody has to believe, and is not looked at.

        Args:
            address: the proxy's, which asks for itself where it names nobody.
            headers: of the request, with names in lower case.

        Raises:
            BadRequest: what the proxy says cannot be understood.
        """
        values = [value for name, value in headers if name == FORWARDED_FOR]
        if not values:
            return address
        hops = b",".join(values).decode("latin-1").rsplit(",", MAX_HOPS)
        for hop in reversed(hops[-MAX_HOPS:]):
            address = _read_hop(hop.strip(" \t"))
            if not self.trusts(address):
                return address
        if len(hops) > MAX_HOPS:
            raise BadRequest(400, f"X-Forwarded-For names more than {MAX_HOPS} proxies")
        return address


def _read_hop(text: str) -> str:
    match = _HOP.fullmatch(text)
    try:
        return str(_unmapped(next(filter(None, match.groups())) if match else ""))
    except ValueError:
        raise BadRequest(400, "X-Forwarded-For is malformed: the proxy has to put the client's address there") from None


def _unmapped(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Read an address; an IPv4 address within IPv6 is itself."""
    parsed = ipaddress.ip_address(text)
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        return parsed.ipv4_mapped
    return parsed
