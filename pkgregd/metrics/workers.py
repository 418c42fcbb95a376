"""
The folder in which the processes of a host keep their numbers.

Whoever starts the processes calls empty_folder() before the first and forget_process() when one has ended: counts of
processes that have ended stay, what goes up and down goes with them.
"""

from __future__ import annotations

import os
import pathlib

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
PATTERN = "*.db"


def folder() -> pathlib.Path | None:
    """Return the folder that the environment names; None without."""
    text = os.environ.get(VARIABLE)
    return pathlib.Path(text) if text else None


def make_folder() -> None:
    """Make the folder if one is named."""
    found = folder()
    if found is not None:
        found.mkdir(mode=0o700, parents=True, exist_ok=True)


def empty_folder(path: pathlib.Path) -> None:
    """Make a folder, or remove what processes before us left in it."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    for file in path.glob(PATTERN):
        file.unlink(missing_ok=True)


def forget_process(path: pathlib.Path, pid: int) -> None:
    """Remove what a process that has ended had at present; what it counted stays."""
    for file in path.glob(f"gauge_live*_{pid}.db"):
        file.unlink(missing_ok=True)
