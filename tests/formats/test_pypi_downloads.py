"""Python files and what is kept beside them, without HTTP."""

from __future__ import annotations

import json

from pkgregd import errors
from pkgregd.testing.calls import body_of
from pkgregd.values import MAX_DOCUMENT_BYTES
from tests.formatkit.test_archives import make_zip
from tests.formats.pypi_world import (
    FILE,
    INTEGRITY,
    TOY,
    Links,
    PyPITestCase,
    attestations,
    metadata,
    sha256,
    wheel,
    wheel_name,
)


class DownloadTests(PyPITestCase):
    """GET of a file."""

    def test_file(self) -> None:
        """The bytes, by digest and name, never to be interpreted, and to be kept for ever."""
        digest = self.publish()
        for path in ("acme/one", "acme"):
            reply = self.page(FILE, path=path, sha256=digest.upper(), file_name=wheel_name())
            self.assertEqual(body_of(reply), wheel())
            self.assertEqual((reply.etag, reply.download_name), (digest, wheel_name()))
            self.assertEqual(reply.content_type, "application/octet-stream")
            self.assertIn("immutable", dict(reply.headers)["Cache-Control"])

    def test_missing(self) -> None:
        """Digest and name must both be those of one file of that project."""
        digest = self.publish()
        other = self.publish(version="2.0")
        for where in (
            {"sha256": digest, "file_name": wheel_name(version="2.0")},
            {"sha256": other, "file_name": wheel_name()},
            {"sha256": "0" * 64, "file_name": wheel_name()},
            {"sha256": "nonsense", "file_name": wheel_name()},
            {"sha256": digest, "file_name": "x"},
            {"sha256": digest, "file_name": wheel_name(), "path": "acme/two"},
        ):
            self.assertRaises(errors.FileNotFound, self.page, FILE, **where)


class MetadataTests(PyPITestCase):
    """METADATA beside wheels."""

    def test_metadata(self) -> None:
        """A wheel's METADATA is there byte for byte, under the digest that both kinds of page promise."""
        extra = "Requires-Dist: x\r\nSummary: \u00fc \xe9\n\nLong.\r\n"
        digest = self.publish(extra=extra)
        expected = metadata(extra=extra)
        found = {"sha256": sha256(expected)}
        (file,) = self.index()["files"]
        self.assertEqual((file["core-metadata"], file["dist-info-metadata"]), (found, found))
        ((attributes, _),) = Links(body_of(self.page(name="demo"))).found
        text = f"sha256={found['sha256']}"
        self.assertEqual((attributes["data-core-metadata"], attributes["data-dist-info-metadata"]), (text, text))
        for path in ("acme/one", "acme"):
            reply = self.page(FILE, path=path, sha256=digest, file_name=f"{wheel_name()}.metadata")
            self.assertEqual((reply.body, reply.etag), (expected, found["sha256"]))
            self.assertIn("immutable", dict(reply.headers)["Cache-Control"])
            self.assertEqual(reply.download_name, f"{wheel_name()}.metadata")

    def test_only_of_wheels(self) -> None:
        """What building may change is not offered."""
        data = make_zip([("demo-1.0/PKG-INFO", metadata())])
        self.post([("name", "demo"), ("version", "1.0")], "demo-1.0.zip", data)
        (file,) = self.index()["files"]
        self.assertNotIn("core-metadata", file)
        where = {"sha256": sha256(data), "file_name": "demo-1.0.zip.metadata"}
        self.assertRaises(errors.FileNotFound, self.page, FILE, **where)

    def test_too_long_to_be_kept(self) -> None:
        """A wheel whose METADATA is greater than a document can be published, and offers none."""
        digest = self.publish(extra="\n" + "x" * MAX_DOCUMENT_BYTES)
        (file,) = self.index()["files"]
        self.assertNotIn("core-metadata", file)
        where = {"sha256": digest, "file_name": f"{wheel_name()}.metadata"}
        self.assertRaises(errors.FileNotFound, self.page, FILE, **where)

    def test_missing(self) -> None:
        """An unknown file has no metadata and no provenance, and a known one no provenance that nobody gave."""
        digest = self.publish()
        for name in ("x.whl.metadata", "x.whl.provenance", ".metadata", f"{wheel_name()}.provenance"):
            self.assertRaises(errors.FileNotFound, self.page, FILE, sha256=digest, file_name=name)
        where = {"name": "demo", "version": "1.0", "file_name": wheel_name()}
        self.assertRaises(errors.FileNotFound, self.page, INTEGRITY, **where)
        self.assertNotIn("provenance", self.index()["files"][0])


class ProvenanceTests(PyPITestCase):
    """Attestations on their way in and out."""

    def test_provenance(self) -> None:
        """Attestations come out as they went in, at the addresses that the pages name."""
        text = attestations(wheel_name(), wheel())
        fields = [("name", "demo"), ("version", "1.0"), ("attestations", text)]
        for behind in (False, True):
            given = (fields[:2], wheel_name(), wheel(), fields[2:]) if behind else (fields, wheel_name(), wheel())
            self.assertEqual(self.post(*given).status, 200 if behind else 201)
        (file,) = self.index()["files"]
        self.assertEqual(file["provenance"], f"{TOY}/files/{sha256(wheel())}/{wheel_name()}.provenance")
        ((attributes, _),) = Links(body_of(self.page(name="demo"))).found
        self.assertEqual(attributes["data-provenance"], file["provenance"])
        for path in ("acme/one", "acme"):
            by_name = self.page(INTEGRITY, path=path, name="Demo", version="1", file_name=wheel_name())
            by_digest = self.page(FILE, path=path, sha256=sha256(wheel()), file_name=f"{wheel_name()}.provenance")
            self.assertEqual(by_name, by_digest)
            self.assertEqual(by_name.content_type, "application/vnd.pypi.integrity.v1+json")
            self.assertIn(text.encode(), body_of(by_name))
            found = json.loads(body_of(by_name))
            self.assertEqual((found["version"], len(found["attestation_bundles"])), (1, 1))
            (bundle,) = found["attestation_bundles"]
            self.assertEqual(bundle["publisher"], {"kind": "pkgregd", "claims": {}})
            self.assertEqual(bundle["attestations"], json.loads(text))

    def test_about_another_file(self) -> None:
        """Attestations about other bytes or another name are refused, and so is the file with them."""
        good = [("name", "demo"), ("version", "1.0")]
        for text in (
            attestations(wheel_name(), b"other bytes"),
            attestations(wheel_name(version="2.0"), wheel()),
            attestations("demo-1.0-py2-none-any.whl", wheel()),
            attestations("demo-1.0.tar.gz", wheel()),
            attestations("nonsense", wheel()),
            attestations(wheel_name(), wheel(), several=[wheel_name(), "evil-1.0-py3-none-any.whl"]),
        ):
            fields = [*good, ("attestations", text)]
            why = self.assert_refused(errors.MetadataMismatch, fields, wheel_name(), wheel())
            self.assertIn("attestation says", why)
        self.assert_refused(errors.MalformedBody, [*good, ("attestations", "[]")], wheel_name(), wheel())
        twice = [("attestations", attestations(wheel_name(), wheel()))] * 2
        self.assert_refused(errors.MalformedBody, [*good, *twice], wheel_name(), wheel())
