"""
Connections to PostgreSQL: opened when they are needed, lent to one verb at a time, replaced when they break.

txpostgres carries them on the reactor. Every wait here has a deadline, because a server that is not there any more
does not say so. Only this module and its neighbours `postgresql` and `postgresql_schema` know psycopg2.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping
from typing import Any

import psycopg2
import psycopg2.extensions
from attrs import evolve, frozen
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from txpostgres import txpostgres

from pkgregd.catalog.postgresql_url import read_url
from pkgregd.catalog.statement import Row
from pkgregd.catalog.turns import TooLate, TooMany, Turns
from pkgregd.errors import PkgregdError, StorageFull, Unavailable
from pkgregd.interfaces import IMeasures
from pkgregd.unmeasured import UNMEASURED
from pkgregd.values import Gauge, Tally

log = Logger()

BYTEA_OID = 17


@frozen
class PostgresSettings:
    """
    Bounds of the driver.

    Attributes:
        max_connections: how many verbs run at once.
        max_waiting: verbs that wait for a connection; one more is refused.
        max_wait_seconds: how long a verb may wait for one before it is refused.
        connect_seconds: how long opening one may take.
        statement_seconds: how long the server works at one statement before it gives up.
        silence_seconds: how long a statement may be without an answer before its connection is given up; more than
            statement_seconds.
        slow_seconds: a verb that takes longer is logged.
        line_seconds: how long a verb lets others go first that stand in line, before it goes beside them.
        crowd_seconds: how long after a collision the next verbs stand in line from the beginning.
        max_attempts: how often a verb is run that others get in the way of.
        mend_seconds: a verb whose connection breaks is run again if that happens so soon; later its client is told.
    """

    max_connections: int = 16
    max_waiting: int = 1000
    max_wait_seconds: float = 2.0
    connect_seconds: float = 3.0
    statement_seconds: float = 8.0
    silence_seconds: float = 9.0
    slow_seconds: float = 0.5
    line_seconds: float = 0.5
    crowd_seconds: float = 5.0
    max_attempts: int = 20
    mend_seconds: float = 1.0

    def with_patience(self, statement_seconds: float) -> PostgresSettings:
        """Return settings for somebody whose statements may take so long."""
        return evolve(self, statement_seconds=statement_seconds, silence_seconds=statement_seconds + 1.0)


LOST_SECONDS = 9
"""
How long the network may say nothing at all, in either direction: a server that works at a long statement still answers
there.
"""

KEEPALIVE_SECONDS = 30
"""After how much silence both ends ask for a sign of life."""

DEFAULT_SETTINGS = PostgresSettings()


BE_DURABLE = (
    "SELECT set_config('synchronous_commit', 'on', false)"
    " WHERE current_setting('synchronous_commit') IN ('off', 'local')"
)
"""What is committed is to survive the server's end; a server that promises more than that keeps its promise."""


class ConnectionBroken(Exception):
    """The server is gone, or does not answer."""


def is_ended(error: psycopg2.Error) -> bool:
    """Whether the server says with an error that it ends the connection: it stops, or somebody told it to."""
    return error.pgcode is not None and (error.pgcode.startswith("08") or error.pgcode in ("57P01", "57P02", "57P03"))


def is_read_only(error: psycopg2.Error) -> bool:
    """Whether a server does not write: it stands by for another one, where it knows no SERIALIZABLE either."""
    return error.pgcode in ("25006", "0A000")


def is_timeout(error: psycopg2.Error) -> bool:
    """Whether a server gave up what it was told, or waited for, since it took too long."""
    return error.pgcode in ("55P03", "57014")


_as_bytes = psycopg2.extensions.new_type(
    (BYTEA_OID,), "BYTES", lambda value, cursor: None if value is None else bytes(psycopg2.BINARY(value, cursor))
)


def connection_options(url: str, settings: PostgresSettings) -> Mapping[str, object]:
    """
    Say how a connection is opened.

    Args:
        url: `postgresql://…`, as libpq reads it.

    Raises:
        ConfigError: libpq cannot read it.
    """
    options = {
        "statement_timeout": f"{int(settings.statement_seconds * 1000)}",
        "idle_in_transaction_session_timeout": f"{int(settings.silence_seconds * 1000)}",
        # a host that lost its power says no goodbye, and may be the one whose turn it is
        "tcp_user_timeout": f"{LOST_SECONDS * 1000}",
        "tcp_keepalives_idle": f"{KEEPALIVE_SECONDS}",
        "tcp_keepalives_interval": f"{LOST_SECONDS}",
        "timezone": "UTC",
        "client_encoding": "UTF8",
        "jit": "off",  # compiling a small statement takes longer than running it
    }
    given = read_url(url)
    ours = " ".join(f"-c {name}={value}" for name, value in options.items())
    return {
        "application_name": "pkgregd",
        "keepalives_idle": KEEPALIVE_SECONDS,
        "tcp_user_timeout": LOST_SECONDS * 1000,
        **given,
        "options": f"{ours} {given.get('options', '')}".strip(),
    }


_PARAMETER = re.compile(r"%\((\w+)\)s", re.ASCII)


def prepared(text: str, name: str) -> tuple[str, str]:
    """
    Write a statement as one that the server keeps.

    Args:
        text: with parameters as psycopg2 writes them; no other `%` but in pairs.
        name: by which it is kept.

    Returns:
        What prepares it, which has to be sent with parameters as well, and what executes it.
    """
    names = list(dict.fromkeys(_PARAMETER.findall(text)))
    numbers = {each: f"${number}" for number, each in enumerate(names, 1)}
    numbered = _PARAMETER.sub(lambda found: numbers[found[1]], text)
    values = ", ".join(f"%({each})s" for each in names)
    return f"PREPARE {name} AS {numbered}; ", f"EXECUTE {name} ({values})" if names else f"EXECUTE {name}"


class _TxCursor(txpostgres.Cursor):
    """A cursor that tells a statement that the server gave up from one that was cancelled here, which none is."""

    def _handleCancellation(self, failure: Failure) -> Failure:
        return failure


class _TxConnection(txpostgres.Connection):
    """A connection that closes itself when it breaks while nobody waits for it."""

    cursorFactory = _TxCursor

    def doRead(self) -> None:
        """See IReadDescriptor."""
        try:
            super().doRead()
        except psycopg2.Error as error:
            log.info("a connection to the database ended: {reason}", reason=str(error).strip(), event="catalog.ended")
            self.close()
        except ValueError:
            if self.fileno() >= 0:
                raise
            # refused while it was opened: txpostgres would go on watching a socket that is no more; who waits is told


class Connection:
    """
    One connection, lent to one verb at a time.

    Reactor: every method on the reactor thread.
    """

    def __init__(self, reactor: Any, settings: PostgresSettings) -> None:
        self._reactor = reactor
        self._settings = settings
        self._connection = _TxConnection(reactor=reactor)
        self._prepared: dict[str, str] = {}
        self._numbers = itertools.count()

    async def open(self, options: Mapping[str, object]) -> None:
        """
        Connect.

        Raises:
            ConnectionBroken: not in time, or not at all. psycopg2.Error: the server does not know our settings.
        """
        await self._within(self._settings.connect_seconds, self._connection.connect(**options))
        psycopg2.extensions.register_type(_as_bytes, self._connection.pollable())
        await self.run(BE_DURABLE, {})

    async def run(self, text: str, parameters: Mapping[str, object]) -> Any:
        """
        Execute, and return the cursor with all rows.

        Raises:
            psycopg2.Error: the server refuses it. ConnectionBroken.
        """
        try:
            cursor = self._connection.cursor()
        except psycopg2.InterfaceError as error:
            raise ConnectionBroken(str(error)) from error
        return await self._within(self._settings.silence_seconds, cursor.execute(text, parameters))

    async def run_prepared(self, text: str, parameters: Mapping[str, object]) -> Any:
        """Execute what the server plans the first time and keeps. Raises as run()."""
        known = self._prepared.get(text)
        if known is not None:
            return await self.run(known, parameters)
        # a new name each time: what is prepared stays so if executing it fails
        prepare, execute = prepared(text, f"s{next(self._numbers)}")
        cursor = await self.run(prepare + execute, parameters)
        self._prepared[text] = execute
        return cursor

    async def fetch(self, text: str, parameters: Mapping[str, object]) -> list[Row]:
        """Execute, and return every row. Raises as run()."""
        cursor = await self.run(text, parameters)
        rows: list[Row] = cursor.fetchall()
        return rows

    @property
    def is_open(self) -> bool:
        """Whether it was not seen to break."""
        pollable = self._connection.pollable()
        return pollable is not None and not bool(pollable.closed)

    @property
    def is_idle(self) -> bool:
        """Whether no transaction is going on."""
        status: int = self._connection.pollable().get_transaction_status()
        return status == psycopg2.extensions.TRANSACTION_STATUS_IDLE

    def close(self) -> None:
        """Let go of it; what waits for an answer fails."""
        if self._connection.pollable() is not None:
            self._connection.close()

    async def _within(self, seconds: float, answer: Deferred[Any]) -> Any:
        """Wait for an answer; a connection that gives none in time is closed."""
        timer = self._reactor.callLater(seconds, self.close)
        try:
            return await answer
        except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
            if self.is_open and error.pgcode is not None and not is_ended(error):
                raise
            self.close()
            raise ConnectionBroken(str(error).strip()) from error
        except psycopg2.Error:
            raise
        except CancelledError:
            self.close()  # nobody knows what the server still does
            raise
        except Exception as error:  # txpostgres hands on whatever the reactor says of a lost connection
            self.close()
            raise ConnectionBroken(str(error)) from error
        finally:
            if timer.active():
                timer.cancel()


class Pool:
    """
    Connections, of which each verb borrows one.

    Args:
        reactor: provides IReactorTime and IReactorFDSet.
        connect: opens a connection.
        measures: told of what becomes of connections.

    Attributes:
        line: of verbs that go one at a time, before they borrow a connection.

    Reactor: every method on the reactor thread.
    """

    def __init__(
        self, reactor: Any, connect: Callable[[], Any], settings: PostgresSettings, measures: IMeasures = UNMEASURED
    ) -> None:
        self._measures = measures
        self._turns = Turns(reactor, settings.max_connections, settings.max_waiting)
        self.line = Turns(reactor, 1, settings.max_waiting)
        measures.watch(Gauge.CATALOG_WAITING, lambda: self._turns.waiting + self.line.waiting)
        measures.watch(Gauge.CATALOG_CONNECTIONS_IDLE, lambda: len(self._idle))
        measures.watch(Gauge.CATALOG_CONNECTIONS_BUSY, lambda: self._turns.taken)
        self._connect = connect
        self._settings = settings
        self._idle: list[Connection] = []
        self._is_closing = False

    async def borrow(self) -> Connection:
        """
        Take a connection that was not seen to break; the caller gives it back.

        Raises:
            Unavailable: none came free in time, or none can be opened.
        """
        if self._turns.must_wait:
            self._measures.count(Tally.CONNECTION_WAITS)
        try:
            await self._turns.take(self._settings.max_wait_seconds)
        except TooMany:
            raise Unavailable("too many requests wait for the database") from None
        except TooLate:
            log.warn("a verb waited too long for a connection", event="catalog.queue_timeout")
            raise Unavailable("the database is busy") from None
        try:
            while self._idle:
                connection = self._idle.pop()
                if connection.is_open:
                    return connection
                self._measures.count(Tally.CONNECTIONS_BROKEN)
                connection.close()
            opened: Connection = await self._connect()
            self._measures.count(Tally.CONNECTIONS_OPENED)
        except ConnectionBroken as error:
            self._turns.end()
            log.error("no connection to the database: {reason}", reason=str(error), event="catalog.no_connection")
            raise Unavailable("the database cannot be reached at the moment") from error
        except BaseException:
            self._turns.end()
            raise
        return opened

    def distrust(self) -> None:
        """Close what is idle: where one connection broke the others did too, as a rule."""
        while self._idle:
            self._idle.pop().close()

    def give_back(self, connection: Connection) -> None:
        """Take a connection back; one that is broken, or in the middle of something, is closed."""
        if connection.is_open and connection.is_idle and not self._is_closing:
            self._idle.append(connection)
        else:
            self._measures.count(Tally.CONNECTIONS_BROKEN)
            connection.close()
        self._turns.end()

    def close(self) -> None:
        """Close all connections; those that are lent, when they come back."""
        self._is_closing = True
        self.distrust()


def is_collision(error: psycopg2.Error) -> bool:
    """
    Whether an error is others' doing, so that running the verb again may succeed.

    A broken constraint is that too: the verb looked, and another one was faster. Next time it sees the other's rows.
    """
    return error.pgcode is not None and (error.pgcode in ("40001", "40P01") or error.pgcode.startswith("23"))


def translated(error: psycopg2.Error) -> PkgregdError | None:
    """
    Say an error of PostgreSQL's in our words.

    Returns:
        None for what only a bug can cause: bad SQL, a broken constraint.
    """
    code = error.pgcode or ""
    if code in ("53100", "54000"):
        return StorageFull()
    if code in ("40001", "40P01", "55P03", "57014"):
        return Unavailable("the database is busy")
    if is_read_only(error):
        return Unavailable("the database cannot be changed at the moment")
    if code.startswith(("08", "53", "57", "58", "XX")) or code == "25P03":
        return Unavailable("the database cannot be used at the moment")
    return None
