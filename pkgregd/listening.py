"""
The ports of a daemon: what the configured endpoints ask for, and the sockets that outlive a configuration.

A description is read by Twisted, which asks a reactor to listen. Here it asks a Recorder, that writes down what was
asked for: a Doorway. Two of the same key are one socket, whatever certificate stands at it.
"""

from __future__ import annotations

import os
import select
import socket
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import evolve, field, frozen
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import (
    IAddress,
    IListeningPort,
    IProtocol,
    IProtocolFactory,
)
from twisted.internet.protocol import Factory, ServerFactory
from twisted.internet.unix import Port as UnixPort
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure

from pkgregd.errors import ConfigError, Unavailable
from pkgregd.http.factory import FrontFactory
from pkgregd.http.proxied import ENDPOINT, ProxiedFactory
from pkgregd.systemd import InheritedSocket

MOST_ACCEPTS = 10_000
"""How often a port that closes is asked for more connections: each time gives at least one."""

BEYOND_RECORDER = (AttributeError, NotImplementedError, TypeError)
"""What an endpoint raises that asks a Recorder for what it has not; Twisted is asked then, and knows better."""

Key = tuple[object, ...]


@frozen
class Doorway:
    """
    What an entry of `http.listen` asks for.

    Attributes:
        description: the entry.
        key: tells whether two of them are one socket.
        family: of the socket.
        address: host and port, or a path; None where only its owner knows it.
        arguments: further ones, as a reactor takes them.
        context: makes TLS connections; None for plain ones.
        is_other: whether it is an endpoint that has to be left to Twisted.
        number: of an open file that systemd handed over.
    """

    description: str
    key: Key
    family: socket.AddressFamily = socket.AF_INET
    address: Any = None
    arguments: Mapping[str, Any] = field(factory=dict)
    context: Any = None
    is_other: bool = False
    number: int | None = None

    def dressed(self, front: FrontFactory) -> IProtocolFactory:
        """Make what stands behind the door: the front, behind TLS or the PROXY protocol if so configured."""
        made: Factory = ProxiedFactory(front) if self.description.startswith(ENDPOINT) else front
        return made if self.context is None else TLSMemoryBIOFactory(self.context, False, made)


class Recorder:
    """
    Stands for a reactor where endpoints listen: writes down what it is asked for, and listens on nothing.

    It has what the usual endpoints ask for, and is no whole reactor of any kind.
    """

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    def listenTCP(self, port: int, factory: object, backlog: int = 50, interface: str = "") -> None:
        """See IReactorTCP."""
        family = socket.AF_INET6 if ":" in interface else socket.AF_INET
        arguments = {"backlog": backlog, "interface": interface}
        self.asked.append({"family": family, "address": (interface, port), "arguments": arguments})

    def listenSSL(
        self, port: int, factory: object, contextFactory: object, backlog: int = 50, interface: str = ""
    ) -> None:
        """See IReactorSSL."""
        self.listenTCP(port, factory, backlog, interface)
        self.asked[-1]["context"] = contextFactory

    def listenUNIX(
        self, address: str, factory: object, backlog: int = 50, mode: int = 0o666, wantPID: bool = False
    ) -> None:
        """See IReactorUNIX."""
        arguments = {"backlog": backlog, "mode": mode, "wantPID": wantPID}
        self.asked.append({"family": socket.AF_UNIX, "address": address, "arguments": arguments})

    def adoptStreamPort(self, fileDescriptor: int, addressFamily: socket.AddressFamily, factory: object) -> None:
        """See IReactorSocket. The endpoint closes its descriptor: what is written down is a copy."""
        self.asked.append({"family": addressFamily, "number": os.dup(fileDescriptor)})


def read_doorways(descriptions: Sequence[str], held: Sequence[Key] = (), *, are_held: bool = False) -> list[Doorway]:
    """
    Find out what endpoints ask for, reading the certificates that they name.

    Args:
        held: keys of sockets that are open; a socket of systemd's is asked for only once.
        are_held: whether all of them are open.

    Raises:
        ConfigError: a description, or a file that it names, is wrong.
    """
    times: Counter[Key] = Counter()
    found = []
    for description in descriptions:
        made = _read_doorway(description, held, are_held)
        times[made.key] += 1
        found.append(made if times[made.key] == 1 else _again(made, times[made.key]))
    return found


def _again(doorway: Doorway, number: int) -> Doorway:
    """Tell apart sockets whose port the system chooses."""
    return evolve(doorway, key=(*doorway.key, number))


def _read_doorway(description: str, held: Sequence[Key], are_held: bool) -> Doorway:
    plain = description.removeprefix(ENDPOINT)
    if plain.startswith("systemd:"):
        key: Key = ("systemd", plain)
        if are_held or key in held:
            return Doorway(description, key)
    recorder = Recorder()
    try:
        listening = serverFromString(recorder, plain).listen(ServerFactory())
        failures: list[Failure] = []
        listening.addErrback(failures.append)
        if failures:
            failures[0].raiseException()
    except BEYOND_RECORDER:
        return Doorway(description, ("other", plain), is_other=True)
    except Exception as error:  # an endpoint is a plug-in, and its parser raises what it likes
        raise ConfigError(f"http.listen: {description}: {error}") from None
    if len(recorder.asked) != 1:
        return Doorway(description, ("other", plain), is_other=True)
    [asked] = recorder.asked
    if "number" in asked:
        return Doorway(description, ("systemd", plain), **asked)
    return Doorway(description, (asked["family"], asked["address"]), **asked)


class Door(ServerFactory):
    """The factory of a port, behind which another one can be put at any time."""

    noisy = False

    def __init__(self, inner: IProtocolFactory | None = None) -> None:
        self.inner = inner

    def buildProtocol(self, addr: IAddress) -> IProtocol | None:  # type: ignore[override]  # wider than Factory says
        """Ask whoever is behind it now."""
        return None if self.inner is None else self.inner.buildProtocol(addr)


@frozen
class Port:
    """A socket that is listened on, and its door."""

    doorway: Doorway
    port: IListeningPort
    door: Door

    @property
    def number(self) -> int:
        """Return its open file."""
        number: int = self.port.fileno()  # type: ignore[attr-defined]  # every port of a reactor has it
        return number

    def take_waiting(self) -> None:
        """Accept the connections that wait for it: closing it would cut them."""
        poll = select.poll()
        poll.register(self.number, select.POLLIN)
        for _ in range(MOST_ACCEPTS):
            if not poll.poll(0):
                break
            self.port.doRead()  # type: ignore[attr-defined]  # what the reactor calls

    def close(self) -> Deferred[Any]:
        """Listen no more; fires when it is closed."""
        return maybeDeferred(self.port.stopListening)

    def share(self) -> None:
        """Leave connections to other processes that have the socket, and do not shut it down for them by closing it."""
        port: Any = self.port
        port.stopReading()
        port._shouldShutdown = False  # an attribute of Twisted's ports, pinned by a test


def open_port(reactor: Any, doorway: Doorway, inherited: Sequence[InheritedSocket] = ()) -> Port:
    """
    Listen on what a doorway asks for, or on a socket that was inherited and is bound to just that.

    Raises:
        Unavailable: the address is taken, or may not be had.
    """
    door = Door()
    try:
        number = doorway.number if doorway.number is not None else _inherited(doorway, inherited)
        if number is not None:
            os.set_blocking(number, False)
            return Port(doorway, adopt_socket(reactor, number, doorway.family, door), door)
        if doorway.is_other:
            return Port(doorway, _listen_other(reactor, doorway, door), door)
        if doorway.family == socket.AF_UNIX:
            return Port(doorway, reactor.listenUNIX(doorway.address, door, **doorway.arguments), door)
        return Port(doorway, reactor.listenTCP(doorway.address[1], door, **doorway.arguments), door)
    except (CannotListenError, OSError) as error:
        raise Unavailable(f"cannot listen on {doorway.description}: {error}") from None


def _inherited(doorway: Doorway, inherited: Sequence[InheritedSocket]) -> int | None:
    address = doorway.address
    if address is not None and doorway.family != socket.AF_UNIX:
        wildcard = "::" if doorway.family == socket.AF_INET6 else "0.0.0.0"  # noqa: S104  # only compared
        address = (address[0] or wildcard, address[1])
    for found in inherited:
        if address is not None and (found.family, found.address) == (doorway.family, address):
            return found.number
    return None


def _listen_other(reactor: Any, doorway: Doorway, door: Door) -> IListeningPort:
    ports: list[IListeningPort] = []
    failures: list[Any] = []
    try:
        listening = serverFromString(reactor, doorway.description.removeprefix(ENDPOINT)).listen(door)
    except Exception as error:  # an endpoint is a plug-in, and its parser raises what it likes
        raise ConfigError(f"http.listen: {doorway.description}: {error}") from None
    listening.addCallbacks(ports.append, failures.append)
    if failures:
        raise Unavailable(f"cannot listen on {doorway.description}: {failures[0].getErrorMessage()}")
    return ports[0]


def adopt_socket(reactor: Any, number: int, family: socket.AddressFamily, door: Door) -> IListeningPort:
    """
    Listen on a socket that somebody else made, and that stays when this process is gone.

    Args:
        number: of the open file, which stays the caller's.
    """
    if family != socket.AF_UNIX:
        adopted: IListeningPort = reactor.adoptStreamPort(number, family, door)
        _accept_one_by_one(adopted)
        return adopted
    # Twisted would set the file's mode, and remove it in the end; what is in no file system it leaves alone
    # (attributes of Twisted's ports, pinned by a test)
    port = UnixPort._fromListeningDescriptor(reactor, number, door)
    port._bindPath = b"\0" + os.fsencode(port._bindPath)
    port._shouldShutdown = False
    port.startListening()
    _accept_one_by_one(port)
    unix_port: IListeningPort = port
    return unix_port


def _accept_one_by_one(port: Any) -> None:
    """Have a port take one connection at a time, so that others who listen there get theirs."""
    accept = port.doRead

    def accept_one() -> None:
        port.numberAccepts = 1
        accept()

    port.doRead = accept_one
