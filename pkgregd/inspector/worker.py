"""
The process that reads archives: one job after the other, until the daemon closes the socket.

It starts with the socket as descriptor 0, standard error as 2, and nothing else. It imports what
readers need: never Twisted.
"""

from __future__ import annotations

import functools
import importlib
import io
import json
import os
import socket
from collections.abc import Callable
from typing import IO, Any

from pkgregd.errors import InvalidArchive, InvalidRequest
from pkgregd.inspector.channel import Channel, Frame, RemoteFile
from pkgregd.inspector.limits import allow_cpu, confine
from pkgregd.inspector.wire import (
    BROKEN,
    JOB_FILE,
    JOB_HEADER,
    JOB_READS,
    MAX_ANSWER_BYTES,
    MAX_READ_BYTES,
    OUT_OF_MEMORY,
    READY,
    RESULT,
    frame,
    refusal_frame,
    refusal_name,
)

_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False)


def main(memory_bytes: str, cpu_seconds: str) -> None:
    """
    Serve the daemon on descriptor 0.

    Args:
        memory_bytes, cpu_seconds: of an archive, as decimal numbers.
    """
    os.dup2(2, 1)
    with socket.socket(fileno=0) as stream:
        confine(int(memory_bytes))
        serve(Channel(stream), int(cpu_seconds))


def serve(channel: Channel, cpu_seconds: int) -> None:
    """Do jobs until there are no more."""
    channel.send(frame(READY))
    while (job := channel.receive()) is not None:
        allow_cpu(cpu_seconds)
        channel.send(answer(channel, job))


def answer(channel: Channel, job: Frame) -> bytes:
    """Run a job; whatever its reader raises is a refusal."""
    try:
        return _run(channel, job)
    except InvalidRequest as error:
        return refusal_frame(refusal_name(error), str(error))
    except MemoryError:
        return refusal_frame(OUT_OF_MEMORY, "")
    except Exception as error:  # hostile input makes libraries raise anything
        return refusal_frame(BROKEN, type(error).__name__)


def _run(channel: Channel, job: Frame) -> bytes:
    json_bytes, size_bytes = JOB_HEADER.unpack_from(job.payload)
    start = JOB_HEADER.size
    address, arguments = json.loads(job.payload[start : start + json_bytes])
    with _open(channel, job, start + json_bytes, size_bytes) as file:
        result = _ENCODER.encode(_find(address)(file, **arguments)).encode()
    if len(result) > MAX_ANSWER_BYTES:
        raise InvalidArchive(f"the archive holds more than {MAX_ANSWER_BYTES} bytes of metadata")
    return frame(RESULT, result)


def _open(channel: Channel, job: Frame, inline_at: int, size_bytes: int) -> IO[bytes]:
    if job.kind == JOB_FILE:
        assert job.fd is not None
        return open(job.fd, "rb")
    if job.kind == JOB_READS:
        return io.BufferedReader(RemoteFile(channel, size_bytes), MAX_READ_BYTES)
    return io.BytesIO(job.payload[inline_at:])


@functools.cache
def _find(address: str) -> Callable[..., Any]:
    module, _, name = address.partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return found
