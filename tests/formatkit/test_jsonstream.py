"""Documents with a file in them: in any cuts, and the same as JSON says."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pkgregd.errors import BodyTooLarge, MalformedBody, StorageFull
from pkgregd.formatkit.jsonstream import DocumentLimits, StreamedDocument, read_document
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


def read(document: bytes, *at: int, limits: DocumentLimits = LIMITS) -> tuple[StreamedDocument, bytes]:
    """Read a document in pieces; returns it, and the file."""
    sink = RecordingSink()
    made = now(read_document(FakeBody(cut(document, *at)), is_file=is_file, sink=sink, limits=limits))
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
        reading = read_document(body, is_file=is_file, sink=RecordingSink(give_up), limits=LIMITS)
        self.assertRaises(StorageFull, now, reading)

    def test_back_pressure(self) -> None:
        """A sink that is full pauses the body."""
        body = FakeBody(cut(with_file("A" * 400), *range(0, 400, 10)))

        def pause(sink: RecordingSink) -> None:
            assert sink.producer is not None
            sink.producer.pauseProducing()
            sink.producer.resumeProducing()

        made = now(read_document(body, is_file=is_file, sink=RecordingSink(pause), limits=LIMITS))
        self.assertEqual(made.file_bytes, 300)
        self.assertIn("pause", body.calls)


def _has_twice(value: object) -> bool:
    """Whether pairs of an object, as they stand in lists, have a key twice."""
    if isinstance(value, list):
        keys = [pair[0] for pair in value if isinstance(pair, tuple)]
        return len(set(keys)) != len(keys) or any(_has_twice(each) for each in value)
    return isinstance(value, tuple) and _has_twice(value[1])
