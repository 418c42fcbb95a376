"""What a package says of itself."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pkgregd.errors import InvalidArchive
from pkgregd.formats.pypi_metadata import MAX_FIELDS, MetadataFields, describe, read_fields


class ReadTests(SynchronousTestCase):
    """read_fields()."""

    def test_fields(self) -> None:
        """Names without their case, values in order, and the body behind the first empty line."""
        fields = read_fields(b"Name: demo\r\nclassifier: A :: B\nCLASSIFIER:A :: C \nEmpty:\n\nLong: text\n\nmore")
        self.assertEqual(fields.one("name"), "demo")
        self.assertEqual(fields.all("classifier"), ["A :: B", "A :: C"])
        self.assertEqual((fields.one("empty"), fields.one("missing"), fields.all("missing")), (None, None, ()))
        self.assertEqual(fields.body, "Long: text\n\nmore")

    def test_lines_that_go_on(self) -> None:
        """Descriptions of several lines within the header lose their indentation, whatever tool made it."""
        data = b"Description: one\n        two\n       |  three\n\tfour\nLicense: a\n b\nSummary: UNKNOWN\n"
        fields = read_fields(data)
        self.assertEqual(fields.one("description"), "one\ntwo\n  three\nfour")
        self.assertEqual((fields.one("license"), fields.one("summary"), fields.body), ("a\nb", None, ""))

    def test_header_ends_at_what_is_no_field(self) -> None:
        """A line without a colon begins the body, as it does for installers."""
        fields = read_fields(b"Name: demo\nno field\nSummary: x\n")
        self.assertEqual((fields.all("summary"), fields.body), ((), "no field\nSummary: x\n"))

    def test_too_many_fields(self) -> None:
        """The number of fields has a bound; that of lines in the body has none."""
        self.assertEqual(len(read_fields(b"A: b\n" * MAX_FIELDS + b"\n" * 3).all("a")), MAX_FIELDS)
        self.assertRaises(InvalidArchive, read_fields, b"A: b\n" * (MAX_FIELDS + 1))

    @given(st.binary(), st.lists(st.sampled_from([b"A: b", b"\n", b"\r", b" ", b":", b"\xff", b"Description:"])))
    @example(b"", [])
    def test_any_bytes(self, data: bytes, pieces: list[bytes]) -> None:
        """Any bytes give fields of text, and the same from whole lines as from the beginning of the body."""
        for text in (data, b"".join(pieces)):
            fields = read_fields(text)
            describe(fields).items()
            self.assertTrue(text.decode("utf-8", "replace").endswith(fields.body))


class DescribeTests(SynchronousTestCase):
    """describe()."""

    def test_everything(self) -> None:
        """Each field is where clients of the JSON API look for it."""
        info = describe(
            read_fields(
                b"Name: demo\nSummary: s\nAuthor: a\nAuthor-email: b@c\nMaintainer: m\nMaintainer-email: n@c\n"
                b"License: l\nLicense-Expression: MIT\nLicense-File: LICENSE\nKeywords: k,w\nPlatform: any\n"
                b"Classifier: X\nRequires-Dist: x\nRequires-Dist: y; extra == 'z'\nProvides-Extra: z\n"
                b"Requires-Python: >=3\nDescription-Content-Type: text/markdown\nDynamic: Version\n"
                b"Home-page: https://example.com/\nDownload-URL: http://example.com/d\n"
                b"Project-URL: Docs, https://example.com/docs\n\n# Title\n"
            )
        )
        self.assertEqual((info["summary"], info["author"], info["author_email"]), ("s", "a", "b@c"))
        self.assertEqual((info["maintainer"], info["maintainer_email"]), ("m", "n@c"))
        self.assertEqual((info["license"], info["license_expression"]), ("l", "MIT"))
        self.assertEqual(info["license_files"], ["LICENSE"])
        self.assertEqual((info["keywords"], info["platform"], info["classifiers"]), ("k,w", "any", ["X"]))
        self.assertEqual((info["requires_dist"], info["provides_extra"]), (["x", "y; extra == 'z'"], ["z"]))
        self.assertEqual((info["requires_python"], info["dynamic"]), (">=3", ["Version"]))
        self.assertEqual((info["description"], info["description_content_type"]), ("# Title", "text/markdown"))
        self.assertEqual((info["home_page"], info["download_url"]), ("https://example.com/", "http://example.com/d"))
        self.assertEqual(info["project_urls"], {"Docs": "https://example.com/docs"})

    def test_nothing(self) -> None:
        """What is not said is null, or an empty list of classifiers."""
        info = describe(MetadataFields({}))
        self.assertEqual(info.pop("classifiers"), [])
        self.assertEqual(set(info.values()), {None})

    def test_links_that_would_run(self) -> None:
        """Only links to read or write to are passed on."""
        for url in ("javascript:alert(1)", "data:text/html,x", "JavaScript:1", 'https://x/"\u00a0onclick=', "//x", ""):
            data = f"Home-page: {url}\nDownload-URL: {url}\nProject-URL: a, {url}\nProject-URL: b, mailto:x@y\n"
            info = describe(read_fields(data.encode()))
            self.assertEqual((info["home_page"], info["download_url"]), (None, None))
            self.assertEqual(info["project_urls"], {"b": "mailto:x@y"})
