"""
Runs the real daemon in a process whose time of day is another one as soon as FOLDER/shift says by how many seconds.

    python -m tests.support.shifted FOLDER --config FILE
"""

from __future__ import annotations

import pathlib
import sys
import time
from collections.abc import Callable, Sequence


def shift(file: pathlib.Path, now: Callable[[], float] = time.time) -> None:
    """Have the time of day be what the file says, once it is there."""
    time.time = lambda: now() + (float(file.read_text()) if file.exists() else 0.0)


def main(folder: pathlib.Path, arguments: Sequence[str]) -> None:
    """Run the daemon, as twistd does."""
    shift(folder / "shift")
    from twisted.scripts.twistd import run  # only now: Twisted remembers the function

    sys.argv = ["twistd", "--nodaemon", "--pidfile=", "pkgregd", *arguments]
    run()


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), sys.argv[2:])
