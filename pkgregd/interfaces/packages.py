"""What a format may do with packages."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import IO, TypeAlias, TypeVar

from zope.interface import Attribute, Interface

from pkgregd.interfaces.blobs import IBlobSink, IBlobSource
from pkgregd.interfaces.catalog import IReads
from pkgregd.interfaces.formats import IPackageFormat
from pkgregd.values import (
    UNTOLD,
    BlobInfo,
    ByteRange,
    Digest,
    Event,
    FormatLimits,
    Incoming,
    IndexState,
    MakeLayout,
    NameListing,
    NewestVersion,
    Owner,
    PackageFile,
    PackageName,
    PackageVersion,
    Page,
    PageLayout,
    Precondition,
    Principal,
    ProtectedAct,
    Publication,
    Published,
    Scope,
    Tag,
    VersionLayout,
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


class IEventSink(Interface):
    """Where events go after the commit."""

    def emit(event: Event) -> None:
        """Take the event. Never raises, never blocks."""


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


class IDraft(Interface):
    """
    An upload that is not published yet. An asynchronous context manager: leaving
    it lets go of every sink, and of every blob that was not published.
    """

    async def open_sink(algorithms: Iterable[str] = ()) -> IBlobSink:
        """
        Start a file of this draft. The sink is aborted by the draft, in the end.

        Where the project has a quota its room is reserved here, so before the body is touched. What comes without a
        length is refused by the sink like what finds the disk full: push_to() returns early, commit() tells why.

        Raises:
            QuotaExceeded, ProjectNotFound; what IBlobStore.open_sink raises.
        """

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
    limits: FormatLimits = Attribute("of the format, as configured and set there")

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

    def duplicate_rule(name: str, version: str, *, ignores_case: bool = False) -> bool:
        """
        Whether the policy, as configured and set there, lets other bytes replace a file of this name and version.

        Args:
            ignores_case: whether names that differ in nothing but case are the same to the format.
        """

    def start_publish() -> IDraft:
        """Start an upload. Raises RuntimeError at a level that does not publish."""

    async def demand_unprotected(canonical_name: str, act: ProtectedAct) -> None:
        """
        Pass if no protection rule keeps the caller from something, to refuse it before its body is read.

        Whatever changes packages is asked again in its own transaction, and may raise PackageProtected as well.

        Raises:
            PackageProtected. RuntimeError at a level that does not publish.
        """

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

    async def yank(
        canonical_name: str, canonical_version: str, reason: str | None, *, act: ProtectedAct = ProtectedAct.PUSH
    ) -> None:
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

    def remote(
        format: IPackageFormat,
        scope: Scope,
        principal: Principal,
        reads: IReads | None = None,
        incoming: Incoming = UNTOLD,
    ) -> IRemote:
        """
        Make the remote of a format at an authorised scope, for this principal.

        Args:
            reads: may know some answers.
            incoming: what the request tells of the files that it brings, all of which belong to its one draft.
        """
