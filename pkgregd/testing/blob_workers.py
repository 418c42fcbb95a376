"""Stand-ins for the threads of a blob store, for tests without a reactor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, execute

T = TypeVar("T")


class InlineWorkers:
    """Runs every job at once, on the calling thread."""

    def __init__(self) -> None:
        self.job_count = 0

    def run(self, job: Callable[[], T]) -> Deferred[T]:
        """Run the job."""
        self.job_count += 1
        return execute(job)

    async def close(self) -> None:
        """Nothing is running."""


class SteppedWorkers:
    """Keeps jobs until the test lets them run, in order: a disk as slow as wanted."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Callable[[], Any], Deferred[Any]]] = []

    def run(self, job: Callable[[], T]) -> Deferred[T]:
        """Queue the job."""
        result: Deferred[T] = Deferred()
        self.waiting.append((job, result))
        return result

    def step(self) -> None:
        """Run the job that waits longest; one whose caller was cancelled runs as well."""
        job, result = self.waiting.pop(0)
        execute(job).addBoth(result.callback)

    def run_all(self) -> None:
        """Run jobs until none waits."""
        while self.waiting:
            self.step()

    async def close(self) -> None:
        """Run what waits."""
        self.run_all()
