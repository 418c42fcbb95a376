"""What lies on disk below a daemon's folder, looked at without asking the daemon."""

from __future__ import annotations

import hashlib
import pathlib


def stored_blobs(folder: pathlib.Path) -> set[str]:
    """Return the sha256 of every blob in the store, by the names of the files."""
    return {file.name for file in (folder / "blobs" / "sha256").glob("*/*/*")}


def damaged_blobs(folder: pathlib.Path) -> set[str]:
    """Return the names of blobs that are not where, or not what, their name says."""
    damaged = set()
    for file in (folder / "blobs" / "sha256").rglob("*"):
        if file.is_file():
            name = hashlib.sha256(file.read_bytes()).hexdigest()
            if file.relative_to(folder / "blobs" / "sha256").parts != (name[:2], name[2:4], name):
                damaged.add(file.name)
    return damaged


def staged_files(folder: pathlib.Path) -> set[str]:
    """Return the files in staging, but for the locks that living processes hold."""
    staging = folder / "blobs" / "staging"
    return {str(file.relative_to(staging)) for file in staging.rglob("*") if file.is_file() and file.name != ".lock"}
