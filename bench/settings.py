"""How much is measured, from the environment; the defaults are what docs/performance.md tells."""

from __future__ import annotations

import os
import pathlib

ROOT = pathlib.Path(__file__).parents[1]
KIB = 1 << 10
MIB = 1 << 20
GIB = 1 << 30


def _numbers(name: str, default: str) -> tuple[int, ...]:
    return tuple(int(part) for part in os.environ.get(name, default).split(",") if part.strip())


def _number(name: str, default: int) -> int:
    return int(os.environ.get(name, default))


REPETITIONS = _number("BENCH_REPETITIONS", 5)
"""How often everything is measured."""

GREAT_BYTES = _number("BENCH_MIB", 1024) * MIB
"""Size of a great body. Sixteen at once have a sixteenth of it each, four at once a quarter."""

REQUESTS = _number("BENCH_REQUESTS", 5000)
"""Small requests that make one measurement; a tenth of them where a peer renders a page for each."""

SMALL_UPLOADS = _number("BENCH_SMALL_UPLOADS", 2000)
"""Small uploads that make one measurement."""

GROWTH_FILES = _numbers("BENCH_GROWTH", "10,1000,20000")
"""Files that projects hold, ten of each name, when growth is measured."""

GROWTH_VERSIONS = _numbers("BENCH_GROWTH_VERSIONS", "10,5000")
"""Versions of one name, each of one file, when growth is measured."""

CATALOG_PACKAGES = _numbers("BENCH_CATALOG", "100,10000,200000")
"""Packages in catalogs that are filled by SQL."""

VERSIONS = _numbers("BENCH_VERSIONS", "10,200,2000")
"""Versions of one name whose documents are measured."""

SEARCHED_NAMES = _numbers("BENCH_SEARCHED_NAMES", "1000,10000")
"""Names of each format that searches are measured over."""

CHECKOUT = pathlib.Path(os.environ.get("BENCH_CHECKOUT") or ROOT).resolve()
"""Whose daemon is measured."""

BEFORE = pathlib.Path(os.environ["BENCH_BEFORE"]).resolve() if os.environ.get("BENCH_BEFORE") else None
"""An older checkout that is measured in turns with CHECKOUT, which can migrate its catalog."""

FOLDER = os.environ.get("BENCH_FOLDER")
"""Where the servers keep their files; None means the system's folder for temporary files."""

PEERS = pathlib.Path(os.environ.get("BENCH_PEERS") or ROOT / ".venv-peers").resolve()
"""The virtual environment of the Python peers."""

RESULTS = pathlib.Path(os.environ.get("BENCH_RESULTS") or ROOT / "bench" / "results.json").resolve()
"""Where every number goes."""

SMALL_BYTES = 10 * KIB
