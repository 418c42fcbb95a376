"""What was acknowledged survives kill -9."""

from __future__ import annotations

import contextlib
import pathlib
import sqlite3
import subprocess
import sys

from twisted.internet.defer import ensureDeferred
from twisted.trial.unittest import SynchronousTestCase

from pkgregd.catalog.schema import migrate_file
from pkgregd.catalog.sql import SqlCatalog
from pkgregd.catalog.sqlite import SqliteDatabase
from tests.catalog.support import ThreadedClock, make_folder, migrated_file

PUBLISHER = """
import asyncio, os, pathlib, sys
from twisted.internet import asyncioreactor
asyncioreactor.install(asyncio.new_event_loop())
from twisted.internet import reactor
from twisted.internet.defer import ensureDeferred, gatherResults
from pkgregd.catalog import open_catalog
from pkgregd.testing.catalog_contract import publication_of
from pkgregd.values import ANONYMOUS, Level, Visibility

async def publish(catalog, worker, start):
    number = start
    while True:
        version = f"{worker}.{number}"
        await catalog.publish(publication_of(version.encode(), version=version), ANONYMOUS)
        sys.stdout.write(version + "\\n")
        sys.stdout.flush()
        number += 1

async def main():
    catalog = open_catalog(reactor, "sqlite:catalog.sqlite3", pathlib.Path(sys.argv[1]))
    if await catalog.find_scope(Level.PROJECT, "acme/tools", None) is None:
        await catalog.add_group("acme", Visibility.PRIVATE)
        await catalog.add_project("acme/tools", Visibility.PRIVATE)
    await gatherResults([ensureDeferred(publish(catalog, worker, int(sys.argv[2]))) for worker in range(8)])

ensureDeferred(main()).addErrback(lambda failure: (failure.printTraceback(), os._exit(1)))
reactor.run()
"""

ROUNDS = 3
ACKNOWLEDGED_PER_ROUND = 60


class KillTests(SynchronousTestCase):
    """A publisher that is killed in the middle of its work."""

    def setUp(self) -> None:
        """Make a folder."""
        self.folder = make_folder(self.addCleanup)

    def test_acknowledged_publishes_are_there(self) -> None:
        """After every kill the database is whole and holds everything that was acknowledged."""
        path = migrated_file(self.folder / "catalog.sqlite3")
        acknowledged: set[str] = set()
        for round_number in range(ROUNDS):
            process = subprocess.Popen(
                [sys.executable, "-c", PUBLISHER, self.folder, str(round_number * 1_000_000)],
                stdout=subprocess.PIPE,
                text=True,
            )
            self.addCleanup(process.kill)
            assert process.stdout is not None
            with process.stdout as output:
                for _ in range(ACKNOWLEDGED_PER_ROUND):
                    acknowledged.add(output.readline().rstrip("\n"))
                process.kill()
                # The last line may have been cut by the kill: only a whole one was acknowledged.
                acknowledged |= {line.rstrip("\n") for line in output if line.endswith("\n")}
            process.wait()
            self.assertNotIn("", acknowledged)
            self.assertLessEqual(acknowledged, self.stored(path))
        self.assertGreaterEqual(len(acknowledged), ROUNDS * ACKNOWLEDGED_PER_ROUND)

    def stored(self, path: pathlib.Path) -> set[str]:
        """What the next process finds; and that the file is whole, with nothing half there."""
        with contextlib.closing(sqlite3.connect(path)) as connection:
            self.assertEqual(connection.execute("PRAGMA integrity_check").fetchall(), [("ok",)])
            self.assertEqual(connection.execute("PRAGMA foreign_key_check").fetchall(), [])
            files, audited, revision = connection.execute(
                "SELECT (SELECT count(*) FROM package_files),"
                " (SELECT count(*) FROM audit_entries WHERE action = 'publish'),"
                " (SELECT revision FROM index_revisions WHERE canonical_name = 'alpha')"
            ).fetchone()
        self.assertEqual((files, files), (audited, revision))
        reactor = ThreadedClock()
        catalog = SqlCatalog(SqliteDatabase(reactor, path))
        listing = ensureDeferred(catalog.list_files([1], "pypi", "alpha"))
        reactor.wait(listing)
        closing = ensureDeferred(catalog.close())
        reactor.wait(closing)
        return {file.version for file in self.successResultOf(listing)}

    def test_killed_migration_can_be_repeated(self) -> None:
        """A migration killed before its commit leaves an empty database, which the next one fills."""
        program = (
            "import os, pathlib, signal, sys\n"
            "from sqlalchemy import event, Engine\n"
            "from pkgregd.catalog.schema import migrate_file\n"
            "@event.listens_for(Engine, 'commit')\n"
            "def die(connection): os.kill(os.getpid(), signal.SIGKILL)\n"
            "migrate_file(pathlib.Path(sys.argv[1]))\n"
        )
        path = self.folder / "catalog.sqlite3"
        process = subprocess.run([sys.executable, "-c", program, path], check=False)
        self.assertEqual(process.returncode, -9)
        with contextlib.closing(sqlite3.connect(path)) as connection:
            self.assertEqual(connection.execute("SELECT name FROM sqlite_master").fetchall(), [])
        migrate_file(path)
        with contextlib.closing(sqlite3.connect(path)) as connection:
            self.assertEqual(connection.execute("PRAGMA integrity_check").fetchall(), [("ok",)])
            self.assertIn(("package_files",), connection.execute("SELECT name FROM sqlite_master").fetchall())
