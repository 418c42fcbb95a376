"""
A JSON document with a file in it, as base64 in one of its strings: the file goes to a sink while it arrives.

The strings at a chosen path are cut out of the document and decoded as they come; everything else is kept, within
limits, with an empty string in their place, and read once it is complete. Whatever the cuts of the body are, the
scan only has to know where strings begin and end: what is no JSON is still none when the file is cut out of it.

Source: RFC 8259; RFC 4648, section 4.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import TypeAlias, cast

from attrs import define, field, frozen
from twisted.internet.interfaces import IConsumer, IProducer, IPushProducer
from zope.interface import implementer

from pkgregd.errors import BodyTooLarge, MalformedBody
from pkgregd.formatkit.base64stream import Base64InJson
from pkgregd.formatkit.strictjson import read_strict
from pkgregd.formatkit.taps import Tap
from pkgregd.interfaces import IBlobSink, IRequestBody

MAX_KEY_BYTES = 4096
"""Of one key, as it is written."""

TURN_BYTES = 4 << 10
"""What is scanned in one turn of the reactor, where every byte may be a token."""

IsFile: TypeAlias = Callable[[Sequence[str]], bool]
"""Whether the string behind these keys is a file. Called for strings in objects alone."""

_TOKEN = re.compile(rb'["{}\[\],:]')
_STRING_END = re.compile(rb'["\\]')


@frozen
class DocumentLimits:
    """
    What a document may be.

    Attributes:
        max_file_bytes: of the file, decoded.
        max_rest_bytes: of everything else, as it is written.
        max_tokens: brackets, commas, colons and strings of everything else.
        max_depth: how far lists and objects may be nested.
    """

    max_file_bytes: int
    max_rest_bytes: int
    max_tokens: int = 1_000_000
    max_depth: int = 64


@frozen
class StreamedDocument:
    """
    What arrived.

    Attributes:
        rest: the document, with an empty string where the file was.
        file_path: the keys that led to the file; None if there was none.
        file_bytes: how long it is, decoded.
    """

    rest: bytes = field(repr=False)
    file_path: tuple[str, ...] | None
    file_bytes: int

    def read(self) -> object:
        """
        Read the document. Blocks for its size.

        Raises:
            MalformedBody: not JSON in UTF-8, a key twice in one object, a number that is none or too long, or half
                a surrogate pair.
        """
        return read_strict(self.rest, "the document")


async def read_document(
    body: IRequestBody, *, is_file: IsFile, sink: IBlobSink, limits: DocumentLimits
) -> StreamedDocument:
    """
    Take a body apart into its file and all else.

    Args:
        sink: takes the file and pauses the body; is neither committed nor aborted here, unless it failed.

    Raises:
        MalformedBody: a limit is exceeded, there is a second file, or its base64 is wrong.
        BodyTooLarge: the file is; and whatever IRequestBody.push_to raises.
        StorageFull, Unavailable: of the sink that failed meanwhile.
    """
    reader = _DocumentReader(body, is_file, sink, limits)
    try:
        await body.push_to(reader)
    except BodyTooLarge:
        # what the front counts is the body: the client knows its file
        raise BodyTooLarge(limits.max_file_bytes) from None
    if reader.is_stopped:
        await sink.commit()  # raises what stopped it
        raise MalformedBody("the document ends early")
    return reader.finish()


@define
class _Frame:
    """An object or list that is not closed: the key that its present value is behind, and whether a key is due."""

    is_object: bool
    key: str | None = None
    is_key_due: bool = False


@implementer(IConsumer)
class _DocumentReader:
    """Takes the body in any cuts."""

    def __init__(self, body: IRequestBody, is_file: IsFile, sink: IBlobSink, limits: DocumentLimits) -> None:
        self._body = body
        self._is_file = is_file
        self._sink = sink
        self._limits = limits
        self._tap: Tap | None = None
        self._rest = bytearray()
        self._frames: list[_Frame] = []
        self._tokens = 0
        self._string: bytearray | None = None  # of a key, while it is read
        self._state = self._between
        self._decoder: Base64InJson | None = None
        self._file_path: tuple[str, ...] | None = None
        self._file_bytes = 0
        body.turn_bytes = TURN_BYTES

    @property
    def is_stopped(self) -> bool:
        """Whether the sink has given up."""
        return self._tap is not None and self._tap.is_stopped

    def finish(self) -> StreamedDocument:
        """Return what arrived; all of the body was written."""
        if self._state != self._between or self._frames:
            raise MalformedBody("the document ends early")
        return StreamedDocument(bytes(self._rest), self._file_path, self._file_bytes)

    # ------------------------------------------------------------------ consumer

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
        position = 0
        while position < len(data):
            position = self._state(data, position)

    # ------------------------------------------------------------------ the scan: each returns where it stopped

    def _between(self, data: bytes, position: int) -> int:
        """Go on between strings, up to the next one."""
        start = position
        for match in _TOKEN.finditer(data, position):
            self._count()
            token = match[0]
            if token == b'"':
                self._keep(data[start : match.end()])
                self._begin_string()
                return match.end()
            self._structure(token)
        self._keep(data[start:])
        return len(data)

    def _count(self) -> None:
        self._tokens += 1
        if self._tokens > self._limits.max_tokens:
            raise MalformedBody(f"the document has more than {self._limits.max_tokens} tokens")

    def _keep(self, data: bytes) -> None:
        if len(self._rest) + len(data) > self._limits.max_rest_bytes:
            raise MalformedBody(f"the document is longer than {self._limits.max_rest_bytes} bytes beside its file")
        self._rest += data

    def _structure(self, token: bytes) -> None:
        frames = self._frames
        if token in b"{[":
            if len(frames) == self._limits.max_depth:
                raise MalformedBody(f"the document is nested deeper than {self._limits.max_depth}")
            frames.append(_Frame(token == b"{", is_key_due=token == b"{"))
        elif not frames:
            raise MalformedBody("the document is not JSON")
        elif token in b"}]":
            frames.pop()
        else:
            frames[-1].is_key_due = frames[-1].is_object and token == b","

    def _begin_string(self) -> None:
        frame = self._frames[-1] if self._frames else None
        if frame is not None and frame.is_key_due:
            self._string, self._state = bytearray(), self._in_string
            return
        self._string, self._state = None, self._in_string
        path = [each.key for each in self._frames]
        if None in path or not self._is_file(cast(Sequence[str], path)):
            return
        if self._file_path is not None:
            raise MalformedBody("the document has more than one file")
        self._file_path = tuple(cast(Sequence[str], path))
        self._decoder, self._state = Base64InJson(self._take_file), self._in_file
        self._body.turn_bytes = None

    def _in_string(self, data: bytes, position: int) -> int:
        match = _STRING_END.search(data, position)
        end = len(data) if match is None else match.start()
        self._take_string(data[position:end])
        if match is None:
            return end
        self._take_string(match[0]) if match[0] == b"\\" else self._end_string()
        return match.end()

    def _take_string(self, data: bytes) -> None:
        self._keep(data)
        if self._string is not None:
            self._string += data
            if len(self._string) > MAX_KEY_BYTES:
                raise MalformedBody(f"a key of the document is longer than {MAX_KEY_BYTES} bytes")
        if data == b"\\":
            self._count()
            self._state = self._escaped

    def _escaped(self, data: bytes, position: int) -> int:
        """Take what stands behind a backslash, which ends no string."""
        self._state = self._in_string
        character = data[position : position + 1]
        self._keep(character)
        if self._string is not None:
            self._string += character
        return position + 1

    def _end_string(self) -> None:
        self._keep(b'"')
        self._state = self._between
        if self._string is not None:
            self._frames[-1].key = _key(bytes(self._string))
            self._frames[-1].is_key_due = False
            self._string = None

    def _in_file(self, data: bytes, position: int) -> int:
        assert self._decoder is not None
        end = data.find(b'"', position)
        if end < 0:
            self._decoder.take(data[position:] if position else data)
            return len(data)
        self._decoder.take(data[position:end])
        self._decoder.finish()
        self._body.turn_bytes = TURN_BYTES
        self._end_string()
        return end + 1

    def _take_file(self, data: bytes) -> None:
        self._file_bytes += len(data)
        if self._file_bytes > self._limits.max_file_bytes:
            raise BodyTooLarge(self._limits.max_file_bytes)
        self._sink.write(data)


def _key(raw: bytes) -> str:
    try:
        key: str = json.loads(b'"%s"' % raw)
    except ValueError:
        raise MalformedBody("a key of the document is not JSON") from None
    return key
