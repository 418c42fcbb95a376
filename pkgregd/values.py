"""
The frozen values that travel between the layers.

Everything here is immutable, compares by content and has been checked when it
was made: code that receives one of these never validates it again.
"""

from __future__ import annotations

import datetime
import enum
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from attrs import field, frozen

from pkgregd.errors import InvalidDigest, PreconditionFailed

if TYPE_CHECKING:
    from pkgregd.interfaces import IBlobSource, ICall

HEX_LENGTHS: Mapping[str, int] = {
    "md5": 32,
    "sha1": 40,
    "sha256": 64,
    "sha512": 128,
    "blake2b_256": 64,
}
"""The digest algorithms we know, each with the length of its hexadecimal form."""

_HEX = re.compile(r"[0-9a-f]+", re.ASCII)


@frozen
class Digest:
    """
    A checked digest of some bytes.

    Attributes:
        algorithm: a key of HEX_LENGTHS.
        hex: lower-case hexadecimal of exactly the algorithm's length.
    """

    algorithm: str
    hex: str

    def __attrs_post_init__(self) -> None:
        if HEX_LENGTHS.get(self.algorithm) != len(self.hex) or not _HEX.fullmatch(self.hex):
            raise InvalidDigest(self.algorithm, self.hex)

    @classmethod
    def parse(cls, text: str) -> Digest:
        """
        Read `algorithm:hex`, either letter case.

        Raises:
            InvalidDigest: unknown algorithm, or not its number of hex digits.
        """
        algorithm, _, hex_digits = text.partition(":")
        return cls(algorithm.lower(), hex_digits.lower())

    @classmethod
    def sha256(cls, hex_digits: str) -> Digest:
        """Make a sha256 digest of 64 hex digits in either case."""
        return cls("sha256", hex_digits.lower())

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.hex}"


@frozen
class BlobInfo:
    """
    A stored blob.

    Attributes:
        sha256: the digest that names it.
        size_bytes: its length.
        locator: where its bytes lie, in the words of the store that made it.
        digests: the digests that were computed, sha256 included, by algorithm, as hex.
    """

    sha256: Digest
    size_bytes: int
    locator: str
    digests: Mapping[str, str] = field(factory=dict)


@frozen
class ByteRange:
    """
    A piece of a blob.

    Attributes:
        start: first byte, from 0.
        stop: one past the last byte; greater than start.
    """

    start: int
    stop: int

    @property
    def size_bytes(self) -> int:
        """How many bytes the range covers, at least 1."""
        return self.stop - self.start


class Level(enum.Enum):
    """How much a client sees through a remote."""

    PROJECT = "project"
    GROUP = "group"
    INSTANCE = "instance"


class Visibility(enum.Enum):
    """Who may see a group or project without being a member."""

    PRIVATE = "private"
    INTERNAL = "internal"
    PUBLIC = "public"


class Role(enum.IntEnum):
    """A member's role, with GitLab's numbers; a greater role includes the lesser."""

    GUEST = 10
    REPORTER = 20
    DEVELOPER = 30
    MAINTAINER = 40
    OWNER = 50


class Permission(enum.Enum):
    """
    What a route asks of its caller at a project or group.

    Members:
        READ_PROJECT: know that it is there, and how it is set up.
        READ_MEMBERS: know who belongs to it.
        ADMINISTER: change its members and tokens.
        CREATE_PROJECT: add a project to a group.
        REMOVE_PROJECT: remove it with all that is in it.
    """

    READ_PACKAGE = "read_package"
    CREATE_PACKAGE = "create_package"
    DESTROY_PACKAGE = "destroy_package"
    READ_PROJECT = "read_project"
    READ_MEMBERS = "read_members"
    ADMINISTER = "administer"
    CREATE_PROJECT = "create_project"
    REMOVE_PROJECT = "remove_project"


class AccountPermission(enum.Enum):
    """
    What a route asks of its caller where no project or group is concerned, but who the caller is.

    Members:
        SIGN_IN: nothing; a credential beside it is not looked at, since it may be the one that is out of date.
        NOTHING: nothing, for what is the same for everybody; a credential that is shown has to be good.
        READ_USER: any good credential.
        READ_USERS: a token that stands for a user, or for a member, and not for a machine.
        MANAGE_TOKENS: a personal token that may do what its user may.
        ADMINISTER_INSTANCE: the same, of an administrator.
    """

    SIGN_IN = "sign_in"
    NOTHING = "nothing"
    READ_USER = "read_user"
    READ_USERS = "read_users"
    MANAGE_TOKENS = "manage_tokens"
    ADMINISTER_INSTANCE = "administer_instance"


class TokenKind(enum.Enum):
    """What a token stands for."""

    PERSONAL = "personal"
    PROJECT = "project"
    GROUP = "group"
    DEPLOY = "deploy"
    JOB = "job"


class PackageStatus(enum.Enum):
    """Whether a package is listed; both kinds can be downloaded."""

    DEFAULT = "default"
    HIDDEN = "hidden"


@frozen
class Principal:
    """
    Who is asking.

    Attributes:
        name: for logs and audit: a user's name, `token:NAME`, or `anonymous`.
        token_kind: None for anonymous, else the kind of token that was shown.
        token_id: the token's row, None for anonymous.
        user_id: the user a personal token belongs to, else None.
        is_admin: whether that user administers the instance.
        scopes: what the token allows, e.g. `api`, `read_package_registry`.
        project_id: the only project the token is good for, or None.
        project_path: of that project, from the top.
        group_id: the only group (with all below it) the token is good for, or None.
        role: the role a project or group access token carries, else None.
    """

    name: str = "anonymous"
    token_kind: TokenKind | None = None
    token_id: int | None = None
    user_id: int | None = None
    is_admin: bool = False
    scopes: frozenset[str] = frozenset()
    project_id: int | None = None
    group_id: int | None = None
    role: Role | None = None
    project_path: str | None = None

    @property
    def is_anonymous(self) -> bool:
        """Whether no credential was shown at all."""
        return self.token_kind is None


ANONYMOUS = Principal()


@frozen
class NewToken:
    """
    A token about to be stored.

    Attributes:
        public_id: the part of the secret that may be shown: looked up, listed and revoked by.
        secret_sha256: hex digest of the whole secret text.
        kind: what it stands for.
        name: the operator's words; also the user name of a deploy token.
        scopes: what it allows.
        role: of a project or group access token.
        user: user name, for a personal token.
        project: project path, or its number in digits.
        group: group path, or its number in digits.
        expires_at: aware UTC; None means never.
    """

    public_id: str
    secret_sha256: str = field(repr=False)
    kind: TokenKind
    name: str
    scopes: frozenset[str] = frozenset()
    role: Role | None = None
    user: str | None = None
    project: str | None = None
    group: str | None = None
    expires_at: datetime.datetime | None = None


@frozen
class TokenRecord:
    """
    A stored token, with what authentication needs of its owner.

    Attributes:
        public_id, secret_sha256, name, expires_at: see NewToken.
        principal: who the token makes its bearer, scopes and bounds included.
        created_at, revoked_at: aware UTC.
    """

    public_id: str
    secret_sha256: str = field(repr=False)
    name: str
    principal: Principal
    created_at: datetime.datetime
    expires_at: datetime.datetime | None = None
    revoked_at: datetime.datetime | None = None


@frozen
class MintedToken:
    """
    A new token, the only time its secret is known.

    Attributes:
        secret: the whole text that its bearer shows.
        public_id: the part of it that may be shown to others.
        secret_sha256: hex digest of the whole text, to be stored.
    """

    secret: str = field(repr=False)
    public_id: str
    secret_sha256: str = field(repr=False)


@frozen
class TokenOwner:
    """
    Whose tokens of which kind; the tokens of one kind belong to users, projects or groups, as NewToken tells.

    Attributes:
        kind: of the tokens.
        user_id, project_id, group_id: at most one of them; without any, tokens of that kind whoever has them.
    """

    kind: TokenKind
    user_id: int | None = None
    project_id: int | None = None
    group_id: int | None = None


@frozen
class TokenOrder:
    """
    A token that somebody wants made.

    Attributes:
        owner: whose it will be, and of which kind.
        name: the orderer's words.
        scopes: what it allows.
        role: of a project or group access token.
        expires_at: aware; None means never.
    """

    owner: TokenOwner
    name: str
    scopes: frozenset[str]
    role: Role | None = None
    expires_at: datetime.datetime | None = None


@frozen
class TokenQuery:
    """
    Which tokens are listed.

    Attributes:
        owner: whose they are.
        is_active: only those that are neither revoked nor expired, or only the others; None for all.
        is_descending: newest first.
    """

    owner: TokenOwner
    is_active: bool | None = None
    is_descending: bool = False


@frozen
class TokenListing:
    """A piece of a listing of tokens, and how long the whole is."""

    tokens: tuple[TokenRecord, ...]
    total: int


@frozen
class UserRecord:
    """
    A user.

    Attributes:
        created_at: aware UTC.
    """

    id: int
    name: str
    is_admin: bool
    created_at: datetime.datetime


@frozen
class UserListing:
    """A piece of a listing of users, and how long the whole is."""

    users: tuple[UserRecord, ...]
    total: int


@frozen
class MemberRecord:
    """
    A user's role in a project or group.

    Attributes:
        role: the greatest one, if those of the groups above count.
    """

    user_id: int
    name: str
    role: Role


@frozen
class MemberListing:
    """A piece of a listing of members, and how long the whole is."""

    members: tuple[MemberRecord, ...]
    total: int


@frozen
class PlaceRecord:
    """
    A project or a group.

    Attributes:
        path: from the top.
        parent_id: the group that it lies in; None for a group at the top.
        created_at: aware UTC.
    """

    level: Level
    id: int
    path: str
    visibility: Visibility
    parent_id: int | None
    created_at: datetime.datetime


@frozen
class PlaceListing:
    """A piece of a listing of projects or of groups, and how long the whole is."""

    places: tuple[PlaceRecord, ...]
    total: int


class PlaceOrder(enum.Enum):
    """By what projects and groups are ordered; numbers follow the times at which they were made."""

    ID = "id"
    PATH = "path"


@frozen
class PlaceQuery:
    """
    Which projects or groups are listed.

    Attributes:
        text: a part of the path, whatever the case of its letters; None for any.
        visibility: None for any.
        parent_id: only what lies in that group; None for anywhere.
        is_deep: what lies in groups below that group, too.
        top_only: only groups at the top.
        least_role: only where the viewer, a user, has at least that role.
    """

    text: str | None = None
    visibility: Visibility | None = None
    parent_id: int | None = None
    is_deep: bool = False
    top_only: bool = False
    least_role: Role | None = None
    order: PlaceOrder = PlaceOrder.ID
    is_descending: bool = False


@frozen
class NewSignIn:
    """
    The request of a client without a credential that somebody signs it in.

    Attributes:
        public_id: of the page on which that is done; past guessing, like a secret.
        poll_sha256: hex digest of the secret by which the client asks whether it was done.
        address: where the client is.
        client: its own words for itself.
        expires_at: aware UTC; nothing is known of it from then on.
    """

    public_id: str
    poll_sha256: str = field(repr=False)
    address: str
    client: str
    expires_at: datetime.datetime


@frozen
class SignIn:
    """
    A stored request to be signed in.

    Attributes:
        public_id, address, client, expires_at: see NewSignIn.
        created_at: aware UTC.
        is_approved: whether somebody has said yes, and the client has not come back yet.
    """

    public_id: str
    address: str
    client: str
    created_at: datetime.datetime
    expires_at: datetime.datetime
    is_approved: bool = False


@frozen
class SignInStart:
    """
    What a client needs to be signed in.

    Attributes:
        poll_secret: what it asks with whether it was done.
        page_url: where somebody does it.
    """

    poll_secret: str = field(repr=False)
    page_url: str


@frozen
class IssuedToken:
    """
    A token that was just made, the only time its secret is known.

    Attributes:
        token: what was stored.
        secret: the whole text that its bearer shows.
        created_at: aware UTC.
        token_id: its number.
    """

    token: NewToken
    secret: str = field(repr=False)
    created_at: datetime.datetime
    token_id: int = 0


@frozen
class Scope:
    """
    A project, group or the instance as one principal meets it.

    Attributes:
        level: which of the three.
        id: the project's or group's number; 0 for the instance.
        path: full path such as `acme/tools`; empty for the instance.
        visibility: of the project or group itself.
        group_ids: the groups above it, nearest first; a group counts itself.
        role: the asking user's greatest role here, inherited ones included, or None.
    """

    level: Level
    id: int
    path: str
    visibility: Visibility
    group_ids: tuple[int, ...] = ()
    role: Role | None = None


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


@frozen
class StreamBody:
    """
    A reply body that is streamed from a blob.

    Attributes:
        size_bytes: of the whole.
        open: opens the whole (None) or a piece; only called when bytes are really sent.
    """

    size_bytes: int
    open: Callable[[ByteRange | None], Awaitable[IBlobSource]]


@frozen
class Page:
    """
    A rendered page, ready to be sent any number of times.

    Attributes:
        body: its bytes.
        gzip: the same, compressed; None where that would not be shorter.
    """

    body: bytes = field(repr=False)
    gzip: bytes | None = field(repr=False)

    @property
    def size_bytes(self) -> int:
        """How much memory its bytes take."""
        return len(self.body) + len(self.gzip or b"")


@frozen
class PageSection:
    """
    A part of a page that has a piece for each version.

    Attributes:
        lead: comes before the first piece.
        separator: stands between pieces.
        render: makes the piece of one version from its files, of which there is at least one, by creation. Pure.
    """

    lead: bytes
    separator: bytes
    render: Callable[[Sequence[PackageFile]], bytes]


@frozen
class PageLayout:
    """
    How a page of a name's files is put together from pieces.

    Attributes:
        sections: one behind the other.
        tail: comes behind the last piece.
        order: by what canonical versions are sorted. Pure.
        sum_up: makes what comes between the last piece and the tail, from all versions in their order, of which there
            is at least one. Pure.
        is_shown: whether a version with these files, of which there is at least one, is on the page. Pure. None if
            every one is.
    """

    sections: tuple[PageSection, ...]
    tail: bytes
    order: Callable[[str], Any]
    sum_up: Callable[[Sequence[str]], bytes] | None = None
    is_shown: Callable[[Sequence[PackageFile]], bool] | None = None


MakeLayout: TypeAlias = "Callable[[], Awaitable[PageLayout]]"
"""Makes a layout when a page has to be rendered: it may ask the remote for what the page shows beside the files."""


@frozen
class ChosenVersions:
    """
    Which versions a page shows.

    Attributes:
        versions: those whose documents it needs.
        is_kept: whether the page is worth being kept: not if it is one of any number that can be asked for.
    """

    versions: Sequence[PackageVersion]
    is_kept: bool = True


@frozen
class VersionLayout:
    """
    How a page of a name's versions is made.

    Attributes:
        choose: chooses versions out of all, of which there is at least one, and bounds what their documents take
            together; raises PackageNotFound where there is no such page. Pure.
        document: the name of the document that stands beside each of them.
        render: makes the page of all versions, the chosen ones, and their documents by package, of which one may be
            missing that was deleted meanwhile: in pieces, between which others get the interpreter. Pure.
    """

    choose: Callable[[Sequence[PackageVersion]], ChosenVersions]
    document: str
    render: Callable[[Sequence[PackageVersion], Sequence[PackageVersion], Mapping[int, bytes]], Iterable[bytes]]


@frozen
class PageBody:
    """
    A reply body that is rendered when it is needed: not for an answer that conditions decide.

    Attributes:
        render: returns the page; may raise an error of `pkgregd.errors`.
    """

    render: Callable[[], Awaitable[Page]]


@frozen
class Reply:
    """
    What a handler answers.

    Attributes:
        status: HTTP status.
        explanation: put behind the standard phrase in the status line; set for every refusal.
        body: bytes in hand, a page or a stream.
        content_type: media type with parameters; None sends none.
        headers: further headers in order.
        etag: opaque part of a strong ETag, without quotes: conditional requests and ranges follow from it. A
            compressed page gets one of its own.
        last_modified: aware UTC.
        download_name: sent as `Content-Disposition: attachment`, safely quoted.
    """

    status: int = 200
    explanation: str | None = field(default=None, kw_only=True)
    body: bytes | PageBody | StreamBody = b""
    content_type: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    etag: str | None = None
    last_modified: datetime.datetime | None = None
    download_name: str | None = None


PublicPages: TypeAlias = Mapping[str, Callable[[], Awaitable[Reply]]]
"""What answers for pages that everybody may read, by path: ASCII, without an escape, a query or a `<`."""


@frozen
class Refusal:
    """
    A failed request, before a format dresses it.

    Attributes:
        status: HTTP status.
        code: stable word for programs, e.g. `file_exists`.
        message: one sentence for the person at the client.
        request_id: also in the access log.
        headers: e.g. `WWW-Authenticate`, `Retry-After`.
    """

    status: int
    code: str
    message: str
    request_id: str
    headers: tuple[tuple[str, str], ...] = ()


@frozen
class Route:
    """
    One thing that a format, or another table of routes, answers.

    Attributes:
        methods: upper-case; GET also answers HEAD.
        path: below the prefix of its table, empty or starting with `/`. `<segment:x>` is one decoded path
            segment without a slash, `<path:x>` one or more, decoded and joined with `/`, `<number:x>` a
            segment of digits alone, as an int.
        permission: what the caller needs at the level's scope; an AccountPermission at none, wherever it is mounted,
            and then the call's scope is the instance.
        handler: answers, or raises an error of `pkgregd.errors`.
        levels: where the route is mounted.
        check: refuses by URL and headers alone, before any body byte is read.
        body_overhead_bytes: what the body may exceed the file limit by (form fields, base64).
        foresee: tells from the route's arguments what the handler will ask first, or raises an error of
            `pkgregd.errors`. Wrong or missing, it costs a second query and changes nothing.
        is_question: asks with a body, by POST, and changes nothing.
        owner: tells from the route's arguments the path of the group that owns what is asked for, by the format's
            naming convention, or raises an error of `pkgregd.errors`. Needed for packages at the level of the instance,
            where that group's remote answers: so nobody can slip a package in under a name of somebody else's.
    """

    methods: tuple[str, ...]
    path: str
    permission: Permission | AccountPermission
    handler: Callable[[ICall], Awaitable[Reply]]
    levels: frozenset[Level] = frozenset({Level.PROJECT})
    check: Callable[[ICall], Awaitable[None]] | None = None
    body_overhead_bytes: int = 0
    foresee: Callable[[Mapping[str, str]], IndexLookup | FileLookup | None] | None = None
    is_question: bool = False
    owner: Callable[[Mapping[str, str]], str] | None = None

    def __attrs_post_init__(self) -> None:
        is_of_packages = isinstance(self.permission, Permission)
        if Level.INSTANCE in self.levels and is_of_packages and self.owner is None:
            raise TypeError(f"the route {self.path} at the instance does not tell whose the packages are")


@frozen
class FormatLimits:
    """
    What one format takes.

    Attributes:
        max_file_bytes: greatest size of one file.
        duplicates_allowed: whether other bytes may replace an existing file, where the format leaves the choice.
        duplicate_exceptions: shell-style patterns of names or versions for which the opposite holds.
        keep_builds: how many builds of a version are kept, where versions are made of builds (IBuildFormat); None
            keeps all of them.
    """

    max_file_bytes: int
    duplicates_allowed: bool = True
    duplicate_exceptions: tuple[str, ...] = ()
    keep_builds: int | None = None


@frozen
class Rate:
    """
    So many requests in so much time.

    Attributes:
        requests: at least 1; also the burst that is let through at once.
        seconds: at least 1.
    """

    requests: int
    seconds: int


@frozen
class RateLimitRule:
    """
    The configured rates of one URL prefix.

    Attributes:
        prefix: starts with `/`; `:id` stands for any one segment.
        authenticated: for each principal; None does not limit them.
        anonymous: for each address; None does not limit them.
    """

    prefix: str
    authenticated: Rate | None = None
    anonymous: Rate | None = None
