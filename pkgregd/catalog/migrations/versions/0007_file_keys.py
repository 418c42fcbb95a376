"""Find files by keys of their own, and keep files that are no part of an index."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

ROW_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add a table and a column; no file that is there has a key, or is beside another."""
    op.create_table(
        "file_keys",
        sa.Column("project_id", ROW_NUMBER, nullable=False),
        sa.Column("format", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("file_id", ROW_NUMBER, nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name="fk_file_keys_project_id_projects"),
        sa.ForeignKeyConstraint(
            ["file_id"], ["package_files.id"], name="fk_file_keys_file_id_package_files", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("project_id", "format", "key", "file_id", name="pk_file_keys"),
    )
    op.create_index("ix_file_keys_file_id", "file_keys", ["file_id"])
    op.add_column("package_files", sa.Column("is_beside", sa.Boolean(), nullable=False, server_default=sa.false()))
