"""Remember which version each of the last changes of an index was about."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

ROW_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add a table."""
    op.create_table(
        "index_changes",
        sa.Column("project_id", ROW_NUMBER, nullable=False),
        sa.Column("format", sa.Text(), nullable=False),
        sa.Column("canonical_name", sa.Text(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("canonical_version", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name="fk_index_changes_project_id_projects"),
        sa.PrimaryKeyConstraint("project_id", "format", "canonical_name", "revision", name="pk_index_changes"),
    )
