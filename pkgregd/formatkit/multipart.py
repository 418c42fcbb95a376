"""
multipart/form-data, read as it arrives: text fields are kept, the bytes of the one file go on.

Source: RFC 7578, RFC 2046 section 5.1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import define, field, frozen
from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header
from twisted.internet.interfaces import IConsumer, IProducer, IPushProducer
from zope.interface import implementer

from pkgregd.errors import BodyTooLarge, MalformedBody, Unavailable
from pkgregd.interfaces import IBlobSink, IRequestBody

KIB = 1024

MAX_BOUNDARY_CHARACTERS = 200


@frozen
class FormLimits:
    """
    What a form may hold.

    Attributes:
        max_file_bytes: of the file part.
        max_field_bytes: of one text field.
        max_fields_bytes: of all text fields together.
        max_parts: file included.
    """

    max_file_bytes: int
    max_field_bytes: int = 512 * KIB
    max_fields_bytes: int = 1024 * KIB
    max_parts: int = 1024


@define
class Form:
    """
    A form as far as it has arrived.

    Attributes:
        fields: (name, value) in order.
        file_name: of the file part, None while it has not begun.
    """

    fields: list[tuple[str, str]] = field(factory=list)
    file_name: str | None = None

    def all(self, name: str) -> list[str]:
        """Return every value of a field, in order."""
        return [value for key, value in self.fields if key == name]

    def one(self, name: str) -> str | None:
        """
        Return the value of a field that is given at most once.

        Raises:
            MalformedBody: it is there several times.
        """
        values = self.all(name)
        if len(values) > 1:
            raise MalformedBody(f"the field {name} is given {len(values)} times")
        return values[0] if values else None


OnFile = Callable[[str, Form], None]


async def read_form(
    body: IRequestBody,
    content_type: str | None,
    *,
    file_field: str,
    sink: IBlobSink,
    limits: FormLimits,
    on_file: OnFile | None = None,
) -> Form:
    """
    Read a form with exactly one file.

    Args:
        content_type: the request's header.
        file_field: name of the file's part; a file under another name is refused.
        sink: gets the file's bytes as they come.
        on_file: told the file's name and the fields that came before it, before its first byte.

    Returns:
        The form.

    Raises:
        MalformedBody, BodyTooLarge, what IRequestBody.push_to raises, and, when the sink gave up,
        what IBlobSink.commit raises.
    """
    receiver = FormReceiver(boundary_of(content_type), file_field, sink, limits, on_file)
    await body.push_to(receiver)
    if receiver.sink_gave_up:
        await sink.commit()  # raises what was wrong
        raise Unavailable("the upload could not be stored")
    receiver.finish()
    return receiver.form


def boundary_of(content_type: str | None) -> str:
    """
    Return the boundary that a Content-Type names.

    Raises:
        MalformedBody: not multipart/form-data, or no usable boundary.
    """
    try:
        kind, options = parse_options_header(content_type or "")
    except (ValueError, UnicodeError):
        raise MalformedBody("malformed Content-Type") from None
    if kind != "multipart/form-data":
        raise MalformedBody("the body has to be multipart/form-data")
    boundary = str(options.get("boundary", ""))
    if not boundary or len(boundary) > MAX_BOUNDARY_CHARACTERS or not boundary.isascii() or not boundary.isprintable():
        raise MalformedBody("the Content-Type names no usable boundary")
    return boundary


@implementer(IConsumer)
class FormReceiver:
    """
    Takes the body of a form. See read_form() for the arguments.

    Attributes:
        form: what has arrived.
        sink_gave_up: whether the sink wanted no more bytes, so that the form stays incomplete.
    """

    def __init__(
        self, boundary: str, file_field: str, sink: IBlobSink, limits: FormLimits, on_file: OnFile | None
    ) -> None:
        self.form = Form()
        self._file_field = file_field
        self._sink = sink
        self._limits = limits
        self._on_file = on_file
        self._parser = PushMultipartParser(boundary, max_segment_count=limits.max_parts)
        self._part: MultipartSegment | None = None
        self._pieces: list[bytes] = []
        self._part_bytes = 0
        self._fields_bytes = 0
        self.sink_gave_up = False
        self._producer: Any = None

    # ------------------------------------------------------------------ IConsumer

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:
        """Let the sink pause the body itself."""
        self._producer = producer
        self._sink.registerProducer(_Watched(producer, self._stopped), streaming)

    def unregisterProducer(self) -> None:
        """The body is over."""
        self._producer = None
        self._sink.unregisterProducer()

    def _stopped(self) -> None:
        self.sink_gave_up = True

    def write(self, data: bytes) -> None:
        """
        Take bytes of the body.

        Raises:
            MalformedBody, BodyTooLarge.
        """
        try:
            for event in self._parser.parse(data):
                if isinstance(event, MultipartSegment):
                    self._begin(event)
                elif event:
                    self._take(event)
                else:
                    self._end()
        except MultipartError as error:
            raise MalformedBody(f"malformed form: {error}") from None
        except UnicodeError:
            raise MalformedBody("a header of the form is not UTF-8") from None

    def finish(self) -> None:
        """
        Check that the form has come to its end, with its file.

        Raises:
            MalformedBody.
        """
        try:
            self._parser.close()
        except MultipartError as error:
            raise MalformedBody(f"the form is not complete: {error}") from None
        if self.form.file_name is None:
            raise MalformedBody(f"the form has no file in its field {self._file_field}")

    # ------------------------------------------------------------------ parts

    def _begin(self, part: MultipartSegment) -> None:
        name = part.name or ""
        if not name or "[" in name or not name.isprintable():
            raise MalformedBody("a part of the form has no plain name")
        is_file = part.filename is not None
        if is_file != (name == self._file_field):
            raise MalformedBody(f"the only file of this form is its field {self._file_field}")
        self._part = part
        self._pieces = []
        self._part_bytes = 0
        if is_file:
            if self.form.file_name is not None:
                raise MalformedBody("the form has more than one file")
            self.form.file_name = part.filename
            if self._on_file is not None:
                self._on_file(part.filename, self.form)

    @property
    def _is_file(self) -> bool:
        return self._part is not None and self._part.filename is not None

    def _take(self, data: bytes) -> None:
        self._part_bytes += len(data)
        if self._is_file:
            if self._part_bytes > self._limits.max_file_bytes:
                raise BodyTooLarge(self._limits.max_file_bytes)
            self._sink.write(data)
            return
        self._fields_bytes += len(data)
        if self._part_bytes > self._limits.max_field_bytes or self._fields_bytes > self._limits.max_fields_bytes:
            raise MalformedBody("the text fields of the form are too large")
        self._pieces.append(bytes(data))

    def _end(self) -> None:
        part, self._part = self._part, None
        if part is None or part.filename is not None:
            return
        try:
            value = b"".join(self._pieces).decode("utf-8")
        except UnicodeDecodeError:
            raise MalformedBody(f"the field {part.name} is not UTF-8") from None
        self.form.fields.append((part.name, value))


@implementer(IPushProducer)
class _Watched:
    """The body as the sink's producer, telling the receiver when the sink gives up."""

    def __init__(self, producer: Any, stopped: Callable[[], None]) -> None:
        self.pauseProducing = producer.pauseProducing
        self.resumeProducing = producer.resumeProducing
        self._producer = producer
        self._stopped = stopped

    def stopProducing(self) -> None:
        """The sink gives up."""
        self._stopped()
        self._producer.stopProducing()
