"""What is published, and what was."""

from __future__ import annotations

import datetime
import enum
from collections.abc import Callable, Mapping

from attrs import field, frozen

from pkgregd.errors import PreconditionFailed
from pkgregd.values.access import Principal
from pkgregd.values.blobs import BlobInfo
from pkgregd.values.packages import Coordinates, PackageFile, PackageStatus

MAX_DOCUMENT_BYTES = 1 << 20
"""What a format may keep of one document: it travels through memory and the catalog's log in one piece."""


class OnDuplicate(enum.Enum):
    """What publishing over an existing file of other bytes does. Equal bytes always succeed."""

    REFUSE = "refuse"
    REPLACE = "replace"


@frozen
class Precondition:
    """
    What the client demands of the present state of a file or package (RFC 9110, section 13).

    Attributes:
        absent: `If-None-Match: *` was sent.
        sha256_any_of: sha256 hex digits of `If-Match`; empty when not sent; `*` means any.
        unmodified_since: the time of `If-Unmodified-Since`, aware; None when not sent.
    """

    absent: bool = False
    sha256_any_of: tuple[str, ...] = ()
    unmodified_since: datetime.datetime | None = None

    def demand(self, sha256: str | None, file_name: str) -> None:
        """
        Pass if it holds.

        Args:
            sha256: of the present file, as hex; None when there is none.
            file_name: for the message.

        Raises:
            PreconditionFailed.
        """
        wanted = self.sha256_any_of
        if self.absent and sha256 is not None:
            raise PreconditionFailed(f"the file {file_name} exists already")
        if wanted and sha256 is None:
            raise PreconditionFailed(f"the file {file_name} does not exist")
        if wanted and "*" not in wanted and sha256 not in wanted:
            raise PreconditionFailed(f"the file {file_name} has changed")

    def demand_unmodified(self, modified_at: datetime.datetime, what: str) -> None:
        """
        Pass if what is there is not newer than the client knows it.

        Args:
            modified_at: compared by whole seconds, which is all that the header can say.
            what: for the message.

        Raises:
            PreconditionFailed.
        """
        if self.unmodified_since is not None and modified_at.replace(microsecond=0) > self.unmodified_since:
            raise PreconditionFailed(f"{what} has changed since then")


NO_PRECONDITION = Precondition()


@frozen
class Publication:
    """
    What one publish writes, all of it or nothing.

    Attributes:
        coordinates: of the file.
        blob: durable bytes from the same draft.
        status: wanted for the package; None leaves an existing package's as it is.
        package_metadata_json: kept from the first publish unless given again.
        file_metadata_json: belongs to the file.
        documents: by name, kept beside the file and read by themselves; each at most MAX_DOCUMENT_BYTES.
        on_duplicate: see OnDuplicate.
        precondition: checked inside the transaction.
        respects_tombstones: refuse other bytes for a file name that was deleted before.
        tags: these names point at this version afterwards, wherever they pointed before; not if equal bytes were there.
        summary: what the name is found by beside itself: a description, keywords. Empty leaves what was said before;
            of a longer one the first 1000 characters count.
        traits: words without spaces which say what a search can ask of a version; they come and go with
            package_metadata_json.
        file_key: brings a file name of this package to the form in which two of them are the same file, of which
            one spelling is kept; pure, quick and total. None where every name is a file of its own.
        awaits_checksum: the publisher is going to send a checksum, and may take these bytes back if that does not fit;
            see IPackageCatalog.withdraw_file. Without a token there is no publisher to be known again.
        demands_spelling: refuse the first file of a version if the newest version of the name spells it otherwise.
        keys: what the file is found by without the name of its package, until it is replaced or deleted; see
            IPackageCatalog.find_by_key. Of a length that the format has bounded, none twice.
        beside: the name of a file that this one belongs to, which must be there already, or PackageNotFound. A file
            beside another is found by its name and its keys, and is no part of an index: list_files() leaves it
            out, and its publish moves no index. None for a file of its own.
    """

    coordinates: Coordinates
    blob: BlobInfo
    status: PackageStatus | None = None
    package_metadata_json: str = "{}"
    file_metadata_json: str = "{}"
    documents: Mapping[str, bytes] = field(factory=dict, repr=False)
    on_duplicate: OnDuplicate = OnDuplicate.REFUSE
    precondition: Precondition = NO_PRECONDITION
    respects_tombstones: bool = False
    tags: tuple[str, ...] = ()
    summary: str = ""
    traits: tuple[str, ...] = ()
    file_key: Callable[[str], str] | None = None
    awaits_checksum: bool = False
    demands_spelling: bool = False
    keys: tuple[str, ...] = ()
    beside: str | None = None


@frozen
class Published:
    """
    What a publish did.

    Attributes:
        file: the row as it is now.
        created: True if a file was added or replaced, False if equal bytes were there already.
    """

    file: PackageFile
    created: bool


@frozen
class Event:
    """
    Something that happened to packages, for counters and subscribers.

    Attributes:
        name: `push_package`, `pull_package`, `delete_package`, `withdraw_package`, `yank_package`, `unyank_package`,
            `tag_package` or `untag_package`.
        format: the format's name.
        project_id: where.
        principal: who.
        coordinates_text: `name version file`, for people; without a file it tells of the whole package, and of several
            packages of a name how many they are.
    """

    name: str
    format: str
    project_id: int
    principal: Principal
    coordinates_text: str
