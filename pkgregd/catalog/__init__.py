"""
The catalog: who there is, which packages there are, and which blobs they need.

The only part that knows SQL.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from pkgregd.catalog.measured import measured
from pkgregd.catalog.schema import check_file, migrate_file
from pkgregd.catalog.sql import SqlCatalog
from pkgregd.catalog.sqlite import SqliteDatabase, SqliteSettings
from pkgregd.errors import ConfigError
from pkgregd.interfaces import ICatalog, IMeasures
from pkgregd.unmeasured import UNMEASURED
from pkgregd.values import Gauge

__all__ = ["back_up", "migrate", "open_catalog", "restore"]

NO_DRIVER = "catalog.url: postgresql:// needs the extra: pip install 'pkgregd[postgres]'"


def open_catalog(
    reactor: Any,
    url: str,
    folder: Path,
    reader_threads: int = 3,
    connections: int = 16,
    measures: IMeasures = UNMEASURED,
    statement_seconds: float | None = None,
) -> ICatalog:
    """
    Open the catalog at a URL.

    Args:
        reactor: provides IReactorTime, IReactorFDSet and IReactorFromThreads.
        url: `sqlite:FILE` or `postgresql://USER@HOST/NAME`.
        folder: what a relative FILE is relative to.
        reader_threads: how many reads run at once on SQLite.
        connections: how many verbs run at once on PostgreSQL.
        measures: told of every verb.
        statement_seconds: how long PostgreSQL works at one statement; None for as long as a client would wait.

    Raises:
        ConfigError: a URL we have no driver for.
        SchemaError: there is no database, or one of another revision.
        Unavailable: it is locked, or cannot be reached.

    Reactor: blocks for one small read.
    """
    if _is_postgresql(url):
        try:
            from pkgregd.catalog.postgresql import PostgresDatabase
            from pkgregd.catalog.postgresql_pool import PostgresSettings
            from pkgregd.catalog.postgresql_schema import check_server
        except ImportError as error:
            raise ConfigError(NO_DRIVER) from error
        check_server(url)
        settings = PostgresSettings(max_connections=connections)
        if statement_seconds is not None:
            settings = settings.with_patience(statement_seconds)
        return SqlCatalog(measured(PostgresDatabase(reactor, url, settings, measures, time.time), measures))
    path = _sqlite_path(url, folder)
    check_file(path)
    database = SqliteDatabase(reactor, path, SqliteSettings(reader_threads=reader_threads), now=time.time)
    measures.watch(Gauge.CATALOG_WAITING, database.waiting)
    return SqlCatalog(measured(database, measures))


def migrate(url: str, folder: Path) -> str:
    """
    Bring the catalog at a URL to the revision of this code, making it if there is none. Blocks.

    Any number of processes may do so at once, and any of them may be killed.

    Returns:
        The revision it has now.

    Raises:
        ConfigError: a URL we have no driver for.
        SchemaError: it is newer than this code, or no database.
        Unavailable: another process does not let go of it, or it cannot be reached.
    """
    if _is_postgresql(url):
        try:
            from pkgregd.catalog.postgresql_schema import migrate_server
        except ImportError as error:
            raise ConfigError(NO_DRIVER) from error
        return migrate_server(url)
    return migrate_file(_sqlite_path(url, folder))


def back_up(url: str, folder: Path, target: Path) -> None:
    """
    Copy the catalog at a URL to a file, while daemons work on it. Blocks.

    Raises:
        ConfigError: a URL we have no driver for.
        SchemaError: it cannot be copied, or the file is there already.
        Unavailable: it is locked.
    """
    from pkgregd.catalog.backup import back_up_file, back_up_server

    if not _is_postgresql(url):
        back_up_file(_sqlite_path(url, folder), target)
        return
    try:
        back_up_server(url, target)
    except ImportError as error:
        raise ConfigError(NO_DRIVER) from error


def restore(url: str, folder: Path, source: Path) -> str:
    """
    Put a copy of the catalog back, into an empty place. Blocks.

    Returns:
        The revision of its schema.

    Raises:
        ConfigError: a URL we have no driver for.
        SchemaError: the place is not empty, or the copy is not one that this code can work with.
        Unavailable: the place cannot be reached.
    """
    from pkgregd.catalog.backup import restore_file, restore_server

    if not _is_postgresql(url):
        return restore_file(source, _sqlite_path(url, folder))
    try:
        from pkgregd.catalog.postgresql_schema import require_empty, revision_of
    except ImportError as error:
        raise ConfigError(NO_DRIVER) from error
    require_empty(url)
    restore_server(source, url)
    return revision_of(url)


def _is_postgresql(url: str) -> bool:
    return url.startswith("postgresql://")


def _sqlite_path(url: str, folder: Path) -> Path:
    scheme, _, file = url.partition(":")
    if scheme != "sqlite":
        # Only the scheme is repeated: the rest of a database URL may hold a password.
        raise ConfigError(
            f"catalog.url: there is no driver for {scheme[:32]!r} URLs; write sqlite:FILE or postgresql://USER@HOST/NAME"
        )
    if not file or file.startswith("//"):
        raise ConfigError("catalog.url: write sqlite:FILE, with the path right after the colon")
    return folder / file
