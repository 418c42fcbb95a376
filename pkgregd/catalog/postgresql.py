"""
Run verbs on PostgreSQL.

A verb that writes runs as if it were alone (SERIALIZABLE), as it does on SQLite, where it is. When the server finds
that two could not have run one after the other it refuses one of them, which is then run again: a verb does nothing
but ask its transaction, so it may be. One that was refused stands in line with the others that were, so that the
unlucky do not get in each other's way for ever: of each process one at a time, and of those all processes' one. While
there is a crowd those that come stand in line from the beginning, since what is refused is work for nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Concatenate, ParamSpec, TypeVar

import psycopg2
from attrs import define, field
from sqlalchemy.dialects.postgresql.psycopg2 import PGDialect_psycopg2
from twisted.internet.defer import Deferred
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
    is_timeout,
    translated,
)
from pkgregd.catalog.statement import Row, SqlText, Statement, compile_all
from pkgregd.catalog.turns import TooLate, TooMany
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

FOR_SO_LONG = "SELECT set_config('lock_timeout', %(milliseconds)s, true); "
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
        now: the time of day, in seconds since 1970; without it that of the reactor.

    Reactor: every method on the reactor thread.
    Cancellation: abandons the wait; a verb that has begun is carried out.
    """

    def __init__(
        self,
        reactor: Any,
        url: str,
        settings: PostgresSettings = DEFAULT_SETTINGS,
        measures: IMeasures = UNMEASURED,
        now: Callable[[], float] | None = None,
    ) -> None:
        self._now: Callable[[], float] = now or reactor.seconds
        self._reactor = reactor
        self._settings = settings
        self._options = connection_options(url, settings)
        self._texts = compile_all(POSTGRESQL)
        self._measures = measures
        self._pool = Pool(reactor, self._open, settings, measures)
        self._collided_at: float | None = None
        self._running = 0
        self._is_closing = False
        self._idle: list[Deferred[None]] = []

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
        if self._is_closing:
            raise Unavailable("the catalog is closed")
        return await shielded(self._attempts(begin, name, run), (PkgregdError,))

    async def _attempts(self, begin: str, name: str, run: Callable[[PostgresTransaction], Coroutine[Any, Any, T]]) -> T:
        self._running += 1
        began = self._reactor.seconds()
        try:
            return await self._until_done(began, begin, name, run)
        finally:
            self._end_one()
            took_seconds = self._reactor.seconds() - began
            if took_seconds > self._settings.slow_seconds:
                log.warn("{verb} took {seconds:.3f} s", verb=name, seconds=took_seconds, event="catalog.slow_verb")

    async def _until_done(
        self, began: float, begin: str, name: str, run: Callable[[PostgresTransaction], Coroutine[Any, Any, T]]
    ) -> T:
        attempt, has_collided = 0, False
        while True:
            attempt += 1
            if attempt > 1:
                self._measures.count(Tally.VERB_REPEATS)
            try:
                if begin == BEGIN_WRITE and (has_collided or self._is_crowded()):
                    return await self._in_line(run, has_collided=has_collided)
                return await self._attempt(begin, run)
            except psycopg2.Error as error:
                if is_read_only(error):
                    self._pool.distrust()  # the others lead to the same server, where another one may write by now
                is_late = self._reactor.seconds() - began >= self._settings.statement_seconds
                if not is_collision(error) or attempt == self._settings.max_attempts or is_late:
                    raise _in_our_words(name, error) from error
                has_collided = True
                self._collided_at = self._reactor.seconds()
            except NotCommitted as error:
                self._pool.distrust()
                if attempt > MAX_BROKEN or self._reactor.seconds() - began >= self._settings.mend_seconds:
                    _tell(name, error)
                    raise Unavailable("the database went away") from error
            except ConnectionBroken as error:
                self._pool.distrust()
                _tell(name, error)
                raise OutcomeUnknown("the database went away") from error

    def _is_crowded(self) -> bool:
        """Whether verbs collided a moment ago, or stand in line because of it."""
        if self._pool.line.taken:
            return True
        return (
            self._collided_at is not None
            and abs(self._reactor.seconds() - self._collided_at) < self._settings.crowd_seconds
        )

    async def _in_line(self, run: Callable[[PostgresTransaction], Coroutine[Any, Any, T]], *, has_collided: bool) -> T:
        seconds = self._settings.statement_seconds if has_collided else self._settings.line_seconds
        try:
            await self._pool.line.take(seconds)
            try:
                return await self._attempt(BEGIN_WRITE, run, line_seconds=seconds)
            finally:
                self._pool.line.end()
        except (TooMany, TooLate) as error:
            if has_collided:
                raise Unavailable("the database is busy") from error
        return await self._attempt(BEGIN_WRITE, run)  # somebody takes long, with whom it need not collide

    async def _attempt(
        self,
        begin: str,
        run: Callable[[PostgresTransaction], Coroutine[Any, Any, T]],
        *,
        line_seconds: float | None = None,
    ) -> T:
        connection = await self._pool.borrow()
        try:
            if line_seconds is not None:
                await _enter_line(connection, line_seconds)
            try:
                return await self._transact(connection, begin, run)
            finally:
                if line_seconds is not None:
                    await _finish(connection, OUT_OF_LINE)
        finally:
            self._pool.give_back(connection)

    async def _transact(
        self, connection: Connection, begin: str, run: Callable[[PostgresTransaction], Coroutine[Any, Any, T]]
    ) -> T:
        make = PostgresTransaction if begin else PostgresGlance
        tx = make(int(self._now() * 1_000_000), connection, self._texts, begin)
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

    def _end_one(self) -> None:
        self._running -= 1
        if not self._running:
            idle, self._idle = self._idle, []
            for each in idle:
                each.callback(None)

    async def close(self) -> None:
        """Finish every verb, queued ones included, and close the connections. Safe to call again."""
        self._is_closing = True
        if self._running:
            idle: Deferred[None] = Deferred()
            self._idle.append(idle)
            await idle
        self._pool.close()


async def _enter_line(connection: Connection, seconds: float) -> None:
    """
    Wait for the turn among all processes.

    Raises:
        TooLate: it did not come in time. NotCommitted: the connection broke. psycopg2.Error.
    """
    try:
        await connection.run(FOR_SO_LONG + IN_LINE, {"milliseconds": f"{int(seconds * 1000)}ms"})
    except ConnectionBroken as error:
        raise NotCommitted(str(error)) from error
    except psycopg2.Error as error:
        connection.close()  # it may have come to its turn as it gave up, and would keep it as long as it lives
        if is_timeout(error):
            raise TooLate from error
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
