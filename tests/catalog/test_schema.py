"""The schema: what migrations make, when a database is refused, and who may migrate at once."""

from __future__ import annotations

import contextlib
import json
import pathlib
import re
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator

from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex, CreateTable
from twisted.internet.defer import ensureDeferred
from twisted.trial.unittest import SynchronousTestCase

from pkgregd.catalog import migrate, open_catalog
from pkgregd.catalog.schema import MIGRATIONS, REVISIONS, migrate_file, read_revision
from pkgregd.catalog.statement import SQLITE, compile_all
from pkgregd.catalog.tables import metadata
from pkgregd.errors import ConfigError, SchemaError, Unavailable
from tests.catalog.support import DEADLINE_SECONDS, ThreadedClock, make_folder, migrated_file

URL = "sqlite:catalog.sqlite3"


@contextlib.contextmanager
def opened(path: pathlib.Path) -> Iterator[sqlite3.Connection]:
    """Open a database by hand, each statement its own transaction."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


def layout(connection: sqlite3.Connection) -> dict[str, list[str]]:
    """Everything in a database that has a definition: its parts, without white space, constraints in any order."""
    rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    return {
        name: sorted(
            part.rstrip("), ") for part in re.split(r"(?=CONSTRAINT )", " ".join(sql.split()).replace(" ,", ","))
        )
        for name, sql in rows
        if not name.startswith(("sqlite_", "alembic_"))
    }


class MigrationTests(SynchronousTestCase):
    """What `migrate` leaves behind."""

    def setUp(self) -> None:
        """Make an empty folder."""
        self.folder = make_folder(self.addCleanup)
        self.path = self.folder / "catalog.sqlite3"

    def test_makes_folder_and_file_for_the_owner_alone(self) -> None:
        """The folder is made, and nobody else can read the digests of tokens."""
        migrate("sqlite:a/b/catalog.sqlite3", self.folder)
        path = self.folder / "a" / "b" / "catalog.sqlite3"
        self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)

    def test_returns_the_newest_revision_each_time(self) -> None:
        """Migrating again changes nothing."""
        self.assertEqual(migrate(URL, self.folder), REVISIONS[-1])
        with opened(self.path) as connection:
            before = connection.execute("SELECT * FROM sqlite_master").fetchall()
        self.assertEqual(migrate(URL, self.folder), REVISIONS[-1])
        with opened(self.path) as connection:
            self.assertEqual(connection.execute("SELECT * FROM sqlite_master").fetchall(), before)
            self.assertEqual(connection.execute("PRAGMA journal_mode").fetchone(), ("wal",))

    def test_keeps_what_is_there(self) -> None:
        """Rows outlive a second migration."""
        migrate(URL, self.folder)
        with opened(self.path) as connection:
            connection.execute("INSERT INTO paths VALUES ('acme')")
        migrate(URL, self.folder)
        with opened(self.path) as connection:
            self.assertEqual(connection.execute("SELECT path_key FROM paths").fetchall(), [("acme",)])

    def test_moves_what_nuget_packages_say(self) -> None:
        """What was kept of a nuspec becomes a document; a search finds the version by its traits."""
        kept = json.dumps({"id": "A.B", "version": "1.0.0-a.1", "package_types": ["DotnetTool", "a b"], "texts": {}})
        migrate_file(self.path, "0009")
        with opened(self.path) as connection:
            connection.execute("INSERT INTO paths VALUES ('a'), ('a/b')")
            connection.execute("INSERT INTO groups VALUES (1, 'a', 'a', 'public', 0)")
            connection.execute("INSERT INTO projects VALUES (1, 1, 'a/b', 'a/b', 'public', 0)")
            connection.execute("INSERT INTO blobs VALUES (?, 0, '', '{}', 0, NULL)", ("0" * 64,))
            for number, format_ in enumerate(("nuget", "npm"), 1):
                connection.execute(
                    "INSERT INTO packages (id, project_id, format, name, canonical_name, version, canonical_version,"
                    " status, metadata_json, created_at) VALUES (?, 1, ?, 'n', 'n', '1', '1', 'default', ?, 0)",
                    (number, format_, kept),
                )
                connection.execute(
                    "INSERT INTO package_files"
                    " (id, package_id, file_name, sha256, metadata_json, created_at, is_beside)"
                    " VALUES (?, ?, 'a', ?, '{}', 0, 1), (?, ?, 'b', ?, '{}', 0, 0)",
                    (number, number, "0" * 64, number + 10, number, "0" * 64),
                )
        migrate(URL, self.folder)
        with opened(self.path) as connection:
            (facts, traits), other = connection.execute("SELECT metadata_json, traits FROM packages ORDER BY id")
            documents = connection.execute("SELECT file_id, name, body FROM documents").fetchall()
        self.assertEqual(documents, [(11, "metadata", kept.encode())])
        self.assertEqual((traits, other), (" type:dotnettool ", (kept, "")))
        self.assertEqual(
            json.loads(facts),
            {"id": "A.B", "version": "1.0.0-a.1", "package_types": ["DotnetTool", "a b"], "size_bytes": len(kept)},
        )

    def test_fills_in_what_old_entries_of_the_trail_did_not_say(self) -> None:
        """Paths and tokens are written into entries as far as they are still there."""
        migrate_file(self.path, "0010")
        with opened(self.path) as connection:
            connection.execute("INSERT INTO paths VALUES ('a'), ('a/b')")
            connection.execute("INSERT INTO groups VALUES (1, 'a', 'a', 'public', 0)")
            connection.execute("INSERT INTO projects VALUES (1, 1, 'a/b', 'a/b', 'public', 0)")
            connection.execute(
                "INSERT INTO tokens (id, public_id, secret_sha256, kind, name, scopes_json, project_id, created_at)"
                " VALUES (5, 'abc', 'x', 'job', 'x', '[]', 1, 0)"
            )
            for token_id, project_id in ((5, 1), (6, 2), (None, None)):
                connection.execute(
                    "INSERT INTO audit_entries"
                    " (happened_at, action, principal_name, token_id, project_id, detail_json)"
                    " VALUES (0, 'publish', 'jane', ?, ?, '{}')",
                    (token_id, project_id),
                )
        migrate(URL, self.folder)
        with opened(self.path) as connection:
            rows = connection.execute(
                "SELECT place_path, token_kind, token_public_id, subject FROM audit_entries ORDER BY id"
            ).fetchall()
        self.assertEqual(rows, [("a/b", "job", "abc", ""), ("", None, None, ""), ("", None, None, "")])

    def test_deploy_tokens_keep_their_user_names(self) -> None:
        """The name with which they were shown stays their user name."""
        migrate_file(self.path, "0010")
        with opened(self.path) as connection:
            connection.execute("INSERT INTO paths VALUES ('a')")
            connection.execute("INSERT INTO groups VALUES (1, 'a', 'a', 'public', 0)")
            connection.execute(
                "INSERT INTO tokens (id, public_id, secret_sha256, kind, name, scopes_json, role, group_id, created_at)"
                " VALUES (1, 'd', '', 'deploy', 'robot', '[]', NULL, 1, 0), (2, 'g', '', 'group', 'x', '[]', 30, 1, 0)"
            )
        migrate(URL, self.folder)
        with opened(self.path) as connection:
            found = connection.execute("SELECT username FROM tokens ORDER BY id").fetchall()
        self.assertEqual(found, [("robot",), (None,)])

    def test_counts_what_projects_use(self) -> None:
        """Equal bytes of two files count for each; a project without files has no row."""
        migrate_file(self.path, "0013")
        with opened(self.path) as connection:
            connection.execute("INSERT INTO paths VALUES ('a'), ('a/b'), ('a/c')")
            connection.execute("INSERT INTO groups VALUES (1, 'a', 'a', 'public', 0)")
            for number, path in ((1, "a/b"), (2, "a/c")):
                connection.execute("INSERT INTO projects VALUES (?, 1, ?, ?, 'public', 0)", (number, path, path))
            connection.execute("INSERT INTO blobs VALUES (?, 7, '', '{}', 0, NULL)", ("0" * 64,))
            connection.execute("INSERT INTO blobs VALUES (?, 5, '', '{}', 0, NULL)", ("1" * 64,))
            connection.execute(
                "INSERT INTO packages (id, project_id, format, name, canonical_name, version, canonical_version,"
                " status, metadata_json, created_at) VALUES (1, 1, 'npm', 'n', 'n', '1', '1', 'default', '{}', 0)"
            )
            for name, digit in (("a", "0"), ("b", "0"), ("c", "1")):
                connection.execute(
                    "INSERT INTO package_files (package_id, file_name, sha256, metadata_json, created_at)"
                    " VALUES (1, ?, ?, '{}', 0)",
                    (name, digit * 64),
                )
        migrate(URL, self.folder)
        with opened(self.path) as connection:
            self.assertEqual(connection.execute("SELECT * FROM usages").fetchall(), [(1, 19)])

    def test_known_revisions_are_those_of_the_scripts(self) -> None:
        """The list in the code is the chain of the migration files, oldest first."""
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        scripts = ScriptDirectory.from_config(config).walk_revisions()
        self.assertEqual(tuple(reversed([script.revision for script in scripts])), REVISIONS)

    def test_migrations_make_the_tables_of_the_code(self) -> None:
        """Alembic sees no difference, and neither does a comparison of every definition, checks included."""
        migrate(URL, self.folder)
        engine = create_engine(f"sqlite:///{self.path}")
        self.addCleanup(engine.dispose)
        with engine.connect() as connection:
            context = MigrationContext.configure(connection, opts={"compare_type": True})
            self.assertEqual(compare_metadata(context, metadata), [])
        fresh = create_engine(f"sqlite:///{self.folder}/fresh.sqlite3")
        self.addCleanup(fresh.dispose)
        metadata.create_all(fresh)
        with opened(self.path) as migrated, opened(self.folder / "fresh.sqlite3") as made:
            ours, theirs = layout(made), layout(migrated)
            self.assertEqual(set(ours), set(theirs))
            for name, definition in ours.items():
                self.assertEqual(theirs[name], definition)

    def test_two_processes_at_once(self) -> None:
        """Both succeed, and the schema is there once."""
        program = (
            "import pathlib, sys; from pkgregd.catalog import migrate; sys.stdin.readline();"
            f"print(migrate({URL!r}, pathlib.Path(sys.argv[1])))"
        )
        processes = [
            subprocess.Popen(
                [sys.executable, "-c", program, self.folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            for _ in range(2)
        ]
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        for process in processes:
            output, _ = process.communicate(timeout=DEADLINE_SECONDS)
            self.assertEqual((process.returncode, output.strip()), (0, REVISIONS[-1]))
        with opened(self.path) as connection:
            self.assertEqual(connection.execute("PRAGMA integrity_check").fetchone(), ("ok",))
            self.assertEqual(connection.execute("SELECT count(*) FROM alembic_version").fetchone(), (1,))

    def test_failing_in_the_middle_leaves_nothing(self) -> None:
        """A migration is one transaction: what it cannot finish it has not begun."""
        with opened(self.path) as connection:
            connection.execute("CREATE TABLE tombstones (id INTEGER)")
        with self.assertRaises(SchemaError):
            migrate(URL, self.folder)
        with opened(self.path) as connection:
            self.assertIsNone(read_revision(connection))
            self.assertEqual(set(layout(connection)), {"tombstones"})

    def test_newer_database_is_left_alone(self) -> None:
        """A revision from the future is refused, here and when opening."""
        migrated_file(self.path)
        with opened(self.path) as connection:
            connection.execute("UPDATE alembic_version SET version_num = '9999'")
        for attempt in (lambda: migrate(URL, self.folder), lambda: open_catalog(ThreadedClock(), URL, self.folder)):
            error = self.assertRaises(SchemaError, attempt)
            self.assertEqual(str(error), "the database is newer than this pkgregd (revision 9999); upgrade pkgregd")

    def test_what_is_no_database(self) -> None:
        """Another file is refused and stays as it was."""
        self.path.write_bytes(b"no database at all, " * 100)
        error = self.assertRaises(SchemaError, migrate, URL, self.folder)
        self.assertIn("not a database", str(error))
        self.assertRaises(SchemaError, open_catalog, ThreadedClock(), URL, self.folder)
        self.assertEqual(self.path.read_bytes(), b"no database at all, " * 100)

    def test_a_folder_that_cannot_be(self) -> None:
        """A file in the place of the folder is named."""
        (self.folder / "file").write_text("")
        error = self.assertRaises(SchemaError, migrate, "sqlite:file/catalog.sqlite3", self.folder)
        self.assertIn("file/catalog.sqlite3", str(error))


class OpeningTests(SynchronousTestCase):
    """When open_catalog() refuses."""

    def setUp(self) -> None:
        """Make an empty folder."""
        self.folder = make_folder(self.addCleanup)

    def refusal(self) -> str:
        """The text of a SchemaError."""
        return str(self.assertRaises(SchemaError, open_catalog, ThreadedClock(), URL, self.folder))

    def test_no_database(self) -> None:
        """Nothing there: says to migrate, and makes no file."""
        self.assertIn("run `pkgregd --config FILE migrate`", self.refusal())
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_empty_database(self) -> None:
        """A file without a schema: says to migrate."""
        (self.folder / "catalog.sqlite3").write_bytes(b"")
        self.assertIn("run `pkgregd --config FILE migrate`", self.refusal())

    def test_migrated_database(self) -> None:
        """What migrate() made opens, checks and closes; a relative file lies in the folder."""
        migrate(URL, self.folder)
        reactor = ThreadedClock()
        catalog = open_catalog(reactor, URL, self.folder)
        for verb in (catalog.check, catalog.close):
            deferred = ensureDeferred(verb())
            reactor.wait(deferred)
            self.successResultOf(deferred)

    def test_locked_database(self) -> None:
        """A database that another process holds for itself is unavailable, not wrong."""
        path = migrated_file(self.folder / "catalog.sqlite3")
        with opened(path) as connection:
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("INSERT INTO paths VALUES ('acme')")
            self.assertRaises(Unavailable, open_catalog, ThreadedClock(), URL, self.folder)

    def test_urls(self) -> None:
        """Only what a driver exists for; a password in a URL is never repeated."""
        for url in ("sqlite:", "sqlite:///x", "mysql://u:hunter2@h/x", "catalog.sqlite3", ""):
            for attempt in (migrate, lambda url, folder: open_catalog(ThreadedClock(), url, folder)):
                error = self.assertRaises(ConfigError, attempt, url, self.folder)
                self.assertNotIn("hunter2", str(error))

    def test_absolute_path(self) -> None:
        """An absolute path is taken as it is, special characters included."""
        path = self.folder / "a?b#c%20 \u00e9.sqlite3"
        migrate(f"sqlite:{path}", pathlib.Path("/nowhere"))
        self.assertEqual([found.name for found in self.folder.iterdir()], [path.name])


class DialectTests(SynchronousTestCase):
    """Statements and tables exist in the words of both databases."""

    def test_every_statement_compiles_for_both(self) -> None:
        """All parameters are named, and a statement has the same ones in both dialects."""
        ours = compile_all(SQLITE)
        theirs = compile_all(postgresql.dialect(paramstyle="pyformat"))
        self.assertGreater(len(ours), 40)
        for statement, sql in ours.items():
            self.assertNotIn("?", sql.text)
            # Enterprise distributions still ship SQLite 3.34, which came before RETURNING.
            self.assertNotIn("RETURNING", sql.text)
            named = set(re.findall(r":(\w+)", sql.text)) - set(sql.constants)
            their_named = set(re.findall(r"%\((\w+)\)s", theirs[statement].text))
            if "statement_timestamp()" in theirs[statement].text:
                their_named.add("now")  # a server knows the time itself
            self.assertEqual(their_named - set(theirs[statement].constants), named)

    def test_tables_compile_for_postgresql(self) -> None:
        """Every table and index is one that PostgreSQL could make, with names that it does not cut."""
        dialect = postgresql.dialect()
        for table in metadata.sorted_tables:
            CreateTable(table).compile(dialect=dialect)
            for index in table.indexes:
                CreateIndex(index).compile(dialect=dialect)
                self.assertLess(len(str(index.name)), 64)
