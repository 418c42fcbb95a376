"""What is set at projects and groups, over what the configuration says; and what a project uses."""

from __future__ import annotations

import enum
import json
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeAlias

from attrs import evolve, field, frozen

from pkgregd.values.limits import FormatLimits

if TYPE_CHECKING:
    from pkgregd.values.access import Level

SettingValue: TypeAlias = bool | int | str


class PlaceKey(enum.Enum):
    """What is set for all formats together."""

    PACKAGES_ENABLED = "packages_enabled"
    QUOTA_BYTES = "quota_bytes"


class FormatKey(enum.Enum):
    """What is set for each format; its setting is called `FORMAT_KEY`, such as `npm_enabled`."""

    ENABLED = "enabled"
    MAX_FILE_SIZE = "max_file_size"
    DUPLICATES_ALLOWED = "duplicates_allowed"
    DUPLICATE_EXCEPTION_REGEX = "duplicate_exception_regex"

    def of(self, format: str) -> str:
        """Return the name of a format's setting."""
        return f"{format}_{self.value}"


@frozen
class Settings:
    """
    What is set at one place, or holds there with all that is set above it.

    Attributes:
        values: by the name of the setting; what is not there is inherited, in the end from the configuration.
    """

    values: Mapping[str, SettingValue] = field(factory=dict, hash=False)

    @classmethod
    def parse(cls, text: str) -> Settings:
        """Read what text() wrote."""
        return cls(json.loads(text))

    def text(self) -> str:
        """Write it as JSON, in one order."""
        return json.dumps(dict(self.values), sort_keys=True)

    def over(self, farther: Settings) -> Settings:
        """Return what holds with what is set farther away beneath it."""
        return Settings({**farther.values, **self.values})

    def changed(self, changes: Mapping[str, SettingValue | None]) -> Settings:
        """Return it with some settings changed; None inherits again."""
        merged = {**self.values, **changes}
        return Settings({name: value for name, value in merged.items() if value is not None})

    @property
    def has_packages(self) -> bool:
        """Whether there is a package registry at all."""
        return self.values.get(PlaceKey.PACKAGES_ENABLED.value, True) is not False

    def has_format(self, format: str) -> bool:
        """Whether a format is switched on."""
        return self.has_packages and self.values.get(FormatKey.ENABLED.of(format), True) is not False

    def quota_bytes(self, default: int | None) -> int | None:
        """Return what all files of a project may have together, None for any number of bytes."""
        quota = self.values.get(PlaceKey.QUOTA_BYTES.value, default)
        return None if quota is None else int(quota)

    def limits(self, format: str, default: FormatLimits) -> FormatLimits:
        """Return a format's limits with what is set over them."""
        values = self.values
        if not values:
            return default
        regex = values.get(FormatKey.DUPLICATE_EXCEPTION_REGEX.of(format))
        return evolve(
            default,
            max_file_bytes=int(values.get(FormatKey.MAX_FILE_SIZE.of(format), default.max_file_bytes)),
            duplicates_allowed=bool(values.get(FormatKey.DUPLICATES_ALLOWED.of(format), default.duplicates_allowed)),
            duplicate_exceptions=default.duplicate_exceptions if regex is None else (),
            duplicate_exception_regex=default.duplicate_exception_regex if regex is None else str(regex),
        )


NOTHING_SET = Settings()


@frozen
class SettingsLayer:
    """What is set at one project or group."""

    level: Level
    path: str
    settings: Settings


@frozen
class Usage:
    """
    What a project has.

    Attributes:
        file_bytes: of all its files; equal bytes count for each file, though they are stored once.
        reserved_bytes: of uploads that are on their way.
    """

    file_bytes: int
    reserved_bytes: int = 0


class SettingKind(enum.Enum):
    """What a setting is."""

    FLAG = "flag"
    LIMIT_BYTES = "limit_bytes"
    REGEX = "regex"


@frozen
class HeldSettings:
    """
    What holds at a place.

    Attributes:
        level, path: of the place.
        values: of all settings, by name; None for a limit that there is not.
        origins: the path of the project or group where one is set, by name; what is not there is configured.
        usage: of a project; None of a group.
    """

    level: Level
    path: str
    values: Mapping[str, SettingValue | None]
    origins: Mapping[str, str]
    usage: Usage | None = None


@frozen
class RecountedUsage:
    """What was counted of a project, and what its files really have."""

    project_id: int
    counted_bytes: int
    file_bytes: int


@frozen
class Incoming:
    """
    What the head of a request tells of the bytes of its files.

    Attributes:
        least_bytes: it will be at least so many.
        most_bytes: and at most so many; None when that is not known.
    """

    least_bytes: int = 0
    most_bytes: int | None = None


UNTOLD = Incoming()


@frozen
class Reservation:
    """
    Room in a project for an upload that is on its way.

    Attributes:
        id: chosen by whoever makes it, never twice.
        quota_bytes: of the project, as it was when the upload began.
    """

    id: str
    project_id: int
    quota_bytes: int

    @classmethod
    def make(cls, project_id: int, quota_bytes: int) -> Reservation:
        """Make one under a new id."""
        return cls(uuid.uuid4().hex, project_id, quota_bytes)


@frozen
class Settlement:
    """
    What becomes of a reservation when files are published.

    Attributes:
        keep_bytes: what the upload still holds for files that are not published yet; 0 ends the reservation.
    """

    reservation: Reservation
    keep_bytes: int = 0
