"""What each kind of value in the file must be."""

from __future__ import annotations

import ipaddress
import pathlib
import re
from collections.abc import Mapping
from typing import TypeVar

from pkgregd.config.places import Check, Place
from pkgregd.values import Rate, RateLimitRule, RouteClass

T = TypeVar("T")


MIB = 1024 * 1024
MAX_SECONDS = 7 * 86_400.0

PROXY_PROTOCOL = "haproxy:"
"""What stands before the description of an endpoint whose connections begin with the PROXY protocol."""

_PROXIED = tuple(f"{PROXY_PROTOCOL}{kind}:" for kind in ("tcp", "tcp6", "unix", "systemd"))
_S3_PLACE = re.compile(r"//[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](?:/[A-Za-z0-9._-]{1,128}){0,8}/?", re.ASCII)
_DOTS = re.compile(r"/\.{1,2}(?:/|$)")
_ENDPOINT = re.compile(r"[a-z][a-z0-9]*:.+", re.ASCII)
_ENDPOINT_PATHS = frozenset({"address", "certKey", "dhParameters", "extraCertChain", "privateKey"})
_RATE = re.compile(r"([1-9][0-9]{0,8})/([1-9][0-9]{0,5})?([smh])", re.ASCII)
_RATE_UNITS = {"s": 1, "m": 60, "h": 3600}
_LIMIT_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
_RATE_PREFIX = re.compile(r"/[A-Za-z0-9/:._~-]{0,255}", re.ASCII)
_LOCATION = re.compile(r"(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]{0,63}){0,8}/", re.ASCII)
_URL = re.compile(
    r"https?://(?:[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252})|\[[0-9A-Fa-f:.]{2,45}\])"
    r"(?::([1-9][0-9]{0,4}))?(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*/?",
    re.ASCII,
)


def a_flag(value: object, place: Place) -> bool:
    """Take true or false."""
    if not isinstance(value, bool):
        raise place.must_be("true or false", value)
    return value


def a_text(value: object, place: Place) -> str:
    """Take a text without control characters."""
    if not isinstance(value, str) or not value.isprintable():
        raise place.must_be("a printable text in quotes", value)
    return value


def some_texts(value: object, place: Place) -> tuple[str, ...]:
    """Take an array of such texts."""
    if not isinstance(value, list):
        raise place.must_be("an array of texts", value)
    return tuple(a_text(item, place.item(number)) for number, item in enumerate(value, 1))


def integer_from(least: int, greatest: int) -> Check[int]:
    """Take whole numbers between two, both included."""

    def check(value: object, place: Place) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= greatest:
            raise place.must_be(f"a whole number from {least} to {greatest}", value)
        return value

    return check


def number_from(least: float, greatest: float) -> Check[float]:
    """Take numbers between two, both included, with a fraction or without."""

    def check(value: object, place: Place) -> float:
        if not isinstance(value, int | float) or isinstance(value, bool) or not least <= value <= greatest:
            raise place.must_be(f"a number from {least:g} to {greatest:g}", value)
        return float(value)

    return check


seconds = number_from(0.01, MAX_SECONDS)


def optional(check: Check[T]) -> Check[T | None]:
    """Take what the other check takes, where nothing is the default."""
    # None is only ever the default: TOML has no null.
    return check


def a_url(value: object, place: Place) -> str:
    """Take the URL of a server, without its final slash."""
    text = a_text(value, place)
    match = _URL.fullmatch(text)
    if match is None or int(match[1] or 1) > 65_535:
        raise place.must_be(
            "http://HOST[:PORT][/PATH] or the same with https, without user name, query or fragment", value
        )
    return text.rstrip("/")


def worker_count(value: object, place: Place) -> int:
    """Take a number of processes."""
    return integer_from(1, 1024)(value, place)


def too_large_status(value: object, place: Place) -> int:
    """Take one of the two statuses for files above their limit."""
    if value not in (400, 413) or isinstance(value, bool) or not isinstance(value, int):
        raise place.must_be("413, or 400 as GitLab has it", value)
    return value


def listen_endpoints(value: object, place: Place) -> tuple[str, ...]:
    """Take descriptions of Twisted endpoints, at least one; relative paths in them become absolute."""
    endpoints = some_texts(value, place)
    if not endpoints:
        raise place.wrong('must name at least one endpoint, such as "tcp:8080:interface=127.0.0.1"')
    for number, endpoint in enumerate(endpoints, 1):
        if not _ENDPOINT.fullmatch(endpoint):
            raise place.item(number).must_be("a Twisted endpoint such as tcp:8080:interface=127.0.0.1", endpoint)
        if endpoint.startswith(PROXY_PROTOCOL) and not endpoint.startswith(_PROXIED):
            raise place.item(number).wrong("the PROXY protocol is taken on tcp, tcp6, unix and systemd endpoints only")
    return tuple(anchor_endpoint(endpoint, place.folder) for endpoint in endpoints)


def proxy_networks(value: object, place: Place) -> tuple[str, ...]:
    """Take addresses and networks of proxies, or the word for sockets in the file system."""
    texts = some_texts(value, place)
    for number, text in enumerate(texts, 1):
        try:
            if text != "unix":
                ipaddress.ip_network(text)
        except ValueError:
            expected = 'an address such as "10.0.0.1", a network such as "10.0.0.0/8", or "unix"'
            raise place.item(number).must_be(expected, text) from None
    return texts


client_networks = proxy_networks
"""Take addresses and networks of clients, or the word for sockets in the file system."""


def anchor_endpoint(description: str, folder: pathlib.Path) -> str:
    r"""
    Make the relative paths in a Twisted endpoint description absolute.

    Args:
        description: arguments divided by `:`; a `\` takes the letter after it literally.
        folder: what relative paths start from, itself absolute.
    """

    def anchored(escaped_path: str) -> str:
        path = re.sub(r"\\(.)", r"\1", escaped_path)
        return re.sub(r"([\\:=])", r"\\\1", str(folder / path))

    pieces = re.findall(r"(?:^|:)((?:[^:\\]|\\.|\\$)*)", description)
    socket_at = pieces.index("unix") + 1 if "unix" in pieces[:2] else 0
    for number, piece in enumerate(pieces):
        name, _, value = piece.partition("=")
        if name in _ENDPOINT_PATHS:
            pieces[number] = f"{name}={anchored(value)}"
        elif number and number == socket_at and "=" not in re.sub(r"\\.", "", piece):
            pieces[number] = anchored(piece)
    return ":".join(pieces)


def catalog_url(value: object, place: Place) -> str:
    """Take the URL of a database."""
    text = a_text(value, place)
    scheme, _, name = text.partition(":")
    if scheme == "postgresql" and re.fullmatch(r"//[^/]*/[^/?]+(\?.*)?", name):
        return text
    if scheme != "sqlite" or not name or name.startswith((":", "//")):
        raise place.must_be("sqlite:FILE or postgresql://USER:PASSWORD@HOST:PORT/NAME", value)
    return text


def blobs_url(value: object, place: Place) -> str:
    """Take the URL of a blob store."""
    text = a_text(value, place)
    scheme, _, name = text.partition(":")
    if scheme == "s3" and _S3_PLACE.fullmatch(name) and not _DOTS.search(name):
        return text
    if scheme != "file" or not name or (name.startswith("//") and not name.startswith("///")):
        raise place.must_be("file:FOLDER or s3://BUCKET/PREFIX", value)
    return text


def url_or_empty(value: object, place: Place) -> str:
    """Take a URL, or nothing."""
    return "" if value == "" else a_url(value, place)


def accel_location(value: object, place: Place) -> str:
    """Take the path of a location of nginx, or nothing."""
    text = a_text(value, place)
    if text and not _LOCATION.fullmatch(text):
        raise place.must_be('a path between slashes such as "/-/blobs/"', value)
    return text


def a_rate(value: object, place: Place) -> Rate:
    """Take so many requests in so much time."""
    match = _RATE.fullmatch(a_text(value, place))
    if match is None:
        raise place.must_be('a rate such as "1000/15s", "100/m" or "5000/1h"', value)
    return Rate(int(match[1]), int(match[2] or 1) * _RATE_UNITS[match[3]])


def route_class(value: object, place: Place) -> RouteClass:
    """Take the name of a class of routes."""
    for known in RouteClass:
        if value == known.value:
            return known
    raise place.must_be(" or ".join(f'"{known.value}"' for known in RouteClass), value)


def limit_name(value: object, place: Place) -> str:
    """Take what a limit is called in a header."""
    text = a_text(value, place)
    if not _LIMIT_NAME.fullmatch(text):
        raise place.must_be("1 to 64 letters, digits, dots, dashes or underscores", value)
    return text


def rate_limit_rules(value: object, place: Place) -> tuple[RateLimitRule, ...]:
    """
    Take an array of rules, each for a prefix of its own within a class of routes.

    One below `packages/` that says no class is for packages: the management of packages has paths there as well.
    """
    if not isinstance(value, list):
        raise place.must_be("an array of tables, each headed [[rate_limits]]", value)
    checks: dict[str, Check[object]] = {
        "prefix": a_text,
        "authenticated": a_rate,
        "anonymous": a_rate,
        "name": limit_name,
        "routes": route_class,
    }
    rules: dict[tuple[str, object], RateLimitRule] = {}
    for number, table in enumerate(value, 1):
        here = place.item(number)
        values = checked(checks, table, here)
        prefix = values.get("prefix")
        if not isinstance(prefix, str) or not _RATE_PREFIX.fullmatch(prefix):
            raise here.child("prefix").wrong('must be given and be a URL path such as "/api/v4/packages/"')
        if "/packages/" in prefix:
            values.setdefault("routes", RouteClass.PACKAGES)
        if (prefix, values.get("routes")) in rules:
            raise here.child("prefix").wrong("has a rule already")
        rules[prefix, values.get("routes")] = RateLimitRule(**values)  # type: ignore[arg-type]  # each was made by its check
    return tuple(rules.values())


def checked(checks: Mapping[str, Check[object]], table: object, place: Place) -> dict[str, object]:
    """Check a table key by key."""
    if not isinstance(table, dict):
        raise place.must_be("a table", table)
    for name in table:
        if name not in checks:
            raise place.unknown("key", name, checks)
    return {name: checks[name](value, place.child(name)) for name, value in table.items()}
