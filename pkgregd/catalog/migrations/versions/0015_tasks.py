"""Keep tasks: work that one of all daemons does."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"

ROW_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add a table without tasks: daemons enter theirs when they start."""
    op.create_table(
        "tasks",
        sa.Column("id", ROW_NUMBER, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("interval", sa.BigInteger()),
        sa.Column("due_at", sa.BigInteger()),
        sa.Column("lessee", sa.Text()),
        sa.Column("lease_number", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("is_wanted_again", sa.Boolean(), nullable=False),
        sa.Column("bookmark", sa.Text(), nullable=False),
        sa.Column("error", sa.Text()),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("started_at", sa.BigInteger()),
        sa.Column("finished_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", name="pk_tasks"),
        sa.UniqueConstraint("kind", "key", name="uq_tasks_kind_key"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_tasks_due_at", "tasks", ["due_at"])
