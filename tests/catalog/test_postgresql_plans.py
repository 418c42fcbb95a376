"""PostgreSQL goes by index where it has a choice and would get it wrong."""

from __future__ import annotations

import contextlib

import psycopg2
from twisted.trial.unittest import SynchronousTestCase

from pkgregd.catalog import package_reading
from pkgregd.catalog.faults import LOOKS
from pkgregd.catalog.postgresql import POSTGRESQL
from pkgregd.catalog.rules import MAX_SEARCH_TRAITS, MAX_SEARCH_WORDS
from pkgregd.catalog.search import COUNT_NAMES, FIND_NAMES
from pkgregd.catalog.statement import compile_all
from pkgregd.values import CatalogCheck
from tests.catalog.support import emptied_database

NAMES = 10_000
FILL = f"""
INSERT INTO paths VALUES ('acme'), ('acme/one');
INSERT INTO groups (path, path_key, visibility, created_at) VALUES ('acme', 'acme', 'public', 0);
INSERT INTO projects (group_id, path, path_key, visibility, created_at) VALUES (1, 'acme/one', 'acme/one', 'public', 0);
INSERT INTO index_revisions (project_id, format, canonical_name, revision, changed_at)
    SELECT 1, 'pypi', 'name' || number, 1, 0 FROM generate_series(1, {NAMES}) number;
ANALYZE index_revisions;
"""  # noqa: S608 - a number


class PlanTests(SynchronousTestCase):
    """What the planner makes of a statement, with statistics of what there is."""

    def test_a_revision_among_many_names(self) -> None:
        """The state of an index is looked up, and not looked for among ten thousand names."""
        sql = compile_all(POSTGRESQL)[package_reading.LIST_REVISIONS]
        values = {"project_ids": "[1]", "format": "pypi", "canonical_name": "name7", **(sql.constants or {})}
        with contextlib.closing(psycopg2.connect(emptied_database())) as connection, connection.cursor() as cursor:
            cursor.execute(FILL)
            cursor.execute(f"EXPLAIN {sql.text}", values)
            plan = "\n".join(line for (line,) in cursor.fetchall())
        self.assertIn("Index Scan using pk_index_revisions", plan)
        self.assertNotIn("Seq Scan", plan)

    def test_usage_is_counted_in_one_pass(self) -> None:
        """All files are gone through once, and not for each project."""
        sql = compile_all(POSTGRESQL)[LOOKS[CatalogCheck.WRONG_USAGE].page]
        with contextlib.closing(psycopg2.connect(emptied_database())) as connection, connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN {sql.text}", {"after_0": 0, "row_limit": 100, **sql.constants})
            plan = "\n".join(line for (line,) in cursor.fetchall())
        self.assertNotIn("SubPlan", plan)

    def test_a_search_asks_of_each_name_by_itself(self) -> None:
        """No statistics have it join all packages with all names, and all files with those."""
        compiled = compile_all(POSTGRESQL)
        words = {f"word_{number}": "" for number in range(MAX_SEARCH_WORDS)}
        traits = {f"trait_{number}": "" for number in range(MAX_SEARCH_TRAITS)}
        of_one = {"project_ids": "[1]", "format": "nuget", "exact": "", "limit": 1, "offset": 0}
        with contextlib.closing(psycopg2.connect(emptied_database())) as connection, connection.cursor() as cursor:
            for statement in (*COUNT_NAMES.values(), *FIND_NAMES.values()):
                sql = compiled[statement]
                cursor.execute(f"EXPLAIN {sql.text}", {**words, **traits, **of_one, **(sql.constants or {})})
                self.assertIn("SubPlan", "\n".join(line for (line,) in cursor.fetchall()))
