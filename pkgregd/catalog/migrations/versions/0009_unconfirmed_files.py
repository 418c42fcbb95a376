"""Remember who may take back a file that no checksum has confirmed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

ROW_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add a table, with nobody in it: the files that are there stay."""
    op.create_table(
        "unconfirmed_files",
        sa.Column("file_id", ROW_NUMBER, nullable=False),
        sa.Column("token_id", ROW_NUMBER, nullable=False),
        sa.Column("published_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("file_id", name="pk_unconfirmed_files"),
        sa.ForeignKeyConstraint(
            ["file_id"],
            ["package_files.id"],
            name="fk_unconfirmed_files_file_id_package_files",
            ondelete="CASCADE",
        ),
    )
    op.create_index("ix_unconfirmed_files_published_at", "unconfirmed_files", ["published_at"])
