"""
Counts requests in a file of shared limits, as another daemon does, until its standard input ends.

    python -m bench.contender FILE

Says `begun` when it begins. Its callers are those of bench.limits, so that both want the same sets of the file.
"""

from __future__ import annotations

import contextlib
import itertools
import pathlib
import select
import subprocess
import sys
import time
from collections.abc import Iterator

from bench.settings import ROOT
from pkgregd.interfaces import IDueTimes
from pkgregd.registry.gcra import GCRA
from pkgregd.shared.duetimes import open_due_times
from pkgregd.values import Rate

CALLERS = 100
BATCH = 1000
ADMITS = 50_000


@contextlib.contextmanager
def contending(path: pathlib.Path) -> Iterator[None]:
    """Have another process count in a file meanwhile."""
    with subprocess.Popen(
        [sys.executable, "-m", "bench.contender", str(path)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        if other.stdout.readline() != "begun\n":
            raise RuntimeError("the other process does not begin")
        yield
        if other.poll() is not None:
            raise RuntimeError("the other process ended too early")
        other.stdin.close()


def microseconds(store: IDueTimes, count: int = ADMITS) -> float:
    """Count requests of some callers in turn, and return what one took."""
    limiter = GCRA(Rate(10**6, 1), time.monotonic, store)
    started_at = time.perf_counter()
    for key in itertools.islice(itertools.cycle(map(str, range(CALLERS))), count):
        limiter.admit(key)
    return (time.perf_counter() - started_at) / count * 1e6


def main() -> None:
    """Count until told to end."""
    store = open_due_times(pathlib.Path(sys.argv[1]))
    print("begun", flush=True)
    while not select.select([sys.stdin], [], [], 0)[0]:
        microseconds(store, BATCH)
    store.close()


if __name__ == "__main__":
    main()
