"""Keep the packages of some names for some people, and go through packages by their numbers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"

ROW_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add a table without rules, and an index."""
    op.create_table(
        "protection_rules",
        sa.Column("id", ROW_NUMBER, nullable=False),
        sa.Column("project_id", ROW_NUMBER, nullable=False),
        sa.Column("format", sa.Text(), nullable=False),
        sa.Column("pattern", sa.Text(), nullable=False),
        sa.Column("canonical_pattern", sa.Text(), nullable=False),
        sa.Column("push_level", sa.SmallInteger()),
        sa.Column("delete_level", sa.SmallInteger()),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_protection_rules"),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name="fk_protection_rules_project_id_projects"),
        sa.UniqueConstraint(
            "project_id", "format", "canonical_pattern", name="uq_protection_rules_project_id_format_canonical_pattern"
        ),
        sa.CheckConstraint("push_level IN (40, 50, 60)", name="ck_protection_rules_push_level"),
        sa.CheckConstraint("delete_level IN (50, 60)", name="ck_protection_rules_delete_level"),
        sa.CheckConstraint("push_level IS NOT NULL OR delete_level IS NOT NULL", name="ck_protection_rules_level"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_packages_by_id", "packages", ["project_id", "status", "id"])
