"""Where test daemons keep their catalogs: in SQLite, or on a PostgreSQL server of the tests' own."""

from __future__ import annotations

import contextlib
import itertools
import os
import pathlib
import shutil
import sqlite3
from typing import Any

import psycopg2

SQLITE, POSTGRESQL = "sqlite", "postgresql"
ENGINES = (SQLITE, POSTGRESQL)
ENGINE = os.environ.get("PKGREGD_TEST_CATALOG") or SQLITE
"""Which of them the daemons of this run use, where nobody asks for one."""

if ENGINE not in ENGINES:
    raise ValueError(f"PKGREGD_TEST_CATALOG is {ENGINE!r}, and has to be one of {', '.join(ENGINES)}")

SQLITE_URL = "sqlite:pkgregd.sqlite3"
TEMPLATE = "world"
DUMP = "world.sql"

_numbers = itertools.count(1)


def template_url(engine: str) -> str:
    """Return the URL of the catalog that the others are copied from; it is made by migrating it."""
    if engine == SQLITE:
        return SQLITE_URL
    from tests.support.postgresql import server

    server().administer(f"CREATE DATABASE {TEMPLATE}")
    return server().url(TEMPLATE)


def save_template(engine: str, folder: pathlib.Path) -> None:
    """Keep the template in its folder, for load_template() of another process."""
    if engine == POSTGRESQL:
        from tests.support.postgresql import server

        server().dump(TEMPLATE, folder / DUMP)


def load_template(engine: str, folder: pathlib.Path) -> None:
    """Let copied_url() copy what another process has saved."""
    if engine == POSTGRESQL:
        from tests.support.postgresql import server

        server().administer(f"CREATE DATABASE {TEMPLATE}")
        server().load(TEMPLATE, folder / DUMP)


def copied_url(engine: str, template: pathlib.Path, folder: pathlib.Path) -> str:
    """Copy the template, whose folder is given, for a daemon with a folder of its own; returns the URL."""
    if engine == SQLITE:
        for file in template.glob("*.sqlite3*"):
            shutil.copy(file, folder)
        return SQLITE_URL
    from tests.support.postgresql import server

    name = f"daemon_{next(_numbers)}"
    server().administer(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
    return server().url(name)


def query(url: str, folder: pathlib.Path, statement: str) -> list[tuple[Any, ...]]:
    """Execute a statement in a catalog, by itself; returns the rows, if there are any."""
    if url == SQLITE_URL:
        with contextlib.closing(sqlite3.connect(folder / url.partition(":")[2])) as connection, connection:
            return connection.execute(statement).fetchall()
    with contextlib.closing(psycopg2.connect(url)) as server_connection, server_connection.cursor() as cursor:
        cursor.execute(statement)
        rows = cursor.fetchall() if cursor.description else []
        server_connection.commit()
        return rows


def drop(url: str) -> None:
    """Remove what copied_url() made; the files of SQLite go with their folder."""
    if url == SQLITE_URL:
        return
    from tests.support.postgresql import server

    with contextlib.suppress(Exception):
        server().administer(f"DROP DATABASE {url.rpartition('/')[2]} WITH (FORCE)")
