"""Let searches ask for traits of versions, and keep what NuGet packages say beside their files."""

from __future__ import annotations

import json

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

OLD = sa.text(
    "SELECT packages.id, package_files.id, packages.metadata_json FROM packages"
    " JOIN package_files ON package_files.package_id = packages.id"
    " WHERE packages.format = 'nuget' AND packages.id > :after AND NOT package_files.is_beside"
    " ORDER BY packages.id LIMIT 1"
)
ADD_DOCUMENT = sa.text("INSERT INTO documents (file_id, name, body) VALUES (:file_id, 'metadata', :body)")
UPDATE = sa.text("UPDATE packages SET metadata_json = :metadata_json, traits = :traits WHERE id = :id")


def upgrade() -> None:
    """Add a column, and move what was kept of nuspecs into documents, one at a time."""
    op.add_column("packages", sa.Column("traits", sa.Text(), nullable=False, server_default=""))
    connection = op.get_bind()
    after = 0
    while (row := connection.execute(OLD, {"after": after}).fetchone()) is not None:
        after, file_id, kept = row
        body = kept.encode()
        connection.execute(ADD_DOCUMENT, {"file_id": file_id, "body": body})
        metadata_json, traits = _facts(json.loads(kept), len(body))
        connection.execute(UPDATE, {"id": after, "metadata_json": metadata_json, "traits": traits})


def _facts(nuspec: dict[str, object], size_bytes: int) -> tuple[str, str]:
    """Say what is kept of a package from now on, and its traits."""
    version = str(nuspec["version"])
    types = nuspec["package_types"] or ["Dependency"]
    assert isinstance(types, list)
    facts = {"id": nuspec["id"], "version": version, "package_types": types, "size_bytes": size_bytes}
    before, _, _ = version.partition("+")
    _, dash, labels = before.partition("-")
    traits = [f"type:{name.lower()}" for name in types if name and name.split() == [name]]
    if not dash:
        traits.append("release")
    if before == version and "." not in labels:
        traits.append("semver1")
    return json.dumps(facts, ensure_ascii=False), f" {' '.join(traits)} " if traits else ""
