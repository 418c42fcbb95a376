"""
What a daemon does from time to time, beside the requests.

Each turn may be cut short by a stop; the next one goes on with what is left.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import maybeDeferred
from twisted.logger import Logger

from pkgregd.auth.tokenuses import WRITE_SECONDS, TokenUses
from pkgregd.clockwork import PeriodicTask, utc_now
from pkgregd.config import Config
from pkgregd.parts import Parts
from pkgregd.registry.events import LogEvents
from pkgregd.registry.quotas import RENEWAL_SECONDS
from pkgregd.registry.remotes import Remotes
from pkgregd.registry.sweep import sweep
from pkgregd.registry.tidy import Tidying, rules_of
from pkgregd.registry.trail import forget

log = Logger()

RECOVERY_SECONDS = 3600.0
SWEEP_SECONDS = 3600.0
SWEEP_GRACE = datetime.timedelta(hours=24)
FORGET_SECONDS = 300.0
TIDY_SECONDS = 300.0
TIDY_TURN_SECONDS = 10.0
"""How long one turn of the removal of builds goes on; the next one goes on where it ended."""


class Chores:
    """
    The periodic work of one daemon.

    Args:
        is_stopping: whether the daemon is about to end, which ends a turn early.
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
        self._is_stopping = is_stopping
        self._tasks = [
            PeriodicTask(reactor, RECOVERY_SECONDS, self.recover, "clearing staging files"),
            PeriodicTask(reactor, SWEEP_SECONDS, self._sweep, "sweeping blobs"),
            PeriodicTask(reactor, WRITE_SECONDS, uses.write, "noting when tokens were used"),
            PeriodicTask(reactor, FORGET_SECONDS, parts.catalog.forget_ended, "forgetting jobs that ended"),
            PeriodicTask(reactor, RENEWAL_SECONDS, remotes.quotas.renew, "renewing reservations"),
        ]
        if config.audit.keep_days:
            self._tasks.append(PeriodicTask(reactor, FORGET_SECONDS, self._forget, "removing old audit entries"))
        rules = rules_of(parts.formats, parts.limits_by_format)
        if rules:
            self._tidying = Tidying(parts.catalog, rules, remotes.pages.run, events.emit, utc_now)
            self._tasks.append(PeriodicTask(reactor, TIDY_SECONDS, self._tidy, "removing old builds"))

    def start(self) -> None:
        """Begin."""
        for task in self._tasks:
            task.startService()

    async def stop(self) -> None:
        """Begin no turn any more, and wait for those that run."""
        for task in self._tasks:
            try:
                await maybeDeferred(task.stopService)
            except Exception:
                log.failure("stopping periodic work failed", event="daemon.stop_failed")

    async def recover(self) -> int:
        """Clear what dead processes left in the store; returns how many files."""
        return await self._parts.blobs.recover(self._parts.catalog.forget_blob)

    async def _sweep(self) -> None:
        report = await sweep(self._parts.catalog, self._parts.blobs, grace=SWEEP_GRACE, now=utc_now())
        log.info(
            "sweep removed {removed} blobs, {removed_bytes} bytes",
            removed=report.removed,
            removed_bytes=report.removed_bytes,
            event="sweep.done",
        )

    async def _forget(self) -> None:
        before = utc_now() - datetime.timedelta(days=self._config.audit.keep_days)
        removed = await forget(self._parts.catalog, before, self._is_stopping)
        if removed:
            log.info("{removed} old audit entries removed", removed=removed, event="audit.forgotten")

    async def _tidy(self) -> None:
        ends_at = self._reactor.seconds() + TIDY_TURN_SECONDS
        report = await self._tidying.go_on(lambda: self._is_stopping() or self._reactor.seconds() >= ends_at)
        if report.builds:
            log.info(
                "{builds} old builds removed, {files} files, {file_bytes} bytes",
                builds=report.builds,
                files=report.files,
                file_bytes=report.file_bytes,
                event="tidy.done",
            )
