"""Both catalogs keep the contract."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from pkgregd.catalog.memory import MemoryCatalog
from pkgregd.catalog.postgresql import PostgresDatabase
from pkgregd.catalog.sql import SqlCatalog
from pkgregd.interfaces import ICatalog
from pkgregd.testing.audit_contract import AuditContract
from pkgregd.testing.branches_contract import BranchesContract
from pkgregd.testing.catalog_contract import START_SECONDS, CatalogContract
from pkgregd.testing.changes_contract import ChangesContract
from pkgregd.testing.deletions_contract import DeletionsContract
from pkgregd.testing.directory_contract import DirectoryContract
from pkgregd.testing.foresight_contract import ForesightContract
from pkgregd.testing.keys_contract import KeysContract, TogetherContract
from pkgregd.testing.lineage_contract import LineageContract
from pkgregd.testing.listings_contract import ListingsContract
from pkgregd.testing.names_contract import WholeNamesContract
from pkgregd.testing.onward_contract import OnwardContract
from pkgregd.testing.protection_contract import ProtectionContract
from pkgregd.testing.settings_contract import SettingsContract, UsageContract
from pkgregd.testing.signins_contract import SignInsContract
from pkgregd.testing.spellings_contract import SpellingsContract
from pkgregd.testing.tags_contract import OwnersContract, SearchContract, TagsContract
from pkgregd.testing.tasks_contract import TasksContract
from pkgregd.testing.traits_contract import TraitsContract
from pkgregd.testing.upkeep_contract import UpkeepContract
from pkgregd.testing.withdrawals_contract import MetadataContract, WithdrawalsContract
from pkgregd.testing.yanks_contract import DocumentsContract, YanksContract
from tests.catalog.recorded import RecordedDatabase
from tests.catalog.support import (
    PollingClock,
    ThreadedClock,
    emptied_database,
    make_folder,
    make_tasks_older,
    migrated_file,
)


class WholeContract(
    ChangesContract,
    ListingsContract,
    YanksContract,
    TagsContract,
    KeysContract,
    TogetherContract,
    SearchContract,
    OwnersContract,
    TraitsContract,
    LineageContract,
    SignInsContract,
    DirectoryContract,
    DocumentsContract,
    ForesightContract,
    SpellingsContract,
    WholeNamesContract,
    WithdrawalsContract,
    MetadataContract,
    DeletionsContract,
    BranchesContract,
    SettingsContract,
    UsageContract,
    UpkeepContract,
    AuditContract,
    OnwardContract,
    ProtectionContract,
    TasksContract,
    CatalogContract,
):
    """All that a catalog promises."""


class MemoryCatalogTests(WholeContract, SynchronousTestCase):
    """The catalog in memory."""

    def make_catalog(self) -> ICatalog:
        """Make one."""
        return MemoryCatalog(self.clock.seconds)


class SqliteCatalogTests(WholeContract, SynchronousTestCase):
    """The catalog on SQLite, with its threads; of whatever a test changes the audit trail has to be told."""

    def make_catalog(self) -> ICatalog:
        """Make one in a folder of its own."""
        self.clock = self.reactor = ThreadedClock()
        self.clock.advance(START_SECONDS)
        path = migrated_file(make_folder(self.addCleanup) / "catalog.sqlite3")
        return SqlCatalog(RecordedDatabase(self.reactor, path))

    def wait(self, deferred: Deferred[object]) -> None:
        """Take what the threads deliver."""
        self.reactor.wait(deferred)


class PostgresCatalogTests(WholeContract, SynchronousTestCase):
    """The catalog on PostgreSQL."""

    def make_catalog(self) -> ICatalog:
        """Make one whose tables are empty."""
        self.clock = self.reactor = PollingClock()
        self.clock.advance(START_SECONDS)
        self.url = emptied_database()
        return SqlCatalog(PostgresDatabase(self.reactor, self.url))

    def pass_time(self, seconds: float) -> None:
        """The server's clock is nobody's to move."""
        super().pass_time(seconds)
        make_tasks_older(self.url, seconds)

    def wait(self, deferred: Deferred[object]) -> None:
        """Take what the server answers."""
        self.reactor.wait(deferred)
