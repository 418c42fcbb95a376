"""The catalog over a database: each method of ICatalog is one verb in one transaction."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence

from sqlalchemy import column, select, table
from zope.interface import implementer

from pkgregd.catalog import (
    blobs,
    branches,
    changes,
    deletions,
    directory,
    documents,
    identity,
    inventory,
    membership,
    names,
    package_reading,
    packages,
    removal,
    search,
    tags,
    unconfirmed,
    versions,
)
from pkgregd.catalog.foreseen import ForeseenReads
from pkgregd.catalog.schema import check_revision
from pkgregd.catalog.sql_protection import SqlProtection
from pkgregd.catalog.sql_settings import SqlSettings
from pkgregd.catalog.sql_tasks import SqlTasks
from pkgregd.catalog.sql_tokens import SqlTokens
from pkgregd.catalog.sql_trail import Database, SqlTrail
from pkgregd.catalog.sql_upkeep import SqlUpkeep
from pkgregd.catalog.statement import Statement, Transaction
from pkgregd.interfaces import ICatalog, IReads
from pkgregd.values import (
    OPERATOR,
    BlobInfo,
    Digest,
    FileListing,
    FileOrder,
    Foresight,
    IndexState,
    Level,
    MemberListing,
    MemberRecord,
    NameListing,
    NewestVersion,
    Owner,
    PackageFile,
    PackageListing,
    PackageName,
    PackageQuery,
    PackageRecord,
    PackageVersion,
    Piece,
    PlaceListing,
    PlaceQuery,
    PlaceRecord,
    Precondition,
    Principal,
    ProtectedAct,
    Publication,
    Published,
    Role,
    Scope,
    Settlement,
    Stretch,
    Tag,
    UserListing,
    UserRecord,
    Visibility,
)

REVISION = Statement(select(column("version_num")).select_from(table("alembic_version")))


async def read_revision(tx: Transaction) -> str | None:
    """Return the revision of the schema."""
    row = await tx.fetch_one(REVISION)
    return None if row is None else str(row[0])


@implementer(ICatalog)
class SqlCatalog(SqlTokens, SqlProtection, SqlSettings, SqlTasks, SqlUpkeep, SqlTrail):
    """
    ICatalog over a database.

    Args:
        database: runs the verbs, and is closed with the catalog.
    """

    def __init__(self, database: Database) -> None:
        super().__init__(database)

    async def add_user(self, name: str, *, is_admin: bool = False, principal: Principal = OPERATOR) -> int:
        """See IIdentityCatalog."""
        return await self._database.write(identity.add_user, name, is_admin, principal)

    async def add_group(self, path: str, visibility: Visibility, principal: Principal = OPERATOR) -> int:
        """See IIdentityCatalog."""
        return await self._database.write(identity.add_group, path, visibility, principal)

    async def add_project(self, path: str, visibility: Visibility, principal: Principal = OPERATOR) -> int:
        """See IIdentityCatalog."""
        return await self._database.write(identity.add_project, path, visibility, principal)

    async def set_member(self, user: str, path: str, role: Role, principal: Principal = OPERATOR) -> None:
        """See IIdentityCatalog."""
        await self._database.write(identity.set_member, user, path, role, principal)

    async def list_owners(self, project_id: int | None, group_ids: Sequence[int]) -> tuple[Owner, ...]:
        """See IIdentityCatalog."""
        return await self._database.read(identity.list_owners, project_id, group_ids)

    async def list_users(self, text: str | None, name: str | None, piece: Piece) -> UserListing:
        """See IDirectoryCatalog."""
        return await self._database.read(directory.list_users, text, name, piece)

    async def list_users_onward(
        self, text: str | None, name: str | None, stretch: Stretch, *, is_descending: bool = False
    ) -> tuple[UserRecord, ...]:
        """See IDirectoryCatalog."""
        return await self._database.read(directory.list_users_onward, text, name, stretch, is_descending)

    async def find_user(self, user_id: int) -> UserRecord | None:
        """See IDirectoryCatalog."""
        return await self._database.read(directory.find_user, user_id)

    async def change_user(self, user_id: int, is_admin: bool, principal: Principal) -> bool:
        """See IDirectoryCatalog."""
        return await self._database.write(directory.change_user, user_id, is_admin, principal)

    async def remove_user(self, user_id: int, principal: Principal) -> bool:
        """See IDirectoryCatalog."""
        return await self._database.write(removal.remove_user, user_id, principal)

    async def list_places(self, level: Level, viewer: Principal, query: PlaceQuery, piece: Piece) -> PlaceListing:
        """See IDirectoryCatalog."""
        return await self._database.read(directory.list_places, level, viewer, query, piece)

    async def list_places_onward(
        self, level: Level, viewer: Principal, query: PlaceQuery, stretch: Stretch
    ) -> tuple[PlaceRecord, ...]:
        """See IDirectoryCatalog."""
        return await self._database.read(directory.list_places_onward, level, viewer, query, stretch)

    async def find_place(self, level: Level, place_id: int) -> PlaceRecord | None:
        """See IDirectoryCatalog."""
        return await self._database.read(directory.find_place, level, place_id)

    async def change_place(self, level: Level, place_id: int, visibility: Visibility, principal: Principal) -> bool:
        """See IDirectoryCatalog."""
        return await self._database.write(directory.change_place, level, place_id, visibility, principal)

    async def remove_place(self, level: Level, place_id: int, principal: Principal) -> bool:
        """See IDirectoryCatalog."""
        return await self._database.write(removal.remove_place, level, place_id, principal)

    async def list_members(self, scope: Scope, text: str | None, piece: Piece, *, is_inherited: bool) -> MemberListing:
        """See IDirectoryCatalog."""
        return await self._database.read(membership.list_members, scope, text, piece, is_inherited)

    async def find_member(self, scope: Scope, user_id: int, *, is_inherited: bool) -> MemberRecord | None:
        """See IDirectoryCatalog."""
        return await self._database.read(membership.find_member, scope, user_id, is_inherited)

    async def set_member_role(
        self, scope: Scope, user_id: int, role: Role, principal: Principal, *, is_new: bool
    ) -> bool:
        """See IDirectoryCatalog."""
        return await self._database.write(membership.set_member_role, scope, user_id, role, principal, is_new)

    async def remove_member(self, scope: Scope, user_id: int, principal: Principal) -> bool:
        """See IDirectoryCatalog."""
        return await self._database.write(membership.remove_member, scope, user_id, principal)

    async def find_scope(self, level: Level, ident: int | str, user_id: int | None) -> Scope | None:
        """See IReads."""
        return await self._database.read(identity.find_scope, level, ident, user_id)

    async def publish(
        self, publication: Publication, principal: Principal, settlement: Settlement | None = None
    ) -> Published:
        """See IPackageCatalog."""
        return await self._database.write(packages.publish, publication, principal, settlement)

    async def publish_all(
        self, publications: Sequence[Publication], principal: Principal, settlement: Settlement | None = None
    ) -> tuple[Published, ...]:
        """See IPackageCatalog."""
        return await self._database.write(packages.publish_all, publications, principal, settlement)

    async def find_by_key(self, project_ids: Sequence[int], format: str, key: str) -> PackageFile | None:
        """See IPackageCatalog."""
        return await self._database.read(package_reading.find_by_key, project_ids, format, key)

    async def find_file(
        self,
        project_ids: Sequence[int],
        format: str,
        canonical_name: str,
        canonical_version: str | None,
        file_name: str,
        sha256: Digest | None = None,
    ) -> PackageFile | None:
        """See IReads."""
        return await self._database.read(
            package_reading.find_file, project_ids, format, canonical_name, canonical_version, file_name, sha256
        )

    async def list_files(
        self,
        project_ids: Sequence[int],
        format: str,
        canonical_name: str,
        canonical_version: str | None = None,
        *,
        listed_only: bool = True,
    ) -> tuple[PackageFile, ...]:
        """See IPackageCatalog."""
        return await self._database.read(
            package_reading.list_files, project_ids, format, canonical_name, canonical_version, listed_only
        )

    async def list_versions(
        self, project_ids: Sequence[int], format: str, canonical_name: str, canonical_version: str | None = None
    ) -> tuple[PackageVersion, ...]:
        """See IPackageCatalog."""
        return await self._database.read(versions.list_versions, project_ids, format, canonical_name, canonical_version)

    async def list_changes(
        self, project_id: int, format: str, canonical_name: str, after: int, upto: int
    ) -> frozenset[str] | None:
        """See IPackageCatalog."""
        return await self._database.read(changes.list_changes, project_id, format, canonical_name, after, upto)

    async def list_names(self, project_ids: Sequence[int], format: str) -> tuple[PackageName, ...]:
        """See IPackageCatalog."""
        return await self._database.read(package_reading.list_names, project_ids, format)

    async def search_names(
        self, project_ids: Sequence[int], format: str, text: str, piece: Piece, traits: Sequence[str] | None = None
    ) -> NameListing:
        """See IPackageCatalog."""
        return await self._database.read(search.search_names, project_ids, format, text, piece, traits)

    async def list_tags(self, project_ids: Sequence[int], format: str, canonical_name: str) -> tuple[Tag, ...]:
        """See IPackageCatalog."""
        return await self._database.read(tags.list_tags, project_ids, format, canonical_name)

    async def set_tag(
        self,
        project_id: int,
        format: str,
        canonical_name: str,
        canonical_version: str,
        tag: str,
        principal: Principal,
    ) -> bool:
        """See IPackageCatalog."""
        return await self._database.write(
            tags.set_tag, project_id, format, canonical_name, canonical_version, tag, principal
        )

    async def remove_tag(
        self, project_id: int, format: str, canonical_name: str, tag: str, principal: Principal
    ) -> bool:
        """See IPackageCatalog."""
        return await self._database.write(tags.remove_tag, project_id, format, canonical_name, tag, principal)

    async def find_name(self, project_ids: Sequence[int], format: str, canonical_name: str) -> PackageName | None:
        """See IPackageCatalog."""
        return await self._database.read(package_reading.find_name, project_ids, format, canonical_name)

    async def projects_with(
        self, group_id: int, format: str, canonical_name: str | None, user_id: int | None
    ) -> tuple[Scope, ...]:
        """See IPackageCatalog."""
        return await self._database.read(identity.projects_with, group_id, format, canonical_name, user_id)

    async def index_state(self, project_ids: Sequence[int], format: str, canonical_name: str | None) -> IndexState:
        """See IReads."""
        return await self._database.read(package_reading.index_state, project_ids, format, canonical_name)

    async def branch_state(self, project_ids: Sequence[int], format: str, branch: str, word: str) -> IndexState:
        """See IPackageCatalog."""
        return await self._database.read(branches.branch_state, project_ids, format, branch, word)

    async def list_branch(
        self, project_ids: Sequence[int], format: str, branch: str, word: str, limit: int
    ) -> tuple[NewestVersion, ...]:
        """See IPackageCatalog."""
        return await self._database.read(branches.list_branch, project_ids, format, branch, word, limit)

    async def find_document(self, file_id: int, name: str) -> bytes | None:
        """See IPackageCatalog."""
        return await self._database.read(documents.find_document, file_id, name)

    async def replace_metadata(
        self,
        project_id: int,
        format: str,
        canonical_name: str,
        canonical_version: str,
        known_json: str,
        new_json: str,
        principal: Principal,
    ) -> bool:
        """See IPackageCatalog."""
        version = (project_id, format, canonical_name, canonical_version)
        return await self._database.write(versions.replace_metadata, *version, known_json, new_json, principal)

    async def confirm_file(self, file_id: int, sha256: Digest) -> None:
        """See IPackageCatalog."""
        await self._database.write(unconfirmed.confirm_file, file_id, sha256)

    async def withdraw_file(self, file_id: int, sha256: Digest, principal: Principal) -> bool:
        """See IPackageCatalog."""
        return await self._database.write(packages.withdraw_file, file_id, sha256, principal)

    async def list_documents(self, package_ids: Sequence[int], name: str) -> Mapping[int, bytes]:
        """See IPackageCatalog."""
        return await self._database.read(documents.list_documents, package_ids, name)

    async def set_yanked(
        self,
        project_id: int,
        format: str,
        canonical_name: str,
        canonical_version: str,
        reason: str | None,
        principal: Principal,
        *,
        act: ProtectedAct = ProtectedAct.PUSH,
    ) -> bool:
        """See IPackageCatalog."""
        version = (project_id, format, canonical_name, canonical_version)
        return await self._database.write(versions.set_yanked, *version, reason, principal, act)

    async def yank_each(
        self,
        project_id: int,
        format: str,
        canonical_name: str,
        reasons: Mapping[str, str | None],
        principal: Principal,
    ) -> frozenset[str]:
        """See IPackageCatalog."""
        return await self._database.write(names.yank_each, project_id, format, canonical_name, reasons, principal)

    async def first_published(
        self, project_ids: Sequence[int], format: str, canonical_name: str
    ) -> datetime.datetime | None:
        """See IPackageCatalog."""
        return await self._database.read(names.first_published, project_ids, format, canonical_name)

    async def delete_name(
        self, project_id: int, format: str, canonical_name: str, revision: int, principal: Principal
    ) -> int:
        """See IPackageCatalog."""
        return await self._database.write(names.delete_name, project_id, format, canonical_name, revision, principal)

    async def delete_file(self, file_id: int, principal: Principal, precondition: Precondition) -> bool:
        """See IPackageCatalog."""
        return await self._database.write(packages.delete_file, file_id, principal, precondition)

    async def projects_below(
        self, group_id: int, user_id: int | None, *, direct_only: bool = False
    ) -> tuple[Scope, ...]:
        """See IInventoryCatalog."""
        return await self._database.read(identity.projects_below, group_id, user_id, direct_only)

    async def list_packages(self, project_ids: Sequence[int], query: PackageQuery, piece: Piece) -> PackageListing:
        """See IInventoryCatalog."""
        return await self._database.read(inventory.list_packages, project_ids, query, piece)

    async def list_packages_onward(
        self, project_ids: Sequence[int], query: PackageQuery, stretch: Stretch
    ) -> tuple[PackageRecord, ...]:
        """See IInventoryCatalog."""
        return await self._database.read(inventory.list_packages_onward, project_ids, query, stretch)

    async def find_package(self, project_id: int, package_id: int) -> PackageRecord | None:
        """See IInventoryCatalog."""
        return await self._database.read(inventory.find_package, project_id, package_id)

    async def list_all_packages(self, after: int, limit: int) -> tuple[PackageRecord, ...]:
        """See IInventoryCatalog."""
        return await self._database.read(inventory.list_all_packages, after, limit)

    async def list_package_files(
        self, package_id: int, order: FileOrder, piece: Piece, *, is_descending: bool = False
    ) -> FileListing:
        """See IInventoryCatalog."""
        return await self._database.read(inventory.list_package_files, package_id, order, piece, is_descending)

    async def find_package_file(self, project_id: int, package_id: int, file_id: int) -> PackageFile | None:
        """See IInventoryCatalog."""
        return await self._database.read(package_reading.find_package_file, project_id, package_id, file_id)

    async def delete_package(
        self, project_id: int, package_id: int, principal: Principal, precondition: Precondition
    ) -> bool:
        """See IInventoryCatalog."""
        return await self._database.write(inventory.delete_package, project_id, package_id, principal, precondition)

    async def delete_files(
        self, project_id: int, package_id: int, file_ids: Sequence[int], revision: int, principal: Principal
    ) -> bool:
        """See IInventoryCatalog."""
        return await self._database.write(deletions.delete_files, project_id, package_id, file_ids, revision, principal)

    async def is_blob_unused(self, sha256: Digest, locator: str | None = None) -> bool:
        """See IBlobCatalog."""
        return await self._database.read(blobs.is_blob_unused, sha256, locator)

    async def forget_blob(self, sha256: Digest, locator: str | None = None) -> bool:
        """See IBlobCatalog."""
        return await self._database.write(blobs.forget_blob, sha256, locator)

    async def move_blob(self, sha256: Digest, locator: str, new_locator: str) -> bool:
        """See IBlobCatalog."""
        return await self._database.write(blobs.move_blob, sha256, locator, new_locator)

    async def find_unused_blobs(self, before: datetime.datetime, limit: int, after: str = "") -> tuple[BlobInfo, ...]:
        """See IBlobCatalog."""
        return await self._database.read(blobs.find_unused_blobs, before, limit, after)

    def foreseeing(self, foresight: Foresight) -> IReads:
        """See ICatalog."""
        return ForeseenReads(self._database, foresight)

    async def check(self) -> None:
        """See ICatalog."""
        check_revision(await self._database.read(read_revision))

    async def close(self) -> None:
        """See ICatalog."""
        await self._database.close()
