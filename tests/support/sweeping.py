"""
A process that sweeps a registry without any grace, again and again, until its standard input ends.

It then prints how often it did, and how many blobs it removed. Run as `python -m tests.support.sweeping CONFIG`.
"""

from __future__ import annotations

import datetime
import json
import sys
import threading
from typing import Any

from twisted.internet.task import react

from pkgregd.cli import open_instance
from pkgregd.config import load
from pkgregd.registry.sweep import sweep


async def main(reactor: Any) -> None:
    """Sweep."""
    instance = open_instance(reactor, load(sys.argv[1]), sys.stdout)
    is_over = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), is_over.set()), daemon=True).start()
    turns, removed = 0, 0
    try:
        while not is_over.is_set():
            now = datetime.datetime.now(datetime.UTC)
            report = await sweep(instance.catalog, instance.blobs, grace=datetime.timedelta(0), now=now)
            turns, removed = turns + 1, removed + report.removed
            assert not report.failed
    finally:
        await instance.close()
    sys.stdout.write(json.dumps({"turns": turns, "removed": removed}))


if __name__ == "__main__":
    react(main)
