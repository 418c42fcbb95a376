"""What becomes of a task when it is asked for, taken, and ended; the same in every catalog."""

from __future__ import annotations

from attrs import evolve, frozen

from pkgregd.catalog.rules import from_microseconds
from pkgregd.interfaces import MAX_ERROR_CHARACTERS, MAX_TASK_ATTEMPTS
from pkgregd.values import TaskLease, TaskRecord, TaskState

MAX_KEY_CHARACTERS = 1000
MAX_BOOKMARK_CHARACTERS = 10_000

MAX_LEASE = 3600 * 1_000_000
"""No lease is longer than that, in microseconds; see `[tasks] lease_seconds`."""

DIED = "whoever did it ended, or was out of reach, before it was done"


@frozen
class TaskRow:
    """
    A task as it is kept. Times are microseconds since 1970.

    Attributes:
        interval: of a periodic one, in microseconds.
        due_at: when it may be taken: while somebody has it, when the lease ends. None if it has failed.
        lessee: who has it.
        is_wanted_again: whether it was asked for while somebody had it.
    """

    id: int
    kind: str
    key: str
    interval: int | None
    due_at: int | None
    lessee: str | None
    lease_number: int
    attempts: int
    is_wanted_again: bool
    bookmark: str
    error: str | None
    created_at: int
    started_at: int | None
    finished_at: int | None

    @property
    def state(self) -> TaskState:
        """How it stands."""
        if self.due_at is None:
            return TaskState.FAILED
        return TaskState.WAITING if self.lessee is None else TaskState.RUNNING

    def record(self) -> TaskRecord:
        """Return what is told of it."""
        times = (self.due_at, self.created_at, self.started_at, self.finished_at)
        due_at, created_at, started_at, finished_at = (
            None if time is None else from_microseconds(time) for time in times
        )
        assert created_at is not None
        return TaskRecord(
            id=self.id,
            kind=self.kind,
            key=self.key,
            state=self.state,
            interval_seconds=None if self.interval is None else self.interval / 1_000_000,
            due_at=due_at,
            lessee=self.lessee,
            attempts=self.attempts,
            error=self.error,
            created_at=created_at,
            started_at=started_at,
            finished_at=finished_at,
        )

    def lease(self) -> TaskLease:
        """Return the right to do it, as whoever took it last has it."""
        return TaskLease(self.id, self.kind, self.key, self.lease_number, self.attempts, self.bookmark)

    def is_held_by(self, lease: TaskLease) -> bool:
        """Whether a lease is good yet; one that ran out is until somebody else takes the task."""
        return self.lessee is not None and self.lease_number == lease.number


def new(task_id: int, kind: str, key: str, interval: int | None, now: int) -> TaskRow:
    """Make a task: one that comes once is due now, a periodic one after its interval."""
    if len(key) > MAX_KEY_CHARACTERS:
        raise ValueError(f"the key of a task has at most {MAX_KEY_CHARACTERS} characters")
    due_at = now + (interval or 0)
    return TaskRow(task_id, kind, key, interval, due_at, None, 0, 0, False, "", None, now, None, None)


def planned(row: TaskRow, interval: int, now: int) -> TaskRow:
    """
    Let a task come every so often.

    One that would be due later than that was planned by a clock that has been set back since.
    """
    latest = now + (max(interval, MAX_LEASE) if row.state is TaskState.RUNNING else interval)
    return evolve(row, interval=interval, due_at=latest if row.due_at is None else min(row.due_at, latest))


def wanted(row: TaskRow, now: int) -> TaskRow:
    """Ask for what is a task already."""
    if row.state is TaskState.RUNNING:
        return evolve(row, is_wanted_again=True)
    if row.state is TaskState.FAILED:
        return anew(row, now)
    if row.attempts:
        return row
    return evolve(row, due_at=min(row.due_at or 0, now))


def anew(row: TaskRow, now: int) -> TaskRow:
    """Let a task be taken now, whatever became of it; one that runs comes again when it has ended."""
    if row.state is TaskState.RUNNING:
        return evolve(row, is_wanted_again=True)
    return evolve(row, due_at=now, attempts=0)


def is_exhausted(row: TaskRow) -> bool:
    """Whether nobody is to take a task again whose lease ran out."""
    return row.lessee is not None and row.attempts >= MAX_TASK_ATTEMPTS


def taken(row: TaskRow, lessee: str, lease: int, now: int) -> TaskRow:
    """Take a task for so many microseconds."""
    return evolve(
        row,
        lessee=lessee,
        due_at=now + lease,
        lease_number=row.lease_number + 1,
        attempts=row.attempts + 1,
        is_wanted_again=False,
        started_at=now,
    )


def renewed(row: TaskRow, lease: int, bookmark: str, now: int) -> TaskRow:
    """Have a lease last so many microseconds from now."""
    return evolve(row, due_at=now + lease, bookmark=_checked(bookmark))


def finished(row: TaskRow, bookmark: str, now: int) -> TaskRow | None:
    """End a task well; None if it is gone with that."""
    if row.interval is None and not row.is_wanted_again:
        return None
    due_at = now if row.is_wanted_again else now + (row.interval or 0)
    ended = evolve(_ended(row, now), due_at=due_at, attempts=0, error=None, bookmark=_checked(bookmark))
    return evolve(ended, is_wanted_again=False)


def failed(row: TaskRow, reason: str, delay: int, bookmark: str, now: int) -> TaskRow:
    """End a task badly, to be tried again so many microseconds from now if it may."""
    ended = evolve(_ended(row, now), error=reason[:MAX_ERROR_CHARACTERS], bookmark=_checked(bookmark))
    is_over = row.attempts >= MAX_TASK_ATTEMPTS
    if is_over and row.is_wanted_again:  # as if it had been asked for a moment later
        ended, is_over = evolve(ended, attempts=0), False
    if row.interval is not None:
        return evolve(ended, due_at=now + (row.interval if is_over else min(delay, row.interval)))
    return evolve(ended, due_at=None if is_over else now + delay)


def exhausted(row: TaskRow, now: int) -> TaskRow:
    """Take a task from those who died of it too often."""
    return failed(row, DIED, 0, row.bookmark, now)


def released(row: TaskRow, bookmark: str, now: int) -> TaskRow:
    """Give a task back, as if it had not been taken."""
    return evolve(row, lessee=None, due_at=now, attempts=row.attempts - 1, bookmark=_checked(bookmark))


def _ended(row: TaskRow, now: int) -> TaskRow:
    return evolve(row, lessee=None, finished_at=now)


def _checked(bookmark: str) -> str:
    if len(bookmark) > MAX_BOOKMARK_CHARACTERS:
        raise ValueError(f"the bookmark of a task has at most {MAX_BOOKMARK_CHARACTERS} characters")
    return bookmark


def microseconds(seconds: float) -> int:
    """Turn a length of time into what is kept."""
    return int(seconds * 1_000_000)
