"""Reading XML from strangers."""

from __future__ import annotations

import contextlib
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pkgregd.errors import InvalidRequest
from pkgregd.formatkit.xmltree import Element, XmlLimits, read_xml

NAMES = st.sampled_from(["a", "b", "c"])
TEXTS = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs"), exclude_characters="\ufffe\uffff"), max_size=8
)


def trees() -> st.SearchStrategy[ElementTree.Element]:
    """Any small document."""

    def make(name: str, text: str, children: list[ElementTree.Element]) -> ElementTree.Element:
        element = ElementTree.Element(name)
        element.text = text
        element.extend(children)
        return element

    leaves = st.builds(make, NAMES, TEXTS, st.just([]))
    return st.recursive(leaves, lambda below: st.builds(make, NAMES, TEXTS, st.lists(below, max_size=3)), max_leaves=8)


class XmlTests(SynchronousTestCase):
    """A tree within limits."""

    def test_tree(self) -> None:
        """Names without namespaces, text, and the first one at a path."""
        root = read_xml(b'<x:a xmlns:x="urn:x" q="1"><x:b> one </x:b><b>t<!-- no -->wo<c/></b></x:a>', "text")
        self.assertEqual((root.name, [child.text for child in root.each("b")]), ("a", ["one", "two"]))
        self.assertEqual(root.first_text("b"), "one")
        self.assertIsNone(root.first_text("b", "c"))
        self.assertIsNone(root.first("x"))
        self.assertIsNone(root.first_text("x", "y"))

    @given(trees())
    def test_any_document(self, tree: ElementTree.Element) -> None:
        """What another writer writes is read as it was meant."""
        self.assert_same(read_xml(ElementTree.tostring(tree, "utf-8"), "text"), tree)

    def assert_same(self, found: Element, tree: ElementTree.Element) -> None:
        """Compare two trees."""
        self.assertEqual(
            (found.name, found.text, len(found.children)), (tree.tag, (tree.text or "").strip(), len(tree))
        )
        for child, expected in zip(found.children, tree, strict=True):
            self.assert_same(child, expected)

    @given(st.binary(max_size=60))
    def test_any_bytes(self, data: bytes) -> None:
        """Bytes are a document or are refused."""
        for document in (data, b"<a>" + data + b"</a>"):
            with contextlib.suppress(InvalidRequest):
                read_xml(document, "text")

    def test_prefixes_that_nothing_declares(self) -> None:
        """They are refused, or part of the name for readers that know no namespaces; nothing else is allowed then."""
        data = b'<a xsi:b="1" c="2"><x:d>other</x:d><d>text</d></a>'
        self.assertRaises(InvalidRequest, read_xml, data, "text")
        root = read_xml(data, "text", checks_namespaces=False)
        self.assertEqual((root.name, root.attributes, root.first_text("d")), ("a", {"xsi:b": "1", "c": "2"}, "text"))
        for bad in (
            b"<x:a></a>",
            b"<a>&x;</a>",
            b"<!DOCTYPE a><a/>",
            b"<a b='1' b='2'/>",
            b"<a>" * 100 + b"</a>" * 100,
            b"<a",
        ):
            self.assertRaises(InvalidRequest, read_xml, bad, "text", checks_namespaces=False)

    def test_limits(self) -> None:
        """Each limit holds exactly."""
        limits = XmlLimits(max_elements=3, max_depth=2, max_text_characters=4, max_attributes=1)
        for good, bad in (
            (b"<a><b/><b/></a>", b"<a><b/><b/><b/></a>"),
            (b"<a><b/></a>", b"<a><b><c/></b></a>"),
            (b"<a>1234</a>", b"<a>12345</a>"),
            (b"<a>12<b/>34</a>", b"<a>12<b/>345</a>"),
            (b'<a x="1"/>', b'<a x="1" y="2"/>'),
        ):
            read_xml(good, "text", limits)
            self.assertRaises(InvalidRequest, read_xml, bad, "text", limits)

    def test_document_types(self) -> None:
        """None is read, whatever is in it."""
        for start in (
            b"<!DOCTYPE a>", b"<!DOCTYPE a [<!ENTITY x 'y'>]>", b'<!DOCTYPE a SYSTEM "file:///etc/passwd">',
            b"<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]>", b"<!DOCTYPE a [<!ATTLIST a x CDATA 'y'>]>",
        ):  # fmt: skip
            text = str(self.assertRaises(InvalidRequest, read_xml, start + b"<a>&x;</a>", "POM"))
            self.assertEqual(text, "the POM has a document type, which is not allowed")

    def test_encodings(self) -> None:
        """Those that expat knows; others are refused."""
        for encoding in ("utf-8", "utf-16", "iso-8859-1"):
            data = f'<?xml version="1.0" encoding="{encoding}"?><a>\u00e4</a>'.encode(encoding)
            self.assertEqual(read_xml(data, "text").text, "\u00e4")
        self.assertRaises(InvalidRequest, read_xml, b'<?xml version="1.0" encoding="nothing"?><a/>', "text")
