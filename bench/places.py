"""On which cores servers and clients run."""

from __future__ import annotations

import contextlib
import os
import pathlib
from collections.abc import Iterable, Iterator

from attrs import frozen


@frozen
class Place:
    """
    Which cores.

    Attributes:
        title: for tables.
        is_apart: whether servers have the first core for themselves, and clients, with all that they start, the others.
    """

    title: str
    is_apart: bool

    @contextlib.contextmanager
    def taken(self, servers: Iterable[int]) -> Iterator[None]:
        """Have servers, by their processes, and this one run there meanwhile; of a single core nothing is set apart."""
        cores = sorted(os.sched_getaffinity(0))
        if not self.is_apart or len(cores) < 2:
            yield
            return
        pids = list(servers)
        try:
            for pid in pids:
                _bind(pid, cores[:1])
            os.sched_setaffinity(0, cores[1:])
            yield
        finally:
            os.sched_setaffinity(0, cores)
            for pid in pids:
                _bind(pid, cores)


def _bind(pid: int, cores: list[int]) -> None:
    """Bind all threads of a process; those that it starts later go where their makers are."""
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(ProcessLookupError):
            os.sched_setaffinity(int(task.name), cores)


PLACES = (Place("servers on a core of their own", is_apart=True), Place("on all cores", is_apart=False))
