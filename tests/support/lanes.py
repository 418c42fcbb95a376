"""
Runs all tests in a few processes side by side, so that both cores of a small machine have something to do.

    python -m tests.support.lanes 2

Most tests wait for a daemon or a client. Each module of `tests.clients` and each other package is a share of its own;
a lane that is free takes the next one. What measures memory or the length of turns runs alone, after all others. The
output of a share is printed when it has ended. The last line is the sum of all, as tests.support.runner has it.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import queue
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Sequence

from attrs import field, frozen

from tests.support.runner import Summary, exit_status, write_summary

ROOT = pathlib.Path(__file__).parents[2]
TESTS = ROOT / "tests"

IN_PARTS = frozenset({"clients", "torture"})
"""Packages whose modules are shares of their own."""

ALONE = frozenset({"tests.torture.test_streaming", "tests.torture.test_watchdog", "tests.torture.test_hostile_bodies"})
"""What measures, and wants the machine to itself."""

EARLY = ("tests.clients.test_gradle", "tests.clients.test_rate_limits", "tests.clients.test_refusals", "tests.torture")
"""What takes long begins early, lest one lane end with it while the others are idle."""

SHARE_SECONDS = 900.0
"""How long a share may take; then it is ended with all that it started, and has failed."""

SUMMARY_LINE = re.compile(r"(\d+) passed, (\d+) failed, (\d+) skipped\Z")


@frozen
class Share:
    """
    Tests that run in one process.

    Attributes:
        names: of modules or packages.
    """

    names: tuple[str, ...]

    def __str__(self) -> str:
        return " ".join(self.names)


@frozen
class Outcome:
    """How a share came out, and what it printed."""

    share: Share
    summary: Summary
    status: int
    seconds: float
    text: str = field(repr=False)


def shares() -> tuple[list[Share], list[Share]]:
    """Divide all tests; returns what may run side by side, the longest first, and what runs alone."""
    together, alone, rest = [], [], []
    for path in sorted(TESTS.iterdir()):
        name = f"tests.{path.stem}"
        if path.name in IN_PARTS:
            together += [f"{name}.{module.stem}" for module in sorted(path.glob("test_*.py"))]
        elif path.is_dir() and any(path.glob("test_*.py")):
            together.append(name)
        elif path.match("test_*.py"):
            rest.append(name)
    alone = [name for name in together if name in ALONE]
    together = [name for name in together if name not in ALONE]
    together.sort(key=lambda name: not name.startswith(EARLY))
    return [Share(tuple(rest)), *(Share((name,)) for name in together)], [Share((name,)) for name in alone]


def run_share(share: Share, number: int) -> Outcome:
    """Run a share in a process of its own."""
    began = time.monotonic()
    with tempfile.TemporaryFile() as output, tempfile.NamedTemporaryFile("r") as summary:
        environment = {
            **os.environ,
            "PKGREGD_TEST_SUMMARY": summary.name,
            "PKGREGD_TEST_FOLDER": f"_trial_temp.{number}",
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.runner", *share.names],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
        try:
            status = process.wait(SHARE_SECONDS)
        except subprocess.TimeoutExpired:
            output.write(f"\n{share}: not over after {SHARE_SECONDS:g} seconds\n".encode())
            status = 1
        with contextlib.suppress(ProcessLookupError):  # whatever it left behind
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        output.seek(0)
        text = output.read().decode("utf-8", "backslashreplace")
        found = SUMMARY_LINE.search(summary.read().strip())
    counted = Summary(*map(int, found.groups())) if found else Summary(0, 1, 0)
    return Outcome(share, counted, status, time.monotonic() - began, text)


def run_all(waiting: Iterable[tuple[int, Share]], lanes: int) -> list[Outcome]:
    """Run shares in so many lanes."""
    left: queue.SimpleQueue[tuple[int, Share]] = queue.SimpleQueue()
    for entry in waiting:
        left.put(entry)
    outcomes: list[Outcome] = []

    def lane() -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                number, share = left.get_nowait()
                outcome = run_share(share, number)
                outcomes.append(outcome)
                sys.stdout.write(f"{outcome.text}{share}: {outcome.summary} in {outcome.seconds:.0f} s\n\n")
                sys.stdout.flush()

    threads = [threading.Thread(target=lane, daemon=True) for _ in range(lanes)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


def main(arguments: Sequence[str]) -> int:
    """Run everything, write the sum, return the exit status."""
    lanes = int(arguments[0])
    together, alone = shares()
    with tempfile.TemporaryDirectory(prefix="templates-") as templates:
        os.environ["PKGREGD_TEST_TEMPLATES"] = templates
        outcomes = run_all(enumerate(together), lanes)
        outcomes += run_all(enumerate(alone, len(together)), 1)
    for outcome in sorted(outcomes, key=lambda outcome: -outcome.seconds):
        sys.stdout.write(f"{outcome.seconds:6.0f} s  {outcome.summary}  {outcome.share}\n")
    for outcome in outcomes:
        if outcome.status or outcome.summary.failed:
            sys.stdout.write(f"not well: {outcome.share} (exit status {outcome.status})\n")
    total = Summary(
        sum(outcome.summary.passed for outcome in outcomes),
        sum(outcome.summary.failed for outcome in outcomes),
        sum(outcome.summary.skipped for outcome in outcomes),
    )
    write_summary(total)
    return exit_status(total) or int(any(outcome.status for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
