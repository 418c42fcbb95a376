"""The schema on PostgreSQL: what a database has, and the way to what this code works with. All of it blocks."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import psycopg2
import psycopg2.extensions

from pkgregd.catalog.postgresql_url import read_url
from pkgregd.catalog.schema import MIGRATIONS, REVISIONS, check_revision
from pkgregd.errors import SchemaError, Unavailable

CONNECT_SECONDS = 5
MIGRATION_LOCK = 1886087022
"""Whoever migrates has it; several daemons may start at once."""

MIGRATION_WAIT_SECONDS = 60
"""How long a migration waits for another process that migrates."""

TABLE_WAIT_SECONDS = 5
"""How long it waits for a table that others use; whoever comes for that table meanwhile waits behind it."""


@contextlib.contextmanager
def connected(url: str) -> Iterator[psycopg2.extensions.connection]:
    """
    Open a connection, and say in our words what goes wrong with it.

    Raises:
        Unavailable: the server cannot be reached. SchemaError: it refuses us, or what we do.
        ConfigError: see read_url().
    """
    options: dict[str, Any] = {**read_url(url), "connect_timeout": CONNECT_SECONDS, "application_name": "pkgregd"}
    try:
        connection = psycopg2.connect(**options)
    except psycopg2.OperationalError as error:
        raise Unavailable(f"the database cannot be reached: {_reason(error)}") from None
    except psycopg2.Error as error:
        raise SchemaError(f"the database cannot be used: {_reason(error)}") from None
    try:
        yield connection
    except psycopg2.Error as error:
        raise SchemaError(f"the database cannot be used: {_reason(error)}") from None
    finally:
        connection.close()


def read_revision(connection: psycopg2.extensions.connection) -> str | None:
    """Return the revision of a database, None if it was never migrated."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('alembic_version') IS NOT NULL")
        if cursor.fetchone() != (True,):
            return None
        cursor.execute("SELECT version_num FROM alembic_version")
        row = cursor.fetchone()
    return None if row is None else str(row[0])


def check_server(url: str) -> None:
    """
    Pass if there is a database of our revision at a URL.

    Raises:
        SchemaError: with what to do. Unavailable: it cannot be reached.
    """
    with connected(url) as connection:
        check_revision(read_revision(connection))


def require_empty(url: str) -> None:
    """
    Pass if the database at a URL has no table.

    Raises:
        SchemaError: it has. Unavailable: it cannot be reached.
    """
    with connected(url) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_tables WHERE schemaname = 'public' LIMIT 1")
        if cursor.fetchone() is not None:
            raise SchemaError("the database is not empty: name a new one in the configuration")


def revision_of(url: str) -> str:
    """
    Return the revision of the database at a URL.

    Raises:
        SchemaError: it has none. Unavailable: it cannot be reached.
    """
    with connected(url) as connection:
        revision = read_revision(connection)
    if revision is None or revision not in REVISIONS:
        check_revision(revision)
    return str(revision)


def migrate_server(url: str) -> str:
    """
    Bring the database at a URL to our revision, in one transaction; of two at once the second finds nothing to do.

    Returns:
        The revision.

    Raises:
        SchemaError: it is newer than this code. Unavailable: it cannot be reached, or another process does not end.
    """
    with connected(url) as connection:
        _wait_at_most(connection, MIGRATION_WAIT_SECONDS)
        with connection.cursor() as cursor:
            try:
                cursor.execute("SELECT pg_advisory_lock(%s)", (MIGRATION_LOCK,))
            except psycopg2.errors.LockNotAvailable:
                raise Unavailable("another process migrates the database; try again") from None
        _wait_at_most(connection, TABLE_WAIT_SECONDS)
        revision = read_revision(connection)
        if revision is not None and revision not in REVISIONS:
            check_revision(revision)
        if revision is None:
            _require_utf8(connection)
        try:
            _upgrade(connection)
        except (psycopg2.errors.LockNotAvailable, psycopg2.errors.DeadlockDetected):
            raise Unavailable("a table is in use for long, by a copy or a report perhaps; try again") from None
        connection.commit()
    return REVISIONS[-1]


def _wait_at_most(connection: psycopg2.extensions.connection, seconds: int) -> None:
    """Bound every wait for a lock from now on: committed, or SQLAlchemy would take it back when it comes to it."""
    with connection.cursor() as cursor:
        cursor.execute(f"SET lock_timeout = '{seconds}s'")
    connection.commit()


def _require_utf8(connection: psycopg2.extensions.connection) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_encoding")
        row = cursor.fetchone()
    if row != ("UTF8",):
        raise SchemaError(
            f"the database keeps texts in {row and row[0]}, which has no way to write all names: "
            "make it with `createdb --encoding=UTF8 --template=template0`"
        )


def _upgrade(opened: psycopg2.extensions.connection) -> None:
    from alembic import command
    from alembic.config import Config
    from sqlalchemy import create_engine, exc
    from sqlalchemy.pool import StaticPool

    engine = create_engine("postgresql+psycopg2://", creator=lambda: opened, poolclass=StaticPool)
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    try:
        with engine.connect() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            connection.commit()
    except exc.DBAPIError as error:
        raise error.orig or error from None


def _reason(error: Any) -> str:
    """Say why in one line; what libpq says names host, port and user, never the password."""
    return " ".join(str(error).split()) or type(error).__name__
