"""
Worlds over real databases: the catalog that tests of formats and of the management get, on SQLite or on PostgreSQL.

Such tests run without a reactor, over a catalog in memory that answers at once. So does this one: each verb waits until
the real driver has its answer. The world that was made last has the database; it is emptied for the next.
"""

from __future__ import annotations

import contextlib
import pathlib
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any, Protocol

import psycopg2
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from pkgregd.catalog.postgresql import PostgresDatabase
from pkgregd.catalog.sql import SqlCatalog
from pkgregd.catalog.sqlite import SqliteDatabase
from pkgregd.catalog.tables import metadata
from pkgregd.testing.calls import making_catalogs
from pkgregd.testing.format_contract import FormatContract
from tests.catalog.support import PollingClock, ThreadedClock, migrated_database, migrated_file
from tests.support.catalogs import POSTGRESQL, SQLITE

_TABLES = [table.name for table in reversed(metadata.sorted_tables)]
_DELETE = "".join(f"DELETE FROM {name};" for name in _TABLES)  # noqa: S608 - our own tables
EMPTY: Mapping[str, str] = {
    SQLITE: f"{_DELETE}DELETE FROM sqlite_sequence;",  # noqa: S608
    POSTGRESQL: f"{_DELETE}SELECT setval(oid::regclass, 1, false) FROM pg_class WHERE relkind = 'S'",  # noqa: S608
}
"""What leaves nothing, and has numbers begin again."""

NAMES: Mapping[str, str] = {SQLITE: "Sqlite", POSTGRESQL: "Postgresql"}


class Waiting(Protocol):
    """A clock by which a test waits for a driver."""

    def seconds(self) -> float:
        """Tell the time."""

    def advance(self, amount: float) -> None:
        """Have time pass."""

    def wait(self, deferred: Deferred[Any]) -> None:
        """Wait for a result."""


class WaitingVerbs:
    """
    A catalog, or some reads of one, whose verbs have their answer when they return.

    Args:
        provider: the real one.
        clock: of its driver.
        seconds: the time that it is to see.
    """

    def __init__(self, provider: Any, clock: Waiting, seconds: Callable[[], float]) -> None:
        self._provider = provider
        self._clock = clock
        self._seconds = seconds

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """Return a verb."""
        verb: Callable[..., Any] = getattr(self._provider, name)
        if name == "foreseeing":
            return lambda foresight: WaitingVerbs(verb(foresight), self._clock, self._seconds)

        async def ask(*args: Any, **kwargs: Any) -> Any:
            self._clock.advance(max(self._seconds() - self._clock.seconds(), 0.0))
            return await self._answered(verb(*args, **kwargs))

        return ask

    def _answered(self, coroutine: Coroutine[Deferred[Any], Any, Any]) -> Deferred[Any]:
        answer = Deferred.fromCoroutine(coroutine)
        self._clock.wait(answer)
        return answer


class _Sqlite:
    """A file of its own."""

    def __init__(self) -> None:
        self._folder = pathlib.Path(tempfile.mkdtemp(prefix="catalog-"))
        self._path = migrated_file(self._folder / "catalog.sqlite3")
        self.clock = ThreadedClock()
        self.catalog = SqlCatalog(SqliteDatabase(self.clock, self._path))

    def empty(self) -> None:
        with contextlib.closing(sqlite3.connect(self._path)) as connection:
            connection.executescript(EMPTY[SQLITE])

    def close(self) -> None:
        self.clock.wait(Deferred.fromCoroutine(self.catalog.close()))
        shutil.rmtree(self._folder, ignore_errors=True)


class _Postgresql:
    """The one database of this process."""

    def __init__(self) -> None:
        self._url = migrated_database()
        self.clock = PollingClock()
        self.catalog = SqlCatalog(PostgresDatabase(self.clock, self._url))

    def empty(self) -> None:
        with contextlib.closing(psycopg2.connect(self._url)) as connection, connection.cursor() as cursor:
            cursor.execute(EMPTY[POSTGRESQL])
            connection.commit()

    def close(self) -> None:
        self.clock.wait(Deferred.fromCoroutine(self.catalog.close()))


_KINDS: Mapping[str, Callable[[], _Sqlite | _Postgresql]] = {SQLITE: _Sqlite, POSTGRESQL: _Postgresql}


@contextlib.contextmanager
def catalogs_in(engine: str) -> Iterator[None]:
    """Have the worlds that are made meanwhile keep their catalogs in a database."""
    database = _KINDS[engine]()

    def make(seconds: Callable[[], float] = time.time) -> Any:
        database.empty()
        return WaitingVerbs(database.catalog, database.clock, seconds)

    try:
        with making_catalogs(make):
            yield
    finally:
        database.close()


def on_databases(
    name: str, modules: Sequence[ModuleType], engines: Sequence[str]
) -> dict[str, type[SynchronousTestCase]]:
    """
    Make tests that are defined elsewhere once more, on each database; FormatContract asks no catalog.

    Args:
        name: of the module that gets them.
    """
    made = {}
    for module in modules:
        for case in vars(module).values():
            if not isinstance(case, type) or case.__module__ != module.__name__:
                continue
            if issubclass(case, SynchronousTestCase) and not issubclass(case, FormatContract):
                for engine in engines:
                    each = _on_database(name, case, engine)
                    made[each.__name__] = each
    return made


def _on_database(module: str, case: type[SynchronousTestCase], engine: str) -> type[SynchronousTestCase]:
    def set_up(self: SynchronousTestCase) -> None:
        self.enterContext(catalogs_in(engine))
        super(made, self).setUp()

    attributes = {"setUp": set_up, "__doc__": f"{case.__doc__} On {NAMES[engine]}.", "__module__": module}
    subject = (
        case.__module__.rpartition(".test_")[2].title().replace("_", "")
    )  # classes of two modules may share a name
    made = type(f"{subject}{case.__name__}On{NAMES[engine]}", (case,), attributes)
    return made
