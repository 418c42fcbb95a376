"""Sound archives that were damaged in every way, and noise: a result, or InvalidRequest, within bounds."""

from __future__ import annotations

import contextlib
import io
import re
import sys
import tarfile
import zipfile
from collections.abc import Callable
from functools import partial
from typing import IO

from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pkgregd.errors import InvalidRequest
from pkgregd.formatkit import coremetadata, tars, wheels
from pkgregd.formatkit.archives import read_sdist, read_wheel
from pkgregd.formatkit.coremetadata import parse_core_metadata
from pkgregd.formatkit.tree import Kind, Tree
from pkgregd.formatkit.wheels import check_record, parse_wheel_facts
from pkgregd.formatkit.zips import read_directory
from tests.support.archives import (
    GOOD_MEMBER,
    INFO,
    TOP,
    gz,
    header,
    link,
    member,
    pax,
    tar_gz,
    wheel_zip_members,
    write_zip,
)

WHEEL = write_zip(wheel_zip_members())
BLOCKS = (
    member(b"g", b"14 comment=hi\n", b"g"),
    member(TOP + b"/", kind=b"5"),
    pax(path=TOP + b"/other", mtime=b"1.5"),
    member(TOP + b"/x", b"abc"),
    member(b"././@LongLink", TOP + b"/long\0", b"L"),
    member(TOP + b"/l", b"x = 1\n"),
    link(TOP + b"/link", b"PKG-INFO"),
    GOOD_MEMBER,
    bytes(1024),
)
TAR = b"".join(BLOCKS)


@st.composite
def mutations(draw: st.DrawFn, good: bytes) -> bytes:
    """Flip, cut out, repeat, insert and overwrite bytes of something good."""
    data = bytearray(good)
    for _ in range(draw(st.integers(1, 5))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        length = draw(st.sampled_from([1, 2, 4, 8, 30, 46, 512]))
        match draw(st.sampled_from(["flip", "cut", "repeat", "insert", "fill", "end"])):
            case "flip" if data:
                data[at] ^= 1 << draw(st.integers(0, 7))
            case "cut":
                del data[at : at + length]
            case "repeat":
                data[at:at] = data[at : at + length]
            case "insert":
                data[at:at] = draw(st.binary(max_size=20))
            case "fill":
                data[at : at + length] = draw(st.sampled_from([b"\0", b"\xff", b"7"])) * min(length, 8)
            case "end":
                del data[at:]
    return bytes(data)


class Watched(io.BytesIO):
    """Counts what is read of it."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.read_bytes = 0

    def read(self, size: int | None = -1, /) -> bytes:
        """Read, and count."""
        data = super().read(size)
        self.read_bytes += len(data)
        return data


class MutationTests(SynchronousTestCase):
    """read_wheel() and read_sdist()."""

    def assert_bounded(self, reader: Callable[[IO[bytes]], object], data: bytes) -> object:
        """Fail unless it is read or refused, after reading it a few times over at the most."""
        file = Watched(data)
        result = None
        with contextlib.suppress(InvalidRequest):
            result = reader(file)
        self.assertLess(file.read_bytes, 8 * len(data) + (1 << 20))
        return result

    @settings(max_examples=400)
    @given(mutations(WHEEL))
    @example(WHEEL)
    def test_wheels(self, data: bytes) -> None:
        """A damaged wheel that is taken all the same is one that Python's own reader finds sound, and equal."""
        found = self.assert_bounded(read_wheel, data)
        if found is not None:
            with zipfile.ZipFile(io.BytesIO(data)) as theirs:
                self.assertIsNone(theirs.testzip())
                names = [name.rstrip("/") for name in theirs.namelist()]
                self.assertEqual(list(read_directory(io.BytesIO(data)).members), names)
                self.assertEqual(theirs.read(f"{found.folder}/METADATA"), found.metadata)  # type: ignore[attr-defined]

    @settings(max_examples=400)
    @given(mutations(TAR))
    @example(TAR)
    def test_tars(self, data: bytes) -> None:
        """A damaged tar that is taken all the same has for Python's own reader the same PKG-INFO."""
        packed = gz(data)
        found = self.assert_bounded(read_sdist, packed)
        if found is not None:
            with tarfile.open(fileobj=io.BytesIO(packed)) as theirs:
                metadata = theirs.extractfile(f"{found.folder}/PKG-INFO")  # type: ignore[attr-defined]
                assert metadata is not None
                self.assertEqual(metadata.read(), found.metadata)  # type: ignore[attr-defined]

    @given(mutations(tar_gz(*BLOCKS[:-1])))
    def test_compressed(self, data: bytes) -> None:
        """The compression is damaged."""
        self.assert_bounded(read_sdist, data)

    @given(st.permutations(BLOCKS), st.integers(0, 3))
    def test_blocks(self, blocks: list[bytes], more: int) -> None:
        """Sound blocks in any order, some of them twice."""
        self.assert_bounded(read_sdist, gz(*blocks, *blocks[:more], bytes(1024)))

    @given(st.binary(max_size=2000))
    def test_noise(self, data: bytes) -> None:
        """Noise, and noise that begins or ends well, is never read as anything."""
        for reader in (read_wheel, read_sdist):
            for noise in (data, b"PK\x03\x04" + data, b"\x1f\x8b\x08" + data, data + WHEEL[-22:], gz(data)):
                self.assertRaises(InvalidRequest, reader, io.BytesIO(noise))

    @given(st.binary(max_size=300) | mutations(INFO + b"Requires-Python: >=3.8\nSummary: x\n y\n\nbody\n"))
    def test_texts(self, data: bytes) -> None:
        """Any bytes are METADATA, WHEEL and RECORD, or refused."""
        for reader in (parse_core_metadata, parse_wheel_facts, lambda text: check_record(text, "f", ["a"])):
            with contextlib.suppress(InvalidRequest):
                reader(data)

    @given(st.lists(st.tuples(st.sampled_from(["t", "t/a", "t/b", "t/a/b", "t/A"]), st.sampled_from(Kind)), max_size=8))
    def test_trees(self, members: list[tuple[str, Kind]]) -> None:
        """A tree has every path once, below directories alone, whatever order they come in."""
        tree = Tree()
        added: dict[str, Kind] = {}
        for path, kind in members:
            target = "t/a" if kind is Kind.HARD_LINK else "b"
            with contextlib.suppress(InvalidRequest):
                tree.add(path, kind, target)
                self.assertIn((added.get(path), kind), [(None, kind), (Kind.DIRECTORY, Kind.DIRECTORY)])
                added[path] = kind
                for other in added:
                    if other.startswith(f"{path}/"):
                        self.assertIs(kind, Kind.DIRECTORY)


class LinearTests(SynchronousTestCase):
    """Twice as long an input is twice the work, counted in function calls and lines, which time does not blur."""

    def events(self, work: Callable[[], object]) -> int:
        """Count the lines of ours that run."""
        count = 0

        def trace(frame: object, event: str, argument: object) -> object:
            nonlocal count
            count += 1
            return trace

        before = sys.gettrace()
        sys.settrace(trace)  # type: ignore[arg-type]
        try:
            with contextlib.suppress(InvalidRequest):
                work()
        finally:
            sys.settrace(before)
        return count

    def test_readers(self) -> None:
        """Members, fields, records and links."""

        def tar_of(number: int) -> bytes:
            links = (link(TOP + b"/l%d" % at, b"PKG-INFO") for at in range(number))
            return tar_gz(GOOD_MEMBER, *(member(TOP + b"/a%d" % at) for at in range(number)), *links)

        def zip_of(number: int) -> bytes:
            more = [(f"a{at}", b"x") for at in range(number)]
            return write_zip(wheel_zip_members([*more, ("b", b"")]))

        makers: dict[str, tuple[Callable[[IO[bytes]], object], Callable[[int], bytes]]] = {
            "tar": (read_sdist, tar_of),
            "zip": (read_directory, zip_of),
            "metadata": (lambda file: parse_core_metadata(file.read()), lambda n: INFO + b"Classifier: a\n b\n" * n),
            "record": (lambda file: check_record(file.read(), "f", []), lambda n: b"a,,\n" * n),
            "pax": (read_sdist, lambda n: tar_gz(pax(**{f"k{at}": b"v" for at in range(n)}), GOOD_MEMBER)),
        }
        for label, (reader, make) in makers.items():
            once, twice = (self.events(partial(reader, io.BytesIO(make(size)))) for size in (500, 1000))
            self.assertGreater(twice, once, label)
            self.assertLess(twice, 2.5 * once, label)

    def test_grammars(self) -> None:
        """
        No grammar has a repetition inside a repetition, or two of them side by side over the same characters.

        Each is one class that repeats between fixed ends, so that a match goes back over a text once at the most.
        """
        for module in (coremetadata, tars, wheels):
            for name, value in vars(module).items():
                if isinstance(value, re.Pattern):
                    text = value.pattern if isinstance(value.pattern, str) else value.pattern.decode("latin-1")
                    plain = re.sub(r"\[[^]]*\]", "c", text)
                    self.assertNotRegex(plain, r"\([^)]*[*+][^)]*\)[*+{]", f"{module.__name__}.{name}")
                    self.assertNotRegex(plain, r"c[*+]c[*+]", f"{module.__name__}.{name}")

    def test_tar_headers_are_not_kept(self) -> None:
        """Data of members are passed over without being put together."""
        data = tar_gz(GOOD_MEMBER, header(TOP + b"/x", 8 << 20), bytes(8 << 20))
        few = self.events(lambda: read_sdist(io.BytesIO(data)))
        self.assertLess(few, 5000)
