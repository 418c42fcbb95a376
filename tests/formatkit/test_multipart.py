"""Forms with one file in them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import multipart
from attrs import evolve
from hypothesis import example, given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from pkgregd.errors import BodyTooLarge, InvalidFileName, MalformedBody, StorageFull, Unavailable
from pkgregd.formatkit.multipart import Form, FormLimits, read_form
from pkgregd.testing.calls import FakeBody, RecordingSink, cut, now

B = b"XbX"
TYPE = "multipart/form-data; boundary=XbX"
LIMITS = FormLimits(max_file_bytes=1 << 16, max_parts=20, max_field_bytes=1000, max_fields_bytes=1500)


def part(headers: bytes, content: bytes) -> bytes:
    """Write a part with everything up to the next boundary's dashes."""
    return b"--" + B + b"\r\n" + headers + b"\r\n\r\n" + content + b"\r\n"


def text(name: str, value: bytes | str) -> bytes:
    """Write a field."""
    content = value.encode() if isinstance(value, str) else value
    return part(b'Content-Disposition: form-data; name="%s"' % name.encode(), content)


def file(content: bytes, name: str = "content", file_name: str = "a.whl") -> bytes:
    """Write a file."""
    head = f'Content-Disposition: form-data; name="{name}"; filename="{file_name}"\r\nContent-Type: application/x'
    return part(head.encode(), content)


END = b"--" + B + b"--\r\n"


def read(
    pieces: Iterable[bytes],
    *,
    content_type: str | None = TYPE,
    sink: RecordingSink | None = None,
    limits: FormLimits = LIMITS,
    on_file: Callable[[str, Form], None] | None = None,
) -> tuple[Form, bytes]:
    """Read a form; returns it and the file's bytes."""
    sink = sink or RecordingSink()
    form = now(
        read_form(FakeBody(pieces), content_type, file_field="content", sink=sink, limits=limits, on_file=on_file)
    )
    return form, b"".join(sink.pieces)


class FormTests(SynchronousTestCase):
    """Well-formed bodies."""

    def test_fields_and_file(self) -> None:
        """Fields come out in their order, repeated ones too, and the file's bytes went to the sink."""
        form, content = read([text("a", "1") + text("c", "x") + file(b"DATA") + text("c", "ü") + END])
        self.assertEqual(form.fields, (("a", "1"), ("c", "x"), ("c", "ü")))
        self.assertEqual((form.file_name, form.fields_before_file, content), ("a.whl", 2, b"DATA"))
        self.assertEqual(form.all("c"), ("x", "ü"))

    def test_file_first(self) -> None:
        """The file may come before the fields."""
        form, content = read([file(b"DATA") + text("a", "1") + END])
        self.assertEqual((form.one("a"), form.fields_before_file, content), ("1", 0, b"DATA"))

    def test_single_values(self) -> None:
        """A single-valued field that comes twice is refused, even with equal values; an empty one is missing."""
        form, _ = read([text("a", "1") + text("a", "1") + text("e", "") + file(b"") + END])
        self.assertRaises(MalformedBody, form.one, "a")
        self.assertIsNone(form.one("e"))
        self.assertIsNone(form.one("missing"))

    def test_on_file(self) -> None:
        """The callback has the fields so far, before the first byte; what it raises ends the body."""
        sink = RecordingSink()
        seen: list[Any] = []
        body = [text("a", "1") + file(b"DATA") + text("b", "2") + END]
        read(body, sink=sink, on_file=lambda name, form: seen.append((name, form.fields, list(sink.pieces))))
        self.assertEqual(seen, [("a.whl", (("a", "1"),), [])])

        def refuse(name: str, form: Form) -> None:
            raise InvalidFileName(name)

        sink = RecordingSink()
        self.assertRaises(InvalidFileName, read, body, sink=sink, on_file=refuse)
        self.assertEqual(sink.pieces, [])

    def test_ignored_files(self) -> None:
        """A file that is ignored by name leaves nothing, is no second file, and has the bounds of a field."""
        limits = evolve(LIMITS, ignored_files=frozenset({"sig"}))
        for parts in (
            [file(b"\xff", "sig", ""), text("a", "1"), file(b"DATA")],
            [text("a", "1"), file(b"DATA"), file(b"\xff", "sig")],
        ):
            form, content = read([*parts, END], limits=limits)
            self.assertEqual((form.fields, form.file_name, content), ((("a", "1"),), "a.whl", b"DATA"))
        for parts in ([file(b"x" * 1001, "sig")], [file(b"x" * 700, "sig")] * 3, [file(b"x", "other")]):
            self.assertRaises(MalformedBody, read, [*parts, file(b"DATA"), END], limits=limits)

    def test_headers_of_real_clients(self) -> None:
        """Quoted and bare boundaries, bare names, charsets and encodings that change nothing are taken."""
        for content_type in (
            'multipart/form-data; boundary="XbX"',
            "Multipart/Form-Data;boundary=XbX",
            "multipart/form-data; charset=utf-8; boundary=XbX",
        ):
            self.assertEqual(read([text("a", "1") + file(b"D") + END], content_type=content_type)[1], b"D")
        bare = part(b"content-disposition: form-data; name=a\r\nContent-Type: text/plain; charset=UTF-8", b"1")
        binary = part(
            b"Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: binary\r\nContent-Length: 1\r\n"
            b"Content-Disposition: form-data; name=content; filename=a.whl",
            b"D",
        )
        self.assertEqual(read([bare + binary + END])[0].fields, (("a", "1"),))
        self.assertEqual(read([text("a", "1") + file(b"D") + b"--" + B + b"--"])[1], b"D")

    def test_pieces_go_through_untouched(self) -> None:
        """A chunk inside the file reaches the sink as the object that it is."""
        chunk = bytes(5000)
        sink = RecordingSink()
        read([file(b"").removesuffix(b"\r\n"), chunk, b"\r\n" + END], sink=sink)
        self.assertTrue(any(piece is chunk for piece in sink.pieces))


class MalformedTests(SynchronousTestCase):
    """Bodies that are refused."""

    def assert_malformed(self, *pieces: bytes, content_type: str | None = TYPE) -> None:
        """Fail unless the body is refused, whole and byte by byte."""
        self.assertRaises(MalformedBody, read, pieces, content_type=content_type)
        single = [bytes([byte]) for byte in b"".join(pieces)]
        self.assertRaises(MalformedBody, read, single, content_type=content_type)

    def test_content_types(self) -> None:
        """Anything but one form-data type with one sound boundary."""
        for content_type in (
            None, "", "text/plain", "multipart/mixed; boundary=XbX", "multipart/form-data",
            "multipart/form-data; boundary=", 'multipart/form-data; boundary=""',
            "multipart/form-data; boundary=X\x00X",
            "multipart/form-data; boundary=XbX; boundary=YbY", f"multipart/form-data; boundary={'X' * 71}",
            "multipart/form-data; boundary=XbX, multipart/form-data; boundary=YbY",
            'multipart/form-data; boundary="XbX', 'multipart/form-data; boundary="X "',
        ):  # fmt: skip
            self.assert_malformed(file(b"D") + END, content_type=content_type)

    def test_file_rules(self) -> None:
        """Not exactly one file, in its own field, with a name."""
        for body in (
            text("a", "1"),
            b"",
            file(b"1") + file(b"2"),
            file(b"1", name="other"),
            file(b"1") + file(b"1", name="other"),
            text("content", "DATA"),
            file(b"1") + text("content", "DATA"),
            file(b"1", file_name=""),
            file(b"1", file_name="a\x1b[2J.whl"),
            file(b"1", file_name="a\u202e.whl"),
        ):
            self.assert_malformed(body + END)

    def test_names(self) -> None:
        """A bracketed, empty, missing or strange name."""
        for name in ("[content]", "content[]", "", "a b", "content.path/x", "a\x00", "ä", "a" * 129, 'a\\"b', "a%22"):
            self.assert_malformed(file(b"1") + text(name, "x") + END)
        self.assert_malformed(file(b"1") + part(b"Content-Disposition: form-data", b"x") + END)
        self.assert_malformed(file(b"1") + part(b'Content-Disposition: attachment; name="a"', b"x") + END)
        self.assert_malformed(file(b"1") + part(b"Content-Type: text/plain", b"x") + END)

    def test_ambiguous_headers(self) -> None:
        """What two readers would read in two ways."""
        for header in (
            b'Content-Disposition: form-data; name="content"; name="a"; filename="a.whl"',
            b'Content-Disposition: form-data; name="content"; filename="a.whl"; filename="b.whl"',
            b'Content-Disposition: form-data; name="content"; filename="a.whl"; filename*=utf-8\'\'..%2fb',
            b"Content-Disposition: form-data; name=\"content\"; filename*=utf-8''b.whl",
            b'Content-Disposition: form-data; name="content"; filename="a.whl"\r\n'
            b'Content-Disposition: form-data; name="a"',
            b'Content-Disposition: form-data; name="content"; filename="a.whl"\r\nContent-Transfer-Encoding: base64',
            b'Content-Disposition: form-data; name="content"; filename="a.whl" x',
            b'Content-Disposition: form-data; name="content"; filename="a.whl"\r\nX-A: a\nb',
            b'Content-Disposition: form-data; name="content"; filename="a.whl"\r\nX-A: a\rb',
            b'Content-Disposition: form-data; name="content"; filename="a.whl"\r\n\nX-A: a',
            b'Content-Disposition: form-data; name="content"; filename="a.whl"\r\nX-A\n: a',
            b'Content-Disposition: form-data; name="content"; filename="a.whl"\r\nX-A : a',
            b'Content-Disposition: form-data; name="content";\r\n filename="a.whl"',
            b'Content-Disposition: form-data; name="content"; filename="a.whl"\r\nContent-Length: 2',
        ):
            self.assert_malformed(part(header, b"D") + END)
        charset = b'Content-Disposition: form-data; name="a"\r\nContent-Type: text/plain; charset=utf-16'
        self.assert_malformed(file(b"1") + part(charset, b"x") + END)
        self.assert_malformed(file(b"1") + text("a", b"\xff") + END)

    def test_framing(self) -> None:
        """Something before the first or behind the last boundary, or no last boundary."""
        good = text("a", "1") + file(b"D")
        for body in (
            b"junk\r\n" + good + END,
            b"\r\n" + good + END,
            good,
            good + b"--" + B,
            good + b"--" + B + b"-",
            good + b"--" + B + b"--\r",
            good + END + b"\r\n",
            good + END + text("late", "1"),
            good + END + b"x",
            good + b"--" + B + b"--x",
            good + b"--" + B + b"x" + END,
            good.replace(b"\r\n", b"\n") + END,
        ):
            self.assert_malformed(body)
        self.assert_malformed()

    def test_too_much(self) -> None:
        """Limits on parts, headers, one field, and all fields together."""
        many = b"".join(text("a", "") for _ in range(20))
        self.assert_malformed(many + file(b"D") + END)
        self.assert_malformed(text("a", "x" * 1001) + file(b"D") + END)
        self.assert_malformed(text("a", "x" * 900) + file(b"D") + text("b", "x" * 900) + END)
        head = b'Content-Disposition: form-data; name="a"'
        self.assert_malformed(part(head + b"\r\nX-A: " + b"x" * 5000, b"") + file(b"D") + END)
        headers = b"".join(b"\r\nX-%d: y" % number for number in range(9))
        self.assert_malformed(part(head + headers, b"") + file(b"D") + END)

    def test_file_too_large(self) -> None:
        """The file has a limit of its own, exact, and the message names it."""
        limit = LIMITS.max_file_bytes
        self.assertEqual(len(read(cut(file(bytes(limit)) + END, 70, 5000))[1]), limit)
        error = self.assertRaises(BodyTooLarge, read, cut(file(bytes(limit + 1)) + END, 70, 5000))
        self.assertEqual(error.limit_bytes, limit)

    def test_body_too_large(self) -> None:
        """When the body as a whole is cut off, the message still names the limit of the file."""

        class Body(FakeBody):
            async def push_to(self, consumer: object) -> int:
                raise BodyTooLarge(10**9)

        reading = read_form(Body([]), TYPE, file_field="content", sink=RecordingSink(), limits=LIMITS)
        self.assertEqual(self.assertRaises(BodyTooLarge, now, reading).limit_bytes, LIMITS.max_file_bytes)


class BackPressureTests(SynchronousTestCase):
    """The sink and the body behind the form."""

    def test_pause_reaches_the_body(self) -> None:
        """A full sink pauses the body; nothing more comes until it has room, and then all of it."""
        sink = RecordingSink(on_write=lambda sink: sink.producer and sink.producer.pauseProducing())
        body = FakeBody([file(b"").removesuffix(b"\r\n"), b"one", b"two", b"\r\n" + END])
        done: list[Any] = []
        reading = Deferred.fromCoroutine(read_form(body, TYPE, file_field="content", sink=sink, limits=LIMITS))
        reading.addBoth(done.append)
        self.assertEqual((sink.pieces, body.calls, done), ([b"one"], ["pause"], []))
        assert sink.producer is not None
        sink.producer.resumeProducing()
        self.assertEqual((sink.pieces, done), ([b"one", b"two"], []))
        sink.producer.resumeProducing()
        self.assertIsInstance(done[0], Form)
        self.assertIsNone(sink.producer)

    def test_sink_that_gives_up(self) -> None:
        """When the disk is full the sink's own error is raised, not that the form was cut short."""
        sink = RecordingSink(on_write=lambda sink: sink.producer and sink.producer.stopProducing())
        sink.commit_error = StorageFull()
        self.assertRaises(StorageFull, read, [file(b"DATA") + END, b"more"], sink=sink)
        sink.commit_error = Unavailable("disk")
        self.assertRaises(Unavailable, read, [file(b"DATA") + END, b"more"], sink=sink)


PARTS = st.lists(
    st.one_of(
        st.builds(text, st.sampled_from(["a", "b", ":action"]), st.text(max_size=20)),
        st.builds(lambda data: text("a", data), st.binary(max_size=20)),
        st.builds(
            file,
            st.lists(st.sampled_from([b"\r", b"\n", b"-", b"\r\n--Xb", b"--XbX", b"x", b"\x00"]), max_size=20).map(
                b"".join
            ),
            st.sampled_from(["content", "content", "content", "other"]),
        ),
    ),
    max_size=5,
)


class PropertyTests(SynchronousTestCase):
    """Any body, any cuts."""

    def outcome(self, pieces: Sequence[bytes]) -> object:
        """Return the form and the file, or what kind of refusal it was."""
        try:
            return read(pieces)
        except (MalformedBody, BodyTooLarge) as error:
            return type(error)

    @given(
        PARTS,
        st.sampled_from([END, END, END, END[:-2], b"", END + b"x", b"--" + B]),
        st.lists(st.integers(0, 10_000), max_size=12),
    )
    @example([file(b"\r\n--XbY")], END, list(range(200)))
    def test_any_cut_gives_the_same(self, parts: list[bytes], end: bytes, places: list[int]) -> None:
        """However a body is cut, the same parts or the same refusal come out."""
        body = b"".join(parts) + end
        whole = self.outcome([body])
        self.assertEqual(self.outcome(cut(body, *places)), whole)
        self.assertEqual(self.outcome([bytes([byte]) for byte in body]), whole)

    @given(st.lists(st.integers(0, 10_000), max_size=8), st.data())
    def test_damaged_bodies(self, places: list[int], data: st.DataObject) -> None:
        """A good body with bytes changed is a form or malformed, and cuts do not matter."""
        body = bytearray(text("a", "1") + file(b"DATA") + text("b", "2") + END)
        for _ in range(data.draw(st.integers(1, 4))):
            body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.sampled_from(b'\r\n-X";:= \x00\xff'))
        damaged = bytes(body)
        self.assertEqual(self.outcome(cut(damaged, *places)), self.outcome([damaged]))

    @given(st.binary(max_size=200))
    def test_random_bytes(self, data: bytes) -> None:
        """Noise is malformed."""
        self.assertIn(self.outcome([data] if data else []), (MalformedBody, BodyTooLarge))

    @given(st.text(st.characters(max_codepoint=255), max_size=60))
    def test_random_content_types(self, content_type: str) -> None:
        """A content type is sound or malformed."""
        with contextlib.suppress(MalformedBody):
            read([text("a", "1") + file(b"D") + END], content_type=content_type)


class LinearTests(SynchronousTestCase):
    """Bytes made to look like the beginning of a boundary."""

    def test_line_ends_are_not_gathered(self) -> None:
        """64 MiB of line ends flow on piece by piece: what is held back stays below a boundary's length."""
        chunk = b"\r\n" * (32 << 10)
        most_held_bytes = 0
        received = 0
        sent = 0

        def note(sink: RecordingSink) -> None:
            nonlocal received
            received += len(sink.pieces.pop())

        class Body(FakeBody):
            async def push_to(self, consumer: Any) -> int:
                nonlocal sent, most_held_bytes
                consumer.registerProducer(self, True)
                consumer.write(file(b"").removesuffix(b"\r\n"))
                for _ in range(1024):
                    consumer.write(chunk)
                    sent += len(chunk)
                    most_held_bytes = max(most_held_bytes, sent - received)
                consumer.write(b"\r\n" + END)
                consumer.unregisterProducer()
                return sent

        limits = FormLimits(max_file_bytes=1 << 30)
        now(read_form(Body([]), TYPE, file_field="content", sink=RecordingSink(note), limits=limits))
        self.assertEqual(received, 64 << 20)
        self.assertLessEqual(most_held_bytes, len(B) + 4)


class PinTests(SynchronousTestCase):
    """Private names of the multipart package that we rely on."""

    def test_end_is_seen(self) -> None:
        """The parser shows that it is complete, and what lay behind, by the names that we read."""
        parser = multipart.PushMultipartParser(B, strict=True)
        list(parser.parse(b"--XbX\r\nContent-Disposition: form-data; name=a\r\n\r\nv\r\n"))
        self.assertIsNot(parser._state, multipart._COMPLETE)
        list(parser.parse(b"--XbX--\r\nrest"))
        self.assertIs(parser._state, multipart._COMPLETE)
        self.assertEqual(parser._buffer, b"\r\nrest")
        self.assertTrue(hasattr(parser, "_on_segment_headerline"))
