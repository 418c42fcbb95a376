"""
The process of `workers = N`, N above 1: it holds the ports, and workers that serve what comes to them.

It never accepts a connection. A socket is open for as long as it has it, whatever becomes of workers: what nobody
accepts yet waits in the kernel's queue. What workers are told, and tell, is in pkgregd.crew.
"""

from __future__ import annotations

import atexit
import os
import pathlib
import shutil
import signal
import sys
import tempfile
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from pkgregd.clockwork import start
from pkgregd.config import Config
from pkgregd.crew import Crew
from pkgregd.errors import ConfigError, PkgregdError, Unavailable
from pkgregd.listening import Doorway
from pkgregd.parts import Parts
from pkgregd.process import Listener

log = Logger()


class Supervisor(Listener):
    """See Listener."""

    _state: pathlib.Path

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._crew: Crew | None = None
        self._next: Crew | None = None
        self._checked: Parts | None = None
        self._retiring: dict[Crew, Deferred[None]] = {}

    def open(self) -> None:
        """See Listener. The parts are opened once to see that workers will be able to."""
        doorways = self._read(self.config)
        self._checked = self.parts(self.reactor, self.config)
        self.ports, _ = self.open_ports(doorways)
        for port in self.ports:
            port.share()

    def _read(self, config: Config) -> list[Doorway]:
        doorways = self.read_doorways(config)
        for doorway in doorways:
            if doorway.is_other:
                raise ConfigError(
                    f"http.listen: {doorway.description}: workers can share tcp, tcp6, ssl, unix and systemd endpoints "
                    "only; use one of these, or workers = 1"
                )
        return doorways

    async def begin(self) -> None:
        """See Listener."""
        await self._close_checked()
        try:
            self._state = pathlib.Path(tempfile.mkdtemp(prefix="pkgregd-"))
            (self._state / "metrics").mkdir()
            self._crew = Crew(self.reactor, self.config, self.ports, self._state)
            await self._crew.start()
        except (PkgregdError, OSError) as error:
            if not self.is_stopping:
                log.critical("pkgregd: {reason}", reason=str(error), event="daemon.failed")
                self._fail()
            return
        log.info("ready; {count} workers", count=self.config.http.workers, event="daemon.ready")

    def _fail(self) -> None:
        """End with status 1, which the reactor knows no way for, when twistd has removed the file of its number."""
        self.is_stopping = True
        atexit.register(_exit_as_failed)
        self._stop_reactor()

    async def _close_checked(self) -> None:
        parts, self._checked = self._checked, None
        if parts is not None:
            await parts.blobs.close()
            await parts.catalog.close()

    async def exchange(self, config: Config) -> None:
        """See Listener."""
        kept, opened = self.open_ports(self._read(config))
        for port in opened:
            port.share()
        self._next = fresh = Crew(self.reactor, config, kept, self._state, is_beside=True)
        try:
            await fresh.start()
            if self.is_stopping:
                raise Unavailable("the daemon is stopping")
        except BaseException:
            for port in opened:
                port.close()
            self._retire(fresh)  # some of it may have been ready, and has requests
            raise
        finally:
            self._next = None
        gone, before, self._crew = self.leave_ports(kept), self._crew, fresh
        assert before is not None
        for port in gone:
            port.close()
        self._retire(before)

    def _retire(self, crew: Crew) -> None:
        """Let a crew finish and end, beside others."""
        if crew not in self._retiring:
            self._retiring[crew] = retiring = start(crew.drain(), "ending workers")

            def retired(_: object) -> None:
                del self._retiring[crew]

            retiring.addBoth(retired)

    def announce_stop(self) -> None:
        """See Listener."""
        for crew in filter(None, (self._crew, self._next)):
            crew.announce_stop()

    def _terminate(self, number: int, frame: object) -> None:
        """See Listener. The second signal ends the workers, too."""
        super()._terminate(number, frame)
        signal.signal(signal.SIGTERM, self._end_now)

    def _end_now(self, number: int, frame: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        self.reactor.callFromThread(self._kill_all)

    def _kill_all(self) -> None:
        for crew in filter(None, (self._crew, self._next, *self._retiring)):
            crew.kill()
        shutil.rmtree(getattr(self, "_state", ""), ignore_errors=True)
        signal.raise_signal(signal.SIGTERM)

    async def end(self) -> None:
        """See Listener. The workers have the sockets, and take what waits in them."""
        for port in self.ports:
            await port.close()
        self.ports = []
        await self._close_checked()
        for crew in filter(None, (self._next, self._crew)):
            self._retire(crew)
        while self._retiring:
            await next(iter(self._retiring.values()))
        shutil.rmtree(getattr(self, "_state", ""), ignore_errors=True)


def _exit_as_failed() -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1)
