"""All servers of a run."""

from __future__ import annotations

import contextlib
import pathlib
from collections.abc import Callable, Collection, Mapping
from typing import TypeVar

from bench.daemons import Pkgregd
from bench.peers import Devpi, Nginx, Peer, PyPIServer, install_peers, start_peer
from bench.settings import BEFORE, CHECKOUT
from bench.verdaccio import Verdaccio, install_verdaccio

AnyPeer = TypeVar("AnyPeer", bound=Peer)

PKGREGD, EARLIER = "pkgregd", "pkgregd before"


def checkouts() -> Mapping[str, pathlib.Path]:
    """Return whose daemons are measured, by the names that tables give them."""
    return {PKGREGD: CHECKOUT, **({EARLIER: BEFORE} if BEFORE else {})}


class Fleet:
    """
    The servers that run, as a context manager that stops them.

    Args:
        folder: where they keep everything.
        peers: names of those that are needed: `nginx`, `devpi-server`, `pypiserver`, `verdaccio`.

    Attributes:
        daemons: pkgregd, of each checkout.
        nginx: None if it is not installed or not needed.
        pythons: the Python peers that could be installed and started.
        verdaccio: None if it could not be, or is not needed.
    """

    def __init__(self, folder: pathlib.Path, peers: Collection[str]) -> None:
        self._stack = contextlib.ExitStack()
        self._folder = folder
        self._needed = peers
        self.daemons: list[Pkgregd] = []
        self.nginx: Nginx | None = None
        self.pythons: list[Devpi | PyPIServer] = []
        self.verdaccio: Verdaccio | None = None
        self.left_out: list[str] = []

    def __enter__(self) -> Fleet:
        with contextlib.ExitStack() as stack:
            self.daemons = self.start_daemons(stack.callback)
            self._start_nginx(stack.callback)
            self._start_pythons(stack.callback)
            self._start_verdaccio(stack.callback)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def file_servers(self) -> list[Pkgregd | Nginx]:
        """The daemons, and nginx if it runs: all that take and send a file of any kind at a path."""
        return [*self.daemons, *([self.nginx] if self.nginx else [])]

    @property
    def npm_servers(self) -> list[Pkgregd | Verdaccio]:
        """The daemons, and verdaccio if it runs: all that take and send npm packages."""
        return [*self.daemons, *([self.verdaccio] if self.verdaccio else [])]

    def more_daemons(self) -> list[Pkgregd]:
        """Start one more of each checkout, with a catalog of its own."""
        return self.start_daemons(self._stack.callback)

    def start(self, daemon: Pkgregd) -> Pkgregd:
        """Start one that is configured by whoever needs it."""
        self._stack.callback(daemon.close)
        daemon.start()
        return daemon

    def start_daemons(self, at_end: Callable[[Callable[[], None]], object]) -> list[Pkgregd]:
        """Start one of each checkout; `at_end` gets what stops it."""
        started = []
        for name, checkout in checkouts().items():
            daemon = Pkgregd(name, checkout)
            at_end(daemon.close)
            daemon.start()
            started.append(daemon)
        return started

    def _start_nginx(self, at_end: Callable[[Callable[[], None]], object]) -> None:
        if Nginx.name not in self._needed:
            return
        if Nginx.program() is None:
            self.left_out.append("nginx is not installed (package nginx-light): there is no floor to compare with")
            return
        self.nginx = Nginx(self._folder / "nginx")
        at_end(self.nginx.close)
        self.nginx.start()

    def _start_pythons(self, at_end: Callable[[Callable[[], None]], object]) -> None:
        wanted = [kind for kind in (Devpi, PyPIServer) if kind.name in self._needed]
        if not wanted:
            return
        is_installed = install_peers()
        for kind in wanted:
            if (peer := self._started(kind(self._folder / kind.name), at_end, is_installed=is_installed)) is not None:
                self.pythons.append(peer)

    def _start_verdaccio(self, at_end: Callable[[Callable[[], None]], object]) -> None:
        if Verdaccio.name in self._needed:
            peer = Verdaccio(self._folder / Verdaccio.name)
            self.verdaccio = self._started(peer, at_end, is_installed=install_verdaccio())

    def _started(
        self, peer: AnyPeer, at_end: Callable[[Callable[[], None]], object], *, is_installed: bool
    ) -> AnyPeer | None:
        """Start a peer; None if there is none, which the report then says."""
        at_end(peer.close)
        if is_installed and start_peer(peer):
            return peer
        self.left_out.append(f"{peer.name} could not be installed or started: left out")
        return None
