"""
What daemon and inspector say to each other, over a stream socket that only they have.

A frame is a HEADER (kind, length of the payload) and the payload. One side speaks at a time:

    inspector   READY                       once, when its limits are set
    daemon      JOB_*                       what to run, over which archive
    inspector   READ                        only after JOB_READS, any number of times
    daemon      DATA or NO_DATA             the answer to each
    inspector   RESULT or REFUSAL           the end of the job

The inspector reads hostile bytes, so nothing that it says is trusted: every frame is bounded, and its
JSON is checked here.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping

from attrs import frozen

from pkgregd import errors
from pkgregd.errors import InvalidArchive, InvalidRequest

HEADER = struct.Struct("!BI")
JOB_HEADER = struct.Struct("!IQ")
"""Length of the job's JSON, and of the archive; the JSON follows, and behind it the archive of JOB_BYTES."""
READ_HEADER = struct.Struct("!QI")
"""Offset and length of a piece of the archive."""

JOB_BYTES, JOB_FILE, JOB_READS, DATA, NO_DATA = 1, 2, 3, 4, 5
READY, READ, RESULT, REFUSAL = 11, 12, 13, 14

INLINE_BYTES = 64 << 10
"""An archive up to this size travels within the job."""

MAX_JOB_JSON_BYTES = 16 << 10
MAX_READ_BYTES = 64 << 10
MAX_TO_INSPECTOR_BYTES = HEADER.size + JOB_HEADER.size + MAX_JOB_JSON_BYTES + INLINE_BYTES
"""The longest frame to an inspector: it fits into a socket's buffer, so that sending one never waits."""

MAX_ANSWER_BYTES = 4 << 20
"""Of a result: twice what a long description takes."""

MAX_MESSAGE_CHARACTERS = 2000

REFUSALS: Mapping[str, type[InvalidRequest]] = {
    kind.__name__: kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, InvalidRequest)
}
"""The errors that an inspector may answer, by name."""

BROKEN = "Broken"
"""A refusal that is none of ours: a reader fell over its input; the message names the exception."""

OUT_OF_MEMORY = "OutOfMemory"


class BadAnswer(Exception):
    """An inspector said what none says."""


@frozen
class Refusal:
    """
    Why there is no result.

    Attributes:
        error: for the client.
        is_out_of_memory: the inspector reached its limit.
    """

    error: InvalidRequest
    is_out_of_memory: bool = False


def frame(kind: int, payload: bytes = b"") -> bytes:
    """Put a header before a payload."""
    return HEADER.pack(kind, len(payload)) + payload


def refusal_name(error: InvalidRequest) -> str:
    """Name an error by the nearest class that the daemon knows."""
    return next(kind.__name__ for kind in type(error).__mro__ if REFUSALS.get(kind.__name__) is kind)


def refusal_frame(name: str, message: str) -> bytes:
    """
    Say why there is no result.

    Args:
        name: from REFUSALS, or BROKEN or OUT_OF_MEMORY.
    """
    return frame(REFUSAL, json.dumps([name, message[:MAX_MESSAGE_CHARACTERS]]).encode())


def read_result(payload: bytes) -> Mapping[str, object]:
    """
    Read the payload of a RESULT.

    Raises:
        BadAnswer: not a JSON object.
    """
    value = _loads(payload)
    if not isinstance(value, dict):
        raise BadAnswer
    return value


def read_refusal(payload: bytes) -> Refusal:
    """
    Read the payload of a REFUSAL.

    Raises:
        BadAnswer: not one that we know.
    """
    match _loads(payload):
        case [str(name), str(text)]:
            message = text[:MAX_MESSAGE_CHARACTERS]
        case _:
            raise BadAnswer
    if name == OUT_OF_MEMORY:
        return Refusal(InvalidArchive("the archive takes too much memory to read"), is_out_of_memory=True)
    if name == BROKEN:
        return Refusal(InvalidArchive("the archive cannot be read"))
    if name not in REFUSALS:
        raise BadAnswer
    kind = REFUSALS[name]
    # some kinds make their message of parts; this one is made already
    return Refusal(kind.__new__(kind, message if message.isprintable() else ascii(message)))


def _loads(payload: bytes) -> object:
    try:
        return _DECODER.decode(payload.decode())
    except (ValueError, RecursionError):
        raise BadAnswer from None


def _refuse_constant(name: str) -> object:
    raise BadAnswer(name)


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)
