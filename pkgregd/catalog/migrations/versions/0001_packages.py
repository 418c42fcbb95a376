"""Make the tables of identities, packages and blobs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

ROW_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

OWNER_BY_KIND = (
    "CASE kind"
    " WHEN 'personal' THEN user_id IS NOT NULL AND project_id IS NULL AND group_id IS NULL"
    " WHEN 'group' THEN user_id IS NULL AND project_id IS NULL AND group_id IS NOT NULL"
    " WHEN 'deploy' THEN user_id IS NULL AND (project_id IS NULL) <> (group_id IS NULL)"
    " WHEN 'project' THEN user_id IS NULL AND project_id IS NOT NULL AND group_id IS NULL"
    " WHEN 'job' THEN user_id IS NULL AND project_id IS NOT NULL AND group_id IS NULL"
    " ELSE false END"
)


def upgrade() -> None:
    """Make everything."""
    op.create_table(
        "audit_entries",
        sa.Column("id", ROW_NUMBER, nullable=False),
        sa.Column("happened_at", sa.BigInteger(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("principal_name", sa.Text(), nullable=False),
        sa.Column("user_id", ROW_NUMBER, nullable=True),
        sa.Column("token_id", ROW_NUMBER, nullable=True),
        sa.Column("project_id", ROW_NUMBER, nullable=True),
        sa.Column("detail_json", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit_entries"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_audit_entries_project_id_happened_at", "audit_entries", ["project_id", "happened_at"])
    op.create_table(
        "blobs",
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("locator", sa.Text(), nullable=False),
        sa.Column("digests_json", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("released_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("length(sha256) = 64", name="ck_blobs_sha256"),
        sa.CheckConstraint("size_bytes >= 0", name="ck_blobs_size_bytes"),
        sa.PrimaryKeyConstraint("sha256", name="pk_blobs"),
    )
    op.create_table(
        "paths", sa.Column("path_key", sa.Text(), nullable=False), sa.PrimaryKeyConstraint("path_key", name="pk_paths")
    )
    op.create_table(
        "users",
        sa.Column("id", ROW_NUMBER, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("name_key", sa.Text(), nullable=False),
        sa.Column("is_admin", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_users"),
        sa.UniqueConstraint("name_key", name="uq_users_name_key"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "groups",
        sa.Column("id", ROW_NUMBER, nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("path_key", sa.Text(), nullable=False),
        sa.Column("visibility", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("visibility IN ('private', 'internal', 'public')", name="ck_groups_visibility"),
        sa.ForeignKeyConstraint(["path_key"], ["paths.path_key"], name="fk_groups_path_key_paths"),
        sa.PrimaryKeyConstraint("id", name="pk_groups"),
        sa.UniqueConstraint("path_key", name="uq_groups_path_key"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "group_ancestors",
        sa.Column("group_id", ROW_NUMBER, nullable=False),
        sa.Column("ancestor_id", ROW_NUMBER, nullable=False),
        sa.Column("depth", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["ancestor_id"], ["groups.id"], name="fk_group_ancestors_ancestor_id_groups"),
        sa.ForeignKeyConstraint(["group_id"], ["groups.id"], name="fk_group_ancestors_group_id_groups"),
        sa.PrimaryKeyConstraint("group_id", "ancestor_id", name="pk_group_ancestors"),
    )
    op.create_index("ix_group_ancestors_ancestor_id_group_id", "group_ancestors", ["ancestor_id", "group_id"])
    op.create_table(
        "projects",
        sa.Column("id", ROW_NUMBER, nullable=False),
        sa.Column("group_id", ROW_NUMBER, nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("path_key", sa.Text(), nullable=False),
        sa.Column("visibility", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("visibility IN ('private', 'internal', 'public')", name="ck_projects_visibility"),
        sa.ForeignKeyConstraint(["group_id"], ["groups.id"], name="fk_projects_group_id_groups"),
        sa.ForeignKeyConstraint(["path_key"], ["paths.path_key"], name="fk_projects_path_key_paths"),
        sa.PrimaryKeyConstraint("id", name="pk_projects"),
        sa.UniqueConstraint("path_key", name="uq_projects_path_key"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_projects_group_id", "projects", ["group_id"])
    op.create_table(
        "index_revisions",
        sa.Column("project_id", ROW_NUMBER, nullable=False),
        sa.Column("format", sa.Text(), nullable=False),
        sa.Column("canonical_name", sa.Text(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name="fk_index_revisions_project_id_projects"),
        sa.PrimaryKeyConstraint("project_id", "format", "canonical_name", name="pk_index_revisions"),
    )
    op.create_table(
        "members",
        sa.Column("id", ROW_NUMBER, nullable=False),
        sa.Column("user_id", ROW_NUMBER, nullable=False),
        sa.Column("group_id", ROW_NUMBER, nullable=True),
        sa.Column("project_id", ROW_NUMBER, nullable=True),
        sa.Column("role", sa.SmallInteger(), nullable=False),
        sa.CheckConstraint("(group_id IS NULL) <> (project_id IS NULL)", name="ck_members_group_or_project"),
        sa.CheckConstraint("role IN (10, 20, 30, 40, 50)", name="ck_members_role"),
        sa.ForeignKeyConstraint(["group_id"], ["groups.id"], name="fk_members_group_id_groups"),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name="fk_members_project_id_projects"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_members_user_id_users"),
        sa.PrimaryKeyConstraint("id", name="pk_members"),
        sa.UniqueConstraint("group_id", "user_id", name="uq_members_group_id_user_id"),
        sa.UniqueConstraint("project_id", "user_id", name="uq_members_project_id_user_id"),
    )
    op.create_table(
        "packages",
        sa.Column("id", ROW_NUMBER, nullable=False),
        sa.Column("project_id", ROW_NUMBER, nullable=False),
        sa.Column("format", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("canonical_name", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("canonical_version", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("metadata_json", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("canonical_name <> ''", name="ck_packages_canonical_name"),
        sa.CheckConstraint("status IN ('default', 'hidden')", name="ck_packages_status"),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name="fk_packages_project_id_projects"),
        sa.PrimaryKeyConstraint("id", name="pk_packages"),
        sa.UniqueConstraint(
            "project_id",
            "format",
            "canonical_name",
            "canonical_version",
            name="uq_packages_project_id_format_canonical_name_canonical_version",
        ),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_packages_listed", "packages", ["project_id", "format", "status", "canonical_name", "id", "name"]
    )
    op.create_table(
        "tokens",
        sa.Column("id", ROW_NUMBER, nullable=False),
        sa.Column("public_id", sa.Text(), nullable=False),
        sa.Column("secret_sha256", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("scopes_json", sa.Text(), nullable=False),
        sa.Column("role", sa.SmallInteger(), nullable=True),
        sa.Column("user_id", ROW_NUMBER, nullable=True),
        sa.Column("project_id", ROW_NUMBER, nullable=True),
        sa.Column("group_id", ROW_NUMBER, nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(OWNER_BY_KIND, name="ck_tokens_owner"),
        sa.ForeignKeyConstraint(["group_id"], ["groups.id"], name="fk_tokens_group_id_groups"),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name="fk_tokens_project_id_projects"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_tokens_user_id_users"),
        sa.PrimaryKeyConstraint("id", name="pk_tokens"),
        sa.UniqueConstraint("public_id", name="uq_tokens_public_id"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "tombstones",
        sa.Column("project_id", ROW_NUMBER, nullable=False),
        sa.Column("format", sa.Text(), nullable=False),
        sa.Column("canonical_name", sa.Text(), nullable=False),
        sa.Column("canonical_version", sa.Text(), nullable=False),
        sa.Column("file_name", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("deleted_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name="fk_tombstones_project_id_projects"),
        sa.PrimaryKeyConstraint(
            "project_id", "format", "canonical_name", "canonical_version", "file_name", name="pk_tombstones"
        ),
    )
    op.create_table(
        "package_files",
        sa.Column("id", ROW_NUMBER, nullable=False),
        sa.Column("package_id", ROW_NUMBER, nullable=False),
        sa.Column("file_name", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("metadata_json", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["package_id"], ["packages.id"], name="fk_package_files_package_id_packages"),
        sa.ForeignKeyConstraint(["sha256"], ["blobs.sha256"], name="fk_package_files_sha256_blobs"),
        sa.PrimaryKeyConstraint("id", name="pk_package_files"),
        sa.UniqueConstraint("package_id", "file_name", name="uq_package_files_package_id_file_name"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_package_files_sha256", "package_files", ["sha256"])
