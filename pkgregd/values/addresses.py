"""Whose an address is."""

from __future__ import annotations

import ipaddress

TRANSLATED = ipaddress.IPv6Network("64:ff9b::/96")
"""Whose addresses are those of IPv4 clients before a translator (RFC 6052, section 2.1): all of them in one network."""


def address_key(address: str) -> str:
    """Bring an address to the form that has one budget: an IPv6 host owns its /64."""
    if ":" not in address:
        return address
    try:
        parsed = ipaddress.IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    if parsed in TRANSLATED:
        return str(ipaddress.IPv4Address(parsed.packed[-4:]))
    return str(ipaddress.ip_network((parsed, 64), strict=False))
