"""What was measured: samples by row, ratios between rows, and the facts of the machine."""

from __future__ import annotations

import importlib.metadata
import os
import pathlib
import platform
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence

import attrs
from attrs import field, frozen

from bench import settings
from bench.load import Outcome
from bench.meter import Cost, Meter
from bench.peers import Nginx
from bench.verdaccio import PROGRAM, Verdaccio

GIB, THOUSAND, REQUEST, ANSWER, RUN = "GiB", "1000 requests", "request", "answer", "run"
"""
The units in which rows are told.

Of an answer, latency alone is told: what the server used meanwhile was not for it. A run is that of a client, as
people call it.
"""

COLOURS = re.compile(r"\x1b\[[0-9;]*m")

CLIENTS: Mapping[str, Sequence[str]] = {
    "node": ("node", "--version"),
    "npm": ("npm", "--version"),
    "Maven": ("mvn", "--batch-mode", "--version"),
    "cargo": ("cargo", "--version"),
}
"""What has the clients say which they are; the first line counts."""


@frozen
class Row:
    """
    What is measured in every repetition.

    Attributes:
        part: of the benchmark.
        work: what is done.
        server: who does it.
        unit: one of those above: what a sample is divided by.
    """

    part: str
    work: str
    server: str
    unit: str

    @property
    def title(self) -> str:
        """Name it within its part."""
        return f"{self.server}: {self.work}"


@frozen
class Sample:
    """
    One measurement.

    Attributes:
        units: how many of the row's unit it was.
        cpu_seconds, system_seconds: processor time of the server's processes, and the system's part of it.
        wall_seconds: how long it took.
        resident_bytes, peak_bytes: memory of the server's processes before it, and the most during it.
        median_seconds, p99_seconds: latency of a request.
        load: processes that wanted to run on the machine, averaged over the minute before its end.
    """

    units: float
    cpu_seconds: float
    system_seconds: float
    wall_seconds: float
    resident_bytes: int = 0
    peak_bytes: int = 0
    median_seconds: float = 0.0
    p99_seconds: float = 0.0
    load: float = field(factory=lambda: os.getloadavg()[0])


@frozen
class Ratio:
    """
    One row over the sum of others, taken within a repetition.

    Attributes:
        metric: the field of a sample that is compared; CPU is that of one unit.
        is_plain: whether it is one server over another at the same work.
    """

    above: Row
    below: Sequence[Row]
    metric: str = "cpu_seconds"

    @property
    def is_plain(self) -> bool:
        return [row.work for row in self.below] == [self.above.work] and self.metric == "cpu_seconds"

    @property
    def title(self) -> str:
        """Say what is over what."""
        below = " + ".join(row.title for row in self.below)
        names = {"cpu_seconds": "CPU", "median_seconds": "p50", "p99_seconds": "p99"}
        return f"{names[self.metric]} of {self.above.title} / ({below})"


class Journal:
    """Samples as they come."""

    def __init__(self) -> None:
        self.samples: dict[Row, list[Sample]] = {}
        self.ratios: list[Ratio] = []
        self.notes: list[str] = []

    def add(self, row: Row, sample: Sample) -> None:
        """Add a row's sample of this repetition."""
        self.samples.setdefault(row, []).append(sample)
        cpu = sample.cpu_seconds / sample.units
        print(f"  {row.part}: {row.title}: {cpu:.3g} CPU-s a {row.unit}, {sample.wall_seconds:.2f} s", file=sys.stderr)

    def measure(self, row: Row, pid: int, units: float, action: Callable[[], Outcome], *, watch: bool = False) -> None:
        """Run an action and add what it cost the processes below a process."""
        found: list[Outcome] = []
        cost = Meter(pid).measure(lambda: found.append(action()), watch=watch)
        self.add(row, sample_of(cost, found[0], units))

    def compare(self, above: Row, *below: Row, metric: str = "cpu_seconds") -> None:
        """Have a ratio told, if its rows get samples."""
        self.ratios.append(Ratio(above, below, metric))

    def values(self, ratio: Ratio) -> list[float]:
        """Compute a ratio for every repetition; empty if a row was not measured."""
        columns = [self.samples.get(row, []) for row in (ratio.above, *ratio.below)]
        if not all(columns):
            return []
        return [_quotient(samples, ratio.metric) for samples in zip(*columns, strict=True)]


def sample_of(cost: Cost, outcome: Outcome, units: float) -> Sample:
    """Put together what server and client saw."""
    median, p99 = percentiles(outcome.latencies)
    return Sample(
        units=units,
        cpu_seconds=cost.usage.cpu_seconds,
        system_seconds=cost.usage.system_seconds,
        wall_seconds=outcome.wall_seconds,
        resident_bytes=cost.resident_bytes,
        peak_bytes=cost.peak_bytes,
        median_seconds=median,
        p99_seconds=p99,
    )


def percentiles(latencies: Sequence[float]) -> tuple[float, float]:
    """Return the median, and what one in a hundred exceeds."""
    ordered = sorted(latencies)
    return statistics.median(ordered), ordered[min(len(ordered) * 99 // 100, len(ordered) - 1)]


def _quotient(samples: Sequence[Sample], metric: str) -> float:
    above, *below = (getattr(sample, metric) / (sample.units if metric == "cpu_seconds" else 1.0) for sample in samples)
    return float(above / max(sum(below), 1e-9))


def machine_facts(checkouts: Mapping[str, pathlib.Path]) -> dict[str, str]:
    """
    Say on what, of what and when was measured.

    Args:
        checkouts: where the daemons come from, by their names in the tables.
    """
    facts = {
        "begun": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "cores": str(len(os.sched_getaffinity(0))),
        "processor": _processor(),
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / settings.GIB:.1f} GiB",
        "kernel": platform.release(),
        "Python": platform.python_version(),
        "Twisted": importlib.metadata.version("twisted"),
        "load at the beginning": f"{os.getloadavg()[0]:.2f}",
        "settings": f"{settings.GREAT_BYTES // settings.MIB} MiB, {settings.REPETITIONS} repetitions, "
        f"{settings.REQUESTS} requests, {settings.SMALL_UPLOADS} small uploads",
    }
    for name, checkout in checkouts.items():
        facts[f"revision of {name}"] = _output(["git", "-C", str(checkout), "describe", "--always", "--dirty"])
    if program := Nginx.program():
        facts["nginx"] = _output([program, "-v"]).rpartition("/")[2]
    python = settings.PEERS / "bin" / "python"
    for package in ("devpi-server", "pypiserver") if python.exists() else ():
        code = f"import importlib.metadata; print(importlib.metadata.version({package!r}))"
        facts[package] = _output([str(python), "-c", code])
    return facts | program_versions()


def program_versions() -> dict[str, str]:
    """Say which clients and peers of theirs there are."""
    installed = {name: command for name, command in CLIENTS.items() if shutil.which(command[0])}
    found = {name: _output(command).partition("\n")[0] for name, command in installed.items()}
    if PROGRAM.exists():
        found[Verdaccio.name] = _output(["node", str(PROGRAM), "--version"])
    return found


def as_json(journal: Journal, facts: Mapping[str, str]) -> dict[str, object]:
    """Return every number in the shape of results.json."""
    return {
        "facts": dict(facts),
        "notes": journal.notes,
        "rows": [
            {**attrs.asdict(row), "samples": [attrs.asdict(sample) for sample in samples]}
            for row, samples in journal.samples.items()
        ],
        "ratios": [
            {"part": ratio.above.part, "ratio": ratio.title, "values": journal.values(ratio)}
            for ratio in journal.ratios
            if journal.values(ratio)
        ],
    }


def _processor() -> str:
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _output(command: Sequence[str]) -> str:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return COLOURS.sub("", done.stdout).strip() if done.returncode == 0 else "unknown"
