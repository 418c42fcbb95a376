"""
The body of a publish request: two parts, each behind its length. The first is JSON, the second streams on to a sink.

Source: the Cargo book, "Web API", Publish.
"""

from __future__ import annotations

import struct
from typing import cast

from twisted.internet.interfaces import IConsumer, IProducer, IPushProducer
from zope.interface import implementer

from pkgregd.errors import BodyTooLarge, MalformedBody, Unavailable
from pkgregd.formatkit.taps import Tap
from pkgregd.interfaces import IBlobSink, IRequestBody

MAX_JSON_BYTES = 2 << 20
"""The readme is inside."""

_LENGTH_BYTES = 4

FRAME_OVERHEAD_BYTES = MAX_JSON_BYTES + 2 * _LENGTH_BYTES
"""What a body may have beside the crate."""


async def read_frame(body: IRequestBody, sink: IBlobSink, max_file_bytes: int) -> bytes:
    """
    Read a publish request; the crate goes to a sink.

    Back-pressure of the sink reaches the body; the sink is left uncommitted.

    Returns:
        The JSON, unread; at most MAX_JSON_BYTES.

    Raises:
        MalformedBody: lengths and body do not fit, or a part is empty.
        BodyTooLarge: the crate is larger than max_file_bytes.
        StorageFull, Unavailable: the sink gave up.
        BodyTooSlow, ClientGone: see IRequestBody.
    """
    reader = _FrameReader(sink, max_file_bytes)
    try:
        await body.push_to(reader)
    except BodyTooLarge:
        # what the front counts is the body: the client knows its crate
        raise BodyTooLarge(max_file_bytes) from None
    if reader.is_stopped:
        await sink.commit()
        raise Unavailable("the upload could not be stored")
    return reader.finish()


@implementer(IConsumer)
class _FrameReader:
    """Takes the body in any cuts."""

    def __init__(self, sink: IBlobSink, max_file_bytes: int) -> None:
        self._sink = sink
        self._max_file_bytes = max_file_bytes
        self._tap: Tap | None = None
        self._head = bytearray()
        self._head_bytes = _LENGTH_BYTES
        self._json_bytes: int | None = None
        self._crate_left_bytes: int | None = None

    @property
    def is_stopped(self) -> bool:
        """Whether the sink has given up."""
        return self._tap is not None and self._tap.is_stopped

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:
        """Let the sink pause the body."""
        assert streaming, "a request body is a push producer"
        self._tap = Tap(cast(IPushProducer, producer))
        self._sink.registerProducer(self._tap, True)

    def unregisterProducer(self) -> None:
        """The body has ended."""
        self._sink.unregisterProducer()

    def write(self, data: bytes) -> None:
        """Take bytes of the body."""
        at = 0
        while self._crate_left_bytes is None and at < len(data):
            piece = data[at : at + self._head_bytes - len(self._head)]
            self._head += piece
            at += len(piece)
            if len(self._head) == self._head_bytes:
                self._take_length()
        if at < len(data):
            self._take_crate(data[at:] if at else data)

    def _take_length(self) -> None:
        """Read the length that the head ends with."""
        (length_bytes,) = struct.unpack_from("<I", self._head, self._head_bytes - _LENGTH_BYTES)
        if self._json_bytes is None:
            if not 0 < length_bytes <= MAX_JSON_BYTES:
                raise MalformedBody(
                    f"the metadata of a publish request has 1 to {MAX_JSON_BYTES} bytes, not {length_bytes}"
                )
            self._json_bytes = length_bytes
            self._head_bytes += length_bytes + _LENGTH_BYTES
        elif not length_bytes:
            raise MalformedBody("the publish request has an empty crate")
        elif length_bytes > self._max_file_bytes:
            raise BodyTooLarge(self._max_file_bytes)
        else:
            self._crate_left_bytes = length_bytes

    def _take_crate(self, data: bytes) -> None:
        assert self._crate_left_bytes is not None, "its length comes first"
        if len(data) > self._crate_left_bytes:
            raise MalformedBody("there is something behind the crate in the publish request")
        self._crate_left_bytes -= len(data)
        self._sink.write(data)

    def finish(self) -> bytes:
        """Return the JSON; all of the body was written."""
        if self._json_bytes is None or self._crate_left_bytes != 0:
            raise MalformedBody("the publish request is cut short")
        return bytes(self._head[_LENGTH_BYTES:-_LENGTH_BYTES])
