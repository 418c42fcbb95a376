"""The audit trail: who did what, in the transaction that did it."""

from __future__ import annotations

import json
from collections.abc import Mapping

from sqlalchemy import bindparam

from pkgregd.catalog.statement import Statement, Transaction, insert
from pkgregd.catalog.tables import audit_entries
from pkgregd.values import Principal

ADD_AUDIT_ENTRY = Statement(
    insert(audit_entries).values(
        happened_at=bindparam("now"),
        action=bindparam("action"),
        principal_name=bindparam("principal_name"),
        user_id=bindparam("user_id"),
        token_id=bindparam("token_id"),
        project_id=bindparam("project_id"),
        detail_json=bindparam("detail_json"),
    )
)


async def add_audit_entry(
    tx: Transaction, action: str, principal: Principal, project_id: int | None, detail: Mapping[str, object]
) -> None:
    """Write down who did what."""
    await tx.execute(
        ADD_AUDIT_ENTRY,
        now=tx.now,
        action=action,
        principal_name=principal.name,
        user_id=principal.user_id,
        token_id=principal.token_id,
        project_id=project_id,
        detail_json=json.dumps(detail),
    )
