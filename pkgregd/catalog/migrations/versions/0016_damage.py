"""Remember which blobs are damaged, and how far the reading of all of them has come."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """Add what is known of a blob's bytes: nothing yet; and where the reading of all blobs stands."""
    op.add_column("blobs", sa.Column("damage", sa.Text(), nullable=True))
    op.add_column("blobs", sa.Column("damaged_at", sa.BigInteger(), nullable=True))
    op.create_table(
        "scrubs",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("held_until", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.Text(), nullable=False),
        sa.Column("blobs", sa.BigInteger(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("damaged", sa.BigInteger(), nullable=False),
        sa.Column("began_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_scrubs"),
        sa.CheckConstraint("id = 1", name="ck_scrubs_id"),
    )
