"""What a server's process tree uses, read from /proc."""

from __future__ import annotations

import os
import pathlib
import re
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence

from attrs import frozen

from tests.support.rawhttp import repeated

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


@frozen
class Sample:
    """
    One measurement.

    Attributes:
        user_seconds, system_seconds: CPU time of the server and its children.
        wall_seconds: how long the client waited; it moves with whatever else the machine does.
        peak_bytes: greatest resident size, of all processes together.
    """

    user_seconds: float
    system_seconds: float
    wall_seconds: float
    peak_bytes: int = 0

    @property
    def cpu_seconds(self) -> float:
        """User and system time together."""
        return self.user_seconds + self.system_seconds


class Meter:
    """Measures the processes below a process."""

    def __init__(self, pid: int) -> None:
        self._pid = pid

    def measure(self, action: Callable[[], object]) -> Sample:
        """Run an action and return what it cost the server."""
        for pid in self._tree():
            pathlib.Path(f"/proc/{pid}/clear_refs").write_text("5")
        user, system = self._cpu_seconds()
        started_at = time.perf_counter()
        action()
        wall = time.perf_counter() - started_at
        user_after, system_after = self._cpu_seconds()
        return Sample(user_after - user, system_after - system, wall, self._peak_bytes())

    def _tree(self) -> list[int]:
        children: dict[int, list[int]] = {}
        for entry in os.listdir("/proc"):
            if entry.isdigit() and (fields := _stat(int(entry))):
                children.setdefault(int(fields[1]), []).append(int(entry))
        found, waiting = [], [self._pid]
        while waiting:
            pid = waiting.pop()
            found.append(pid)
            waiting += children.get(pid, [])
        return found

    def _cpu_seconds(self) -> tuple[float, float]:
        """User and system time, that of children which ended included."""
        rows = [fields for pid in self._tree() if (fields := _stat(pid))]
        user = sum(int(row[11]) + int(row[13]) for row in rows)
        system = sum(int(row[12]) + int(row[14]) for row in rows)
        return user / TICKS_PER_SECOND, system / TICKS_PER_SECOND

    def _peak_bytes(self) -> int:
        total = 0
        for pid in self._tree():
            found = re.search(r"VmHWM:\s+(\d+) kB", pathlib.Path(f"/proc/{pid}/status").read_text())
            total += int(found[1]) * 1024 if found else 0
        return total


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat behind the name, empty if the process has gone."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def warm_pages(size_bytes: int, folder: pathlib.Path) -> None:
    """
    Have the kernel own as many free pages as a measurement is going to take.

    A virtual machine may give free pages back to its host; the first touch of each then costs whoever
    comes first seconds of system time for a gibibyte. Writing and deleting a file pays that beforehand.
    """
    with tempfile.TemporaryFile(dir=folder) as file:
        for piece in repeated(size_bytes):
            file.write(piece)


def spread(values: Sequence[float]) -> tuple[float, float, float]:
    """Return median, least and greatest."""
    return statistics.median(values), min(values), max(values)
