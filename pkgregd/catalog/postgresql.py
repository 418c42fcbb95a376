"""
Run verbs on PostgreSQL.

A verb that writes runs as if it were alone (SERIALIZABLE), as it does on SQLite, where it is. When the server finds
that two could not have run one after the other it refuses one of them, which is then run again: a verb does nothing
but ask its transaction, so it may be. One that was refused stands in line with the others that were, so that the
unlucky do not get in each other's way for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Concatenate, ParamSpec, TypeVar

import psycopg2
from attrs import define, field
from sqlalchemy.dialects.postgresql.psycopg2 import PGDialect_psycopg2
from twisted.logger import Logger

from pkgregd.catalog.hosts import resolved
from pkgregd.catalog.postgresql_pool import (
    DEFAULT_SETTINGS,
    Connection,
    ConnectionBroken,
    Pool,
    PostgresSettings,
    connection_options,
    is_collision,
    is_read_only,
    translated,
)
from pkgregd.catalog.statement import Row, SqlText, Statement, compile_all
from pkgregd.clockwork import shielded
from pkgregd.errors import InvalidRequest, OutcomeUnknown, PkgregdError, Unavailable
from pkgregd.interfaces import IMeasures
from pkgregd.unmeasured import UNMEASURED
from pkgregd.values import Tally

P = ParamSpec("P")
T = TypeVar("T")
log = Logger()

POSTGRESQL = PGDialect_psycopg2(paramstyle="pyformat")

BEGIN_READ = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; "
BEGIN_WRITE = "BEGIN ISOLATION LEVEL SERIALIZABLE; "
IN_LINE = "SELECT pg_advisory_lock(1886087021)"
"""Taken for the session and before the transaction, whose view of the data must begin after the wait."""

OUT_OF_LINE = "SELECT pg_advisory_unlock(1886087021)"


MAX_BROKEN = 2
"""How often a verb is run again whose connection broke before the commit was sent."""


class NotCommitted(ConnectionBroken):
    """The connection broke before the commit was sent: nothing has happened."""


def refuse_nul(parameters: Mapping[str, object]) -> None:
    """
    Refuse a text that the server has no way to keep or compare.

    Raises:
        InvalidRequest: it holds the character NUL.
    """
    for value in parameters.values():
        if isinstance(value, str) and "\0" in value:
            raise InvalidRequest("a text must not hold the character NUL")


@define
class PostgresTransaction:
    """A transaction that begins with its first statement, in one round trip with it."""

    now: int
    connection: Connection
    texts: Mapping[Statement, SqlText]
    begin: str
    has_begun: bool = field(default=False, init=False)

    async def _run(self, statement: Statement, parameters: dict[str, object]) -> Any:
        refuse_nul(parameters)
        sql = self.texts[statement]
        if sql.constants:
            parameters.update(sql.constants)
        if self.has_begun:
            return await self.connection.run(sql.text, parameters)
        self.has_begun = True
        return await self.connection.run(self.begin + sql.text, parameters)

    async def fetch_all(self, statement: Statement, **parameters: object) -> list[Row]:
        """See Transaction."""
        rows: list[Row] = (await self._run(statement, parameters)).fetchall()
        return rows

    async def fetch_one(self, statement: Statement, **parameters: object) -> Row | None:
        """See Transaction."""
        row: Row | None = (await self._run(statement, parameters)).fetchone()
        return row

    async def execute(self, statement: Statement, **parameters: object) -> int:
        """See Transaction."""
        count: int = (await self._run(statement, parameters)).rowcount
        return count


class PostgresGlance(PostgresTransaction):
    """
    Statements that are transactions of their own, and that the server has planned once for each connection.

    One round trip each: begin and commit would be as much work again as a small query.
    """

    async def _run(self, statement: Statement, parameters: dict[str, object]) -> Any:
        refuse_nul(parameters)
        sql = self.texts[statement]
        if sql.constants:
            parameters.update(sql.constants)
        return await self.connection.run_prepared(sql.text, parameters)


class PostgresDatabase:
    """
    A PostgreSQL database that runs verbs in named transactions.

    Args:
        reactor: provides IReactorTime and IReactorFDSet.
        url: of an existing, migrated database.
        measures: told of what becomes of connections.

    Reactor: every method on the reactor thread.
    Cancellation: abandons the wait; a verb that has begun is carried out.
    """

    def __init__(
        self,
        reactor: Any,
        url: str,
        settings: PostgresSettings = DEFAULT_SETTINGS,
        measures: IMeasures = UNMEASURED,
    ) -> None:
        self._reactor = reactor
        self._settings = settings
        self._options = connection_options(url, settings)
        self._texts = compile_all(POSTGRESQL)
        self._measures = measures
        self._pool = Pool(reactor, self._open, settings, measures)

    async def _open(self) -> Connection:
        connection = Connection(self._reactor, self._settings)
        await connection.open(await resolved(self._reactor, self._options, self._settings.connect_seconds))
        return connection

    async def read(
        self,
        verb: Callable[Concatenate[Any, P], Coroutine[Any, Any, T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """
        Run a verb on a snapshot; it cannot write.

        Raises:
            Unavailable: the server cannot be reached, is busy, or takes too long. And what the verb raises.
        """
        return await self._run(BEGIN_READ, verb.__name__, lambda tx: verb(tx, *args, **kwargs))

    async def read_at_once(
        self,
        verb: Callable[Concatenate[Any, P], Coroutine[Any, Any, T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """
        Run a verb of a few small queries, each of which sees the newest state, as if they were asked one by one.

        Raises:
            what read() raises.
        """
        return await self._run("", verb.__name__, lambda tx: verb(tx, *args, **kwargs))

    async def write(
        self,
        verb: Callable[Concatenate[Any, P], Coroutine[Any, Any, T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """
        Run a verb that may write; all of it or nothing.

        Raises:
            StorageFull; OutcomeUnknown; and what read() raises.
        """
        return await self._run(BEGIN_WRITE, verb.__name__, lambda tx: verb(tx, *args, **kwargs))

    async def _run(self, begin: str, name: str, run: Callable[[PostgresTransaction], Coroutine[Any, Any, T]]) -> T:
        return await shielded(self._attempts(begin, name, run), (PkgregdError,))

    async def _attempts(self, begin: str, name: str, run: Callable[[PostgresTransaction], Coroutine[Any, Any, T]]) -> T:
        began = self._reactor.seconds()

        def is_late() -> bool:
            return bool(self._reactor.seconds() - began >= self._settings.statement_seconds)

        attempt, has_collided = 0, False
        try:
            while True:
                attempt += 1
                if attempt > 1:
                    self._measures.count(Tally.VERB_REPEATS)
                try:
                    return await self._attempt(begin, run, in_line=has_collided and begin == BEGIN_WRITE)
                except psycopg2.Error as error:
                    if not is_collision(error) or attempt == self._settings.max_attempts or is_late():
                        raise _in_our_words(name, error) from error
                    has_collided = True
                except NotCommitted as error:
                    self._pool.distrust()
                    if attempt > MAX_BROKEN or self._reactor.seconds() - began >= self._settings.mend_seconds:
                        _tell(name, error)
                        raise Unavailable("the database went away") from error
                except ConnectionBroken as error:
                    self._pool.distrust()
                    _tell(name, error)
                    raise OutcomeUnknown("the database went away") from error
        finally:
            took_seconds = self._reactor.seconds() - began
            if took_seconds > self._settings.slow_seconds:
                log.warn("{verb} took {seconds:.3f} s", verb=name, seconds=took_seconds, event="catalog.slow_verb")

    async def _attempt(
        self, begin: str, run: Callable[[PostgresTransaction], Coroutine[Any, Any, T]], *, in_line: bool
    ) -> T:
        connection = await self._pool.borrow()
        try:
            if in_line:
                await _enter_line(connection)
            try:
                return await self._transact(connection, begin, run)
            finally:
                if in_line:
                    await _finish(connection, OUT_OF_LINE)
        finally:
            self._pool.give_back(connection)

    async def _transact(
        self, connection: Connection, begin: str, run: Callable[[PostgresTransaction], Coroutine[Any, Any, T]]
    ) -> T:
        make = PostgresTransaction if begin else PostgresGlance
        tx = make(int(self._reactor.seconds() * 1_000_000), connection, self._texts, begin)
        try:
            result = await run(tx)
        except ConnectionBroken as error:
            raise NotCommitted(str(error)) from error
        except GeneratorExit:
            connection.close()  # the process ends in the middle of a statement: nothing can be awaited any more
            raise
        except BaseException as error:
            if isinstance(error, psycopg2.Error) and is_read_only(error):
                connection.close()  # the one that writes is found by another connection, if at all
            if tx.has_begun:
                await _finish(connection, "ROLLBACK")
            raise
        if tx.has_begun:
            if begin == BEGIN_READ:
                await _finish(connection, "COMMIT")
            else:
                await connection.run("COMMIT", {})
        return result

    async def close(self) -> None:
        """Finish every verb, queued ones included, and close the connections. Safe to call again."""
        await self._pool.close()


async def _enter_line(connection: Connection) -> None:
    """
    Wait for the turn of those who collided.

    Raises:
        NotCommitted: the connection broke. psycopg2.Error: it took too long.
    """
    try:
        await connection.run(IN_LINE, {})
    except ConnectionBroken as error:
        raise NotCommitted(str(error)) from error
    except psycopg2.Error:
        connection.close()  # it may have come to its turn as it gave up, and would keep it as long as it lives
        raise


async def _finish(connection: Connection, text: str) -> None:
    """End what has no outcome, or whose outcome is known; if that fails the server ends it with the connection."""
    if not connection.is_open:
        return
    try:
        await connection.run(text, {})
    except (ConnectionBroken, psycopg2.Error):
        connection.close()


def _in_our_words(name: str, error: psycopg2.Error) -> Exception:
    known = translated(error)
    if known is None:
        return error
    _tell(name, error)
    return known


def _tell(name: str, error: Exception) -> None:
    log.error("{verb} failed: {reason}", verb=name, reason=str(error).strip(), event="catalog.failed_verb")
