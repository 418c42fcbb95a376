"""
The worker processes of one configuration, and what they and their supervisor say to each other.

    supervisor to worker    standard input, lines: the orders (JSON), then `announce` and `drain`; its end means that
                            the supervisor is gone, and is taken for `drain`
    worker to supervisor    standard output, lines of JSON: ["alive"] now and then, ["ready"], ["refused", reason],
                            and ["log", time, level, system, text]
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from twisted.internet.defer import Deferred, FirstError, ensureDeferred, gatherResults
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.interfaces import IProcessTransport
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.task import LoopingCall, deferLater
from twisted.logger import Logger, LogLevel, globalLogPublisher
from twisted.python.failure import Failure

from pkgregd.clockwork import start
from pkgregd.config import Config
from pkgregd.errors import Unavailable
from pkgregd.listening import Port
from pkgregd.metrics.workers import forget_process

log = Logger()

FIRST_SOCKET = 3
ALIVE_SECONDS = 5.0
"""How often a worker says that its reactor turns."""

SILENT_SECONDS = 30.0
"""How long a worker may say nothing before it counts as dead."""

FIRST_SILENT_SECONDS = 120.0
"""The same before its reactor turns: it imports and opens everything first."""

QUICK_SECONDS = 5.0
"""A worker that dies younger than this, or before it is ready, is replaced after a pause, which doubles each time."""

FIRST_PAUSE_SECONDS = 0.5
MAX_PAUSE_SECONDS = 30.0
TRIES = 3
"""How often a new crew's worker may die before any was ready."""

LATE_SECONDS = 15.0
"""How long after the end of its grace a worker is waited for before it is killed."""

FORGET_SECONDS = 0.5
"""After what time it is tried again to put away what a worker measured."""

MAX_LINE_BYTES = 64 << 20
"""What a worker may say at once; many lines of the log come together."""


class WorkerDied(Exception):
    """A worker ended before it was ready; the text says why, if it said so itself."""


class WorkerProcess(ProcessProtocol):
    """
    One worker, from its start to its end.

    Args:
        orders: told first of all.

    Attributes:
        ready: fires when it serves; fails with WorkerDied.
        ended: fires when it is gone.
        is_awake: whether its reactor turns.
        silent_seconds: since it said anything, as far as its crew has counted.
        end: how it ended, for people.
    """

    transport: IProcessTransport

    def __init__(self, number: int, orders: Mapping[str, object]) -> None:
        self.number = number
        self.ready: Deferred[None] = Deferred()
        self.ended: Deferred[None] = Deferred()
        self.is_ready = False
        self.is_awake = False
        self.is_gone = False
        self.silent_seconds = 0.0
        self.end = ""
        self._orders = orders
        self._refusal = ""
        self._out, self._err = b"", b""

    def connectionMade(self) -> None:
        """Give it its orders."""
        self.tell(json.dumps(self._orders))

    def tell(self, line: str) -> None:
        """Say one line."""
        if not self.is_gone:
            with contextlib.suppress(KeyError):  # it is dying: its pipe is closed already
                self.transport.writeToChild(0, line.encode() + b"\n")

    def kill(self) -> None:
        """End it at once."""
        if not self.is_gone:
            with contextlib.suppress(ProcessExitedAlready):
                self.transport.signalProcess("KILL")

    def outReceived(self, data: bytes) -> None:
        """Take what it says."""
        self.silent_seconds = 0.0
        *lines, self._out = (self._out + data).split(b"\n")
        for line in lines:
            self._take(line)
        if len(self._out) > MAX_LINE_BYTES:
            self._out = b""

    def errReceived(self, data: bytes) -> None:
        """Log what it, or a library, writes past the log."""
        *lines, self._err = (self._err + data).split(b"\n")
        for line in lines:
            self._log_raw(line)

    def _log_raw(self, line: bytes) -> None:
        text = line.decode("utf-8", "replace")
        log.warn("worker {number}: {text}", number=self.number, text=text, event="worker.stderr")

    def _take(self, line: bytes) -> None:
        try:
            message = json.loads(line)
            kind = message[0]
            if kind == "log":
                self._relay(*message[1:])
            elif kind == "alive":
                self.is_awake = True
            elif kind == "ready":
                self.is_ready = True
                self.ready.callback(None)
            elif kind == "refused":
                self._refusal = message[1]
        except (ValueError, TypeError, LookupError):
            self._log_raw(line)

    def _relay(self, at: float, level: str, system: str, text: str) -> None:
        """Log an event of the worker's as if it had happened here, with its time and the worker's number."""
        globalLogPublisher(
            {
                "log_time": at,
                "log_level": LogLevel.levelWithName(level),
                "log_namespace": system,
                "log_system": f"{self.number} {system}#{level}",
                "log_format": "{log_text}",
                "log_text": text,
                "worker": self.number,
            }
        )

    def processEnded(self, reason: Failure) -> None:
        """It is gone."""
        self.is_gone = True
        self.end = self._refusal or _told_end(reason.value)
        for rest in filter(None, (self._out, self._err)):
            self._log_raw(rest)
        if not self.is_ready:
            self.ready.errback(WorkerDied(self.end))
        self.ended.callback(None)

    @property
    def has_refused(self) -> bool:
        """Whether it found a reason that trying again does not remove."""
        return bool(self._refusal)


def _told_end(status: BaseException | None) -> str:
    """Say how a process ended."""
    number = getattr(status, "signal", None)
    if number is not None:
        return f"it was ended by signal {number}"
    return f"it exited with status {getattr(status, 'exitCode', None) or 0}"


class Crew:
    """
    The workers of one configuration: each that dies is replaced.

    Args:
        ports: whose sockets they get.
        state: folder of what they share.
        is_beside: whether another crew serves until this one has started: its workers take nothing before they are
            ready then, and refuse what they cannot serve with.
    """

    def __init__(
        self, reactor: Any, config: Config, ports: Sequence[Port], state: pathlib.Path, *, is_beside: bool = False
    ) -> None:
        self._reactor = reactor
        self._config = config
        self._ports = list(ports)
        self._state = state
        self._is_beside = is_beside
        self._workers: dict[int, WorkerProcess] = {}
        self._is_closing = False
        self._keeping: list[Deferred[Any]] = []

    async def start(self) -> None:
        """
        Start them: the first one alone, so that what is wrong with all is said once.

        Raises:
            Unavailable: they do not become ready. Those that are serve already: drain() is needed.
        """
        try:
            await self._keep(0)
            others = [ensureDeferred(self._keep(slot)) for slot in range(1, self._config.http.workers)]
            await gatherResults(others, consumeErrors=True)
        except FirstError as error:
            self._give_up()
            error.subFailure.raiseException()
        except Unavailable:
            self._give_up()
            raise
        self._is_beside = False

    async def _keep(self, slot: int) -> None:
        """Have a worker in a slot, and see to it that there is one from now on."""
        for attempt in range(1, TRIES + 1):
            try:
                worker = self._spawn(slot)
                await worker.ready
            except OSError as error:
                raise Unavailable(f"no process can be started: {error}") from None
            except WorkerDied as error:
                if worker.has_refused:
                    raise Unavailable(str(error)) from None
                if attempt == TRIES or self._is_closing:
                    raise Unavailable(f"worker {slot + 1} ended {attempt} times before it was ready: {error}") from None
            else:
                self._keeping.append(start(self._replace(slot, worker), f"keeping worker {slot + 1}"))
                return

    async def _replace(self, slot: int, worker: WorkerProcess) -> None:
        pause_seconds, began_at = 0.0, self._reactor.seconds()
        while True:
            await worker.ended
            if self._is_closing:
                return
            is_quick = not worker.is_ready or self._reactor.seconds() - began_at < QUICK_SECONDS
            pause_seconds = min(max(2 * pause_seconds, FIRST_PAUSE_SECONDS), MAX_PAUSE_SECONDS) if is_quick else 0.0
            log.error(
                "worker {number} is gone, and is replaced: {reason}",
                number=worker.number,
                reason=worker.end,
                event="worker.replaced",
            )
            if pause_seconds:
                await deferLater(self._reactor, pause_seconds)
                if self._is_closing:  # changed while it paused
                    return
            began_at = self._reactor.seconds()
            try:
                worker = self._spawn(slot)
            except OSError as error:  # another time it may be had; until then the dead one stands for it
                worker.end, worker.is_ready = f"no process can be started: {error}", False
            else:
                worker.ready.addErrback(lambda failure: None)

    def _spawn(self, slot: int) -> WorkerProcess:
        if self._is_closing:
            raise Unavailable("the daemon is stopping")
        sockets = [[FIRST_SOCKET + index, port.doorway.family] for index, port in enumerate(self._ports)]
        orders = {
            "number": slot + 1,
            "file": self._config.file,
            "folder": str(self._config.folder),
            "text": self._config.text,
            "sockets": sockets,
            "is_beside": self._is_beside,
            "due_times": str(self._state / "limits"),
        }
        worker = WorkerProcess(slot + 1, orders)
        descriptors: dict[int, Any] = {0: "w", 1: "r", 2: "r"}
        descriptors |= {FIRST_SOCKET + index: port.number for index, port in enumerate(self._ports)}
        environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(self._state / "metrics")}
        transport = self._reactor.spawnProcess(
            worker,
            sys.executable,
            [sys.executable, "-P", "-m", "pkgregd.worker"],
            env=environment,
            path=None,
            childFDs=descriptors,
        )
        self._workers[slot] = worker
        listening = LoopingCall(self._listen, worker)
        listening.clock = self._reactor
        listening.start(ALIVE_SECONDS, now=False)
        pid = transport.pid

        def gone(_: object) -> None:
            listening.stop()
            self._forget(pid)
            if self._workers.get(slot) is worker:
                del self._workers[slot]

        worker.ended.addCallback(gone)
        return worker

    def _forget(self, pid: int) -> None:
        """Have what a worker measured at last added to what others did; that may have to wait for a page."""
        if not forget_process(self._state / "metrics", pid):
            self._reactor.callLater(FORGET_SECONDS, self._forget, pid)

    def _listen(self, worker: WorkerProcess) -> None:
        """Count how long a worker has said nothing, by looks at it: a halt of this process is none of the worker's."""
        worker.silent_seconds += ALIVE_SECONDS
        if worker.silent_seconds > (SILENT_SECONDS if worker.is_awake else FIRST_SILENT_SECONDS):
            log.error("worker {number} hangs, and is killed", number=worker.number, event="worker.hangs")
            worker.kill()

    # ------------------------------------------------------------------ the end

    def announce_stop(self) -> None:
        """Have them say that they are not ready any more."""
        for worker in self._workers.values():
            worker.tell("announce")

    def _give_up(self) -> None:
        """Start no more of them, and end those that serve nobody yet."""
        self._is_closing = True
        for worker in self._workers.values():
            if not worker.is_ready:
                worker.kill()

    async def drain(self) -> None:
        """Have them take no connection any more, finish, and end; waits for that."""
        self._is_closing = True
        workers = list(self._workers.values())
        for worker in workers:
            worker.tell("drain")
        late = self._reactor.callLater(self._config.http.shutdown_grace_seconds + LATE_SECONDS, self.kill)
        for worker in workers:
            await worker.ended
        if late.active():
            late.cancel()

    def kill(self) -> None:
        """End them at once."""
        self._is_closing = True
        for worker in list(self._workers.values()):
            worker.kill()
