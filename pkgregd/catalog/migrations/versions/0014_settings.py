"""Keep settings of projects and groups, and count what projects use."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"

ROW_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

COUNT = sa.text(
    "INSERT INTO usages (project_id, file_bytes)"
    " SELECT packages.project_id, SUM(blobs.size_bytes) FROM packages"
    " JOIN package_files ON package_files.package_id = packages.id"
    " JOIN blobs ON blobs.sha256 = package_files.sha256"
    " GROUP BY packages.project_id"
)


def upgrade() -> None:
    """Add three tables; nothing is set, and what is there is counted."""
    op.create_table(
        "settings",
        sa.Column("id", ROW_NUMBER, nullable=False),
        sa.Column("group_id", ROW_NUMBER, nullable=True),
        sa.Column("project_id", ROW_NUMBER, nullable=True),
        sa.Column("settings_json", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_settings"),
        sa.ForeignKeyConstraint(["group_id"], ["groups.id"], name="fk_settings_group_id_groups"),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name="fk_settings_project_id_projects"),
        sa.UniqueConstraint("group_id", name="uq_settings_group_id"),
        sa.UniqueConstraint("project_id", name="uq_settings_project_id"),
        sa.CheckConstraint("(group_id IS NULL) <> (project_id IS NULL)", name="ck_settings_group_or_project"),
    )
    op.create_table(
        "usages",
        sa.Column("project_id", ROW_NUMBER, nullable=False),
        sa.Column("file_bytes", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("project_id", name="pk_usages"),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name="fk_usages_project_id_projects"),
    )
    op.create_table(
        "reservations",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("project_id", ROW_NUMBER, nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_reservations"),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name="fk_reservations_project_id_projects"),
    )
    op.create_index("ix_reservations_project_id", "reservations", ["project_id"])
    op.create_index("ix_reservations_expires_at", "reservations", ["expires_at"])
    op.get_bind().execute(COUNT)
