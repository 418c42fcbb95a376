"""Whose an address is."""

from __future__ import annotations

import ipaddress


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
    return str(ipaddress.ip_network((parsed, 64), strict=False))
