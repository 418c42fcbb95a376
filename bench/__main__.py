"""
Measures pkgregd beside nginx, devpi-server, pypiserver and verdaccio, and prints the tables; results.json holds
every number.

    python -m bench [PART...]

Parts: great, small, download, requests, latency, limits, limit-costs, workers; projects and catalogs, for which
`growth` stands; and of npm, NuGet, Cargo and Maven publish, install, documents and search, for which `formats` stands.
All of them if none is named. The settings are environment variables; bench/settings.py has them all,
docs/performance.md tells the usual ones.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from typing import Protocol

from bench import settings
from bench.catalogs import Catalogs
from bench.clients import GreatPackages, Installs
from bench.documents import Documents
from bench.fleet import Fleet, checkouts
from bench.growth import Growth
from bench.journal import Journal, as_json, machine_facts
from bench.latency import Latency
from bench.limitcosts import LimitCosts
from bench.limits import Limits
from bench.reads import Download, SmallRequests
from bench.report import tables
from bench.searches import Searches
from bench.uploads import GreatUploads, SmallUploads
from bench.workers import Workers


class Part(Protocol):
    """Some measurements that belong together."""

    def prepare(self) -> None:
        """Publish what is needed, and say what is compared with what."""

    def repeat(self, number: int) -> None:
        """Measure everything once, server after server, so that a change of the machine meets all of them."""


GROWTH = (Growth, Catalogs)
FORMATS = (GreatPackages, Installs, Documents, Searches)
OTHERS = (GreatUploads, SmallUploads, Download, SmallRequests, Latency, Limits, LimitCosts, Workers)
PARTS = {part.name: part for part in (*OTHERS, *GROWTH, *FORMATS)}
GROUPS = {
    "growth": [part.name for part in GROWTH],
    "formats": [part.name for part in FORMATS],
}
"""Words for several parts."""


def measure(names: Sequence[str], folder: pathlib.Path, journal: Journal) -> None:
    """Run some parts."""
    kinds = [PARTS[name] for name in names]
    with Fleet(folder, {peer for kind in kinds for peer in kind.peers}) as fleet:
        journal.notes += fleet.left_out
        parts: list[Part] = [kind(fleet, journal) for kind in kinds]
        for name, part in zip(names, parts, strict=True):
            print(f"preparing {name}", file=sys.stderr)
            part.prepare()
        for number in range(settings.REPETITIONS):
            print(f"repetition {number + 1} of {settings.REPETITIONS}", file=sys.stderr)
            for part in parts:
                part.repeat(number)


def tell(journal: Journal, facts: Mapping[str, str]) -> None:
    """Print the tables."""
    print("\n".join(f"* {name}: {value}" for name, value in facts.items()) + "\n")
    for text in tables(journal, {name: part.title for name, part in PARTS.items()}):
        print(text)


def main() -> None:
    """Run it all."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure pkgregd beside its peers.")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join([*PARTS, *GROUPS])}")
    words = parser.parse_args().parts
    names = list(dict.fromkeys(name for word in words for name in GROUPS.get(word, [word]))) or list(PARTS)
    if unknown := set(names) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    # the catalogs are made by the oldest of the daemons, and each migrates its copy
    os.environ["PYTHONPATH"] = str(settings.BEFORE or settings.CHECKOUT)
    os.environ["PKGREGD_TEST_FSYNC"] = "on"  # PostgreSQL syncs, as it does elsewhere
    journal, facts = Journal(), machine_facts(checkouts())
    with tempfile.TemporaryDirectory(prefix="bench-", dir=settings.FOLDER) as folder:
        os.chdir(folder)  # where daemons make their folders
        try:
            measure(names, pathlib.Path(folder), journal)
        finally:
            os.chdir(settings.ROOT)
    facts["ended"] = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    loads = [sample.load for samples in journal.samples.values() for sample in samples]
    facts["load during it"] = f"{min(loads):.2f} to {max(loads):.2f}"
    settings.RESULTS.write_text(json.dumps(as_json(journal, facts), indent=1) + "\n")
    tell(journal, facts)


if __name__ == "__main__":
    main()
