"""What the system knows of this process."""

from __future__ import annotations

import os
import resource

PAGE_BYTES = resource.getpagesize()


def resident_bytes() -> int:
    """Return how much memory the process has."""
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[1]) * PAGE_BYTES


def open_files() -> int:
    """Return how many file descriptors it has, but for the one that it takes to look."""
    return len(os.listdir("/proc/self/fd")) - 1


def max_files() -> int:
    """Return how many it may have."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def cpu_seconds() -> float:
    """Return the processor time of all its threads since it began."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def started_at() -> float:
    """Return when it began, in seconds since 1970."""
    with open("/proc/self/stat", "rb") as file:
        ticks = int(file.read().rpartition(b")")[2].split()[19])
    with open("/proc/stat", "rb") as file:
        booted_at = next(int(line.split()[1]) for line in file if line.startswith(b"btime"))
    return booted_at + ticks / os.sysconf("SC_CLK_TCK")
