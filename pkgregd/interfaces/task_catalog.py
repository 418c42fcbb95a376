"""What the database is asked about tasks."""

from __future__ import annotations

from collections.abc import Sequence

from zope.interface import Interface

from pkgregd.values import PeriodicPlan, Principal, TaskLease, TaskRecord, TaskState

MAX_TASK_ATTEMPTS = 8
"""How often a task is tried before it counts as failed, or as one that has to wait for its next period."""

MAX_ERROR_CHARACTERS = 500
"""What is kept of why a task failed."""


class ITaskCatalog(Interface):
    """
    Work that one of all daemons does, and that survives whoever began it.

    There is one task of each kind and key. It is taken with a lease. Whoever does not renew it loses it: another one
    takes the task then, and what the first one says of it counts no more. The time is that of the database's server, so
    the clocks of the daemons' hosts may differ.

    A task that is done is gone, but for a periodic one, which is due again after its interval. One that fails is due
    again when whoever failed says so; after MAX_TASK_ATTEMPTS it is left alone as failed, and a periodic one until its
    interval has passed. Leases that ran out count as attempts, for whoever had them may have died of the task.
    """

    async def plan_tasks(plans: Sequence[PeriodicPlan]) -> None:
        """
        Have a periodic task for each of some kinds; doing it again changes nothing.

        Each is due after its interval at the latest, also one whose interval was another, or which was planned while
        the clock was wrong.
        """

    async def enqueue_task(kind: str, key: str = "") -> int:
        """
        Have something done, as soon as somebody has time; returns the number of the task.

        One that waits already is enough, unless it waits after a failure: that goes on. One that runs comes again when
        it has ended, for it may have passed over what is new. One that has failed begins anew.
        """

    async def lease_task(kinds: Sequence[str], lessee: str, lease_seconds: float) -> TaskLease | None:
        """
        Take the task that has been due for longest.

        Args:
            kinds: which can be done.
            lessee: who takes it, for those who look on.

        Returns:
            None if nothing of these kinds is due. Of several that ask at once each gets another one.
        """

    async def renew_task(lease: TaskLease, lease_seconds: float, bookmark: str) -> bool:
        """Have a lease last so long from now, and keep how far it came; False if somebody else has the task by now."""

    async def finish_task(lease: TaskLease, bookmark: str = "") -> bool:
        """
        Tell that it is done; False if somebody else has the task by now: nothing was changed.

        Args:
            bookmark: for the next turn of a periodic one.
        """

    async def fail_task(lease: TaskLease, reason: str, delay_seconds: float, bookmark: str) -> bool:
        """
        Tell that it failed; False if somebody else has the task by now: nothing was changed.

        Args:
            reason: for whoever looks after it; no secret. MAX_ERROR_CHARACTERS of it are kept.
            delay_seconds: when it may be tried again, if it may; a periodic one after its interval at the latest.
        """

    async def release_task(lease: TaskLease, bookmark: str) -> bool:
        """Give a task back that is not done, at no fault of its own: it is due at once. Else as fail_task()."""

    async def list_tasks(
        after: int, limit: int, state: TaskState | None = None, kind: str | None = None
    ) -> tuple[TaskRecord, ...]:
        """Tasks whose number is greater than `after`, by number."""

    async def run_tasks(kind: str, principal: Principal) -> int:
        """
        Have all tasks of a kind due now, failed ones included, and write down who did.

        One that runs comes again when it has ended.

        Returns:
            How many there are.
        """

    async def retry_task(task_id: int, principal: Principal) -> bool:
        """
        Have a task that failed, or that waits, begin anew at once, and write down who did.

        Returns:
            False if there is none of this number, or it runs: nothing was changed.
        """
