"""
What an inspector takes from itself before it reads anything.

These are limits, not a jail: the process keeps the daemon's user and what that user may read.
"""

from __future__ import annotations

import ctypes
import os
import pathlib
import resource
import signal
import time

NICE = 5
MAX_OPEN_FILES = 24
"""The archive, the socket, and what importing a module opens."""

_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38


def confine(memory_bytes: int) -> None:
    """
    Set every limit that holds for life.

    The signals that end a daemon are ignored: a terminal and systemd send them to the whole group, and
    the daemon still wants answers while it drains. It ends us itself, and so does its death.

    Args:
        memory_bytes: address space beyond what the process has now.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    os.chdir("/")
    os.nice(NICE)
    prctl = ctypes.CDLL(None).prctl
    prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL))
    prctl(_PR_SET_NO_NEW_PRIVS, *map(ctypes.c_ulong, (1, 0, 0, 0)))
    _limit(resource.RLIMIT_AS, _address_space_bytes() + memory_bytes)
    _limit(resource.RLIMIT_NOFILE, MAX_OPEN_FILES)
    for nothing in (resource.RLIMIT_FSIZE, resource.RLIMIT_CORE, resource.RLIMIT_NPROC):
        _limit(nothing, 0)


def allow_cpu(seconds: int) -> None:
    """Let the process use so much processor time from now on, rounded up; SIGXCPU ends it then."""
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (_at_most(int(time.process_time()) + 1 + seconds, hard), hard))


def _address_space_bytes() -> int:
    pages = int(pathlib.Path("/proc/self/statm").read_text("ascii").split()[0])
    return pages * resource.getpagesize()


def _limit(kind: int, value: int) -> None:
    _, hard = resource.getrlimit(kind)
    value = _at_most(value, hard)
    resource.setrlimit(kind, (value, value))


def _at_most(value: int, hard: int) -> int:
    return value if hard == resource.RLIM_INFINITY else min(value, hard)
