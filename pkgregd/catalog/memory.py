"""
The catalog in dictionaries: for tests of everything above the catalog.

It keeps the same promises as the one over a database (both pass
`CatalogContract`), except that nothing survives the process.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping, Sequence

from attrs import evolve
from zope.interface import implementer

from pkgregd.catalog import told
from pkgregd.catalog.memory_protection import MemoryProtection
from pkgregd.catalog.memory_reading import MemoryReading
from pkgregd.catalog.memory_tasks import MemoryTasks
from pkgregd.catalog.rules import KEPT_CHANGES, from_microseconds, search_text, traits_text
from pkgregd.errors import (
    FileExists,
    FileSpelledOtherwise,
    FileWasDeleted,
    NameSpelledOtherwise,
    PackageNotFound,
    PreconditionFailed,
    ProjectNotFound,
    Unavailable,
)
from pkgregd.interfaces import WITHDRAWAL_SECONDS, ICatalog, IReads
from pkgregd.values import (
    AuditAction,
    BlobInfo,
    Coordinates,
    Digest,
    Foresight,
    Level,
    OnDuplicate,
    PackageFile,
    PackageStatus,
    Precondition,
    Principal,
    ProtectedAct,
    Publication,
    Published,
    Settlement,
    Told,
)


@implementer(ICatalog)
class MemoryCatalog(MemoryReading, MemoryProtection, MemoryTasks):
    """
    ICatalog in memory.

    Args:
        seconds: the clock, since 1970.

    Attributes:
        sign_ins: clients that wait.
    """

    def __init__(self, seconds: Callable[[], float] = time.time) -> None:
        super().__init__(seconds)
        self._tombstones: dict[tuple[int, str, str, str, str], str] = {}
        self._unconfirmed: dict[int, tuple[int, int]] = {}
        self._closed = False

    # ---------------------------------------------------------------- packages

    def _clear_project(self, project_id: int) -> None:
        gone = [file for file in self._files.values() if file.project_id == project_id]
        for file in gone:
            del self._files[file.id]
            self._documents.pop(file.id, None)
            self._keys.pop(file.id, None)
            self._beside.discard(file.id)
            self._unconfirmed.pop(file.id, None)
            self._package_times.pop(file.package_id, None)
        for file in gone:
            self._release(file.blob.sha256.hex)
        self._clear_usage(project_id)
        self._tombstones = {key: kept for key, kept in self._tombstones.items() if key[0] != project_id}
        self._revisions = {key: kept for key, kept in self._revisions.items() if key[0] != project_id}
        self._changes = {key: kept for key, kept in self._changes.items() if key[0] != project_id}
        self._tags = {key: kept for key, kept in self._tags.items() if key[0] != project_id}
        self._search_texts = {key: kept for key, kept in self._search_texts.items() if key[0] != project_id}
        self._rules = {key: kept for key, kept in self._rules.items() if kept.project_id != project_id}

    def _size_of_files(self, project_id: int) -> int:
        return sum(file.blob.size_bytes for file in self._files.values() if file.project_id == project_id)

    async def publish(
        self, publication: Publication, principal: Principal, settlement: Settlement | None = None
    ) -> Published:
        """See IPackageCatalog."""
        if settlement is not None:
            (published,) = await self.publish_all((publication,), principal, settlement)
            return published
        wanted, blob = publication.coordinates, publication.blob
        if self._place_by_id(Level.PROJECT, wanted.project_id) is None:
            raise ProjectNotFound
        named = (wanted.project_id, wanted.format, wanted.canonical_name)
        self._demand_unprotected(*named, ProtectedAct.PUSH, principal)
        package = self._package(wanted)
        if publication.beside is not None and all(file.file_name != publication.beside for file in package):
            raise PackageNotFound
        existing = next((file for file in package if file.file_name == wanted.file_name), None)
        publication.precondition.demand(existing.blob.sha256.hex if existing else None, wanted.file_name)
        same = existing is not None and existing.blob.sha256 == blob.sha256
        if existing is not None and not same and publication.on_duplicate is OnDuplicate.REFUSE:
            raise FileExists(wanted.file_name)
        if not same and publication.respects_tombstones:
            buried = self._tombstones.get(_tombstone_key(wanted))
            if buried is not None and buried != blob.sha256.hex:
                raise FileWasDeleted(wanted.file_name)

        if existing is None and publication.file_key is not None:
            self._check_spellings(publication, publication.file_key, package)
        if not package and publication.demands_spelling:
            self._check_name(wanted)

        status = publication.status or (package[0].status if package else PackageStatus.DEFAULT)
        if existing is not None and same and existing.status is status:
            token_id, _ = self._unconfirmed.get(existing.id, (None, 0))
            if publication.awaits_checksum and token_id != principal.token_id:
                self._unconfirmed.pop(existing.id, None)
            return Published(self._mended(existing, blob, principal), created=False)
        shown_before = self._shown_name(wanted.project_id, wanted.format, wanted.canonical_name)
        if existing is not None and same:
            file = existing
            self._adopt(blob)
        else:
            file = self._new_file(publication, package, existing, self._adopt(blob))
            self._files[file.id] = file
            self._add_usage(wanted.project_id, blob.size_bytes - (existing.blob.size_bytes if existing else 0))
            self._documents[file.id] = dict(publication.documents)
            self._unconfirmed.pop(file.id, None)
            if publication.awaits_checksum and principal.token_id is not None:
                self._unconfirmed[file.id] = principal.token_id, self._now()
            self._keys[file.id] = publication.keys
            if publication.beside is not None:
                self._beside.add(file.id)
            if not package or publication.package_metadata_json != "{}":
                self._traits[file.package_id] = traits_text(publication.traits)
            if existing is not None:
                self._release(existing.blob.sha256.hex)
        for each in self._package(wanted):
            self._files[each.id] = evolve(each, status=status, package_metadata_json=file.package_metadata_json)
        self._tags.setdefault(named, {}).update(dict.fromkeys(publication.tags, file.package_id))
        if publication.beside is None:
            self._bump(file, shown_before)
        if publication.summary:
            self._search_texts[named] = search_text(wanted.canonical_name, publication.summary)
        file = self._with_blob(self._files[file.id])
        self._tell(principal, _told_of_file(existing, file, is_same=same))
        return Published(file, created=not same)

    async def publish_all(
        self, publications: Sequence[Publication], principal: Principal, settlement: Settlement | None = None
    ) -> tuple[Published, ...]:
        """See IPackageCatalog."""
        before = copy.deepcopy({name: value for name, value in vars(self).items() if name != "_seconds"})
        try:
            all_published = tuple([await self.publish(publication, principal) for publication in publications])
            if settlement is not None:
                project_id = settlement.reservation.project_id
                before_bytes = before["_usages"].get(project_id, 0)
                self._settle(self._usages.get(project_id, 0) - before_bytes, settlement)
            return all_published
        except BaseException:
            vars(self).update(before)
            raise

    def _check_spellings(
        self, publication: Publication, file_key: Callable[[str], str], package: list[PackageFile]
    ) -> None:
        wanted = publication.coordinates
        own = file_key(wanted.file_name)
        for file in package:
            if file_key(file.file_name) == own:
                raise FileSpelledOtherwise(wanted.file_name, file.file_name)
        for key, sha256 in self._tombstones.items():
            is_other = key[:4] == _tombstone_key(wanted)[:4] and sha256 != publication.blob.sha256.hex
            if publication.respects_tombstones and is_other and file_key(key[4]) == own:
                raise FileWasDeleted(wanted.file_name)

    def _check_name(self, wanted: Coordinates) -> None:
        named = (wanted.project_id, wanted.format, wanted.canonical_name)
        spelt = [
            (file.package_id, file.name)
            for file in self._files.values()
            if (file.project_id, file.format, file.canonical_name) == named
        ]
        if spelt and max(spelt)[1] != wanted.name:
            raise NameSpelledOtherwise(wanted.name, max(spelt)[1])

    def _mended(self, file: PackageFile, blob: BlobInfo, principal: Principal) -> PackageFile:
        """Have a file whose bytes are damaged refer to the same bytes that were sent again, if it is one."""
        if self._with_blob(file).blob.damage is None:
            return self._with_blob(file)
        self._adopt(blob)
        file = self._with_blob(file)
        self._tell(principal, told.of_file(AuditAction.MEND, file))
        return file

    def _package(self, wanted: Coordinates) -> list[PackageFile]:
        return [
            file
            for file in self._files.values()
            if (file.project_id, file.format, file.canonical_name, file.canonical_version)
            == (wanted.project_id, wanted.format, wanted.canonical_name, wanted.canonical_version)
        ]

    def _new_file(
        self, publication: Publication, package: list[PackageFile], existing: PackageFile | None, blob: BlobInfo
    ) -> PackageFile:
        wanted = publication.coordinates
        package_id = package[0].package_id if package else self._next_id("package")
        now = from_microseconds(self._now())
        self._package_times.setdefault(package_id, now)
        package_json = publication.package_metadata_json
        if package and package_json == "{}":
            package_json = package[0].package_metadata_json
        return PackageFile(
            package_id=package_id,
            id=existing.id if existing else self._next_id("file"),
            project_id=wanted.project_id,
            format=wanted.format,
            name=package[0].name if package else wanted.name,
            canonical_name=wanted.canonical_name,
            version=package[0].version if package else wanted.version,
            canonical_version=wanted.canonical_version,
            file_name=wanted.file_name,
            status=PackageStatus.DEFAULT,
            blob=blob,
            package_metadata_json=package_json,
            file_metadata_json=publication.file_metadata_json,
            created_at=now,
            yanked_reason=package[0].yanked_reason if package else None,
        )

    def _bump(self, file: PackageFile, shown_before: str | None) -> None:
        changed = (file.project_id, file.format, file.canonical_name)
        names = [file.canonical_name]
        if self._shown_name(file.project_id, file.format, file.canonical_name) != shown_before:
            names.append("")
        for name in names:
            key = (file.project_id, file.format, name)
            revision, _ = self._revisions.get(key, (0, 0))
            self._revisions[key] = (revision + 1, self._now())
        changes = self._changes.setdefault(changed, {})
        changes[self._revisions[changed][0]] = file.canonical_version
        for forgotten in list(changes)[:-KEPT_CHANGES]:
            del changes[forgotten]

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
        package = self._package(Coordinates(format, project_id, "", canonical_name, "", canonical_version, ""))
        if not package:
            raise PackageNotFound
        self._demand_unprotected(project_id, format, canonical_name, ProtectedAct.PUSH, principal)
        if known_json == new_json or package[0].package_metadata_json != known_json:
            return False
        for each in package:
            self._files[each.id] = evolve(each, package_metadata_json=new_json)
        self._bump(package[0], self._shown_name(project_id, format, canonical_name))
        name = (format, package[0].name, package[0].version)
        self._tell(principal, told.of_version(AuditAction.DESCRIBE, project_id, *name))
        return True

    async def confirm_file(self, file_id: int, sha256: Digest) -> None:
        """See IPackageCatalog."""
        file = self._files.get(file_id)
        if file is not None and file.blob.sha256 == sha256:
            self._unconfirmed.pop(file_id, None)

    async def withdraw_file(self, file_id: int, sha256: Digest, principal: Principal) -> bool:
        """See IPackageCatalog."""
        file = self._files.get(file_id)
        token_id, published_at = self._unconfirmed.get(file_id, (None, 0))
        is_in_time = published_at >= self._now() - WITHDRAWAL_SECONDS * 1_000_000
        if file is None or token_id is None or token_id != principal.token_id or not is_in_time:
            return False
        if file.blob.sha256 != sha256:
            return False
        self._demand_unprotected(file.project_id, file.format, file.canonical_name, ProtectedAct.PUSH, principal)
        shown_before = self._shown_name(file.project_id, file.format, file.canonical_name)
        self._remove(file)
        self._bump(file, shown_before)
        self._tell(principal, told.of_file(AuditAction.WITHDRAW, file))
        return True

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
        package = self._package(Coordinates(format, project_id, "", canonical_name, "", canonical_version, ""))
        if not package:
            raise PackageNotFound
        self._demand_unprotected(project_id, format, canonical_name, act, principal)
        if package[0].yanked_reason == reason:
            return False
        for each in package:
            self._files[each.id] = evolve(each, yanked_reason=reason)
        self._bump(package[0], self._shown_name(project_id, format, canonical_name))
        self._tell(principal, told.of_yank(project_id, format, package[0].name, package[0].version, reason))
        return True

    async def yank_each(
        self,
        project_id: int,
        format: str,
        canonical_name: str,
        reasons: Mapping[str, str | None],
        principal: Principal,
    ) -> frozenset[str]:
        """See IPackageCatalog."""
        present = {file.canonical_version: file for file in self._of_name(project_id, format, canonical_name)}
        found = [file for version, file in present.items() if version in reasons]
        if not found:
            raise PackageNotFound
        self._demand_unprotected(project_id, format, canonical_name, ProtectedAct.PUSH, principal)
        changed = [file for file in found if file.yanked_reason != reasons[file.canonical_version]]
        for file in changed:
            reason = reasons[file.canonical_version]
            for each in self._files_of(file.package_id):
                self._files[each.id] = evolve(each, yanked_reason=reason)
            self._tell(principal, told.of_yank(project_id, format, file.name, file.version, reason))
        self._bump_each(changed, self._shown_name(project_id, format, canonical_name))
        return frozenset(file.canonical_version for file in changed)

    async def delete_name(
        self, project_id: int, format: str, canonical_name: str, revision: int, principal: Principal
    ) -> int:
        """See IPackageCatalog."""
        files = self._of_name(project_id, format, canonical_name)
        present, _ = self._revisions.get((project_id, format, canonical_name), (revision, 0))
        if present != revision:
            raise PreconditionFailed("the package has changed meanwhile: look again what is in it")
        if not files:
            raise PackageNotFound
        self._demand_unprotected(project_id, format, canonical_name, ProtectedAct.DELETE, principal)
        shown_before = self._shown_name(project_id, format, canonical_name)
        for file in files:
            self._bury(file)
        packages = {file.package_id: file for file in files}
        self._bump_each(list(packages.values()), shown_before)
        counts = {"packages": len(packages), "files": len(files)}
        newest = packages[max(packages)]
        self._tell(principal, told.of_name(AuditAction.DELETE_NAME, project_id, format, newest.name, **counts))
        return len(packages)

    def _bump_each(self, files: Sequence[PackageFile], shown_before: str | None) -> None:
        """Count a change of each of some packages of a name; too many of them at once are not remembered."""
        if len(files) <= KEPT_CHANGES:
            for file in files:
                self._bump(file, shown_before)
                shown_before = self._shown_name(file.project_id, file.format, file.canonical_name)
        else:
            self._bump(files[0], shown_before)
            self._changes[files[0].project_id, files[0].format, files[0].canonical_name].popitem()

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
        package = self._package(Coordinates(format, project_id, "", canonical_name, "", canonical_version, ""))
        if not package:
            raise PackageNotFound
        self._demand_unprotected(project_id, format, canonical_name, ProtectedAct.PUSH, principal)
        tags = self._tags.setdefault((project_id, format, canonical_name), {})
        if tags.get(tag) == package[0].package_id:
            return False
        tags[tag] = package[0].package_id
        self._bump(package[0], self._shown_name(project_id, format, canonical_name))
        name = (format, package[0].name, package[0].version)
        self._tell(principal, told.of_version(AuditAction.TAG, project_id, *name, tag=tag))
        return True

    async def remove_tag(
        self, project_id: int, format: str, canonical_name: str, tag: str, principal: Principal
    ) -> bool:
        """See IPackageCatalog."""
        tags = self._tags.get((project_id, format, canonical_name), {})
        package = [file for file in self._files.values() if file.package_id == tags.get(tag)]
        if not package:
            return False
        self._demand_unprotected(project_id, format, canonical_name, ProtectedAct.PUSH, principal)
        del tags[tag]
        self._bump(package[0], self._shown_name(project_id, format, canonical_name))
        name = (format, package[0].name, package[0].version)
        self._tell(principal, told.of_version(AuditAction.UNTAG, project_id, *name, tag=tag))
        return True

    async def delete_file(self, file_id: int, principal: Principal, precondition: Precondition) -> bool:
        """See IPackageCatalog."""
        file = self._files.get(file_id)
        if file is None:
            return False
        self._demand_unprotected(file.project_id, file.format, file.canonical_name, ProtectedAct.DELETE, principal)
        precondition.demand(file.blob.sha256.hex, file.file_name)
        precondition.demand_unmodified(file.created_at, f"the file {file.file_name}")
        shown_before = self._shown_name(file.project_id, file.format, file.canonical_name)
        self._bury(file)
        self._bump(file, shown_before)
        self._tell(principal, told.of_file(AuditAction.DELETE, file))
        return True

    def _bury(self, file: PackageFile) -> None:
        self._tombstones[_tombstone_key(file)] = file.blob.sha256.hex
        self._remove(file)

    def _remove(self, file: PackageFile) -> None:
        del self._files[file.id]
        del self._documents[file.id]
        del self._keys[file.id]
        self._beside.discard(file.id)
        self._unconfirmed.pop(file.id, None)
        self._add_usage(file.project_id, -file.blob.size_bytes)
        self._release(file.blob.sha256.hex)

    # --------------------------------------------------------------- inventory

    async def delete_package(
        self, project_id: int, package_id: int, principal: Principal, precondition: Precondition
    ) -> bool:
        """See IInventoryCatalog."""
        files = self._files_of(package_id)
        if not files or files[0].project_id != project_id:
            return False
        first = files[0]
        self._demand_unprotected(project_id, first.format, first.canonical_name, ProtectedAct.DELETE, principal)
        modified_at = max(self._package_times[package_id], *(file.created_at for file in files))
        precondition.demand_unmodified(modified_at, f"the package {first.name} {first.version}")
        shown_before = self._shown_name(project_id, first.format, first.canonical_name)
        for file in files:
            self._bury(file)
        self._bump(first, shown_before)
        self._tell(principal, _told_of_package(AuditAction.DELETE_PACKAGE, first, len(files)))
        return True

    async def delete_files(
        self, project_id: int, package_id: int, file_ids: Sequence[int], revision: int, principal: Principal
    ) -> bool:
        """See IInventoryCatalog."""
        files = [file for file in self._files_of(package_id) if file.id in file_ids and file.project_id == project_id]
        if not files or len(files) != len(set(file_ids)):
            return False
        first = files[0]
        self._demand_unprotected(project_id, first.format, first.canonical_name, ProtectedAct.DELETE, principal)
        if self._revisions[(project_id, first.format, first.canonical_name)][0] != revision:
            return False
        shown_before = self._shown_name(project_id, first.format, first.canonical_name)
        for file in files:
            self._bury(file)
        self._bump(first, shown_before)
        self._tell(principal, _told_of_package(AuditAction.DELETE_FILES, first, len(files)))
        return True

    def foreseeing(self, foresight: Foresight) -> IReads:
        """See ICatalog."""
        return self

    async def check(self) -> None:
        """See ICatalog."""
        if self._closed:
            raise Unavailable("the catalog is closed")

    async def close(self) -> None:
        """See ICatalog."""
        self._closed = True


def _tombstone_key(named: Coordinates | PackageFile) -> tuple[int, str, str, str, str]:
    return (named.project_id, named.format, named.canonical_name, named.canonical_version, named.file_name)


def _told_of_file(existing: PackageFile | None, file: PackageFile, *, is_same: bool) -> Told:
    if is_same:
        return told.of_file(AuditAction.SET_STATUS, file)
    if existing is None:
        return told.of_file(AuditAction.PUBLISH, file)
    return told.of_file(AuditAction.REPLACE, file, replaced_sha256=existing.blob.sha256.hex)


def _told_of_package(action: AuditAction, file: PackageFile, files: int) -> Told:
    more = {"status": file.status.value, "files": files}
    return told.of_version(action, file.project_id, file.format, file.name, file.version, **more)
