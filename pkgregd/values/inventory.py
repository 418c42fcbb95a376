"""Packages and files, as they are listed and counted."""

from __future__ import annotations

import datetime
import enum
from collections.abc import Mapping

from attrs import frozen

from pkgregd.values.packages import PackageStatus


class PackageOrder(enum.Enum):
    """
    By what a listing of packages is ordered; equals follow by their number.

    All are compared as text of code points but the time: a version does not know its format's order here.
    """

    CREATED_AT = "created_at"
    NAME = "name"
    VERSION = "version"
    TYPE = "type"
    PROJECT_PATH = "project_path"


class FileOrder(enum.Enum):
    """By what a listing of files is ordered; equals follow by their number."""

    ID = "id"
    CREATED_AT = "created_at"
    FILE_NAME = "file_name"


@frozen
class PackageQuery:
    """
    Which packages are wanted, in which order; all conditions hold together.

    Attributes:
        format: only of this format.
        name_part: only names that hold this text, without regard to the case of ASCII letters.
        version: only this version, as published.
        status: only packages of this status.
        order: see PackageOrder.
        is_descending: the other way round, equals included.
    """

    format: str | None = None
    name_part: str | None = None
    version: str | None = None
    status: PackageStatus = PackageStatus.DEFAULT
    order: PackageOrder = PackageOrder.CREATED_AT
    is_descending: bool = False


@frozen
class Piece:
    """
    Which part of a listing is wanted.

    Attributes:
        offset: how many rows are passed over.
        limit: how many rows are wanted at most.
    """

    offset: int
    limit: int


@frozen
class Stretch:
    """
    Which part of a listing is wanted that goes on behind a row, however much lies before it.

    Who goes on from the last row that was read passes nothing over and reads nothing twice, whatever comes and goes
    meanwhile.

    Attributes:
        limit: how many rows are wanted at most.
        above, below: only rows with a greater number than the one, and a lesser one than the other, if it is given.
        behind: in a listing by path only rows behind that path; None for all.
    """

    limit: int
    above: int = 0
    below: int | None = None
    behind: str | None = None


@frozen
class PackageRecord:
    """
    A package without its files.

    Attributes:
        id, project_id: row numbers.
        project_path: full path of the project.
        format, name, version: as published.
        status: whether it is listed.
        created_at: when it got its first file, aware UTC.
        yanked_reason: why it was yanked, perhaps empty; None while it is not.
    """

    id: int
    project_id: int
    project_path: str
    format: str
    name: str
    version: str
    status: PackageStatus
    created_at: datetime.datetime
    yanked_reason: str | None


@frozen
class FileRecord:
    """
    A file of a package, to be shown.

    Attributes:
        id, package_id: row numbers.
        file_name: may hold `/` where the format allows it.
        size_bytes: of its bytes.
        digests: those that are known, sha256 always, by algorithm, as hex.
        created_at: when these bytes were published, aware UTC.
    """

    id: int
    package_id: int
    file_name: str
    size_bytes: int
    digests: Mapping[str, str]
    created_at: datetime.datetime


@frozen
class SupersededBuild:
    """
    A build of a version that newer ones have taken the place of.

    Attributes:
        name: for people.
        files: of it, which go together.
    """

    name: str
    files: tuple[FileRecord, ...]

    @property
    def size_bytes(self) -> int:
        """Of its files together."""
        return sum(file.size_bytes for file in self.files)


@frozen
class PackageListing:
    """A piece of a listing of packages, and how long all of it is."""

    packages: tuple[PackageRecord, ...]
    total: int


@frozen
class FileListing:
    """A piece of a listing of files, and how long all of it is."""

    files: tuple[FileRecord, ...]
    total: int
