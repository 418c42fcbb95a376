"""Keep what tokens were made by, when they were used, and which ID tokens were exchanged."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"

ROW_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

# It was the name that they were shown with.
KEEP_USER_NAMES = sa.text("UPDATE tokens SET username = name WHERE kind = 'deploy'")


def upgrade() -> None:
    """Add columns, indexes and a table."""
    op.add_column("tokens", sa.Column("username", sa.Text()))
    op.add_column("tokens", sa.Column("parent_id", ROW_NUMBER))
    op.add_column("tokens", sa.Column("origin_json", sa.Text()))
    op.add_column("tokens", sa.Column("last_used_at", sa.BigInteger()))
    op.execute(KEEP_USER_NAMES)
    op.create_index("ix_tokens_parent_id", "tokens", ["parent_id"])
    op.create_index("ix_tokens_kind_expires_at", "tokens", ["kind", "expires_at"])
    op.create_table(
        "spent_id_tokens",
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.Column("jti", sa.Text(), nullable=False),
        sa.Column("forget_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("issuer", "jti", name="pk_spent_id_tokens"),
    )
    op.create_index("ix_spent_id_tokens_forget_at", "spent_id_tokens", ["forget_at"])
