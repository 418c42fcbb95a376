"""Tasks: work that concerns the whole registry, and that one of all daemons does."""

from __future__ import annotations

import datetime
import enum

from attrs import frozen


class TaskState(enum.Enum):
    """
    How a task stands.

    Members:
        WAITING: until it is due, or until somebody has time for it.
        RUNNING: somebody has a lease, which may have run out.
        FAILED: it was tried as often as a task is tried; somebody has to look at it.
    """

    WAITING = "waiting"
    RUNNING = "running"
    FAILED = "failed"


@frozen
class PeriodicPlan:
    """
    A task that comes again and again.

    Attributes:
        kind: what is done.
        interval_seconds: from the end of one turn to the beginning of the next one.
    """

    kind: str
    interval_seconds: float


@frozen
class TaskLease:
    """
    The right to do a task, for a while.

    Attributes:
        task_id: whose.
        kind: what is done.
        key: to what; empty for the whole registry.
        number: grows with each lease of a task: only who has the last one can end it.
        attempt: how often it was tried since it last succeeded, this time included.
        bookmark: where the last turn ended, in the words of the kind; empty at the beginning.
    """

    task_id: int
    kind: str
    key: str
    number: int
    attempt: int
    bookmark: str = ""


@frozen
class TaskRecord:
    """
    A task, for those who look after the registry.

    Attributes:
        interval_seconds: None for one that is done once.
        due_at: when it may be taken; of a running one when its lease ends, None of a failed one.
        lessee: who does it, None if nobody does.
        attempts: how often it was tried since it last succeeded.
        error: why it failed the last time, None if it did not.
        started_at, finished_at: of the last turn; None if there was none.
    """

    id: int
    kind: str
    key: str
    state: TaskState
    interval_seconds: float | None
    due_at: datetime.datetime | None
    lessee: str | None
    attempts: int
    error: str | None
    created_at: datetime.datetime
    started_at: datetime.datetime | None
    finished_at: datetime.datetime | None
