"""The SQLite driver: transactions, threads, queues, and what goes wrong."""

from __future__ import annotations

import contextlib
import datetime
import json
import pathlib
import sqlite3
import threading
from collections.abc import Awaitable
from typing import Any, TypeVar

from attrs import evolve
from sqlalchemy import column, literal_column, select
from sqlalchemy import table as some_table
from twisted.internet.defer import CancelledError, Deferred, ensureDeferred, gatherResults
from twisted.trial.unittest import SynchronousTestCase

from pkgregd.catalog.sql import SqlCatalog
from pkgregd.catalog.sqlite import SqliteDatabase, SqliteSettings, SqliteTransaction, connect
from pkgregd.catalog.statement import Statement, Transaction, insert
from pkgregd.catalog.tables import paths
from pkgregd.clockwork import Shortcut
from pkgregd.errors import FileExists, NotFound, SchemaError, StorageFull, Unavailable
from pkgregd.testing.catalog_contract import START_SECONDS, blob_of, publication_of
from pkgregd.values import (
    ANONYMOUS,
    NO_PRECONDITION,
    OnDuplicate,
    PackageFile,
    PackageStatus,
    Precondition,
    Principal,
    ProtectionLevel,
    Published,
    RuleTerms,
    TokenKind,
    Visibility,
)
from tests.catalog.support import DEADLINE_SECONDS, ThreadedClock, make_folder, migrated_file

T = TypeVar("T")

ADD_PATH = Statement(insert(paths).values(path_key=literal_column("'acme'")))
COUNT_PATHS = Statement(select(paths.c.path_key))
NONSENSE = Statement(select(column("x")).select_from(some_table("nowhere")))


async def add_path(tx: Transaction) -> None:
    """Write a row."""
    await tx.execute(ADD_PATH)


async def count_paths(tx: Transaction) -> int:
    """Count the rows that add_path() writes."""
    return len(await tx.fetch_all(COUNT_PATHS))


async def add_path_then_fail(tx: Transaction) -> None:
    """Write a row and think better of it."""
    await tx.execute(ADD_PATH)
    raise NotFound("there is no more")


class SqliteCase(SynchronousTestCase):
    """A database and its threads, without a reactor."""

    settings = SqliteSettings()

    def setUp(self) -> None:
        """Make a migrated database and open it."""
        self.reactor = ThreadedClock()
        self.reactor.advance(START_SECONDS)
        self.path = migrated_file(make_folder(self.addCleanup) / "catalog.sqlite3")
        self.database = self.open()

    def open(self, connect: Any = connect) -> SqliteDatabase:
        """Open the database once more; closed when the test ends."""
        database = SqliteDatabase(self.reactor, self.path, self.settings, connect)
        self.addCleanup(lambda: self.get(database.close()))
        return database

    def start(self, awaitable: Awaitable[T]) -> Deferred[T]:
        """Run something and do not wait."""

        async def awaited() -> T:
            return await awaitable

        return ensureDeferred(awaited())

    def get(self, awaitable: Awaitable[T]) -> T:
        """Wait for a result."""
        deferred = self.start(awaitable)
        self.reactor.wait(deferred)
        return self.successResultOf(deferred)

    def error(self, awaitable: Awaitable[object]) -> BaseException:
        """Wait for a failure."""
        deferred = self.start(awaitable)
        self.reactor.wait(deferred)
        error: BaseException = self.failureResultOf(deferred).value
        return error

    @contextlib.contextmanager
    def by_hand(self) -> Any:
        """Open the database beside ours, as another process would."""
        with contextlib.closing(sqlite3.connect(self.path, isolation_level=None, timeout=0)) as connection:
            yield connection


class Gate:
    """A verb that waits in its thread until the test lets it go on."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.opened = threading.Event()

    async def wait(self, tx: Transaction) -> None:
        """Wait there."""
        self.entered.set()
        if not self.opened.wait(DEADLINE_SECONDS):
            raise RuntimeError("nobody opened the gate")


class TransactionTests(SqliteCase):
    """One verb, one transaction."""

    def test_writes_are_seen_by_later_reads(self) -> None:
        """What a write has committed is there for every reader."""
        self.get(self.database.write(add_path))
        self.assertEqual([self.get(self.database.read(count_paths)) for _ in range(6)], [1] * 6)

    def test_an_error_undoes_the_verb(self) -> None:
        """The error arrives as it was raised, and nothing of the verb stays."""
        self.assertEqual(str(self.error(self.database.write(add_path_then_fail))), "there is no more")
        self.assertEqual(self.get(self.database.read(count_paths)), 0)
        self.get(self.database.write(add_path))

    def test_a_read_cannot_write(self) -> None:
        """Readers' connections refuse to."""
        self.assertIsInstance(self.error(self.database.read(add_path)), Unavailable)
        self.assertEqual(self.get(self.database.read(count_paths)), 0)

    def test_a_verb_may_not_suspend(self) -> None:
        """Awaiting anything but the transaction is a bug, and undone."""

        async def suspends(tx: Transaction) -> None:
            await tx.execute(ADD_PATH)
            await Deferred()

        self.assertIsInstance(self.error(self.database.write(suspends)), RuntimeError)
        self.assertEqual(self.get(self.database.read(count_paths)), 0)

    def test_bugs_arrive_as_they_are(self) -> None:
        """Bad SQL and broken constraints are no condition that passes."""

        async def bad_sql(tx: Transaction) -> None:
            await tx.fetch_all(NONSENSE)

        async def twice(tx: Transaction) -> None:
            await tx.execute(ADD_PATH)
            await tx.execute(ADD_PATH)

        self.assertIsInstance(self.error(self.database.read(bad_sql)), sqlite3.OperationalError)
        self.assertIsInstance(self.error(self.database.write(twice)), sqlite3.IntegrityError)
        self.get(self.database.write(add_path))

    def test_the_connections_are_set_up(self) -> None:
        """Acknowledged means on the disk; references hold."""
        with contextlib.closing(connect(self.path)) as connection:
            found = [
                connection.execute(f"PRAGMA {name}").fetchone()[0]
                for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
            ]
        self.assertEqual(found, ["wal", 2, 1, 5000])

    def test_a_read_sees_one_moment(self) -> None:
        """A commit in the middle of a read is not seen by it."""
        gate = Gate()

        async def counts_twice(tx: Transaction) -> tuple[int, int]:
            before = await count_paths(tx)
            await gate.wait(tx)
            return before, await count_paths(tx)

        reading = self.start(self.database.read(counts_twice))
        self.assertTrue(gate.entered.wait(DEADLINE_SECONDS))
        self.get(self.database.write(add_path))
        gate.opened.set()
        self.assertEqual(self.get(reading), (0, 0))

    def test_reads_do_not_wait_for_a_writer(self) -> None:
        """While a write holds the database, reads see the state before it."""
        gate = Gate()

        async def adds_slowly(tx: Transaction) -> None:
            await tx.execute(ADD_PATH)
            await gate.wait(tx)

        self.addCleanup(gate.opened.set)
        writing = self.start(self.database.write(adds_slowly))
        self.assertTrue(gate.entered.wait(DEADLINE_SECONDS))
        self.assertEqual(self.get(self.database.read(count_paths)), 0)
        self.assertNoResult(writing)
        gate.opened.set()
        self.get(writing)
        self.assertEqual(self.get(self.database.read(count_paths)), 1)


class DeliveryTests(SqliteCase):
    """The way back from the threads."""

    def test_one_turn_tells_what_was_there_when_it_began(self) -> None:
        """What is delivered meanwhile waits for the next turn: callers that always ask again leave room for others."""
        again: list[Deferred[int]] = []

        def ask_again(_: int) -> None:
            again.append(self.start(self.database.read(count_paths)))
            self.reactor.wait_for_call()

        self.get(self.start(self.database.read(count_paths)).addCallback(ask_again))
        self.assertNoResult(again[0])
        self.assertEqual(self.get(again[0]), 0)


class QueueTests(SqliteCase):
    """Waiting for a thread: bounds, deadlines, cancellation, closing."""

    settings = SqliteSettings(reader_threads=1, max_waiting=2, max_wait_seconds=10)

    def setUp(self) -> None:
        """Keep both threads busy."""
        super().setUp()
        self.gates = [Gate(), Gate()]
        self.addCleanup(self.open_gates)
        self.running = [
            self.start(self.database.read(self.gates[0].wait)),
            self.start(self.database.write(self.gates[1].wait)),
        ]
        for gate in self.gates:
            self.assertTrue(gate.entered.wait(DEADLINE_SECONDS))

    def open_gates(self) -> None:
        """Let the threads go on."""
        for gate in self.gates:
            gate.opened.set()

    def test_a_full_queue_refuses(self) -> None:
        """One verb too many is refused at once; each queue has its own bound."""
        reads = [self.start(self.database.read(count_paths)) for _ in range(3)]
        writes = [self.start(self.database.write(count_paths)) for _ in range(3)]
        for refused in (reads[2], writes[2]):
            self.failureResultOf(refused, Unavailable)
        self.open_gates()
        self.assertEqual(self.get(gatherResults(reads[:2] + writes[:2])), [0, 0, 0, 0])

    def test_waiting_too_long(self) -> None:
        """A verb that did not begin in time is refused and never runs; one that runs is waited for."""
        reading = self.start(self.database.read(count_paths))
        writing = self.start(self.database.write(add_path))
        self.reactor.advance(9.9)
        self.assertNoResult(reading)
        self.reactor.advance(0.2)
        for refused in (reading, writing):
            self.failureResultOf(refused, Unavailable)
        for running in self.running:
            self.assertNoResult(running)
        self.open_gates()
        self.assertEqual(self.get(gatherResults(self.running)), [None, None])
        self.assertEqual(self.get(self.database.read(count_paths)), 0)

    def test_cancelling_a_read(self) -> None:
        """A cancelled read that waits is skipped, and leaves no call behind."""
        began = []

        async def never(tx: Transaction) -> None:
            began.append(tx)

        reading = self.start(self.database.read(never))
        reading.cancel()
        self.failureResultOf(reading, CancelledError)
        self.open_gates()
        self.get(gatherResults(self.running))
        self.get(self.database.read(count_paths))
        self.assertEqual(began, [])
        self.reactor.advance(10.1)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def commits(self, *verbs: Any) -> list[Deferred[Any]]:
        """Have verbs wait for the writer together, let it go, and return what became of them."""
        waiting = [self.start(self.database.write(verb)) for verb in verbs]
        self.open_gates()
        self.get(gatherResults(self.running))
        for deferred in waiting:
            self.reactor.wait(deferred)
        return waiting

    def test_writes_that_wait_share_a_commit(self) -> None:
        """They see each other's rows, and nothing is told before all of it is committed."""
        added, counted = self.commits(add_path, count_paths)
        self.assertEqual((self.successResultOf(added), self.successResultOf(counted)), (None, 1))
        self.assertEqual(self.get(self.database.read(count_paths)), 1)

    def test_a_failed_write_takes_no_other_with_it(self) -> None:
        """Only what the failing verb did is undone."""
        failed, added = self.commits(add_path_then_fail, add_path)
        self.failureResultOf(failed, NotFound)
        self.assertIsNone(self.successResultOf(added))
        self.assertEqual(self.get(self.database.read(count_paths)), 1)

    def test_a_broken_statement_takes_no_other_with_it(self) -> None:
        """A bug in one verb stays its own."""

        async def broken(tx: Transaction) -> None:
            await tx.execute(NONSENSE)

        added, failed = self.commits(add_path, broken)
        self.assertIsNone(self.successResultOf(added))
        self.failureResultOf(failed, sqlite3.OperationalError)
        self.assertEqual(self.get(self.database.read(count_paths)), 1)

    def test_a_failed_commit_takes_every_answer_with_it(self) -> None:
        """Also a refusal that looked at what another verb wrote: the row that it tells of never came to be."""

        async def add_and_fail_the_commit(tx: SqliteTransaction) -> None:
            await add_path(tx)
            tx.connection.execute("PRAGMA defer_foreign_keys = ON")
            tx.connection.execute("INSERT INTO group_ancestors VALUES (7, 7, 0)")

        async def add_unless_there(tx: Transaction) -> None:
            if await count_paths(tx):
                raise FileExists("acme")
            await add_path(tx)

        for failed in self.commits(add_and_fail_the_commit, add_unless_there):
            self.failureResultOf(failed, sqlite3.IntegrityError)
        self.assertEqual(self.get(self.database.read(count_paths)), 0)

    def test_cancelling_a_write(self) -> None:
        """A cancelled write is carried out; only the wait ends."""
        writing = self.start(self.database.write(add_path))
        writing.cancel()
        self.failureResultOf(writing, CancelledError)
        self.running[1].cancel()
        self.failureResultOf(self.running[1], CancelledError)
        self.open_gates()
        self.get(self.database.close())
        with self.by_hand() as connection:
            self.assertEqual(connection.execute("SELECT count(*) FROM paths").fetchone(), (1,))

    def test_closing(self) -> None:
        """close() refuses new verbs, carries out the queued ones, and comes back when the threads are gone."""
        writing = self.start(self.database.write(add_path))
        closing = self.start(self.database.close())
        again = self.start(self.database.close())
        self.failureResultOf(self.start(self.database.read(count_paths)), Unavailable)
        self.assertNoResult(closing)
        self.open_gates()
        self.get(gatherResults([closing, again]))
        self.successResultOf(writing)
        self.successResultOf(gatherResults(self.running))
        self.assertFalse([thread for thread in threading.enumerate() if thread.name.startswith("catalog-")])
        self.assertEqual([file.name for file in self.path.parent.iterdir()], [self.path.name])


class AtOnceTests(SqliteCase):
    """Small reads on the reactor thread."""

    def read_at_once(self) -> Deferred[int]:
        """Count paths, without letting any thread deliver."""
        return self.start(self.database.read_at_once(count_paths))

    def test_at_once(self) -> None:
        """The answer is there at once, and it is that of the newest state."""
        self.assertEqual(self.successResultOf(self.read_at_once()), 0)
        self.get(self.database.write(add_path))
        self.assertEqual(self.successResultOf(self.read_at_once()), 1)

    def test_on_a_thread_when_it_was_slow(self) -> None:
        """A read that took long sends the next ones to the threads."""
        times = iter([0.0, 0.0, 1.0])
        self.database._shortcut = Shortcut(lambda: next(times, 1.0))
        self.assertEqual(self.successResultOf(self.read_at_once()), 0)
        reading = self.read_at_once()
        self.assertNoResult(reading)
        self.assertEqual(self.get(self.database.read(count_paths)), 0)
        self.reactor.wait(reading)
        self.assertEqual(self.successResultOf(reading), 0)

    def test_what_a_verb_raises(self) -> None:
        """It reaches the caller, and the connection serves the next one."""

        async def fail(tx: Transaction) -> None:
            await tx.fetch_all(COUNT_PATHS)
            raise NotFound("x")

        self.failureResultOf(self.start(self.database.read_at_once(fail)), NotFound)
        self.assertEqual(self.successResultOf(self.read_at_once()), 0)

    def test_it_cannot_write(self) -> None:
        """As on the reader threads."""
        error = self.error(self.database.read_at_once(add_path))
        self.assertIsInstance(error, (sqlite3.OperationalError, Unavailable))
        self.assertEqual(self.get(self.database.read(count_paths)), 0)

    def test_trouble_goes_to_the_threads(self) -> None:
        """Whatever SQLite says here, a reader thread finds out anew, and says it in our words."""
        self.assertIsInstance(self.error(self.open(self.broken).read_at_once(count_paths)), Unavailable)

    @staticmethod
    def broken(path: pathlib.Path, settings: SqliteSettings) -> sqlite3.Connection:
        """Fail to connect as SQLite does when a file is not readable."""
        error = sqlite3.OperationalError("unable to open database file")
        error.sqlite_errorcode = sqlite3.SQLITE_CANTOPEN
        error.sqlite_errorname = "SQLITE_CANTOPEN"
        raise error

    def test_after_the_end(self) -> None:
        """A closed database reads nothing."""
        self.assertEqual(self.successResultOf(self.read_at_once()), 0)
        self.get(self.database.close())
        self.failureResultOf(self.read_at_once(), Unavailable)


class TroubleTests(SqliteCase):
    """When SQLite cannot."""

    settings = SqliteSettings(busy_seconds=0.05)

    def test_locked_by_another_process(self) -> None:
        """A lock that another process keeps makes writes unavailable, and reads go on."""
        with self.by_hand() as connection:
            connection.execute("BEGIN IMMEDIATE")
            self.assertIsInstance(self.error(self.database.write(add_path)), Unavailable)
            self.assertEqual(self.get(self.database.read(count_paths)), 0)
            connection.execute("ROLLBACK")
        self.get(self.database.write(add_path))

    def test_a_full_disk(self) -> None:
        """Without space writes say so and leave nothing, reads go on, and space cures it."""

        def connect_to_full_disk(path: pathlib.Path, settings: SqliteSettings) -> sqlite3.Connection:
            connection = connect(path, settings)
            pages = connection.execute("PRAGMA page_count").fetchone()[0]
            connection.execute(f"PRAGMA max_page_count = {pages + room}").fetchall()
            return connection

        room = 20
        catalog = SqlCatalog(self.database)
        self.get(catalog.add_group("acme", Visibility.PRIVATE))
        self.get(catalog.add_project("acme/tools", Visibility.PRIVATE))
        full = SqlCatalog(self.open(connect_to_full_disk))
        published: list[PackageFile] = []
        while True:
            publication = publication_of(b"%d" % len(published), version=f"{len(published)}")
            filler = json.dumps("x" * 3000)
            deferred = self.start(full.publish(evolve(publication, file_metadata_json=filler), ANONYMOUS))
            self.reactor.wait(deferred)
            outcome: list[Any] = []
            deferred.addBoth(outcome.append)
            if not isinstance(outcome[0], Published):
                break
            published.append(outcome[0].file)
        outcome[0].trap(StorageFull)
        self.assertGreater(len(published), 3)
        self.assertEqual(self.get(full.list_files([1], "pypi", "alpha")), tuple(published))
        self.assertEqual(len(self.get(full.list_blobs("", 100))), len(published))
        self.get(full.check())
        self.get(catalog.publish(publication, ANONYMOUS))

    def test_a_database_that_goes_away(self) -> None:
        """A connection that cannot be opened is unavailable; the next verb tries again."""
        failures = [sqlite3.OperationalError("unable to open database file")]
        failures[0].sqlite_errorcode = sqlite3.SQLITE_CANTOPEN
        failures[0].sqlite_errorname = "SQLITE_CANTOPEN"

        def connect_at_last(path: pathlib.Path, settings: SqliteSettings) -> sqlite3.Connection:
            if failures:
                raise failures.pop()
            return connect(path, settings)

        database = self.open(connect_at_last)
        self.assertIsInstance(self.error(database.write(add_path)), Unavailable)
        self.get(database.write(add_path))

    def test_a_damaged_database(self) -> None:
        """Garbage in the place of the database is unavailable, for reads and writes."""
        self.get(self.database.close())
        self.path.write_bytes(b"garbage, " * 1000)
        database = self.open()
        self.assertIsInstance(self.error(database.read(count_paths)), Unavailable)
        self.assertIsInstance(self.error(database.write(add_path)), Unavailable)
        self.assertIsInstance(self.error(SqlCatalog(database).check()), Unavailable)

    def test_a_schema_that_moved_on(self) -> None:
        """check() notices that another process has migrated past us."""
        catalog = SqlCatalog(self.database)
        with self.by_hand() as connection:
            connection.execute("UPDATE alembic_version SET version_num = '9999'")
        self.assertIsInstance(self.error(catalog.check()), SchemaError)


class PublishingTests(SqliteCase):
    """What only the database can show of the verbs."""

    def setUp(self) -> None:
        """Make a project."""
        super().setUp()
        self.catalog = SqlCatalog(self.database)
        self.get(self.catalog.add_group("acme", Visibility.PRIVATE))
        self.get(self.catalog.add_project("acme/tools", Visibility.PRIVATE))

    def race(self, catalogs: list[SqlCatalog], on_duplicate: OnDuplicate) -> list[object]:
        """Publish other bytes to the same place from 64 callers at once; returns results and failures."""
        attempts = [
            self.start(
                catalogs[number % len(catalogs)].publish(
                    evolve(publication_of(b"%d" % (number // 2)), on_duplicate=on_duplicate), ANONYMOUS
                )
            )
            for number in range(64)
        ]
        outcomes: list[object] = []
        for attempt in attempts:
            attempt.addBoth(outcomes.append)
        self.reactor.run_until(lambda: len(outcomes) == len(attempts))
        return outcomes

    def test_one_winner(self) -> None:
        """Of 32 different files for one place one is created; its twin is told so, all others are refused."""
        catalogs = [self.catalog, SqlCatalog(self.open()), SqlCatalog(self.open())]
        outcomes = self.race(catalogs, OnDuplicate.REFUSE)
        published = [outcome for outcome in outcomes if isinstance(outcome, Published)]
        self.assertEqual(sorted(outcome.created for outcome in published), [False, True])
        for outcome in outcomes:
            if not isinstance(outcome, Published):
                outcome.trap(FileExists)  # type: ignore[attr-defined]
        files = self.get(self.catalog.list_files([1], "pypi", "alpha"))
        self.assertEqual([file.blob for file in files], [published[0].file.blob])
        self.assertEqual(len(self.get(self.catalog.list_blobs("", 100))), 1)

    def test_replacing_at_once(self) -> None:
        """Every replacement succeeds, and one file with one used blob is left."""
        catalogs = [self.catalog, SqlCatalog(self.open())]
        outcomes = self.race(catalogs, OnDuplicate.REPLACE)
        self.assertTrue(all(isinstance(outcome, Published) for outcome in outcomes))
        (file,) = self.get(self.catalog.list_files([1], "pypi", "alpha"))
        self.reactor.advance(1)
        unused = self.rows("SELECT count(*) FROM blobs WHERE released_at IS NOT NULL")
        self.assertEqual(unused, [(31,)])
        self.assertFalse(self.get(self.catalog.is_blob_unused(file.blob.sha256)))

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Look into the database."""
        with self.by_hand() as connection:
            found: list[tuple[Any, ...]] = connection.execute(sql).fetchall()
            return found

    def test_every_change_leaves_one_audit_entry(self) -> None:
        """Each change says who did what to which file, in the same transaction; what changes nothing says nothing."""
        jane = Principal("jane", TokenKind.PERSONAL, 5, 7)
        first = self.get(self.catalog.publish(publication_of(b"x"), jane)).file
        self.get(self.catalog.publish(publication_of(b"x"), jane))
        self.error(self.catalog.publish(publication_of(b"y"), jane))
        self.get(self.catalog.publish(evolve(publication_of(b"y"), on_duplicate=OnDuplicate.REPLACE), ANONYMOUS))
        self.get(self.catalog.publish(evolve(publication_of(b"y"), status=PackageStatus.HIDDEN), jane))
        self.get(self.catalog.delete_file(first.id, jane, NO_PRECONDITION))
        self.get(self.catalog.delete_file(first.id, jane, NO_PRECONDITION))
        rows = self.rows(
            "SELECT action, principal_name, user_id, token_id, project_id, happened_at, detail_json"
            " FROM audit_entries WHERE id > 2 ORDER BY id"
        )
        self.assertEqual(
            [row[:5] for row in rows],
            [
                ("publish", "jane", 7, 5, 1),
                ("replace", "anonymous", None, None, 1),
                ("set_status", "jane", 7, 5, 1),
                ("delete", "jane", 7, 5, 1),
            ],
        )
        self.assertEqual({row[5] for row in rows}, {int(START_SECONDS * 1_000_000)})
        x, y = blob_of(b"x").sha256.hex, blob_of(b"y").sha256.hex
        details = [json.loads(row[6]) for row in rows]
        self.assertEqual([detail["sha256"] for detail in details], [x, y, y, y])
        self.assertEqual([detail.get("replaced_sha256") for detail in details], [None, x, None, None])
        self.assertEqual(details[3]["file_name"], "alpha-1.0.tar.gz")

    def test_each_change_of_a_rule_leaves_one_audit_entry(self) -> None:
        """It says who, and which rule as it is then and was before; what changes nothing says nothing."""
        jane = Principal("jane", TokenKind.PERSONAL, 5, 7)
        terms = RuleTerms("pypi", "Acme_*", "acme-*", ProtectionLevel.OWNER, None)
        rule = self.get(self.catalog.add_rule(1, terms, jane))
        self.error(self.catalog.add_rule(1, terms, jane))
        self.get(self.catalog.change_rule(rule, terms, jane))
        changed = evolve(terms, delete_level=ProtectionLevel.ADMIN)
        self.get(self.catalog.change_rule(rule, changed, jane))
        self.get(self.catalog.change_rule(rule, terms, jane))
        for _ in "12":
            self.get(self.catalog.remove_rule(1, rule.id, jane))
        rows = self.rows(
            "SELECT action, principal_name, token_id, project_id, detail_json FROM audit_entries"
            " WHERE action LIKE '%_rule' ORDER BY id"
        )
        told = {"rule_id": rule.id, "format": "pypi", "pattern": "Acme_*", "push": "owner", "delete": None}
        before = {name: value for name, value in told.items() if name != "rule_id"}
        self.assertEqual(
            [(*row[:4], json.loads(row[4])) for row in rows],
            [
                ("add_protection_rule", "jane", 5, 1, told),
                ("change_protection_rule", "jane", 5, 1, {**told, "delete": "admin", "before": before}),
                ("remove_protection_rule", "jane", 5, 1, {**told, "delete": "admin"}),
            ],
        )

    def test_deleted_package_leaves_one_audit_entry(self) -> None:
        """However many files it had, one entry tells of it, and only the tombstones tell of each file."""
        jane = Principal("jane", TokenKind.PERSONAL, 5, 7)
        for number in range(3):
            publication = publication_of(f"{number}".encode(), file_name=f"{number}.zip")
            package_id = self.get(self.catalog.publish(publication, jane)).file.package_id
        self.error(
            self.catalog.delete_package(
                1, package_id, jane, Precondition(unmodified_since=datetime.datetime(2001, 1, 1, tzinfo=datetime.UTC))
            )
        )
        self.assertTrue(self.get(self.catalog.delete_package(1, package_id, jane, NO_PRECONDITION)))
        self.assertFalse(self.get(self.catalog.delete_package(1, package_id, jane, NO_PRECONDITION)))
        rows = self.rows(
            "SELECT principal_name, user_id, token_id, project_id, detail_json FROM audit_entries"
            " WHERE action = 'delete_package'"
        )
        detail = {"format": "pypi", "name": "alpha", "version": "1.0", "status": "default", "files": 3}
        self.assertEqual([(*row[:4], json.loads(row[4])) for row in rows], [("jane", 7, 5, 1, detail)])
        buried = self.rows("SELECT file_name FROM tombstones ORDER BY file_name")
        self.assertEqual(buried, [("0.zip",), ("1.zip",), ("2.zip",)])
        left = self.rows("SELECT (SELECT count(*) FROM packages), (SELECT count(*) FROM package_files)")
        self.assertEqual(left, [(0, 0)])

    def test_the_list_of_ancestors_is_closed(self) -> None:
        """Every group has itself and all above it, with the distance."""
        self.get(self.catalog.add_group("acme/one", Visibility.PRIVATE))
        self.get(self.catalog.add_group("acme/one/two", Visibility.PRIVATE))
        self.get(self.catalog.add_group("zeta", Visibility.PRIVATE))
        self.assertEqual(
            self.rows("SELECT group_id, ancestor_id, depth FROM group_ancestors ORDER BY group_id, depth"),
            [(1, 1, 0), (2, 2, 0), (2, 1, 1), (3, 3, 0), (3, 2, 1), (3, 1, 2), (4, 4, 0)],
        )

    def test_the_database_refuses_a_token_without_bounds(self) -> None:
        """Even a row written by hand cannot be a token that is good everywhere."""
        for kind in ("project", "group", "deploy", "job", "personal", "other"):
            with self.by_hand() as connection, self.assertRaises(sqlite3.IntegrityError):
                connection.execute(
                    "INSERT INTO tokens (public_id, secret_sha256, kind, name, scopes_json, created_at)"
                    " VALUES ('x', 'x', ?, 'x', '[]', 0)",
                    (kind,),
                )
