"""What a server's process tree uses, read from the kernel."""

from __future__ import annotations

import contextlib
import os
import pathlib
import re
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence

from attrs import frozen

from tests.support.rawhttp import repeated

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
SETTLE_SECONDS = 0.1
"""What a server does right behind its last answer is its cost too."""

WATCH_SECONDS = 0.25
"""How often memory is looked at while it is watched: processes may come and go."""


@frozen
class Usage:
    """
    What a process tree has used, or used between two looks.

    Attributes:
        cpu_seconds: processor time of user and system together, exact to microseconds for living processes.
        system_seconds: the system's part, exact to a hundredth.
    """

    cpu_seconds: float
    system_seconds: float

    def since(self, before: Usage) -> Usage:
        """Return what was used after another look."""
        return Usage(self.cpu_seconds - before.cpu_seconds, self.system_seconds - before.system_seconds)

    def and_also(self, more: Usage) -> Usage:
        """Return the sum of both."""
        return Usage(self.cpu_seconds + more.cpu_seconds, self.system_seconds + more.system_seconds)


@frozen
class Cost:
    """
    What an action cost a server.

    Attributes:
        usage: processor time.
        wall_seconds: how long the action took; it moves with whatever else the machine does.
        resident_bytes: size of all processes together before it.
        peak_bytes: the greatest during it; what processes share counts for each.
    """

    usage: Usage
    wall_seconds: float
    resident_bytes: int
    peak_bytes: int


def total(costs: Sequence[Cost]) -> Cost:
    """Put together what was done at different times."""
    usage = Usage(sum(cost.usage.cpu_seconds for cost in costs), sum(cost.usage.system_seconds for cost in costs))
    peak_bytes = max(cost.peak_bytes for cost in costs)
    return Cost(usage, sum(cost.wall_seconds for cost in costs), costs[0].resident_bytes, peak_bytes)


class Meter:
    """Measures some processes and all below them."""

    def __init__(self, *pids: int) -> None:
        self._pids = pids

    def measure(self, action: Callable[[], object], *, watch: bool = False) -> Cost:
        """
        Run an action and return what it cost the server.

        Args:
            watch: look at memory during the action too. Costs the client a little, so not where latency counts.
        """
        for pid in self._tree():
            with contextlib.suppress(OSError):
                pathlib.Path(f"/proc/{pid}/clear_refs").write_text("5")
        resident = self._memory("VmRSS")
        with self._peak(watch) as peak:
            before, started_at = self.usage(), time.perf_counter()
            action()
            wall = time.perf_counter() - started_at
            time.sleep(SETTLE_SECONDS)
            used = self.usage().since(before)
        return Cost(used, wall, resident, peak())

    def usage(self) -> Usage:
        """Return what the tree has used so far, that of children which ended included."""
        cpu = system = 0.0
        for pid in self._tree():
            with contextlib.suppress(OSError):
                fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                # clock of another process's processor time, as clock_getcpuclockid(3) makes it
                cpu += time.clock_gettime((~pid << 3) | 2)
                cpu += (int(fields[13]) + int(fields[14])) / TICKS_PER_SECOND
                system += (int(fields[12]) + int(fields[14])) / TICKS_PER_SECOND
        return Usage(cpu, system)

    @contextlib.contextmanager
    def _peak(self, watch: bool) -> Iterator[Callable[[], int]]:
        seen = [0]
        done = threading.Event()

        def look() -> int:
            seen[0] = max(seen[0], self._memory("VmHWM"))
            return seen[0]

        def keep_looking() -> None:
            while not done.wait(WATCH_SECONDS):
                look()

        watcher = threading.Thread(target=keep_looking) if watch else None
        if watcher:
            watcher.start()
        try:
            yield look
        finally:
            done.set()
            if watcher:
                watcher.join()

    def _tree(self) -> list[int]:
        found, waiting = [], [*self._pids]
        while waiting:
            pid = waiting.pop()
            found.append(pid)
            for file in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
                with contextlib.suppress(OSError):
                    waiting += map(int, file.read_text().split())
        return found

    def _memory(self, key: str) -> int:
        total = 0
        for pid in self._tree():
            with contextlib.suppress(OSError):
                found = re.search(rf"{key}:\s+(\d+) kB", pathlib.Path(f"/proc/{pid}/status").read_text())
                total += int(found[1]) * 1024 if found else 0
        return total


def warm_pages(size_bytes: int, folder: pathlib.Path) -> None:
    """
    Have the kernel own as many free pages as a measurement is going to take.

    A virtual machine may give free pages back to its host; the first touch of each then costs whoever
    comes first seconds of system time for a gibibyte. Writing and deleting a file pays that beforehand.
    """
    with tempfile.TemporaryFile(dir=folder) as file:
        for piece in repeated(size_bytes):
            file.write(piece)
