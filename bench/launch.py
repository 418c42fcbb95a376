"""
Runs the daemon of any checkout as `twistd --nodaemon pkgregd` does: CHECKOUT, then the options of pkgregd.

A program of its own, so that no other checkout is on the path: neither that of the benchmark nor
one that is installed editable.
"""

from __future__ import annotations

import os
import pathlib
import sys


def main() -> None:
    checkout, *options = sys.argv[1:]
    others = {path for path in sys.path if (pathlib.Path(path) / "pkgregd" / "__init__.py").exists()}
    sys.path[:] = [checkout, *(path for path in sys.path if path not in others)]
    os.environ["PYTHONPATH"] = checkout  # of what the daemon starts
    sys.argv[1:] = ["--nodaemon", "--pidfile=", "pkgregd", *options]

    from twisted.scripts.twistd import run

    run()


if __name__ == "__main__":
    main()
