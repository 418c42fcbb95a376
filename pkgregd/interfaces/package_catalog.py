"""What the database is asked about packages, files and blobs."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence

from zope.interface import Interface

from pkgregd.values import (
    BlobInfo,
    Digest,
    FileListing,
    FileOrder,
    IndexState,
    NameListing,
    NewestVersion,
    PackageFile,
    PackageListing,
    PackageName,
    PackageQuery,
    PackageRecord,
    PackageVersion,
    Piece,
    Precondition,
    Principal,
    ProtectedAct,
    Publication,
    Published,
    Scope,
    Settlement,
    Stretch,
    Tag,
)


class IPackageCatalog(Interface):
    """
    Packages and their files. One verb, one transaction.

    What changes packages obeys the protection rules of their project (IProtectionCatalog), as a push unless it says
    otherwise, and may raise PackageProtected: after it has found what is asked for, before it does anything.
    """

    async def publish(
        publication: Publication, principal: Principal, settlement: Settlement | None = None
    ) -> Published:
        """
        Write package, file, blob row, index revision and audit entry together.

        UNIQUE constraints decide races. Equal bytes for the same file succeed with
        created=False (unless `precondition.absent`).

        Args:
            settlement: ends what was reserved for it. What is added beyond that needs room now.

        Raises:
            FileExists: other bytes are there and on_duplicate is REFUSE; or whatever bytes, under another
                spelling of the name (FileSpelledOtherwise).
            FileWasDeleted: a tombstone with other bytes stands, and tombstones are respected.
            NameSpelledOtherwise: see Publication.demands_spelling.
            PreconditionFailed: the precondition does not hold.
            PackageNotFound: the file that it has to be beside is not there.
            ProjectNotFound: the project went away meanwhile.
            QuotaExceeded: more is added than was reserved, or its time has run out, and there is no room.
            StorageFull, Unavailable.
        """

    async def publish_all(
        publications: Sequence[Publication], principal: Principal, settlement: Settlement | None = None
    ) -> tuple[Published, ...]:
        """
        Do what publish() does for several, in their order and in one transaction: all of it or nothing.

        Raises:
            what publish() raises for the first of them that fails.
        """

    async def find_by_key(project_ids: Sequence[int], format: str, key: str) -> PackageFile | None:
        """Find a file by one of the keys that it was published with; the newest if there are several. One query."""

    async def list_files(
        project_ids: Sequence[int],
        format: str,
        canonical_name: str,
        canonical_version: str | None = None,
        *,
        listed_only: bool = True,
    ) -> tuple[PackageFile, ...]:
        """
        Files of a name (of one version), by creation then id; hidden packages only with listed_only=False.

        Files that were published beside others are left out.
        """

    async def list_versions(
        project_ids: Sequence[int], format: str, canonical_name: str, canonical_version: str | None = None
    ) -> tuple[PackageVersion, ...]:
        """
        Listed packages of a name (of one version), by row number: the first that came is the first. One query.

        A package that has nothing left but files that were published beside others is none of them.
        """

    async def list_changes(
        project_id: int, format: str, canonical_name: str, after: int, upto: int
    ) -> frozenset[str] | None:
        """
        Which versions of a name changed between two revisions of its index in a project.

        Whatever else list_files() tells is as it was. A version that is gone is among them.

        Args:
            after, upto: as IndexState has them.

        Returns:
            Canonical versions; None if it is too long ago to be known, or never was.
        """

    async def list_names(project_ids: Sequence[int], format: str) -> tuple[PackageName, ...]:
        """Names with a listed package that has a file, by canonical name, each once."""

    async def find_name(project_ids: Sequence[int], format: str, canonical_name: str) -> PackageName | None:
        """Find a name among those that list_names() lists, spelt as there; None if it is not. One query a project."""

    async def search_names(
        project_ids: Sequence[int], format: str, text: str, piece: Piece, traits: Sequence[str] | None = None
    ) -> NameListing:
        """
        Find names with a listed package by parts of the name and of what was said of it (Publication.summary).

        Args:
            text: words which all have to be found, without regard to case; none finds every name.
            traits: at most four that one of its listed packages must have, all of them, which is not yanked and has
                more than files that were published beside others; None asks for none, and takes all of them.

        Returns:
            The name that equals the text first, then by canonical name; each once, spelt as list_names() does.
        """

    async def list_tags(project_ids: Sequence[int], format: str, canonical_name: str) -> tuple[Tag, ...]:
        """Tags of a name, by tag then project."""

    async def set_tag(
        project_id: int, format: str, canonical_name: str, canonical_version: str, tag: str, principal: Principal
    ) -> bool:
        """
        Have a tag point at a version, wherever it pointed before. It goes when that version is deleted.

        Returns:
            Whether that changed anything; then the name's index revision moved.

        Raises:
            PackageNotFound.
        """

    async def remove_tag(project_id: int, format: str, canonical_name: str, tag: str, principal: Principal) -> bool:
        """Remove a tag; False if there was none. See set_tag."""

    async def projects_with(
        group_id: int, format: str, canonical_name: str | None, user_id: int | None
    ) -> tuple[Scope, ...]:
        """
        The projects at any depth below a group that have a file of that name, as that user meets them.

        Args:
            canonical_name: None asks for any name.
        """

    async def branch_state(project_ids: Sequence[int], format: str, branch: str, word: str) -> IndexState:
        """
        The state of all names `branch/NAME`, without those further below, that are found by a word. One query.

        It costs for those below the branch alone, and nothing for the others. See index_state() and search_names().
        """

    async def list_branch(
        project_ids: Sequence[int], format: str, branch: str, word: str, limit: int
    ) -> tuple[NewestVersion, ...]:
        """What the newest version with metadata of each of those names says, by canonical name. One query."""

    async def find_document(file_id: int, name: str) -> bytes | None:
        """Return a document that was published beside a file, or None if there is none of that name. One query."""

    async def replace_metadata(
        project_id: int,
        format: str,
        canonical_name: str,
        canonical_version: str,
        known_json: str,
        new_json: str,
        principal: Principal,
    ) -> bool:
        """
        Change what is kept of a package, if it is still what the caller knows of it; see PackageFile.

        Returns:
            Whether it was changed; then the name's index revision moved.

        Raises:
            PackageNotFound.
        """

    async def confirm_file(file_id: int, sha256: Digest) -> None:
        """
        Note that these bytes of a file came as they were sent: nobody may take it back any more.

        Bytes that took their place meanwhile, or a file that is gone, are not confirmed.
        """

    async def withdraw_file(file_id: int, sha256: Digest, principal: Principal) -> bool:
        """
        Take back a file that did not come as it was sent, and the package with its last file. No tombstone stays, and
        bytes that it had taken the place of do not come back.

        Only with the token by which these bytes were published, with Publication.awaits_checksum, at most
        WITHDRAWAL_SECONDS ago; and only until they are confirmed, by confirm_file() or by the same bytes from somebody
        else. So nobody loses a file that others may already count on.

        Returns:
            Whether it was taken back.
        """

    async def list_documents(package_ids: Sequence[int], name: str) -> Mapping[int, bytes]:
        """
        Return the documents of one name that were published beside files of packages, by package.

        Those that have none are left out; of several the one of the first file. The caller bounds how much it asks for.
        """

    async def set_yanked(
        project_id: int,
        format: str,
        canonical_name: str,
        canonical_version: str,
        reason: str | None,
        principal: Principal,
        *,
        act: ProtectedAct = ProtectedAct.PUSH,
    ) -> bool:
        """
        Yank a package: its files stay where they are, and resolvers pass them over; or undo that.

        Args:
            reason: for people, perhaps empty; None undoes it.
            act: what it is to protection rules: a deletion where the client calls it one.

        Returns:
            Whether that changed anything; then the name's index revision moved.

        Raises:
            PackageNotFound.
        """

    async def yank_each(
        project_id: int,
        format: str,
        canonical_name: str,
        reasons: Mapping[str, str | None],
        principal: Principal,
    ) -> frozenset[str]:
        """
        Yank packages of a name, and undo it for others, all of it or nothing; see set_yanked.

        Args:
            reasons: by canonical version; those that are not there are passed over.

        Returns:
            Canonical versions that changed; then the name's index revision moved.

        Raises:
            PackageNotFound: none of them is there.
        """

    async def first_published(project_ids: Sequence[int], format: str, canonical_name: str) -> datetime.datetime | None:
        """When the oldest package of a name that is there came, aware UTC; None if there is none."""

    async def delete_name(
        project_id: int, format: str, canonical_name: str, revision: int, principal: Principal
    ) -> int:
        """
        Delete all packages of a name with their files, and leave a tombstone for each file. To rules a deletion.

        Args:
            revision: of its index in the project, as the caller knows it (IndexState.revisions): what came since then
                is not among what is meant.

        Returns:
            How many packages there were.

        Raises:
            PackageNotFound: there is none.
            PreconditionFailed: the index has moved on.
        """

    async def delete_file(file_id: int, principal: Principal, precondition: Precondition) -> bool:
        """
        Delete a file, leave a tombstone, and delete the package with its last file. To rules a deletion.

        Args:
            precondition: unmodified_since counts against when the file's present bytes were published.

        Returns:
            False if it was gone already.

        Raises:
            PreconditionFailed.
        """


class IInventoryCatalog(Interface):
    """
    Packages of all formats, by their numbers, for those who manage them. One verb, one transaction.

    Deletions obey the protection rules; see IPackageCatalog.
    """

    async def projects_below(group_id: int, user_id: int | None, *, direct_only: bool = False) -> tuple[Scope, ...]:
        """
        The projects below a group that have a package, as that user meets them.

        Args:
            direct_only: leave out those of the groups below it.
        """

    async def list_packages(project_ids: Sequence[int], query: PackageQuery, piece: Piece) -> PackageListing:
        """List packages of these projects, and count all that the query means."""

    async def list_packages_onward(
        project_ids: Sequence[int], query: PackageQuery, stretch: Stretch
    ) -> tuple[PackageRecord, ...]:
        """List packages of these projects by their numbers, whatever order the query names. One query, no counting."""

    async def find_package(project_id: int, package_id: int) -> PackageRecord | None:
        """Find a package of a project, whatever its status. One query."""

    async def list_all_packages(after: int, limit: int) -> tuple[PackageRecord, ...]:
        """Packages of all projects with a number greater than `after`, in that order, at most `limit`: for upkeep."""

    async def list_package_files(
        package_id: int, order: FileOrder, piece: Piece, *, is_descending: bool = False
    ) -> FileListing:
        """List files of a package, and count all of them."""

    async def find_package_file(project_id: int, package_id: int, file_id: int) -> PackageFile | None:
        """Find a file of a package of a project. One query."""

    async def delete_package(
        project_id: int, package_id: int, principal: Principal, precondition: Precondition
    ) -> bool:
        """
        Delete a package with all its files, and leave a tombstone for each of them.

        Args:
            precondition: its unmodified_since counts, against the newest of the package and its files.

        Returns:
            False if the project has no such package (any more).

        Raises:
            PreconditionFailed.
        """

    async def delete_files(
        project_id: int, package_id: int, file_ids: Sequence[int], revision: int, principal: Principal
    ) -> bool:
        """
        Delete some files of a package, all of them or none; see delete_file.

        Args:
            revision: of the name's index in the project (IndexState), read before the files were chosen.

        Returns:
            False if anything under the name has changed since, or one of the files is not there: nothing was done.
        """


class IBlobCatalog(Interface):
    """Which blobs are needed."""

    async def is_blob_unused(sha256: Digest, locator: str | None = None) -> bool:
        """
        Whether no package file refers to these bytes.

        Args:
            locator: ask about the copy that lies there; unused also if files refer to another copy.
        """

    async def forget_blob(sha256: Digest, locator: str | None = None) -> bool:
        """
        Delete the row of an unused blob; True if no file refers to the bytes (row or no row).

        Args:
            locator: of one copy, as for is_blob_unused(); the row of another copy stays.
        """

    async def move_blob(sha256: Digest, locator: str, new_locator: str) -> bool:
        """
        Have all files of a blob refer to another copy of its bytes, unless it was moved meanwhile.

        Returns:
            Whether the blob lies at the new locator now.
        """

    async def find_unused_blobs(before: datetime.datetime, limit: int, after: str = "") -> tuple[BlobInfo, ...]:
        """
        Blobs that no file has referred to since `before`, by sha256, at most `limit` of them.

        Args:
            after: the sha256 hex to go on behind.
        """
