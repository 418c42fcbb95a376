"""The shape of attestations, and what they are about."""

from __future__ import annotations

import contextlib
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pkgregd.errors import MalformedBody, MetadataMismatch
from pkgregd.formatkit.names import is_printable
from pkgregd.formats.pypi_attestations import (
    MAX_ATTESTATIONS,
    MAX_FIELD_CHARACTERS,
    Subject,
    demand_subject,
    provenance_of,
    read_attestations,
)
from pkgregd.formats.pypi_names import FileName
from pkgregd.values import Digest
from tests.formats.pypi_world import attestation, base64_of, sha256, statement, wheel_name

DATA = b"the bytes"
GOOD = statement(wheel_name(), DATA)


def changed(value: Any, path: tuple[str | int, ...], new: Any) -> Any:
    """Copy JSON with one place changed; `...` removes it."""
    copied = json.loads(json.dumps(value))
    place = copied
    for key in path[:-1]:
        place = place[key]
    if new is ...:
        del place[path[-1]]
    else:
        place[path[-1]] = new
    return copied


def about(stated: object) -> str:
    """Write the field with one attestation of a statement."""
    return json.dumps([attestation(stated)])


class ReadTests(SynchronousTestCase):
    """read_attestations() and provenance_of()."""

    def test_subjects(self) -> None:
        """Each attestation tells its file; further keys are for whoever understands them."""
        first = {**attestation(GOOD), "extra": {"a": [1]}}
        first["verification_material"]["timestamps"] = ["AAAA"]
        second = attestation(statement("x.whl", b"y", predicate={"builder": {}}, more=1))
        found = read_attestations(json.dumps([first, second]))
        self.assertEqual(list(found), [Subject(wheel_name(), sha256(DATA)), Subject("x.whl", sha256(b"y"))])

    def test_upper_case_digests(self) -> None:
        """Digests are compared without their case."""
        stated = changed(GOOD, ("subject", 0, "digest"), {"sha256": sha256(DATA).upper(), "sha512": "AB"})
        self.assertEqual(read_attestations(about(stated)), [Subject(wheel_name(), sha256(DATA))])

    def test_attestations_with_something_wrong(self) -> None:
        """Whatever has not the shape is refused, and the message says where."""
        good = attestation(GOOD)
        for path, new in (
            (("version",), 2), (("version",), "1"), (("version",), True), (("version",), ...),
            (("verification_material",), ...), (("verification_material",), []),
            (("verification_material", "certificate"), ...), (("verification_material", "certificate"), ""),
            (("verification_material", "certificate"), "a b"), (("verification_material", "certificate"), "YQ"),
            (("verification_material", "transparency_entries"), ...),
            (("verification_material", "transparency_entries"), {}),
            (("verification_material", "transparency_entries"), ["x"]),
            (("verification_material", "transparency_entries"), [{}] * 17),
            (("envelope",), ...), (("envelope", "signature"), ...), (("envelope", "signature"), "\u00fc"),
            (("envelope", "statement"), ...), (("envelope", "statement"), "!"),
            (("envelope", "statement"), base64_of(b"{")), (("envelope", "statement"), base64_of(b"\xff")),
            (("envelope", "statement"), base64_of(b"[" * 1000)),
        ):  # fmt: skip
            why = str(self.assertRaises(MalformedBody, read_attestations, json.dumps([changed(good, path, new)])))
            self.assertIn("attestation 1", why)

    def test_statements_with_something_wrong(self) -> None:
        """A statement is of the one type, about the one file, with a sha256."""
        digest = ("subject", 0, "digest")
        for path, new in (
            (("_type",), ...), (("_type",), "https://in-toto.io/Statement/v0.1"),
            (("predicateType",), ...), (("predicateType",), ""), (("predicateType",), "no uri"),
            (("subject",), ...), (("subject",), []), (("subject",), GOOD["subject"] * 2), (("subject",), [1]),
            (("subject", 0, "name"), ...), (("subject", 0, "name"), 1), (("subject", 0, "name"), "a\x1b[2J"),
            (("subject", 0, "name"), "a" * 256),
            (digest, ...), (digest, {}), (digest, []), ((*digest, "sha256"), "ab"), ((*digest, "sha256"), "g" * 64),
            ((*digest, "sha256"), 1), ((*digest, "sha512"), "not hex"), ((*digest, "sha512"), None),
        ):  # fmt: skip
            why = str(self.assertRaises(MalformedBody, read_attestations, about(changed(GOOD, path, new))))
            self.assertIn("statement", why)

    def test_not_a_list(self) -> None:
        """There is at least one, and not too many, in a field that is not too long."""
        good = attestation(GOOD)
        self.assertEqual(len(read_attestations(json.dumps([good] * MAX_ATTESTATIONS))), MAX_ATTESTATIONS)
        for value in ([], {}, good, None, "x", [good] * (MAX_ATTESTATIONS + 1), [[good]], [None]):
            self.assertRaises(MalformedBody, read_attestations, json.dumps(value))
        self.assertRaises(MalformedBody, read_attestations, about(GOOD) + " " * MAX_FIELD_CHARACTERS)

    @given(st.data())
    def test_any_change(self, data: st.DataObject) -> None:
        """With any value anywhere, the result is subjects or a refusal of one printable line."""
        values = st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.integers(), max_size=2)
        replaced = values | st.dictionaries(st.text(), st.text(), max_size=2)
        paths = [
            ("version",), ("envelope",), ("envelope", "statement"), ("envelope", "signature"),
            ("verification_material",), ("verification_material", "certificate"),
            ("verification_material", "transparency_entries"),
        ]  # fmt: skip
        stated_paths = [("_type",), ("subject",), ("subject", 0), ("subject", 0, "name"), ("subject", 0, "digest")]
        stated = changed(GOOD, data.draw(st.sampled_from(stated_paths)), data.draw(replaced))
        wrong = changed(attestation(GOOD), data.draw(st.sampled_from(paths)), data.draw(replaced))
        for text in (about(stated), json.dumps([wrong]), json.dumps(data.draw(replaced))):
            try:
                for subject in read_attestations(text):
                    self.assertEqual(len(subject.sha256), 64)
                    self.assertTrue(is_printable(subject.file_name))
            except MalformedBody as error:
                self.assertTrue(is_printable(str(error)))

    @given(st.text())
    def test_any_text(self, text: str) -> None:
        """Any text is refused or has subjects."""
        with contextlib.suppress(MalformedBody):
            read_attestations(text)

    def test_provenance_keeps_the_text(self) -> None:
        """What was sent is in the object that is served, its spaces included."""
        text = f"  {about(GOOD)}\n"
        served = provenance_of(text)
        self.assertIn(text.encode(), served)
        self.assertEqual(json.loads(served)["attestation_bundles"][0]["attestations"], json.loads(text))


class SubjectTests(SynchronousTestCase):
    """demand_subject()."""

    def demand(self, subject: str, file_name: str, name: str = "demo", version: str = "1.0") -> None:
        """Ask whether an attestation about one name is about a file of another."""
        digest = Digest.sha256(sha256(DATA))
        demand_subject(Subject(subject, digest.hex), FileName.parse(file_name), name, version, digest)

    def test_spellings(self) -> None:
        """A file name may be written otherwise, as long as it is the same distribution."""
        self.demand(wheel_name(), wheel_name())
        self.demand("Demo-1.0-py3-none-any.whl", "demo-1.0-py3-none-any.whl")
        self.demand("demo-1.0-py3.py2-none-any.whl", "demo-1.0-py2.py3-none-any.whl")
        self.demand("demo_pkg-1.0.0.tar.gz", "demo-pkg-1.0.tar.gz", "demo-pkg")

    def test_other_files(self) -> None:
        """Another name, version, tag or kind is another file."""
        for subject, file_name in (
            ("evil-1.0-py3-none-any.whl", wheel_name()),
            ("demo-2.0-py3-none-any.whl", wheel_name()),
            ("demo-1.0-1-py3-none-any.whl", wheel_name()),
            ("demo-1.0-py2-none-any.whl", wheel_name()),
            ("demo-1.0.tar.gz", wheel_name()),
            ("demo-1.0.zip", "demo-1.0.tar.gz"),
            ("demo-2.0.tar.gz", "demo-1.0.tar.gz"),
            ("demo.tar.gz", "demo-1.0.tar.gz"),
            ("x", "demo-1.0.tar.gz"),
        ):
            self.assertRaises(MetadataMismatch, self.demand, subject, file_name)
