"""What a format may do with storage at a project, or at a group over its projects."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from zope.interface import implementer

from pkgregd.errors import FileNotFound, PackageNotFound
from pkgregd.interfaces import (
    MAX_BRANCH,
    IAccessPolicy,
    IBlobSource,
    IBlobStore,
    ICatalog,
    IDraft,
    IEventSink,
    IInspections,
    IPackageFormat,
    IReads,
    IRemote,
    IRemotes,
)
from pkgregd.registry.deriving import Derivations
from pkgregd.registry.duplicates import may_replace
from pkgregd.registry.filepages import FilePages
from pkgregd.registry.inspections import Inspections
from pkgregd.registry.inspector_process import InspectionLimits
from pkgregd.registry.listings import Listings
from pkgregd.registry.pages import Pages, RenderThread, compressed, page_key
from pkgregd.registry.publishing import Draft, Leftovers
from pkgregd.registry.quotas import Quotas
from pkgregd.registry.reading import emit_for_file, open_package_file
from pkgregd.registry.versionpages import VersionPages
from pkgregd.values import (
    UNTOLD,
    ByteRange,
    Digest,
    Event,
    FormatLimits,
    Incoming,
    IndexState,
    Level,
    MakeLayout,
    NameListing,
    NewestVersion,
    Owner,
    PackageFile,
    PackageName,
    PackageVersion,
    Page,
    PageLayout,
    Permission,
    Piece,
    Precondition,
    Principal,
    ProtectedAct,
    Scope,
    Tag,
    VersionLayout,
)

T = TypeVar("T")


@implementer(IRemotes)
class Remotes:
    """
    See IRemotes.

    Args:
        reactor: for deadlines, threads and processes.
        limits_by_format: by format name.
        inspection_limits: what reading archives may cost.
        quota_bytes: of every project for which nothing else is set; None does not limit them.
    """

    def __init__(
        self,
        reactor: Any,
        catalog: ICatalog,
        blobs: IBlobStore,
        policy: IAccessPolicy,
        events: IEventSink,
        limits_by_format: Mapping[str, FormatLimits],
        inspection_limits: InspectionLimits = InspectionLimits(),  # noqa: B008 - frozen
        quota_bytes: int | None = None,
    ) -> None:
        self.catalog = catalog
        self.blobs = blobs
        self.policy = policy
        self.events = events
        self.inspections: IInspections = Inspections(reactor, inspection_limits)
        self.leftovers = Leftovers(reactor, catalog, blobs)
        self._render_thread = RenderThread(reactor)
        self._derive_thread = RenderThread(reactor, "derivations")
        self.derivations = Derivations(reactor, self._derive_thread.run)
        self.pages = Pages(self._render_thread.run)
        self.listings = Listings()
        self.quotas = Quotas(catalog)
        self.quota_bytes = quota_bytes
        self._limits_by_format = limits_by_format

    def remote(
        self,
        format: IPackageFormat,
        scope: Scope,
        principal: Principal,
        reads: IReads | None = None,
        incoming: Incoming = UNTOLD,
    ) -> IRemote:
        """See IRemotes."""
        kind = ProjectRemote if scope.level is Level.PROJECT else GroupRemote
        limits = scope.settings.limits(format.name, self._limits_by_format[format.name])
        return kind(self, format.name, limits, scope, principal, reads or self.catalog, incoming)

    async def close(self) -> None:
        """Stop what runs in the background."""
        await self.leftovers.close()
        try:
            await self.inspections.close()
        finally:
            await self._render_thread.close()
            await self._derive_thread.close()


@implementer(IRemote)
class ProjectRemote:
    """
    See IRemote.

    Args:
        remotes: the stores and the policy.
        format: the format's name.
        limits: of the format there.
        scope: already authorised for the route's permission.
        principal: who is asking.
        reads: answers the questions of this request.
        incoming: what is known of the files that come with it.
    """

    def __init__(
        self,
        remotes: Remotes,
        format: str,
        limits: FormatLimits,
        scope: Scope,
        principal: Principal,
        reads: IReads,
        incoming: Incoming,
    ) -> None:
        self.scope = scope
        self.limits = limits
        self._format = format
        self._principal = principal
        self._reads = reads
        self._catalog = remotes.catalog
        self._blobs = remotes.blobs
        self._policy = remotes.policy
        self._events = remotes.events
        self._inspections = remotes.inspections
        self._leftovers = remotes.leftovers
        self._derivations = remotes.derivations
        self._pages = remotes.pages
        self._listings = remotes.listings
        self._quotas = remotes.quotas
        self._quota_bytes = scope.settings.quota_bytes(remotes.quota_bytes)
        self._incoming = incoming

    async def _project_ids(self, canonical_name: str | None) -> Sequence[int]:
        """Which projects are read for a name (None: for any name)."""
        return (self.scope.id,)

    async def list_names(self) -> tuple[PackageName, ...]:
        """See IRemote."""
        return await self._catalog.list_names(await self._project_ids(None), self._format)

    async def find_name(self, canonical_name: str) -> PackageName | None:
        """See IRemote."""
        return await self._catalog.find_name(await self._project_ids(canonical_name), self._format, canonical_name)

    async def list_files(
        self, canonical_name: str, canonical_version: str | None = None, *, listed_only: bool = True
    ) -> tuple[PackageFile, ...]:
        """See IRemote."""
        project_ids = await self._project_ids(canonical_name)
        return await self._catalog.list_files(
            project_ids, self._format, canonical_name, canonical_version, listed_only=listed_only
        )

    async def list_versions(
        self, canonical_name: str, canonical_version: str | None = None
    ) -> tuple[PackageVersion, ...]:
        """See IRemote."""
        project_ids = await self._project_ids(canonical_name)
        return await self._catalog.list_versions(project_ids, self._format, canonical_name, canonical_version)

    async def find_file(
        self, canonical_name: str, canonical_version: str | None, file_name: str, sha256: Digest | None = None
    ) -> PackageFile:
        """See IRemote."""
        project_ids = await self._project_ids(canonical_name or None)
        found = await self._reads.find_file(
            project_ids, self._format, canonical_name, canonical_version, file_name, sha256
        )
        if found is None:
            raise FileNotFound
        return found

    async def find_by_key(self, key: str) -> PackageFile:
        """See IRemote."""
        found = await self._catalog.find_by_key(await self._project_ids(None), self._format, key)
        if found is None:
            raise FileNotFound
        return found

    async def index_state(self, canonical_name: str | None = None) -> IndexState:
        """See IRemote."""
        return await self._reads.index_state(await self._project_ids(canonical_name), self._format, canonical_name)

    async def hides_packages(self) -> bool:
        """See IRemote."""
        return False

    async def render_names(
        self, state: IndexState, variant: str, render: Callable[[Sequence[PackageName]], bytes]
    ) -> Page:
        """See IRemote."""

        async def load() -> tuple[PackageName, ...]:
            return await self._catalog.list_names(state.project_ids, self._format)

        key = page_key(self._format, "", variant, state)
        return await self._pages.get(key, state.token, load, lambda names: compressed(render(names)))

    async def render_files(
        self, canonical_name: str, state: IndexState, variant: str, layout: PageLayout | MakeLayout
    ) -> Page:
        """See IRemote."""
        pages = FilePages(self._catalog, self._pages, self._listings)
        return await pages.get(self._format, canonical_name, state, variant, layout)

    async def render_with_document(
        self,
        canonical_name: str,
        state: IndexState,
        variant: str,
        choose: Callable[[Sequence[PackageFile]], tuple[PackageFile, str] | None],
        render: Callable[[Sequence[PackageFile], bytes | None], bytes],
    ) -> Page:
        """See IRemote."""

        async def load() -> tuple[tuple[PackageFile, ...], bytes | None]:
            files = await self._catalog.list_files(state.project_ids, self._format, canonical_name)
            if not files:
                raise PackageNotFound
            chosen = await self._pages.run(lambda: choose(files))
            if chosen is None:
                return files, None
            file, name = chosen
            return files, await self._catalog.find_document(file.id, name)

        key = page_key(self._format, canonical_name, variant, state)
        return await self._pages.get(key, state.token, load, lambda found: compressed(render(*found)))

    async def render_version(
        self,
        canonical_name: str,
        canonical_version: str,
        state: IndexState,
        variant: str,
        render: Callable[[Sequence[PackageFile]], bytes],
    ) -> Page:
        """See IRemote."""

        async def load() -> tuple[PackageFile, ...]:
            files = await self._catalog.list_files(state.project_ids, self._format, canonical_name, canonical_version)
            if not files:
                raise PackageNotFound
            return files

        key = (*page_key(self._format, canonical_name, variant, state), canonical_version)
        return await self._pages.get(key, state.token, load, lambda files: compressed(render(files)))

    async def branch_state(self, branch: str, word: str) -> IndexState:
        """See IRemote."""
        return await self._catalog.branch_state(await self._project_ids(None), self._format, branch, word)

    async def render_branch(
        self,
        branch: str,
        word: str,
        state: IndexState,
        variant: str,
        render: Callable[[Sequence[NewestVersion]], bytes],
    ) -> Page:
        """See IRemote."""

        async def load() -> tuple[NewestVersion, ...]:
            return await self._catalog.list_branch(state.project_ids, self._format, branch, word, MAX_BRANCH)

        key = (*page_key(self._format, branch, variant, state), "branch", word)
        return await self._pages.get(key, state.token, load, lambda found: compressed(render(found)))

    async def render_versions(
        self, canonical_name: str, state: IndexState, variant: str, layout: VersionLayout
    ) -> Page:
        """See IRemote."""
        pages = VersionPages(self._catalog, self._pages)
        return await pages.get(self._format, canonical_name, state, variant, layout)

    async def compute(self, job: Callable[[], T]) -> T:
        """See IRemote."""
        return await self._pages.run(job)

    async def find_document(self, file: PackageFile, name: str) -> bytes:
        """See IRemote."""
        document = await self._catalog.find_document(file.id, name)
        if document is None:
            raise FileNotFound
        return document

    async def list_documents(self, versions: Sequence[PackageVersion], name: str) -> Mapping[int, bytes]:
        """See IRemote."""
        return await self._catalog.list_documents([version.package_id for version in versions], name)

    async def open_file(self, file: PackageFile, byte_range: ByteRange | None = None) -> IBlobSource:
        """See IRemote."""
        return await open_package_file(
            self._blobs,
            self._events,
            self._principal,
            file,
            byte_range,
            may_redirect=self.limits.redirect_downloads,
        )

    def duplicate_rule(self, name: str, version: str, *, ignores_case: bool = False) -> bool:
        """See IRemote."""
        return may_replace(self.limits, name, version, ignores_case=ignores_case)

    def start_publish(self) -> IDraft:
        """See IRemote."""
        quota_bytes = self._quota_bytes
        return Draft(
            self._catalog,
            self._blobs,
            self._events,
            self._inspections,
            self._leftovers,
            self._derivations,
            self._principal,
            self._quotas.allowance(self.scope.id, quota_bytes, self._incoming) if quota_bytes is not None else None,
        )

    async def demand_unprotected(self, canonical_name: str, act: ProtectedAct) -> None:
        """See IRemote."""
        await self._catalog.demand_unprotected(self.scope.id, self._format, canonical_name, act, self._principal)

    async def yank(
        self,
        canonical_name: str,
        canonical_version: str,
        reason: str | None,
        *,
        act: ProtectedAct = ProtectedAct.PUSH,
    ) -> None:
        """See IRemote."""
        version = (self.scope.id, self._format, canonical_name, canonical_version)
        if await self._catalog.set_yanked(*version, reason, self._principal, act=act):
            self._emit(
                "yank_package" if reason is not None else "unyank_package", f"{canonical_name} {canonical_version}"
            )

    async def yank_each(self, canonical_name: str, reasons: Mapping[str, str | None]) -> None:
        """See IRemote."""
        changed = await self._catalog.yank_each(self.scope.id, self._format, canonical_name, reasons, self._principal)
        # of many versions at once one event tells how many they were
        for event, versions in (
            ("yank_package", [version for version in changed if reasons[version] is not None]),
            ("unyank_package", [version for version in changed if reasons[version] is None]),
        ):
            if versions:
                what = versions[0] if len(versions) == 1 else f"({len(versions)} versions)"
                self._emit(event, f"{canonical_name} {what}")

    async def first_published(self, canonical_name: str) -> datetime.datetime | None:
        """See IRemote."""
        project_ids = await self._project_ids(canonical_name)
        return await self._catalog.first_published(project_ids, self._format, canonical_name)

    async def delete_name(self, canonical_name: str, state: IndexState) -> None:
        """See IRemote."""
        revision = dict(state.revisions).get(self.scope.id, 0)
        packages = await self._catalog.delete_name(
            self.scope.id, self._format, canonical_name, revision, self._principal
        )
        self._emit("delete_package", f"{canonical_name} ({packages} versions)")

    def _emit(self, event: str, coordinates_text: str) -> None:
        self._events.emit(Event(event, self._format, self.scope.id, self._principal, coordinates_text))

    async def replace_metadata(
        self, canonical_name: str, canonical_version: str, known_json: str, new_json: str
    ) -> bool:
        """See IRemote."""
        version = (self.scope.id, self._format, canonical_name, canonical_version)
        return await self._catalog.replace_metadata(*version, known_json, new_json, self._principal)

    async def confirm_file(self, file: PackageFile) -> None:
        """See IRemote."""
        await self._catalog.confirm_file(file.id, file.blob.sha256)

    async def withdraw_file(self, file: PackageFile) -> bool:
        """See IRemote."""
        is_withdrawn = await self._catalog.withdraw_file(file.id, file.blob.sha256, self._principal)
        if is_withdrawn:
            emit_for_file(self._events, "withdraw_package", self._principal, file)
        return is_withdrawn

    async def search(self, text: str, offset: int, limit: int, traits: Sequence[str] | None = None) -> NameListing:
        """See IRemote."""
        project_ids = await self._project_ids(None)
        return await self._catalog.search_names(project_ids, self._format, text, Piece(offset, limit), traits)

    async def list_owners(self) -> tuple[Owner, ...]:
        """See IRemote."""
        project_id = self.scope.id if self.scope.level is Level.PROJECT else None
        return await self._catalog.list_owners(project_id, self.scope.group_ids)

    async def list_tags(self, canonical_name: str) -> tuple[Tag, ...]:
        """See IRemote."""
        project_ids = await self._project_ids(canonical_name)
        tags = await self._catalog.list_tags(project_ids, self._format, canonical_name)
        return tuple({tag.name: tag for tag in tags}.values())  # they come by project: the newest one's is the last

    async def set_tag(self, canonical_name: str, canonical_version: str, tag: str) -> bool:
        """See IRemote."""
        is_changed = await self._catalog.set_tag(
            self.scope.id, self._format, canonical_name, canonical_version, tag, self._principal
        )
        if is_changed:
            self._emit("tag_package", f"{canonical_name} {canonical_version} {tag}")
        return is_changed

    async def remove_tag(self, canonical_name: str, tag: str) -> bool:
        """See IRemote."""
        is_changed = await self._catalog.remove_tag(self.scope.id, self._format, canonical_name, tag, self._principal)
        if is_changed:
            self._emit("untag_package", f"{canonical_name} {tag}")
        return is_changed

    async def delete_file(self, file: PackageFile, precondition: Precondition) -> None:
        """See IRemote."""
        if not await self._catalog.delete_file(file.id, self._principal, precondition):
            raise FileNotFound
        emit_for_file(self._events, "delete_package", self._principal, file)


@implementer(IRemote)
class GroupRemote(ProjectRemote):
    """A group's remote: reads from the projects below it that the principal may read."""

    async def _projects_with(self, canonical_name: str | None) -> Sequence[Scope]:
        """Find the projects that have a name, or any, and where the format is not switched off."""
        user_id = self._principal.user_id
        scopes = await self._catalog.projects_with(self.scope.id, self._format, canonical_name, user_id)
        return [scope for scope in scopes if scope.settings.has_format(self._format)]

    async def _project_ids(self, canonical_name: str | None) -> Sequence[int]:
        scopes = await self._projects_with(canonical_name)
        return [scope.id for scope in scopes if self._policy.permits(self._principal, Permission.READ_PACKAGE, scope)]

    async def hides_packages(self) -> bool:
        """See IRemote."""
        scopes = await self._projects_with(None)
        return not all(self._policy.permits(self._principal, Permission.READ_PACKAGE, scope) for scope in scopes)

    def start_publish(self) -> IDraft:
        """See IRemote."""
        raise RuntimeError("a group's remote does not publish")

    async def demand_unprotected(self, canonical_name: str, act: ProtectedAct) -> None:
        """See IRemote."""
        raise RuntimeError("a group has no protection rules")

    async def yank(
        self,
        canonical_name: str,
        canonical_version: str,
        reason: str | None,
        *,
        act: ProtectedAct = ProtectedAct.PUSH,
    ) -> None:
        """See IRemote."""
        raise RuntimeError("a group's remote does not yank")

    async def yank_each(self, canonical_name: str, reasons: Mapping[str, str | None]) -> None:
        """See IRemote."""
        raise RuntimeError("a group's remote does not yank")

    async def delete_name(self, canonical_name: str, state: IndexState) -> None:
        """See IRemote."""
        raise RuntimeError("a group's remote does not delete")

    async def delete_file(self, file: PackageFile, precondition: Precondition) -> None:
        """See IRemote."""
        raise RuntimeError("a group's remote does not delete")

    async def replace_metadata(
        self, canonical_name: str, canonical_version: str, known_json: str, new_json: str
    ) -> bool:
        """See IRemote."""
        raise RuntimeError("a group's remote does not describe")

    async def set_tag(self, canonical_name: str, canonical_version: str, tag: str) -> bool:
        """See IRemote."""
        raise RuntimeError("a group's remote does not tag")

    async def remove_tag(self, canonical_name: str, tag: str) -> bool:
        """See IRemote."""
        raise RuntimeError("a group's remote does not tag")
