"""
Statements, compiled once per dialect; and what a verb may do with them.

A verb is an `async def` whose first argument is a Transaction. It awaits
nothing else, so a driver whose transactions never suspend can run it to its
end inside a thread.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, TypeAlias

from attrs import frozen
from sqlalchemy import BigInteger, Boolean, Table, Text
from sqlalchemy.dialects.postgresql import Insert
from sqlalchemy.dialects.sqlite.base import SQLiteDialect
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import ClauseElement
from sqlalchemy.sql.functions import FunctionElement

Row: TypeAlias = tuple[Any, ...]

_all: list[Statement] = []


class Statement:
    """
    One SQL statement with named parameters. Made at import only.

    Attributes:
        clause: what SQLAlchemy compiles.
    """

    def __init__(self, clause: ClauseElement) -> None:
        self.clause = clause
        _all.append(self)


@frozen
class SqlText:
    """
    A statement in the words of one dialect.

    Attributes:
        text: the SQL.
        constants: parameters that the statement itself supplies.
    """

    text: str
    constants: Mapping[str, object]


SQLITE: Dialect = SQLiteDialect(paramstyle="named")


def compile_all(dialect: Dialect) -> Mapping[Statement, SqlText]:
    """Compile every statement of the modules imported so far."""
    texts = {}
    for statement in _all:
        compiled = statement.clause.compile(dialect=dialect)
        constants = {name: value for name, value in compiled.params.items() if value is not None}
        texts[statement] = SqlText(str(compiled), constants)
    return texts


class Transaction(Protocol):
    """A running transaction, as verbs see it."""

    @property
    def now(self) -> int:
        """When it began, in microseconds since 1970."""

    async def fetch_all(self, statement: Statement, **parameters: object) -> list[Row]:
        """Execute and return every row."""

    async def fetch_one(self, statement: Statement, **parameters: object) -> Row | None:
        """Execute and return the first row, or None."""

    async def execute(self, statement: Statement, **parameters: object) -> int:
        """Execute and return how many rows were touched."""


def insert(table: Table) -> Insert:
    """
    Begin an INSERT that both dialects compile.

    PostgreSQL's own class, because its ON CONFLICT compiles to the same words for
    SQLite and the other way round it does not; without the RETURNING that SQLAlchemy
    would add, which SQLite has only since 3.35.
    """
    return Insert(table).inline()


LIKE_ESCAPE = "\\"
"""Takes the letter after it in a LIKE pattern literally."""


def containing(text: str) -> str:
    """Write the LIKE pattern of what contains a text, in which nothing means anything else."""
    literally = "".join(LIKE_ESCAPE + letter if letter in (LIKE_ESCAPE, "%", "_") else letter for letter in text)
    return f"%{literally}%"


def lower_ascii(text: str) -> str:
    """Write a text as the databases' lower() does, of columns that compare by their bytes."""
    return text.encode("utf-8", "surrogatepass").lower().decode("utf-8", "surrogatepass")


class each_id(FunctionElement[int]):  # noqa: N801 - reads as the SQL function it stands for
    """
    The row numbers in a JSON array: `column.op("IN")(each_id(bindparam("ids")))`.

    One parameter for any number of ids, so the text is fixed and no limit on variables counts.
    """

    type = BigInteger()
    inherit_cache = True
    name = "each_id"


@compiles(each_id, "sqlite")
def _each_id_sqlite(element: each_id, compiler: SQLCompiler, **options: Any) -> str:
    array = compiler.process(element.clauses, **options)
    return f"(SELECT value FROM json_each({array}))"  # noqa: S608 - the text of a parameter's name


@compiles(each_id, "postgresql")
def _each_id_postgresql(element: each_id, compiler: SQLCompiler, **options: Any) -> str:
    # Of an array of its own PostgreSQL knows how many there are. Of one in JSON it assumes a hundred, and rather goes
    # through a table of some ten thousand rows than look a hundred times into its index.
    array = compiler.process(element.clauses, **options)
    return f"(SELECT unnest(CAST(translate({array}, '[]', '{{}}') AS bigint[])))"


class each_text(FunctionElement[str]):  # noqa: N801 - reads as the SQL function it stands for
    """The texts in a JSON array, as each_id is for numbers."""

    type = Text()
    inherit_cache = True
    name = "each_text"


@compiles(each_text, "sqlite")
def _each_text_sqlite(element: each_text, compiler: SQLCompiler, **options: Any) -> str:
    array = compiler.process(element.clauses, **options)
    return f"(SELECT value FROM json_each({array}))"  # noqa: S608 - the text of a parameter's name


@compiles(each_text, "postgresql")
def _each_text_postgresql(element: each_text, compiler: SQLCompiler, **options: Any) -> str:
    array = compiler.process(element.clauses, **options)
    return f"(SELECT json_array_elements_text(CAST({array} AS json)))"


class database_time(FunctionElement[int]):  # noqa: N801 - reads as the SQL function it stands for
    """
    The present time of whoever keeps the database, in microseconds since 1970: `database_time(bindparam("now"))`.

    That is the server, whose clock all hosts go by together. Without a server it is the transaction's own time.
    """

    type = BigInteger()
    inherit_cache = True
    name = "database_time"


@compiles(database_time, "sqlite")
def _database_time_sqlite(element: database_time, compiler: SQLCompiler, **options: Any) -> str:
    return compiler.process(element.clauses, **options)


@compiles(database_time, "postgresql")
def _database_time_postgresql(element: database_time, compiler: SQLCompiler, **options: Any) -> str:
    # of the statement, which an index can be asked with
    return "CAST(EXTRACT(EPOCH FROM statement_timestamp()) * 1000000 AS bigint)"


class contains(FunctionElement[bool]):  # noqa: N801 - reads as the SQL expression it stands for
    """
    Whether a text contains another, letter by letter: `contains(column, bindparam("part"))`.

    Unlike LIKE it has no pattern, whose matching takes longer than both texts are long.
    """

    type = Boolean()
    inherit_cache = True
    name = "contains"


@compiles(contains, "sqlite")
def _contains_sqlite(element: contains, compiler: SQLCompiler, **options: Any) -> str:
    return f"(instr({compiler.process(element.clauses, **options)}) > 0)"


@compiles(contains, "postgresql")
def _contains_postgresql(element: contains, compiler: SQLCompiler, **options: Any) -> str:
    return f"(strpos({compiler.process(element.clauses, **options)}) > 0)"
