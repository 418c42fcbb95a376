"""
Some great uploads at once, or one small request over and over, from a process of their own, so that the client that
measures meanwhile is not held up.

Reads what to do as JSON from standard input, and says `begun` when it begins; of small requests it tells the outcome
as JSON when it has ended.
"""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from attrs import field, frozen

from bench.load import Call, make_call, run
from bench.settings import ROOT
from bench.wares import great_body


def start_flood(port: int, paths: Sequence[str], headers: Mapping[str, str], size_bytes: int) -> subprocess.Popen[str]:
    """
    Start to PUT a body to each path, all at once.

    Returns:
        The process, which ends with the last upload: with 0 if all were good. The uploads have begun.
    """
    return _start({"port": port, "paths": paths, "headers": dict(headers), "size_bytes": size_bytes})


@frozen
class Crowd:
    """
    One small request over and over.

    Attributes:
        process: what sends it.
        began_at: on the monotonic clock of the machine.
    """

    process: subprocess.Popen[str]
    began_at: float
    _told: dict[str, Any] = field(factory=dict, repr=False)

    def answers(self) -> Counter[int]:
        """Wait for its end, and return how often each status was answered."""
        if not self._told:
            assert self.process.stdout is not None
            self._told.update(json.load(self.process.stdout))
            self.process.wait()
        return Counter({int(status): count for status, count in self._told["statuses"].items()})

    @property
    def runs(self) -> bool:
        """Whether it goes on."""
        return self.process.poll() is None

    @property
    def ended_at(self) -> float:
        """When it stopped asking, though some answers may have been kept back longer; known behind answers()."""
        return float(self._told["ended_at"])


def start_crowd(
    port: int, path: str, headers: Mapping[str, str], seconds: float, connections: int, per_second: float | None = None
) -> Crowd:
    """
    Start to GET a path for so long, over some connections, be it answered with 200 or with 429.

    Args:
        per_second: how often at most; None is as often as answers come.
    """
    order = {
        "port": port,
        "paths": [path],
        "headers": dict(headers),
        "seconds": seconds,
        "connections": connections,
        "per_second": per_second,
    }
    return Crowd(_start(order), time.monotonic())


def _start(order: Mapping[str, object]) -> subprocess.Popen[str]:
    flood = subprocess.Popen(
        [sys.executable, "-m", "bench.flood"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert flood.stdin is not None
    assert flood.stdout is not None
    flood.stdin.write(json.dumps(order))
    flood.stdin.close()
    if flood.stdout.readline() != "begun\n":
        raise RuntimeError("the requests do not begin")
    return flood


def _paced(call: Call, per_second: float | None) -> Iterator[Call]:
    next_at = time.monotonic()
    while True:
        if per_second is not None:
            time.sleep(max(0.0, next_at - time.monotonic()))
            next_at += 1 / per_second
        yield call


def _ask_for(order: Mapping[str, Any]) -> None:
    call = make_call("GET", order["paths"][0], order["headers"], statuses=frozenset({200, 429}))
    ends_at = time.monotonic() + order["seconds"]
    calls = itertools.takewhile(lambda _: time.monotonic() < ends_at, _paced(call, order["per_second"]))
    print("begun", flush=True)
    outcome = run(order["port"], calls, order["connections"])
    print(json.dumps({"statuses": dict(outcome.statuses), "ended_at": ends_at}))


def main() -> None:
    """Do what standard input says."""
    order = json.load(sys.stdin)
    if "seconds" in order:
        _ask_for(order)
        return
    calls = [make_call("PUT", path, order["headers"], great_body(path, order["size_bytes"])) for path in order["paths"]]
    print("begun", flush=True)
    run(order["port"], calls, len(calls))


if __name__ == "__main__":
    main()
