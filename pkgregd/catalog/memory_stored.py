"""Which blobs there are and which are needed, as the catalog in memory keeps it."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable

from attrs import define, evolve

from pkgregd.catalog.memory_settings import MemorySettings
from pkgregd.catalog.rules import to_microseconds
from pkgregd.values import BlobInfo, Digest, PackageFile


@define
class StoredBlobRow:
    """What is kept of a blob."""

    info: BlobInfo
    unused_since: int
    created_at: int


class MemoryBlobs(MemorySettings):
    """See IBlobCatalog."""

    def __init__(self, seconds: Callable[[], float]) -> None:
        super().__init__(seconds)
        self._files: dict[int, PackageFile] = {}
        self._blobs: dict[str, StoredBlobRow] = {}

    def _adopt(self, blob: BlobInfo) -> BlobInfo:
        stored = self._blobs.get(blob.sha256.hex)
        # By way of JSON: a later change of the caller's dictionary must not reach us.
        digests = json.loads(json.dumps(dict(blob.digests)))
        if stored is None:
            stored = self._add_blob(evolve(blob, digests=digests))
        elif stored.info.damage is not None:
            stored.info = evolve(blob, digests={**stored.info.digests, **digests})
        else:
            stored.info = evolve(stored.info, digests={**digests, **stored.info.digests})
        return stored.info

    def _add_blob(self, blob: BlobInfo) -> StoredBlobRow:
        stored = StoredBlobRow(blob, self._now(), self._now())
        self._blobs[blob.sha256.hex] = stored
        return stored

    def _is_used(self, sha256: str) -> bool:
        return any(file.blob.sha256.hex == sha256 for file in self._files.values())

    def _release(self, sha256: str) -> None:
        if not self._is_used(sha256):
            self._blobs[sha256].unused_since = self._now()

    async def is_blob_unused(self, sha256: Digest, locator: str | None = None) -> bool:
        """See IBlobCatalog."""
        return not self._is_used(sha256.hex) or self._is_another_copy(sha256, locator)

    def _is_another_copy(self, sha256: Digest, locator: str | None) -> bool:
        stored = self._blobs.get(sha256.hex)
        return locator is not None and stored is not None and stored.info.locator != locator

    async def forget_blob(self, sha256: Digest, locator: str | None = None) -> bool:
        """See IBlobCatalog."""
        if self._is_another_copy(sha256, locator):
            return True
        if self._is_used(sha256.hex):
            return False
        self._blobs.pop(sha256.hex, None)
        return True

    async def move_blob(self, sha256: Digest, locator: str, new_locator: str) -> bool:
        """See IBlobCatalog."""
        stored = self._blobs.get(sha256.hex)
        if stored is not None and stored.info.locator == locator:
            stored.info = evolve(stored.info, locator=new_locator, damage=None)
        return stored is not None and stored.info.locator == new_locator

    async def find_unused_blobs(self, before: datetime.datetime, limit: int, after: str = "") -> tuple[BlobInfo, ...]:
        """See IBlobCatalog."""
        unused = [
            stored.info
            for sha256, stored in sorted(self._blobs.items())
            if sha256 > after and stored.unused_since < to_microseconds(before) and not self._is_used(sha256)
        ]
        return tuple(unused[:limit])
