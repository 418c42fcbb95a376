"""Several files of a package, such as those of one build, deleted together."""

from __future__ import annotations

import json
from collections.abc import Sequence

from sqlalchemy import and_, bindparam, delete, func, literal_column, select, update

from pkgregd.catalog import told
from pkgregd.catalog.audit import add_audit_entry
from pkgregd.catalog.inventory import PACKAGE_TO_DELETE, leave_tombstones
from pkgregd.catalog.package_reading import index_state, listed_name
from pkgregd.catalog.packages import DELETE_EMPTY_PACKAGE, bump_index
from pkgregd.catalog.protection import demand_unprotected
from pkgregd.catalog.statement import Statement, Transaction, each_id
from pkgregd.catalog.tables import blobs, documents, package_files
from pkgregd.catalog.usage import add_usage, size_of_files, sum_of_files
from pkgregd.values import AuditAction, Principal, ProtectedAct

# =================================================================== statements

_chosen = and_(
    package_files.c.package_id == bindparam("package_id"),
    package_files.c.id.op("IN")(each_id(bindparam("file_ids"))),
)

COUNT_CHOSEN = Statement(select(func.count()).select_from(package_files).where(_chosen))

LEAVE_TOMBSTONES_OF_CHOSEN = leave_tombstones(_chosen)

_others_file = package_files.alias("others_file")

RELEASE_BLOBS_OF_CHOSEN = Statement(
    update(blobs)
    .where(
        blobs.c.sha256.in_(select(package_files.c.sha256).where(_chosen)),
        ~select(literal_column("1"))
        .where(
            _others_file.c.sha256 == blobs.c.sha256,
            _others_file.c.id.op("NOT IN")(each_id(bindparam("file_ids"))),
        )
        .exists(),
    )
    .values(released_at=bindparam("now"))
)

DROP_DOCUMENTS_OF_CHOSEN = Statement(
    delete(documents).where(documents.c.file_id.in_(select(package_files.c.id).where(_chosen)))
)

SIZE_OF_CHOSEN = size_of_files(_chosen)

DELETE_CHOSEN = Statement(delete(package_files).where(_chosen))

# ===================================================================== deleting


async def delete_files(
    tx: Transaction, project_id: int, package_id: int, file_ids: Sequence[int], revision: int, principal: Principal
) -> bool:
    """See IInventoryCatalog."""
    row = await tx.fetch_one(PACKAGE_TO_DELETE, project_id=project_id, package_id=package_id)
    if row is None:
        return False
    format, canonical_name, canonical_version, name, version, status, _ = row
    await demand_unprotected(tx, project_id, format, canonical_name, ProtectedAct.DELETE, principal)
    state = await index_state(tx, [project_id], format, canonical_name)
    chosen = {"package_id": package_id, "file_ids": json.dumps(list(file_ids))}
    counted = await tx.fetch_one(COUNT_CHOSEN, **chosen)
    assert counted is not None
    if state.revisions != ((project_id, revision),) or counted[0] != len(set(file_ids)) or not file_ids:
        return False
    shown_before = await listed_name(tx, project_id, format, canonical_name)
    await tx.execute(LEAVE_TOMBSTONES_OF_CHOSEN, now=tx.now, **chosen)
    await tx.execute(RELEASE_BLOBS_OF_CHOSEN, now=tx.now, **chosen)
    await tx.execute(DROP_DOCUMENTS_OF_CHOSEN, **chosen)
    gone_bytes = await sum_of_files(tx, SIZE_OF_CHOSEN, chosen)
    await tx.execute(DELETE_CHOSEN, **chosen)
    await tx.execute(DELETE_EMPTY_PACKAGE, package_id=package_id)
    await bump_index(tx, project_id, format, canonical_name, canonical_version, shown_before)
    await add_usage(tx, project_id, -gone_bytes)
    # which files they were, the tombstones tell
    more = {"status": status, "files": counted[0]}
    entry = told.of_version(AuditAction.DELETE_FILES, project_id, format, name, version, **more)
    await add_audit_entry(tx, principal, entry)
    return True
