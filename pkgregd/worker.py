"""
A worker process: a daemon that listens on sockets of its supervisor. See pkgregd.crew for what they say.

    python -m pkgregd.worker        for the supervisor alone; orders come by standard input
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import pathlib
import shutil
import signal
import socket
import sys
import threading
from typing import Any

from twisted.internet.interfaces import IReadDescriptor
from twisted.internet.task import LoopingCall
from twisted.logger import (
    ILogObserver,
    LogEvent,
    Logger,
    LogLevel,
    formatEvent,
    globalLogBeginner,
    globalLogPublisher,
)
from zope.interface import implementer

from pkgregd.clockwork import go_by_steady_time, start
from pkgregd.config import parse
from pkgregd.crew import ALIVE_SECONDS
from pkgregd.errors import PkgregdError
from pkgregd.listening import Door, Port, adopt_socket, read_doorways
from pkgregd.process import SWITCH_SECONDS
from pkgregd.secrecy import install as install_secrecy
from pkgregd.service import Daemon
from pkgregd.shared.duetimes import open_due_times

log = Logger()

LEVELS = {level.name for level in LogLevel.iterconstants()}


class Voice:
    """
    Says things to the supervisor, a line each.

    Args:
        number: an open file, for nobody else to write to.
    """

    def __init__(self, number: int) -> None:
        self._number = number
        self._turn = threading.Lock()  # threads log, too, and a pipe takes long lines piece by piece

    def say(self, *message: object) -> None:
        """Say one thing; nobody hears it if the supervisor is gone."""
        data = json.dumps(message).encode() + b"\n"
        with self._turn, contextlib.suppress(OSError):
            while data:
                data = data[os.write(self._number, data) :]


@implementer(ILogObserver)
class RelayObserver:
    """Hands events to the supervisor, which has the log."""

    def __init__(self, voice: Voice) -> None:
        self._voice = voice

    def __call__(self, event: LogEvent) -> None:
        """Hand over one event as text."""
        text = formatEvent(event)
        if (failure := event.get("log_failure")) is not None:
            text = f"{text}\n{failure.getTraceback()}" if text else failure.getTraceback()
        if not text:
            return
        level = getattr(event.get("log_level"), "name", "info")
        system = event.get("log_system") or event.get("log_namespace") or "-"
        self._voice.say("log", event.get("log_time", 0.0), level if level in LEVELS else "info", str(system), text)


@implementer(IReadDescriptor)
class Worker:
    """
    One worker.

    Args:
        orders: see pkgregd.crew.
    """

    def __init__(self, reactor: Any, voice: Voice, orders: Any) -> None:
        self._reactor = reactor
        self._voice = voice
        self._orders = orders
        self._ports: list[Port] = []
        self._heard = b""
        self._daemon: Daemon | None = None
        self._is_listening = False
        self._is_ending = False
        self._is_orphan = False

    def open(self) -> None:
        """Open everything, and listen on the sockets; PkgregdError if that cannot be."""
        orders = self._orders
        config = parse(orders["text"], pathlib.Path(orders["folder"]), orders["file"])
        due_times = open_due_times(pathlib.Path(orders["due_times"]))
        self._daemon = daemon = Daemon(self._reactor, config, due_times=due_times)
        daemon.open()
        doorways = read_doorways(config.http.listen, are_held=True)
        for doorway, (number, family) in zip(doorways, orders["sockets"], strict=True):
            door = Door(doorway.dressed(daemon.factory))
            port = adopt_socket(self._reactor, number, socket.AddressFamily(family), door)
            port.stopReading()  # type: ignore[attr-defined]  # every port of a reactor has it
            self._ports.append(Port(doorway, port, door))
            os.close(number)
        if not orders["is_beside"]:
            self._listen()

    def _listen(self) -> None:
        self._is_listening = True
        for port in self._ports:
            port.port.startReading()  # type: ignore[attr-defined]  # every port of a reactor has it

    async def begin(self) -> None:
        """Become ready."""
        assert self._daemon is not None
        alive = LoopingCall(self._voice.say, "alive")
        alive.clock = self._reactor
        alive.start(ALIVE_SECONDS)
        await start(self._daemon.start(), "clearing staging files")
        if not self._is_listening and not self._is_ending:
            if reasons := await self._daemon.readiness():
                self._voice.say("refused", "; ".join(reasons))
                self.end()
                return
            self._listen()
        self._voice.say("ready")

    # ------------------------------------------------------------------ the supervisor's voice

    def fileno(self) -> int:
        """See IReadDescriptor."""
        return 0

    def logPrefix(self) -> str:
        """See IReadDescriptor."""
        return "worker"

    def doRead(self) -> None:
        """See IReadDescriptor: hear what is to be done."""
        try:
            data = os.read(0, 4096)
        except BlockingIOError:
            return
        *lines, self._heard = (self._heard + data).split(b"\n")
        if not data:
            self._reactor.removeReader(self)
            self.connectionLost(None)
        for line in lines:
            if line == b"announce" and self._daemon is not None:
                self._daemon.announce_stop()
            elif line == b"drain":
                self.end()

    def connectionLost(self, reason: object) -> None:
        """See IReadDescriptor: the supervisor is gone."""
        self._is_orphan = True
        self.end()

    def end(self) -> None:
        """Take no connection any more, finish, and end."""
        if not self._is_ending:
            self._is_ending = True
            start(self._end(), "ending")

    async def _end(self) -> None:
        for port in self._ports if self._is_listening else []:
            port.take_waiting()
        for port in self._ports:
            await port.close()
        if self._daemon is not None:
            await self._daemon.close()
        if self._is_orphan:  # the supervisor's folder has nobody else to remove it
            shutil.rmtree(pathlib.Path(self._orders["due_times"]).parent, ignore_errors=True)
        self._reactor.stop()


def main() -> None:
    """Be a worker until told to end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the supervisor's, which tells
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    voice = Voice(os.dup(1))
    os.dup2(2, 1)  # what writes there by itself is no line of ours
    orders = json.loads(_first_line())
    sys.setswitchinterval(SWITCH_SECONDS)
    install_secrecy(globalLogPublisher)
    globalLogBeginner.beginLoggingTo([RelayObserver(voice)], redirectStandardIO=False)
    from twisted.internet import reactor

    go_by_steady_time(reactor)
    worker = Worker(reactor, voice, orders)
    try:
        worker.open()
    except PkgregdError as error:
        voice.say("refused", str(error))
        raise SystemExit(1) from None
    os.set_blocking(0, False)
    reactor.addReader(worker)
    reactor.callWhenRunning(_running, reactor, worker)
    reactor.run()


def _running(reactor: Any, worker: Worker) -> None:
    gc.collect()
    gc.freeze()
    signal.signal(signal.SIGTERM, lambda number, frame: reactor.callFromThread(worker.end))
    start(worker.begin(), "starting")


def _first_line() -> bytes:
    """Read the orders byte by byte: nothing behind them may be taken."""
    line = bytearray()
    while (byte := os.read(0, 1)) not in (b"", b"\n"):
        line += byte
    return bytes(line)


if __name__ == "__main__":
    main()
