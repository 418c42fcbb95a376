"""Tasks of several processes and hosts over one database: one has each, and their clocks do not matter."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred, gatherResults
from twisted.trial.unittest import SynchronousTestCase

from pkgregd.catalog.postgresql import PostgresDatabase
from pkgregd.catalog.sql import SqlCatalog
from pkgregd.catalog.sqlite import SqliteDatabase
from pkgregd.testing.catalog_contract import START_SECONDS
from pkgregd.values import PeriodicPlan, TaskLease
from tests.catalog.support import (
    PollingClock,
    ThreadedClock,
    emptied_database,
    make_folder,
    make_tasks_older,
    migrated_file,
)

DAY, HOUR = 86_400.0, 3600.0
KINDS = ["sweep", "derive"]
TASKS, PROCESSES = 24, 3


def run(clock: PollingClock | ThreadedClock, awaitable: Awaitable[Any]) -> Any:
    """Return the result of a verb."""

    async def wait() -> Any:
        return await awaitable

    results: list[Any] = []
    deferred: Deferred[Any] = ensureDeferred(wait())
    clock.wait(deferred)
    deferred.addCallback(results.append)
    return results[0]


class ManyProcessesTests(SynchronousTestCase):
    """Several processes that ask at once."""

    def assert_each_is_had_once(
        self, clock: PollingClock | ThreadedClock, open_catalog: Callable[[], SqlCatalog]
    ) -> None:
        """Have all of them take and end tasks until there are none; fail if one was taken twice, or not at all."""
        catalogs = [open_catalog() for _ in range(PROCESSES)]
        for number in range(TASKS):
            run(clock, catalogs[number % PROCESSES].enqueue_task("derive", str(number)))
        taken: list[TaskLease] = []

        async def work(catalog: SqlCatalog, name: str) -> None:
            while (lease := await catalog.lease_task(KINDS, name, HOUR)) is not None:
                taken.append(lease)
                self.assertTrue(await catalog.finish_task(lease))

        working = [ensureDeferred(work(catalog, f"{number}")) for number, catalog in enumerate(catalogs * 2)]
        run(clock, gatherResults(working))
        self.assertEqual(sorted(int(lease.key) for lease in taken), list(range(TASKS)))
        self.assertEqual({lease.number for lease in taken}, {1})
        self.assertEqual(run(clock, catalogs[0].list_tasks(0, 100)), ())
        for catalog in catalogs:
            run(clock, catalog.close())

    def test_on_sqlite(self) -> None:
        """Over one file."""
        clock = ThreadedClock()
        clock.advance(START_SECONDS)
        path = migrated_file(make_folder(self.addCleanup) / "catalog.sqlite3")
        self.assert_each_is_had_once(clock, lambda: SqlCatalog(SqliteDatabase(clock, path)))

    def test_on_postgresql(self) -> None:
        """Over one server, with a pool of connections each."""
        clock = PollingClock()
        url = emptied_database()
        self.assert_each_is_had_once(clock, lambda: SqlCatalog(PostgresDatabase(clock, url)))


class SkewTests(SynchronousTestCase):
    """Two hosts whose clocks are a day before and behind that of the database's server."""

    def setUp(self) -> None:
        """Open the database on both."""
        self.url = emptied_database()
        self.clocks, self.catalogs = [], []
        for seconds in (-DAY, DAY):
            clock = PollingClock()
            clock.advance(START_SECONDS + seconds)
            self.clocks.append(clock)
            self.catalogs.append(SqlCatalog(PostgresDatabase(clock, self.url)))
            self.addCleanup(run, clock, self.catalogs[-1].close())

    def on(self, host: int, verb: Callable[[SqlCatalog], Awaitable[Any]]) -> Any:
        """Run a verb on a host."""
        return run(self.clocks[host], verb(self.catalogs[host]))

    def lease(self, host: int) -> TaskLease | None:
        """Ask for a task on a host."""
        lease = self.on(host, lambda catalog: catalog.lease_task(KINDS, f"host{host}", HOUR))
        assert lease is None or isinstance(lease, TaskLease)
        return lease

    def test_neither_is_early_or_late(self) -> None:
        """A period, and a lease, last as long for both, whichever planned or took it."""
        for first, second in ((0, 1), (1, 0)):
            self.on(first, lambda catalog: catalog.plan_tasks([PeriodicPlan("sweep", HOUR)]))
            self.on(second, lambda catalog: catalog.plan_tasks([PeriodicPlan("sweep", HOUR)]))
            self.assertEqual((self.lease(first), self.lease(second)), (None, None))
            make_tasks_older(self.url, HOUR + 60)
            lost = self.lease(first)
            assert lost is not None
            self.assertIsNone(self.lease(second))
            make_tasks_older(self.url, HOUR + 60)
            held = self.lease(second)
            assert held is not None
            self.assertEqual(held.number, lost.number + 1)
            self.assertFalse(self.on(first, lambda catalog: catalog.finish_task(lost)))  # noqa: B023 - run at once
            self.assertTrue(self.on(second, lambda catalog: catalog.finish_task(held)))  # noqa: B023
