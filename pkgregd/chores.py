"""
What a daemon does from time to time, beside the requests.

Each turn may be cut short by a stop; the next one goes on with what is left.
"""

from __future__ import annotations

import datetime
import os
import socket
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from twisted.internet.defer import maybeDeferred
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger

from pkgregd.auth.tokenuses import WRITE_SECONDS, TokenUses
from pkgregd.clockwork import PeriodicTask, utc_now
from pkgregd.config import Config
from pkgregd.parts import Parts, task_settings
from pkgregd.registry.copies import is_unpublished
from pkgregd.registry.events import LogEvents
from pkgregd.registry.quotas import RENEWAL_SECONDS
from pkgregd.registry.remotes import Remotes
from pkgregd.registry.scrub import Scrubbing
from pkgregd.registry.sweep import sweep
from pkgregd.registry.tasks import TaskKind, TaskRunner, Turn
from pkgregd.registry.tidy import Tidying, rules_of
from pkgregd.registry.trail import FORGOTTEN_TOGETHER, forget

log = Logger()

SCRUB_SECONDS = 60.0
"""How often it is asked whether files are to be read."""

SCRUB_TURN_SECONDS = 600.0
"""How long one turn of that goes on, and then to the end of the blob it is at; the next one goes on where it ended."""

SCRUB_DEADLINE_SECONDS = 7 * 86_400.0
"""How long a turn may take: a blob whose reading is cut off is read from its beginning the next time."""

RECOVERY_SECONDS = 3600.0
SWEEP_SECONDS = 3600.0
SWEEP_GRACE = datetime.timedelta(hours=24)
SWEEP_DEADLINE_SECONDS = 6 * 3600.0
FORGET_SECONDS = 300.0
TIDY_SECONDS = 300.0
TIDY_TURN_SECONDS = 10.0
"""How long one turn of the removal of builds goes on; the next one goes on where it ended."""


class Chores:
    """
    The work of one daemon beside its requests: its own, and its share of what concerns the whole registry.

    Args:
        is_stopping: whether the daemon is about to end, which ends a turn early.

    Attributes:
        tasks: does what is due, and takes more.
    """

    def __init__(
        self,
        reactor: Any,
        config: Config,
        parts: Parts,
        remotes: Remotes,
        events: LogEvents,
        uses: TokenUses,
        is_stopping: Callable[[], bool],
    ) -> None:
        self._reactor = reactor
        self._config = config
        self._parts = parts
        rules = rules_of(parts.formats, parts.limits_by_format)
        self._tidying = Tidying(parts.catalog, rules, remotes.pages.run, events.emit, utc_now)
        self._own = [
            PeriodicTask(reactor, RECOVERY_SECONDS, self.recover, "clearing staging files"),
            PeriodicTask(reactor, WRITE_SECONDS, uses.write, "noting when tokens were used"),
            PeriodicTask(reactor, RENEWAL_SECONDS, remotes.quotas.renew, "renewing reservations"),
        ]
        self._scrubbing: Scrubbing | None = None
        if days := config.scrub.days(config.blobs.url):
            self._scrubbing = Scrubbing(
                reactor,
                parts.catalog,
                parts.blobs,
                self._on_a_thread,
                datetime.timedelta(days=days),
                config.scrub.bytes_per_second,
            )
        kinds = [*self._kinds(), *parts.more_tasks]
        self.tasks = TaskRunner(
            reactor, parts.catalog, kinds, lessee(), task_settings(config), is_stopping, measures=parts.metrics
        )

    def _kinds(self) -> Sequence[TaskKind]:
        """
        List what one of all daemons does.

        Every daemon has all of them, whatever its configuration: a kind that there is nothing to do for does nothing.
        """
        return [
            TaskKind("sweep", self._sweep, SWEEP_SECONDS, SWEEP_DEADLINE_SECONDS),
            TaskKind("tidy", self._tidy, TIDY_SECONDS),
            TaskKind("scrub", self._scrub, SCRUB_SECONDS, SCRUB_DEADLINE_SECONDS),
            TaskKind("forget_audit_entries", self._forget_audit_entries, FORGET_SECONDS),
            TaskKind("forget_ended_jobs", self._forget_ended_jobs, FORGET_SECONDS),
        ]

    def start(self) -> None:
        """Begin."""
        for task in self._own:
            task.startService()
        self.tasks.start()

    async def stop(self) -> None:
        """Begin no turn any more, and wait for those that run."""
        for stop in (self.tasks.stop, *(task.stopService for task in self._own)):
            try:
                await maybeDeferred(stop)
            except Exception:
                log.failure("stopping periodic work failed", event="daemon.stop_failed")

    async def recover(self) -> int:
        """Clear what dead processes left in the store; returns how many files."""
        return await self._parts.blobs.recover(partial(is_unpublished, self._parts.catalog))

    async def _sweep(self, turn: Turn) -> None:
        catalog, blobs = self._parts.catalog, self._parts.blobs
        report = await sweep(catalog, blobs, grace=SWEEP_GRACE, now=utc_now(), is_over=turn.is_over)
        log.info(
            "sweep removed {removed} blobs, {removed_bytes} bytes",
            removed=report.removed,
            removed_bytes=report.removed_bytes,
            event="sweep.done",
        )

    async def _on_a_thread(self, job: Callable[[], None]) -> None:
        await deferToThreadPool(self._reactor, self._reactor.getThreadPool(), job)

    async def _scrub(self, turn: Turn) -> None:
        if self._scrubbing is None:
            return
        ends_at = self._reactor.seconds() + SCRUB_TURN_SECONDS
        report = await self._scrubbing.go_on(turn.is_over, lambda: self._reactor.seconds() >= ends_at)
        if report is not None and report.is_whole:
            log.info(
                "all blobs were read, {damaged} are damaged",
                damaged=(await self._parts.catalog.find_scrub()).damaged,
                event="scrub.done",
            )

    async def _forget_ended_jobs(self, turn: Turn) -> None:
        while not turn.is_over() and await self._parts.catalog.forget_ended(FORGOTTEN_TOGETHER):
            pass

    async def _forget_audit_entries(self, turn: Turn) -> None:
        if not self._config.audit.keep_days:
            return
        before = utc_now() - datetime.timedelta(days=self._config.audit.keep_days)
        removed = await forget(self._parts.catalog, before, turn.is_over)
        if removed:
            log.info("{removed} old audit entries removed", removed=removed, event="audit.forgotten")

    async def _tidy(self, turn: Turn) -> None:
        ends_at = self._reactor.seconds() + TIDY_TURN_SECONDS
        self._tidying.after = int(turn.bookmark or 0)
        report = await self._tidying.go_on(lambda: turn.is_over() or self._reactor.seconds() >= ends_at)
        turn.bookmark = str(self._tidying.after or "")
        if report.builds:
            log.info(
                "{builds} old builds removed, {files} files, {file_bytes} bytes",
                builds=report.builds,
                files=report.files,
                file_bytes=report.file_bytes,
                event="tidy.done",
            )


def lessee() -> str:
    """Name this process, for those who look at tasks."""
    return f"{socket.gethostname()}:{os.getpid()}"
