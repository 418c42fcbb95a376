"""Let packages be yanked, and keep documents beside files."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

ROW_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add a column to packages, and a table."""
    op.add_column("packages", sa.Column("yanked_reason", sa.Text(), nullable=True))
    op.create_table(
        "documents",
        sa.Column("file_id", ROW_NUMBER, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["file_id"], ["package_files.id"], name="fk_documents_file_id_package_files"),
        sa.PrimaryKeyConstraint("file_id", "name", name="pk_documents"),
    )
