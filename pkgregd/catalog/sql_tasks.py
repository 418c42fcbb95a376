"""Tasks over a database: a part of SqlCatalog."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pkgregd.catalog import tasks
from pkgregd.values import PeriodicPlan, Principal, TaskLease, TaskRecord, TaskState

if TYPE_CHECKING:
    from pkgregd.catalog.sql_trail import Database


class SqlTasks:
    """See ITaskCatalog."""

    _database: Database

    async def plan_tasks(self, plans: Sequence[PeriodicPlan]) -> None:
        """See ITaskCatalog. Nothing is written where nothing changes, as at nearly every start."""
        if not await self._database.read(tasks.are_planned, plans):
            await self._database.write(tasks.plan_tasks, plans)

    async def enqueue_task(self, kind: str, key: str = "") -> int:
        """See ITaskCatalog."""
        return await self._database.write(tasks.enqueue_task, kind, key)

    async def lease_task(self, kinds: Sequence[str], lessee: str, lease_seconds: float) -> TaskLease | None:
        """See ITaskCatalog. Whoever finds nothing, as nearly always, does not come between those who write."""
        if not await self._database.read(tasks.any_due, kinds):
            return None
        return await self._database.write(tasks.lease_task, kinds, lessee, lease_seconds)

    async def renew_task(self, lease: TaskLease, lease_seconds: float, bookmark: str) -> bool:
        """See ITaskCatalog."""
        return await self._database.write(tasks.renew_task, lease, lease_seconds, bookmark)

    async def finish_task(self, lease: TaskLease, bookmark: str = "") -> bool:
        """See ITaskCatalog."""
        return await self._database.write(tasks.finish_task, lease, bookmark)

    async def fail_task(self, lease: TaskLease, reason: str, delay_seconds: float, bookmark: str) -> bool:
        """See ITaskCatalog."""
        return await self._database.write(tasks.fail_task, lease, reason, delay_seconds, bookmark)

    async def release_task(self, lease: TaskLease, bookmark: str) -> bool:
        """See ITaskCatalog."""
        return await self._database.write(tasks.release_task, lease, bookmark)

    async def list_tasks(
        self, after: int, limit: int, state: TaskState | None = None, kind: str | None = None
    ) -> tuple[TaskRecord, ...]:
        """See ITaskCatalog."""
        return await self._database.read(tasks.list_tasks, after, limit, state, kind)

    async def run_tasks(self, kind: str, principal: Principal) -> int:
        """See ITaskCatalog."""
        return await self._database.write(tasks.run_tasks, kind, principal)

    async def retry_task(self, task_id: int, principal: Principal) -> bool:
        """See ITaskCatalog."""
        return await self._database.write(tasks.retry_task, task_id, principal)
