"""The header of METADATA."""

from __future__ import annotations

import contextlib
import email.parser

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pkgregd.errors import InvalidArchive
from pkgregd.formatkit.coremetadata import CoreMetadata, parse_core_metadata

GOOD = b"Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n"


class ParseTests(SynchronousTestCase):
    """parse_core_metadata()."""

    def assert_refused(self, data: bytes, text: str = "") -> None:
        """Fail unless it is refused for that reason."""
        self.assertIn(text, str(self.assertRaises(InvalidArchive, parse_core_metadata, data)))

    def test_good(self) -> None:
        """Fields in any order and case, before other fields, folded ones and a body."""
        wanted = CoreMetadata("demo", "1.0", ">=3.8")
        for data in (
            GOOD + b"Requires-Python: >=3.8\n",
            b"REQUIRES-PYTHON:>=3.8 \r\nversion:\t1.0\r\nname: demo\r\n\r\nName: evil\r\n",
            GOOD + b"License: a\n        b\n\tName: evil\nRequires-Python: >=3.8\n\nbody",
            GOOD + b"Author: \xff\xfe\nRequires-Python: >=3.8\n",
        ):
            self.assertEqual(parse_core_metadata(data), wanted)
        self.assertIsNone(parse_core_metadata(GOOD + b"Requires-Python: \n").requires_python)

    def test_missing(self) -> None:
        """Without a name or a version it is no package."""
        self.assert_refused(b"", "no Name")
        self.assert_refused(b"Name: demo\n", "no Version")
        self.assert_refused(b"\n" + GOOD, "no Name")
        self.assert_refused(b"Name: \nVersion: 1\n", "no Name")

    def test_twice(self) -> None:
        """A field that comes twice could be either."""
        for line in (b"Name: demo\n", b"VERSION: 2\n", b"Requires-Python: >=3\nRequires-Python: >=3\n"):
            self.assert_refused(GOOD + line, "two fields")

    def test_not_plain(self) -> None:
        """Our fields are one line of printable text."""
        self.assert_refused(b"Name: a\n b\nVersion: 1\n", "another line")
        self.assert_refused(b"Name: a\x1b[2J\nVersion: 1\n", "plain text")
        self.assert_refused(b"Name: a\xe2\x80\xaeb\nVersion: 1\n", "plain text")
        self.assert_refused(b"Name: \xff\nVersion: 1\n", "UTF-8")
        self.assert_refused(GOOD + b"Requires-Python: " + b"x" * 256, "too long")
        self.assert_refused(b"From somebody\n" + GOOD, "another line")

    @given(
        st.lists(
            st.sampled_from(
                [b"Name: a", b"Name:b", b"Version: 1", b"name : c", b"", b" x", b"\t", b":", b": x", b"X", b"X-Y: z",
                 b"From x", b"From: y", b"\x0bName: d", b"\x0c", b"Name\x00: e", b"Name: a\x1cName: f"]
            ),
            max_size=7,
        ),
        st.sampled_from([b"\n", b"\r\n", b"\r"]),
    )  # fmt: skip
    def test_agrees_with_the_email_parser(self, lines: list[bytes], end: bytes) -> None:
        """What is accepted, an installer's parser reads in the same way."""
        data = end.join(lines)
        with contextlib.suppress(InvalidArchive):
            ours = parse_core_metadata(data)
            theirs = email.parser.BytesParser().parsebytes(data)
            self.assertEqual([value.strip() for value in theirs.get_all("Name")], [ours.name])
            self.assertEqual([value.strip() for value in theirs.get_all("Version")], [ours.version])

    @given(st.binary(max_size=200))
    def test_noise(self, data: bytes) -> None:
        """Any bytes are metadata or invalid."""
        with contextlib.suppress(InvalidArchive):
            parse_core_metadata(data)
