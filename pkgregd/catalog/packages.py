"""Packages and their files, index revisions, tombstones and the audit trail: statements, then verbs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlalchemy import bindparam, delete, literal_column, select, update

from pkgregd.catalog import told
from pkgregd.catalog.audit import add_audit_entry
from pkgregd.catalog.blobs import adopt_blob, release_blob
from pkgregd.catalog.changes import count_change, keep_summary, record_change
from pkgregd.catalog.documents import drop_documents, keep_documents
from pkgregd.catalog.keys import set_keys
from pkgregd.catalog.package_reading import listed_name, load_file
from pkgregd.catalog.protection import demand_unprotected
from pkgregd.catalog.rules import traits_text
from pkgregd.catalog.statement import Row, Statement, Transaction, insert
from pkgregd.catalog.tables import (
    package_files,
    packages,
    projects,
    tombstones,
)
from pkgregd.catalog.tags import point_tags
from pkgregd.catalog.unconfirmed import may_withdraw, note_confirmed, note_sent_again, note_unconfirmed
from pkgregd.catalog.usage import add_usage, settle, size_of_blob
from pkgregd.errors import (
    FileExists,
    FileSpelledOtherwise,
    FileWasDeleted,
    NameSpelledOtherwise,
    PackageNotFound,
    ProjectNotFound,
)
from pkgregd.values import (
    AuditAction,
    BlobInfo,
    Coordinates,
    Digest,
    OnDuplicate,
    PackageFile,
    PackageStatus,
    Precondition,
    Principal,
    ProtectedAct,
    Publication,
    Published,
    Settlement,
)

# =================================================================== statements

PROJECT_EXISTS = Statement(
    select(projects.c.id).where(projects.c.id == bindparam("project_id")).with_for_update(key_share=True, read=True)
)

FIND_PACKAGE = Statement(
    select(packages.c.id, packages.c.status)
    .where(
        packages.c.project_id == bindparam("project_id"),
        packages.c.format == bindparam("format"),
        packages.c.canonical_name == bindparam("canonical_name"),
        packages.c.canonical_version == bindparam("canonical_version"),
    )
    .with_for_update()
)

ADD_PACKAGE = Statement(
    insert(packages)
    .values(
        project_id=bindparam("project_id"),
        format=bindparam("format"),
        name=bindparam("name"),
        canonical_name=bindparam("canonical_name"),
        version=bindparam("version"),
        canonical_version=bindparam("canonical_version"),
        status=bindparam("status"),
        metadata_json=bindparam("metadata_json"),
        traits=bindparam("traits"),
        created_at=bindparam("now"),
    )
    .on_conflict_do_nothing()
)

SET_STATUS = Statement(
    update(packages).where(packages.c.id == bindparam("package_id")).values(status=bindparam("new_status"))
)

SET_PACKAGE_METADATA = Statement(
    update(packages)
    .where(packages.c.id == bindparam("package_id"))
    .values(metadata_json=bindparam("new_metadata_json"), traits=bindparam("new_traits"))
)

DELETE_EMPTY_PACKAGE = Statement(
    delete(packages).where(
        packages.c.id == bindparam("package_id"),
        ~select(literal_column("1")).where(package_files.c.package_id == packages.c.id).exists(),
    )
)

FILE_IN_PACKAGE = Statement(
    select(package_files.c.id, package_files.c.sha256)
    .where(package_files.c.package_id == bindparam("package_id"), package_files.c.file_name == bindparam("file_name"))
    .with_for_update()
)

NAMES_IN_PACKAGE = Statement(
    select(package_files.c.file_name).where(package_files.c.package_id == bindparam("package_id"))
)

ADD_FILE = Statement(
    insert(package_files).values(
        package_id=bindparam("package_id"),
        file_name=bindparam("file_name"),
        sha256=bindparam("sha256"),
        metadata_json=bindparam("metadata_json"),
        created_at=bindparam("now"),
        is_beside=bindparam("is_beside"),
    )
)

REPLACE_FILE = Statement(
    update(package_files)
    .where(package_files.c.id == bindparam("file_id"))
    .values(sha256=bindparam("new_sha256"), metadata_json=bindparam("new_metadata_json"), created_at=bindparam("now"))
)

DELETE_FILE = Statement(delete(package_files).where(package_files.c.id == bindparam("file_id")))


SPELLINGS = Statement(
    select(packages.c.name)
    .where(
        packages.c.project_id == bindparam("project_id"),
        packages.c.format == bindparam("format"),
        packages.c.canonical_name == bindparam("canonical_name"),
        packages.c.id != bindparam("package_id"),
    )
    .order_by(packages.c.id.desc())
    .limit(literal_column("1"))
)


FIND_TOMBSTONE = Statement(
    select(tombstones.c.sha256).where(
        tombstones.c.project_id == bindparam("project_id"),
        tombstones.c.format == bindparam("format"),
        tombstones.c.canonical_name == bindparam("canonical_name"),
        tombstones.c.canonical_version == bindparam("canonical_version"),
        tombstones.c.file_name == bindparam("file_name"),
    )
)

TOMBSTONES_OF_PACKAGE = Statement(
    select(tombstones.c.file_name, tombstones.c.sha256).where(
        tombstones.c.project_id == bindparam("project_id"),
        tombstones.c.format == bindparam("format"),
        tombstones.c.canonical_name == bindparam("canonical_name"),
        tombstones.c.canonical_version == bindparam("canonical_version"),
    )
)

_tombstone = insert(tombstones).values(
    project_id=bindparam("project_id"),
    format=bindparam("format"),
    canonical_name=bindparam("canonical_name"),
    canonical_version=bindparam("canonical_version"),
    file_name=bindparam("file_name"),
    sha256=bindparam("sha256"),
    deleted_at=bindparam("now"),
)

LEAVE_TOMBSTONE = Statement(
    _tombstone.on_conflict_do_update(
        index_elements=["project_id", "format", "canonical_name", "canonical_version", "file_name"],
        set_={"sha256": _tombstone.excluded.sha256, "deleted_at": _tombstone.excluded.deleted_at},
    )
)

# ====================================================================== writing


async def publish(
    tx: Transaction, publication: Publication, principal: Principal, settlement: Settlement | None = None
) -> Published:
    """See IPackageCatalog."""
    (published,) = await publish_all(tx, (publication,), principal, settlement)
    return published


async def publish_all(
    tx: Transaction, publications: Sequence[Publication], principal: Principal, settlement: Settlement | None = None
) -> tuple[Published, ...]:
    """See IPackageCatalog."""
    all_published, added_bytes = [], dict.fromkeys((each.coordinates.project_id for each in publications), 0)
    for publication in publications:
        published, more_bytes = await _publish(tx, publication, principal)
        all_published.append(published)
        added_bytes[publication.coordinates.project_id] += more_bytes
    for project_id, more_bytes in sorted(added_bytes.items()):  # behind all else: every publish in a project waits here
        is_reserved = settlement is not None and settlement.reservation.project_id == project_id
        await settle(tx, project_id, more_bytes, settlement if is_reserved else None)
    return tuple(all_published)


async def _publish(tx: Transaction, publication: Publication, principal: Principal) -> tuple[Published, int]:
    """Publish one file; returns also by how many bytes the project's files are more."""
    wanted = publication.coordinates
    blob = publication.blob
    if await tx.fetch_one(PROJECT_EXISTS, project_id=wanted.project_id) is None:
        raise ProjectNotFound
    name = (wanted.project_id, wanted.format, wanted.canonical_name)
    await demand_unprotected(tx, *name, ProtectedAct.PUSH, principal)
    package = await _find_package(tx, wanted)
    if publication.beside is not None:
        await _demand_file(tx, package, publication.beside)
    existing = None
    if package is not None:
        existing = await tx.fetch_one(FILE_IN_PACKAGE, package_id=package[0], file_name=wanted.file_name)
    present_sha256 = None if existing is None else existing[1]
    publication.precondition.demand(present_sha256, wanted.file_name)

    has_bytes = present_sha256 == blob.sha256.hex
    sets_status = package is not None and publication.status not in (None, PackageStatus(package[1]))
    if has_bytes and not sets_status:
        assert existing is not None
        if publication.awaits_checksum:
            await note_sent_again(tx, existing[0], principal)
        return Published(await _mended(tx, await _load(tx, existing[0]), blob, principal), created=False), 0
    if not has_bytes:
        if existing is not None and publication.on_duplicate is OnDuplicate.REFUSE:
            raise FileExists(wanted.file_name)
        if publication.respects_tombstones:
            await _check_tombstone(tx, wanted, blob.sha256)

    shown_before = await listed_name(tx, wanted.project_id, wanted.format, wanted.canonical_name)
    package_id = await _write_package(tx, publication, package, sets_status=sets_status, has_bytes=has_bytes)
    if existing is None and publication.file_key is not None:
        # behind the package's row, which those who publish into it hold one after the other
        await _check_spellings(tx, publication, publication.file_key, package_id)
    if has_bytes:
        assert existing is not None
        await adopt_blob(tx, blob)
        action, file_id, more_bytes = AuditAction.SET_STATUS, existing[0], 0
    else:
        more_bytes = blob.size_bytes - (await size_of_blob(tx, present_sha256) if present_sha256 is not None else 0)
        await adopt_blob(tx, blob)
        action, file_id = await _write_file(tx, publication, package_id, existing)
        if existing is not None or publication.keys:
            await set_keys(tx, wanted.project_id, wanted.format, file_id, publication.keys)
        if publication.awaits_checksum and principal.token_id is not None:
            await note_unconfirmed(tx, file_id, principal)
        elif existing is not None:
            await note_confirmed(tx, file_id)
    await point_tags(tx, *name, package_id, publication.tags)
    if publication.beside is None:
        await bump_index(tx, *name, wanted.canonical_version, shown_before)
    if package is None and publication.demands_spelling:
        # behind the row of the name's index, which those who publish under it hold one after the other
        await _check_name(tx, wanted, package_id)
    await keep_summary(tx, *name, publication.summary)
    file = await _load(tx, file_id)
    replaced_sha256 = present_sha256 if action is AuditAction.REPLACE else None
    await add_audit_entry(tx, principal, told.of_file(action, file, replaced_sha256=replaced_sha256))
    return Published(file, created=not has_bytes), more_bytes


async def _mended(tx: Transaction, file: PackageFile, blob: BlobInfo, principal: Principal) -> PackageFile:
    """Have a file whose bytes are damaged refer to the same bytes that were sent again, if it is one."""
    if file.blob.damage is None:
        return file
    await adopt_blob(tx, blob)
    mended = await _load(tx, file.id)
    await add_audit_entry(tx, principal, told.of_file(AuditAction.MEND, mended))
    return mended


async def _demand_file(tx: Transaction, package: Row | None, file_name: str) -> None:
    """Pass if a package is there, and has this file."""
    if package is None or await tx.fetch_one(FILE_IN_PACKAGE, package_id=package[0], file_name=file_name) is None:
        raise PackageNotFound


async def _find_package(tx: Transaction, wanted: Coordinates) -> Row | None:
    return await tx.fetch_one(
        FIND_PACKAGE,
        project_id=wanted.project_id,
        format=wanted.format,
        canonical_name=wanted.canonical_name,
        canonical_version=wanted.canonical_version,
    )


async def _check_tombstone(tx: Transaction, wanted: Coordinates, sha256: Digest) -> None:
    tombstone = await tx.fetch_one(
        FIND_TOMBSTONE,
        project_id=wanted.project_id,
        format=wanted.format,
        canonical_name=wanted.canonical_name,
        canonical_version=wanted.canonical_version,
        file_name=wanted.file_name,
    )
    if tombstone is not None and tombstone[0] != sha256.hex:
        raise FileWasDeleted(wanted.file_name)


async def _check_spellings(
    tx: Transaction, publication: Publication, file_key: Callable[[str], str], package_id: int
) -> None:
    """Pass if no other spelling of the file's name is there, or was there with other bytes."""
    wanted = publication.coordinates
    own = file_key(wanted.file_name)
    for (name,) in await tx.fetch_all(NAMES_IN_PACKAGE, package_id=package_id):
        if file_key(name) == own:
            raise FileSpelledOtherwise(wanted.file_name, name)
    if publication.respects_tombstones:
        buried = await tx.fetch_all(
            TOMBSTONES_OF_PACKAGE,
            project_id=wanted.project_id,
            format=wanted.format,
            canonical_name=wanted.canonical_name,
            canonical_version=wanted.canonical_version,
        )
        for name, sha256 in buried:
            if sha256 != publication.blob.sha256.hex and file_key(name) == own:
                raise FileWasDeleted(wanted.file_name)


async def _check_name(tx: Transaction, wanted: Coordinates, package_id: int) -> None:
    """Pass if the newest other version, hidden or not, spells the name as this one does."""
    row = await tx.fetch_one(
        SPELLINGS,
        project_id=wanted.project_id,
        format=wanted.format,
        canonical_name=wanted.canonical_name,
        package_id=package_id,
    )
    if row is not None and row[0] != wanted.name:
        raise NameSpelledOtherwise(wanted.name, row[0])


async def _write_package(
    tx: Transaction, publication: Publication, package: Row | None, *, sets_status: bool, has_bytes: bool
) -> int:
    """Add the package, or bring its status and metadata up to date; returns its id."""
    wanted = publication.coordinates
    status = publication.status or PackageStatus.DEFAULT
    if package is None:
        await tx.execute(
            ADD_PACKAGE,
            project_id=wanted.project_id,
            format=wanted.format,
            name=wanted.name,
            canonical_name=wanted.canonical_name,
            version=wanted.version,
            canonical_version=wanted.canonical_version,
            status=status.value,
            metadata_json=publication.package_metadata_json,
            traits=traits_text(publication.traits),
            now=tx.now,
        )
        package = await _find_package(tx, wanted)
        assert package is not None
        return int(package[0])
    package_id = int(package[0])
    if sets_status:
        await tx.execute(SET_STATUS, package_id=package_id, new_status=status.value)
    if not has_bytes and publication.package_metadata_json != "{}":
        await tx.execute(
            SET_PACKAGE_METADATA,
            package_id=package_id,
            new_metadata_json=publication.package_metadata_json,
            new_traits=traits_text(publication.traits),
        )
    return package_id


async def _write_file(
    tx: Transaction, publication: Publication, package_id: int, existing: Row | None
) -> tuple[AuditAction, int]:
    """Add the file or replace its bytes; returns what was done and its id."""
    sha256 = publication.blob.sha256.hex
    if existing is not None:
        file_id, old_sha256 = existing
        await tx.execute(
            REPLACE_FILE,
            file_id=file_id,
            new_sha256=sha256,
            new_metadata_json=publication.file_metadata_json,
            now=tx.now,
        )
        await release_blob(tx, old_sha256)
        await drop_documents(tx, file_id)
        await keep_documents(tx, file_id, publication.documents)
        return AuditAction.REPLACE, int(file_id)
    await tx.execute(
        ADD_FILE,
        package_id=package_id,
        file_name=publication.coordinates.file_name,
        sha256=sha256,
        metadata_json=publication.file_metadata_json,
        is_beside=publication.beside is not None,
        now=tx.now,
    )
    row = await tx.fetch_one(FILE_IN_PACKAGE, package_id=package_id, file_name=publication.coordinates.file_name)
    assert row is not None
    await keep_documents(tx, row[0], publication.documents)
    return AuditAction.PUBLISH, int(row[0])


async def delete_file(tx: Transaction, file_id: int, principal: Principal, precondition: Precondition) -> bool:
    """See IPackageCatalog."""
    file = await load_file(tx, file_id)
    if file is None:
        return False
    await _demand_unprotected(tx, file, ProtectedAct.DELETE, principal)
    sha256 = file.blob.sha256.hex
    precondition.demand(sha256, file.file_name)
    precondition.demand_unmodified(file.created_at, f"the file {file.file_name}")
    await tx.execute(
        LEAVE_TOMBSTONE,
        project_id=file.project_id,
        format=file.format,
        canonical_name=file.canonical_name,
        canonical_version=file.canonical_version,
        file_name=file.file_name,
        sha256=sha256,
        now=tx.now,
    )
    await _remove(tx, file)
    await add_audit_entry(tx, principal, told.of_file(AuditAction.DELETE, file))
    return True


async def withdraw_file(tx: Transaction, file_id: int, sha256: Digest, principal: Principal) -> bool:
    """See IPackageCatalog."""
    if not await may_withdraw(tx, file_id, principal):
        return False
    file = await _load(tx, file_id)
    if file.blob.sha256 != sha256:
        return False
    await _demand_unprotected(tx, file, ProtectedAct.PUSH, principal)  # it undoes a push
    await _remove(tx, file)
    await add_audit_entry(tx, principal, told.of_file(AuditAction.WITHDRAW, file))
    return True


async def _demand_unprotected(tx: Transaction, file: PackageFile, act: ProtectedAct, principal: Principal) -> None:
    await demand_unprotected(tx, file.project_id, file.format, file.canonical_name, act, principal)


async def _remove(tx: Transaction, file: PackageFile) -> None:
    """Remove a file, and its package with the last one."""
    shown_before = await listed_name(tx, file.project_id, file.format, file.canonical_name)
    await drop_documents(tx, file.id)
    await tx.execute(DELETE_FILE, file_id=file.id)
    await tx.execute(DELETE_EMPTY_PACKAGE, package_id=file.package_id)
    await release_blob(tx, file.blob.sha256.hex)
    await bump_index(tx, file.project_id, file.format, file.canonical_name, file.canonical_version, shown_before)
    await add_usage(tx, file.project_id, -file.blob.size_bytes)


async def bump_index(
    tx: Transaction,
    project_id: int,
    format: str,
    canonical_name: str,
    canonical_version: str,
    shown_before: str | None,
) -> None:
    """Count a change of a version in its name's index; and of the list of names, if that shows something else now."""
    await record_change(tx, project_id, format, canonical_name, canonical_version)
    if await listed_name(tx, project_id, format, canonical_name) != shown_before:
        await count_change(tx, project_id, format, "")


async def _load(tx: Transaction, file_id: int) -> PackageFile:
    """The file that was just written."""
    file = await load_file(tx, file_id)
    assert file is not None
    return file
