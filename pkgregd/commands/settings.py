"""`settings show`, `settings set`, `usage recount`."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from pkgregd.commands.instance import Instance, Outcome
from pkgregd.commands.upkeep import read_formats
from pkgregd.config import FormatConfig
from pkgregd.errors import InvalidRequest, NotFound
from pkgregd.values import HeldSettings, Level, Scope, SettingKind, SettingValue

if TYPE_CHECKING:
    from pkgregd.registry.settings import PlaceSettings

PAGE = 100


async def show_settings(instance: Instance, arguments: Namespace) -> Outcome:
    """Tell what holds at a project or group, and where it is set."""
    scope = await _find(instance, arguments.path)
    return _outcome(await _settings(instance).show(scope.level, scope.id))


async def set_settings(instance: Instance, arguments: Namespace) -> Outcome:
    """Change settings of a project or group; answers what holds then."""
    scope, settings = await _find(instance, arguments.path), _settings(instance)
    changes = {name: _read(settings, name, text) for name, text in arguments.changes}
    return _outcome(await settings.change(scope.level, scope.id, changes, instance.operator, may_raise=True))


async def recount_usage(instance: Instance, arguments: Namespace) -> Outcome:
    """Count anew what projects use; answers a line for each project where something else was counted."""
    projects, wrong, after = 0, [], 0
    while page := await instance.catalog.list_project_ids(after, PAGE):
        for after in page:
            recounted = await instance.catalog.recount_usage(after)
            projects += 1
            if recounted is not None and recounted.counted_bytes != recounted.file_bytes:
                wrong.append(recounted)
    lines = [f"{each.project_id}: {each.counted_bytes} were counted, there are {each.file_bytes}" for each in wrong]
    data = [
        {"project_id": each.project_id, "counted_bytes": each.counted_bytes, "file_bytes": each.file_bytes}
        for each in wrong
    ]
    notes = (f"{projects} projects recounted, {len(wrong)} corrected",)
    return Outcome("\n".join(lines), {"projects": projects, "corrected": data}, notes)


def _settings(instance: Instance) -> PlaceSettings:
    from pkgregd.registry.settings import PlaceSettings, known_settings

    config, formats = instance.config, read_formats(instance.config)
    sections = {name: config.formats.get(name, FormatConfig()) for name in formats}
    served = [made for name, made in formats.items() if sections[name].enabled]
    limits = {made.name: sections[made.name].limits(made.default_limits) for made in served}
    return PlaceSettings(instance.catalog, known_settings(served, limits, config.packages.quota_bytes))


async def _find(instance: Instance, path: str) -> Scope:
    """Find a project or group by its path; no two have the same."""
    for level in (Level.PROJECT, Level.GROUP):
        scope = await instance.catalog.find_scope(level, path, None)
        if scope is not None:
            return scope
    raise NotFound(f"there is no group or project at {path}")


def _read(settings: PlaceSettings, name: str, text: str) -> SettingValue | None:
    """
    Read the value of a setting; nothing inherits again.

    Raises:
        InvalidRequest.
    """
    kind = settings.kinds.get(name)
    if kind is None:
        raise InvalidRequest(f"{name[:100]} is not a setting: there are {', '.join(settings.kinds)}")
    if text == "inherit":
        return None
    if kind is SettingKind.FLAG:
        if text not in ("true", "false"):
            raise InvalidRequest(f"{name}: true, false or inherit")
        return text == "true"
    if kind is SettingKind.LIMIT_BYTES:
        if not (text.isascii() and text.isdigit() and len(text) < 19 and int(text)):
            raise InvalidRequest(f"{name}: a number of bytes from 1, or inherit")
        return int(text)
    return text


def _outcome(held: HeldSettings) -> Outcome:
    lines = [
        f"{name} = {_shown(value)}  # {held.origins.get(name, 'configuration')}" for name, value in held.values.items()
    ]
    data: dict[str, object] = {"path": held.path, "settings": dict(held.values), "set_at": dict(held.origins)}
    if held.usage is not None:
        lines.append(f"{held.usage.file_bytes} bytes are used, {held.usage.reserved_bytes} reserved")
        data["usage"] = {"file_bytes": held.usage.file_bytes, "reserved_bytes": held.usage.reserved_bytes}
    return Outcome("\n".join(lines), data)


def _shown(value: SettingValue | None) -> str:
    if value is None:
        return "unlimited"
    return str(value).lower() if isinstance(value, bool) else str(value)
