"""One inspector process, as the daemon sees it: started, asked, killed, reaped."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import sys
from array import array
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from attrs import frozen
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.interfaces import IReadDescriptor
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from pkgregd.clockwork import with_deadline
from pkgregd.errors import InvalidArchive, Unavailable
from pkgregd.inspector.wire import (
    DATA,
    HEADER,
    MAX_ANSWER_BYTES,
    MAX_READ_BYTES,
    MAX_TO_INSPECTOR_BYTES,
    NO_DATA,
    READ,
    READ_HEADER,
    READY,
    BadAnswer,
    frame,
)

log = Logger()

START_SECONDS = 30.0
MAX_ERROR_OUTPUT_BYTES = 4096
"""What is kept of a process's standard error, for the log."""

_READ_BYTES = 64 << 10

BOOTSTRAP = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from pkgregd.inspector.worker import main; main(*sys.argv[2:])"
)
"""Isolated from the environment, the process still imports what the daemon does, from the same places."""


@frozen
class InspectionLimits:
    """
    What reading archives may cost.

    Attributes:
        processes: how many archives are read at once.
        memory_bytes: address space of a process, beyond what it has before it reads anything.
        cpu_seconds: processor time for one archive.
        deadline_seconds: for one archive, by the clock.
    """

    processes: int = 2
    memory_bytes: int = 512 << 20
    cpu_seconds: int = 10
    deadline_seconds: float = 30.0


@frozen
class Job:
    """
    What is asked of an inspector.

    Attributes:
        frame: of one of the JOB kinds.
        fd: of the archive, for JOB_FILE; it stays the caller's.
        read: gives a piece of the archive by offset and length, for JOB_READS.
        size_bytes: of the archive.
    """

    frame: bytes
    fd: int | None
    read: Callable[[int, int], Awaitable[bytes]]
    size_bytes: int


@implementer(IReadDescriptor)
class InspectorProcess(ProcessProtocol):
    """
    A process and our end of its socket.

    A frame to it is at most MAX_TO_INSPECTOR_BYTES and is sent when the process has read everything
    before: so it fits into the socket's buffer, and one that does not shows a process that is broken.

    Args:
        reactor: provides IReactorProcess, IReactorFDSet and IReactorTime.
        on_end: called with this when the process is gone and reaped.

    Attributes:
        job_count: jobs begun.
        idle_since_seconds: reactor time, for whoever keeps it.
    """

    def __init__(self, reactor: Any, limits: InspectionLimits, on_end: Callable[[InspectorProcess], None]) -> None:
        self.job_count = 0
        self.idle_since_seconds = 0.0
        self._reactor = reactor
        self._limits = limits
        self._on_end = on_end
        self._socket: socket.socket | None = None
        self._received = bytearray()
        self._frame: Deferred[tuple[int, bytes] | None] | None = None
        self._error_output = b""
        self._is_wanted = True
        self._has_ended = True
        self._ends: list[Deferred[None]] = []
        self._status: BaseException | None = None

    # ------------------------------------------------------------------ life

    async def start(self) -> None:
        """
        Start the process and wait until its limits are set. Called once.

        Raises:
            Unavailable: the system has no room for a process, or it does not come up.
        """
        try:
            self._spawn()
        except OSError as error:
            self._close()
            self._on_end(self)
            log.error("no inspector can be started: {why}", why=str(error), event="inspection.no_process")
            raise Unavailable("archives cannot be read at the moment") from error
        slow = partial(Unavailable, "archives cannot be read at the moment")
        kind, _ = await with_deadline(self._reactor, START_SECONDS, ensureDeferred(self._next_frame()), slow)
        if kind != READY:
            raise BadAnswer

    def _spawn(self) -> None:
        path = json.dumps([entry for entry in sys.path if entry.startswith("/")])
        numbers = (str(self._limits.memory_bytes), str(self._limits.cpu_seconds))
        command = [sys.executable, "-I", "-B", "-c", BOOTSTRAP, path, *numbers]
        self._socket, other_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with other_end:
            self._socket.setblocking(False)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * MAX_TO_INSPECTOR_BYTES)
            # without a path Twisted need not fork the whole daemon; the process goes to / by itself
            self._reactor.spawnProcess(self, sys.executable, command, env={}, childFDs={0: other_end.fileno(), 2: "r"})
        self._has_ended = False
        self._reactor.addReader(self)

    def is_ready(self) -> bool:
        """Whether the process waits for a job, as far as can be known."""
        if self._socket is None:
            return False
        try:
            self._socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            pass
        return False  # its end is closed, or it said what nobody asked for

    def kill(self) -> None:
        """End a process that is not needed any more; it is reaped soon. Any number of times."""
        self._is_wanted = False
        self._end()

    def _end(self) -> None:
        self._close()
        if not self._has_ended:
            assert self.transport is not None
            with contextlib.suppress(ProcessExitedAlready):
                self.transport.signalProcess("KILL")

    async def wait_ended(self) -> None:
        """Wait until the process is gone and reaped."""
        if not self._has_ended:
            end: Deferred[None] = Deferred()
            self._ends.append(end)
            await end  # cancelled, it is passed over when the time comes

    def _close(self) -> None:
        if self._socket is not None:
            self._reactor.removeReader(self)
            self._socket.close()
            self._socket = None

    def errReceived(self, data: bytes) -> None:
        """Keep the beginning of what the process says before it dies."""
        self._error_output = (self._error_output + data)[:MAX_ERROR_OUTPUT_BYTES]

    def processEnded(self, reason: Failure) -> None:
        """See ProcessProtocol: it is reaped, and its pipe is closed."""
        self._has_ended = True
        self._status = reason.value
        self._close()
        if self._is_wanted:
            log.warn(
                "an inspector died: {status}; it said {said!a}",
                status=str(self._status),
                said=self._error_output.decode(errors="replace"),
                event="inspection.died",
            )
        self._fire(None)
        self._on_end(self)
        for end in self._ends:
            if not end.called:
                end.callback(None)

    # ------------------------------------------------------------------ one job

    async def ask(self, job: Job) -> tuple[int, bytes]:
        """
        Have a job done.

        Returns:
            Kind and payload of the answer, unchecked. After anything that is raised, or a cancellation,
            the process is of no more use.

        Raises:
            InvalidArchive: the process died over it, or it took too long.
            BadAnswer: the process does not speak as an inspector does.
            and what job.read raises.
        """
        self.job_count += 1
        slow = partial(InvalidArchive, "the archive takes too long to read")
        return await with_deadline(
            self._reactor, self._limits.deadline_seconds, ensureDeferred(self._converse(job)), slow
        )

    async def _converse(self, job: Job) -> tuple[int, bytes]:
        rights = [] if job.fd is None else [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", [job.fd]))]
        self._send(job.frame, rights)
        while True:
            kind, payload = await self._next_frame()
            if kind != READ:
                return kind, payload
            await self._read_for_it(job, payload)

    async def _read_for_it(self, job: Job, payload: bytes) -> None:
        """Answer one READ."""
        if len(payload) != READ_HEADER.size:
            raise BadAnswer
        offset, size_bytes = READ_HEADER.unpack(payload)
        if not 0 < size_bytes <= MAX_READ_BYTES or offset + size_bytes > job.size_bytes:
            raise BadAnswer
        data = await job.read(offset, size_bytes)
        self._send(frame(DATA, data) if len(data) == size_bytes else frame(NO_DATA))

    def _send(self, data: bytes, rights: list[tuple[int, int, Any]] | None = None) -> None:
        try:
            is_sent = self._socket is not None and self._socket.sendmsg([data], rights or []) == len(data)
        except OSError:
            is_sent = False
        if not is_sent:
            self._end()  # so the next frame never comes, and why it died is what is told

    async def _next_frame(self) -> tuple[int, bytes]:
        """
        Wait for a frame.

        Raises:
            InvalidArchive, Unavailable: the process died at its job, or before it was ready.
            BadAnswer: a frame that is too long, or more than one.
        """
        if self._socket is not None:
            self._frame = Deferred()
            found = await self._frame
            if found is not None:
                return found
        raise await self._post_mortem()

    async def _post_mortem(self) -> Exception:
        self._end()
        await self.wait_ended()
        if not self.job_count:
            return Unavailable("archives cannot be read at the moment")
        if getattr(self._status, "signal", None) == signal.SIGXCPU:
            return InvalidArchive("the archive takes too long to read")
        return InvalidArchive("the archive cannot be read")

    # ------------------------------------------------------------------ the reactor's side

    def fileno(self) -> int:
        """See IReadDescriptor."""
        return -1 if self._socket is None else self._socket.fileno()

    def logPrefix(self) -> str:
        """See IReadDescriptor."""
        return "inspector"

    def connectionLost(self, reason: Failure) -> None:
        """See IReadDescriptor: the other end is gone."""
        self._lose()

    def doRead(self) -> None:
        """See IReadDescriptor. Takes one piece of an answer."""
        if self._socket is None:
            return
        try:
            data = self._socket.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data or self._frame is None:
            self._lose()
            return
        self._received += data
        if len(self._received) < HEADER.size:
            return
        kind, size_bytes = HEADER.unpack_from(self._received)
        missing_bytes = HEADER.size + size_bytes - len(self._received)
        if size_bytes > MAX_ANSWER_BYTES or missing_bytes < 0:
            self._fire(Failure(BadAnswer()))
        elif not missing_bytes:
            payload = bytes(self._received[HEADER.size :])
            self._received.clear()
            self._fire((kind, payload))

    def _lose(self) -> None:
        """Nothing more comes: the process is dying, or speaks out of turn."""
        self._end()
        self._fire(None)

    def _fire(self, outcome: Any) -> None:
        waiting, self._frame = self._frame, None
        if waiting is not None and not waiting.called:
            waiting.callback(outcome)
