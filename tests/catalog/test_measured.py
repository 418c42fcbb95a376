"""Verbs that are measured."""

from __future__ import annotations

import pathlib

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from pkgregd.catalog.foreseen import ForeseenReads
from pkgregd.catalog.measured import MeasuredDatabase, measured, outcome_of
from pkgregd.catalog.sqlite import SqliteDatabase
from pkgregd.catalog.statement import Transaction
from pkgregd.errors import AlreadyExists, StorageFull, Unavailable
from pkgregd.testing.measures import KeptMeasures
from pkgregd.unmeasured import UNMEASURED
from pkgregd.values import Foresight, Level, Outcome
from tests.catalog.support import ThreadedClock, migrated_file


async def look(tx: Transaction, error: Exception | None = None) -> int:
    """Raise something, or nothing."""
    if error is not None:
        raise error
    return 5


class MeasuredTests(SynchronousTestCase):
    """A database with measures."""

    def setUp(self) -> None:
        """Put one together."""
        self.reactor = ThreadedClock()
        self.kept = KeptMeasures()
        within = SqliteDatabase(self.reactor, migrated_file(pathlib.Path(self.mktemp())))
        self.database = MeasuredDatabase(within, self.kept)
        self.addCleanup(lambda: self.run_verb(self.database.close()))

    def run_verb(self, coroutine: object) -> Deferred[object]:
        """Run one to its end."""
        running: Deferred[object] = Deferred.fromCoroutine(coroutine)  # type: ignore[arg-type]
        self.reactor.wait(running)
        return running

    def test_each_way(self) -> None:
        """However a verb is run, what it returns is returned and it is counted by its name."""
        for run in (self.database.read, self.database.read_at_once, self.database.write):
            self.assertEqual(self.successResultOf(self.run_verb(run(look))), 5)
        self.failureResultOf(self.run_verb(self.database.write(look, Unavailable("no"))), Unavailable)
        self.assertEqual(self.kept.verbs, {("look", Outcome.DONE): 3, ("look", Outcome.UNAVAILABLE): 1})

    def test_outcomes(self) -> None:
        """Errors that are answers are told from those of the database, and from bugs."""
        for error, outcome in (
            (AlreadyExists("x"), Outcome.REFUSED),
            (StorageFull(), Outcome.UNAVAILABLE),
            (CancelledError(), Outcome.LEFT),
            (ValueError(), Outcome.FAILED),
        ):
            self.assertIs(outcome_of(error), outcome)

    def test_unmeasured(self) -> None:
        """Without measures there is nothing between."""
        self.assertIs(measured(self.database, UNMEASURED), self.database)

    def test_the_instance_is_known_without_a_database(self) -> None:
        """It is asked nothing."""
        reads = ForeseenReads(self.database, Foresight(Level.INSTANCE, "", "metrics", None))
        scope = self.successResultOf(Deferred.fromCoroutine(reads.find_scope(Level.INSTANCE, "", None)))
        assert scope is not None
        self.assertIs(scope.level, Level.INSTANCE)
        self.assertEqual(self.kept.verbs, {})
