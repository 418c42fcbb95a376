"""What the database is asked about settings, and about what projects use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from zope.interface import Interface

from pkgregd.values import (
    Level,
    Principal,
    RecountedUsage,
    Reservation,
    Settings,
    SettingsLayer,
    SettingValue,
    Usage,
)

LEASE_SECONDS = 180
"""How long room stays reserved for an upload whose daemon does not say that it goes on."""


class ISettingsCatalog(Interface):
    """What is set at projects and groups. What holds at a place is part of its Scope, and costs no question."""

    async def find_settings(level: Level, place_id: int) -> tuple[SettingsLayer, ...]:
        """What is set at a place and in the groups above it, nearest first, empty layers included; () if it is gone."""

    async def change_settings(
        level: Level,
        place_id: int,
        known: Settings,
        changes: Mapping[str, SettingValue | None],
        principal: Principal,
    ) -> bool:
        """
        Change settings of a place, and write down who did.

        Args:
            known: what is set at the place as the caller knows it.
            changes: by name; None inherits again.

        Returns:
            False if something else is set there by now, or the place is gone: nothing was changed.
        """


class IUsageCatalog(Interface):
    """
    What projects use: the bytes of all their files, counted in the transactions that change files.

    Equal bytes count for each file. Room is reserved before bytes come: what is used and reserved by living uploads
    together is never more than a quota lets it be, but for what was there before the quota.
    """

    async def reserve(reservation: Reservation, needed_bytes: int, wanted_bytes: int) -> int:
        """
        Have a reservation hold room, or hold more of it, until LEASE_SECONDS from now.

        Args:
            needed_bytes: altogether, at least.
            wanted_bytes: altogether, if there is so much.

        Returns:
            What it holds now.

        Raises:
            QuotaExceeded: there is not so much as is needed; it holds what it held.
            ProjectNotFound.
        """

    async def renew(reservation_ids: Sequence[str]) -> None:
        """Have reservations last LEASE_SECONDS from now. One that has run out may be forgotten already: it stays so."""

    async def release(reservation_id: str) -> None:
        """Give back what a reservation holds. Doing it twice is fine."""

    async def find_usage(project_id: int) -> Usage:
        """Tell what a project uses."""

    async def list_project_ids(after: int, limit: int) -> tuple[int, ...]:
        """Numbers of projects greater than `after`, in order, at most `limit`: for upkeep."""

    async def recount_usage(project_id: int) -> RecountedUsage | None:
        """Count anew what the files of a project have, and keep it; None if there is no such project."""
