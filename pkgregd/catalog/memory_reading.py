"""Packages and files, as the catalog in memory keeps and shows them."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping, Sequence

from attrs import evolve

from pkgregd.catalog import memory_inventory
from pkgregd.catalog.memory_upkeep import MemoryUpkeep
from pkgregd.catalog.rules import (
    index_state,
    search_text,
    search_words,
    trait_texts,
)
from pkgregd.values import (
    Digest,
    FileListing,
    FileOrder,
    IndexState,
    Level,
    NameListing,
    NewestVersion,
    PackageFile,
    PackageListing,
    PackageName,
    PackageQuery,
    PackageRecord,
    PackageStatus,
    PackageVersion,
    Piece,
    Scope,
    Stretch,
    Tag,
)


class MemoryReading(MemoryUpkeep):
    """See IReads, IPackageCatalog and IInventoryCatalog: the verbs that change nothing."""

    def __init__(self, seconds: Callable[[], float]) -> None:
        super().__init__(seconds)
        self._package_times: dict[int, datetime.datetime] = {}
        self._documents: dict[int, dict[str, bytes]] = {}
        self._revisions: dict[tuple[int, str, str], tuple[int, int]] = {}
        self._changes: dict[tuple[int, str, str], dict[int, str]] = {}
        self._tags: dict[tuple[int, str, str], dict[str, int]] = {}
        self._keys: dict[int, tuple[str, ...]] = {}
        self._beside: set[int] = set()
        self._search_texts: dict[tuple[int, str, str], str] = {}
        self._traits: dict[int, str] = {}

    def _with_blob(self, file: PackageFile) -> PackageFile:
        """Show a file with all that is known of its blob by now."""
        return evolve(file, blob=self._blobs[file.blob.sha256.hex].info)

    def _of_name(self, project_id: int, format: str, canonical_name: str) -> list[PackageFile]:
        named = (project_id, format, canonical_name)
        return [file for file in self._files.values() if (file.project_id, file.format, file.canonical_name) == named]

    def _shown_name(self, project_id: int, format: str, canonical_name: str) -> str | None:
        listed = [
            (file.package_id, file.name)
            for file in self._files.values()
            if (file.project_id, file.format, file.canonical_name) == (project_id, format, canonical_name)
            and file.status is PackageStatus.DEFAULT
        ]
        return max(listed)[1] if listed else None

    def _found(self, project_ids: Sequence[int], format: str) -> list[PackageFile]:
        """Files of some projects, by creation then id."""
        found = [file for file in self._files.values() if file.project_id in project_ids and file.format == format]
        found.sort(key=lambda file: (file.created_at, file.id))
        return [self._with_blob(file) for file in found]

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
        if not canonical_name and sha256 is None:
            raise ValueError("find_file needs a name or a sha256")
        found = [
            file
            for file in self._found(project_ids, format)
            if file.file_name == file_name
            and canonical_name in ("", file.canonical_name)
            and canonical_version in (None, file.canonical_version)
            and sha256 in (None, file.blob.sha256)
        ]
        return found[-1] if found else None

    async def find_by_key(self, project_ids: Sequence[int], format: str, key: str) -> PackageFile | None:
        """See IPackageCatalog."""
        found = [file for file in self._found(project_ids, format) if key in self._keys[file.id]]
        return found[-1] if found else None

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
        return tuple(
            file
            for file in self._found(project_ids, format)
            if file.canonical_name == canonical_name
            and file.id not in self._beside
            and canonical_version in (None, file.canonical_version)
            and not (listed_only and file.status is PackageStatus.HIDDEN)
        )

    async def list_changes(
        self, project_id: int, format: str, canonical_name: str, after: int, upto: int
    ) -> frozenset[str] | None:
        """See IPackageCatalog."""
        known = self._changes.get((project_id, format, canonical_name), {})
        found = [version for revision, version in known.items() if after < revision <= upto]
        return frozenset(found) if len(found) == upto - after else None

    async def find_document(self, file_id: int, name: str) -> bytes | None:
        """See IPackageCatalog."""
        return self._documents.get(file_id, {}).get(name)

    async def list_documents(self, package_ids: Sequence[int], name: str) -> Mapping[int, bytes]:
        """See IPackageCatalog."""
        found: dict[int, bytes] = {}
        for file_id, file in sorted(self._files.items()):
            if file.package_id in package_ids and name in self._documents[file_id]:
                found.setdefault(file.package_id, self._documents[file_id][name])
        return found

    async def list_versions(
        self, project_ids: Sequence[int], format: str, canonical_name: str, canonical_version: str | None = None
    ) -> tuple[PackageVersion, ...]:
        """See IPackageCatalog."""
        files = await self.list_files(project_ids, format, canonical_name, canonical_version)
        found = {
            file.package_id: PackageVersion(
                package_id=file.package_id,
                project_id=file.project_id,
                version=file.version,
                canonical_version=file.canonical_version,
                metadata_json=file.package_metadata_json,
                created_at=self._package_times[file.package_id],
                yanked_reason=file.yanked_reason,
            )
            for file in files
        }
        return tuple(found[package_id] for package_id in sorted(found))

    async def first_published(
        self, project_ids: Sequence[int], format: str, canonical_name: str
    ) -> datetime.datetime | None:
        """See IPackageCatalog."""
        times = [
            self._package_times[file.package_id]
            for project_id in project_ids
            for file in self._of_name(project_id, format, canonical_name)
        ]
        return min(times, default=None)

    async def list_tags(self, project_ids: Sequence[int], format: str, canonical_name: str) -> tuple[Tag, ...]:
        """See IPackageCatalog."""
        versions = {file.package_id: (file.canonical_version, file.version) for file in self._files.values()}
        found = [
            Tag(tag, *versions[package_id], project_id)
            for project_id in set(project_ids)
            for tag, package_id in self._tags.get((project_id, format, canonical_name), {}).items()
            if package_id in versions
        ]
        return tuple(sorted(found, key=lambda tag: (tag.name, tag.project_id)))

    async def list_names(self, project_ids: Sequence[int], format: str) -> tuple[PackageName, ...]:
        """See IPackageCatalog."""
        newest: dict[str, tuple[int, int, str]] = {}
        for file in self._found(project_ids, format):
            if file.status is PackageStatus.DEFAULT:
                shown = (file.project_id, file.package_id, file.name)
                newest[file.canonical_name] = max(shown, newest.get(file.canonical_name, shown))
        return tuple(PackageName(canonical_name, name) for canonical_name, (_, _, name) in sorted(newest.items()))

    async def find_name(self, project_ids: Sequence[int], format: str, canonical_name: str) -> PackageName | None:
        """See IPackageCatalog."""
        names = await self.list_names(project_ids, format)
        return next((name for name in names if name.canonical_name == canonical_name), None)

    async def index_state(self, project_ids: Sequence[int], format: str, canonical_name: str | None) -> IndexState:
        """See IReads."""
        return index_state(
            (project_id, *self._revisions[project_id, format, canonical_name or ""])
            for project_id in set(project_ids)
            if (project_id, format, canonical_name or "") in self._revisions
        )

    async def projects_with(
        self, group_id: int, format: str, canonical_name: str | None, user_id: int | None
    ) -> tuple[Scope, ...]:
        """See IPackageCatalog."""
        return tuple(
            self._scope(project, user_id)
            for project in self._at(Level.PROJECT)
            if group_id in project.group_ids
            and any(
                file.project_id == project.id
                and file.format == format
                and canonical_name in (None, file.canonical_name)
                for file in self._files.values()
            )
        )

    async def search_names(
        self, project_ids: Sequence[int], format: str, text: str, piece: Piece, traits: Sequence[str] | None = None
    ) -> NameListing:
        """See IPackageCatalog."""
        words, exact = search_words(text), text.strip().casefold()
        shown = {name.canonical_name: name for name in await self.list_names(project_ids, format)}
        found = set()
        for project_id in project_ids:
            for name in shown:
                named = (project_id, format, name)
                searched = self._search_texts.get(named, search_text(name))
                if self._is_usable(named, traits) and all(word in searched for word in words):
                    found.add(name)
        names = sorted(found, key=lambda name: (name != exact, name))
        piece_of_it = names[piece.offset : piece.offset + piece.limit]
        return NameListing(tuple(shown[name] for name in piece_of_it), len(names))

    def _is_usable(self, named: tuple[int, str, str], traits: Sequence[str] | None) -> bool:
        """Whether a project lists a package of the name that has the traits."""
        if traits is None:
            return self._shown_name(*named) is not None
        wanted = trait_texts(traits)
        return any(
            (file.project_id, file.format, file.canonical_name) == named
            and file.status is PackageStatus.DEFAULT
            and file.yanked_reason is None
            and file.id not in self._beside
            and all(text in self._traits[file.package_id] for text in wanted)
            for file in self._files.values()
        )

    def _branch(self, project_ids: Sequence[int], format: str, branch: str, word: str) -> list[tuple[int, str, str]]:
        return [
            named
            for named in self._revisions
            if named[0] in project_ids
            and named[1] == format
            and named[2].rpartition("/")[:2] == (branch, "/")
            and word in self._search_texts.get(named, search_text(named[2]))
        ]

    async def branch_state(self, project_ids: Sequence[int], format: str, branch: str, word: str) -> IndexState:
        """See IPackageCatalog."""
        sums: dict[int, tuple[int, int]] = {}
        for named in self._branch(project_ids, format, branch, word):
            count, latest = sums.get(named[0], (0, 0))
            revision, changed_at = self._revisions[named]
            sums[named[0]] = (count + revision, max(latest, changed_at))
        return index_state((project_id, *summed) for project_id, summed in sums.items())

    async def list_branch(
        self, project_ids: Sequence[int], format: str, branch: str, word: str, limit: int
    ) -> tuple[NewestVersion, ...]:
        """See IPackageCatalog."""
        names = self._branch(project_ids, format, branch, word)
        newest: dict[str, list[PackageFile]] = {}
        for file in self._found(project_ids, format):
            is_told = file.status is PackageStatus.DEFAULT and file.package_metadata_json != "{}"
            if is_told and (file.project_id, format, file.canonical_name) in names:
                newest.setdefault(file.canonical_name, []).append(file)
        return tuple(_newest_version(newest[name]) for name in sorted(newest)[:limit])

    # --------------------------------------------------------------- inventory

    async def projects_below(
        self, group_id: int, user_id: int | None, *, direct_only: bool = False
    ) -> tuple[Scope, ...]:
        """See IInventoryCatalog."""
        holders = {file.project_id for file in self._files.values()}
        return tuple(
            self._scope(project, user_id)
            for project in self._at(Level.PROJECT)
            if group_id in (project.group_ids[:1] if direct_only else project.group_ids) and project.id in holders
        )

    def _records(self, project_ids: Sequence[int]) -> list[PackageRecord]:
        """The packages of some projects."""
        of_package = {file.package_id: file for file in self._files.values() if file.project_id in project_ids}
        paths = {project.id: project.path for project in self._at(Level.PROJECT)}
        return [
            PackageRecord(
                id=file.package_id,
                project_id=file.project_id,
                project_path=paths[file.project_id],
                format=file.format,
                name=file.name,
                version=file.version,
                status=file.status,
                created_at=self._package_times[file.package_id],
                yanked_reason=file.yanked_reason,
            )
            for file in of_package.values()
        ]

    def _files_of(self, package_id: int) -> list[PackageFile]:
        return [self._with_blob(file) for file in self._files.values() if file.package_id == package_id]

    async def list_packages(self, project_ids: Sequence[int], query: PackageQuery, piece: Piece) -> PackageListing:
        """See IInventoryCatalog."""
        return memory_inventory.list_packages(self._records(project_ids), query, piece)

    async def list_packages_onward(
        self, project_ids: Sequence[int], query: PackageQuery, stretch: Stretch
    ) -> tuple[PackageRecord, ...]:
        """See IInventoryCatalog."""
        return memory_inventory.list_packages_onward(self._records(project_ids), query, stretch)

    async def find_package(self, project_id: int, package_id: int) -> PackageRecord | None:
        """See IInventoryCatalog."""
        return next((package for package in self._records((project_id,)) if package.id == package_id), None)

    async def list_all_packages(self, after: int, limit: int) -> tuple[PackageRecord, ...]:
        """See IInventoryCatalog."""
        records = self._records([project.id for project in self._at(Level.PROJECT)])
        records.sort(key=lambda package: package.id)
        return tuple(package for package in records if package.id > after)[:limit]

    async def list_package_files(
        self, package_id: int, order: FileOrder, piece: Piece, *, is_descending: bool = False
    ) -> FileListing:
        """See IInventoryCatalog."""
        files = map(memory_inventory.file_record, self._files_of(package_id))
        return memory_inventory.list_files(files, order, piece, is_descending=is_descending)

    async def find_package_file(self, project_id: int, package_id: int, file_id: int) -> PackageFile | None:
        """See IInventoryCatalog."""
        file = self._files.get(file_id)
        if file is None or (file.project_id, file.package_id) != (project_id, package_id):
            return None
        return self._with_blob(file)


def _newest_version(files: Sequence[PackageFile]) -> NewestVersion:
    """Sum up the newest package of some files, which come by creation."""
    newest_id = max(file.package_id for file in files)
    package = [file for file in files if file.package_id == newest_id]
    told = [file.file_metadata_json for file in package if file.file_metadata_json != "{}"]
    first = package[0]
    return NewestVersion(first.canonical_name, first.version, first.package_metadata_json, told[-1] if told else "{}")
