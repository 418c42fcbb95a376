"""Find the tokens of a project or group, and the memberships of a user."""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Add indexes."""
    op.create_index("ix_tokens_project_id", "tokens", ["project_id"])
    op.create_index("ix_tokens_group_id", "tokens", ["group_id"])
    op.create_index("ix_members_user_id", "members", ["user_id"])
