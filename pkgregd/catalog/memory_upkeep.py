"""Keeping well, as the catalog in memory does it: its dictionaries leave less to be wrong than tables do."""

from __future__ import annotations

import datetime
from collections.abc import Mapping

from attrs import evolve

from pkgregd.catalog.memory_stored import MemoryBlobs
from pkgregd.catalog.rules import from_microseconds
from pkgregd.catalog.upkeep import ended, is_held, next_round
from pkgregd.interfaces import SCRUB_LEASE_SECONDS, STALE_SECONDS
from pkgregd.values import BlobInfo, CatalogCheck, Damage, Digest, Fault, Level, ScrubState, StoredBlob


class MemoryUpkeep(MemoryBlobs):
    """See IUpkeepCatalog."""

    _scrub = ScrubState()
    _scrub_holder = ""
    _scrub_held_until = 0

    async def list_blobs(self, after: str, limit: int) -> tuple[StoredBlob, ...]:
        """See IUpkeepCatalog."""
        found = [sha256 for sha256 in sorted(self._blobs) if sha256 > after][:limit]
        return tuple(self._stored_blob(sha256) for sha256 in found)

    async def find_blob(self, sha256: Digest) -> StoredBlob | None:
        """See IUpkeepCatalog."""
        return self._stored_blob(sha256.hex) if sha256.hex in self._blobs else None

    def _stored_blob(self, sha256: str) -> StoredBlob:
        stored = self._blobs[sha256]
        return StoredBlob(stored.info, self._is_used(sha256), from_microseconds(stored.created_at))

    async def name_files(self, sha256: Digest, limit: int) -> tuple[str, ...]:
        """See IUpkeepCatalog."""
        found = []
        for _, file in sorted(self._files.items()):
            place = self._place_by_id(Level.PROJECT, file.project_id)
            if file.blob.sha256 == sha256 and place is not None:
                found.append(f"{place.path}: {file.format} {file.name} {file.version} {file.file_name}")
        return tuple(found[:limit])

    async def mark_blob(self, sha256: Digest, locator: str, damage: Damage | None) -> bool:
        """See IUpkeepCatalog."""
        stored = self._blobs.get(sha256.hex)
        if stored is None or stored.info.locator != locator:
            return False
        stored.info = evolve(stored.info, damage=damage)
        return True

    async def set_digests(self, sha256: Digest, digests: Mapping[str, str]) -> bool:
        """See IUpkeepCatalog."""
        stored = self._blobs.get(sha256.hex)
        if stored is not None:
            stored.info = evolve(stored.info, digests=dict(digests))
        return stored is not None

    async def restore_blob(self, blob: BlobInfo) -> bool:
        """See IUpkeepCatalog."""
        stored = self._blobs.get(blob.sha256.hex)
        if not self._is_used(blob.sha256.hex):
            return False
        if stored is None:
            self._add_blob(blob)
        elif stored.info.damage is not None and blob.damage is None:
            stored.info = blob
        else:
            return False
        return True

    async def find_faults(
        self, check: CatalogCheck, after: tuple[int | str, ...] | None, limit: int
    ) -> tuple[Fault, ...]:
        """See IUpkeepCatalog."""
        found: list[Fault] = []
        if check is CatalogCheck.STALE_RESERVATION:
            stale_before = self._now() - STALE_SECONDS * 1_000_000
            found = [
                Fault((key,), f"reservation {key} of {size_bytes} bytes in project {project_id}")
                for key, (project_id, size_bytes, expires_at) in sorted(self._reservations.items())
                if expires_at < stale_before
            ]
        elif check is CatalogCheck.WRONG_USAGE:
            for project_id in await self.list_project_ids(0, len(self._usages) + 1):
                counted, there = self._usages.get(project_id, 0), self._size_of_files(project_id)
                if counted != there:
                    text = f"project {project_id}: {counted} bytes are counted, there are {there}"
                    found.append(Fault((project_id,), text))
        return tuple(fault for fault in found if after is None or fault.key > after)[:limit]

    async def mend_fault(self, check: CatalogCheck, fault: Fault) -> bool:
        """See IUpkeepCatalog."""
        (key,) = fault.key
        if check is CatalogCheck.STALE_RESERVATION:
            is_there = fault in await self.find_faults(check, None, len(self._reservations) + 1)
            return is_there and self._reservations.pop(str(key), None) is not None
        if check is CatalogCheck.WRONG_USAGE:
            recounted = await self.recount_usage(int(key))
            return recounted is not None and recounted.counted_bytes != recounted.file_bytes
        return False

    async def take_scrub(self, holder: str, interval: datetime.timedelta | None) -> ScrubState | None:
        """See IUpkeepCatalog."""
        if interval is None:
            self._scrub_held_until = 0
        elif self._scrub_holder != holder and is_held(self._scrub_held_until, self._now()):
            return None
        state = next_round(self._scrub, interval, from_microseconds(self._now()))
        if state is not None:
            await self.keep_scrub(holder, state)
        return state

    async def keep_scrub(self, holder: str, state: ScrubState, *, is_over: bool = False) -> bool:
        """See IUpkeepCatalog."""
        if self._scrub_holder != holder and is_held(self._scrub_held_until, self._now()):
            return False
        self._scrub, self._scrub_holder = state, holder
        self._scrub_held_until = self._now() + (-1 if is_over else SCRUB_LEASE_SECONDS * 1_000_000)
        return True

    async def end_scrub(self, holder: str, state: ScrubState) -> bool:
        """See IUpkeepCatalog."""
        return await self.keep_scrub(holder, ended(state, from_microseconds(self._now())), is_over=True)

    async def find_scrub(self) -> ScrubState:
        """See IUpkeepCatalog."""
        return self._scrub
