"""The page of a name's files: kept, brought up to date, or made anew."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen

from pkgregd.errors import PackageNotFound
from pkgregd.interfaces import IPackageCatalog
from pkgregd.registry.listings import KeptListing, Listing, Listings, Versions
from pkgregd.registry.pages import Pages, page_key
from pkgregd.values import IndexState, MakeLayout, PackageFile, Page, PageLayout

MAX_MOVED_PROJECTS = 4
MAX_CHANGED_VERSIONS = 16
"""Beyond these a page is made anew: each costs a query."""


@frozen
class _Found:
    """
    What a page is made of.

    Attributes:
        layout: how it is put together.
        listing: an earlier one, ours alone; None to begin with nothing.
        versions: what changed since then, or all.
    """

    layout: PageLayout
    listing: Listing | None
    versions: Versions


class FilePages:
    """
    Renders pages of files.

    Args:
        catalog: tells the files, and what has changed.
        pages: keeps what was rendered.
        listings: keeps what pages are brought up to date from.
    """

    def __init__(self, catalog: IPackageCatalog, pages: Pages, listings: Listings) -> None:
        self._catalog = catalog
        self._pages = pages
        self._listings = listings

    async def get(
        self,
        format: str,
        canonical_name: str,
        state: IndexState,
        variant: str,
        layout: PageLayout | MakeLayout,
    ) -> Page:
        """See IRemote.render_files."""
        key = page_key(format, canonical_name, variant, state)

        async def load() -> _Found:
            made = layout if isinstance(layout, PageLayout) else await layout()
            # whatever happens, an earlier listing is put back only when it is right
            kept = self._listings.take(key)
            changed = None if kept is None else await self._changed(format, canonical_name, kept.revisions, state)
            if kept is not None and changed is not None:
                return _Found(made, kept.listing, changed)
            return _Found(made, None, await self._everything(format, canonical_name, state))

        def make(found: _Found) -> Page:
            listing = found.listing
            if listing is None:
                listing = Listing(found.layout, found.versions)
            else:
                listing.update(found.layout, found.versions)
            page = listing.page()
            if page is None:
                raise PackageNotFound
            self._listings.put(key, KeptListing(listing, dict(state.revisions)))
            return page

        return await self._pages.get(key, state.token, load, make)

    async def _everything(self, format: str, canonical_name: str, state: IndexState) -> Versions:
        files = await self._catalog.list_files(state.project_ids, format, canonical_name)
        versions: dict[str, list[PackageFile]] = {}
        for file in files:
            versions.setdefault(file.canonical_version, []).append(file)
        if not versions:
            raise PackageNotFound
        return versions

    async def _changed(
        self, format: str, canonical_name: str, before: Mapping[int, int], state: IndexState
    ) -> Versions | None:
        """Read the versions that changed; None if they are too many, or not known."""
        now = dict(state.revisions)
        moved = [project_id for project_id in now if before.get(project_id) != now[project_id]]
        if now.keys() != before.keys() or len(moved) > MAX_MOVED_PROJECTS:
            return None
        names: set[str] = set()
        for project_id in moved:
            changes = await self._catalog.list_changes(
                project_id, format, canonical_name, before[project_id], now[project_id]
            )
            if changes is None:
                return None
            names |= changes
        if len(names) > MAX_CHANGED_VERSIONS:
            return None
        return {
            version: await self._catalog.list_files(state.project_ids, format, canonical_name, version)
            for version in names
        }
