"""Inspectors for tests: what a reader does, and what hostile bytes make of one. They run in processes of their own."""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Mapping
from typing import IO, NoReturn

from pkgregd.errors import InvalidName, MetadataMismatch, Unavailable
from pkgregd.inspector.wire import READ, READ_HEADER, RESULT, frame


def read(file: IO[bytes], *, tail_bytes: int = 4) -> Mapping[str, object]:
    """Read an archive from both ends."""
    start = file.read(4).decode()
    file.seek(-tail_bytes, os.SEEK_END)
    return {"pid": os.getpid(), "start": start, "end": file.read().decode(), "size": file.tell()}


def read_all(file: IO[bytes]) -> Mapping[str, object]:
    """Count the bytes."""
    size_bytes = 0
    while data := file.read(50_000):
        size_bytes += len(data)
    return {"size": size_bytes}


def describe(file: IO[bytes], *, imports: str) -> Mapping[str, object]:
    """Tell what surrounds the process once a module is imported."""
    __import__(imports)
    return {
        "modules": sorted(sys.modules),
        "fds": sorted(map(int, os.listdir("/proc/self/fd"))),
        "environment": sorted(os.environ),
        "folder": os.getcwd(),
        "nice": os.nice(0),
        "limits": [resource.getrlimit(kind)[0] for kind in (resource.RLIMIT_FSIZE, resource.RLIMIT_CORE)],
        "status": open("/proc/self/status").read(),
    }


def refuse(file: IO[bytes], *, kind: str) -> NoReturn:
    """Raise one of ours, or something else."""
    if kind == "mismatch":
        raise MetadataMismatch("version", ("form", "1"), ("archive", "2"))
    if kind == "name":
        raise InvalidName("not a name")
    if kind == "unavailable":
        raise Unavailable("an inspector does not say that")
    if kind == "deep":
        refuse(file, kind=kind)
    raise KeyError(kind)


def return_odd(file: IO[bytes], *, kind: str) -> Mapping[str, object]:
    """Return what JSON does not carry, or too much."""
    return {"odd": {"bytes": b"x", "nan": float("nan"), "surrogate": "\ud800", "much": "x" * (5 << 20)}[kind]}


def crash(file: IO[bytes], *, kind: str) -> NoReturn:
    """End the process."""
    if kind == "segfault":
        ctypes.string_at(0)
    if kind == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    os._exit(0)


def spin(file: IO[bytes]) -> NoReturn:
    """Use the processor for ever."""
    while True:
        pass


def sleep(file: IO[bytes], *, seconds: float) -> Mapping[str, object]:
    """Take a while."""
    time.sleep(seconds)
    return {"pid": os.getpid()}


def swell(file: IO[bytes]) -> NoReturn:
    """Use memory without end."""
    pieces = []
    while True:
        pieces.append(b"x" * (16 << 20))


def lie(file: IO[bytes], *, kind: str) -> NoReturn:
    """Speak to the daemon as no inspector does, as one that was taken over could."""
    said = {
        "not JSON": frame(RESULT, b"{"),
        "not UTF-8": frame(RESULT, b'{"a": "\xff"}'),
        "not an object": frame(RESULT, b"[1]"),
        "too deep": frame(RESULT, b"[" * 100_000),
        "NaN": frame(RESULT, b'{"a": NaN}'),
        "a kind that is none": frame(99, b"{}"),
        "a refusal that is none": frame(14, json.dumps(["SystemExit", "x"]).encode()),
        "half a refusal": frame(14, json.dumps(["InvalidName"]).encode()),
        "too long": b"\x0d\xff\xff\xff\xff",
        "two frames": frame(RESULT, b"{}") * 2,
        "a read of nothing": frame(READ, READ_HEADER.pack(0, 0)),
        "a read behind the end": frame(READ, READ_HEADER.pack(0, 1 << 20)),
        "a read of a file": frame(READ, READ_HEADER.pack(0, 1)),
        "half a read": frame(READ, b"x"),
    }[kind]
    socket.socket(fileno=0).sendall(said)
    time.sleep(60)
    raise AssertionError


def write(file: IO[bytes]) -> Mapping[str, object]:
    """Try to write into a new file, and into the archive."""
    done = []
    try:
        fd = os.open("/tmp", os.O_TMPFILE | os.O_RDWR)
        os.write(fd, b"x")
        done.append("write")
    except OSError:
        pass
    try:
        os.write(file.fileno(), b"x")
        done.append("archive")
    except OSError:
        pass
    return {"done": done}
