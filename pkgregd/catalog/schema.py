"""
The revision of the schema: what this code works with, what a database has, and the way from one to the other.

Alembic is imported only to migrate.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import sqlite3
import time

from sqlalchemy import exc

from pkgregd.errors import SchemaError, Unavailable

REVISIONS = (
    "0001", "0002", "0003", "0004", "0005", "0006", "0007", "0008", "0009", "0010", "0011", "0012", "0013",
    "0014", "0015", "0016",
)  # fmt: skip
"""All revisions in order; the last one is what this code works with."""

MIGRATIONS = pathlib.Path(__file__).parent / "migrations"
OPEN_WAIT_SECONDS = 1.0
"""How long opening, which blocks the reactor, waits for a database that is locked as a whole."""

MIGRATION_WAIT_SECONDS = 60.0
"""How long a migration waits for another process that migrates or writes."""


def read_revision(connection: sqlite3.Connection) -> str | None:
    """Return the revision of a database, None if it was never migrated."""
    known = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone()
    if known is None:
        return None
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return None if row is None else str(row[0])


def check_revision(revision: str | None) -> None:
    """
    Pass if a database of this revision is one that this code works with.

    Raises:
        SchemaError: with what to do.
    """
    if revision == REVISIONS[-1]:
        return
    if revision is None:
        raise SchemaError("the database is empty: run `pkgregd --config FILE migrate`")
    if revision in REVISIONS:
        raise SchemaError(
            f"the database is at revision {revision}, this pkgregd needs {REVISIONS[-1]}: "
            "run `pkgregd --config FILE migrate`"
        )
    raise SchemaError(f"the database is newer than this pkgregd (revision {revision}); upgrade pkgregd")


def check_file(path: pathlib.Path) -> None:
    """
    Pass if there is a database of our revision at path. Blocks for one small read.

    Raises:
        SchemaError: with what to do. Unavailable: it is locked.
    """
    if not path.exists():
        raise SchemaError(f"there is no database at {path}: run `pkgregd --config FILE migrate`")
    try:
        with contextlib.closing(
            sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=OPEN_WAIT_SECONDS)
        ) as connection:
            revision = read_revision(connection)
    except sqlite3.Error as error:
        raise _unusable(path, error) from error
    check_revision(revision)


def migrate_file(path: pathlib.Path, revision: str = REVISIONS[-1]) -> str:
    """
    Bring the database at path to a revision, ours if none is given, making it if there is none. Blocks.

    Everything happens in one transaction that begins as a write: a process that
    is killed leaves the old schema, and of two at once the second finds nothing to do.

    Returns:
        The revision.

    Raises:
        SchemaError: it is newer than this code, or not a database. Unavailable: another process does not let go of it.
    """
    _make_file(path)
    try:
        with contextlib.closing(_connect_to_migrate(path)) as connection:
            _upgrade(connection, revision)
            _use_write_ahead_log(connection)
    except exc.DBAPIError as error:
        if isinstance(error.orig, sqlite3.Error):
            raise _unusable(path, error.orig) from error
        raise
    except sqlite3.Error as error:
        raise _unusable(path, error) from error
    return revision


def _make_file(path: pathlib.Path) -> None:
    """Make an empty file and its folder, for the owner alone: the rows hold digests of tokens."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except OSError as error:
        raise SchemaError(f"cannot make the database {path}: {error.strerror}") from error


def _connect_to_migrate(path: pathlib.Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None, timeout=MIGRATION_WAIT_SECONDS
    )
    # Rebuilding a table breaks references for a moment; all are checked before the commit.
    connection.execute("PRAGMA foreign_keys = OFF")
    connection.execute("PRAGMA synchronous = FULL")
    return connection


def _upgrade(sqlite_connection: sqlite3.Connection, wanted: str) -> None:
    """Run the missing revisions in one transaction."""
    from alembic import command
    from alembic.config import Config
    from sqlalchemy import Connection, create_engine, event
    from sqlalchemy.pool import StaticPool

    # Left alone, the sqlite3 module begins no transaction before DDL.
    engine = create_engine("sqlite://", creator=lambda: sqlite_connection, poolclass=StaticPool)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    with engine.begin() as connection:
        revision = read_revision(sqlite_connection)
        if revision is not None and revision not in REVISIONS:
            check_revision(revision)
        config.attributes["connection"] = connection
        command.upgrade(config, wanted)
        if sqlite_connection.execute("PRAGMA foreign_key_check").fetchone() is not None:
            raise SchemaError("the migration would leave rows that refer to nothing; nothing was changed")


def _use_write_ahead_log(connection: sqlite3.Connection) -> None:
    """Switch the journal, which SQLite refuses without waiting while anybody else uses the file."""
    deadline = time.monotonic() + MIGRATION_WAIT_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL").fetchall()
            return
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def _unusable(path: pathlib.Path, error: sqlite3.Error) -> SchemaError | Unavailable:
    if error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return Unavailable(f"the database {path} is in use by another process; try again")
    return SchemaError(f"the database {path} cannot be used: {error}")
