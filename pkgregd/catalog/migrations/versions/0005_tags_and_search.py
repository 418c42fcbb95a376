"""Keep tags, and what names are found by."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

ROW_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add a table and a column; names that are there are found by themselves."""
    op.create_table(
        "tags",
        sa.Column("project_id", ROW_NUMBER, nullable=False),
        sa.Column("format", sa.Text(), nullable=False),
        sa.Column("canonical_name", sa.Text(), nullable=False),
        sa.Column("tag", sa.Text(), nullable=False),
        sa.Column("package_id", ROW_NUMBER, nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name="fk_tags_project_id_projects"),
        sa.ForeignKeyConstraint(
            ["package_id"], ["packages.id"], name="fk_tags_package_id_packages", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("project_id", "format", "canonical_name", "tag", name="pk_tags"),
    )
    op.create_index("ix_tags_package_id", "tags", ["package_id"])
    op.add_column("index_revisions", sa.Column("search_text", sa.Text(), nullable=False, server_default=""))
    op.execute("UPDATE index_revisions SET search_text = lower(canonical_name)")
