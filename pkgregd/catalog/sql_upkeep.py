"""Keeping well over a database: a part of SqlCatalog."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING

from pkgregd.catalog import faults, upkeep
from pkgregd.values import BlobInfo, CatalogCheck, Damage, Digest, Fault, ScrubState, StoredBlob

if TYPE_CHECKING:
    from pkgregd.catalog.sql_trail import Database


class SqlUpkeep:
    """See IUpkeepCatalog."""

    _database: Database

    async def list_blobs(self, after: str, limit: int) -> tuple[StoredBlob, ...]:
        """See IUpkeepCatalog."""
        return await self._database.read(upkeep.list_blobs, after, limit)

    async def find_blob(self, sha256: Digest) -> StoredBlob | None:
        """See IUpkeepCatalog."""
        return await self._database.read(upkeep.find_blob, sha256)

    async def name_files(self, sha256: Digest, limit: int) -> tuple[str, ...]:
        """See IUpkeepCatalog."""
        return await self._database.read(upkeep.name_files, sha256, limit)

    async def mark_blob(self, sha256: Digest, locator: str, damage: Damage | None) -> bool:
        """See IUpkeepCatalog."""
        return await self._database.write(upkeep.mark_blob, sha256, locator, damage)

    async def set_digests(self, sha256: Digest, digests: Mapping[str, str]) -> bool:
        """See IUpkeepCatalog."""
        return await self._database.write(upkeep.set_digests, sha256, digests)

    async def restore_blob(self, blob: BlobInfo) -> bool:
        """See IUpkeepCatalog."""
        return await self._database.write(upkeep.restore_blob, blob)

    async def find_faults(
        self, check: CatalogCheck, after: tuple[int | str, ...] | None, limit: int
    ) -> tuple[Fault, ...]:
        """See IUpkeepCatalog."""
        return await self._database.read(faults.find_faults, check, after, limit)

    async def mend_fault(self, check: CatalogCheck, fault: Fault) -> bool:
        """See IUpkeepCatalog."""
        return await self._database.write(faults.mend_fault, check, fault)

    async def take_scrub(self, holder: str, interval: datetime.timedelta | None) -> ScrubState | None:
        """See IUpkeepCatalog."""
        return await self._database.write(upkeep.take_scrub, holder, interval)

    async def keep_scrub(self, holder: str, state: ScrubState, *, is_over: bool = False) -> bool:
        """See IUpkeepCatalog."""
        return await self._database.write(upkeep.keep_scrub, holder, state, is_over)

    async def end_scrub(self, holder: str, state: ScrubState) -> bool:
        """See IUpkeepCatalog."""
        return await self._database.write(upkeep.end_scrub, holder, state)

    async def find_scrub(self) -> ScrubState:
        """See IUpkeepCatalog."""
        return await self._database.read(upkeep.find_scrub)
