"""Say more in the audit trail: where, of what, with which token and from which address; and find it by time."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

KEEP_PATHS = sa.text(
    "UPDATE audit_entries SET place_path ="
    " COALESCE((SELECT path FROM projects WHERE projects.id = audit_entries.project_id), '')"
)
KEEP_TOKENS = sa.text(
    "UPDATE audit_entries SET"
    " token_public_id = (SELECT public_id FROM tokens WHERE tokens.id = audit_entries.token_id),"
    " token_kind = (SELECT kind FROM tokens WHERE tokens.id = audit_entries.token_id)"
)


def upgrade() -> None:
    """Add columns, fill them as far as what they name is still there, and replace the index."""
    for name in ("group_id", "about_user_id"):
        op.add_column("audit_entries", sa.Column(name, NUMBER))
    for name in ("token_kind", "token_public_id", "address", "request_id"):
        op.add_column("audit_entries", sa.Column(name, sa.Text()))
    for name in ("place_path", "subject"):
        op.add_column("audit_entries", sa.Column(name, sa.Text(), nullable=False, server_default=""))
    op.execute(KEEP_PATHS)
    op.execute(KEEP_TOKENS)
    op.drop_index("ix_audit_entries_project_id_happened_at", "audit_entries")
    op.create_index("ix_audit_entries_happened_at_id", "audit_entries", ["happened_at", "id"])
    for name in ("project_id", "group_id"):
        op.create_index(f"ix_audit_entries_{name}_happened_at_id", "audit_entries", [name, "happened_at", "id"])
