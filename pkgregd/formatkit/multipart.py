"""
Forms with one file in them: fields are kept, the file streams on to a sink.

The only reader of multipart bodies. It refuses what two readers might read differently: a second
file, parameters given twice, bytes before the first or behind the last boundary.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from typing import cast

import multipart
from attrs import field, frozen
from twisted.internet.interfaces import IConsumer, IProducer, IPushProducer
from zope.interface import implementer

from pkgregd.errors import BodyTooLarge, MalformedBody, Unavailable
from pkgregd.formatkit.names import is_printable
from pkgregd.formatkit.taps import Tap
from pkgregd.interfaces import IBlobSink, IRequestBody

REMEMBERED_HEADERS = 256
"""How many header lines of parts are not read again."""

FIELDS_TURN_BYTES = 8 << 10
"""How much of a form is read in one turn of the reactor before the file: 160 empty fields fit in, 2 ms of work."""

_WORD = r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"
_PARAMETERS = re.compile(rf'(?:[ \t]*;[ \t]*{_WORD}=(?:{_WORD}|"(?:[^"\\\r\n]|\\[^\r\n])*"))*[ \t]*', re.ASCII)
_PARAMETER = re.compile(rf';[ \t]*({_WORD})=({_WORD}|"(?:[^"\\]|\\.)*")', re.ASCII)
_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]", re.ASCII)
_HEADER_LINE = re.compile(rb"[A-Za-z0-9-]+:[\t\x20-\x7e\x80-\xff]*")
_FIELD_NAME = re.compile(r"[A-Za-z0-9_.:-]{1,128}", re.ASCII)
_CHARSETS = frozenset({"utf-8", "utf8", "us-ascii", "ascii"})
_TRANSFER_ENCODINGS = frozenset({"binary", "8bit", "7bit"})


@frozen
class FormLimits:
    """
    What a form may hold.

    Attributes:
        max_file_bytes: of the file.
        max_parts: fields and file; twine sends a field for each classifier.
        max_field_bytes: of one field's value.
        max_fields_bytes: of all names and values of fields together.
        max_header_bytes, max_headers: of one header line of a part; of its lines.
        ignored_files: names of parts whose files are read past; they count as fields.
        takes_extended_names: whether a file may be named a second time by `filename*`, which is read past: RFC 7578
            forbids it, .NET sends it.
    """

    max_file_bytes: int
    max_parts: int = 3000
    max_field_bytes: int = 1 << 20
    max_fields_bytes: int = 1 << 20
    max_header_bytes: int = 4096
    max_headers: int = 8
    ignored_files: frozenset[str] = frozenset()
    takes_extended_names: bool = False


@frozen
class Form:
    """
    The fields of a form, and the file's name.

    Attributes:
        fields: names and values in the order of the body, repeated ones included.
        file_name: as the client sent it, unchecked; None before the file came.
        fields_before_file: how many of the fields came before it.
    """

    fields: Sequence[tuple[str, str]] = field(repr=False)
    file_name: str | None = None
    fields_before_file: int = 0

    def all(self, name: str) -> tuple[str, ...]:
        """Return every value of a field."""
        return tuple(value for key, value in self.fields if key == name)

    def one(self, name: str) -> str | None:
        """
        Return the value of a field that comes once, None when it is missing or empty.

        Raises:
            MalformedBody: it comes more than once.
        """
        values = self.all(name)
        if len(values) > 1:
            raise MalformedBody(f"the form has more than one field {name}")
        return values[0] if values and values[0] else None


async def read_form(
    body: IRequestBody,
    content_type: str | None,
    *,
    file_field: str,
    sink: IBlobSink,
    limits: FormLimits,
    on_file: Callable[[str, Form], None] | None = None,
) -> Form:
    """
    Read a form whose one file goes to a sink.

    Back-pressure of the sink reaches the body; the sink is left uncommitted.

    Args:
        content_type: the request's.
        file_field: the name of the part that is the file.
        on_file: called with the file's name and the fields so far before the first byte of the file;
            what it raises ends the body.

    Returns:
        The whole form; it has had exactly one file.

    Raises:
        MalformedBody: not such a form, or one beyond the limits.
        BodyTooLarge: the file, or all of the body.
        StorageFull, Unavailable: the sink gave up.
        BodyTooSlow, ClientGone: see IRequestBody.
    """

    def begin_file(file_name: str, form: Form) -> None:
        body.turn_bytes = None
        if on_file is not None:
            on_file(file_name, form)

    reader = _FormReader(_boundary(content_type), file_field, sink, limits, begin_file)
    body.turn_bytes = FIELDS_TURN_BYTES
    try:
        await body.push_to(reader)
    except BodyTooLarge:
        # what the front counts is the body: the client knows its file
        raise BodyTooLarge(limits.max_file_bytes) from None
    if reader.is_stopped:
        await sink.commit()
        raise Unavailable("the upload could not be stored")
    return reader.finish()


def _boundary(content_type: str | None) -> bytes:
    media_type, parameters = _split_header(content_type or "", "Content-Type")
    if media_type != "multipart/form-data":
        raise MalformedBody("the body must be multipart/form-data")
    boundary = parameters.get("boundary", "")
    if not _BOUNDARY.fullmatch(boundary):
        raise MalformedBody("the Content-Type names no valid boundary")
    return boundary.encode("ascii")


@functools.lru_cache(maxsize=REMEMBERED_HEADERS)
def _split_header(text: str, name: str) -> tuple[str, Mapping[str, str]]:
    """
    Split a header with parameters; those of forms are the same again and again, so the last ones are remembered.

    Returns:
        The value in lower case, and the parameters by lower-case name.

    Raises:
        MalformedBody: malformed, or a parameter comes twice.
    """
    end = text.find(";")
    value, rest = (text, "") if end < 0 else (text[:end], text[end:])
    if not _PARAMETERS.fullmatch(rest):
        raise MalformedBody(f"malformed {name} header")
    parameters: dict[str, str] = {}
    for match in _PARAMETER.finditer(rest):
        key, raw = match[1].lower(), match[2]
        if key in parameters:
            raise MalformedBody(f"the {name} header has two parameters {key}")
        # quoted pairs stay as they are: no name that we take has a backslash
        parameters[key] = raw[1:-1] if raw.startswith('"') else raw
    return value.strip().lower(), parameters


class _Parser(multipart.PushMultipartParser):
    """
    The package's parser, indifferent to how a body is cut.

    It uses three private names, which a test pins.
    """

    def _on_segment_headerline(self, line: bytes) -> None:
        # a lone line feed is seen by the parser itself only when the body is cut behind it
        if not _HEADER_LINE.fullmatch(line):
            raise multipart.StrictParserError("malformed header of a part")
        super()._on_segment_headerline(line)

    def rest_behind_end(self) -> bytes | None:
        """Return what lay behind the final boundary in the last chunk, None before that boundary."""
        return bytes(self._buffer) if self._state is multipart._COMPLETE else None


@implementer(IConsumer)
class _FormReader:
    """
    Takes the body in any cuts.

    Args:
        boundary: without dashes.
    """

    def __init__(
        self,
        boundary: bytes,
        file_field: str,
        sink: IBlobSink,
        limits: FormLimits,
        on_file: Callable[[str, Form], None],
    ) -> None:
        self._file_field = file_field
        self._sink = sink
        self._limits = limits
        self._on_file = on_file
        self._opening = b"--" + boundary
        self._head: bytes | None = b""
        self._tail: bytes | None = None
        self._parser = _Parser(
            boundary,
            max_header_size=limits.max_header_bytes,
            max_header_count=limits.max_headers,
            max_segment_count=limits.max_parts,
            strict=True,
        )
        self._tap: Tap | None = None
        self._part: multipart.MultipartSegment | None = None
        self._is_file = False
        self._is_ignored = False
        self._value = bytearray()
        self._fields: list[tuple[str, str]] = []
        self._fields_room_bytes = limits.max_fields_bytes
        self._file_name: str | None = None
        self._fields_before_file = 0
        self._file_room_bytes = limits.max_file_bytes

    @property
    def is_stopped(self) -> bool:
        """Whether the sink has given up."""
        return self._tap is not None and self._tap.is_stopped

    def finish(self) -> Form:
        """Return the form; all of the body was written."""
        if self._tail is None:
            raise MalformedBody("the form ends before its last boundary")
        if self._tail not in (b"", b"\r\n"):
            raise MalformedBody("there is something behind the form's last boundary")
        if self._file_name is None:
            raise MalformedBody(f"the form has no file named {self._file_field}")
        return self._form()

    def _form(self) -> Form:
        return Form(tuple(self._fields), self._file_name, self._fields_before_file)

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
        if self._head is not None:
            # the parser would skip a preamble or refuse it, depending on how the body is cut
            self._head += data
            if len(self._head) < len(self._opening):
                return
            if not self._head.startswith(self._opening):
                raise MalformedBody("the form does not begin with its boundary")
            data, self._head = self._head, None
        if self._tail is None:
            try:
                for event in self._parser.parse(data):
                    self._take(event)
            except multipart.MultipartError as error:
                raise MalformedBody(f"malformed form: {error}") from None
            self._tail = self._parser.rest_behind_end()
        else:
            self._tail += data
        if self._tail is not None and not b"\r\n".startswith(self._tail):
            raise MalformedBody("there is something behind the form's last boundary")

    # ------------------------------------------------------------------ parts

    def _take(self, event: multipart.MultipartSegment | bytes | None) -> None:
        if event is None:
            self._end_part()
        elif isinstance(event, bytes | bytearray):
            self._take_bytes(event)
        else:
            self._begin_part(event)

    def _begin_part(self, part: multipart.MultipartSegment) -> None:
        name, file_name = _check_part(part, self._limits)
        if file_name is None and name == self._file_field:
            raise MalformedBody(f"the part {name} is not a file")
        self._is_ignored = file_name is not None and name in self._limits.ignored_files
        if file_name is not None and not self._is_ignored:
            if name != self._file_field:
                raise MalformedBody(f"a file is only taken in the part {self._file_field}")
            if self._file_name is not None:
                raise MalformedBody("the form has more than one file")
            if not file_name:
                raise MalformedBody("the file has no name")
            self._on_file(file_name, self._form())
            self._file_name, self._fields_before_file = file_name, len(self._fields)
        self._part, self._is_file = part, file_name is not None and not self._is_ignored
        self._value = bytearray()

    def _take_bytes(self, data: bytes | bytearray) -> None:
        if self._is_file:
            self._file_room_bytes -= len(data)
            if self._file_room_bytes < 0:
                raise BodyTooLarge(self._limits.max_file_bytes)
            self._sink.write(cast(bytes, data))
            return
        if len(self._value) + len(data) > min(self._limits.max_field_bytes, self._fields_room_bytes):
            raise MalformedBody("the fields of the form are too long")
        self._value += data

    def _end_part(self) -> None:
        assert self._part is not None
        if self._is_file:
            return
        name = cast(str, self._part.name)
        if self._is_ignored:
            self._fields_room_bytes -= len(self._value) + len(name)
            return
        try:
            value = self._value.decode("utf-8")
        except UnicodeDecodeError:
            raise MalformedBody(f"the field {name} is not UTF-8") from None
        self._fields_room_bytes -= len(self._value) + len(name)
        self._fields.append((name, value))


def _check_part(part: multipart.MultipartSegment, limits: FormLimits) -> tuple[str, str | None]:
    """
    Check the headers of a part.

    Returns:
        The field's name, and the file's name if the part is a file.
    """
    seen = set()
    for header, text in part.headerlist:
        if header in seen:
            raise MalformedBody(f"a part has two headers {header[:64]}")
        seen.add(header)
        if header == "Content-Transfer-Encoding" and text.strip().lower() not in _TRANSFER_ENCODINGS:
            raise MalformedBody("transfer encodings of parts are not supported")
    headers = dict(part.headerlist)
    _, parameters = _split_header(headers.get("Content-Disposition", ""), "Content-Disposition")
    extended = {"filename*"} if limits.takes_extended_names and "filename" in parameters else set()
    if parameters.keys() - {"name", "filename"} - extended:
        raise MalformedBody("a part may have the parameters name and filename")
    name = parameters.get("name", "")
    if not _FIELD_NAME.fullmatch(name) or name != part.name:
        raise MalformedBody("a part has no valid name")
    _, options = _split_header(headers.get("Content-Type", ""), "Content-Type")
    file_name = parameters.get("filename")
    if file_name is not None and not is_printable(file_name):
        raise MalformedBody("the file's name is not plain text")
    if file_name is None and options.get("charset", "utf-8").lower() not in _CHARSETS:
        raise MalformedBody(f"the field {name} is not UTF-8")
    return name, file_name
