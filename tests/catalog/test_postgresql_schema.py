"""The schema on PostgreSQL: what migrations make there, and when a database is refused."""

from __future__ import annotations

import contextlib
import pathlib
import subprocess
import sys
from collections.abc import Iterator

import psycopg2
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from pkgregd.catalog import migrate, open_catalog, postgresql_schema
from pkgregd.catalog.postgresql_pool import PostgresSettings, connection_options
from pkgregd.catalog.postgresql_url import UNREADABLE, without_password
from pkgregd.catalog.schema import REVISIONS
from pkgregd.catalog.tables import metadata
from pkgregd.errors import ConfigError, SchemaError, Unavailable
from pkgregd.values import Visibility
from tests.catalog.support import PollingClock
from tests.support.postgresql import server

FOLDER = pathlib.Path("/nowhere")
MIGRATE = "import pathlib, sys; from pkgregd.catalog import migrate; print(migrate(sys.argv[1], pathlib.Path('.')))"


class PostgresSchemaTests(SynchronousTestCase):
    """A database of its own for each test."""

    def setUp(self) -> None:
        """Make an empty one."""
        self.name = f"schema_{id(self)}"
        self.url = server().url(self.name)
        server().administer(f"CREATE DATABASE {self.name}")
        self.addCleanup(server().administer, f"DROP DATABASE {self.name} WITH (FORCE)")

    @contextlib.contextmanager
    def cursor(self) -> Iterator[psycopg2.extensions.cursor]:
        """Open the database by hand; what is done is committed."""
        with contextlib.closing(psycopg2.connect(self.url)) as connection, connection.cursor() as cursor:
            yield cursor
            connection.commit()

    def test_migrations_make_the_tables_of_the_code(self) -> None:
        """Alembic sees no difference, and every text is ordered by its bytes."""
        self.assertEqual(migrate(self.url, FOLDER), REVISIONS[-1])
        engine = create_engine(self.url.replace("postgresql:", "postgresql+psycopg2:"))
        self.addCleanup(engine.dispose)
        with engine.connect() as connection:
            self.assertEqual(compare_metadata(MigrationContext.configure(connection), metadata), [])
        with self.cursor() as cursor:
            cursor.execute(
                "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'"
                " AND data_type = 'text' AND collation_name IS DISTINCT FROM 'C'"
            )
            self.assertEqual(cursor.fetchall(), [])

    def test_migrating_twice_and_at_once(self) -> None:
        """Of several that migrate at once one does it, and the others find it done; rows stay."""
        command = [sys.executable, "-c", MIGRATE, self.url]
        running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
        self.assertEqual([each.communicate(timeout=60)[0] for each in running], [f"{REVISIONS[-1]}\n"] * 3)
        with self.cursor() as cursor:
            cursor.execute("INSERT INTO paths VALUES ('acme')")
        migrate(self.url, FOLDER)
        with self.cursor() as cursor:
            cursor.execute("SELECT path_key FROM paths")
            self.assertEqual(cursor.fetchall(), [("acme",)])

    def test_a_database_that_was_never_migrated_or_is_newer(self) -> None:
        """Both are refused with what to do."""
        refusal = self.assertRaises(SchemaError, open_catalog, PollingClock(), self.url, FOLDER)
        self.assertIn("migrate", str(refusal))
        migrate(self.url, FOLDER)
        with self.cursor() as cursor:
            cursor.execute("UPDATE alembic_version SET version_num = '9999'")
        for attempt in (migrate, lambda url, folder: open_catalog(PollingClock(), url, folder)):
            self.assertIn("upgrade pkgregd", str(self.assertRaises(SchemaError, attempt, self.url, FOLDER)))

    def test_a_server_that_is_not_there(self) -> None:
        """The refusal says so without the password."""
        for url in (
            f"postgresql://tests:hunter2@127.0.0.1:{server().port}/missing",
            "postgresql://tests:hunter2@127.0.0.1:1/x",
        ):
            for attempt in (migrate, lambda url, folder: open_catalog(PollingClock(), url, folder)):
                refusal = self.assertRaises(Unavailable, attempt, url, FOLDER)
                self.assertIn("cannot be reached", str(refusal))
                self.assertNotIn("hunter2", str(refusal))

    def test_urls(self) -> None:
        """What libpq cannot read, or takes for a host or port, is refused without repeating any of it."""
        for url in (
            "postgresql://tests:hunter%2@127.0.0.1/x",
            "postgresql://tests:hunter2@[::1/x",
            "postgresql://tests:hun@ter2@127.0.0.1/x",
            "postgresql://tests:hunter/2@127.0.0.1/x",
            "postgresql://tests:hunter2@127.0.0.1/x?hunter=2",
        ):
            for attempt in (migrate, lambda url, folder: open_catalog(PollingClock(), url, folder)):
                self.assertEqual(str(self.assertRaises(ConfigError, attempt, url, FOLDER)), UNREADABLE)

    def test_a_password_is_told_from_the_rest(self) -> None:
        """Wherever libpq finds one, it does not stay in what a list of processes shows."""
        for url, plain in (
            ("postgresql://u:a%40b@h:5/x?sslmode=require", "user=u dbname=x host=h port=5 sslmode=require"),
            ("postgresql://u:a#b@h/x", "user=u dbname=x host=h"),
            ("postgresql://u:a[b@h/x", "user=u dbname=x host=h"),
            ("postgresql:///x?host=/run&password=ab", "dbname=x host=/run"),
        ):
            found, password = without_password(url)
            self.assertEqual(sorted(found.split()), sorted(plain.split()))
            self.assertRegex(str(password), "^a.?b$")
        self.assertEqual(without_password("postgresql://h/x")[1], None)

    def test_a_table_in_use(self) -> None:
        """A migration does not wait for long behind whoever reads, and everybody else behind it; nothing is done."""
        migrate(self.url, FOLDER)
        with self.cursor() as cursor:
            cursor.execute("ALTER TABLE blobs DROP COLUMN damage, DROP COLUMN damaged_at; DROP TABLE scrubs")
            cursor.execute("UPDATE alembic_version SET version_num = '0015'")
        self.patch(postgresql_schema, "TABLE_WAIT_SECONDS", 1)
        with self.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM blobs")
            self.assertIn("in use", str(self.assertRaises(Unavailable, migrate, self.url, FOLDER)))
        self.assertEqual(migrate(self.url, FOLDER), REVISIONS[-1])

    def test_who_may_not_make_tables(self) -> None:
        """A database that is somebody else's is refused with what the server says."""
        server().administer("CREATE ROLE guest LOGIN")
        self.addCleanup(server().administer, "DROP ROLE guest")
        url = self.url.replace("tests@", "guest@")
        self.assertIn("permission denied", str(self.assertRaises(SchemaError, migrate, url, FOLDER)))

    def test_a_database_without_all_letters(self) -> None:
        """One that cannot keep every name is refused before anything is in it."""
        server().administer(f"DROP DATABASE {self.name}")
        narrow = "ENCODING 'LATIN1' LOCALE_PROVIDER libc LOCALE 'C' TEMPLATE template0"
        server().administer(f"CREATE DATABASE {self.name} {narrow}")
        self.assertIn("createdb --encoding=UTF8", str(self.assertRaises(SchemaError, migrate, self.url, FOLDER)))

    def test_patience(self) -> None:
        """A statement may take as long as whoever opens the catalog says."""
        migrate(self.url, FOLDER)
        reactor = PollingClock()
        catalog = open_catalog(reactor, self.url, FOLDER, statement_seconds=0.2)
        with self.cursor() as cursor:
            cursor.execute("LOCK TABLE projects")
            listing = Deferred.fromCoroutine(catalog.list_project_ids(0, 10))
            reactor.wait(listing)
            self.failureResultOf(listing, Unavailable)
        reactor.wait(Deferred.fromCoroutine(catalog.close()))
        patient = PostgresSettings().with_patience(3600.0)
        self.assertGreater(patient.silence_seconds, patient.statement_seconds)
        self.assertIn("statement_timeout=3600000 ", str(connection_options(self.url, patient)["options"]))

    def test_an_opened_catalog_works(self) -> None:
        """What open_catalog() returns writes and reads."""
        migrate(self.url, FOLDER)
        reactor = PollingClock()
        catalog = open_catalog(reactor, self.url, FOLDER)
        for step in (catalog.add_group("acme", Visibility.PUBLIC), catalog.close()):
            done = Deferred.fromCoroutine(step)
            reactor.wait(done)
            self.successResultOf(done)
        with self.cursor() as cursor:
            cursor.execute("SELECT path FROM groups")
            self.assertEqual(cursor.fetchall(), [("acme",)])
