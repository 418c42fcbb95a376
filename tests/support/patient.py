"""
Runs the real daemon with tasks of the tests' own.

    python -m tests.support.patient FOLDER --config FILE

`patient` waits for the file go-PID in the folder, `tick` does nothing, every second, and `broken` fails. Each writes a
line into FOLDER/turns when it begins and when it ends: what, which process, when, and the bookmark.
"""

from __future__ import annotations

import os
import pathlib
import sys
import time
from collections.abc import Sequence

from attrs import evolve, frozen
from twisted.internet import reactor
from twisted.internet.defer import CancelledError
from twisted.internet.task import deferLater

from pkgregd.config import Config
from pkgregd.errors import Unavailable
from pkgregd.parts import Parts, make_parts
from pkgregd.registry.tasks import TaskKind, Turn
from tests.support.variant import serve

LOOK_SECONDS = 0.02
TICK_SECONDS = 1.0


@frozen
class Line:
    """
    What a turn wrote of itself.

    Attributes:
        word: `begin`, `end`, `over` (it was told to end) or `cut` (it was cut off).
    """

    kind: str
    word: str
    pid: int
    time: float
    bookmark: str


def read(folder: pathlib.Path) -> list[Line]:
    """Return what was written so far."""
    file = folder / "turns"
    whole = file.read_text().split("\n")[:-1] if file.exists() else []
    fields = (line.split(" ") for line in whole)
    return [Line(kind, word, int(pid), float(moment), bookmark) for kind, word, pid, moment, bookmark in fields]


def kinds(folder: pathlib.Path) -> Sequence[TaskKind]:
    """Make the tasks."""

    def write(kind: str, word: str, turn: Turn) -> None:
        with (folder / "turns").open("a") as file:
            file.write(f"{kind} {word} {os.getpid()} {time.time()} {turn.bookmark}\n")

    async def wait(turn: Turn) -> None:
        write("patient", "begin", turn)
        turn.bookmark = f"from-{os.getpid()}"
        try:
            while not (folder / f"go-{os.getpid()}").exists():
                if turn.is_over():
                    write("patient", "over", turn)
                    return
                await deferLater(reactor, LOOK_SECONDS)
        except CancelledError:
            write("patient", "cut", turn)
            raise
        write("patient", "end", turn)

    async def tick(turn: Turn) -> None:
        write("tick", "begin", turn)

    async def fail(turn: Turn) -> None:
        write("broken", "begin", turn)
        raise Unavailable("nothing works today")

    return [TaskKind("patient", wait, 3600.0), TaskKind("tick", tick, TICK_SECONDS), TaskKind("broken", fail)]


def main(folder: pathlib.Path, arguments: Sequence[str]) -> None:
    """Run the daemon."""

    def parts(reactor: object, config: Config) -> Parts:
        return evolve(make_parts(reactor, config), more_tasks=kinds(folder))

    serve(arguments, parts)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), sys.argv[2:])
