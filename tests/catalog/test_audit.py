"""No verb changes something without a word in the audit trail, and none that is added later will."""

from __future__ import annotations

import ast
import datetime
import inspect
import textwrap
from collections.abc import Iterator

from twisted.internet.defer import ensureDeferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pkgregd.catalog.identity import ADD_USER
from pkgregd.catalog.memory import MemoryCatalog
from pkgregd.catalog.sql import SqlCatalog
from pkgregd.catalog.statement import Transaction
from pkgregd.testing.audit_contract import AuditContract, Step
from pkgregd.values import AuditAction
from tests.catalog.recorded import UNTOLD, RecordedDatabase
from tests.catalog.support import ThreadedClock, make_folder, migrated_file


def writing_verbs() -> Iterator[str]:
    """The methods of the catalog that give a verb to the writer."""
    for name, method in inspect.getmembers(SqlCatalog, inspect.iscoroutinefunction):
        tree = ast.parse(textwrap.dedent(inspect.getsource(method)))
        called = {node.func.attr for node in ast.walk(tree) if _is_call(node)}  # type: ignore[attr-defined]
        if "write" in called:
            yield name


def _is_call(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)


def steps() -> list[Step]:
    """What the contract goes through, with nothing done yet."""
    contract = AuditContract()
    contract.clock = Clock()
    contract.catalog = MemoryCatalog(contract.clock.seconds)
    contract.now = lambda: datetime.datetime.fromtimestamp(0, datetime.UTC)
    return contract.steps()


class CompletenessTests(SynchronousTestCase):
    """The list of verbs, held against the catalog."""

    def test_every_verb_that_writes_is_held_to_the_contract(self) -> None:
        """It is among those whose entries the contract looks at, or has a reason to tell nothing."""
        verbs, told = set(writing_verbs()), {step.verb for step in steps()}
        self.assertGreater(len(verbs), 30)
        self.assertEqual(verbs, told | set(UNTOLD))
        self.assertEqual(told & set(UNTOLD), set())

    def test_the_contract_sees_every_action(self) -> None:
        """There is no action that no change leaves, but for those that are told by themselves."""
        actions = {step.action for step in steps()}
        # a status is set by publishing again, the trail of a repair is told by the command, and what a publish mends
        # by the contract of upkeep
        elsewhere = {AuditAction.SET_STATUS, AuditAction.REPAIR, AuditAction.MEND}
        self.assertEqual(set(AuditAction) - actions, elsewhere)


class RecorderTests(SynchronousTestCase):
    """The database that checks."""

    def setUp(self) -> None:
        """Open one."""
        self.reactor = ThreadedClock()
        self.database = RecordedDatabase(self.reactor, migrated_file(make_folder(self.addCleanup) / "a.sqlite3"))
        self.catalog = SqlCatalog(self.database)
        self.addCleanup(self.close)

    def close(self) -> None:
        """Close it."""
        self.reactor.wait(ensureDeferred(self.catalog.close()))

    def test_a_verb_that_tells_nothing_is_found_out(self) -> None:
        """A change without an entry fails, and changes nothing."""

        async def add_silently(tx: Transaction) -> None:
            await tx.execute(ADD_USER, name="x", name_key="x", is_admin=False, now=tx.now)

        failing = ensureDeferred(self.database.write(add_silently))
        self.reactor.wait(failing)
        self.assertIn("add_silently changes {'users': 1} and leaves 0", str(self.failureResultOf(failing).value))
        adding = ensureDeferred(self.catalog.add_user("x"))
        self.reactor.wait(adding)
        self.assertEqual(self.successResultOf(adding), 1)
