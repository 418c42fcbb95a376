"""
Copies of the whole catalog, made while daemons work on it, and put back into an empty place. All of it blocks.

A copy is one state of the database: that of one moment, for all tables. Of SQLite it is a database file, of PostgreSQL
what `pg_dump` writes in its own format.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import secrets
import shutil
import sqlite3
import subprocess

from pkgregd.catalog.schema import REVISIONS, check_revision, read_revision
from pkgregd.errors import SchemaError, Unavailable

WAIT_SECONDS = 60.0
"""How long a copy waits for a database that is locked as a whole."""


def back_up_file(path: pathlib.Path, target: pathlib.Path) -> str:
    """
    Copy a database of SQLite to a file that is not there yet.

    Readers and writers go on meanwhile. A copy that is not complete, or not on the disk, never has the target's name.

    Returns:
        The revision of its schema.

    Raises:
        SchemaError: there is no database, or the copy cannot be written. Unavailable: it is locked.
    """
    if not path.exists():
        raise SchemaError(f"there is no database at {path}")
    return _copy(path, target, journal_mode="DELETE")


def restore_file(source: pathlib.Path, path: pathlib.Path) -> str:
    """
    Put a copy where the database of SQLite belongs, and where none is.

    Returns:
        The revision of its schema.

    Raises:
        SchemaError: something is there, or the copy is not one that this code can work with.
    """
    for there in (
        path,
        path.with_name(f"{path.name}-wal"),
        path.with_name(f"{path.name}-shm"),
        path.with_name(f"{path.name}-journal"),
    ):
        if there.exists():
            raise SchemaError(f"{there} is there: stop the daemon, and move the old database away first")
    if not source.exists():
        raise SchemaError(f"there is no backup at {source}")
    return _copy(source, path, journal_mode="WAL")


def _copy(source: pathlib.Path, target: pathlib.Path, journal_mode: str) -> str:
    if target.exists():
        raise SchemaError(f"{target} is there already")
    partial = _partial(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # for the owner alone: the rows hold digests of tokens
        os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        revision = _copy_pages(source, partial, journal_mode)
        _sync(partial)
        _name(partial, target)
        _sync(target.parent)
    except OSError as error:
        raise SchemaError(f"cannot write {target}: {error.strerror}") from error
    except sqlite3.Error as error:
        if error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise Unavailable(f"the database {source} is in use by another process; try again") from error
        raise SchemaError(f"cannot copy the database {source}: {error}") from error
    finally:
        for suffix in ("", "-wal", "-shm", "-journal"):
            with contextlib.suppress(FileNotFoundError):
                partial.with_name(f"{partial.name}{suffix}").unlink()
    return revision


def _copy_pages(source: pathlib.Path, partial: pathlib.Path, journal_mode: str) -> str:
    with (
        contextlib.closing(_connect(source)) as original,
        contextlib.closing(_connect(partial)) as copy,
    ):
        # all pages in one step: they are those of one transaction, and nobody who writes meanwhile makes it begin anew
        original.backup(copy, pages=-1)
        copy.execute(f"PRAGMA journal_mode = {journal_mode}").fetchall()
        if copy.execute("PRAGMA quick_check").fetchall() != [("ok",)]:
            raise SchemaError(f"the database {source} is damaged: SQLite's own check does not pass")
        revision = read_revision(copy)
    if revision is None or revision not in REVISIONS:
        check_revision(revision)
    return str(revision)


def _connect(path: pathlib.Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None, timeout=WAIT_SECONDS)


def _partial(target: pathlib.Path) -> pathlib.Path:
    """Name what is not complete yet; nobody else's is called so."""
    return target.with_name(f"{target.name}.{secrets.token_hex(4)}.partial")


def _name(partial: pathlib.Path, target: pathlib.Path) -> None:
    """Give a complete copy its name, unless somebody else was faster; the caller removes the other name."""
    try:
        os.link(partial, target)
    except FileExistsError:
        raise SchemaError(f"{target} is there already") from None
    except OSError:  # there are no links on that file system
        os.rename(partial, target)


def _sync(path: pathlib.Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def back_up_server(url: str, target: pathlib.Path) -> None:
    """
    Have `pg_dump` copy a database of PostgreSQL to a file that is not there yet.

    Raises:
        SchemaError: the copy cannot be made; with what the program says.
    """
    if target.exists():
        raise SchemaError(f"{target} is there already")
    partial = _partial(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        _run("pg_dump", url, "--format=custom", "--no-owner", "--no-privileges", f"--file={partial}")
        _sync(partial)
        _name(partial, target)
        _sync(target.parent)
    except OSError as error:
        raise SchemaError(f"cannot write {target}: {error.strerror}") from error
    finally:
        with contextlib.suppress(FileNotFoundError):
            partial.unlink()


def restore_server(source: pathlib.Path, url: str) -> None:
    """
    Have `pg_restore` put a copy into a database of PostgreSQL that is empty; all of it or nothing.

    Raises:
        SchemaError: it cannot be done; with what the program says.
    """
    if not source.exists():
        raise SchemaError(f"there is no backup at {source}")
    _run("pg_restore", url, "--exit-on-error", "--single-transaction", "--no-owner", "--no-privileges", str(source))


def _run(program: str, url: str, *arguments: str) -> None:
    """Run a program of PostgreSQL's; the password goes where no list of processes shows it."""
    from pkgregd.catalog.postgresql_url import without_password

    path = shutil.which(program)
    if path is None:
        raise SchemaError(f"{program} is not installed: it comes with PostgreSQL's client programs")
    plain, password = without_password(url)
    done = subprocess.run(
        [path, f"--dbname={plain}", *arguments],
        env=dict(os.environ) if password is None else {**os.environ, "PGPASSWORD": password},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SchemaError(f"{program} fails: {' '.join(done.stderr.split())[:1000]}")
