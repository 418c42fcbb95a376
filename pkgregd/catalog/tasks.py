"""
Tasks: statements, then verbs.

A verb reads the row of a task, has `taskrules` say what becomes of it, and stores it: of two that do so at once both
databases let one come after the other.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from sqlalchemy import bindparam, delete, literal_column, null, or_, select, update

from pkgregd.catalog import taskrules, told
from pkgregd.catalog.audit import add_audit_entry
from pkgregd.catalog.rules import MAX_ID
from pkgregd.catalog.statement import Row, Statement, Transaction, database_time, each_text, insert
from pkgregd.catalog.tables import tasks
from pkgregd.catalog.taskrules import TaskRow, microseconds
from pkgregd.values import PeriodicPlan, Principal, TaskLease, TaskRecord, TaskState

DUE_TOGETHER = 10
"""How many tasks are looked at to take one: of those in front some may have to be given up."""

# =================================================================== statements

_rows = select(
    tasks.c.id,
    tasks.c.kind,
    tasks.c.key,
    tasks.c.interval,
    tasks.c.due_at,
    tasks.c.lessee,
    tasks.c.lease_number,
    tasks.c.attempts,
    tasks.c.is_wanted_again,
    tasks.c.bookmark,
    tasks.c.error,
    tasks.c.created_at,
    tasks.c.started_at,
    tasks.c.finished_at,
)

# An expression, so that no index on kinds is asked: tasks are taken as they became due, and nearly all kinds are known.
_is_of_kinds = tasks.c.kind.concat(literal_column("''")).op("IN")(each_text(bindparam("kinds")))

TIME = Statement(select(database_time(bindparam("now"))))

ADD_TASK = Statement(
    insert(tasks).values(
        kind=bindparam("kind"),
        key=bindparam("key"),
        interval=bindparam("interval"),
        due_at=bindparam("due_at"),
        lease_number=literal_column("0"),
        attempts=literal_column("0"),
        is_wanted_again=bindparam("is_wanted_again"),
        bookmark=literal_column("''"),
        created_at=bindparam("now"),
    )
)

FIND_TASK = Statement(_rows.where(tasks.c.kind == bindparam("kind"), tasks.c.key == bindparam("key")))

TASK_BY_ID = Statement(_rows.where(tasks.c.id == bindparam("task_id")).with_for_update())

TASKS_OF_KIND = Statement(
    _rows.where(tasks.c.kind == bindparam("kind"), tasks.c.id > bindparam("after_id"))
    .order_by(tasks.c.id)
    .limit(bindparam("row_limit"))
)

ANY_DUE = Statement(
    select(tasks.c.id)
    .where(tasks.c.due_at <= database_time(bindparam("now")), _is_of_kinds)
    .order_by(tasks.c.due_at)
    .limit(literal_column("1"))
)

DUE_TASKS = Statement(
    _rows.where(tasks.c.due_at <= bindparam("due_until"), _is_of_kinds)
    .order_by(tasks.c.due_at, tasks.c.id)
    .limit(bindparam("row_limit"))
    .with_for_update(skip_locked=True)
)

STORE_TASK = Statement(
    update(tasks)
    .where(tasks.c.id == bindparam("task_id"))
    .values({name: bindparam(f"new_{name}") for name in (
        "interval", "due_at", "lessee", "lease_number", "attempts", "is_wanted_again", "bookmark", "error",
        "started_at", "finished_at",
    )})
)  # fmt: skip

REMOVE_TASK = Statement(delete(tasks).where(tasks.c.id == bindparam("task_id")))

_IN_STATE = {
    None: literal_column("1") == literal_column("1"),
    TaskState.FAILED: tasks.c.due_at.is_(null()),
    TaskState.RUNNING: tasks.c.lessee.is_not(null()),
    TaskState.WAITING: tasks.c.due_at.is_not(null()) & tasks.c.lessee.is_(null()),
}

LIST_TASKS = {
    state: Statement(
        _rows.where(
            tasks.c.id > bindparam("after_id"),
            condition,
            or_(bindparam("the_kind", type_=tasks.c.kind.type).is_(null()), tasks.c.kind == bindparam("the_kind")),
        )
        .order_by(tasks.c.id)
        .limit(bindparam("row_limit"))
    )
    for state, condition in _IN_STATE.items()
}

# ======================================================================== verbs


async def _now(tx: Transaction) -> int:
    """Return the time by which leases go: that of the database."""
    row = await tx.fetch_one(TIME, now=tx.now)
    assert row is not None
    return int(row[0])


def _read(row: Row) -> TaskRow:
    task_id, kind, key, interval, due_at, lessee, lease_number, attempts, is_wanted_again, *rest = row
    bookmark, error, created_at, started_at, finished_at = rest
    return TaskRow(
        id=task_id,
        kind=kind,
        key=key,
        interval=interval,
        due_at=due_at,
        lessee=lessee,
        lease_number=lease_number,
        attempts=attempts,
        is_wanted_again=bool(is_wanted_again),
        bookmark=bookmark,
        error=error,
        created_at=created_at,
        started_at=started_at,
        finished_at=finished_at,
    )


async def _store(tx: Transaction, old: TaskRow, new: TaskRow | None) -> bool:
    """Store what became of a task; False if that is nothing."""
    if new is None:
        await tx.execute(REMOVE_TASK, task_id=old.id)
    elif new != old:
        await tx.execute(
            STORE_TASK,
            task_id=old.id,
            new_interval=new.interval,
            new_due_at=new.due_at,
            new_lessee=new.lessee,
            new_lease_number=new.lease_number,
            new_attempts=new.attempts,
            new_is_wanted_again=new.is_wanted_again,
            new_bookmark=new.bookmark,
            new_error=new.error,
            new_started_at=new.started_at,
            new_finished_at=new.finished_at,
        )
    return new != old


async def _add_or_find(tx: Transaction, kind: str, key: str, interval: int | None, now: int) -> tuple[TaskRow, bool]:
    """Return the task of a kind and key, and whether it was made for that."""
    found = await tx.fetch_one(FIND_TASK, kind=kind, key=key)
    if found is not None:
        return _read(found), False
    due_at = taskrules.new(0, kind, key, interval, now).due_at
    await tx.execute(ADD_TASK, kind=kind, key=key, interval=interval, due_at=due_at, is_wanted_again=False, now=now)
    row = await tx.fetch_one(FIND_TASK, kind=kind, key=key)
    assert row is not None
    return _read(row), True


async def plan_tasks(tx: Transaction, plans: Sequence[PeriodicPlan]) -> None:
    """See ITaskCatalog."""
    now = await _now(tx)
    for plan in plans:
        interval = microseconds(plan.interval_seconds)
        row, is_new = await _add_or_find(tx, plan.kind, "", interval, now)
        if not is_new:
            await _store(tx, row, taskrules.planned(row, interval, now))


async def are_planned(tx: Transaction, plans: Sequence[PeriodicPlan]) -> bool:
    """Whether plan_tasks() would change nothing."""
    now = await _now(tx)
    for plan in plans:
        found = await tx.fetch_one(FIND_TASK, kind=plan.kind, key="")
        row = None if found is None else _read(found)
        if row is None or taskrules.planned(row, microseconds(plan.interval_seconds), now) != row:
            return False
    return True


async def enqueue_task(tx: Transaction, kind: str, key: str) -> int:
    """See ITaskCatalog."""
    now = await _now(tx)
    row, is_new = await _add_or_find(tx, kind, key, None, now)
    if not is_new:
        await _store(tx, row, taskrules.wanted(row, now))
    return row.id


async def any_due(tx: Transaction, kinds: Sequence[str]) -> bool:
    """Whether lease_task() has something to do."""
    return await tx.fetch_one(ANY_DUE, kinds=json.dumps(list(kinds)), now=tx.now) is not None


async def lease_task(tx: Transaction, kinds: Sequence[str], lessee: str, lease_seconds: float) -> TaskLease | None:
    """See ITaskCatalog."""
    now = await _now(tx)
    due = await tx.fetch_all(DUE_TASKS, kinds=json.dumps(list(kinds)), due_until=now, row_limit=DUE_TOGETHER)
    for row in map(_read, due):
        if taskrules.is_exhausted(row):
            await _store(tx, row, taskrules.exhausted(row, now))
            continue
        taken = taskrules.taken(row, lessee, microseconds(lease_seconds), now)
        await _store(tx, row, taken)
        return taken.lease()
    return None


async def _change_held(tx: Transaction, lease: TaskLease, change: Callable[[TaskRow, int], TaskRow | None]) -> bool:
    """Have something become of a task whose lease is good."""
    now = await _now(tx)
    found = await tx.fetch_one(TASK_BY_ID, task_id=lease.task_id)
    row = None if found is None else _read(found)
    if row is None or not row.is_held_by(lease):
        return False
    await _store(tx, row, change(row, now))
    return True


async def renew_task(tx: Transaction, lease: TaskLease, lease_seconds: float, bookmark: str) -> bool:
    """See ITaskCatalog."""
    length = microseconds(lease_seconds)
    return await _change_held(tx, lease, lambda row, now: taskrules.renewed(row, length, bookmark, now))


async def finish_task(tx: Transaction, lease: TaskLease, bookmark: str) -> bool:
    """See ITaskCatalog."""
    return await _change_held(tx, lease, lambda row, now: taskrules.finished(row, bookmark, now))


async def fail_task(tx: Transaction, lease: TaskLease, reason: str, delay_seconds: float, bookmark: str) -> bool:
    """See ITaskCatalog."""
    delay = microseconds(delay_seconds)
    return await _change_held(tx, lease, lambda row, now: taskrules.failed(row, reason, delay, bookmark, now))


async def release_task(tx: Transaction, lease: TaskLease, bookmark: str) -> bool:
    """See ITaskCatalog."""
    return await _change_held(tx, lease, lambda row, now: taskrules.released(row, bookmark, now))


async def list_tasks(
    tx: Transaction, after: int, limit: int, state: TaskState | None, kind: str | None
) -> tuple[TaskRecord, ...]:
    """See ITaskCatalog."""
    rows = await tx.fetch_all(LIST_TASKS[state], after_id=min(after, MAX_ID), the_kind=kind, row_limit=limit)
    return tuple(_read(row).record() for row in rows)


async def run_tasks(tx: Transaction, kind: str, principal: Principal) -> int:
    """See ITaskCatalog."""
    now = await _now(tx)
    count, changed, after = 0, 0, 0
    while rows := await tx.fetch_all(TASKS_OF_KIND, kind=kind, after_id=after, row_limit=DUE_TOGETHER):
        for row in map(_read, rows):
            changed += await _store(tx, row, taskrules.anew(row, now))
            count, after = count + 1, row.id
    if changed:
        await add_audit_entry(tx, principal, told.of_tasks(kind, changed))
    return count


async def retry_task(tx: Transaction, task_id: int, principal: Principal) -> bool:
    """See ITaskCatalog."""
    found = await tx.fetch_one(TASK_BY_ID, task_id=task_id) if 0 < task_id <= MAX_ID else None
    row = None if found is None else _read(found)
    if row is None or row.state is TaskState.RUNNING:
        return False
    if await _store(tx, row, taskrules.anew(row, await _now(tx))):
        await add_audit_entry(tx, principal, told.of_task(row.id, row.kind, row.key))
    return True
