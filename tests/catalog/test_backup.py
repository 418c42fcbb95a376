"""Copies of the catalog: how PostgreSQL's programs are called, and whose file is whose."""

from __future__ import annotations

import os
import pathlib
import sqlite3

from psycopg2.extensions import parse_dsn
from twisted.trial.unittest import SynchronousTestCase

from pkgregd.catalog import migrate
from pkgregd.catalog.backup import back_up_file, back_up_server, restore_file
from pkgregd.catalog.schema import REVISIONS
from pkgregd.errors import SchemaError

PROGRAM = """#!/bin/sh
for last; do :; done
printf '%s\\n' "$1" "$PGPASSWORD" > "${last#--file=}"
"""


class ServerTests(SynchronousTestCase):
    """A program that writes down how it was called."""

    def setUp(self) -> None:
        """Put it where it is looked for."""
        self.folder = pathlib.Path(self.mktemp()).absolute()
        self.folder.mkdir()
        (self.folder / "pg_dump").write_text(PROGRAM)
        (self.folder / "pg_dump").chmod(0o700)
        environment = {**os.environ, "PATH": f"{self.folder}:{os.environ['PATH']}"}
        self.patch(os, "environ", environment)

    def test_the_url(self) -> None:
        """It is what libpq reads, and nobody sees the password, wherever it stands."""
        for number, (url, plain, password) in enumerate(
            (
                ("postgresql://u@h1:1,h2:2/db", "postgresql://u@h1:1,h2:2/db", ""),
                ("postgresql:///db?host=/run/postgresql", "postgresql:///db?host=/run/postgresql", ""),
                ("postgresql:///db", "postgresql:///db", ""),
                ("postgresql://u:a%40b#c?d@h/db?sslmode=require", "postgresql://u@h/db?sslmode=require", "a@b#c?d"),
                ("postgresql://u@h/db?password=a%26b&port=1", "postgresql://u@h/db?port=1", "a&b"),
                ("postgresql://h?passwor%64=x", "postgresql://h", "x"),
            )
        ):
            target = self.folder / str(number)
            back_up_server(url, target)
            called, given, _ = target.read_text().split("\n")
            self.assertEqual(parse_dsn(called.removeprefix("--dbname=")), parse_dsn(plain))
            self.assertNotIn("password", called)
            self.assertEqual(given, password)


class FileTests(SynchronousTestCase):
    """A database of SQLite."""

    def setUp(self) -> None:
        """Make one."""
        self.folder = pathlib.Path(self.mktemp()).absolute()
        self.folder.mkdir()
        migrate("sqlite:db", self.folder)

    def test_two_at_once(self) -> None:
        """Neither touches what the other one has written so far, and the first one's copy stays."""
        target = self.folder / "copy"
        (self.folder / "copy.partial").write_text("another one is at it")
        self.assertEqual(back_up_file(self.folder / "db", target), REVISIONS[-1])
        self.assertEqual((self.folder / "copy.partial").read_text(), "another one is at it")
        self.assertRaises(SchemaError, back_up_file, self.folder / "db", target)
        self.assertEqual(sorted(path.name for path in self.folder.iterdir()), ["copy", "copy.partial", "db"])

    def test_what_comes_between(self) -> None:
        """A database that somebody else makes during a restore stays."""
        path, link = self.folder / "new", os.link

        def make_first(source: pathlib.Path, target: pathlib.Path) -> None:
            migrate("sqlite:new", self.folder)
            link(source, target)

        self.patch(os, "link", make_first)
        self.assertRaises(SchemaError, restore_file, self.folder / "db", path)
        self.assertEqual(sqlite3.connect(path).execute("PRAGMA quick_check").fetchall(), [("ok",)])
        self.assertEqual([path.name for path in self.folder.glob("*.partial*")], [])
