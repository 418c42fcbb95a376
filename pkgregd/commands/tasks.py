"""`task list`, `task run`, `task retry`."""

from __future__ import annotations

from argparse import Namespace

from pkgregd.commands.columns import columns
from pkgregd.commands.instance import Instance, Outcome, show_time
from pkgregd.errors import InvalidRequest, NotFound
from pkgregd.values import TaskRecord, TaskState

PAGE = 500
SHOWN = ("id", "kind", "key", "state", "due_at", "finished_at", "attempts", "lessee", "error")


async def list_tasks(instance: Instance, arguments: Namespace) -> Outcome:
    """List what daemons do together, how it stands, and what failed."""
    rows: list[dict[str, object]] = []
    after = 0
    while page := await instance.catalog.list_tasks(after, PAGE, arguments.state, arguments.kind):
        rows += map(_row, page)
        after = page[-1].id
    failed = sum(row["state"] == TaskState.FAILED.value for row in rows)
    notes = (f"{failed} failed: see `pkgregd task retry`",) if failed else ()
    return Outcome(columns(SHOWN, rows), rows, notes)


async def run_tasks(instance: Instance, arguments: Namespace) -> Outcome:
    """Have the tasks of a kind done now, by a daemon that runs; answers how many there are."""
    count = await instance.catalog.run_tasks(arguments.kind, instance.operator)
    if not count:
        raise NotFound(
            f"there is no task of the kind {arguments.kind!r}: `pkgregd task list` shows what there is, "
            "and the tasks of every period are there once a daemon has run"
        )
    return Outcome(str(count), {"kind": arguments.kind, "tasks": count})


async def retry_task(instance: Instance, arguments: Namespace) -> Outcome:
    """Have a task that failed begin anew, by a daemon that runs."""
    if not await instance.catalog.retry_task(arguments.id, instance.operator):
        (record,) = await instance.catalog.list_tasks(arguments.id - 1, 1) or (None,)
        if record is None or record.id != arguments.id:
            raise NotFound(f"there is no task {arguments.id}; one that is done is gone")
        raise InvalidRequest(f"task {arguments.id} runs: wait until it has ended")
    return Outcome("", {"id": arguments.id})


def _row(record: TaskRecord) -> dict[str, object]:
    return {
        "id": record.id,
        "kind": record.kind,
        "key": record.key,
        "state": record.state.value,
        "interval_seconds": record.interval_seconds,
        "due_at": show_time(record.due_at),
        "started_at": show_time(record.started_at),
        "finished_at": show_time(record.finished_at),
        "attempts": record.attempts,
        "lessee": record.lessee,
        "error": record.error,
    }
