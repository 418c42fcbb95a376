"""
Runs the real daemon over a disk that misbehaves.

    python -m tests.support.variant slow|lying --config FILE

`slow` writes SLOW_BYTES_PER_SECOND. `lying` says that a blob is in its place
LIE_SECONDS before it is: the fault that the kill test has to find.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import evolve
from twisted.internet import reactor
from twisted.logger import globalLogBeginner, textFileLogObserver

from pkgregd.blobs.files import FileBlobStore
from pkgregd.blobs.operations import FileOperations
from pkgregd.clockwork import go_by_steady_time
from pkgregd.config import Config
from pkgregd.parts import Parts, make_parts
from pkgregd.process import make_service
from pkgregd.tap import Options

SLOW_BYTES_PER_SECOND = 1 << 20
SLOW_WRITE_BYTES = 64 << 10
LIE_SECONDS = 0.5


def writev_slowly(fd: int, views: Sequence[memoryview]) -> int:
    """Write no more than SLOW_WRITE_BYTES, and take the time that a slow disk would."""
    written = os.write(fd, views[0][:SLOW_WRITE_BYTES])
    time.sleep(written / SLOW_BYTES_PER_SECOND)
    return written


def rename_later(source: str, target: str) -> None:
    """Return at once; rename after a while, if there is one."""
    timer = threading.Timer(LIE_SECONDS, os.rename, (source, target))
    timer.daemon = True
    timer.start()


DISKS: Mapping[str, FileOperations] = {
    "slow": FileOperations(writev=writev_slowly),
    "lying": FileOperations(rename=rename_later),
}


def serve(arguments: Sequence[str], parts: Callable[[Any, Config], Parts] = make_parts) -> None:
    """Run the daemon in this process until it is told to stop."""
    go_by_steady_time(reactor)
    options = Options()
    options.parseOptions(arguments)
    globalLogBeginner.beginLoggingTo([textFileLogObserver(sys.stderr)])
    daemon = make_service(reactor, options.config, parts)
    daemon.privilegedStartService()
    daemon.startService()
    reactor.addSystemEventTrigger("before", "shutdown", daemon.stopService)
    reactor.run()


def main(disk: str, arguments: Sequence[str]) -> None:
    """Run the daemon with its file store on that disk."""

    def parts(reactor: Any, config: Config) -> Parts:
        blobs = FileBlobStore(
            reactor,
            config.folder / "blobs",
            reserve_bytes=config.blobs.reserve_bytes,
            threads=config.blobs.threads,
            operations=DISKS[disk],
        )
        return evolve(make_parts(reactor, config), blobs=blobs)

    serve(arguments, parts)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
