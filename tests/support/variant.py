"""
Runs the real daemon over a disk that misbehaves.

    python -m tests.support.variant slow|lying --config FILE

`slow` writes SLOW_BYTES_PER_SECOND. `lying` says that a blob is in its place
LIE_SECONDS before it is: the fault that the kill test has to find.
"""

from __future__ import annotations

import functools
import os
import sys
import threading
import time
from collections.abc import Mapping, Sequence

from twisted.scripts import twistd

import pkgregd.blobs
from pkgregd.blobs.files import FileBlobStore
from pkgregd.blobs.operations import FileOperations

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


def main(disk: str, arguments: Sequence[str]) -> None:
    """Run twistd with every file store on that disk."""
    store = functools.partial(FileBlobStore, operations=DISKS[disk])
    vars(pkgregd.blobs)["FileBlobStore"] = store  # which open_blob_store() makes
    sys.argv = ["twistd", "--nodaemon", "--pidfile=", "pkgregd", *arguments]
    twistd.run()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
