"""
Run verbs on SQLite: one thread that writes, a few that read.

A verb's coroutine runs to its end inside its thread, in one hop from the
reactor and back; or on the reactor thread, if it is a few small queries whose
pages are in memory. Only this module and `schema` know the sqlite3 module.
"""

from __future__ import annotations

import contextlib
import pathlib
import queue
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

from attrs import define, frozen
from attrs import field as attribute
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from pkgregd.catalog.statement import SQLITE, Row, SqlText, Statement, Transaction, compile_all
from pkgregd.clockwork import Shortcut
from pkgregd.errors import PkgregdError, StorageFull, Unavailable

P = ParamSpec("P")
T = TypeVar("T")
log = Logger()

MIB = 1024 * 1024

MAX_SHARED_COMMIT = 64
"""How many verbs that wait for the writer go into one transaction, and so into one sync of the disk."""


@frozen
class SqliteSettings:
    """
    Bounds of the driver.

    Attributes:
        reader_threads: how many reads run at once.
        max_waiting: verbs in the queue of the writer, or of the readers; one more is refused.
        max_wait_seconds: how long a verb may stand in a queue before it is refused.
        busy_seconds: how long a write waits for another process's.
        slow_seconds: a verb that takes longer in its thread is logged.
        cache_bytes: page cache of each connection.
        journal_limit_bytes: the write-ahead log is cut back to this after a checkpoint.
    """

    reader_threads: int = 3
    max_waiting: int = 1000
    max_wait_seconds: float = 10.0
    busy_seconds: float = 5.0
    slow_seconds: float = 0.5
    cache_bytes: int = 8 * MIB
    journal_limit_bytes: int = 64 * MIB


DEFAULT_SETTINGS = SqliteSettings()


def connect(path: pathlib.Path, settings: SqliteSettings = DEFAULT_SETTINGS) -> sqlite3.Connection:
    """
    Open an existing database for one thread. Transactions are begun by hand.

    Raises:
        sqlite3.Error
    """
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw",
        uri=True,
        isolation_level=None,
        timeout=settings.busy_seconds,
        cached_statements=256,
    )
    try:
        for pragma in (
            "journal_mode = WAL",
            "synchronous = FULL",
            "foreign_keys = ON",
            f"cache_size = -{settings.cache_bytes // 1024}",
            f"journal_size_limit = {settings.journal_limit_bytes}",
        ):
            connection.execute(f"PRAGMA {pragma}").fetchall()
    except BaseException:
        connection.close()
        raise
    return connection


def translated(error: sqlite3.Error) -> PkgregdError | None:
    """
    Say an error of SQLite's in our words.

    Returns:
        None for what only a bug can cause: bad SQL, a broken constraint.
    """
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return None
    primary = code & 0xFF
    if primary == sqlite3.SQLITE_FULL or code == sqlite3.SQLITE_IOERR_SHMSIZE:
        return StorageFull()
    if primary in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL):
        return Unavailable("the database is busy")
    if primary in _BROKEN:
        return Unavailable("the database cannot be used at the moment")
    return None


_BROKEN = frozenset(
    {
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_READONLY,
    }
)
"""Not the statement's fault. The connection is opened anew for the next verb."""


@frozen
class SqliteTransaction:
    """A transaction of one thread's connection. Its coroutines never suspend."""

    now: int
    connection: sqlite3.Connection
    texts: Mapping[Statement, SqlText]

    def _execute(self, statement: Statement, parameters: dict[str, object]) -> sqlite3.Cursor:
        sql = self.texts[statement]
        if sql.constants:
            parameters.update(sql.constants)
        return self.connection.execute(sql.text, parameters)

    async def fetch_all(self, statement: Statement, **parameters: object) -> list[Row]:
        """See Transaction."""
        return self._execute(statement, parameters).fetchall()

    async def fetch_one(self, statement: Statement, **parameters: object) -> Row | None:
        """See Transaction."""
        # All rows, not one: a statement left in the middle would keep the transaction from committing.
        rows = self._execute(statement, parameters).fetchall()
        return rows[0] if rows else None

    async def execute(self, statement: Statement, **parameters: object) -> int:
        """See Transaction."""
        return self._execute(statement, parameters).rowcount


def run_to_end(coroutine: Coroutine[Any, Any, T]) -> T:
    """
    Run a coroutine that never suspends.

    Raises:
        RuntimeError: it did suspend.
    """
    try:
        coroutine.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    coroutine.close()
    raise RuntimeError("a verb awaited something other than its transaction")


@define(eq=False)
class _Job(Generic[T]):
    """
    One verb on its way through a thread.

    Attributes:
        deferred: fires on the reactor thread.
        expires_at: when it has waited too long to begin, by the reactor's clock.
        claim: taken by whoever decides first: the thread that begins, or the reactor that gives up.
        result, error: how it ended.
    """

    name: str
    run: Callable[[Transaction], Coroutine[Any, Any, T]]
    deferred: Deferred[T]
    expires_at: float
    claim: threading.Lock = attribute(factory=threading.Lock)
    result: Any = None
    error: BaseException | None = None


class _Worker:
    """
    One thread with its connection.

    Reactor: everything but the constructor and join() runs in the thread.
    """

    def __init__(self, database: SqliteDatabase, lane: _Lane, name: str) -> None:
        self._database = database
        self._lane = lane
        self._connection: sqlite3.Connection | None = None
        self.ended: Deferred[None] = Deferred()
        self._thread = threading.Thread(target=self._loop, name=name, daemon=True)
        self._thread.start()

    def join(self) -> None:
        """Wait for the thread; it has nothing left to do once `ended` fired."""
        self._thread.join()

    def _loop(self) -> None:
        while (job := self._lane.jobs.get()) is not None:
            jobs = [job] if job.claim.acquire(blocking=False) else []
            if self._lane.writes:
                jobs += self._more_jobs()
            if jobs:
                self._work(jobs)
            del job, jobs
        self._disconnect()
        self._database.reactor.callFromThread(self.ended.callback, None)

    def _more_jobs(self) -> list[_Job[Any]]:
        """Take what else waits, so that it shares one commit."""
        jobs: list[_Job[Any]] = []
        while len(jobs) < MAX_SHARED_COMMIT:
            try:
                job = self._lane.jobs.get_nowait()
            except queue.Empty:
                break
            if job is None:
                self._lane.jobs.put(None)  # the end, for when these are done
                break
            if job.claim.acquire(blocking=False):
                jobs.append(job)
        return jobs

    def _work(self, jobs: list[_Job[Any]]) -> None:
        try:
            self._transact(jobs)
        except BaseException as error:  # whatever it is belongs to those who asked; the thread goes on
            # also to one that was refused: perhaps for what another one wrote, which never came to be
            for job in jobs:
                job.error = error
        for job in jobs:
            if isinstance(job.error, sqlite3.Error):
                job.error = self._in_our_words(job, job.error)
        self._lane.delivered.extend(jobs)
        self._lane.announce()

    def _transact(self, jobs: list[_Job[Any]]) -> None:
        """
        Run jobs in one transaction; what one of them did is undone if it fails, and all of it if the commit does.

        Raises:
            sqlite3.Error: then nothing at all has happened.
        """
        if self._connection is None:
            self._connection = self._database.connect(self._lane.writes)
        connection = self._connection
        connection.execute(self._lane.begin)
        try:
            for job in jobs:
                self._run(connection, job, alone=len(jobs) == 1)
            connection.execute("COMMIT")
        except BaseException:
            self._roll_back(connection)
            raise

    def _run(self, connection: sqlite3.Connection, job: _Job[Any], *, alone: bool) -> None:
        began = time.monotonic()
        if not alone:
            connection.execute("SAVEPOINT job")
        try:
            job.result = run_to_end(job.run(self._database.transaction(connection)))
        except BaseException as error:
            if alone or not connection.in_transaction:
                raise  # SQLite itself gave the whole transaction up
            job.error = error
            connection.execute("ROLLBACK TO job")
        if not alone:
            connection.execute("RELEASE job")
        took_seconds = time.monotonic() - began
        if took_seconds > self._database.settings.slow_seconds:
            log.warn("{verb} took {seconds:.3f} s", verb=job.name, seconds=took_seconds, event="catalog.slow_verb")

    def _roll_back(self, connection: sqlite3.Connection) -> None:
        try:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        except sqlite3.Error:
            self._disconnect()

    def _in_our_words(self, job: _Job[Any], error: sqlite3.Error) -> Exception:
        known = translated(error)
        if known is None:
            return error
        log.error(
            "{verb} failed: {reason} ({code})",
            verb=job.name,
            reason=str(error),
            code=error.sqlite_errorname,
            event="catalog.failed_verb",
        )
        if error.sqlite_errorcode & 0xFF in _BROKEN:
            self._disconnect()
        return known

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.close()
            except sqlite3.Error as error:
                log.error("closing failed: {reason}", reason=str(error), event="catalog.close_failed")


class _Lane:
    """
    A queue of verbs and the threads that serve it.

    Attributes:
        jobs: to the threads.
        delivered: from the threads, for the reactor.

    Reactor: every method but announce() on the reactor thread.
    """

    def __init__(self, database: SqliteDatabase, *, writes: bool, threads: int) -> None:
        self.writes = writes
        self.begin = "BEGIN IMMEDIATE" if writes else "BEGIN"
        self.jobs: queue.SimpleQueue[_Job[Any] | None] = queue.SimpleQueue()
        self.delivered: deque[_Job[Any]] = deque()
        self._is_announced = False
        self._waiting: dict[_Job[Any], None] = {}
        self._watch: IDelayedCall | None = None
        self._reactor = database.reactor
        self._settings = database.settings
        kind = "writer" if writes else "reader"
        self.workers = [_Worker(database, self, f"catalog-{kind}-{number}") for number in range(threads)]

    async def submit(self, name: str, run: Callable[[Transaction], Coroutine[Any, Any, T]]) -> T:
        if self.jobs.qsize() >= self._settings.max_waiting:
            raise Unavailable("too many requests wait for the database")

        def on_cancel(_: Deferred[T]) -> None:
            if not self.writes and job.claim.acquire(blocking=False):
                self._waiting.pop(job, None)

        job = _Job(name, run, Deferred(on_cancel), self._reactor.seconds() + self._settings.max_wait_seconds)
        self._waiting[job] = None
        if self._watch is None:
            self._watch = self._reactor.callLater(self._settings.max_wait_seconds, self._expire)
        self.jobs.put(job)
        return await job.deferred

    def _expire(self) -> None:
        """Refuse what has waited too long to begin; one timer watches over all jobs, which come in order."""
        self._watch = None
        now = self._reactor.seconds()
        for job in list(self._waiting):
            if job.expires_at > now:
                self._watch = self._reactor.callLater(job.expires_at - now, self._expire)
                return
            del self._waiting[job]
            if job.claim.acquire(blocking=False) and not job.deferred.called:
                log.warn("{verb} waited too long", verb=job.name, event="catalog.queue_timeout")
                job.deferred.errback(Unavailable("the database is busy"))

    def announce(self) -> None:
        """Have the reactor fetch what was delivered; called in a thread, and costs nothing if it is on its way."""
        if not self._is_announced:
            self._is_announced = True
            self._reactor.callFromThread(self._fetch)

    def _fetch(self) -> None:
        self._is_announced = False  # first: what is delivered from now on announces itself
        for _ in range(len(self.delivered)):  # and waits for its turn: whoever is told may ask again at once
            self._settle(self.delivered.popleft())

    def _settle(self, job: _Job[Any]) -> None:
        self._waiting.pop(job, None)
        if job.error is None:
            if not job.deferred.called:
                job.deferred.callback(job.result)
        elif not job.deferred.called:
            job.deferred.errback(job.error)
        else:
            log.error(
                "{verb}, awaited by nobody, failed: {reason}",
                verb=job.name,
                reason=repr(job.error),
                event="catalog.abandoned",
            )

    def stop(self) -> None:
        """Let the threads finish what is queued, and end."""
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        for _ in self.workers:
            self.jobs.put(None)


class SqliteDatabase:
    """
    A SQLite database that runs verbs in named transactions.

    Args:
        reactor: provides IReactorTime and IReactorFromThreads.
        path: of an existing, migrated database.
        connect: opens a connection for the thread that calls it.
        shortcut: decides whether small reads are done on the reactor thread.
        now: the time of day, in seconds since 1970; without it that of the reactor.

    Reactor: every method on the reactor thread.
    Cancellation: a cancelled read that still waits in the queue is skipped; a write is carried out anyway.
    """

    def __init__(
        self,
        reactor: Any,
        path: pathlib.Path,
        settings: SqliteSettings = DEFAULT_SETTINGS,
        connect: Callable[[pathlib.Path, SqliteSettings], sqlite3.Connection] = connect,
        shortcut: Shortcut | None = None,
        now: Callable[[], float] | None = None,
    ) -> None:
        self._now: Callable[[], float] = now or reactor.seconds
        self.reactor = reactor
        self.settings = settings
        self._path = path
        self._connect = connect
        self._texts = compile_all(SQLITE)
        self._closing = False
        self._shortcut = shortcut or Shortcut()
        self._here: sqlite3.Connection | None = None
        self._writer = _Lane(self, writes=True, threads=1)
        self._readers = _Lane(self, writes=False, threads=settings.reader_threads)

    async def read(
        self,
        verb: Callable[Concatenate[Transaction, P], Coroutine[Any, Any, T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """
        Run a verb on a snapshot; it cannot write.

        Raises:
            Unavailable: busy, closing, or waited too long. StorageFull; and what the verb raises.
        """
        return await self._run(self._readers, verb, *args, **kwargs)

    async def read_at_once(
        self,
        verb: Callable[Concatenate[Transaction, P], Coroutine[Any, Any, T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """
        Run a verb of a few small queries on a snapshot: here if that takes no time, else as read() does.

        Raises:
            what read() raises.
        """
        if self._shortcut.is_open and not self._closing:
            try:
                return self._shortcut.run(lambda: self._read_here(verb(self._transaction_here(), *args, **kwargs)))
            except sqlite3.Error:
                # busy or broken: the readers know what to do about it
                self._disconnect_here()
        return await self._run(self._readers, verb, *args, **kwargs)

    def _transaction_here(self) -> SqliteTransaction:
        """Return a transaction, not begun yet, of the reactor's own connection."""
        if self._here is None:
            self._here = self.connect(writes=False)
            self._here.execute("PRAGMA busy_timeout = 0")
        return self.transaction(self._here)

    def _read_here(self, coroutine: Coroutine[Any, Any, T]) -> T:
        connection = self._here
        assert connection is not None
        try:
            connection.execute("BEGIN")
            return run_to_end(coroutine)
        finally:
            coroutine.close()
            if connection.in_transaction:
                connection.execute("COMMIT")

    def _disconnect_here(self) -> None:
        connection, self._here = self._here, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.close()

    async def write(
        self,
        verb: Callable[Concatenate[Transaction, P], Coroutine[Any, Any, T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Run a verb that sees the newest state and may change it; all of it or nothing. Raises what read() raises."""
        return await self._run(self._writer, verb, *args, **kwargs)

    def waiting(self) -> int:
        """Return how many verbs wait for a thread."""
        return self._writer.jobs.qsize() + self._readers.jobs.qsize()

    async def _run(
        self,
        lane: _Lane,
        verb: Callable[Concatenate[Transaction, P], Coroutine[Any, Any, T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        if self._closing:
            raise Unavailable("the catalog is closed")
        return await lane.submit(verb.__name__, lambda tx: verb(tx, *args, **kwargs))

    def connect(self, writes: bool) -> sqlite3.Connection:
        """Open the connection of a worker thread; called there."""
        connection = self._connect(self._path, self.settings)
        if not writes:
            connection.execute("PRAGMA query_only = ON")
        return connection

    def transaction(self, connection: sqlite3.Connection) -> SqliteTransaction:
        """Wrap a connection on which a transaction has begun; called in its thread."""
        return SqliteTransaction(int(self._now() * 1_000_000), connection, self._texts)

    async def close(self) -> None:
        """Finish every verb, queued ones included, and end the threads. Safe to call again."""
        lanes = (self._writer, self._readers)
        if not self._closing:
            self._closing = True
            self._disconnect_here()
            for lane in lanes:
                lane.stop()
        for lane in lanes:
            for worker in lane.workers:
                await worker.ended
                worker.join()
