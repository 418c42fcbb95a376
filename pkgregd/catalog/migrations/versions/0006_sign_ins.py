"""Keep clients that wait to be signed in, and find the tokens of a user."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

ROW_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add a table, and an index of another."""
    op.create_table(
        "sign_ins",
        sa.Column("public_id", sa.Text(), nullable=False),
        sa.Column("poll_sha256", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("client", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("approved_by", ROW_NUMBER),
        sa.Column("token_expires_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("public_id", name="pk_sign_ins"),
        sa.UniqueConstraint("poll_sha256", name="uq_sign_ins_poll_sha256"),
        sa.ForeignKeyConstraint(["approved_by"], ["tokens.id"], name="fk_sign_ins_approved_by_tokens"),
        sa.CheckConstraint("(approved_by IS NULL) = (token_expires_at IS NULL)", name="ck_sign_ins_approved"),
    )
    op.create_index("ix_sign_ins_address", "sign_ins", ["address"])
    op.create_index("ix_sign_ins_expires_at", "sign_ins", ["expires_at"])
    op.create_index("ix_tokens_user_id", "tokens", ["user_id"])
