"""
A process that listens and serves: the ports, the signals, and the exchange of one configuration for another.

    SIGTERM     not ready any more -> http.shutdown_delay_seconds -> close the ports -> close the daemon; again: end now
    SIGHUP      read and check the file -> open a daemon of it, ready -> put it behind the ports -> close the one before
"""

from __future__ import annotations

import gc
import os
import pathlib
import resource
import signal
import sys
from collections.abc import Callable
from typing import Any

from attrs import evolve
from twisted.application.service import Service
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.logger import Logger

from pkgregd.clockwork import start
from pkgregd.config import Config, load
from pkgregd.errors import ConfigError, PkgregdError, Unavailable
from pkgregd.listening import Doorway, Port, open_port, read_doorways
from pkgregd.parts import Parts, make_parts
from pkgregd.registry.gcra import LocalDueTimes
from pkgregd.service import Daemon
from pkgregd.systemd import InheritedSocket, Notifier, forget_systemd, handed_over, inherited_sockets

log = Logger()

LEAST_OPEN_FILES = 4096

SWITCH_SECONDS = 0.0003
"""How long another thread may keep the interpreter from the reactor, which may want it several times a request."""


def make_service(reactor: Any, config: Config, parts: Callable[[Any, Config], Parts] = make_parts) -> Service:
    """Make what serves with as many processes as configured; nothing is opened before it starts."""
    if config.http.workers > 1:
        from pkgregd.supervisor import Supervisor

        return Supervisor(reactor, config, parts)
    return Serving(reactor, config, parts)


def read_again(config: Config) -> Config:
    """
    Read the file of a configuration as it is now.

    Raises:
        ConfigError: it is wrong, or asks for what needs a restart.
    """
    fresh = load(config.folder / pathlib.Path(config.file).name)
    if (fresh.http.workers > 1) != (config.http.workers > 1):
        raise ConfigError(f"{config.file}: http.workers: a change between 1 and more needs a restart")
    return fresh


class StartRefused(SystemExit, Exception):
    """
    Ends the process with one line and status 1.

    It is an Exception, too: those are what a twistd that goes into the background tells the one that waits for it,
    which would wait for ever otherwise.
    """


class Listener(Service):
    """
    What every process has that holds ports: how it starts, and what signals it obeys.

    Starting opens and binds everything at once (after twistd's fork, before it sheds privileges) and
    raises StartRefused if that fails.

    Args:
        parts: opens catalog, blobs and formats.
    """

    def __init__(self, reactor: Any, config: Config, parts: Callable[[Any, Config], Parts] = make_parts) -> None:
        self.reactor = reactor
        self.config = config
        self.parts = parts
        self.ports: list[Port] = []
        self.notifier = Notifier(reactor, {})
        self.is_stopping = False
        self._inherited: list[InheritedSocket] = []
        self._is_busy = True  # with starting, and later with reloading
        self._reload_again = False

    def privilegedStartService(self) -> None:
        """Open and bind."""
        raise_open_files()
        signal.signal(signal.SIGHUP, lambda number, frame: self.reactor.callFromThread(self.reload))
        self._inherited = inherited_sockets(handed_over())
        self.notifier = Notifier(self.reactor, os.environ)
        try:
            self.open()
        except PkgregdError as error:
            raise StartRefused(f"pkgregd: {error}") from None
        forget_systemd(os.environ)

    def open(self) -> None:
        """Open and bind everything; PkgregdError if that cannot be."""
        raise NotImplementedError

    async def begin(self) -> None:
        """Do what the reactor is needed for; it is ready after that."""
        raise NotImplementedError

    async def exchange(self, config: Config) -> None:
        """Go on with another configuration; PkgregdError if that cannot be, and all is as before."""
        raise NotImplementedError

    async def end(self) -> None:
        """Close everything in order."""
        raise NotImplementedError

    def announce_stop(self) -> None:
        """Say to whoever asks that it is not ready any more."""
        raise NotImplementedError

    def startService(self) -> None:
        """Begin the work that needs the reactor."""
        super().startService()
        self.reactor.callWhenRunning(self._running)

    def _running(self) -> None:
        # what was imported and made so far stays: looking through all of it again would stop the reactor for 50 ms
        gc.collect()
        gc.freeze()
        # twistd would end by the signal again; a stop in good order is exit status 0
        signal.signal(signal.SIGTERM, self._terminate)
        self.notifier.start()
        start(self._begin(), "starting")

    async def _begin(self) -> None:
        await self.begin()
        if not self.is_stopping:
            self.notifier.ready("serving")
        self._done()

    # ------------------------------------------------------------------ the end

    def _terminate(self, number: int, frame: object) -> None:
        """Stop in order on the first SIGTERM; the next one ends the process at once."""
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        self.reactor.callFromThread(self._begin_stop)

    def _begin_stop(self) -> None:
        delay_seconds = self.config.http.shutdown_delay_seconds
        self.is_stopping = True
        self.announce_stop()
        self.notifier.stopping("stopping: running requests may finish")
        if delay_seconds:
            log.info("stopping in {seconds} seconds", seconds=delay_seconds, event="daemon.stop_announced")
            self.reactor.callLater(delay_seconds, self._stop_reactor)
        else:
            self._stop_reactor()

    def _stop_reactor(self) -> None:
        if self.reactor.running:
            self.reactor.stop()

    def stopService(self) -> Deferred[None]:
        """Stop in order; fires when everything is closed."""
        super().stopService()
        self.is_stopping = True
        return ensureDeferred(self.end())

    # ------------------------------------------------------------------ another configuration

    def reload(self) -> None:
        """Read the configuration again; after the start, or the reload, that is under way."""
        if self._is_busy:
            self._reload_again = True
        elif not self.is_stopping:
            self._is_busy = True
            start(self._reload(), "reloading")

    def _done(self) -> None:
        """A start or a reload is over: another one may come."""
        self._is_busy = False
        if self._reload_again:
            self._reload_again = False
            self.reload()

    async def _reload(self) -> None:
        self.notifier.reloading()
        try:
            fresh = read_again(self.config)
            await self.exchange(fresh)
        except PkgregdError as error:
            log.error("not reloaded, all stays as it was: {reason}", reason=str(error), event="daemon.not_reloaded")
        else:
            self.config = fresh
            log.info("reloaded", event="daemon.reloaded")
        finally:
            if not self.is_stopping:
                self.notifier.ready("serving")
            self._done()

    def read_doorways(self, config: Config) -> list[Doorway]:
        """Find out what endpoints ask for."""
        return read_doorways(config.http.listen, [port.doorway.key for port in self.ports])

    def open_ports(self, doorways: list[Doorway]) -> tuple[list[Port], list[Port]]:
        """
        Listen on what is not listened on yet.

        Returns:
            The ports of all doorways in their order, and of them those that are new.

        Raises:
            Unavailable: one cannot be had; then none is opened.
        """
        held = {port.doorway.key: port for port in self.ports}
        kept: list[Port] = []
        opened: list[Port] = []
        try:
            for doorway in doorways:
                if doorway.key in held:
                    family = held[doorway.key].doorway.family
                    kept.append(evolve(held[doorway.key], doorway=evolve(doorway, family=family)))
                    continue
                opened.append(open_port(self.reactor, doorway, self._inherited))
                kept.append(opened[-1])
        except PkgregdError:
            for port in opened:
                port.close()
            raise
        return kept, opened

    def leave_ports(self, kept: list[Port]) -> list[Port]:
        """Have other ports from now on; returns those that are none any more."""
        keys = {port.doorway.key for port in kept}
        gone = [port for port in self.ports if port.doorway.key not in keys]
        self.ports = kept
        return gone


class Serving(Listener):
    """The one process of `workers = 1`. See Listener."""

    def __init__(self, reactor: Any, config: Config, parts: Callable[[Any, Config], Parts] = make_parts) -> None:
        super().__init__(reactor, config, parts)
        self._due_times = LocalDueTimes()
        self._daemon = self._make(config)
        self._retiring: set[Deferred[None]] = set()

    def _make(self, config: Config) -> Daemon:
        return Daemon(self.reactor, config, self.parts, self._due_times)

    def open(self) -> None:
        """See Listener."""
        sys.setswitchinterval(SWITCH_SECONDS)
        doorways = self.read_doorways(self.config)
        self._daemon.open()
        self.ports, _ = self.open_ports(doorways)
        self._put_behind(self._daemon)

    def _put_behind(self, daemon: Daemon) -> None:
        for port in self.ports:
            port.door.inner = port.doorway.dressed(daemon.factory)

    async def begin(self) -> None:
        """See Listener."""
        await start(self._daemon.start(), "clearing staging files")

    async def exchange(self, config: Config) -> None:
        """See Listener."""
        doorways = self.read_doorways(config)
        fresh = self._make(config)
        try:
            fresh.open()
            await fresh.start()
            if reasons := await fresh.readiness():
                raise Unavailable("; ".join(reasons))
            if self.is_stopping:
                raise Unavailable("the daemon is stopping")
            kept, _ = self.open_ports(doorways)
        except BaseException:
            await fresh.close()
            raise
        gone, before, self._daemon = self.leave_ports(kept), self._daemon, fresh
        self._put_behind(fresh)
        for port in gone:
            port.take_waiting()
            port.close()
        retiring = ensureDeferred(before.close())
        self._retiring.add(retiring)
        retiring.addBoth(lambda _: self._retiring.discard(retiring))

    def announce_stop(self) -> None:
        """See Listener."""
        self._daemon.announce_stop()

    async def end(self) -> None:
        """See Listener."""
        for port in self.ports:
            port.take_waiting()
        for port in self.ports:
            await port.close()
        self.ports = []
        await self._daemon.close()
        for retiring in list(self._retiring):
            await retiring


def raise_open_files() -> None:
    """Allow as many open files as the system lets us; warn if that is few."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard != resource.RLIM_INFINITY and hard < LEAST_OPEN_FILES:
        log.warn("only {hard} files may be open at once (RLIMIT_NOFILE)", hard=hard, event="daemon.few_files")
