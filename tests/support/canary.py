"""
Looks for tokens in what the daemons of a test run leave behind.

A token tells by its checksum that it is one, so nobody has to keep a list of those that were made: whatever has the
shape and the checksum, as it is or in base64, was the secret of somebody.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import mmap
import os
import pathlib
import re
from collections.abc import Iterable, Iterator

from attrs import frozen

from pkgregd.auth.tokens import TOKEN_LETTERS, parse
from pkgregd.errors import InvalidCredentials

LOOKED_AT = ("*.log", "*.sqlite3", "*.sqlite3-wal", "*.sqlite3-journal")
"""Logs, and databases with what is not in their files yet."""

_BEGINNING = re.compile(rb"pkgr_[a-z]{3}_")
_ENCODED = re.compile(rb"cGtncl|BrZ3Jf|wa2dyX")
"""How a token begins in base64, by where in a group of three bytes it begins."""

_OTHERS = re.compile(rb"[^0-9A-Za-z+/_-]")

BEFORE, AFTER = 3, 4 * TOKEN_LETTERS
"""So many letters around that beginning are looked at; what comes before it is there to be skipped, by up to three."""

OF_CLIENTS = frozenset({"_logs"})
"""Folders in which clients write down themselves what they were told to do, npm its whole command line."""


@frozen
class Find:
    """
    A token where none should be.

    Attributes:
        place: the file, and what is in it there.
        public_id: of the token; the rest of it stays where it is.
    """

    place: str
    public_id: str

    def __str__(self) -> str:
        return f"the token {self.public_id} is in {self.place}"


found: list[Find] = []
"""By this run, until now."""


def tokens_in(data: bytes | mmap.mmap) -> Iterator[tuple[int, str]]:
    """Find tokens; returns where each begins, and its public id."""
    for match in _BEGINNING.finditer(data):
        start = match.start()
        if public_id := _public_id(data[start : start + TOKEN_LETTERS]):
            yield start, public_id
    for match in _ENCODED.finditer(data):
        start = max(0, match.start() - BEFORE)
        before = _OTHERS.split(data[start : match.start()])[-1]
        for public_id in _decoded(before + _OTHERS.split(data[match.start() : match.start() + AFTER])[0]):
            yield match.start(), public_id


def _public_id(text: bytes) -> str | None:
    try:
        return parse(text.decode("ascii"))
    except (UnicodeDecodeError, InvalidCredentials):
        return None


def _decoded(letters: bytes) -> Iterator[str]:
    """Find tokens in a run of letters, which may begin anywhere in a group of four."""
    letters = letters.replace(b"-", b"+").replace(b"_", b"/")
    for skipped in range(4):
        whole = letters[skipped:]
        if len(whole) % 4 == 1:  # the last letter belongs to something else
            whole = whole[:-1]
        with contextlib.suppress(binascii.Error):
            data = base64.b64decode(whole + b"=" * (-len(whole) % 4))
            yield from (public_id for _, public_id in tokens_in(data))


def look_at_text(data: bytes, place: str) -> None:
    """Keep what is found in bytes in hand, such as the body of an error."""
    found.extend(Find(f"{place}, byte {start}", public_id) for start, public_id in tokens_in(data))


def look_at_file(path: pathlib.Path) -> None:
    """Keep what is found in a file."""
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size:
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                found.extend(Find(f"{path}, byte {start}", public_id) for start, public_id in tokens_in(data))


def look_at_folder(folder: pathlib.Path, patterns: Iterable[str] = LOOKED_AT) -> None:
    """Keep what is found in the logs and databases of a folder, and of those in it."""
    for pattern in patterns:
        for path in folder.rglob(pattern):
            if path.is_file() and not path.is_symlink() and not OF_CLIENTS & set(path.parts):
                look_at_file(path)
