"""Tasks, as the catalog in memory keeps them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pkgregd.catalog import taskrules, told
from pkgregd.catalog.memory_trail import MemoryTrail
from pkgregd.catalog.taskrules import TaskRow, microseconds
from pkgregd.values import PeriodicPlan, Principal, TaskLease, TaskRecord, TaskState


class MemoryTasks(MemoryTrail):
    """See ITaskCatalog."""

    def __init__(self, seconds: Callable[[], float]) -> None:
        super().__init__(seconds)
        self._task_rows: dict[int, TaskRow] = {}
        self._last_task = 0

    def _find_task(self, kind: str, key: str) -> TaskRow | None:
        return next((row for row in self._task_rows.values() if (row.kind, row.key) == (kind, key)), None)

    def _add_task(self, kind: str, key: str, interval: int | None) -> int:
        row = taskrules.new(self._last_task + 1, kind, key, interval, self._now())
        self._last_task = row.id
        self._task_rows[row.id] = row
        return row.id

    def _change_held(self, lease: TaskLease, change: Callable[[TaskRow], TaskRow | None]) -> bool:
        row = self._task_rows.get(lease.task_id)
        if row is None or not row.is_held_by(lease):
            return False
        changed = change(row)
        if changed is None:
            del self._task_rows[row.id]
        else:
            self._task_rows[row.id] = changed
        return True

    async def plan_tasks(self, plans: Sequence[PeriodicPlan]) -> None:
        """See ITaskCatalog."""
        for plan in plans:
            interval, row = microseconds(plan.interval_seconds), self._find_task(plan.kind, "")
            if row is None:
                self._add_task(plan.kind, "", interval)
            else:
                self._task_rows[row.id] = taskrules.planned(row, interval, self._now())

    async def enqueue_task(self, kind: str, key: str = "") -> int:
        """See ITaskCatalog."""
        row = self._find_task(kind, key)
        if row is None:
            return self._add_task(kind, key, None)
        self._task_rows[row.id] = taskrules.wanted(row, self._now())
        return row.id

    async def lease_task(self, kinds: Sequence[str], lessee: str, lease_seconds: float) -> TaskLease | None:
        """See ITaskCatalog."""
        now = self._now()
        due = [row for row in self._task_rows.values() if row.kind in kinds and row.due_at is not None]
        for row in sorted(due, key=lambda row: (row.due_at or 0, row.id)):
            if row.due_at is None or row.due_at > now:
                break
            if taskrules.is_exhausted(row):
                self._task_rows[row.id] = taskrules.exhausted(row, now)
                continue
            taken = taskrules.taken(row, lessee, microseconds(lease_seconds), now)
            self._task_rows[row.id] = taken
            return taken.lease()
        return None

    async def renew_task(self, lease: TaskLease, lease_seconds: float, bookmark: str) -> bool:
        """See ITaskCatalog."""
        length, now = microseconds(lease_seconds), self._now()
        return self._change_held(lease, lambda row: taskrules.renewed(row, length, bookmark, now))

    async def finish_task(self, lease: TaskLease, bookmark: str = "") -> bool:
        """See ITaskCatalog."""
        return self._change_held(lease, lambda row: taskrules.finished(row, bookmark, self._now()))

    async def fail_task(self, lease: TaskLease, reason: str, delay_seconds: float, bookmark: str) -> bool:
        """See ITaskCatalog."""
        delay, now = microseconds(delay_seconds), self._now()
        return self._change_held(lease, lambda row: taskrules.failed(row, reason, delay, bookmark, now))

    async def release_task(self, lease: TaskLease, bookmark: str) -> bool:
        """See ITaskCatalog."""
        return self._change_held(lease, lambda row: taskrules.released(row, bookmark, self._now()))

    async def list_tasks(
        self, after: int, limit: int, state: TaskState | None = None, kind: str | None = None
    ) -> tuple[TaskRecord, ...]:
        """See ITaskCatalog."""
        found = [
            row.record()
            for row in sorted(self._task_rows.values(), key=lambda row: row.id)
            if row.id > after and state in (None, row.state) and kind in (None, row.kind)
        ]
        return tuple(found[:limit])

    async def run_tasks(self, kind: str, principal: Principal) -> int:
        """See ITaskCatalog."""
        found = [row for row in self._task_rows.values() if row.kind == kind]
        changed = 0
        for row in found:
            self._task_rows[row.id] = taskrules.anew(row, self._now())
            changed += self._task_rows[row.id] != row
        if changed:
            self._tell(principal, told.of_tasks(kind, changed))
        return len(found)

    async def retry_task(self, task_id: int, principal: Principal) -> bool:
        """See ITaskCatalog."""
        row = self._task_rows.get(task_id)
        if row is None or row.state is TaskState.RUNNING:
            return False
        self._task_rows[row.id] = taskrules.anew(row, self._now())
        if self._task_rows[row.id] != row:
            self._tell(principal, told.of_task(row.id, row.kind, row.key))
        return True
