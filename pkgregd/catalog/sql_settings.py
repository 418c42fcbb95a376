"""Settings and usage over a database: a part of SqlCatalog."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pkgregd.catalog import settings, usage
from pkgregd.values import Level, Principal, RecountedUsage, Reservation, Settings, SettingsLayer, SettingValue, Usage

if TYPE_CHECKING:
    from pkgregd.catalog.sql_trail import Database


class SqlSettings:
    """See ISettingsCatalog and IUsageCatalog."""

    _database: Database

    async def find_settings(self, level: Level, place_id: int) -> tuple[SettingsLayer, ...]:
        """See ISettingsCatalog."""
        return await self._database.read(settings.find_settings, level, place_id)

    async def change_settings(
        self,
        level: Level,
        place_id: int,
        known: Settings,
        changes: Mapping[str, SettingValue | None],
        principal: Principal,
    ) -> bool:
        """See ISettingsCatalog."""
        return await self._database.write(settings.change_settings, level, place_id, known, changes, principal)

    async def reserve(self, reservation: Reservation, needed_bytes: int, wanted_bytes: int) -> int:
        """See IUsageCatalog."""
        return await self._database.write(usage.reserve, reservation, needed_bytes, wanted_bytes)

    async def renew(self, reservation_ids: Sequence[str]) -> None:
        """See IUsageCatalog."""
        await self._database.write(usage.renew, reservation_ids)

    async def release(self, reservation_id: str) -> None:
        """See IUsageCatalog."""
        await self._database.write(usage.release, reservation_id)

    async def find_usage(self, project_id: int) -> Usage:
        """See IUsageCatalog."""
        return await self._database.read(usage.find_usage, project_id)

    async def list_project_ids(self, after: int, limit: int) -> tuple[int, ...]:
        """See IUsageCatalog."""
        return await self._database.read(usage.list_project_ids, after, limit)

    async def recount_usage(self, project_id: int) -> RecountedUsage | None:
        """See IUsageCatalog."""
        return await self._database.write(usage.recount_usage, project_id)
