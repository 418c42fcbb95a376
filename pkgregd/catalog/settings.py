"""What is set at projects and groups: statements, then verbs."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import bindparam, delete, select

from pkgregd.catalog import told
from pkgregd.catalog.audit import add_audit_entry
from pkgregd.catalog.rules import MAX_ID
from pkgregd.catalog.statement import Statement, Transaction, insert
from pkgregd.catalog.tables import group_ancestors, groups, projects, settings
from pkgregd.values import NOTHING_SET, Level, Principal, Settings, SettingsLayer, SettingValue

# =================================================================== statements

SETTINGS_OF_PROJECT = Statement(
    select(projects.c.path, settings.c.settings_json, projects.c.group_id)
    .select_from(projects.outerjoin(settings, settings.c.project_id == projects.c.id))
    .where(projects.c.id == bindparam("id"))
)

SETTINGS_OF_GROUPS = Statement(
    select(groups.c.path, settings.c.settings_json)
    .select_from(
        group_ancestors.join(groups, groups.c.id == group_ancestors.c.ancestor_id).outerjoin(
            settings, settings.c.group_id == groups.c.id
        )
    )
    .where(group_ancestors.c.group_id == bindparam("id"))
    .order_by(group_ancestors.c.depth)
)

_set = insert(settings).values(
    group_id=bindparam("group_id"), project_id=bindparam("project_id"), settings_json=bindparam("settings_json")
)

SET = {
    Level.PROJECT: Statement(
        _set.on_conflict_do_update(index_elements=["project_id"], set_={"settings_json": _set.excluded.settings_json})
    ),
    Level.GROUP: Statement(
        _set.on_conflict_do_update(index_elements=["group_id"], set_={"settings_json": _set.excluded.settings_json})
    ),
}

CLEAR = {
    Level.PROJECT: Statement(delete(settings).where(settings.c.project_id == bindparam("id"))),
    Level.GROUP: Statement(delete(settings).where(settings.c.group_id == bindparam("id"))),
}

# ======================================================================== verbs


async def find_settings(tx: Transaction, level: Level, place_id: int) -> tuple[SettingsLayer, ...]:
    """See ISettingsCatalog."""
    if not 0 < place_id <= MAX_ID or level is Level.INSTANCE:
        return ()
    layers, group_id = [], place_id
    if level is Level.PROJECT:
        row = await tx.fetch_one(SETTINGS_OF_PROJECT, id=place_id)
        if row is None:
            return ()
        path, settings_json, group_id = row
        layers.append(SettingsLayer(Level.PROJECT, path, _read(settings_json)))
    rows = await tx.fetch_all(SETTINGS_OF_GROUPS, id=group_id)
    layers.extend(SettingsLayer(Level.GROUP, path, _read(settings_json)) for path, settings_json in rows)
    return tuple(layers)


async def change_settings(
    tx: Transaction,
    level: Level,
    place_id: int,
    known: Settings,
    changes: Mapping[str, SettingValue | None],
    principal: Principal,
) -> bool:
    """See ISettingsCatalog."""
    layers = await find_settings(tx, level, place_id)
    if not layers or layers[0].settings != known:
        return False
    changed = known.changed(changes)
    if changed == known:
        return True
    project_id, group_id = (place_id, None) if level is Level.PROJECT else (None, place_id)
    if changed == NOTHING_SET:
        await tx.execute(CLEAR[level], id=place_id)
    else:
        await tx.execute(SET[level], project_id=project_id, group_id=group_id, settings_json=changed.text())
    await add_audit_entry(tx, principal, told.of_changed_settings(level, place_id, layers[0].path, known, changed))
    return True


def _read(settings_json: str | None) -> Settings:
    return NOTHING_SET if settings_json is None else Settings.parse(settings_json)
