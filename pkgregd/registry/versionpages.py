"""Pages of a name's versions, made of what is small of all of them and of the documents of some."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence

from attrs import frozen

from pkgregd.errors import PackageNotFound
from pkgregd.interfaces import IPackageCatalog
from pkgregd.registry.pages import Pages, compressed, page_key
from pkgregd.values import ChosenVersions, IndexState, PackageVersion, Page, VersionLayout


@frozen
class _Found:
    """What a page is made of; see VersionLayout."""

    versions: Sequence[PackageVersion]
    chosen: ChosenVersions
    documents: Mapping[int, bytes]


class VersionPages:
    """
    Renders pages of versions.

    Args:
        catalog: tells the versions, and their documents.
        pages: keeps what was rendered.
    """

    def __init__(self, catalog: IPackageCatalog, pages: Pages) -> None:
        self._catalog = catalog
        self._pages = pages

    async def get(
        self, format: str, canonical_name: str, state: IndexState, variant: str, layout: VersionLayout
    ) -> Page:
        """See IRemote.render_versions."""

        async def load() -> _Found:
            # of the projects that the page is kept for, whatever the caller may read by now
            versions = await self._catalog.list_versions(state.project_ids, format, canonical_name)
            if not versions:
                raise PackageNotFound
            chosen = await self._pages.run(lambda: layout.choose(versions))
            package_ids = [version.package_id for version in chosen.versions]
            documents = await self._catalog.list_documents(package_ids, layout.document) if package_ids else {}
            return _Found(versions, chosen, documents)

        def make(found: _Found) -> Page:
            return compressed(_joined(layout.render(found.versions, found.chosen.versions, found.documents)))

        key = page_key(format, canonical_name, variant, state)
        return await self._pages.get(key, state.token, load, make, lambda found: found.chosen.is_kept)


def _joined(pieces: Iterable[bytes]) -> bytes:
    """Put pieces together as they are made, and let others have the interpreter after each."""
    made = []
    for piece in pieces:
        made.append(piece)
        time.sleep(0)
    return b"".join(made)
