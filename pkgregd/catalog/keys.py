"""Keys of files, by which they are found without the name of their package: statements."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import bindparam, delete

from pkgregd.catalog.statement import Statement, Transaction, insert
from pkgregd.catalog.tables import file_keys

ADD_KEY = Statement(
    insert(file_keys).values(
        project_id=bindparam("project_id"),
        format=bindparam("format"),
        key=bindparam("key"),
        file_id=bindparam("file_id"),
    )
)

DROP_KEYS = Statement(delete(file_keys).where(file_keys.c.file_id == bindparam("file_id")))


async def set_keys(tx: Transaction, project_id: int, format: str, file_id: int, keys: Iterable[str]) -> None:
    """Have a file found by these keys, and by no others."""
    await tx.execute(DROP_KEYS, file_id=file_id)
    for key in keys:
        await tx.execute(ADD_KEY, project_id=project_id, format=format, key=key, file_id=file_id)
