"""
The catalog: who there is, which packages there are, and which blobs they need.

The only part that knows SQL.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pkgregd.catalog.schema import check_file, migrate_file
from pkgregd.catalog.sql import SqlCatalog
from pkgregd.catalog.sqlite import SqliteDatabase, SqliteSettings
from pkgregd.errors import ConfigError
from pkgregd.interfaces import ICatalog

__all__ = ["migrate", "open_catalog"]


def open_catalog(reactor: Any, url: str, folder: Path, reader_threads: int = 3) -> ICatalog:
    """
    Open the catalog at a URL.

    Args:
        reactor: provides IReactorTime and IReactorFromThreads.
        url: `sqlite:FILE`.
        folder: what a relative FILE is relative to.
        reader_threads: how many reads run at once.

    Raises:
        ConfigError: a URL we have no driver for.
        SchemaError: there is no database, or one of another revision.
        Unavailable: it is locked.

    Reactor: blocks for one small read.
    """
    path = _sqlite_path(url, folder)
    check_file(path)
    return SqlCatalog(SqliteDatabase(reactor, path, SqliteSettings(reader_threads=reader_threads)))


def migrate(url: str, folder: Path) -> str:
    """
    Bring the catalog at a URL to the revision of this code, making it if there is none. Blocks.

    Any number of processes may do so at once, and any of them may be killed.

    Returns:
        The revision it has now.

    Raises:
        ConfigError: a URL we have no driver for.
        SchemaError: it is newer than this code, or no database.
        Unavailable: another process does not let go of it.
    """
    return migrate_file(_sqlite_path(url, folder))


def _sqlite_path(url: str, folder: Path) -> Path:
    scheme, _, file = url.partition(":")
    if scheme != "sqlite":
        # Only the scheme is repeated: the rest of a database URL may hold a password.
        raise ConfigError(f"catalog.url: there is no driver for {scheme[:32]!r} URLs; write sqlite:FILE")
    if not file or file.startswith("//"):
        raise ConfigError("catalog.url: write sqlite:FILE, with the path right after the colon")
    return folder / file
