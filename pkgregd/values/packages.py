"""Packages and their files, as formats see them."""

from __future__ import annotations

import datetime
import enum

from attrs import field, frozen

from pkgregd.values.access import Level
from pkgregd.values.blobs import BlobInfo, Digest


class PackageStatus(enum.Enum):
    """Whether a package is listed; both kinds can be downloaded."""

    DEFAULT = "default"
    HIDDEN = "hidden"


@frozen
class Coordinates:
    """
    The one name of a package file, made once from URL, form and archive together.

    Authorisation, checks and the write all use this same object.

    Attributes:
        format: the format's name, e.g. `pypi`.
        project_id: the project that owns it.
        name: as published, for display.
        canonical_name: as the format compares names.
        version: as published.
        canonical_version: as the format compares versions.
        file_name: name of the file; may hold `/` where the format allows it.
    """

    format: str
    project_id: int
    name: str
    canonical_name: str
    version: str
    canonical_version: str
    file_name: str


@frozen
class PackageFile:
    """
    A published file, together with its package and its blob.

    Attributes:
        id, package_id, project_id: row numbers.
        format, name, canonical_name, version, canonical_version, file_name: see Coordinates.
        status: of the package.
        blob: the bytes.
        package_metadata_json: the format's typed metadata of the package, as JSON text.
        file_metadata_json: the same of the file.
        created_at: when these bytes were published, aware UTC.
        yanked_reason: why the package was yanked, perhaps empty; None while it is not.
    """

    id: int
    package_id: int
    project_id: int
    format: str
    name: str
    canonical_name: str
    version: str
    canonical_version: str
    file_name: str
    status: PackageStatus
    blob: BlobInfo
    package_metadata_json: str
    file_metadata_json: str
    created_at: datetime.datetime
    yanked_reason: str | None = None


@frozen
class IndexState:
    """
    How far the index of a name (or of all names) has moved.

    Attributes:
        token: equal tokens mean an identical index; safe inside an ETag.
        revisions: of each project with a share in it, which the token stands for, the number of changes so far.
        changed_at: aware UTC of the last change, None when there is nothing.
    """

    token: str
    revisions: tuple[tuple[int, int], ...]
    changed_at: datetime.datetime | None

    @property
    def project_ids(self) -> tuple[int, ...]:
        """The projects with a share in it."""
        return tuple(project_id for project_id, _ in self.revisions)


@frozen
class PackageName:
    """A name with at least one listed package: canonical, and as last published."""

    canonical_name: str
    name: str


@frozen
class NewestVersion:
    """
    What the newest version of a name says of itself.

    Attributes:
        canonical_name: the name.
        version: the version published last of those with metadata.
        package_metadata_json: see PackageFile.
        file_metadata_json: of its newest file that has any; `{}` if none has.
    """

    canonical_name: str
    version: str
    package_metadata_json: str
    file_metadata_json: str


@frozen
class NameListing:
    """A piece of a listing of names, and how long all of it is."""

    names: tuple[PackageName, ...]
    total: int


@frozen
class Tag:
    """
    A movable name of a version.

    Attributes:
        name: the tag.
        canonical_version, version: what it points at.
        project_id: where; each project has its own.
    """

    name: str
    canonical_version: str
    version: str
    project_id: int


@frozen
class Owner:
    """A user who decides about the packages of a project or group."""

    id: int
    name: str


@frozen
class IndexLookup:
    """The first question of a handler that shows an index: its state; see IReads.index_state."""

    canonical_name: str | None


@frozen
class FileLookup:
    """The first question of a handler that sends a file; see IReads.find_file."""

    canonical_name: str
    canonical_version: str | None
    file_name: str
    sha256: Digest | None = None


@frozen
class PackageVersion:
    """
    A package of a name, without its files.

    Attributes:
        package_id, project_id: row numbers.
        version, canonical_version: as published first, and as compared.
        metadata_json: what its format keeps of it, as PackageFile has it.
        created_at: when it got its first file, aware UTC.
        yanked_reason: see PackageFile.
    """

    package_id: int
    project_id: int
    version: str
    canonical_version: str
    metadata_json: str = field(repr=False)
    created_at: datetime.datetime
    yanked_reason: str | None


@frozen
class Foresight:
    """
    What a request is going to ask of the catalog, as far as its URL tells, so that one query answers it all.

    Attributes:
        level, ident: of the project or group; see IReads.find_scope.
        format: the format's name.
        lookup: what its handler asks first, None if that is not known.
    """

    level: Level
    ident: int | str
    format: str
    lookup: IndexLookup | FileLookup | None = None
