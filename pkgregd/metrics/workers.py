"""
The folder in which the processes of a host keep their numbers.

Whoever starts the processes calls empty_folder() before the first and forget_process() when one has ended: counts of
processes that have ended stay, added up in one file of each kind, and what goes up and down goes with them. That is
done while nobody makes a page, or counts would be missing on it, or be there twice.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pathlib
import struct
from collections.abc import Iterator

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
PATTERN = "*.db"
COUNTS = ("counter", "histogram")
ENDED = "ended"
"""Stands for the number of a process in the names of the files with what those have counted that are no more."""


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


@contextlib.contextmanager
def locked(path: pathlib.Path, how: int) -> Iterator[None]:
    """Have the folder with others who read (LOCK_SH), or alone (LOCK_EX); BlockingIOError with LOCK_NB if it is not."""
    number = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(number, how)
        yield
    finally:
        os.close(number)


def forget_process(path: pathlib.Path, pid: int) -> bool:
    """
    Remove the files of a process that has ended, and keep what it counted.

    Returns:
        Whether that is done; else a page is being made, and it is to be tried again.
    """
    try:
        for file in path.glob(f"gauge_live*_{pid}.db"):
            file.unlink(missing_ok=True)
        with locked(path, fcntl.LOCK_EX | fcntl.LOCK_NB):
            for kind in COUNTS:
                _add_up(path / f"{kind}_{pid}.db", path / f"{kind}_{ENDED}.db")
    except BlockingIOError:
        return False
    except OSError:  # there is no room, or no folder any more: what is left stays, and counts as it is
        return True
    return True


def _add_up(file: pathlib.Path, sums: pathlib.Path) -> None:
    """Add the numbers of a file to those of another one, and remove it."""
    if not file.exists():
        return
    from prometheus_client.mmap_dict import MmapedDict

    totals: dict[str, float] = {}
    for each in filter(pathlib.Path.exists, (sums, file)):
        try:
            for key, value, *_ in MmapedDict.read_all_values_from_file(each):
                totals[key] = totals.get(key, 0.0) + value
        except (RuntimeError, ValueError, struct.error):  # it is torn, and no page could be made with it
            continue
    fresh = sums.with_suffix(".new")
    try:
        fresh.write_bytes(_written(totals))
        os.replace(fresh, sums)
    except OSError:
        fresh.unlink(missing_ok=True)
        raise
    file.unlink()


def _written(totals: dict[str, float]) -> bytes:
    """Write numbers as prometheus_client does (pinned by a test)."""
    pieces = []
    for key, value in totals.items():
        encoded = key.encode("utf-8")
        padded = encoded + b" " * (8 - (len(encoded) + 4) % 8)
        pieces.append(struct.pack(f"i{len(padded)}sdd", len(encoded), padded, value, 0.0))
    data = b"".join(pieces)
    return struct.pack("ii", 8 + len(data), 0) + data
