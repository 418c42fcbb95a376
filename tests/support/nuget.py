"""nuget.exe, which runs on Mono."""

from __future__ import annotations

import pathlib

from tests.support.clients import programs


def nuget_exe() -> pathlib.Path:
    """Return its path; `make` has installed it."""
    return programs("nuget").parent / "node_modules" / "nuget-exe" / "nuget-5.8.0.exe"


def write_nuget(folder: pathlib.Path) -> None:
    """Write a program `nuget`, as people have it, into a folder."""
    program = folder / "nuget"
    program.write_text(f'#!/bin/sh\nexec mono {nuget_exe()} "$@"\n')
    program.chmod(0o755)
