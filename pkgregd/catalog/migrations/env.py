"""
Where Alembic enters: inside a transaction that somebody else has begun.

PostgreSQL orders texts as the database's locale says, and an index serves only its own order. Ours is that of the
bytes on every database.
"""

from __future__ import annotations

from typing import Any

from alembic import context
from sqlalchemy import Text
from sqlalchemy.ext.compiler import compiles


@compiles(Text, "postgresql")
def _text_of_bytes(element: Text, compiler: Any, **options: Any) -> str:
    return 'TEXT COLLATE "C"'


context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
