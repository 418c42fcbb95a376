"""A database that holds every verb against what it owes the audit trail."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Concatenate, ParamSpec, TypeVar

from attrs import Factory, define
from sqlalchemy.sql.dml import UpdateBase

from pkgregd.catalog.sqlite import SqliteDatabase
from pkgregd.catalog.statement import Row, Statement, Transaction

P = ParamSpec("P")
T = TypeVar("T")

UNTOLD: Mapping[str, str] = {
    "add_sign_in": "a client waits; nobody has decided anything",
    "confirm_file": "a checksum came; the file is what it was",
    "forget_blob": "bytes that nothing refers to; whatever let go of them was told",
    "forget_ended": "ID tokens that can never be shown again, and jobs that ended long ago",
    "note_uses": "when tokens were used; the access log tells of each use",
    "forget_audit_entries": "the trail itself, as the configuration has it; the log tells",
    "move_blob": "where equal bytes lie; every file is what it was",
    "reserve": "room for what is not there yet; the publish is told",
    "renew": "the same, for longer",
    "release": "the same, given back",
    "plan_tasks": "what daemons do from time to time; whatever they change then is told",
    "enqueue_task": "the same, for what is to be done once",
    "lease_task": "who does it",
    "renew_task": "the same, for longer",
    "finish_task": "that it is done",
    "fail_task": "that it is not; the log and the list of tasks tell",
    "release_task": "that somebody else is to do it",
    "mend_fault": "told as a whole, before it begins",
    "restore_blob": "the same",
    "set_digests": "the same",
    "mark_blob": "what is known of bytes; every file is what it was",
    "take_scrub": "who reads all blobs",
    "end_scrub": "that it has come to its end",
    "keep_scrub": "how far that has come",
    "recount_usage": "how much there is; whatever changed it was told",
}
"""Verbs that write and tell nothing, with the reason."""

SEVERAL = frozenset({"publish_all", "yank_each"})
"""Verbs that change several things at once, and tell of each."""

NOTES = frozenset({"unconfirmed_files", "sign_ins", "reservations", "usages"})
"""Tables of what is not decided yet, and of what follows from changes that are told."""


@define
class RecordedTransaction:
    """
    A transaction that counts.

    Attributes:
        touched: how many rows of which table were written.
        entries: how many were added to the audit trail.
        has_counted_usage: whether what a project uses was changed, which comes behind its indexes: of two transactions
            that wait for each other one is ended, a second later.
    """

    transaction: Transaction
    touched: Counter[str] = Factory(Counter)
    entries: int = 0
    has_counted_usage: bool = False

    @property
    def now(self) -> int:
        """See Transaction."""
        return self.transaction.now

    async def fetch_all(self, statement: Statement, **parameters: object) -> list[Row]:
        """See Transaction."""
        assert not isinstance(statement.clause, UpdateBase), "what writes is executed"
        return await self.transaction.fetch_all(statement, **parameters)

    async def fetch_one(self, statement: Statement, **parameters: object) -> Row | None:
        """See Transaction."""
        assert not isinstance(statement.clause, UpdateBase), "what writes is executed"
        return await self.transaction.fetch_one(statement, **parameters)

    async def execute(self, statement: Statement, **parameters: object) -> int:
        """See Transaction."""
        count = await self.transaction.execute(statement, **parameters)
        assert isinstance(statement.clause, UpdateBase)
        table = str(statement.clause.entity_description["name"])
        self.has_counted_usage |= table == "usages"
        assert table != "index_revisions" or not self.has_counted_usage, "usage is counted behind the indexes"
        if table == "audit_entries" and statement.clause.is_insert:
            self.entries += count
        elif table not in NOTES and count:
            self.touched[table] += count
        return count


def check(verb: str, tx: RecordedTransaction) -> None:
    """
    Pass if a verb told what it did.

    Raises:
        AssertionError: with what was changed; the transaction then changes nothing.
    """
    if verb in UNTOLD:
        right = tx.entries == 0
    elif verb in SEVERAL:
        right = (tx.entries > 0) == bool(tx.touched)
    elif verb == "tell":
        right = tx.entries == 1
    else:
        right = tx.entries == 1 if tx.touched else tx.entries == 0 or verb == "approve_sign_in"
    if not right:
        raise AssertionError(f"{verb} changes {dict(tx.touched)} and leaves {tx.entries} entries in the audit trail")


class RecordedDatabase(SqliteDatabase):
    """A SqliteDatabase whose writing verbs are checked before they commit."""

    async def write(
        self,
        verb: Callable[Concatenate[Transaction, P], Coroutine[Any, Any, T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """See Database."""

        async def checked(tx: Transaction, *args: P.args, **kwargs: P.kwargs) -> T:
            recorded = RecordedTransaction(tx)
            result = await verb(recorded, *args, **kwargs)
            check(verb.__name__, recorded)
            return result

        return await super().write(checked, *args, **kwargs)
