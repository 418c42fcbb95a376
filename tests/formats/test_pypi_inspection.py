"""What is read of an archive, and compared with the form."""

from __future__ import annotations

import io
import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from pkgregd.errors import InvalidArchive, InvalidRequest, MetadataMismatch
from pkgregd.formats.pypi_inspection import MAX_REQUIREMENTS, Inspection, inspect_package, inspection_of
from pkgregd.formats.pypi_metadata import MAX_FIELDS
from pkgregd.values import MAX_DOCUMENT_BYTES
from tests.formatkit.test_archives import make_zip
from tests.formats.pypi_world import metadata, wheel, wheel_name


def inspect(data: bytes, file_name: str = wheel_name(), **said: Any) -> Inspection:
    """Read an archive as a worker does: everything but the file passes through JSON."""
    form = {"name": "demo", "version": "1.0", "requires_python": None, "requires_dist": [], **said}
    arguments = json.loads(json.dumps({"file_name": file_name, **form}))
    answer = json.loads(json.dumps(inspect_package(io.BytesIO(data), **arguments)))
    return inspection_of(answer, form["name"], form["version"])


def sdist(metadata_version: str, extra: str = "") -> bytes:
    """Make a source distribution."""
    info = f"Metadata-Version: {metadata_version}\nName: demo\nVersion: 1.0\n{extra}"
    return make_zip([("demo-1.0/PKG-INFO", info.encode())])


class InspectionTests(SynchronousTestCase):
    """inspect_package()."""

    def test_result_is_plain_json(self) -> None:
        """What comes back has been JSON, with METADATA in every byte."""
        extra = "Requires-Python: >=3.8\r\nSummary: \xfc\n\n\x00text"
        found = inspect(wheel(extra=extra))
        self.assertEqual((found.name, found.version, found.requires_python), ("demo", "1.0", ">=3.8"))
        self.assertEqual(found.metadata, metadata(extra=extra))

    def test_an_answer_is_not_believed(self) -> None:
        """An inspector that was taken over can say nothing but what an honest one could say of that package."""
        good = inspect_package(
            io.BytesIO(wheel()), file_name=wheel_name(), name="demo", version="1.0", requires_python=None,
            requires_dist=[],
        )  # fmt: skip
        self.assertEqual(inspection_of(good, "Demo", "1.0.0").name, "demo")
        for change in (
            {"name": "evil"}, {"name": "demo\n"}, {"name": None}, {"name": 1}, {"version": "2"}, {"version": ["1.0"]},
            {"requires_python": ">=3\nx"}, {"requires_python": "x" * 1000}, {"metadata_base64": "?"},
            {"metadata_base64": 7}, {"metadata_base64": "A" * (MAX_DOCUMENT_BYTES * 2)},
        ):  # fmt: skip
            self.assertRaises(InvalidRequest, inspection_of, {**good, **change}, "demo", "1.0")

    def test_wheels_say_everything(self) -> None:
        """What a wheel does not say is not so, whatever the form says."""
        for said in ({"requires_python": ">=3"}, {"requires_dist": ["x"]}):
            self.assertRaises(MetadataMismatch, inspect, wheel(), **said)

    def test_source_distributions_may_leave_it_to_the_build(self) -> None:
        """A field that is missing and may still come is not compared; one that is there is."""
        for version, extra, refused in (
            ("1.1", "", False),
            ("2.1", "", False),
            ("2.2", "", True),
            ("2.4", "", True),
            ("2.2", "Dynamic: Requires-Dist\nDynamic: requires-python\n", False),
            ("1.1", "Requires-Dist: y\nRequires-Python: >=4\n", True),
        ):
            for said in ({"requires_python": ">=3"}, {"requires_dist": ["x"]}):
                data = sdist(version, extra)
                if refused:
                    self.assertRaises(MetadataMismatch, inspect, data, "demo-1.0.zip", **said)
                else:
                    self.assertEqual(inspect(data, "demo-1.0.zip", **said).name, "demo")

    def test_requirements_that_are_none(self) -> None:
        """Old spellings that nobody can read are compared as text."""
        data = wheel(extra="Requires-Dist: x (===  weird\n")
        self.assertEqual(inspect(data, requires_dist=["x  (=== weird"]).name, "demo")
        self.assertRaises(MetadataMismatch, inspect, data, requires_dist=["x"])

    def test_too_many(self) -> None:
        """More requirements than can be compared, and more fields than any package has, are refused."""
        some = [f"x{number}" for number in range(MAX_REQUIREMENTS + 1)]
        data = wheel(extra="".join(f"Requires-Dist: {text}\n" for text in some))
        self.assertEqual(inspect(data, requires_dist=some).name, "demo")
        self.assertRaises(InvalidArchive, inspect, data, requires_dist=[*some[:-1], "y"])
        self.assertRaises(InvalidArchive, inspect, wheel(extra="A: b\n" * MAX_FIELDS))

    def test_hostile_requirements(self) -> None:
        """What breaks the reader of requirements, or is too long for it, is compared as text or refused."""
        too_long = "x; " + "a == 'b' and " * 5000 + "a == 'b'"
        self.assertRaises(InvalidArchive, inspect, wheel(extra=f"Requires-Dist: {too_long}\n"))
        for hostile in ("x; " + "(" * 1500 + "a", "x; " + "a == 'b' and " * 200 + "a == 'b'"):
            data = wheel(extra=f"Requires-Dist: {hostile}\n")
            self.assertEqual(inspect(data, requires_dist=[f" {hostile}"]).name, "demo")
            self.assertRaises(MetadataMismatch, inspect, data, requires_dist=["y"])
