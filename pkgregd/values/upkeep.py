"""What keeps a registry well: what can be wrong with it, and how far the reading of its bytes has come."""

from __future__ import annotations

import datetime
import enum

from attrs import frozen

from pkgregd.values.blobs import BlobInfo, Digest


@frozen
class StoredBlob:
    """
    What the catalog has about a blob.

    Attributes:
        is_used: whether a file refers to it.
        created_at: when its row came.
    """

    info: BlobInfo
    is_used: bool
    created_at: datetime.datetime


class CatalogCheck(enum.Enum):
    """
    What is looked for within the catalog, in this order; none of it can come about by what the registry does itself.

    Mending moves indexes, so their revisions come first.

    Members:
        MISSING_REVISION: a name that has packages and no index revision.
        REVISION_BEHIND: an index revision that is lower than one that was given out.
        UNRELEASED_BLOB: no file refers to it, and none is said to have let go of it.
        RELEASED_BLOB: a file refers to it, and all are said to have let go.
        FILE_WITHOUT_BLOB, FILE_WITHOUT_PACKAGE, PACKAGE_WITHOUT_PROJECT: what a row belongs to is gone.
        EMPTY_PACKAGE: without a file.
        WRONG_USAGE: a project's files are not as large as is counted.
        DANGLING_TAG: points at nothing, or at another name's package.
        STALE_RESERVATION: of room, by an upload that ended long ago.
        ORPHAN_DOCUMENT, ORPHAN_KEY, ORPHAN_UNCONFIRMED: belongs to a file that is gone.
    """

    MISSING_REVISION = "missing_revision"
    REVISION_BEHIND = "revision_behind"
    UNRELEASED_BLOB = "unreleased_blob"
    RELEASED_BLOB = "released_blob"
    FILE_WITHOUT_BLOB = "file_without_blob"
    FILE_WITHOUT_PACKAGE = "file_without_package"
    PACKAGE_WITHOUT_PROJECT = "package_without_project"
    EMPTY_PACKAGE = "empty_package"
    WRONG_USAGE = "wrong_usage"
    DANGLING_TAG = "dangling_tag"
    STALE_RESERVATION = "stale_reservation"
    ORPHAN_DOCUMENT = "orphan_document"
    ORPHAN_KEY = "orphan_key"
    ORPHAN_UNCONFIRMED = "orphan_unconfirmed"


@frozen
class Fault:
    """
    A row of the catalog that is wrong.

    Attributes:
        key: finds it again, and is the place to go on behind.
        where: the row, in words.
        sha256: of the blob that it is about, if it is about one.
    """

    key: tuple[int | str, ...]
    where: str
    sha256: Digest | None = None


@frozen
class ScrubState:
    """
    How far the reading of all blobs has come.

    Attributes:
        position: sha256 of the last blob that was read; empty at the beginning of a round.
        blobs, size_bytes, damaged: what was read in this round, and how many blobs were not what they should be.
        began_at: when this round began.
        ended_at: when the last round came to its end; None before the first did.
    """

    position: str = ""
    blobs: int = 0
    size_bytes: int = 0
    damaged: int = 0
    began_at: datetime.datetime | None = None
    ended_at: datetime.datetime | None = None
