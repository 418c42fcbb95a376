"""Settings and usage, as the catalog in memory keeps them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from pkgregd.catalog import told
from pkgregd.catalog.memory_directory import MemoryDirectory
from pkgregd.errors import ProjectNotFound, QuotaExceeded
from pkgregd.interfaces import LEASE_SECONDS
from pkgregd.values import (
    Level,
    Principal,
    RecountedUsage,
    Reservation,
    Settings,
    SettingsLayer,
    SettingValue,
    Settlement,
    Usage,
)


class MemorySettings(MemoryDirectory):
    """See ISettingsCatalog and IUsageCatalog."""

    def __init__(self, seconds: Callable[[], float]) -> None:
        super().__init__(seconds)
        self._usages: dict[int, int] = {}
        self._reservations: dict[str, tuple[int, int, int]] = {}

    def _size_of_files(self, project_id: int) -> int:
        """Add up the sizes of a project's files."""
        raise NotImplementedError

    # --- settings

    async def find_settings(self, level: Level, place_id: int) -> tuple[SettingsLayer, ...]:
        """See ISettingsCatalog."""
        place = None if level is Level.INSTANCE else self._place_by_id(level, place_id)
        if place is None:
            return ()
        groups = (self._place_by_id(Level.GROUP, group_id) for group_id in place.group_ids)
        above = [group for group in groups if group is not None and group is not place]
        return tuple(SettingsLayer(met.level, met.path, met.settings) for met in (place, *above))

    async def change_settings(
        self,
        level: Level,
        place_id: int,
        known: Settings,
        changes: Mapping[str, SettingValue | None],
        principal: Principal,
    ) -> bool:
        """See ISettingsCatalog."""
        place = None if level is Level.INSTANCE else self._place_by_id(level, place_id)
        if place is None or place.settings != known:
            return False
        changed = known.changed(changes)
        if changed != known:
            self._tell(principal, told.of_changed_settings(level, place_id, place.path, known, changed))
        place.settings = changed
        return True

    # --- usage

    def _clear_usage(self, project_id: int) -> None:
        self._usages.pop(project_id, None)
        self._reservations = {key: kept for key, kept in self._reservations.items() if kept[0] != project_id}

    def _add_usage(self, project_id: int, more_bytes: int) -> None:
        self._usages[project_id] = self._usages.get(project_id, 0) + more_bytes

    def _room(self, reservation: Reservation) -> int:
        project_id, now = reservation.project_id, self._now()
        others = (
            size_bytes
            for key, (held_in, size_bytes, expires_at) in self._reservations.items()
            if held_in == project_id and key != reservation.id and expires_at > now
        )
        return reservation.quota_bytes - self._usages.get(project_id, 0) - sum(others)

    def _settle(self, added_bytes: int, settlement: Settlement) -> None:
        """Let go of what was reserved for what was published, and counted, just now."""
        reservation = settlement.reservation
        needed_bytes = added_bytes + settlement.keep_bytes
        held = self._reservations.pop(reservation.id, None)
        if held is not None and settlement.keep_bytes:
            self._reservations[reservation.id] = (held[0], settlement.keep_bytes, held[2])
        room_bytes = self._room(reservation) + added_bytes
        if needed_bytes > (0 if held is None else held[1]) and needed_bytes > room_bytes:
            raise QuotaExceeded(reservation.quota_bytes, max(0, room_bytes), needed_bytes)

    async def reserve(self, reservation: Reservation, needed_bytes: int, wanted_bytes: int) -> int:
        """See IUsageCatalog."""
        if self._place_by_id(Level.PROJECT, reservation.project_id) is None:
            raise ProjectNotFound
        self._forget_expired()
        room_bytes = max(0, self._room(reservation))
        if needed_bytes > room_bytes:
            raise QuotaExceeded(reservation.quota_bytes, room_bytes, needed_bytes)
        held_bytes = min(max(needed_bytes, wanted_bytes), room_bytes)
        self._reservations[reservation.id] = (reservation.project_id, held_bytes, self._lease_end())
        return held_bytes

    async def renew(self, reservation_ids: Sequence[str]) -> None:
        """See IUsageCatalog."""
        for key in reservation_ids:
            if key in self._reservations:
                self._reservations[key] = (*self._reservations[key][:2], self._lease_end())

    def _forget_expired(self) -> None:
        now = self._now()
        self._reservations = {key: held for key, held in self._reservations.items() if held[2] > now}

    async def release(self, reservation_id: str) -> None:
        """See IUsageCatalog."""
        self._reservations.pop(reservation_id, None)

    async def find_usage(self, project_id: int) -> Usage:
        """See IUsageCatalog."""
        now = self._now()
        held = (
            size
            for held_in, size, expires_at in self._reservations.values()
            if held_in == project_id and expires_at > now
        )
        return Usage(self._usages.get(project_id, 0), sum(held))

    async def list_project_ids(self, after: int, limit: int) -> tuple[int, ...]:
        """See IUsageCatalog."""
        return tuple(sorted(project.id for project in self._at(Level.PROJECT) if project.id > after)[:limit])

    async def recount_usage(self, project_id: int) -> RecountedUsage | None:
        """See IUsageCatalog."""
        if self._place_by_id(Level.PROJECT, project_id) is None:
            return None
        counted, found = self._usages.get(project_id, 0), self._size_of_files(project_id)
        self._usages[project_id] = found
        return RecountedUsage(project_id, counted, found)

    def _lease_end(self) -> int:
        return self._now() + LEASE_SECONDS * 1_000_000
