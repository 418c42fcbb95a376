"""The URL of a PostgreSQL database, read as libpq reads it, and never repeated: there may be a password in it."""

from __future__ import annotations

import psycopg2
import psycopg2.extensions

from pkgregd.errors import ConfigError

UNREADABLE = (
    "catalog.url: write postgresql://USER:PASSWORD@HOST:PORT/NAME, and in the user's name and the password % as %25, "
    "@ as %40, / as %2F and : as %3A"
)


def read_url(url: str) -> dict[str, str]:
    """
    Return what a URL says, by libpq's names.

    Raises:
        ConfigError: libpq cannot read it, or takes a part of a password for the host or the port.
    """
    try:
        options: dict[str, str] = psycopg2.extensions.parse_dsn(url)
    except psycopg2.Error:  # says which part it cannot read
        raise ConfigError(UNREADABLE) from None
    ports = options.get("port", "").split(",")
    hosts = options.get("host", "").split(",")  # an @ at the beginning is that of a socket without a file
    if any("@" in host[1:] for host in hosts) or not all(port.isdigit() or not port for port in ports):
        raise ConfigError(UNREADABLE)
    return options


def without_password(url: str) -> tuple[str, str | None]:
    """
    Divide a URL into what a list of processes may show, as libpq reads it, and the password.

    Raises:
        ConfigError: see read_url().
    """
    options = read_url(url)
    password = options.pop("password", None)
    plain: str = psycopg2.extensions.make_dsn(**options)
    return plain, password
