"""What is set at projects and groups, for those who may set it."""

from __future__ import annotations

from collections.abc import Mapping

from zope.interface import Attribute, Interface

from pkgregd.values import HeldSettings, Level, Principal, SettingKind, SettingValue


class IPlaceSettings(Interface):
    """Settings of projects and groups, by the names that GitLab has for them or would have."""

    kinds: Mapping[str, SettingKind] = Attribute("the settings that there are, by name, as they are shown")

    async def show(level: Level, place_id: int) -> HeldSettings:
        """Tell what holds at a place, where it is set, and what the project uses. Raises NotFound."""

    async def change(
        level: Level,
        place_id: int,
        changes: Mapping[str, SettingValue | None],
        principal: Principal,
        *,
        may_raise: bool,
    ) -> HeldSettings:
        """
        Change some settings; the others stay.

        Only administrators and the operator may raise what limits a project: else no limit would be one.

        Args:
            changes: by name, each of its kind; None inherits again.
            may_raise: whether limits may be raised, and taken away.

        Raises:
            InvalidRequest: a regular expression that cannot be read.
            PermissionDenied: a limit would be raised.
            NotFound.
        """
