"""
What is set at projects and groups.

Names are those of GitLab's settings where it has them (its group settings for packages), and like them elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from zope.interface import implementer

from pkgregd.errors import InvalidRequest
from pkgregd.interfaces import IAuthorisedCall, IPlaceSettings, IRouteTable
from pkgregd.manage.answers import made_of, or_null, shown
from pkgregd.manage.bodies import MAX_CHARACTERS, Body, Field, flag, number
from pkgregd.manage.shapes import json_reply
from pkgregd.values import (
    HeldSettings,
    JsonSchema,
    Level,
    Operation,
    Permission,
    Refusal,
    Reply,
    Route,
    SettingKind,
    Shape,
)

_PATHS: Mapping[Level, str] = {Level.PROJECT: "/packages/settings", Level.GROUP: "/-/packages/settings"}

_SIZE: JsonSchema = {"type": "integer", "minimum": 0}
_SHOWN: Mapping[SettingKind, JsonSchema] = {
    SettingKind.FLAG: {"type": "boolean"},
    SettingKind.LIMIT_BYTES: or_null({"type": "integer", "minimum": 1}),
    SettingKind.REGEX: {"type": "string"},
}
_EXAMPLES: Mapping[SettingKind, object] = {
    SettingKind.FLAG: True,
    SettingKind.LIMIT_BYTES: 536_870_912,
    SettingKind.REGEX: "",
}


def _regex(name: str, value: object) -> str:
    if not isinstance(value, str) or not value.isprintable():
        raise InvalidRequest(f"{name} is not valid: it is a text of printable letters")
    return value


regex = Field(_regex, {"type": "string", "maxLength": MAX_CHARACTERS})
"""A regular expression as it is; an empty one matches nothing."""

FIELDS: Mapping[SettingKind, Field[Any]] = {
    SettingKind.FLAG: flag,
    SettingKind.LIMIT_BYTES: number,
    SettingKind.REGEX: regex,
}


@implementer(IRouteTable)
class SettingsManagement:
    """See IRouteTable."""

    name = "manage_settings"
    challenge: str | None = None

    def __init__(self, settings: IPlaceSettings) -> None:
        self._settings = settings
        self._body = Body(
            {name: FIELDS[kind] for name, kind in settings.kinds.items()},
            example={"quota_bytes": 10_000_000_000, "packages_enabled": None},
            nullable=tuple(settings.kinds),
        )

    def routes(self) -> Sequence[Route]:
        """See IRouteTable."""
        found = []
        for level, path in _PATHS.items():
            answers = shown(_shape(level, self._settings.kinds), "What holds")
            body, refusals = self._body.described, (403, 404)
            for method, verb, handler in (
                ("GET", "show", self.show),
                ("PUT", "change", self.change),
                ("PATCH", "patch", self.change),
            ):
                name = f"{verb}_{level.value}_package_settings"
                operation = (
                    Operation(name, answers)
                    if method == "GET"
                    else Operation(name, answers, body=body, refusals=refusals)
                )
                route = Route((method,), path, Permission.ADMINISTER, handler, frozenset({level}), operation=operation)
                found.append(route)
        return tuple(found)

    def render_error(self, refusal: Refusal) -> Reply | None:
        """Leave it to the common JSON, which is GitLab's."""
        return None

    async def show(self, call: IAuthorisedCall) -> Reply:
        """Show what holds, and where it is set."""
        return json_reply(_fields(await self._settings.show(call.scope.level, call.scope.id)))

    async def change(self, call: IAuthorisedCall) -> Reply:
        """Change those that are given; null inherits again."""
        given = await self._body.read(call)
        held = await self._settings.change(
            call.scope.level, call.scope.id, given, call.principal, may_raise=call.principal.is_admin
        )
        return json_reply(_fields(held))


def _fields(held: HeldSettings) -> Mapping[str, object]:
    """Show every setting, those that are the place's own, and where others are set."""
    fields: dict[str, object] = dict(held.values)
    fields["own"] = sorted(name for name, path in held.origins.items() if path == held.path)
    fields["inherited"] = {name: path for name, path in sorted(held.origins.items()) if path != held.path}
    if held.usage is not None:
        fields["usage"] = {"file_bytes": held.usage.file_bytes, "reserved_bytes": held.usage.reserved_bytes}
    return fields


def _shape(level: Level, kinds: Mapping[str, SettingKind]) -> Shape:
    """Describe what _fields() shows."""
    fields: dict[str, JsonSchema] = {name: _SHOWN[kind] for name, kind in kinds.items()}
    example: dict[str, object] = {name: _EXAMPLES[kind] for name, kind in kinds.items()}
    fields |= {
        "own": {"type": "array", "items": {"type": "string"}},
        "inherited": {"type": "object", "additionalProperties": {"type": "string"}},
    }
    example |= {"own": ["quota_bytes"], "inherited": {"packages_enabled": "acme"}}
    if level is Level.PROJECT:
        fields["usage"] = made_of({"file_bytes": _SIZE, "reserved_bytes": _SIZE})
        example["usage"] = {"file_bytes": 52_428, "reserved_bytes": 0}
    return Shape(f"{level.value.capitalize()}Settings", made_of(fields), example)
