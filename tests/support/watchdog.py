"""
Runs the real daemon, and watches what its reactor thread does in each turn of its loop.

    python -m tests.support.watchdog REPORT --config FILE

A turn is what happens between two waits for events. It is measured in CPU time of the thread: that leaves out
whatever the machine gave to others, and waits for Python's lock. What it was is seen by another thread, which
looks at the stack of a turn that has used a millisecond, and every millisecond after that. Collections of garbage
that ran within a turn are counted apart.

SIGUSR1 has what was seen since the last time written to the file REPORT, as JSON, and so has the end. SIGUSR2
has the reactor do each of MISDEEDS, in turns of their own: what has to be seen, and what must not be taken for it.
"""

from __future__ import annotations

import bisect
import faulthandler
import gc
import heapq
import json
import os
import pathlib
import re
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import define, field, frozen
from twisted.internet import reactor

from tests.support.variant import serve

ROOT = str(pathlib.Path(__file__).parents[2]) + os.sep
OURS = "pkgregd" + os.sep

LOOK_SECONDS = LOOK_FROM_SECONDS = 0.001
SWITCH_SECONDS = 0.0005
"""How long the reactor thread may keep Python's lock when the watchdog wants it: less than what it looks for."""

BOUNDS_MS = (0.25, 0.5, 1, 2, 3, 4, 5, 7.5, 10, 20, 50, 100)
"""The distribution is told in these classes."""

KEPT_TURNS = 200
"""How many of the longest turns are kept with their stacks."""

MAX_FRAMES = 40
FRAME = re.compile(r'^  File "(.+)", line (\d+) in (.+)$', re.MULTILINE)
LOOP = ("doPoll", "mainLoop")
"""What every turn has in common is left out of its stacks."""

BURN_SECONDS, SLEEP_SECONDS = 0.02, 0.02


@frozen(order=True)
class Turn:
    """
    One turn.

    Attributes:
        cpu_ns: CPU time of the reactor thread, without that of garbage collections.
        gc_ns: CPU time of garbage collections that ran in it.
        wall_ns: by the clock.
        number: of the turn, in its span.
        events: how many file descriptors were ready.
        looks: the stacks that were seen, innermost frame first, and how often.
    """

    cpu_ns: int
    gc_ns: int
    wall_ns: int
    number: int
    events: int
    looks: Mapping[tuple[str, ...], int] = field(order=False)

    def blame(self) -> str:
        """Return the innermost frame of ours that was seen most."""
        seen: Counter[str] = Counter()
        for stack, count in self.looks.items():
            inner = next((frame for frame in stack if frame.startswith(OURS)), stack[0])
            seen[inner.rpartition(":")[0]] += count
        return seen.most_common(1)[0][0] if seen else "not seen"

    def report(self) -> Mapping[str, object]:
        """Return it in milliseconds."""
        return {
            "cpu_ms": self.cpu_ns / 1e6,
            "gc_ms": self.gc_ns / 1e6,
            "wall_ms": self.wall_ns / 1e6,
            "events": self.events,
            "blame": self.blame(),
            "looks": [{"count": count, "stack": stack} for stack, count in self.looks.items()],
        }


@define
class Span:
    """What was seen between two reports."""

    turns: int = 0
    total_ns: int = 0
    classes: list[int] = field(factory=lambda: [0] * (len(BOUNDS_MS) + 1))
    longest: list[Turn] = field(factory=list)
    pauses_ns: list[tuple[int, int]] = field(factory=list)

    def add(self, cpu_ns: int, gc_ns: int, wall_ns: int, events: int, looks: Mapping[tuple[str, ...], int]) -> None:
        """Count a turn, and keep it if it is one of the longest."""
        self.turns += 1
        self.total_ns += cpu_ns
        self.classes[bisect.bisect_right(BOUNDS_MS, cpu_ns / 1e6)] += 1
        if len(self.longest) < KEPT_TURNS or cpu_ns > self.longest[0].cpu_ns:
            turn = Turn(cpu_ns, gc_ns, wall_ns, self.turns, events, looks)
            (heapq.heappush if len(self.longest) < KEPT_TURNS else heapq.heappushpop)(self.longest, turn)

    def report(self) -> Mapping[str, object]:
        """Return it for JSON; the longest turn first."""
        names = [f"<{bound:g}" for bound in BOUNDS_MS] + [f">={BOUNDS_MS[-1]:g}"]
        return {
            "turns": self.turns,
            "cpu_seconds": self.total_ns / 1e9,
            "classes_ms": dict(zip(names, self.classes, strict=True)),
            "longest": [turn.report() for turn in sorted(self.longest, reverse=True)],
            "collections": [
                {"generation": generation, "cpu_ms": pause_ns / 1e6} for generation, pause_ns in self.pauses_ns
            ],
        }


class Watchdog:
    """
    Watches the thread that makes it.

    Args:
        report: the file to write to.
    """

    def __init__(self, report: pathlib.Path) -> None:
        self._report = report
        self._thread = threading.get_ident()
        self._cpu_clock = time.pthread_getcpuclockid(self._thread)
        self._span = Span()
        self._looks: Counter[tuple[str, ...]] = Counter()
        self._in_turn = False
        self._cpu_began_ns = self._wall_began_ns = self._gc_began_ns = self._gc_ns = self._events = 0
        self._wanted = threading.Event()
        self._stacks = Stacks()

    def start(self) -> None:
        """Begin to look."""
        sys.setswitchinterval(SWITCH_SECONDS)
        gc.callbacks.append(self._collecting)
        signal.signal(signal.SIGUSR1, lambda *_: self._wanted.set())
        threading.Thread(target=self._look, name="watchdog", daemon=True).start()

    # ------------------------------------------------------------------ called on the reactor thread

    def turn_begins(self, events: int) -> None:
        """There are events."""
        self._looks = Counter()
        self._gc_ns, self._events = 0, events
        self._wall_began_ns = time.monotonic_ns()
        self._cpu_began_ns = time.thread_time_ns()
        self._in_turn = True

    def turn_ends(self) -> None:
        """Everything is done; the reactor is about to wait."""
        if self._in_turn:
            cpu_ns = time.thread_time_ns() - self._cpu_began_ns
            wall_ns = time.monotonic_ns() - self._wall_began_ns
            self._in_turn = False
            self._span.add(cpu_ns - self._gc_ns, self._gc_ns, wall_ns, self._events, self._looks)

    def _collecting(self, phase: str, info: Mapping[str, int]) -> None:
        if threading.get_ident() != self._thread:
            return
        if phase == "start":
            self._gc_began_ns = time.thread_time_ns()
        else:
            pause_ns = time.thread_time_ns() - self._gc_began_ns
            self._gc_ns += pause_ns
            self._span.pauses_ns.append((info["generation"], pause_ns))

    # ------------------------------------------------------------------ the watchdog's thread

    def _look(self) -> None:
        while True:
            time.sleep(LOOK_SECONDS)
            if self._wanted.is_set():
                self._wanted.clear()
                self.write()
            looks, began_ns = self._looks, self._cpu_began_ns
            used_ns = time.clock_gettime_ns(self._cpu_clock) - began_ns
            if self._in_turn and used_ns > LOOK_FROM_SECONDS * 1e9:
                stack = self._stacks.read(self._thread)
                if looks is self._looks:  # the same turn still
                    looks[stack] += 1

    def write(self) -> None:
        """Write what was seen, and begin anew."""
        span, self._span = self._span, Span()
        unfinished = self._report.with_suffix(".new")
        unfinished.write_text(json.dumps(span.report()))
        unfinished.replace(self._report)


class Stacks:
    """
    Reads the stacks of threads in one piece.

    faulthandler does that without giving Python's lock away and without making frame objects. Going through
    sys._current_frames() while the other thread runs on is the same in principle; with it the daemon was once
    ended by SIGSEGV.
    """

    def __init__(self) -> None:
        self._file = os.fdopen(os.memfd_create("stacks"), "r+b", buffering=0)

    def read(self, thread: int) -> tuple[str, ...]:
        """Return `file:function:line` from the innermost frame outwards; ours and libraries' by their own paths."""
        self._file.seek(0)
        self._file.truncate()
        faulthandler.dump_traceback(self._file, all_threads=True)
        self._file.seek(0)
        text = self._file.read().decode("utf-8", "replace")
        found = text.partition(f"Thread 0x{thread:016x} (most recent call first):\n")[2].partition("\n\n")[0]
        stack = []
        for file, line, function in FRAME.findall(found):
            if function in LOOP or len(stack) == MAX_FRAMES:
                break
            stack.append(f"{file.removeprefix(ROOT).rpartition('site-packages' + os.sep)[2]}:{function}:{line}")
        return tuple(stack) or ("the reactor",)


def burn() -> None:
    """Use CPU time."""
    until = time.thread_time() + BURN_SECONDS
    while time.thread_time() < until:
        pass


def sleep() -> None:
    """Hold up the reactor without using any."""
    time.sleep(SLEEP_SECONDS)


def collect() -> None:
    """Look for garbage everywhere, as Python does now and then by itself."""
    gc.collect()


MISDEEDS = (burn, sleep, collect)


def misbehave(*_: object) -> None:
    """Do all of MISDEEDS, one after the other."""
    for number, misdeed in enumerate(MISDEEDS):
        reactor.callFromThread(reactor.callLater, 0.05 * number, misdeed)


class WatchedPoller:
    """The reactor's epoll object, which tells when the reactor waits."""

    def __init__(self, poller: Any, watchdog: Watchdog) -> None:
        self._poller = poller
        self._watchdog = watchdog

    def poll(self, *arguments: Any) -> list[tuple[int, int]]:
        """Wait."""
        self._watchdog.turn_ends()
        ready: list[tuple[int, int]] = self._poller.poll(*arguments)
        self._watchdog.turn_begins(len(ready))
        return ready

    def __getattr__(self, name: str) -> Any:
        return getattr(self._poller, name)


def main(report: str, arguments: Sequence[str]) -> None:
    """Run the daemon watched."""
    faulthandler.enable()
    watchdog = Watchdog(pathlib.Path(report))
    # a private name of Twisted's: without it this fails at once, and with it every test of the watchdog
    reactor._poller = WatchedPoller(reactor._poller, watchdog)  # type: ignore[attr-defined]
    watchdog.start()
    signal.signal(signal.SIGUSR2, misbehave)
    serve(arguments)
    watchdog.write()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
