"""
The tables, as DESIGN section 6 names them.

Times are microseconds since 1970 in UTC, so that both databases compare and
index them as integers. Row numbers are never handed out twice: whoever holds
the number of a deleted file must not reach another one by it.

The migrations make these tables; a test compares the two.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    false,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

ROW_NUMBER = BigInteger().with_variant(Integer, "sqlite")
"""SQLite numbers rows only in a column whose type is the word INTEGER."""

# --------------------------------------------------------------------- identity

users = Table(
    "users",
    metadata,
    Column("id", ROW_NUMBER, primary_key=True),
    Column("name", Text, nullable=False),
    Column("name_key", Text, nullable=False),
    Column("is_admin", Boolean, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    UniqueConstraint("name_key"),
    sqlite_autoincrement=True,
)

# Groups and projects share one space of paths; this table is what makes two of them collide.
paths = Table("paths", metadata, Column("path_key", Text, primary_key=True))

groups = Table(
    "groups",
    metadata,
    Column("id", ROW_NUMBER, primary_key=True),
    Column("path", Text, nullable=False),
    Column("path_key", Text, ForeignKey("paths.path_key"), nullable=False),
    Column("visibility", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    UniqueConstraint("path_key"),
    CheckConstraint("visibility IN ('private', 'internal', 'public')", name="visibility"),
    sqlite_autoincrement=True,
)

# The closure of nesting: each group with itself (depth 0) and with all above it.
group_ancestors = Table(
    "group_ancestors",
    metadata,
    Column("group_id", ROW_NUMBER, ForeignKey("groups.id"), nullable=False),
    Column("ancestor_id", ROW_NUMBER, ForeignKey("groups.id"), nullable=False),
    Column("depth", Integer, nullable=False),
    PrimaryKeyConstraint("group_id", "ancestor_id"),
    Index(None, "ancestor_id", "group_id"),
)

projects = Table(
    "projects",
    metadata,
    Column("id", ROW_NUMBER, primary_key=True),
    Column("group_id", ROW_NUMBER, ForeignKey("groups.id"), nullable=False),
    Column("path", Text, nullable=False),
    Column("path_key", Text, ForeignKey("paths.path_key"), nullable=False),
    Column("visibility", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    UniqueConstraint("path_key"),
    CheckConstraint("visibility IN ('private', 'internal', 'public')", name="visibility"),
    Index(None, "group_id"),
    sqlite_autoincrement=True,
)

members = Table(
    "members",
    metadata,
    Column("id", ROW_NUMBER, primary_key=True),
    Column("user_id", ROW_NUMBER, ForeignKey("users.id"), nullable=False),
    Column("group_id", ROW_NUMBER, ForeignKey("groups.id")),
    Column("project_id", ROW_NUMBER, ForeignKey("projects.id")),
    Column("role", SmallInteger, nullable=False),
    UniqueConstraint("group_id", "user_id"),
    UniqueConstraint("project_id", "user_id"),
    CheckConstraint("(group_id IS NULL) <> (project_id IS NULL)", name="group_or_project"),
    CheckConstraint("role IN (10, 20, 30, 40, 50)", name="role"),
    Index(None, "user_id"),
)

# What is set at a project or group, as one JSON object: it is read with the scope, and nothing is searched in it.
settings = Table(
    "settings",
    metadata,
    Column("id", ROW_NUMBER, primary_key=True),
    Column("group_id", ROW_NUMBER, ForeignKey("groups.id")),
    Column("project_id", ROW_NUMBER, ForeignKey("projects.id")),
    Column("settings_json", Text, nullable=False),
    UniqueConstraint("group_id"),
    UniqueConstraint("project_id"),
    CheckConstraint("(group_id IS NULL) <> (project_id IS NULL)", name="group_or_project"),
)

tokens = Table(
    "tokens",
    metadata,
    Column("id", ROW_NUMBER, primary_key=True),
    Column("public_id", Text, nullable=False),
    Column("secret_sha256", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("scopes_json", Text, nullable=False),
    Column("role", SmallInteger),
    Column("user_id", ROW_NUMBER, ForeignKey("users.id")),
    Column("project_id", ROW_NUMBER, ForeignKey("projects.id")),
    Column("group_id", ROW_NUMBER, ForeignKey("groups.id")),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger),
    Column("revoked_at", BigInteger),
    # Of a deploy token that was given one; without, its number makes it.
    Column("username", Text),
    # By showing which token it was made. No foreign key: users go with their tokens, and numbers never come again.
    Column("parent_id", ROW_NUMBER),
    # What a CI system said of a job; see JobOrigin.
    Column("origin_json", Text),
    Column("last_used_at", BigInteger),
    UniqueConstraint("public_id"),
    Index(None, "parent_id"),
    Index(None, "kind", "expires_at"),
    # A token that lost its owner would be good everywhere, so the database refuses one.
    CheckConstraint(
        "CASE kind"
        " WHEN 'personal' THEN user_id IS NOT NULL AND project_id IS NULL AND group_id IS NULL"
        " WHEN 'group' THEN user_id IS NULL AND project_id IS NULL AND group_id IS NOT NULL"
        " WHEN 'deploy' THEN user_id IS NULL AND (project_id IS NULL) <> (group_id IS NULL)"
        " WHEN 'project' THEN user_id IS NULL AND project_id IS NOT NULL AND group_id IS NULL"
        " WHEN 'job' THEN user_id IS NULL AND project_id IS NOT NULL AND group_id IS NULL"
        " ELSE false END",
        name="owner",
    ),
    Index(None, "user_id"),
    Index(None, "project_id"),
    Index(None, "group_id"),
    sqlite_autoincrement=True,
)

# ID tokens that were exchanged: each is good once. They are remembered for longer than they would be good.
spent_id_tokens = Table(
    "spent_id_tokens",
    metadata,
    Column("issuer", Text, nullable=False),
    Column("jti", Text, nullable=False),
    Column("forget_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("issuer", "jti"),
    Index(None, "forget_at"),
)

# Clients that wait until somebody signs them in on a page. Their token is made when they come back for it, so that
# no secret waits here.
sign_ins = Table(
    "sign_ins",
    metadata,
    Column("public_id", Text, primary_key=True),
    Column("poll_sha256", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("client", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("approved_by", ROW_NUMBER, ForeignKey("tokens.id")),
    Column("token_expires_at", BigInteger),
    UniqueConstraint("poll_sha256"),
    Index(None, "address"),
    Index(None, "expires_at"),
    CheckConstraint("(approved_by IS NULL) = (token_expires_at IS NULL)", name="approved"),
)

# --------------------------------------------------------------------- packages

packages = Table(
    "packages",
    metadata,
    Column("id", ROW_NUMBER, primary_key=True),
    Column("project_id", ROW_NUMBER, ForeignKey("projects.id"), nullable=False),
    Column("format", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("canonical_name", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("canonical_version", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("metadata_json", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    # Why it was yanked, perhaps without a word; NULL while it is not.
    Column("yanked_reason", Text),
    # Words that a search can ask for, each between spaces.
    Column("traits", Text, nullable=False, server_default=""),
    UniqueConstraint("project_id", "format", "canonical_name", "canonical_version"),
    CheckConstraint("status IN ('default', 'hidden')", name="status"),
    CheckConstraint("canonical_name <> ''", name="canonical_name"),
    # Covers the list of names, and finds the newest listed package of a name in one step.
    Index("ix_packages_listed", "project_id", "format", "status", "canonical_name", "id", "name"),
    # Counts the packages of a project of any format, and has them in the order in which they came.
    Index("ix_packages_by_time", "project_id", "status", "created_at", "id"),
    # Goes on in the packages of a project behind one of them, whatever the clock said when they came.
    Index("ix_packages_by_id", "project_id", "status", "id"),
    sqlite_autoincrement=True,
)

blobs = Table(
    "blobs",
    metadata,
    Column("sha256", Text, primary_key=True),
    Column("size_bytes", BigInteger, nullable=False),
    Column("locator", Text, nullable=False),
    Column("digests_json", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    # When the last file let go of it; NULL while one holds it.
    Column("released_at", BigInteger),
    # What is wrong with its bytes, and since when that is known; NULL while nothing is.
    Column("damage", Text),
    Column("damaged_at", BigInteger),
    CheckConstraint("length(sha256) = 64", name="sha256"),
    CheckConstraint("size_bytes >= 0", name="size_bytes"),
)

# How far the reading of all blobs has come, in one row; who is at it has it until held_until.
scrubs = Table(
    "scrubs",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("holder", Text, nullable=False),
    Column("held_until", BigInteger, nullable=False),
    Column("position", Text, nullable=False),
    Column("blobs", BigInteger, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("damaged", BigInteger, nullable=False),
    Column("began_at", BigInteger, nullable=False),
    # Of the last round that came to its end.
    Column("ended_at", BigInteger),
    CheckConstraint("id = 1", name="id"),
)

package_files = Table(
    "package_files",
    metadata,
    Column("id", ROW_NUMBER, primary_key=True),
    Column("package_id", ROW_NUMBER, ForeignKey("packages.id"), nullable=False),
    Column("file_name", Text, nullable=False),
    Column("sha256", Text, ForeignKey("blobs.sha256"), nullable=False),
    Column("metadata_json", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    # Whether it belongs to another file, and is no part of an index.
    Column("is_beside", Boolean, nullable=False, server_default=false()),
    UniqueConstraint("package_id", "file_name"),
    Index(None, "sha256"),
    sqlite_autoincrement=True,
)

# What is read of a file without its bytes, e.g. the metadata out of an archive: in the format's own
# words and encoding, and only ever read by itself.
documents = Table(
    "documents",
    metadata,
    Column("file_id", ROW_NUMBER, ForeignKey("package_files.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    PrimaryKeyConstraint("file_id", "name"),
)

# What files are found by without the name of their package, in their format's own words. A key goes with its file.
file_keys = Table(
    "file_keys",
    metadata,
    Column("project_id", ROW_NUMBER, ForeignKey("projects.id"), nullable=False),
    Column("format", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("file_id", ROW_NUMBER, ForeignKey("package_files.id", ondelete="CASCADE"), nullable=False),
    PrimaryKeyConstraint("project_id", "format", "key", "file_id"),
    Index(None, "file_id"),
)

# Files that whoever published them may take back, while no checksum has confirmed that they came as they were sent.
unconfirmed_files = Table(
    "unconfirmed_files",
    metadata,
    Column("file_id", ROW_NUMBER, ForeignKey("package_files.id", ondelete="CASCADE"), primary_key=True),
    Column("token_id", ROW_NUMBER, nullable=False),
    Column("published_at", BigInteger, nullable=False),
    Index(None, "published_at"),
)

# What keeps the packages of some names for some people. The pattern is kept as it was written and as names are
# compared with it.
protection_rules = Table(
    "protection_rules",
    metadata,
    Column("id", ROW_NUMBER, primary_key=True),
    Column("project_id", ROW_NUMBER, ForeignKey("projects.id"), nullable=False),
    Column("format", Text, nullable=False),
    Column("pattern", Text, nullable=False),
    Column("canonical_pattern", Text, nullable=False),
    Column("push_level", SmallInteger),
    Column("delete_level", SmallInteger),
    Column("created_at", BigInteger, nullable=False),
    UniqueConstraint("project_id", "format", "canonical_pattern"),
    CheckConstraint("push_level IN (40, 50, 60)", name="push_level"),
    CheckConstraint("delete_level IN (50, 60)", name="delete_level"),
    CheckConstraint("push_level IS NOT NULL OR delete_level IS NOT NULL", name="level"),
    sqlite_autoincrement=True,
)

# Movable names of versions. A tag goes with the version it points at.
tags = Table(
    "tags",
    metadata,
    Column("project_id", ROW_NUMBER, ForeignKey("projects.id"), nullable=False),
    Column("format", Text, nullable=False),
    Column("canonical_name", Text, nullable=False),
    Column("tag", Text, nullable=False),
    Column("package_id", ROW_NUMBER, ForeignKey("packages.id", ondelete="CASCADE"), nullable=False),
    PrimaryKeyConstraint("project_id", "format", "canonical_name", "tag"),
    Index(None, "package_id"),
)

tombstones = Table(
    "tombstones",
    metadata,
    Column("project_id", ROW_NUMBER, ForeignKey("projects.id"), nullable=False),
    Column("format", Text, nullable=False),
    Column("canonical_name", Text, nullable=False),
    Column("canonical_version", Text, nullable=False),
    Column("file_name", Text, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("deleted_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("project_id", "format", "canonical_name", "canonical_version", "file_name"),
)

# One row per name, and one with an empty name for the list of names. Rows outlive what they count:
# a revision that came back after a deletion would make old validators true again.
index_revisions = Table(
    "index_revisions",
    metadata,
    Column("project_id", ROW_NUMBER, ForeignKey("projects.id"), nullable=False),
    Column("format", Text, nullable=False),
    Column("canonical_name", Text, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
    # What is searched: the canonical name and what was said of it at its last publish, in lower case.
    Column("search_text", Text, nullable=False, server_default=""),
    PrimaryKeyConstraint("project_id", "format", "canonical_name"),
)

# Which version each of the last changes of a name's index was about; see KEPT_CHANGES.
index_changes = Table(
    "index_changes",
    metadata,
    Column("project_id", ROW_NUMBER, ForeignKey("projects.id"), nullable=False),
    Column("format", Text, nullable=False),
    Column("canonical_name", Text, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("canonical_version", Text, nullable=False),
    PrimaryKeyConstraint("project_id", "format", "canonical_name", "revision"),
)

# What all files of a project have together, changed in the transactions that change the files.
usages = Table(
    "usages",
    metadata,
    Column("project_id", ROW_NUMBER, ForeignKey("projects.id"), primary_key=True),
    Column("file_bytes", BigInteger, nullable=False),
)

# Room for uploads that are on their way. One that is not renewed has lost its daemon, and counts no more.
reservations = Table(
    "reservations",
    metadata,
    Column("id", Text, primary_key=True),
    Column("project_id", ROW_NUMBER, ForeignKey("projects.id"), nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Index(None, "project_id"),
    Index(None, "expires_at"),
)

# Work that one of all daemons does. While somebody has a task it is due when the lease ends; one that has failed is
# never due. Times of leases are those of the database's server.
tasks = Table(
    "tasks",
    metadata,
    Column("id", ROW_NUMBER, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("key", Text, nullable=False),
    # of one that comes again and again, in microseconds
    Column("interval", BigInteger),
    Column("due_at", BigInteger),
    Column("lessee", Text),
    Column("lease_number", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("is_wanted_again", Boolean, nullable=False),
    Column("bookmark", Text, nullable=False),
    Column("error", Text),
    Column("created_at", BigInteger, nullable=False),
    Column("started_at", BigInteger),
    Column("finished_at", BigInteger),
    UniqueConstraint("kind", "key"),
    Index(None, "due_at"),
    sqlite_autoincrement=True,
)

# No foreign keys: the trail outlives what it tells of.
audit_entries = Table(
    "audit_entries",
    metadata,
    Column("id", ROW_NUMBER, primary_key=True),
    Column("happened_at", BigInteger, nullable=False),
    Column("action", Text, nullable=False),
    Column("principal_name", Text, nullable=False),
    Column("user_id", ROW_NUMBER),
    Column("token_id", ROW_NUMBER),
    Column("project_id", ROW_NUMBER),
    Column("detail_json", Text, nullable=False),
    Column("group_id", ROW_NUMBER),
    Column("about_user_id", ROW_NUMBER),
    Column("token_kind", Text),
    Column("token_public_id", Text),
    Column("address", Text),
    Column("request_id", Text),
    # of the project or group, as it was
    Column("place_path", Text, nullable=False, server_default=""),
    Column("subject", Text, nullable=False, server_default=""),
    Index(None, "happened_at", "id"),
    Index(None, "project_id", "happened_at", "id"),
    Index(None, "group_id", "happened_at", "id"),
    sqlite_autoincrement=True,
)
