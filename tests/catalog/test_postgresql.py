"""The PostgreSQL driver: collisions, connections that break, servers that are gone or silent."""

from __future__ import annotations

import contextlib
import gc
import sys
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import psycopg2
from attrs import evolve
from sqlalchemy import func, select
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pkgregd.catalog import identity, package_reading
from pkgregd.catalog.postgresql import IN_LINE, PostgresDatabase
from pkgregd.catalog.postgresql_pool import (
    Connection,
    ConnectionBroken,
    Pool,
    PostgresSettings,
    prepared,
    translated,
)
from pkgregd.catalog.statement import Statement, Transaction
from pkgregd.catalog.tables import users
from pkgregd.catalog.turns import TooLate, TooMany, Turns
from pkgregd.errors import InvalidName, InvalidRequest, OutcomeUnknown, PkgregdError, StorageFull, Unavailable
from pkgregd.testing.measures import KeptMeasures
from pkgregd.values import OPERATOR, Gauge, Tally
from tests.catalog.support import PollingClock, emptied_database
from tests.support.faults import FaultyProxy
from tests.support.postgresql import server

T = TypeVar("T")

COUNT = Statement(select(func.count()).select_from(users))
GIVES_UP_AFTER = Statement(select(func.current_setting("tcp_user_timeout")))
PAUSE = Statement(select(func.pg_sleep(30)))
TERMINATE = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pkgregd'"


async def count_users(tx: Transaction) -> int:
    """Count the users."""
    row = await tx.fetch_one(COUNT)
    assert row is not None
    return int(row[0])


async def add_next_user(tx: Transaction) -> str:
    """Add a user with the next number, which two at once would both take."""
    name = f"user-{await count_users(tx)}"
    await identity.add_user(tx, name, False, OPERATOR)
    return name


class Collision(psycopg2.Error):
    """What the server says of a transaction that another one got in the way of."""

    pgcode = "40001"  # type: ignore[assignment]  # read-only where psycopg2 makes it


def colliding_once() -> Callable[[Transaction], Coroutine[Any, Any, str]]:
    """Make a verb that collides with another one the first time."""
    collisions = [Collision()]

    async def add_after_a_collision(tx: Transaction) -> str:
        name = await add_next_user(tx)
        if collisions:
            raise collisions.pop()
        return name

    return add_after_a_collision


async def pause(tx: Transaction) -> None:
    """Keep the server busy for longer than it may take."""
    await tx.fetch_one(PAUSE)


class PostgresCase(SynchronousTestCase):
    """A database of the tests' own server, behind a proxy that can lose things."""

    settings = PostgresSettings()

    def setUp(self) -> None:
        """Open it."""
        self.reactor = PollingClock()
        self.measures = KeptMeasures()
        self.proxy = FaultyProxy(server().port)
        self.addCleanup(self.proxy.close)
        emptied_database()
        self.database = self.open(self.proxy.port)

    def open(self, port: int, host: str = "127.0.0.1") -> PostgresDatabase:
        """Open a database that is closed when the test ends."""
        url = f"postgresql://tests@{host}:{port}/postgres"
        database = PostgresDatabase(self.reactor, url, self.settings, self.measures)
        self.addCleanup(lambda: self.result(database.close()))
        return database

    def begin(self, coroutine: Coroutine[Any, Any, T]) -> Deferred[T]:
        """Start something."""
        return Deferred.fromCoroutine(coroutine)

    def result(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Wait for the end of something."""
        deferred = self.begin(coroutine)
        self.reactor.wait(deferred)
        return self.successResultOf(deferred)

    def failure(self, deferred: Deferred[Any], *expected: type[Exception]) -> Exception:
        """Wait for the failure of something."""
        self.reactor.wait(deferred)
        error = self.failureResultOf(deferred, *expected).value
        assert isinstance(error, Exception)
        return error


class CollisionTests(PostgresCase):
    """Writes behave as if they came one after the other."""

    def test_writes_that_collide_all_succeed(self) -> None:
        """Twenty that each take the next number, through two pools, get twenty numbers."""
        other = self.open(server().port)
        running = [self.begin(each.write(add_next_user)) for _ in range(10) for each in (self.database, other)]
        for deferred in running:
            self.reactor.wait(deferred)
        names = {self.successResultOf(deferred) for deferred in running}
        self.assertEqual(names, {f"user-{number}" for number in range(20)})

    def test_a_crowd_stands_in_line(self) -> None:
        """For a while after a collision nobody tries without: what is refused is work for nothing."""
        self.result(self.database.write(colliding_once()))
        self.proxy.cut_at = b"pg_advisory_lock"
        self.result(self.database.write(add_next_user))
        self.assertIsNone(self.proxy.cut_at)
        self.reactor.advance(self.settings.crowd_seconds)
        self.proxy.cut_at = b"pg_advisory_lock"
        self.assertEqual(self.result(self.database.write(add_next_user)), "user-2")
        self.result(self.database.read(count_users))
        self.assertIsNotNone(self.proxy.cut_at)

    def test_nobody_in_the_crowd_waits_for_long(self) -> None:
        """Whoever has not collided goes beside those who take long, of this process or of another one."""
        self.result(self.database.write(colliding_once()))
        with contextlib.closing(psycopg2.connect(server().url())) as other, other.cursor() as cursor:
            cursor.execute(IN_LINE)
            self.assertEqual(self.result(self.database.write(add_next_user)), "user-1")
        slow = self.begin(self.database.write(pause))
        self.reactor.run_until(lambda: self.measures.gauges[Gauge.CATALOG_CONNECTIONS_BUSY]() == 1)
        beside = self.begin(self.database.write(add_next_user))
        self.assertEqual(self.measures.gauges[Gauge.CATALOG_WAITING](), 1)
        self.reactor.advance(self.settings.line_seconds)
        self.reactor.wait(beside)
        self.assertEqual(self.successResultOf(beside), "user-2")
        self.assertNoResult(slow)
        self.proxy.cut()
        self.failure(slow, Unavailable)

    def test_a_refused_verb_leaves_nothing(self) -> None:
        """What a verb did before it raised is undone, and its connection serves the next one."""

        async def add_and_refuse(tx: Transaction) -> None:
            await identity.add_user(tx, "wendy", False, OPERATOR)
            raise InvalidName("no")

        self.failure(self.begin(self.database.write(add_and_refuse)), InvalidName)
        self.assertEqual(self.result(self.database.read(count_users)), 0)

    def test_nul(self) -> None:
        """A text with a character that the server has not got is refused as such, however it is asked for."""
        for run in (self.database.read, self.database.read_at_once):
            self.failure(self.begin(run(package_reading.find_by_key, [1], "nuget", "a\0b")), InvalidRequest)
        self.failure(self.begin(self.database.write(identity.add_user, "a\0b", False, OPERATOR)), PkgregdError)
        self.assertEqual(self.result(self.database.read(count_users)), 0)

    def test_a_read_cannot_write(self) -> None:
        """The server refuses it, as a bug."""
        self.failure(self.begin(self.database.read(add_next_user)), Unavailable)


class GlanceTests(PostgresCase):
    """Reads of a few small queries, which every request begins with."""

    settings = evolve(PostgresSettings(), max_connections=1, statement_seconds=0.2)

    def test_no_transaction(self) -> None:
        """Nothing is begun or committed around them, and what was committed by others meanwhile is seen."""
        self.result(self.database.write(add_next_user))
        self.proxy.cut_at = b"BEGIN"
        for _ in range(2):
            self.assertEqual(self.result(self.database.read_at_once(count_users)), 1)
        self.assertEqual(self.proxy.cut_at, b"BEGIN")
        self.proxy.cut_at = b"PREPARE"
        self.assertEqual(self.result(self.database.read_at_once(count_users)), 1)
        self.assertEqual(self.proxy.cut_at, b"PREPARE")

    def test_a_first_time_that_fails(self) -> None:
        """What was given up when it was prepared can be prepared again, on the same connection."""
        for _ in range(2):
            self.failure(self.begin(self.database.read_at_once(pause)), Unavailable)
        self.assertEqual(self.result(self.database.read_at_once(count_users)), 0)
        self.assertEqual(self.measures.tallies[Tally.CONNECTIONS_OPENED], 1)

    def test_a_broken_connection(self) -> None:
        """The next one has nothing prepared, and gets it."""
        self.result(self.database.read_at_once(count_users))
        self.proxy.cut_at = b"EXECUTE"
        self.assertEqual(self.result(self.database.read_at_once(count_users)), 0)
        self.assertIsNone(self.proxy.cut_at)

    def test_how_a_statement_is_written(self) -> None:
        """Each parameter has one number, and a percent sign is one."""
        prepare, execute = prepared("SELECT %(b)s, %(a)s, %(b)s, '%%'", "s1")
        self.assertEqual(prepare % {}, "PREPARE s1 AS SELECT $1, $2, $1, '%'; ")
        self.assertEqual(execute, "EXECUTE s1 (%(b)s, %(a)s)")
        self.assertEqual(prepared("SELECT 1", "s2")[1], "EXECUTE s2")


class BreakTests(PostgresCase):
    """Connections that break, and servers that are gone."""

    def test_broken_idle_connections_cost_nobody_anything(self) -> None:
        """A verb finds a new connection, whether the old ones were seen to break or not."""
        self.result(self.database.write(add_next_user))
        self.proxy.cut()
        self.assertEqual(self.result(self.database.write(add_next_user)), "user-1")
        with contextlib.closing(psycopg2.connect(server().url())) as connection, connection.cursor() as cursor:
            cursor.execute(TERMINATE)
            connection.commit()
        self.assertEqual(self.result(self.database.write(add_next_user)), "user-2")

    def test_the_server_restarts(self) -> None:
        """While it is down a verb is refused in our words, and afterwards it works."""
        self.result(self.database.write(add_next_user))
        self.proxy.close()
        self.assertIn("cannot be reached", str(self.failure(self.begin(self.database.read(count_users)), Unavailable)))
        database = self.open(server().port)
        self.result(database.read(count_users))
        server().restart()
        self.assertEqual(self.result(database.write(add_next_user)), "user-1")

    def test_broken_before_the_commit_is_run_again(self) -> None:
        """Nothing had happened, so it may."""
        self.result(self.database.read(count_users))
        self.proxy.cut_at = b"INSERT INTO users"
        running = self.begin(self.database.write(add_next_user))
        self.reactor.wait(running)
        self.assertIsNone(self.proxy.cut_at)
        self.assertEqual(self.successResultOf(running), "user-0")
        counted = {Tally.CONNECTIONS_OPENED: 2, Tally.CONNECTIONS_BROKEN: 1, Tally.VERB_REPEATS: 1}
        self.assertEqual(self.measures.tallies, counted)

    def test_broken_at_the_commit_is_told(self) -> None:
        """Nobody knows whether it happened, so it is not run again."""
        self.proxy.cut_at = b"COMMIT"
        self.failure(self.begin(self.database.write(add_next_user)), OutcomeUnknown)
        self.assertEqual(self.result(self.database.read(count_users)), 0)

    def test_a_read_that_is_broken_at_its_end_is_answered(self) -> None:
        """It has what it wanted, and has changed nothing."""
        self.proxy.cut_at = b"COMMIT"
        self.assertEqual(self.result(self.database.read(count_users)), 0)
        self.assertIsNone(self.proxy.cut_at)

    def test_broken_while_it_is_undone(self) -> None:
        """The verb's own refusal is told: nothing has happened, whether the server was told or not."""

        async def add_and_refuse(tx: Transaction) -> None:
            await identity.add_user(tx, "wendy", False, OPERATOR)
            raise InvalidName("no")

        self.proxy.cut_at = b"ROLLBACK"
        self.failure(self.begin(self.database.write(add_and_refuse)), InvalidName)
        self.assertIsNone(self.proxy.cut_at)
        self.assertEqual(self.result(self.database.read(count_users)), 0)

    def test_broken_in_line(self) -> None:
        """Before its turn a verb has done nothing, and is run again; after it all is done, which is told."""
        for number, words in enumerate((b"pg_advisory_lock", b"pg_advisory_unlock")):
            self.proxy.cut_at = words
            self.assertEqual(self.result(self.database.write(colliding_once())), f"user-{number}")
            self.assertIsNone(self.proxy.cut_at)

    def test_forgotten_in_the_middle(self) -> None:
        """A process that ends while a verb waits for the server says nothing about it."""

        async def begin_and_pause(tx: Transaction) -> None:
            await count_users(tx)
            begun.append(True)
            await pause(tx)

        begun: list[bool] = []
        unraisable: list[str] = []
        self.patch(sys, "unraisablehook", lambda seen: unraisable.append(repr(seen.exc_value)))
        reactor = PollingClock()
        database = PostgresDatabase(reactor, server().url(), self.settings)
        running = self.begin(database.write(begin_and_pause))
        reactor.run_until(lambda: bool(begun))
        self.assertNoResult(running)
        del reactor, database, running
        for _ in range(3):  # a Deferred is told of when what had it is gone
            gc.collect()
        self.flushLoggedErrors(RuntimeError)  # of Deferreds whose coroutines were closed before them
        self.assertEqual(unraisable, [])

    def test_ended_by_the_server_is_run_again(self) -> None:
        """A server that says that it ends a connection has done nothing of what was not committed."""

        async def add_after_the_end(tx: Transaction) -> str:
            name = f"user-{await count_users(tx)}"
            terminate()
            await identity.add_user(tx, name, False, OPERATOR)
            return name

        def terminate() -> None:
            if not ended:
                ended.append(True)
                server().administer(TERMINATE)

        ended: list[bool] = []
        self.assertEqual(self.result(self.database.write(add_after_the_end)), "user-0")
        self.assertEqual(self.result(self.database.read(count_users)), 1)

    def test_broken_late_is_told(self) -> None:
        """Who has waited for long does not wait for another try."""
        self.result(self.database.read(count_users))
        running = self.begin(self.database.read(pause))
        self.reactor.advance(self.settings.mend_seconds)
        self.proxy.cut()
        self.failure(running, Unavailable)

    def test_a_server_that_only_reads(self) -> None:
        """It is asked, and a change is refused in our words; no connection to it is used again for one."""
        server().administer("ALTER DATABASE postgres SET default_transaction_read_only = on")
        reset = "ALTER DATABASE postgres RESET default_transaction_read_only"
        self.addCleanup(server().administer, reset)
        for reading in [self.begin(self.database.read(count_users)) for _ in range(3)]:
            self.reactor.wait(reading)
            self.assertEqual(self.successResultOf(reading), 0)
        self.assertEqual(self.measures.gauges[Gauge.CATALOG_CONNECTIONS_IDLE](), 3)
        refusal = self.failure(self.begin(self.database.write(add_next_user)), Unavailable)
        self.assertEqual(str(refusal), "the database cannot be changed at the moment")
        server().administer(reset)
        self.assertEqual(self.result(self.database.write(add_next_user)), "user-0")

    def test_a_silent_server(self) -> None:
        """What is swallowed fails at its deadline, and as soon as the server answers again all is well."""
        self.result(self.database.read(count_users))
        self.proxy.swallow()
        running = self.begin(self.database.read(count_users))
        self.reactor.run_until(lambda: bool(self.reactor.getDelayedCalls()))
        self.assertNoResult(running)
        self.reactor.advance(self.settings.silence_seconds)
        self.failure(running, Unavailable)
        self.proxy.pass_on()
        self.assertEqual(self.result(self.database.read(count_users)), 0)

    def test_a_host_that_is_gone_is_noticed(self) -> None:
        """The server itself ends what nobody acknowledges: the line of those who collide would wait for a dead host."""

        async def read_setting(tx: Transaction) -> str:
            row = await tx.fetch_one(GIVES_UP_AFTER)
            assert row is not None
            return str(row[0])

        self.assertEqual(self.result(self.open(server().port).read(read_setting)), "9000")

    def test_a_silent_server_while_connecting(self) -> None:
        """Opening a connection has a deadline too."""
        self.proxy.swallow()
        running = self.begin(self.database.read(count_users))
        self.reactor.run_until(lambda: bool(self.reactor.getDelayedCalls()))
        self.reactor.advance(self.settings.connect_seconds)
        self.failure(running, Unavailable)
        self.proxy.pass_on()


class NamesTests(PostgresCase):
    """Hosts that are named."""

    def test_a_name_is_found(self) -> None:
        """Without libpq, which would block."""
        database = self.open(server().port, "localhost")
        self.assertEqual(self.result(database.read(count_users)), 0)

    def test_a_name_with_two_addresses(self) -> None:
        """Where the server does not listen at the first one, it is found at the second."""
        self.assertEqual(self.result(self.open(server().port, "twofold").read(count_users)), 0)

    def test_several_names(self) -> None:
        """Each is found as one alone, and that one of them is not known is nothing."""
        for hosts in ("missing,twofold", "127.0.0.1:1,twofold"):
            self.assertEqual(self.result(self.open(server().port, hosts).read(count_users)), 0)

    def test_a_name_that_is_not_found(self) -> None:
        """At once or not in time, it is a database that cannot be reached."""
        self.failure(self.begin(self.open(server().port, "missing").read(count_users)), Unavailable)
        running = self.begin(self.open(server().port, "slow").read(count_users))
        self.assertNoResult(running)
        self.reactor.advance(self.settings.connect_seconds)
        self.failure(running, Unavailable)


class BoundsTests(PostgresCase):
    """One connection, and little patience."""

    settings = evolve(PostgresSettings(), max_connections=1, max_waiting=2, statement_seconds=0.2, connect_seconds=20.0)

    def test_waiting_is_bounded(self) -> None:
        """One works, two wait, and the next is refused at once; who waits too long is refused then."""
        self.proxy.swallow()
        first, *waiting = [self.begin(self.database.read(count_users)) for _ in range(3)]
        gauges = (Gauge.CATALOG_CONNECTIONS_BUSY, Gauge.CATALOG_CONNECTIONS_IDLE, Gauge.CATALOG_WAITING)
        self.assertEqual([self.measures.gauges[gauge]() for gauge in gauges], [1, 0, 2])
        self.assertEqual(self.measures.tallies[Tally.CONNECTION_WAITS], 2)
        self.failure(self.begin(self.database.read(count_users)), Unavailable)
        waiting[0].cancel()
        self.failureResultOf(waiting[0])
        self.proxy.pass_on()
        self.reactor.wait(first)
        self.reactor.wait(waiting[1])
        self.assertEqual((self.successResultOf(first), self.successResultOf(waiting[1])), (0, 0))

    def test_waiting_ends(self) -> None:
        """A verb that gets no connection in time is refused."""
        self.proxy.swallow()
        first, second = [self.begin(self.database.read(count_users)) for _ in range(2)]
        self.reactor.advance(self.settings.max_wait_seconds)
        self.failure(second, Unavailable)
        self.reactor.advance(self.settings.connect_seconds)
        self.failure(first, Unavailable)

    def test_a_statement_has_a_deadline(self) -> None:
        """The server gives up what takes too long, and the connection is good for the next."""
        self.failure(self.begin(self.database.read(pause)), Unavailable)
        self.assertEqual(self.result(self.database.read(count_users)), 0)

    def test_standing_in_line_has_a_deadline(self) -> None:
        """Who gives up does not keep the connection: its turn may have come in that moment, and would never end."""
        with contextlib.closing(psycopg2.connect(server().url())) as other, other.cursor() as cursor:
            cursor.execute(IN_LINE)
            self.failure(self.begin(self.database.write(colliding_once())), Unavailable)
        self.assertEqual(self.measures.tallies[Tally.CONNECTIONS_BROKEN], 1)
        self.assertEqual(self.result(self.database.write(colliding_once())), "user-0")

    def test_closing_waits_for_verbs(self) -> None:
        """What runs and what waits is finished, and what comes later is refused."""
        running = [self.begin(self.database.write(add_next_user)) for _ in range(3)]
        closing = self.begin(self.database.close())
        self.reactor.wait(closing)
        self.assertEqual([self.successResultOf(each) for each in running], ["user-0", "user-1", "user-2"])
        self.failure(self.begin(self.database.read(count_users)), Unavailable)


class TurnTests(SynchronousTestCase):
    """Who goes, and who waits."""

    def setUp(self) -> None:
        """Let two go at once, and three wait."""
        self.clock = Clock()
        self.turns = Turns(self.clock, 2, 3)

    def take(self) -> Deferred[None]:
        """Ask for a turn."""
        return Deferred.fromCoroutine(self.turns.take(5.0))

    def test_order(self) -> None:
        """Who came first goes first; one that gave up, or waited too long, is passed over."""
        first, second, leaves, late = [self.take() for _ in range(4)]
        self.successResultOf(first)
        self.successResultOf(second)
        self.clock.advance(4.0)
        next_one = self.take()
        self.failureResultOf(self.take(), TooMany)
        leaves.cancel()
        self.failureResultOf(leaves, CancelledError)
        self.clock.advance(1.0)
        self.failureResultOf(late, TooLate)
        self.turns.end()
        self.assertNoResult(next_one)
        self.clock.advance(0)
        self.successResultOf(next_one)
        self.assertEqual((self.turns.taken, self.turns.waiting), (2, 0))
        for _ in range(2):
            self.turns.end()
        self.assertEqual(self.turns.taken, 0)

    def test_nobody_left(self) -> None:
        """A turn that was about to be handed on ends if nobody waits any more."""
        for _ in range(2):
            self.successResultOf(self.take())
        waiting = self.take()
        self.turns.end()
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        self.clock.advance(0)
        self.assertEqual(self.turns.taken, 1)

    def test_many_turns_that_end_at_once(self) -> None:
        """A server whose socket is gone refuses at once: everybody who waits is told so, and no turn is lost."""
        clock = Clock()
        waiting_count = 900
        refusals = iter(["first"] + ["gone"] * waiting_count)

        async def connect() -> Connection:
            if next(refusals) == "gone":
                raise ConnectionBroken("no such file or directory")
            return Connection(clock, settings)

        settings = PostgresSettings(max_connections=1)
        measures = KeptMeasures()
        pool = Pool(clock, connect, settings, measures)
        connection = self.successResultOf(Deferred.fromCoroutine(pool.borrow()))
        waiting = [Deferred.fromCoroutine(pool.borrow()) for _ in range(waiting_count)]
        pool.give_back(connection)
        clock.pump([0] * waiting_count)
        for each in waiting:
            self.failureResultOf(each, Unavailable)
        self.assertEqual(measures.gauges[Gauge.CATALOG_CONNECTIONS_BUSY](), 0)


class TranslationTests(SynchronousTestCase):
    """Errors in our words."""

    def test_errors(self) -> None:
        """A full disk is that; what is the server's state asks to try again; a bug stays one."""

        class Error(psycopg2.Error):
            pgcode: str | None = None  # type: ignore[assignment]  # read-only where psycopg2 makes it

        for code, expected in [
            ("53100", StorageFull),
            ("53300", Unavailable),
            ("57P01", Unavailable),
            ("25006", Unavailable),
            ("0A000", Unavailable),
            ("40001", Unavailable),
            ("42601", type(None)),
            (None, type(None)),
        ]:
            error = Error()
            error.pgcode = code
            self.assertIs(type(translated(error)), expected, code)
