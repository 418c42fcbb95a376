"""Documents kept beside package files: statements, then what publishing and deleting do with them, and the verb."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from sqlalchemy import bindparam, delete, select

from pkgregd.catalog.statement import Statement, Transaction, each_id, insert
from pkgregd.catalog.tables import documents, package_files

ADD_DOCUMENT = Statement(
    insert(documents).values(file_id=bindparam("file_id"), name=bindparam("name"), body=bindparam("body"))
)

DROP_DOCUMENTS = Statement(delete(documents).where(documents.c.file_id == bindparam("file_id")))

FIND_DOCUMENT = Statement(
    select(documents.c.body).where(
        documents.c.file_id == bindparam("file_id"), documents.c.name == bindparam("document_name")
    )
)

LIST_DOCUMENTS = Statement(
    select(package_files.c.package_id, documents.c.body)
    .select_from(package_files)
    .join(documents, documents.c.file_id == package_files.c.id)
    .where(
        package_files.c.package_id.op("IN")(each_id(bindparam("package_ids"))),
        documents.c.name == bindparam("document_name"),
    )
    .order_by(package_files.c.id)
)


async def keep_documents(tx: Transaction, file_id: int, bodies: Mapping[str, bytes]) -> None:
    """Put documents beside a file that has none."""
    for name, body in bodies.items():
        await tx.execute(ADD_DOCUMENT, file_id=file_id, name=name, body=body)


async def drop_documents(tx: Transaction, file_id: int) -> None:
    """Remove all documents of a file."""
    await tx.execute(DROP_DOCUMENTS, file_id=file_id)


async def find_document(tx: Transaction, file_id: int, name: str) -> bytes | None:
    """See IPackageCatalog."""
    row = await tx.fetch_one(FIND_DOCUMENT, file_id=file_id, document_name=name)
    return None if row is None else bytes(row[0])


async def list_documents(tx: Transaction, package_ids: Sequence[int], name: str) -> Mapping[int, bytes]:
    """See IPackageCatalog."""
    rows = await tx.fetch_all(LIST_DOCUMENTS, package_ids=json.dumps(list(package_ids)), document_name=name)
    found: dict[int, bytes] = {}
    for package_id, body in rows:
        found.setdefault(package_id, bytes(body))
    return found
