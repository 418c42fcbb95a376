"""
What a daemon and systemd say to each other: that it is ready, reloads or stops, that it lives, and sockets.

Source: sd_notify(3), sd_listen_fds(3), sd_watchdog_enabled(3).
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping, MutableMapping, Sequence

from attrs import frozen
from twisted.internet import endpoints
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

log = Logger()

VARIABLES = (
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "LISTEN_PID",
    "LISTEN_FDS",
    "LISTEN_FDNAMES",
)
"""What belongs to the process that systemd started, and to none that this one starts."""


class Notifier:
    """
    Tells systemd how the daemon does; nobody where nobody asked for it.

    Args:
        clock: for the watchdog.
        environment: where systemd says whom to tell.
    """

    def __init__(self, clock: IReactorTime, environment: Mapping[str, str]) -> None:
        self._address = _address(environment.get("NOTIFY_SOCKET", ""))
        self._watchdog = LoopingCall(self._send, "WATCHDOG=1")
        self._watchdog.clock = clock
        self._watchdog_seconds = _watchdog_seconds(environment) if self._address else None

    def start(self) -> None:
        """Begin to say that the reactor turns, half as long apart as it must be heard."""
        if self._watchdog_seconds is not None:
            self._watchdog.start(self._watchdog_seconds / 2)

    def ready(self, status: str) -> None:
        """All requests are served: after the start, and after a reload."""
        self._send(f"READY=1\nSTATUS={status}")

    def reloading(self) -> None:
        """A reload begins; ready() ends it, also when all stays as it was."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self, status: str) -> None:
        """The end begins. The watchdog goes on until the process is gone."""
        self._send(f"STOPPING=1\nSTATUS={status}")

    def _send(self, message: str) -> None:
        if self._address is None:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
                sender.setblocking(False)
                sender.connect(self._address)
                sender.send(message.encode())
        except OSError as error:
            log.warn("systemd cannot be told: {reason}", reason=str(error), event="systemd.untold")


def _address(text: str) -> str | None:
    """Return the address of a socket in the file system or in the abstract name space; None for anything else."""
    if text.startswith("@"):
        return "\0" + text[1:]
    return text if text.startswith("/") else None


def _watchdog_seconds(environment: Mapping[str, str]) -> float | None:
    if environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    text = environment.get("WATCHDOG_USEC", "")
    return int(text) / 1_000_000 if text.isdecimal() and int(text) else None


@frozen
class InheritedSocket:
    """
    A listening socket that systemd opened.

    Attributes:
        number: of its open file.
        address: as getsockname() has it, host and port or a path.
    """

    number: int
    family: socket.AddressFamily
    address: object


def handed_over() -> Sequence[int]:
    """
    Return the open files that systemd handed to this process.

    Twisted takes them out of the environment when it is imported (an attribute of its own, pinned by a test).
    """
    numbers: Sequence[int] = endpoints._SystemdParser._sddaemon.inheritedDescriptors()
    return numbers


def inherited_sockets(numbers: Sequence[int]) -> list[InheritedSocket]:
    """List the listening stream sockets among some open files."""
    found = []
    for number in numbers:
        try:
            with socket.socket(fileno=os.dup(number)) as opened:
                if opened.type == socket.SOCK_STREAM and opened.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                    name = opened.getsockname()
                    address = name if opened.family == socket.AF_UNIX else tuple(name[:2])
                    found.append(InheritedSocket(number, socket.AddressFamily(opened.family), address))
        except OSError:
            continue  # it is closed, or no socket at all
    return found


def forget_systemd(environment: MutableMapping[str, str]) -> None:
    """Take out of an environment what the processes of this one must not believe to be theirs."""
    for name in VARIABLES:
        environment.pop(name, None)
