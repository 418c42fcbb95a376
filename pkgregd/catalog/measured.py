"""A database whose verbs are measured: how often each ran, how it ended, and how long who asked had to wait."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, TypeVar

from twisted.internet.defer import CancelledError

from pkgregd.catalog.sql_trail import Database
from pkgregd.catalog.statement import Transaction
from pkgregd.errors import PkgregdError, StorageFull, Unavailable
from pkgregd.interfaces import IMeasures
from pkgregd.unmeasured import UNMEASURED
from pkgregd.values import Outcome

P = ParamSpec("P")
T = TypeVar("T")


def measured(database: Database, measures: IMeasures) -> Database:
    """Return a database that tells the measures of every verb; itself if nobody listens."""
    return database if measures is UNMEASURED else MeasuredDatabase(database, measures)


class MeasuredDatabase:
    """See Database; each method does what that of the database within does."""

    def __init__(self, database: Database, measures: IMeasures) -> None:
        self._database = database
        self._measures = measures

    async def read(
        self, verb: Callable[Concatenate[Transaction, P], Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """See Database."""
        return await self._measure(verb.__name__, self._database.read(verb, *args, **kwargs))

    async def read_at_once(
        self, verb: Callable[Concatenate[Transaction, P], Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """See Database. It does itself what _measure() does: every request comes by here."""
        began_at = time.perf_counter()
        outcome = Outcome.DONE
        try:
            return await self._database.read_at_once(verb, *args, **kwargs)
        except BaseException as error:
            outcome = outcome_of(error)
            raise
        finally:
            self._measures.verb_ended(verb.__name__, time.perf_counter() - began_at, outcome)

    async def write(
        self, verb: Callable[Concatenate[Transaction, P], Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """See Database."""
        return await self._measure(verb.__name__, self._database.write(verb, *args, **kwargs))

    async def close(self) -> None:
        """See Database."""
        await self._database.close()

    async def _measure(self, name: str, running: Coroutine[Any, Any, T]) -> T:
        began_at = time.perf_counter()
        outcome = Outcome.DONE
        try:
            return await running
        except BaseException as error:
            outcome = outcome_of(error)
            raise
        finally:
            self._measures.verb_ended(name, time.perf_counter() - began_at, outcome)


def outcome_of(error: BaseException) -> Outcome:
    """Say how a verb ended that raised something."""
    if isinstance(error, (Unavailable, StorageFull)):
        return Outcome.UNAVAILABLE
    if isinstance(error, PkgregdError):
        return Outcome.REFUSED
    if isinstance(error, (CancelledError, GeneratorExit)):
        return Outcome.LEFT
    return Outcome.FAILED
