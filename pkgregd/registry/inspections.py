"""
Archives are read in processes of their own, never here.

A few inspector processes take one archive each. What hostile bytes can do to one of them, be it to use
up its memory or its time, to crash it or to make it lie, is a refusal of that one upload.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from functools import partial
from threading import Thread
from typing import IO, Any, TypeVar

from twisted.internet.defer import Deferred, DeferredSemaphore, ensureDeferred
from twisted.internet.interfaces import IConsumer
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.threadpool import ThreadPool
from zope.interface import implementer

from pkgregd.clockwork import with_deadline
from pkgregd.errors import InvalidArchive, Unavailable
from pkgregd.inspector.wire import (
    INLINE_BYTES,
    JOB_BYTES,
    JOB_FILE,
    JOB_HEADER,
    JOB_READS,
    MAX_JOB_JSON_BYTES,
    REFUSAL,
    RESULT,
    BadAnswer,
    Refusal,
    frame,
    read_refusal,
    read_result,
)
from pkgregd.interfaces import IBlobSource, IInspections, Inspector
from pkgregd.registry.inspector_process import InspectionLimits, InspectorProcess, Job

T = TypeVar("T")
log = Logger()

PACKAGES = ("pkgregd.formats", "pkgregd.formatkit")
"""Where inspectors live."""

MAX_WAITING = 64
"""With more archives than this waiting for a process, uploads are asked to come back."""

MAX_WAIT_SECONDS = 30.0
MAX_JOBS = 1000
"""After so many archives a process makes room for a fresh one."""

IDLE_SECONDS = 300.0
CLOSE_SECONDS = 5.0


@implementer(IInspections)
class Inspections:
    """
    See IInspections.

    Processes are started when they are needed, used in turn, and ended after MAX_JOBS or IDLE_SECONDS.

    Args:
        reactor: provides IReactorProcess, IReactorFDSet, IReactorTime and IReactorFromThreads.
        packages: below which inspectors may live.
        max_jobs: see MAX_JOBS.
    """

    def __init__(
        self,
        reactor: Any,
        limits: InspectionLimits = InspectionLimits(),  # noqa: B008 - frozen
        *,
        packages: Collection[str] = PACKAGES,
        max_jobs: int = MAX_JOBS,
    ) -> None:
        self._reactor = reactor
        self._limits = limits
        self._packages = packages
        self._max_jobs = max_jobs
        self._turns = DeferredSemaphore(limits.processes)
        self._pool = ThreadPool(0, limits.processes, name="inspections")
        self._pool.threadFactory = _ReadingThread
        self._living: set[InspectorProcess] = set()
        self._idle: list[InspectorProcess] = []
        self._retirement: Any = None
        self._reading_count = 0
        self._is_closed = False

    async def run(
        self, source: IBlobSource, inspector: Inspector, arguments: Mapping[str, object]
    ) -> Mapping[str, object]:
        """See IInspections."""
        request = json.dumps([self._address(inspector), arguments]).encode()
        if len(request) > MAX_JOB_JSON_BYTES:
            raise ValueError("the arguments of an inspector are too long")
        await self._take_turn()
        try:
            return await self._inspect(source, request)
        finally:
            self._turns.release()

    def _address(self, inspector: Inspector) -> str:
        module, name = inspector.__module__, inspector.__qualname__
        if not any(module.startswith(f"{package}.") for package in self._packages) or not name.isidentifier():
            raise ValueError(f"{module}:{name} is not a function that reads archives")
        return f"{module}:{name}"

    async def _take_turn(self) -> None:
        """Wait until fewer archives than processes are being read."""
        if self._is_closed:
            raise Unavailable("the daemon is stopping")
        if len(self._turns.waiting) >= MAX_WAITING:
            raise Unavailable("too many archives are being read")
        busy = partial(Unavailable, "too many archives are being read")
        turn = self._turns.acquire()
        if not turn.called:
            await with_deadline(self._reactor, MAX_WAIT_SECONDS, turn, busy)

    async def _inspect(self, source: IBlobSource, request: bytes) -> Mapping[str, object]:
        if self._is_closed:
            raise Unavailable("the daemon is stopping")
        content = await self._open(source)
        try:
            process = await self._ready_process()
            try:
                kind, payload = await process.ask(self._job(source, request, content))
                outcome = _outcome(kind, payload)
            except BadAnswer:
                process.kill()
                log.error("an inspector gave an answer that is none", event="inspection.bad_answer")
                raise InvalidArchive("the archive cannot be read") from None
            except BaseException:
                process.kill()
                if self._is_closed:
                    raise Unavailable("the daemon is stopping") from None
                raise
        finally:
            if not isinstance(content, bytes):
                content.close()
        if isinstance(outcome, Refusal):
            if outcome.is_out_of_memory:
                process.kill()  # what it still holds is not worth having
            else:
                self._keep(process)
            raise outcome.error
        self._keep(process)
        return outcome

    # ------------------------------------------------------------------ the archive

    async def _open(self, source: IBlobSource) -> bytes | IO[bytes]:
        """Have the bytes of a small archive; open a great one, on a thread because that may block."""
        if source.info.size_bytes <= INLINE_BYTES:
            collector = _Collector()
            await source.push_to(collector)
            return b"".join(collector.pieces)
        return await self._on_thread(source.open_seekable)

    def _job(self, source: IBlobSource, request: bytes, content: bytes | IO[bytes]) -> Job:
        size_bytes = source.info.size_bytes
        head = JOB_HEADER.pack(len(request), size_bytes) + request
        if isinstance(content, bytes):
            return Job(frame(JOB_BYTES, head + content), None, _read_nothing, 0)
        try:
            return Job(frame(JOB_FILE, head), content.fileno(), _read_nothing, 0)
        except OSError:  # it is in no file of this host

            async def read(offset: int, length: int) -> bytes:
                return await self._on_thread(partial(_read_at, content, offset, length))

            return Job(frame(JOB_READS, head), None, read, size_bytes)

    def _on_thread(self, job: Callable[[], T]) -> Deferred[T]:
        if not self._pool.started:
            self._pool.start()

        def counted() -> T:
            try:
                return job()
            finally:
                self._reactor.callFromThread(self._done_reading)

        self._reading_count += 1
        return deferToThreadPool(self._reactor, self._pool, counted)

    def _done_reading(self) -> None:
        self._reading_count -= 1

    # ------------------------------------------------------------------ the processes

    async def _ready_process(self) -> InspectorProcess:
        """Take an idle process, the one used last, or start one."""
        while self._idle:
            process = self._idle.pop()
            if process.is_ready():
                return process  # of one that is not the reactor hears soon, and ends it
        if self._is_closed:
            raise Unavailable("the daemon is stopping")
        process = InspectorProcess(self._reactor, self._limits, self._living.discard)
        self._living.add(process)
        try:
            await process.start()
        except BadAnswer:
            process.kill()
            raise Unavailable("archives cannot be read at the moment") from None
        except BaseException:
            process.kill()
            raise
        return process

    def _keep(self, process: InspectorProcess) -> None:
        if self._is_closed or process.job_count >= self._max_jobs:
            process.kill()
            return
        process.idle_since_seconds = self._reactor.seconds()
        self._idle.append(process)
        if self._retirement is None:
            self._retirement = self._reactor.callLater(IDLE_SECONDS, self._retire)

    def _retire(self) -> None:
        """End the processes that have been idle for long; come again if there are others."""
        self._retirement = None
        now_seconds = self._reactor.seconds()
        kept = []
        for process in self._idle:
            if now_seconds - process.idle_since_seconds >= IDLE_SECONDS:
                process.kill()
            else:
                kept.append(process)
        self._idle = kept
        if kept:
            self._retirement = self._reactor.callLater(IDLE_SECONDS, self._retire)

    async def close(self) -> None:
        """See IInspections."""
        self._is_closed = True
        if self._retirement is not None:
            self._retirement.cancel()
            self._retirement = None
        self._idle.clear()
        for process in list(self._living):
            process.kill()
        for process in list(self._living):
            await self._wait_ended(process)
        if self._pool.started and not self._reading_count:
            self._pool.stop()

    async def _wait_ended(self, process: InspectorProcess) -> None:
        def stuck() -> Exception:
            return Unavailable("a killed inspector does not end")

        await with_deadline(self._reactor, CLOSE_SECONDS, ensureDeferred(process.wait_ended()), stuck)


class _ReadingThread(Thread):
    """Ends with the daemon at the latest, even if a store keeps it."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options, daemon=True)


def _outcome(kind: int, payload: bytes) -> Mapping[str, object] | Refusal:
    if kind == RESULT:
        return read_result(payload)
    if kind == REFUSAL:
        return read_refusal(payload)
    raise BadAnswer


def _read_at(file: IO[bytes], offset: int, size_bytes: int) -> bytes:
    file.seek(offset)
    return file.read(size_bytes)


async def _read_nothing(offset: int, size_bytes: int) -> bytes:
    raise BadAnswer


@implementer(IConsumer)
class _Collector:
    """Keeps the bytes of a small archive."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    def registerProducer(self, producer: object, streaming: bool) -> None:
        """See IConsumer: nothing is paused."""

    def unregisterProducer(self) -> None:
        """See IConsumer: nothing is kept."""

    def write(self, data: bytes) -> None:
        """See IConsumer."""
        self.pieces.append(data)
