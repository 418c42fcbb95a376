"""What is set at projects and groups: shown with where it comes from, and changed by those who may."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from attrs import field, frozen
from zope.interface import implementer

from pkgregd.errors import InvalidRequest, NotFound, PermissionDenied, Unavailable
from pkgregd.interfaces import ICatalog, IPackageFormat, IPlaceSettings, IReplacingFormat
from pkgregd.registry.duplicates import check_regex
from pkgregd.values import (
    FormatKey,
    FormatLimits,
    HeldSettings,
    Level,
    PlaceKey,
    Principal,
    SettingKind,
    Settings,
    SettingsLayer,
    SettingValue,
)

MAX_TRIES = 5
"""How often a change is tried that somebody else's always comes before."""


@frozen
class KnownSetting:
    """A setting that there is, and what holds where nobody has set it."""

    kind: SettingKind
    configured: SettingValue | None


def known_settings(
    formats: Sequence[IPackageFormat], limits_by_format: Mapping[str, FormatLimits], quota_bytes: int | None
) -> Mapping[str, KnownSetting]:
    """
    List the settings that there are, by name: those of all formats first.

    Args:
        limits_by_format: as configured.
        quota_bytes: the same.
    """
    known = {
        PlaceKey.PACKAGES_ENABLED.value: KnownSetting(SettingKind.FLAG, configured=True),
        PlaceKey.QUOTA_BYTES.value: KnownSetting(SettingKind.LIMIT_BYTES, quota_bytes),
    }
    for made in formats:
        limits = limits_by_format[made.name]
        known[FormatKey.ENABLED.of(made.name)] = KnownSetting(SettingKind.FLAG, configured=True)
        max_file_size = FormatKey.MAX_FILE_SIZE.of(made.name)
        known[max_file_size] = KnownSetting(SettingKind.LIMIT_BYTES, limits.max_file_bytes)
        if IReplacingFormat.providedBy(made):
            allowed = FormatKey.DUPLICATES_ALLOWED.of(made.name)
            known[allowed] = KnownSetting(SettingKind.FLAG, limits.duplicates_allowed)
            regex = FormatKey.DUPLICATE_EXCEPTION_REGEX.of(made.name)
            known[regex] = KnownSetting(SettingKind.REGEX, limits.duplicate_exception_regex)
    return known


@implementer(IPlaceSettings)
@frozen
class PlaceSettings:
    """See IPlaceSettings."""

    catalog: ICatalog
    known: Mapping[str, KnownSetting]
    kinds: Mapping[str, SettingKind] = field(init=False)

    @kinds.default
    def _kinds(self) -> Mapping[str, SettingKind]:
        return {name: setting.kind for name, setting in self.known.items()}

    async def show(self, level: Level, place_id: int) -> HeldSettings:
        """See IPlaceSettings."""
        layers = await self._layers(level, place_id)
        usage = await self.catalog.find_usage(place_id) if level is Level.PROJECT else None
        values, origins = self._held([layer.settings for layer in layers]), {}
        for layer in reversed(layers):
            origins.update({name: layer.path for name in layer.settings.values if name in self.known})
        return HeldSettings(level, layers[0].path, values, origins, usage)

    async def change(
        self,
        level: Level,
        place_id: int,
        changes: Mapping[str, SettingValue | None],
        principal: Principal,
        *,
        may_raise: bool,
    ) -> HeldSettings:
        """See IPlaceSettings."""
        self._check(changes)
        for _ in range(MAX_TRIES):
            layers = await self._layers(level, place_id)
            own = layers[0].settings
            if not may_raise:
                self._demand_no_raise(layers, changes)
            if await self.catalog.change_settings(level, place_id, own, changes, principal):
                return await self.show(level, place_id)
        raise Unavailable("somebody else is changing these settings")

    def _check(self, changes: Mapping[str, SettingValue | None]) -> None:
        """Pass if each regular expression can be read."""
        for name, value in changes.items():
            if self.kinds[name] is SettingKind.REGEX and value is not None:
                try:
                    check_regex(str(value))
                except InvalidRequest as error:
                    raise InvalidRequest(f"{name}: {error}") from None

    def _demand_no_raise(self, layers: Sequence[SettingsLayer], changes: Mapping[str, SettingValue | None]) -> None:
        own, *above = [layer.settings for layer in layers]
        before, after = self._held([own, *above]), self._held([own.changed(changes), *above])
        for name in changes:
            if self.kinds[name] is SettingKind.LIMIT_BYTES and _limit(after[name]) > _limit(before[name]):
                raise PermissionDenied(f"to raise {name}", "ask an administrator")

    def _held(self, nearest_first: Sequence[Settings]) -> Mapping[str, SettingValue | None]:
        """Return what holds, of every setting that there is."""
        merged = Settings()
        for settings in nearest_first:
            merged = merged.over(settings)
        return {name: merged.values.get(name, setting.configured) for name, setting in self.known.items()}

    async def _layers(self, level: Level, place_id: int) -> Sequence[SettingsLayer]:
        layers = await self.catalog.find_settings(level, place_id)
        if not layers:
            raise NotFound(f"there is no such {level.value}")
        return layers


def _limit(value: SettingValue | None) -> float:
    """Return a limit that can be compared with others."""
    return math.inf if value is None else int(value)
