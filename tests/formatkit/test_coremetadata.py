"""The header of METADATA."""

from __future__ import annotations

import contextlib
import email.parser

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pkgregd.errors import InvalidArchive
from pkgregd.formatkit.coremetadata import (
    MAX_FIELDS,
    MAX_REQUIREMENTS,
    MAX_TEXT_CHARACTERS,
    CoreMetadata,
    parse_core_metadata,
)

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
            b"METADATA-VERSION: 1.0\r\nREQUIRES-PYTHON:>=3.8 \r\nversion:\t1.0\r\nname: demo\r\n\r\nName: evil\r\n",
            GOOD + b"License: a\n        b\n\tName: evil\nRequires-Python: >=3.8\n\nbody",
            GOOD + b"Author: J\xc3\xbcrgen\nRequires-Python: >=3.8\n\n\xff\x1b[2J Name: evil",
        ):
            self.assertEqual(parse_core_metadata(data), wanted)
        self.assertIsNone(parse_core_metadata(GOOD + b"Requires-Python: \n").requires_python)

    def test_missing(self) -> None:
        """Without a name or a version it is no package."""
        self.assert_refused(b"", "no Metadata-Version")
        self.assert_refused(b"Metadata-Version: 2.1\nName: demo\n", "no Version")
        self.assert_refused(b"\n" + GOOD, "no Metadata-Version")
        self.assert_refused(b"Metadata-Version: 2.1\nName: \nVersion: 1\n", "no Name")

    def test_grammars(self) -> None:
        """Each field that matters has a length and a grammar."""
        for line, good in (
            (b"Metadata-Version: %s\nName: a\nVersion: 1\n", b"1.0 1.1 1.2 2.0 2.1 2.2 2.3 2.4 2.5"),
            (b"Metadata-Version: 2.1\nName: %s\nVersion: 1\n", b"a a.b a-_b 1"),
            (b"Metadata-Version: 2.1\nName: a\nVersion: %s\n", b"1 1!2.0.post1+a 1-2"),
            (GOOD + b"Requires-Python: %s\n", b">=3 ~=3.8 !=3.0.*,>=2 ===3.8 <4,>=3"),
        ):
            for value in good.split():
                parse_core_metadata(line % value)
        for line, bad in (
            (b"Metadata-Version: %s\nName: a\nVersion: 1\n", b"3.0 0.9 2 2.1.1 2.x two"),
            (b"Metadata-Version: 2.1\nName: %s\nVersion: 1\n", b"-a a- .a a/b ../a a<b \xef\xbd\x81 " + b"a" * 256),
            (b"Metadata-Version: 2.1\nName: a\nVersion: %s\n", b"1/2 ../1 <b> " + b"1" * 256),
            (GOOD + b"Requires-Python: %s\n", b'3 >=3.* =>3 >=3"> ===3"> >=' + b"3" * 300 + b" >=3;x (>=3)"),
        ):
            for value in bad.split():
                self.assert_refused(line % value)

    def test_twice(self) -> None:
        """A field that comes twice could be either."""
        for line in (b"Name: demo\n", b"VERSION: 2\n", b"Requires-Python: >=3\nRequires-Python: >=3\n"):
            self.assert_refused(GOOD + line, "two fields")
        self.assert_refused(GOOD + b"Summary: a\nSummary: b\n", "two fields")
        parse_core_metadata(GOOD + b"Classifier: a\nClassifier: b\n")

    def test_not_plain(self) -> None:
        """Our fields are one line of printable text."""
        self.assert_refused(b"Name: a\n b\nVersion: 1\n", "one line")
        self.assert_refused(GOOD + b"Requires-Python: >=3,\n <4\n", "one line")
        self.assert_refused(b"Name: a\x1b[2J\nVersion: 1\n", "plain text")
        self.assert_refused(b"Name: a\xe2\x80\xaeb\nVersion: 1\n", "plain text")
        self.assert_refused(b"Name: \xff\nVersion: 1\n", "UTF-8")
        self.assert_refused(GOOD + b"Author: \xff\n", "UTF-8")
        self.assert_refused(GOOD + b"Requires-Python: " + b"x" * 256, "too long")
        for line in (b"From somebody\n", b" a\n", b"no field\n", b": x\n", b"a b: c\n"):
            self.assert_refused(line + GOOD, "no field")

    def test_texts(self) -> None:
        """Prose has no control characters in fields that are one line, and bounds."""
        for line in (b"Summary: a\xe2\x80\x8db\tc\n", b"License: a\n        \x0c\n", b"Keywords: a,\n  b\n"):
            parse_core_metadata(GOOD + line)
        for text in (b"\x1b[2J", b"\xc2\x9b31m", b"\xe2\x80\xae", b"\xe2\x81\xa6", b"\xe2\x80\xa8", b"\0", b"\x7f"):
            for name in (b"Summary", b"Home-page", b"Author", b"Requires-Dist", b"Classifier", b"X-Unknown"):
                self.assert_refused(GOOD + name + b": a" + text + b"\n", "control characters")
        self.assert_refused(GOOD + b"Summary: " + b"a" * (MAX_TEXT_CHARACTERS + 1), "too long")

    def test_requirements(self) -> None:
        """Requirements are counted and measured, and never read."""
        parse_core_metadata(GOOD + b"Requires-Dist: %s\n" % (b"(" * 1000) * MAX_REQUIREMENTS)
        self.assert_refused(GOOD + b"Requires-Dist: a\n" * (MAX_REQUIREMENTS + 1), "requirements")
        self.assert_refused(GOOD + b"Requires-Dist: a " + b"(" * 50_000 + b")" * 50_000, "too long")
        self.assert_refused(GOOD + b"Classifier: a\n" * MAX_FIELDS, "fields")

    @given(
        st.lists(
            st.sampled_from(
                [b"Name: a", b"Name:b", b"Version: 1", b"name : c", b"", b" x", b"\t", b":", b": x", b"X", b"X-Y: z",
                 b"From x", b"From: y", b"\x0bName: d", b"\x0c", b"Name\x00: e", b"Name: a\x1cName: f",
                 b"Summary: s\x0bName: g"]
            ),
            max_size=7,
        ),
        st.sampled_from([b"\n", b"\r\n", b"\r"]),
    )  # fmt: skip
    def test_agrees_with_the_email_parser(self, lines: list[bytes], end: bytes) -> None:
        """What is accepted, an installer's parser reads in the same way."""
        data = end.join([b"Metadata-Version: 2.1", *lines])
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
