"""The threads on which blobs are hashed, written and read."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from functools import partial
from threading import Thread
from typing import Any, Protocol, TypeVar

from twisted.internet.defer import Deferred, fail
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from pkgregd.errors import Unavailable

T = TypeVar("T")


class IWorkers(Protocol):
    """Runs blocking jobs off the reactor. The seam at which tests run them inline or step by step."""

    def run(self, job: Callable[[], T]) -> Deferred[T]:
        """
        Run a job on some thread.

        Cancellation: abandons the wait; the job runs to its end.
        """

    async def close(self) -> None:
        """Wait for the jobs, then refuse further ones."""


PATIENCE = 19
"""By how many steps of niceness hashing and writing stand back: beside great uploads small requests are answered."""


class _PatientThread(Thread):
    """A thread that lets the reactor's go first."""

    def run(self) -> None:
        """Run at a lower priority, where each thread has its own: on Linux."""
        if sys.platform == "linux":
            wanted = os.getpriority(os.PRIO_PROCESS, 0) + PATIENCE
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), wanted)
        super().run()


class ThreadWorkers:
    """
    A pool of threads of our own, so that nobody else's slow jobs delay ours.

    Threads start with the first job: the object may be made before a daemon forks.

    Args:
        reactor: provides IReactorFromThreads.
        count: the most threads there will be.
    """

    def __init__(self, reactor: Any, count: int) -> None:
        self._reactor = reactor
        self._pool = ThreadPool(0, count, name="blobs")
        # a process that ends without close() must not hang in its exit: files stand a crash anyway
        self._pool.threadFactory = partial(_PatientThread, daemon=True)  # type: ignore[assignment]
        self._job_count = 0
        self._idle: list[Deferred[None]] = []
        self._is_closed = False

    def run(self, job: Callable[[], T]) -> Deferred[T]:
        """See IWorkers."""
        if self._is_closed:
            return fail(Unavailable("the blob store is closed"))
        if not self._pool.started:
            self._pool.start()
        self._job_count += 1
        result: Deferred[T] = Deferred()

        def settle(value: T | Failure) -> None:
            # the callbacks may start the next job of a series: only then see whether this was the last
            result.callback(value)
            self._job_count -= 1
            if not self._job_count:
                idle, self._idle = self._idle, []
                for waiter in idle:
                    waiter.callback(None)

        def on_thread(_: bool, value: Any) -> None:
            self._reactor.callFromThread(settle, value)

        self._pool.callInThreadWithCallback(on_thread, job)
        return result

    async def close(self) -> None:
        """See IWorkers."""
        while self._job_count:
            waiter: Deferred[None] = Deferred()
            self._idle.append(waiter)
            await waiter
        self._is_closed = True
        if self._pool.started:
            self._pool.stop()
