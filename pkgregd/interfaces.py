"""
The seams of the house: every zope interface, and the contract of each.

Implementations say `@implementer`; a test runs `verifyClass` over all of them.
Unless a docstring says otherwise every method is called on the reactor thread,
and cancelling an awaited call abandons the wait and releases what it held.
"""

from __future__ import annotations

import datetime
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import IO, Any, TypeAlias, TypeVar

from twisted.internet.interfaces import IConsumer
from zope.interface import Attribute, Interface

from pkgregd.values import (
    AccountPermission,
    BlobInfo,
    ByteRange,
    Digest,
    Event,
    FileListing,
    FileOrder,
    FileRecord,
    Foresight,
    FormatLimits,
    IndexState,
    IssuedToken,
    Level,
    MakeLayout,
    MemberListing,
    MemberRecord,
    MintedToken,
    NameListing,
    NewestVersion,
    NewSignIn,
    NewToken,
    Owner,
    PackageFile,
    PackageListing,
    PackageName,
    PackageQuery,
    PackageRecord,
    PackageVersion,
    Page,
    PageLayout,
    Permission,
    Piece,
    PlaceListing,
    PlaceQuery,
    PlaceRecord,
    Precondition,
    Principal,
    Publication,
    Published,
    Refusal,
    Reply,
    Role,
    Route,
    Scope,
    SignIn,
    SignInStart,
    SupersededBuild,
    Tag,
    TokenListing,
    TokenOrder,
    TokenOwner,
    TokenQuery,
    TokenRecord,
    UserListing,
    UserRecord,
    VersionLayout,
    Visibility,
)

T = TypeVar("T")

MAX_BRANCH = 500
"""How many names of a branch are shown."""

Inspector: TypeAlias = Callable[..., Mapping[str, object]]
"""
A pure function that reads an archive: `inspector(file, **arguments)`.

It gets a seekable file and arguments that JSON can carry, returns a mapping that JSON can carry (4 MiB of
it at most), and raises InvalidRequest and its kin. It stands at the top of a module below `pkgregd.formats`
or `pkgregd.formatkit` that imports neither `pkgregd.interfaces` nor Twisted: it runs in a small process of
its own, which has read hostile bytes. Whoever gets its answer checks it, with `pkgregd.formatkit.answers`.
"""

WITHDRAWAL_SECONDS = 600
"""How long whoever published a file may take it back; a checksum follows its file at once."""

# ======================================================================== blobs


class IBlobSink(IConsumer):
    """
    One push target for the bytes of one blob.

    * write() never blocks and never raises for I/O. A disk error is kept, the
      producer is told stopProducing(), and commit() raises it.
    * At high water the sink calls pauseProducing() on its producer, below low
      water resumeProducing(). A paused producer may still deliver what it had
      in hand (one read): the sink takes it. Without a producer nothing is paused.
    * resumeProducing() may call write() before it returns.
    * commit() makes the bytes durable and pins them: no remove() takes the blob
      until abort(). abort() before commit() throws the bytes away.
    * abort() may be called any number of times, also after commit(), when it
      only lets go of the pin. Every user of a sink ends with abort().

    Reactor: every method on the reactor thread; files are written and hashed on the blob threads.
    Cancellation: cancelling commit() abandons the wait, not the work.
    """

    size_bytes: int = Attribute("bytes taken by write() so far")

    def compute(algorithms: Iterable[str]) -> None:
        """
        Ask for more digests than open_sink() did.

        Args:
            algorithms: keys of HEX_LENGTHS; sha256 is always computed.

        Raises:
            RuntimeError: bytes have been written already and an algorithm is new.
        """

    async def commit(expected: Sequence[Digest] = ()) -> BlobInfo:
        """
        Finish: all bytes were written.

        Args:
            expected: digests the bytes must have; only of algorithms being computed.

        Returns:
            The durable, pinned blob, with every digest that was computed.

        Raises:
            DigestMismatch: nothing is stored.
            StorageFull: no space, quota or inodes; nothing is stored.
            Unavailable: another I/O error, logged; nothing is stored.
        """

    async def abort() -> None:
        """Let go: throw uncommitted bytes away, or unpin a committed blob. Never raises."""


class IKernelConsumer(IConsumer):
    """A consumer whose bytes the kernel may copy from a file to a socket, without a stop in memory."""

    def lend_socket() -> int | None:
        """
        Return a descriptor of the socket: not blocking, of the borrower, who closes it.

        Called before a producer is registered; as long as the socket is lent, nothing is written.

        Returns:
            None if bytes have to pass through write(): for TLS, or while written ones still wait.
        """

    def count_sent(size_bytes: int) -> None:
        """Take note of bytes that went by the socket. Nothing if the client left."""

    def wait_for_room() -> None:
        """Pause the producer until the socket takes bytes again. Nothing if the client left."""


class IBlobSource(Interface):
    """A blob, or a range of one, open for reading. Whoever opened it closes it."""

    info: BlobInfo = Attribute("the whole blob")
    size_bytes: int = Attribute("how many bytes push_to() delivers")

    async def push_to(consumer: IConsumer) -> int:
        """
        Register as streaming producer and write all bytes.

        Pauses and resumes as the consumer asks. Unregisters when done or failed. Into an IKernelConsumer the kernel
        may copy instead.

        Returns:
            Bytes written, equal to size_bytes.

        Raises:
            BlobMissing: the bytes ended early (damage), or reading failed.
        Cancellation: stops producing and unregisters.
        """

    def open_seekable() -> IO[bytes]:
        """Open the whole blob for an archive reader. Worker thread only: it blocks."""

    async def close() -> None:
        """Release everything. Safe any number of times."""


class IBlobStore(Interface):
    """
    Immutable bytes by sha256.

    Equal sha256 means equal bytes; nothing is visible before commit; putting twice
    is fine, and repairs a damaged blob.
    """

    async def open_sink(algorithms: Iterable[str] = ()) -> IBlobSink:
        """
        Start a blob; no I/O happens before the first write.

        Args:
            algorithms: digests wanted beside sha256.
        """

    async def open_blob(blob: BlobInfo, byte_range: ByteRange | None = None) -> IBlobSource:
        """
        Open for reading.

        Raises:
            BlobMissing: no bytes at the locator.
        """

    async def stat(blob: BlobInfo) -> int | None:
        """Return the stored length in bytes, or None if it is not there."""

    def iter_blobs() -> AsyncIterator[tuple[BlobInfo, datetime.datetime]]:
        """Go through everything stored, in no order, with the time each was written."""

    async def remove(blob: BlobInfo, is_unused: Callable[[], Awaitable[bool]]) -> bool:
        """
        Remove a blob unless someone needs it.

        Args:
            is_unused: asked once no upload of the same bytes can be between commit and
                publish; the blob stays if it answers False.

        Returns:
            Whether the blob is gone now. False when it is pinned or in use.
        """

    async def recover(is_unused: Callable[[Digest], Awaitable[bool]]) -> int:
        """
        Clear what dead processes left: staging files, and blobs that were made durable but never published.

        Args:
            is_unused: whether no catalog row refers to this sha256.

        Returns:
            How many files were removed. Never touches what a living process is writing.
        """

    async def check() -> None:
        """
        Find out whether writing would work now (for readiness).

        Raises:
            StorageFull: below the free-space reserve.
            Unavailable: the store cannot be written; the text says why.
        """

    async def close() -> None:
        """Wait for the threads to finish what they hold, then release them."""


# ===================================================================== catalog


class IReads(Interface):
    """The questions that nearly every request asks, in this order. Every catalog answers them."""

    async def find_token(public_id: str) -> TokenRecord | None:
        """Look a token up, revoked and expired ones included. One query; the hot path of every request."""

    async def find_scope(level: Level, ident: int | str, user_id: int | None) -> Scope | None:
        """
        Resolve a project or group by id or full path, with that user's inherited role. One query.

        Args:
            ident: an int is the id, a str the full path (compared without case).
        """

    async def index_state(project_ids: Sequence[int], format: str, canonical_name: str | None) -> IndexState:
        """
        The revision of a name's index (None: of the list of names) over these projects. One small query.

        The token changes with every publish, replacement, hide and delete that the index can show.
        """

    async def find_file(
        project_ids: Sequence[int],
        format: str,
        canonical_name: str,
        canonical_version: str | None,
        file_name: str,
        sha256: Digest | None = None,
    ) -> PackageFile | None:
        """
        Find one file. One query.

        Args:
            project_ids: where to look.
            canonical_version: None means any version.
            canonical_name: empty means any name (then sha256 must be given).
            sha256: only a file with these bytes.

        Returns:
            The newest when several projects have it.
        """


class IIdentityCatalog(Interface):
    """Users, groups, projects, members and tokens. One verb, one transaction."""

    async def add_user(name: str, *, is_admin: bool = False, principal: Principal | None = None) -> int:
        """Return the new user's id. Raises AlreadyExists, InvalidName."""

    async def add_group(path: str, visibility: Visibility, principal: Principal | None = None) -> int:
        """
        Add a group below its parent, which must exist.

        Args:
            path: full path such as `acme/tools`.

        Returns:
            The id.

        Raises:
            GroupNotFound: the parent is missing. AlreadyExists, InvalidName.
        """

    async def add_project(path: str, visibility: Visibility, principal: Principal | None = None) -> int:
        """Return the new project's id. Raises GroupNotFound (its group), AlreadyExists, InvalidName."""

    async def set_member(user: str, path: str, role: Role) -> None:
        """
        Give a user a role in the group or project at path, replacing an earlier one.

        Raises:
            NotFound: no such user, group or project; the text says which.
        """

    async def list_owners(project_id: int | None, group_ids: Sequence[int]) -> tuple[Owner, ...]:
        """Users who are maintainers or more of the project or of one of the groups, by name, each once."""

    async def add_token(token: NewToken, principal: Principal | None = None) -> int:
        """
        Return the new token's id.

        Args:
            principal: who asked for it; None for the operator.

        Raises:
            NotFound: its user, project or group.
            InvalidCredentials: the token of who asked is not good any more.
        """

    async def list_tokens() -> tuple[TokenRecord, ...]:
        """All tokens by id."""

    async def list_tokens_of(query: TokenQuery, piece: Piece) -> TokenListing:
        """A piece of somebody's tokens, in the order in which they were made."""

    async def find_token_of(owner: TokenOwner, token_id: int) -> TokenRecord | None:
        """Find one of somebody's tokens by its number, revoked or not."""

    async def revoke_token(public_id: str) -> bool:
        """Revoke any token, as the operator; False if there is none of that id. Works from the next request on."""

    async def revoke_token_of(owner: TokenOwner, token_id: int, principal: Principal) -> bool:
        """Revoke one of somebody's tokens; False if there is none of that number. Works from the next request on."""

    async def rotate_token_of(
        owner: TokenOwner,
        token_id: int,
        minted: MintedToken,
        expires_at: datetime.datetime | None,
        principal: Principal,
    ) -> bool:
        """
        Revoke one of somebody's tokens, and store another that is the same but for its secret and its end.

        Args:
            minted: of the new one.
            expires_at: of the new one.

        Returns:
            False if there is none of that number, or it is revoked or has expired already.
        """


class IDirectoryCatalog(Interface):
    """Who and what there is, as those who administer it see it; every change tells in the audit trail who made it."""

    async def list_users(text: str | None, name: str | None, piece: Piece) -> UserListing:
        """
        A piece of the users, by number.

        Args:
            text: a part of the name, whatever the case of its letters; None for any.
            name: the whole name, whatever the case; None for any.
        """

    async def find_user(user_id: int) -> UserRecord | None:
        """Find a user by number."""

    async def change_user(user_id: int, is_admin: bool, principal: Principal) -> bool:
        """Make a user an administrator, or a common user; False if there is none. Raises LastAdministrator."""

    async def remove_user(user_id: int, principal: Principal) -> bool:
        """
        Remove a user with tokens and memberships; False if there is none. What was published stays.

        Raises:
            LastAdministrator. LastOwner: of a group at the top.
        """

    async def list_places(level: Level, viewer: Principal, query: PlaceQuery, piece: Piece) -> PlaceListing:
        """A piece of the projects, or of the groups, that a principal sees."""

    async def find_place(level: Level, place_id: int) -> PlaceRecord | None:
        """Find a project or group by number."""

    async def change_place(level: Level, place_id: int, visibility: Visibility, principal: Principal) -> bool:
        """Change the visibility of a project or group; False if there is none of that number."""

    async def remove_place(level: Level, place_id: int, principal: Principal) -> bool:
        """
        Remove a project or group with all that lies in it: packages, tokens, memberships, projects and groups below.

        Returns:
            False if there is none of that number.
        """

    async def list_members(scope: Scope, text: str | None, piece: Piece, *, is_inherited: bool) -> MemberListing:
        """
        A piece of the members of a project or group, by the number of the user.

        Args:
            text: a part of the user's name, whatever the case of its letters; None for any.
            is_inherited: whether those of the groups above count.
        """

    async def find_member(scope: Scope, user_id: int, *, is_inherited: bool) -> MemberRecord | None:
        """Find a member by the number of the user."""

    async def set_member_role(scope: Scope, user_id: int, role: Role, principal: Principal, *, is_new: bool) -> bool:
        """
        Make a user a member of a project or group, or change the role of one.

        Args:
            is_new: the user must not be a member of it yet; else must be one.

        Returns:
            False if there is no such user, place or member.

        Raises:
            AlreadyExists: a member already. LastOwner.
        """

    async def remove_member(scope: Scope, user_id: int, principal: Principal) -> bool:
        """Remove a member; False if there is none. Raises LastOwner."""


class ISignInCatalog(Interface):
    """Requests of clients to be signed in."""

    async def add_sign_in(sign_in: NewSignIn, max_per_address: int) -> bool:
        """Store a request, and forget those that have expired; False if as many of its address wait already."""

    async def find_sign_in(public_id: str) -> SignIn | None:
        """Find one that has not expired."""

    async def approve_sign_in(public_id: str, principal: Principal, token_expires_at: datetime.datetime) -> bool:
        """
        Say yes to a request, as a user.

        Args:
            principal: shown by a personal token: the client's will be of the same user and scopes, and there will be
                none if this one has been revoked when the client comes back.
            token_expires_at: when the client's token will expire.

        Returns:
            False if there is none, or somebody has said yes.
        """

    async def take_sign_in(poll_sha256: str, public_id: str, secret_sha256: str, name: str) -> bool | None:
        """
        Store a token for a client that was signed in, and forget the request.

        Args:
            poll_sha256: see NewSignIn.
            public_id, secret_sha256, name: of the token; see NewToken.

        Returns:
            True if it is stored, False if nobody has said yes yet, None if there is no such request.
        """


class IPackageCatalog(Interface):
    """Packages and their files. One verb, one transaction."""

    async def publish(publication: Publication, principal: Principal) -> Published:
        """
        Write package, file, blob row, index revision and audit entry together.

        UNIQUE constraints decide races. Equal bytes for the same file succeed with
        created=False (unless `precondition.absent`).

        Raises:
            FileExists: other bytes are there and on_duplicate is REFUSE; or whatever bytes, under another
                spelling of the name (FileSpelledOtherwise).
            FileWasDeleted: a tombstone with other bytes stands, and tombstones are respected.
            NameSpelledOtherwise: see Publication.demands_spelling.
            PreconditionFailed: the precondition does not hold.
            PackageNotFound: the file that it has to be beside is not there.
            ProjectNotFound: the project went away meanwhile.
            StorageFull, Unavailable.
        """

    async def publish_all(publications: Sequence[Publication], principal: Principal) -> tuple[Published, ...]:
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
    ) -> bool:
        """
        Yank a package: its files stay where they are, and resolvers pass them over; or undo that.

        Args:
            reason: for people, perhaps empty; None undoes it.

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
        Delete all packages of a name with their files, and leave a tombstone for each file.

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
        Delete a file, leave a tombstone, and delete the package with its last file.

        Args:
            precondition: unmodified_since counts against when the file's present bytes were published.

        Returns:
            False if it was gone already.

        Raises:
            PreconditionFailed.
        """


class IInventoryCatalog(Interface):
    """Packages of all formats, by their numbers, for those who manage them. One verb, one transaction."""

    async def projects_below(group_id: int, user_id: int | None, *, direct_only: bool = False) -> tuple[Scope, ...]:
        """
        The projects below a group that have a package, as that user meets them.

        Args:
            direct_only: leave out those of the groups below it.
        """

    async def list_packages(project_ids: Sequence[int], query: PackageQuery, piece: Piece) -> PackageListing:
        """List packages of these projects, and count all that the query means."""

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

    async def is_blob_unused(sha256: Digest) -> bool:
        """Whether no package file refers to these bytes."""

    async def forget_blob(sha256: Digest) -> bool:
        """Delete the row of an unused blob; True if no file refers to the bytes (row or no row)."""

    async def find_unused_blobs(before: datetime.datetime, limit: int) -> tuple[BlobInfo, ...]:
        """Blobs that no file has referred to since `before`, at most `limit` of them."""

    async def list_blobs(after: str, limit: int) -> tuple[BlobInfo, ...]:
        """Blobs with a sha256 hex greater than `after`, in that order, at most `limit`: for fsck."""


class ICatalog(
    IIdentityCatalog, IDirectoryCatalog, ISignInCatalog, IPackageCatalog, IInventoryCatalog, IBlobCatalog, IReads
):
    """All of it, over one database."""

    def foreseeing(foresight: Foresight) -> IReads:
        """
        Return reads for one request, which are answered by one query if they are the foreseen ones.

        All of them then show one state of the database: that of the first question.
        """

    async def check() -> None:
        """
        Find out whether the database answers and its schema is ours (for readiness).

        Raises:
            Unavailable, SchemaError.
        """

    async def close() -> None:
        """Finish running verbs and release the database."""


# ================================================================== who may what


class IAuthenticator(Interface):
    """Credentials to a Principal."""

    async def authenticate(headers: Mapping[str, str], reads: IReads) -> Principal:
        """
        Find out who is asking.

        Args:
            headers: the request's credential headers by lower-case name; a repeated header never gets here.
            reads: where tokens are found.

        Returns:
            ANONYMOUS when there is no credential at all.

        Raises:
            InvalidCredentials: a credential is there and not good. It never falls back to anonymous.
        """


class IAccessPolicy(Interface):
    """Who may do what: pure."""

    def permits(principal: Principal, permission: Permission, scope: Scope) -> bool:
        """Whether the principal has the permission there."""

    def sees(principal: Principal, scope: Scope) -> bool:
        """Whether the principal may know that the scope exists."""

    def demand(principal: Principal, permission: Permission, scope: Scope | None, level: Level) -> None:
        """
        Pass, or say why not, the same way for what is missing and what is hidden.

        Args:
            scope: None when there is none of that name.
            level: what was asked for, a project or a group.

        Raises:
            AuthenticationRequired: anonymous without the right, or without a scope.
            ProjectNotFound, GroupNotFound: authenticated, and it is missing or out of sight.
            PermissionDenied: in sight without the right.
        """

    def demand_account(principal: Principal, permission: AccountPermission) -> None:
        """
        Pass, or say why not.

        Raises:
            AuthenticationRequired, PermissionDenied.
        """


class IAccount(Interface):
    """What the caller may do about being known here; secrets are texts of tokens, good for once or for long."""

    async def sign_in(user_name: str, secret: str, client: str) -> str:
        """
        Exchange a personal token for one of the same user and scopes that is the client's alone.

        Args:
            user_name: whose the token must be.
            client: the client's own words for itself, unchecked.

        Returns:
            The secret of the new token.

        Raises:
            WrongPassword, RateLimited.
        """

    async def start_sign_in(client: str) -> SignInStart:
        """Have somebody sign the client in on a page. Raises RateLimited when too many wait."""

    async def find_sign_in(public_id: str) -> SignIn:
        """Find what was started. Raises NotFound: never, or too long ago."""

    async def approve_sign_in(public_id: str, secret: str) -> str:
        """
        Sign a client in with a personal token; returns the user's name.

        Raises:
            WrongPassword, RateLimited; NotFound: as find_sign_in(), or it is done already.
        """

    async def finish_sign_in(poll_secret: str, client: str) -> str | None:
        """
        Return the secret of the client's own token, once, or None while nobody signed it in.

        Args:
            client: the client's own words for itself, unchecked.

        Raises:
            NotFound: never started, too long ago, or the token by which it was signed in is not good any more.
        """

    async def sign_out(secret: str) -> None:
        """Revoke a personal token; one of another kind, which others may use too, stays. Raises WrongPassword."""

    async def list_tokens(piece: Piece) -> tuple[TokenRecord, ...]:
        """The caller's own personal tokens that are good, newest first."""

    async def add_token(secret: str, name: str, *, is_read_only: bool, lifetime: datetime.timedelta) -> IssuedToken:
        """
        Make a token of the caller's, not better than the one that is shown for it, nor good for longer.

        Raises:
            WrongPassword: what is shown is not a good personal token of the caller's own, or may only read.
            InvalidRequest: the name.
        """

    async def revoke_token(public_id: str) -> None:
        """Revoke a token of the caller's own. Raises NotFound."""


class IAccounts(Interface):
    """Where accounts are had."""

    def account(principal: Principal, address: str) -> IAccount:
        """Return what a caller at an address may do; failures count against the address."""


class IRateLimiter(Interface):
    """Admission by key. Synchronous; a broken limiter admits."""

    def admit(key: str, cost: float = 1.0) -> float | None:
        """Return None when admitted, else the seconds until it would be."""


class IRequestLimits(Interface):
    """The configured rate limits, by URL prefix. Synchronous; a broken limiter admits."""

    def admit(path: str, principal: Principal, address: str) -> None:
        """
        Count one request.

        Args:
            path: the raw URL path; the longest configured prefix decides (`:id` stands for any one segment).
            principal: anonymous ones share their address's budget, others have their own.
            address: the client's IP address.

        Raises:
            RateLimited.
        """

    def admit_failure(address: str) -> None:
        """Count a failed authentication of an address. Raises RateLimited when there were too many."""


class IEventSink(Interface):
    """Where events go after the commit."""

    def emit(event: Event) -> None:
        """Take the event. Never raises, never blocks."""


# ================================================================ what a format sees


class IRequestBody(Interface):
    """
    The body of a request, used once and one way.

    The first touch sends `100 Continue` if the client waits for it, and starts reading.
    """

    declared_bytes: int | None = Attribute("Content-Length, or None for a chunked body")
    turn_bytes: int | None = Attribute(
        "how much is pushed in one turn of the reactor, None for whatever one read brings; set by a consumer that has "
        "much to do for a byte, at any time"
    )

    async def push_to(consumer: IConsumer) -> int:
        """
        Push the whole body into a consumer, as its streaming producer.

        Returns:
            Bytes pushed, once all have been.

        Raises:
            BodyTooLarge, BodyTooSlow, ClientGone, MalformedBody (bad chunked framing);
            and whatever consumer.write() raises, which stops the body.
        """

    async def read_all(limit_bytes: int) -> bytes:
        """Return the whole body. Raises what push_to() raises; BodyTooLarge past the limit."""


class IAuthorisedCall(Interface):
    """One authorised request, as any handler meets it."""

    principal: Principal = Attribute("who")
    scope: Scope = Attribute("the project or group, already authorised for the route's permission")
    arguments: Mapping[str, Any] = Attribute("decoded path arguments of the route; `<number:x>` makes an int")
    method: str = Attribute("GET, HEAD, PUT, …; GET for HEAD is up to http")
    base_url: str = Attribute(
        "absolute URL of what the route's path is below, without a final slash; by number or by path, as the client "
        "chose, and otherwise the same however it was written"
    )
    body: IRequestBody = Attribute("the body")
    account: IAccount = Attribute("what the caller may do about being known here")

    def header(name: str) -> str | None:
        """A request header's value (several are joined with a comma), or None."""

    def query(name: str) -> str | None:
        """The last value of a query parameter, decoded, or None."""

    async def authorise_again() -> None:
        """
        Look again who is asking and what that is worth, and keep it as `principal` and `scope`.

        For whoever has waited for a body before something is changed that outlives a token: credentials may have been
        revoked, and rights taken away, while it came.

        Raises:
            InvalidCredentials, AuthenticationRequired, PermissionDenied, NotFound: as at the beginning.
        """

    def demand(permission: Permission) -> None:
        """
        Pass if the principal has another permission here, too: for what only the body tells apart.

        Raises:
            AuthenticationRequired, PermissionDenied.
        """


class IInspections(Interface):
    """Reads archives, out of harm's way."""

    async def run(source: IBlobSource, inspector: Inspector, arguments: Mapping[str, object]) -> Mapping[str, object]:
        """
        Run an inspector over an archive, in another process, within limits on memory, time and answer.

        Args:
            source: of the whole archive; stays open as long as this takes.

        Returns:
            What the inspector returned, unchecked: a process that hostile bytes took over may say anything.

        Raises:
            InvalidRequest: the inspector raised it, or one of its kin.
            InvalidArchive: it took too long or too much memory, answered too much, or broke on its input.
            Unavailable: too many archives wait, or no process can be started.
            BlobMissing: the archive cannot be read.
        Cancellation: ends the process that reads.
        """

    async def close() -> None:
        """End every process, and wait until they are gone. What is being read is Unavailable."""


class ICall(IAuthorisedCall):
    """One authorised request, as a format's handler meets it; its base_url is that of the format at the scope."""

    remote: IRemote = Attribute("the format's remote at that scope")
    arguments: Mapping[str, str] = Attribute("decoded path arguments of the route")


class IDraft(Interface):
    """
    An upload that is not published yet. An asynchronous context manager: leaving
    it lets go of every sink, and of every blob that was not published.
    """

    async def open_sink(algorithms: Iterable[str] = ()) -> IBlobSink:
        """Start a file of this draft. The sink is aborted by the draft, in the end."""

    async def inspect(blob: BlobInfo, inspector: Inspector, **arguments: object) -> Mapping[str, object]:
        """
        Read the archive in a committed blob; see IInspections.run.

        Args:
            arguments: for the inspector, beside the file.
        """

    async def derive(
        blob: BlobInfo,
        pieces: Callable[[IO[bytes]], Iterator[bytes]],
        algorithms: Iterable[str] = (),
        expected: Sequence[Digest] = (),
    ) -> BlobInfo:
        """
        Make another blob of this draft out of a committed one: what an archive that was inspected has in it.

        Args:
            pieces: gives the bytes in small pieces, each made away from the reactor when there is room for it; it has
                bounded how many there are, and raises InvalidArchive and its kin.
            algorithms: see open_sink().
            expected: see IBlobSink.commit.

        Raises:
            what `pieces` and IBlobSink.commit raise; BlobMissing.
        """

    async def publish(publication: Publication) -> Published:
        """
        Publish, all or nothing; shielded from the client's leaving.

        Raises:
            what IPackageCatalog.publish raises.
        """

    async def publish_all(publications: Sequence[Publication]) -> tuple[Published, ...]:
        """Publish several files together; see publish() and IPackageCatalog.publish_all."""

    async def __aenter__() -> IDraft:
        """Enter."""

    async def __aexit__(
        kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Let go of everything unpublished."""


class IRemote(Interface):
    """
    One format at one project or group: all that a format may do with storage.

    A group's remote reads from the projects below it that the principal may read;
    it never publishes.
    """

    scope: Scope = Attribute("where")
    limits: FormatLimits = Attribute("of the format, as configured")

    async def list_names() -> tuple[PackageName, ...]:
        """The names with something to show, by canonical name."""

    async def find_name(canonical_name: str) -> PackageName | None:
        """Find a name as list_names() shows it, None if it does not."""

    async def list_files(
        canonical_name: str, canonical_version: str | None = None, *, listed_only: bool = True
    ) -> tuple[PackageFile, ...]:
        """Files of a name, by creation. Empty when there are none."""

    async def list_versions(canonical_name: str, canonical_version: str | None = None) -> tuple[PackageVersion, ...]:
        """List packages of a name; see IPackageCatalog.list_versions. Empty when there are none."""

    async def find_file(
        canonical_name: str, canonical_version: str | None, file_name: str, sha256: Digest | None = None
    ) -> PackageFile:
        """Find one file; see IReads.find_file. Raises FileNotFound."""

    async def find_by_key(key: str) -> PackageFile:
        """Find one file by a key; see IPackageCatalog.find_by_key. Raises FileNotFound."""

    async def index_state(canonical_name: str | None = None) -> IndexState:
        """See IReads.index_state."""

    async def hides_packages() -> bool:
        """Whether a project below a group has packages of the format that the caller may not read."""

    async def render_names(state: IndexState, variant: str, render: Callable[[Sequence[PackageName]], bytes]) -> Page:
        """
        Render the list of names, or return what was rendered for the same state and variant.

        Args:
            state: of the list of names, read before: a page that is newer than its state is never kept for longer.
            variant: everything else that the page depends on, as text.
            render: pure; called off the reactor with what list_names() returns.
        """

    async def render_files(
        canonical_name: str, state: IndexState, variant: str, layout: PageLayout | MakeLayout
    ) -> Page:
        """
        Render the files of a name, or return what was rendered for the same state and variant.

        A page that is known in an earlier state is brought up to date: only what changed is rendered.

        Args:
            variant: everything else that the page depends on: equal variants mean equal layouts.
            layout: its functions are called off the reactor with what list_files() returns. What makes one is called
                only if the page is not kept, after the state was read.

        Raises:
            PackageNotFound: there are none; and whatever making the layout raises.
        """

    async def render_with_document(
        canonical_name: str,
        state: IndexState,
        variant: str,
        choose: Callable[[Sequence[PackageFile]], tuple[PackageFile, str] | None],
        render: Callable[[Sequence[PackageFile], bytes | None], bytes],
    ) -> Page:
        """
        Do as render_files() does, for a page that also shows a document of one of the files.

        Args:
            choose: pure; called off the reactor with the files, names one of them and a document beside it, or None.
            render: pure; called off the reactor with the files and the document, None where there is none.

        Raises:
            PackageNotFound: there are no files, or the format's own functions say so.
        """

    async def render_version(
        canonical_name: str,
        canonical_version: str,
        state: IndexState,
        variant: str,
        render: Callable[[Sequence[PackageFile]], bytes],
    ) -> Page:
        """
        Do as render_files() does, for a page of one version's files that is always made anew.

        Args:
            state: of the name.
            render: pure; called off the reactor with the files, by creation.

        Raises:
            PackageNotFound: there are none.
        """

    async def branch_state(branch: str, word: str) -> IndexState:
        """See IPackageCatalog.branch_state."""

    async def render_branch(
        branch: str, word: str, state: IndexState, variant: str, render: Callable[[Sequence[NewestVersion]], bytes]
    ) -> Page:
        """
        Render what the names of a branch say of themselves, or return what was rendered for the same.

        Args:
            state: of the branch and the word.
            render: pure; called off the reactor with what IPackageCatalog.list_branch() returns, MAX_BRANCH of it.
        """

    async def render_versions(canonical_name: str, state: IndexState, variant: str, layout: VersionLayout) -> Page:
        """
        Render versions of a name, or return what was rendered for the same state and variant.

        Unlike the other pages it is made of what the format kept small, and of documents of those versions alone that
        the layout chooses.

        Args:
            variant: everything else that the page depends on: equal variants mean equal layouts.
            layout: its functions are called off the reactor with what list_versions() returns.

        Raises:
            PackageNotFound: there are none, or the layout says so.
        """

    async def compute(job: Callable[[], T]) -> T:
        """Run a pure job away from the reactor, which everything longer than a millisecond needs."""

    async def find_document(file: PackageFile, name: str) -> bytes:
        """Return a document that was published beside a file. Raises FileNotFound."""

    async def list_documents(versions: Sequence[PackageVersion], name: str) -> Mapping[int, bytes]:
        """Return documents by package, of versions that this remote listed; see IPackageCatalog.list_documents."""

    async def open_file(file: PackageFile, byte_range: ByteRange | None = None) -> IBlobSource:
        """Open the bytes, and emit `pull_package` for a whole file or its first range. Raises BlobMissing."""

    def duplicate_rule(name: str, version: str) -> bool:
        """Whether the configured policy lets other bytes replace a file of this name and version."""

    def start_publish() -> IDraft:
        """Start an upload. Raises RuntimeError at a level that does not publish."""

    async def replace_metadata(canonical_name: str, canonical_version: str, known_json: str, new_json: str) -> bool:
        """
        Change what is kept of a package; see IPackageCatalog.replace_metadata.

        Raises:
            PackageNotFound. RuntimeError at a level that does not publish.
        """

    async def confirm_file(file: PackageFile) -> None:
        """Note that a file came as it was sent; see IPackageCatalog.confirm_file."""

    async def withdraw_file(file: PackageFile) -> bool:
        """Take back a file that did not come as it was sent; see IPackageCatalog.withdraw_file."""

    async def yank(canonical_name: str, canonical_version: str, reason: str | None) -> None:
        """
        Yank a package, or undo it; see IPackageCatalog.set_yanked. Doing it twice is fine.

        Raises:
            PackageNotFound. RuntimeError at a level that does not publish.
        """

    async def yank_each(canonical_name: str, reasons: Mapping[str, str | None]) -> None:
        """
        Yank packages of a name and undo it for others, in one transaction; see IPackageCatalog.yank_each.

        Raises:
            PackageNotFound. RuntimeError at a level that does not publish.
        """

    async def first_published(canonical_name: str) -> datetime.datetime | None:
        """See IPackageCatalog.first_published."""

    async def delete_name(canonical_name: str, state: IndexState) -> None:
        """
        Delete all packages of a name, in one transaction; see IPackageCatalog.delete_name.

        Args:
            state: of its index, as the caller knows it.

        Raises:
            PackageNotFound, PreconditionFailed. RuntimeError at a level that does not publish.
        """

    async def search(text: str, offset: int, limit: int, traits: Sequence[str] | None = None) -> NameListing:
        """Find names; see IPackageCatalog.search_names."""

    async def list_owners() -> tuple[Owner, ...]:
        """Users who decide about the packages here: maintainers and above, inherited ones included."""

    async def list_tags(canonical_name: str) -> tuple[Tag, ...]:
        """Tags of a name, by tag; of several projects' tags of one name the newest project's."""

    async def set_tag(canonical_name: str, canonical_version: str, tag: str) -> bool:
        """
        Have a tag point at a version; see IPackageCatalog.set_tag.

        Raises:
            PackageNotFound. RuntimeError at a level that does not publish.
        """

    async def remove_tag(canonical_name: str, tag: str) -> bool:
        """Remove a tag; False if there was none. RuntimeError at a level that does not publish."""

    async def delete_file(file: PackageFile, precondition: Precondition) -> None:
        """Delete a file; see IPackageCatalog.delete_file. Raises FileNotFound, PreconditionFailed."""


class IRemotes(Interface):
    """Makes remotes."""

    def remote(format: IPackageFormat, scope: Scope, principal: Principal, reads: IReads | None = None) -> IRemote:
        """The remote of a format at an authorised scope, for this principal; `reads` may know some answers."""


class IInventory(Interface):
    """
    The packages of all formats at one project or group: all that their management may do with storage.

    A group's inventory lists the packages of the projects below it that the principal may read;
    everything else is done at the project.
    """

    scope: Scope = Attribute("where")

    async def list_packages(query: PackageQuery, piece: Piece, *, direct_only: bool = False) -> PackageListing:
        """
        List packages.

        Args:
            direct_only: at a group, leave out the projects of the groups below it.
        """

    async def find_package(package_id: int) -> PackageRecord:
        """Find a package, whatever its status. Raises PackageNotFound."""

    async def list_files(
        package_id: int, order: FileOrder, piece: Piece, *, is_descending: bool = False
    ) -> FileListing:
        """List files of a package. Raises PackageNotFound."""

    async def find_file(package_id: int, file_id: int) -> PackageFile:
        """Find a file of a package. Raises FileNotFound."""

    async def open_file(file: PackageFile, byte_range: ByteRange | None = None) -> IBlobSource:
        """See IRemote.open_file."""

    async def delete_package(package_id: int, precondition: Precondition) -> None:
        """
        Delete a package with all its files; see IInventoryCatalog.delete_package.

        Raises:
            PackageNotFound, PreconditionFailed.
        """

    async def delete_file(package_id: int, file_id: int, precondition: Precondition) -> None:
        """
        Delete a file, and the package with its last one; see IPackageCatalog.delete_file.

        Raises:
            FileNotFound, PreconditionFailed.
        """


class IInventories(Interface):
    """Makes inventories."""

    def inventory(scope: Scope, principal: Principal) -> IInventory:
        """The inventory of an authorised scope, for this principal."""


class ITokenDesk(Interface):
    """Tokens of users, projects and groups, for those who administer them."""

    async def issue(order: TokenOrder, principal: Principal) -> IssuedToken:
        """
        Make a token.

        Args:
            principal: who asks for it, and may.

        Raises:
            InvalidRequest: its name, its scopes, or a time of expiry that is past.
            NotFound: whose it would be.
        """

    async def list_tokens(query: TokenQuery, piece: Piece) -> TokenListing:
        """A piece of somebody's tokens."""

    async def find_token(owner: TokenOwner, token_id: int) -> TokenRecord:
        """Find one of somebody's tokens. Raises NotFound."""

    async def revoke(owner: TokenOwner, token_id: int, principal: Principal) -> None:
        """Revoke one of somebody's tokens; it works from the next request on. Raises NotFound."""

    async def rotate(
        owner: TokenOwner, token_id: int, expires_at: datetime.datetime | None, principal: Principal
    ) -> IssuedToken:
        """
        Revoke a good token, and make another that is the same but for its secret.

        Args:
            expires_at: when the new one ends at the latest; it ends no later than the old one, either, nor, if it is a
                user's, than the token by which this is asked for.

        Raises:
            NotFound. InvalidRequest: that is past.
        """


class IDirectory(Interface):
    """
    Users, members, projects and groups, for one caller.

    What takes a scope is for who is authorised at it; the rest says what it asks for.
    """

    async def list_users(text: str | None, name: str | None, piece: Piece) -> UserListing:
        """See IDirectoryCatalog."""

    async def find_user(user_id: int) -> UserRecord:
        """Find a user. Raises NotFound."""

    async def add_user(name: str, *, is_admin: bool) -> UserRecord:
        """Add a user. Raises AlreadyExists, InvalidName."""

    async def change_user(user_id: int, *, is_admin: bool) -> UserRecord:
        """Make a user an administrator or a common user. Raises NotFound; InvalidRequest: it is the caller's own."""

    async def remove_user(user_id: int) -> None:
        """Remove a user. Raises NotFound; InvalidRequest: it is the caller's own."""

    async def list_places(level: Level, query: PlaceQuery, piece: Piece) -> PlaceListing:
        """What the caller sees; see IDirectoryCatalog."""

    async def find_place(scope: Scope) -> PlaceRecord:
        """Return the project or group of a scope. Raises NotFound: gone meanwhile."""

    async def add_group(parent: int | str | None, name: str, visibility: Visibility) -> PlaceRecord:
        """
        Add a group: at the top as an administrator, else as an owner of the group above.

        Args:
            parent: number or path of the group above; None at the top.

        Raises:
            AuthenticationRequired, PermissionDenied, GroupNotFound, AlreadyExists, InvalidName.
        """

    async def add_project(parent: int | str, name: str, visibility: Visibility) -> PlaceRecord:
        """Add a project to a group, as somebody who may. Raises what add_group() raises."""

    async def change_place(scope: Scope, visibility: Visibility) -> PlaceRecord:
        """Change a visibility. Raises NotFound."""

    async def remove_place(scope: Scope) -> None:
        """Remove a project or group with all that is in it. Raises NotFound."""

    async def list_members(scope: Scope, text: str | None, piece: Piece, *, is_inherited: bool) -> MemberListing:
        """See IDirectoryCatalog."""

    async def find_member(scope: Scope, user_id: int, *, is_inherited: bool) -> MemberRecord:
        """Find a member. Raises NotFound."""

    async def add_member(scope: Scope, user_id: int, role: Role) -> MemberRecord:
        """
        Make a user a member.

        Raises:
            NotFound: no such user. AlreadyExists.
            PermissionDenied: the role is greater than the caller's.
        """

    async def change_member(scope: Scope, user_id: int, role: Role) -> MemberRecord:
        """
        Change the role of a member.

        Raises:
            NotFound, LastOwner.
            PermissionDenied: the role, or the one before, is greater than the caller's.
        """

    async def remove_member(scope: Scope, user_id: int) -> None:
        """Remove a member. Raises what change_member() raises."""

    def check_role(scope: Scope, role: Role) -> None:
        """Pass if the caller may hand out a role there. Raises PermissionDenied."""


class IDirectories(Interface):
    """Where directories are had."""

    def directory(principal: Principal) -> IDirectory:
        """Return the directory of a caller."""


class IRouteTable(Interface):
    """Routes that belong together, each behind the same guards. Never sees a request."""

    name: str = Attribute("short name")
    challenge: str | None = Attribute("value of WWW-Authenticate on 401, or None")

    def routes() -> Sequence[Route]:
        """What is answered; the same each time."""

    def render_error(refusal: Refusal) -> Reply | None:
        """Dress an error in the shape that the clients of these routes know; None for the common JSON."""


class IPackageFormat(IRouteTable):
    """
    One ecosystem: pure, stateless, never sees a store. Its name is also the URL segment, e.g. `pypi`.
    """

    title: str = Attribute("for people, e.g. `PyPI`")
    default_limits: FormatLimits = Attribute("what holds unless configured")

    def canonical_name(name: str) -> str:
        """
        Check a name and bring it to the form in which names are compared.

        Raises:
            InvalidName.
        """


class IBuildFormat(IPackageFormat):
    """A format of which some versions are made of builds, each of which takes the place of the one before."""

    def has_builds(version: str) -> bool:
        """Whether a version, as published, is one of those. Pure and quick."""

    def superseded(
        name: str,
        version: str,
        files: Sequence[FileRecord],
        keep_builds: int,
        settled_before: datetime.datetime,
    ) -> Sequence[SupersededBuild]:
        """
        Choose the builds of a version that newer ones have taken the place of. Pure; called off the reactor.

        Args:
            files: of the version, all of them or the oldest ones: no build may be chosen because a file is not there,
                unless it is one of the build's own.
            keep_builds: how many of the newest settled builds stay, at least 1.
            settled_before: a build whose last file is not older is still being published: it stays and does not count.

        Returns:
            Whole builds, oldest first; none that a client would be led to by the version's index.
        """
