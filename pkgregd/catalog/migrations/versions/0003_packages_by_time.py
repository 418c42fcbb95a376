"""Have the packages of a project in the order in which they came."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add an index."""
    op.create_index("ix_packages_by_time", "packages", ["project_id", "status", "created_at", "id"])
