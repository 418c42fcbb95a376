"""
A JSON document with a file in it, as base64 in one of its strings: the file goes to a sink while it arrives.

The strings at a chosen path are cut out of the document and decoded as they come; everything else is kept, within
limits, with an empty string in their place, and read once it is complete. Whatever the cuts of the body are, the
scan only has to know where strings begin and end: what is no JSON is still none when the file is cut out of it.

Members that nobody needs can be left out of what is kept: then only where their values end is looked for, and
whether they are JSON is not.

Source: RFC 8259; RFC 4648, section 4.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias, cast

from attrs import define, field, frozen
from twisted.internet.interfaces import IConsumer, IProducer, IPushProducer
from zope.interface import implementer

from pkgregd.errors import BodyTooLarge, MalformedBody, Unavailable
from pkgregd.formatkit.base64stream import Base64InJson
from pkgregd.formatkit.strictjson import read_strict
from pkgregd.formatkit.taps import Tap
from pkgregd.interfaces import IBlobSink, IRequestBody

MAX_KEY_BYTES = 4096
"""Of one key, as it is written."""

TURN_BYTES = 4 << 10
"""What is scanned in one turn of the reactor, where every byte may be a token."""

OWN_BYTES = 64 << 10
"""What each document may keep whatever the others do."""

ALL_DOCUMENTS_BYTES = 32 << 20
"""What all documents that are being read keep together beyond that."""

IsFile: TypeAlias = Callable[[Sequence[str]], bool]
"""Whether the string behind these keys is a file. Called for strings in objects alone."""

IsKept: TypeAlias = Callable[[Sequence[str]], bool]
"""
Whether the member of an object behind these keys is kept. Called once for each member, in the order of the document,
of objects in objects that are kept themselves.
"""

_PASSED = re.compile(rb'"(?:[^"\\]++|\\.)*+"|["{}\[\],]', re.DOTALL)
"""A whole string, or what may change where a value ends."""

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
        max_passed_bytes: of what is not kept.
    """

    max_file_bytes: int
    max_rest_bytes: int
    max_tokens: int = 1_000_000
    max_depth: int = 64
    max_passed_bytes: int = 0


class DocumentMemory:
    """
    What documents keep in memory, together.

    Args:
        max_bytes: beyond OWN_BYTES of each.
    """

    def __init__(self, max_bytes: int = ALL_DOCUMENTS_BYTES) -> None:
        self._max_bytes = max_bytes
        self.held_bytes = 0

    @contextlib.contextmanager
    def share(self) -> Iterator[MemoryShare]:
        """Lend a share, which is given back in the end."""
        share = MemoryShare(self)
        try:
            yield share
        finally:
            self.held_bytes -= share.held_bytes

    def take(self, size_bytes: int) -> None:
        """Take some. Raises Unavailable if there is none left."""
        if self.held_bytes + size_bytes > self._max_bytes:
            raise Unavailable("too many great documents are being read")
        self.held_bytes += size_bytes


class MemoryShare:
    """
    What one document keeps.

    Attributes:
        held_bytes: of the memory of all.
    """

    def __init__(self, memory: DocumentMemory) -> None:
        self._memory = memory
        self.held_bytes = 0

    def hold(self, size_bytes: int) -> int:
        """
        Have room for so many bytes in all.

        Returns:
            How many there is room for.

        Raises:
            Unavailable.
        """
        more_bytes = size_bytes - OWN_BYTES - self.held_bytes
        if more_bytes > 0:
            more_bytes = max(more_bytes, OWN_BYTES)
            self._memory.take(more_bytes)
            self.held_bytes += more_bytes
        return OWN_BYTES + self.held_bytes


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
    body: IRequestBody,
    *,
    is_file: IsFile,
    sink: IBlobSink,
    limits: DocumentLimits,
    share: MemoryShare,
    is_kept: IsKept | None = None,
) -> StreamedDocument:
    """
    Take a body apart into its file and all else.

    Args:
        sink: takes the file and pauses the body; is neither committed nor aborted here, unless it failed.
        share: of the memory for what is kept; belongs to whoever has the document.
        is_kept: None keeps everything.

    Raises:
        MalformedBody: a limit is exceeded, there is a second file, or its base64 is wrong.
        BodyTooLarge: the file is; and whatever IRequestBody.push_to raises.
        StorageFull, Unavailable: of the sink that failed meanwhile; there is no memory left.
    """
    reader = _DocumentReader(body, is_file, sink, limits, share, is_kept)
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

    def __init__(
        self,
        body: IRequestBody,
        is_file: IsFile,
        sink: IBlobSink,
        limits: DocumentLimits,
        share: MemoryShare,
        is_kept: IsKept | None,
    ) -> None:
        self._body = body
        self._is_file = is_file
        self._is_kept = is_kept
        self._share = share
        self._sink = sink
        self._limits = limits
        self._tap: Tap | None = None
        self._rest = bytearray()
        self._room_bytes = OWN_BYTES
        self._frames: list[_Frame] = []
        self._tokens = 0
        self._passed_bytes = 0
        self._passed_depth = 0
        self._member = (0, 0)  # bytes and tokens that were kept before the present member of an object
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
            if self._is_kept is None or token not in b"{,:":
                continue
            self._keep(data[start : match.end()])
            start = match.end()
            if token != b":":
                self._member = (len(self._rest), self._tokens)
            elif not self._wants_member():
                self._drop_member()
                return start
        self._keep(data[start:])
        return len(data)

    def _wants_member(self) -> bool:
        path = [each.key for each in self._frames]
        return not path or None in path or self._is_kept is None or self._is_kept(cast(Sequence[str], path))

    def _drop_member(self) -> None:
        """Forget the key, and go on to read past the value."""
        kept_bytes, self._tokens = self._member
        self._pass_by(len(self._rest) - kept_bytes)
        del self._rest[kept_bytes:]
        self._passed_depth = 0
        self._state = self._passing

    def _pass_by(self, size_bytes: int) -> None:
        self._passed_bytes += size_bytes
        if self._passed_bytes > self._limits.max_passed_bytes:
            raise MalformedBody(f"the document has more than {self._limits.max_passed_bytes} bytes that are of no use")

    def _passing(self, data: bytes, position: int) -> int:
        """Go on behind a key that is not kept, up to the end of its value."""
        end = self._end_of_value(data, position)
        self._pass_by(end - position)
        return end

    def _end_of_value(self, data: bytes, position: int) -> int:
        for match in _PASSED.finditer(data, position):
            token = match[0]
            if token in b"{[":
                self._passed_depth += 1
            elif token == b'"':
                self._state = self._in_passed_string
                return match.end()
            elif self._passed_depth and token in b"}]":
                self._passed_depth -= 1
            elif not self._passed_depth and token in b",}]":
                return self._end_passed(token, match.start())
        return len(data)

    def _end_passed(self, token: bytes, position: int) -> int:
        """Mend the commas around a member that was left out."""
        self._state = self._between
        if token == b",":
            self._frames[-1].is_key_due = self._frames[-1].is_object
            return position + 1
        if self._rest.endswith(b","):
            del self._rest[-1:]
        return position

    def _in_passed_string(self, data: bytes, position: int) -> int:
        match = _STRING_END.search(data, position)
        end = len(data) if match is None else match.end()
        self._pass_by(end - position)
        if match is not None:
            self._state = self._passing if match[0] == b'"' else self._escaped_in_passed
        return end

    def _escaped_in_passed(self, data: bytes, position: int) -> int:
        self._pass_by(1)
        self._state = self._in_passed_string
        return position + 1

    def _count(self) -> None:
        self._tokens += 1
        if self._tokens > self._limits.max_tokens:
            raise MalformedBody(f"the document has more than {self._limits.max_tokens} tokens")

    def _keep(self, data: bytes) -> None:
        if len(self._rest) + len(data) > self._limits.max_rest_bytes:
            raise MalformedBody(f"the document is longer than {self._limits.max_rest_bytes} bytes beside its file")
        self._rest += data
        if len(self._rest) > self._room_bytes:
            self._room_bytes = self._share.hold(len(self._rest))

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
        # what else is wrong with a key that is kept shows when the whole is read
        key: str = json.loads(b'"%s"' % raw) if b"\\" in raw else raw.decode("utf-8")
    except ValueError:
        raise MalformedBody("a key of the document is not JSON") from None
    return key
