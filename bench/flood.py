"""
Some great uploads at once from a process of their own, so that the client that measures meanwhile is not held up.

Reads what to do as JSON from standard input, and says `begun` when it begins.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence

from bench.load import make_call, run
from bench.settings import ROOT
from bench.wares import great_body


def start_flood(port: int, paths: Sequence[str], headers: Mapping[str, str], size_bytes: int) -> subprocess.Popen[str]:
    """
    Start to PUT a body to each path, all at once.

    Returns:
        The process, which ends with the last upload: with 0 if all were good. The uploads have begun.
    """
    flood = subprocess.Popen(
        [sys.executable, "-m", "bench.flood"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert flood.stdin is not None
    assert flood.stdout is not None
    flood.stdin.write(json.dumps({"port": port, "paths": paths, "headers": dict(headers), "size_bytes": size_bytes}))
    flood.stdin.close()
    if flood.stdout.readline() != "begun\n":
        raise RuntimeError("the uploads do not begin")
    return flood


def main() -> None:
    """Do what standard input says."""
    order = json.load(sys.stdin)
    calls = [make_call("PUT", path, order["headers"], great_body(path, order["size_bytes"])) for path in order["paths"]]
    print("begun", flush=True)
    run(order["port"], calls, len(calls))


if __name__ == "__main__":
    main()
