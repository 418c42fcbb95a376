"""Documents with a file in them: in any cuts, and the same as JSON says."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence

from attrs import evolve
from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pkgregd.errors import BodyTooLarge, MalformedBody, StorageFull, Unavailable
from pkgregd.formatkit.jsonstream import (
    OWN_BYTES,
    DocumentLimits,
    DocumentMemory,
    IsKept,
    StreamedDocument,
    read_document,
)
from pkgregd.formatkit.strictjson import read_strict
from pkgregd.testing.calls import FakeBody, RecordingSink, cut, now

LIMITS = DocumentLimits(max_file_bytes=1000, max_rest_bytes=4000, max_tokens=500, max_depth=8)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("ab\"\\\n\u20ac", max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)  # fmt: skip


def is_file(path: Sequence[str]) -> bool:
    """Choose files as npm does."""
    return len(path) == 3 and path[0] == "files" and path[2] == "data"


def read(
    document: bytes, *at: int, limits: DocumentLimits = LIMITS, is_kept: IsKept | None = None
) -> tuple[StreamedDocument, bytes]:
    """Read a document in pieces; returns it, and the file."""
    sink = RecordingSink()
    with DocumentMemory().share() as share:
        body = FakeBody(cut(document, *at))
        reading = read_document(body, is_file=is_file, sink=sink, limits=limits, share=share, is_kept=is_kept)
        made = now(reading)
    return made, b"".join(sink.pieces)


def with_file(text: str, before: str = "", behind: str = "") -> bytes:
    """Write a document with this as the content of the file's string."""
    return f'{{{before}"files":{{"a.tgz":{{"length":1,"data":"{text}","x":[]}}}}{behind}}}'.encode()


class DocumentTests(SynchronousTestCase):
    """Documents with a file."""

    @given(st.binary(max_size=60), st.lists(st.integers(0, 400), max_size=12), st.booleans(), st.booleans())
    @example(b"\xff\xff\xff", list(range(200)), True, False)
    def test_any_cuts(self, data: bytes, at: list[int], has_escapes: bool, is_ascii: bool) -> None:
        """Any way of cutting gives the same file and the same rest, wherever the file is and however it is escaped."""
        text = base64.b64encode(data).decode()
        if has_escapes:
            text = text.replace("/", "\\/").replace("+", "\\u002b").replace("A", "\\u0041")
        for before, behind in (('"k\\"ey":[1,{"a":"\u20ac\\\\"}],', ""), ("", ',"n":{"files":{"data":"eA=="}}')):
            document = with_file(text, before, behind)
            made, file = read(document, *at)
            self.assertEqual(file, data)
            self.assertEqual((made.file_path, made.file_bytes), (("files", "a.tgz", "data"), len(data)))
            wanted = json.loads(document)
            wanted["files"]["a.tgz"]["data"] = ""
            self.assertEqual(made.read(), wanted)

    @given(JSON_VALUES, st.lists(st.integers(0, 400), max_size=12))
    def test_what_json_takes(self, value: object, at: list[int]) -> None:
        """A document without a file is read as JSON is."""
        made, file = read(json.dumps(value).encode(), *at)
        self.assertEqual((made.read(), made.file_path, file), (value, None, b""))

    @given(st.text('{}[]",:\\ae0-\u20ac ', max_size=24), st.lists(st.integers(0, 60), max_size=4))
    @example('{"a" "b"}', [])
    @example('"\\', [1])
    def test_what_json_refuses(self, text: str, at: list[int]) -> None:
        """What is no JSON is refused, in any cuts, and all else is taken as JSON takes it."""
        try:
            wanted = json.loads(text, object_pairs_hook=lambda pairs: pairs)
            if _has_twice(wanted):
                raise ValueError
            wanted = json.loads(text)
        except ValueError:
            self.assertRaises(MalformedBody, lambda: read(text.encode(), *at)[0].read())
        else:
            self.assertEqual(read(text.encode(), *at)[0].read(), wanted)

    def test_stricter_than_json(self) -> None:
        """What readers differ about is refused."""
        for document in (
            b'{"a":1,"a":1}', b"NaN", b"[Infinity]", b"-Infinity", b"1e999", b"1" * 65, rb'"\ud800"', b'{"\\udfff":1}',
            b'"\xff"', b"\xef\xbb\xbf{}", b"{} {}", b"", b"[", b'"', b"{}]", "\u20ac".encode("utf-16"), b'"\x00"',
        ):  # fmt: skip
            self.assertRaises(MalformedBody, lambda document=document: read(document)[0].read())
        self.assertEqual(read_strict(rb'"\ud83d\ude00"', "it"), "\U0001f600")

    def test_everything_escaped(self) -> None:
        """A file whose every character is an escape sequence is read without a step for each of them."""
        data = bytes(range(250)) * 4
        text = "".join(f"\\u{ord(character):04x}" for character in base64.b64encode(data).decode())
        for at in ((), range(0, len(text), 7)):
            self.assertEqual(read(with_file(text), *at)[1], data)

    def test_bad_base64(self) -> None:
        """Only the strict alphabet with its padding at the end is base64, in any cuts."""
        for text in ("A", "AA", "AAA", "A===", "=AAA", "AA==AA==", "AAAA\\n", "AA AA", "AA-_", "AAAA=", "AA\\u00e9A",
                     "AAA\\u003", "\\\\AAA", "AAA\\\\/", "AAA\\/\\", "AAA\u20ac", "AAA\\\"",
                     "\x00A\x00A\x00\\u0041", "AAA\\n", "\\ud800AAA"):  # fmt: skip
            document = with_file(text)
            for at in ((), range(len(document))):
                self.assertRaises(MalformedBody, read, document, *at)

    def test_second_file(self) -> None:
        """There is one file."""
        document = b'{"files":{"a":{"data":"eA=="},"b":{"data":"eA=="}}}'
        self.assertIn("more than one file", str(self.assertRaises(MalformedBody, read, document)))

    def test_limits(self) -> None:
        """Each limit holds, and what is just within it is taken."""
        good, bad = base64.b64encode(bytes(1000)).decode(), base64.b64encode(bytes(1001)).decode()
        self.assertEqual(read(with_file(good))[0].file_bytes, 1000)
        self.assertRaises(BodyTooLarge, read, with_file(bad))
        self.assertEqual(read(b"[" * 8 + b"]" * 8)[0].rest, b"[" * 8 + b"]" * 8)
        for document in (b"[" * 9 + b"]" * 9, b"[" + b"," * 500, b'"' + b"x" * 4000, b'{"' + b"x" * 4097,
                         b'"' + b"\\n" * 501):  # fmt: skip
            self.assertRaises(MalformedBody, read, document)

    def test_sink_that_gives_up(self) -> None:
        """What stopped the sink is what the reader raises."""

        def give_up(sink: RecordingSink) -> None:
            sink.commit_error = StorageFull()
            assert sink.producer is not None
            sink.producer.stopProducing()

        body = FakeBody(cut(with_file("AAAA"), 40, 45, 50))
        with DocumentMemory().share() as share:
            reading = read_document(body, is_file=is_file, sink=RecordingSink(give_up), limits=LIMITS, share=share)
            self.assertRaises(StorageFull, now, reading)

    def test_back_pressure(self) -> None:
        """A sink that is full pauses the body."""
        body = FakeBody(cut(with_file("A" * 400), *range(0, 400, 10)))

        def pause(sink: RecordingSink) -> None:
            assert sink.producer is not None
            sink.producer.pauseProducing()
            sink.producer.resumeProducing()

        with DocumentMemory().share() as share:
            reading = read_document(body, is_file=is_file, sink=RecordingSink(pause), limits=LIMITS, share=share)
            made = now(reading)
        self.assertEqual(made.file_bytes, 300)
        self.assertIn("pause", body.calls)


class PassingTests(SynchronousTestCase):
    """Documents of which not everything is kept."""

    @given(JSON_VALUES, st.lists(st.integers(0, 600), max_size=12), st.sampled_from([None, 1]))
    @example({"a": "}\\", "x": {"b": ["]", 1]}}, list(range(60)), None)
    def test_what_is_left_out(self, value: object, at: list[int], indent: int | None) -> None:
        """What is read is the document without what nobody wants, in any cuts, however it is written."""

        def is_kept(path: Sequence[str]) -> bool:
            return "b" not in path[-1] and len(path) < 4

        def left(value: object, path: tuple[str, ...] | None) -> object:
            if not isinstance(value, dict) or path is None:
                return value
            return {key: left(each, (*path, key)) for key, each in value.items() if is_kept((*path, key))}

        document = {"a": value, "x": {"b": value, "c": value, '"': value}, "b": value}
        limits = evolve(LIMITS, max_passed_bytes=8000)
        made, _ = read(json.dumps(document, indent=indent).encode(), *at, limits=limits, is_kept=is_kept)
        self.assertEqual(made.read(), left(document, ()))

    def test_a_file_beside_it(self) -> None:
        """A file is found wherever else there is something left out."""
        document = with_file("eHg=", '"n":{"files":{"a":{"data":"eA=="}}},"s":"\\"}",', ',"t":[{}]')
        limits = evolve(LIMITS, max_passed_bytes=100)
        made, file = read(document, limits=limits, is_kept=lambda path: path[0] == "files")
        self.assertEqual((file, made.rest), (b"xx", b'{"files":{"a.tgz":{"length":1,"data":"","x":[]}}}'))

    def test_limit(self) -> None:
        """What is left out is limited by itself."""
        document = b'{"n":"%s"}' % (b"x" * 5000)
        limits = evolve(LIMITS, max_passed_bytes=5007)
        self.assertEqual(read(document, limits=limits, is_kept=lambda path: False)[0].rest, b"{}")
        for document in (b'{"n":"%s"}' % (b"x" * 5002), b'{%s"n":1}' % (b'"n":1,' * 1000), b'{"n":' + b"[" * 5003):
            self.assertRaises(MalformedBody, read, document, limits=limits, is_kept=lambda path: False)


class MemoryTests(SynchronousTestCase):
    """What documents keep together."""

    def test_shares(self) -> None:
        """Small documents are always read; of great ones so many as there is memory for, and it comes back."""
        memory = DocumentMemory(4 * OWN_BYTES)
        with memory.share() as first, memory.share() as second, memory.share() as third:
            first.hold(4 * OWN_BYTES)
            second.hold(2 * OWN_BYTES)
            self.assertRaises(Unavailable, third.hold, OWN_BYTES + 1)
            self.assertEqual(third.hold(OWN_BYTES), OWN_BYTES)
        self.assertEqual(memory.held_bytes, 0)
        with memory.share() as share:
            self.assertGreater(share.hold(5 * OWN_BYTES), 0)

    def test_of_a_document(self) -> None:
        """A document for which there is no memory is refused."""
        limits = evolve(LIMITS, max_rest_bytes=4 * OWN_BYTES)
        document = b'"%s"' % (b"x" * 3 * OWN_BYTES)
        for max_bytes, is_taken in ((2 * OWN_BYTES, False), (3 * OWN_BYTES, True)):
            memory = DocumentMemory(max_bytes)
            with memory.share() as share:
                body = FakeBody(cut(document, *range(0, len(document), 1000)))
                reading = read_document(body, is_file=is_file, sink=RecordingSink(), limits=limits, share=share)
                if is_taken:
                    self.assertEqual(now(reading).rest, document)
                else:
                    self.assertRaises(Unavailable, now, reading)
            self.assertEqual(memory.held_bytes, 0)


def _has_twice(value: object) -> bool:
    """Whether pairs of an object, as they stand in lists, have a key twice."""
    if isinstance(value, list):
        keys = [pair[0] for pair in value if isinstance(pair, tuple)]
        return len(set(keys)) != len(keys) or any(_has_twice(each) for each in value)
    return isinstance(value, tuple) and _has_twice(value[1])
